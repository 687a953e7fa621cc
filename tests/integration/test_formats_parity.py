"""The same file gives the same on pandas and on Spark: a frame, or an error that names the file."""

from __future__ import annotations

import gzip
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from odibi.contracts.format import Source
from odibi.errors import DataError, OdibiError

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

pytest.importorskip("pyspark")
pytest.importorskip("odibi_pandas")
pytest.importorskip("odibi_local")


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"odibi_parity_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # attrs looks a class's module up
    spec.loader.exec_module(module)
    return module


CORPUS = _module(Path(__file__).parents[1] / "odibi-pandas" / "corpus_data" / "broken.py")
JARS = _module(Path(__file__).with_name("spark_jars.py"))
SESSIONS = _module(Path(__file__).with_name("spark_sessions.py"))
BROKEN = {case.name: case for case in CORPUS.cases() if case.format in ("csv", "json", "parquet", "orc", "avro")}


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    settings = {
        "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
        "spark.jars": JARS.as_option(JARS.jars("avro")),
    }
    with SESSIONS.local_session(tmp_path_factory.mktemp("spark"), settings) as session:
        yield session


@pytest.fixture(scope="module")
def engines(spark: Any) -> Iterator[Mapping[str, Any]]:
    from odibi_pandas.engine import PandasEngine
    from odibi_spark.engine import SparkEngine

    made = {"pandas": PandasEngine(), "spark": SparkEngine(spark_session=spark)}
    yield made
    for engine in made.values():
        engine.close()


def format_of(engine: str, name: str, options: Mapping[str, Any]) -> Any:
    module, _, cls = import_module(f"odibi_{engine}").odibi_formats()[f"{engine}.{name}"].partition(":")
    return getattr(import_module(module), cls)(**options)


@pytest.fixture
def read(engines: Mapping[str, Any], tmp_path: Path) -> Callable[..., Any]:
    """Reads objects with an engine: a table of all rows."""
    from odibi_local.storage import LocalStorage

    def done(
        engine: str,
        name: str,
        objects: Mapping[str, bytes],
        path: str = "",
        options: Mapping[str, Any] | None = None,
        columns: tuple[str, ...] | None = None,
    ) -> pa.Table:
        for place, data in objects.items():
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place).write_bytes(data)
        source = Source(
            storage=LocalStorage(base_path=str(tmp_path)),
            connection="lake",
            path=path or next(iter(objects)),
            format=format_of(engine, name, options or {}),
            format_name=name,
            columns=columns,
        )
        return pa.table(engines[engine].to_arrow(engines[engine].read(source)))

    return done


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("engine", ["pandas", "spark"])
def test_broken_files(read: Callable[..., Any], name: str, engine: str) -> None:
    case = BROKEN[name]
    with pytest.raises(OdibiError) as caught:
        read(engine, case.format, case.objects, case.path, case.options, case.columns)
    message = str(caught.value)
    # Spark looks at the rows of such files when they are needed, and names the file by its address then.
    late = engine == "spark" and case.format in ("parquet", "orc", "avro")
    assert message.startswith("lake:") or late
    # Some file of the case is named, by a word that only it has.
    assert any(Path(each).name in message for each in case.objects), message
    assert "Traceback" not in message
    assert "SQLSTATE" not in message
    assert "\tat " not in message
    if case.format in ("csv", "json"):
        assert isinstance(caught.value, DataError)
        assert caught.value.remedy


def lines_of(values: list[list[str]]) -> str:
    """Columns of texts as CSV, with a column of numbers before them."""
    count = max(map(len, values))
    header = ",".join(["k", *(f"v{at}" for at in range(len(values)))])
    rows = [",".join([str(at), *(column[at % len(column)] for column in values)]) for at in range(count)]
    return "\n".join([header, *rows, ""])


TYPES = lines_of(
    [
        *(["1", "-2", "0"], ["1", "", "3"], ["9223372036854775807", "-9223372036854775808"]),
        *(["9223372036854775808", "1"], ["007", "8"], ["+5", "6"], ["-0", "1"], ["0x1F", "1"], ["1_000"]),
        *(["1.5", "2"], ["1.", ".5", "-1e3", "1E-2"], ["00.5", "1"], ["1.5", "1234567890123456"]),
        *(["inf", "-Infinity"], ["1e999"], ["NA", "1", "n/a", "null", "NaN", "#N/A"], ["nan", "1.5"], ["NA", "x"]),
        *(["NA", "NA"], [" 1", "2 "], ["true", "FALSE", ""], ["true", "1"], ["yes", "no"], ["2013-01-02", ""]),
        *(["2013-01-02", "2013-01-02 03:04"], ["2013-01-02T03:04:05.123456"], ["2013-02-30"], ["01.02.2013"]),
        *(["2013-01-02T03:04:05Z", "2013-01-02T03:04:05+02:00"], ["2013-01-02T03:04:05Z", "2013-01-02T03:04:05"]),
        *(["10:00:00"], ["", ""], ["1d", "2f"], ["1e5", "2"], ["True", "true"]),
    ]
)

ASKED = "i,f,s,b,d,t,z,c\n01,1,007,1,2013-01-01,2013-01-01,2013-01-01T01:00:00+01:00,1.50\n,,,,,,,\n"
DTYPES = {
    "i": "int32",
    "f": "float",
    "s": "str",
    "b": "bool",
    "d": "date",
    "t": "datetime",
    "z": "timestamp[us, tz=UTC]",
    "c": "decimal(10, 2)",
}

GOOD_CSV: list[tuple[str | bytes, Mapping[str, Any]]] = [
    (TYPES, {}),
    (ASKED, {"dtypes": DTYPES}),
    ('a,b\n1,\n2,""\n3,x\n', {}),
    ("a,b,c\n1,NA,-\n-,x,3\n,y,NULL\n", {"null_values": ("NA", "-")}),
    ("a,b\n1,2\n", {"header": False}),
    ("1,2\n3,4\n", {"header": None, "column_names": ("a", "b")}),
    ("x,y\n1,2\n", {"column_names": ("a", "b")}),
    ("title\n\nx,y\n1,2\n", {"header": 1}),
    ("title\n\nx,y\n1,2\n", {"skip_rows": 1}),
    (",x\n0,1\n", {}),
    (" x , y \n 1 , b \n", {"trim": True}),
    ('"multi\nline",y\n1,2\n', {}),
    ("a,b\r1,2\r\r3,4\r5,6", {}),
    ("a,b\r\n1,2\n3,4\r5,6\r\n", {}),
    ('a,b\n"x,y","say ""hi"""\n"two\nlines",\'q\'\n', {}),
    ('a,b\n1,"x\n\ny"\n\n2,"a,b\r\nc"\n', {}),
    ("a,b\n'x,y',2\n", {"quotechar": "'"}),
    ('a,b\n5" pipe,2\n', {"quotechar": None}),
    ('a,b\n5" pipe,2\n', {}),
    ('a,b\n"x\\"y",2\n', {"escapechar": "\\"}),
    ('a,b,c\n1,"\\",x\n', {}),
    ('a,b\n1,"  q "\n 2, z\n', {}),
    ("a\n1\n\n3\n", {}),
    ('a\nx\n""\n\n', {}),
    ("# made by hand\na,b\n# one\n1,2\n3,#4\n#", {"comment": "#"}),
    ("a;b\n1;2\n", {"delimiter": ";"}),
    ("a;b;c\n1;x y;2,5\n3;z;4", {"delimiter": "auto"}),
    ("a;b;c\n1.234,5;1.000;x\n-2,25;12;y\n", {"delimiter": ";", "decimal": ",", "thousands": "."}),
    ("a\nyes\nno\n", {"true_values": ("yes",), "false_values": ("no",)}),
    ("d,e\n2.1.2013 10:00,x\n", {"dates": ("d",), "date_format": "%d.%m.%Y %H:%M"}),
    ("d,e\n2013-01-02,2013-01-02\n", {"dates": ("d",)}),
    ("d,e\n2013-01-02,2013-01-02\n", {"dates": False}),
    ("a,b\n1,2013-01-01\n", {"dtypes": "str"}),
    ("a,b\n1,2013-01-01\n", {"infer_types": False}),
    ("a,b\n", {}),
    ("", {"header": False, "column_names": ("a",)}),
    ("a,b\n1,2\na,b\n3,4\n", {}),
    ("a,b\n1,2\n3\n4,5,6\n", {"on_bad_lines": "skip"}),
    ("a,b\n1,2\n3\n4,5,6\n", {"on_bad_lines": "collect"}),
    ("a,b\n1,2\n3,4\n", {"max_rows": 1}),
    ("a b,c.d,e`f\n1,2,3\n", {}),
    *(("é,b\n1,ü\n".encode(each), {}) for each in ("utf-8-sig", "utf-16", "utf-32")),
    *(("é,b\n1,ü\n".encode(each), {"encoding": each}) for each in ("cp1252", "latin-1", "utf-16-le")),
    ("ж,b\n1,я\n".encode("koi8-r"), {"encoding": "koi8-r"}),
    ("a,b\n1,é\n".encode("cp1252"), {"encoding_fallback": "cp1252"}),
]

GOOD_JSON: list[tuple[str | bytes, Mapping[str, Any]]] = [
    ('{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n', {}),
    ('\ufeff{"a": 1, "b": "x"}\r\n{"a": 2}\r\n', {}),
    ('[{"a": 1, "b": "x"}, {"a": 2}]', {}),
    (' [\n  {"a": 1,\n "b": "x"}\n,{"a": 2}\n]\n', {}),
    ('{"a": 1, "b": "x"} {"a": 2}', {}),
    ('{\n"a": 1, "b": "x"\n}\n{\n"a": 2}', {}),
    ('{"i": 1, "f": 1, "b": true, "n": null, "s": "007"}\n{"f": 1.5, "l": [null, 1], "o": {"x": {"y": [1.5]}}}\n', {}),
    ('{"d": "2013-01-02", "t": "2013-01-02 03:04:05.123456"}\n{"z": "2013-01-02T03:04:05+02:00", "e": ""}\n', {}),
    ('{"d": "2013-01-02"}', {"dates": False}),
    ('{"o": {"t": "2013-01-02 03:04:05.123"}, "l": ["2013-01-02"]}\n', {}),
    ('{"id": 1, "d": "2013-01-02"}\n{"id": "A2", "d": null}\n', {"dtypes": {"id": "str", "d": "datetime"}}),
    ('{"a": 1}\n' * 9, {"max_rows": 3}),
    ('{"a b":1,"c.d":{"e f":[{"g,h: <i>":2}]},"z`q":"é\\n\\u00e9"}\n', {}),
    ('{"a":"é"}\n{"a":"b"}'.encode("utf-16"), {}),
]


def same(one: pa.Table, other: pa.Table) -> None:
    """The rows may come in any order, and Arrow's name of what is in a list is each engine's own."""
    types = [[(it.name, str(it.type).replace("item: ", "element: ")) for it in each.schema] for each in (one, other)]
    assert types[0] == types[1]
    assert sorted(map(repr, one.to_pylist())) == sorted(map(repr, other.to_pylist()))


@pytest.mark.parametrize(("text", "options"), GOOD_CSV)
def test_csv(read: Callable[..., Any], text: str | bytes, options: Mapping[str, Any]) -> None:
    objects = {"x.csv": text.encode() if isinstance(text, str) else text}
    same(read("pandas", "csv", objects, options=options), read("spark", "csv", objects, options=options))


@pytest.mark.parametrize(("text", "options"), GOOD_JSON)
def test_json(read: Callable[..., Any], text: str | bytes, options: Mapping[str, Any]) -> None:
    objects = {"x.json": text.encode() if isinstance(text, str) else text}
    same(read("pandas", "json", objects, options=options), read("spark", "json", objects, options=options))


PARTS: list[tuple[str, Mapping[str, bytes], str, Mapping[str, Any]]] = [
    ("csv", {"p/1.csv": b"a,b\n1,2\n", "p/2.csv": b"b,c\n1.5,x\n"}, "p", {"union_by_name": True}),
    ("csv", {"p/1.csv": b"a,b\n1,x\n", "p/2.csv": b"b,a\ny,2\n"}, "p", {}),
    ("csv", {"p/1.csv": b"a,b\n1,x\n", "p/2.tsv": b"a\tb\n2\ty\n"}, "p", {}),
    (
        "csv",
        {"p/y=2013/m=01/1.csv": b"a,b\n1,x\n", "p/y=2014/m=__HIVE_DEFAULT_PARTITION__/2.csv": b"a,b\n3,y\n"},
        "p",
        {},
    ),
    ("csv", {"p/d=2013-01-01/1.csv": b"a\n1\n", "p/d=2014-01-01/2.csv": b"a\n3\n", "p/_x/1.csv": b"q"}, "p/d=*", {}),
    ("csv", {"p/1.csv": "a\né\n".encode("cp1252"), "p/2.csv": "a\né\n".encode()}, "p", {"encoding_fallback": "cp1252"}),
    ("csv", {"a b/%20ü{x}/q?[1].csv": b"a,b\n1,x\n"}, "a b/%20ü{x}/q?[1].csv", {}),
    ("csv", {"x.tsv.gz": gzip.compress(b"a\tb\n1\t2\n")}, "x.tsv.gz", {}),
    ("json", {"x.json.gz": gzip.compress(b'[{"a":1}]')}, "x.json.gz", {}),
    ("json", {"p/y=1/x.json": b'{"a":1}\n', "p/y=2/y.json": b'[{"a":2.5}]'}, "p", {}),
    ("json", {"p/x.json": b'{"a":1}\n', "p/y.json": b'{"b":2.5}'}, "p", {"union_by_name": True}),
]


@pytest.mark.parametrize(("name", "objects", "path", "options"), PARTS)
def test_parts(
    read: Callable[..., Any], name: str, objects: Mapping[str, bytes], path: str, options: Mapping[str, Any]
) -> None:
    same(read("pandas", name, objects, path, options), read("spark", name, objects, path, options))


EXCEPTIONS: list[tuple[str, bytes, Mapping[str, Any], str]] = [
    ("x.csv", b'a,b\n1,"x" y\n', {}, "between a closing quote and the end of its field"),
    ("x.csv", "日,b\n1,本\n".encode("shift_jis"), {"encoding": "shift_jis"}, "Spark does not read the encoding"),
    ("x.csv", b"a,b\n1,x\\,y\n", {"escapechar": "\\"}, "before another character than a quote"),
    ("x.csv", b'title\na,b\n1,"x\ny"\n', {"skip_rows": 1}, "Spark cannot leave out the first lines"),
    ("x.csv", b"a,A\n1,2\n", {}, "does not tell cases apart"),
    ("x.csv", gzip.compress(b"a\n1\n"), {}, "by which Spark goes"),
]
"""What pandas reads and Spark refuses: never something else without a word."""


@pytest.mark.parametrize(("path", "data", "options", "says"), EXCEPTIONS)
def test_declared_exceptions(
    read: Callable[..., Any], path: str, data: bytes, options: Mapping[str, Any], says: str
) -> None:
    assert read("pandas", "csv", {path: data}, options=options).num_rows == 1
    with pytest.raises(DataError, match=says):
        read("spark", "csv", {path: data}, options=options)


@pytest.mark.parametrize("name", ["parquet", "orc", "avro"])
def test_binary_files(read: Callable[..., Any], name: str) -> None:
    objects = {f"x.{name}": CORPUS.MAKERS[name]()}
    same(read("pandas", name, objects), read("spark", name, objects))


@pytest.mark.parametrize("name", ["csv", "json", "parquet", "orc", "avro"])
def test_spark_takes_every_option_that_pandas_takes(name: str) -> None:
    import attrs

    ours, theirs = (attrs.fields_dict(type(format_of(engine, name, {}))) for engine in ("spark", "pandas"))
    assert set(theirs) <= set(ours)
    for option, field in theirs.items():
        assert field.default == ours[option].default
        assert (
            field.metadata.get("odibi") is None
            or "aliases" not in field.metadata["odibi"]
            or (field.metadata["odibi"]["aliases"] == ours[option].metadata["odibi"]["aliases"])
        )


def test_avro_is_written_and_read(read: Callable[..., Any], engines: Mapping[str, Any], tmp_path: Path) -> None:
    import datetime as dt
    import decimal

    from odibi.contracts.format import Target
    from odibi_local.storage import LocalStorage

    table = pa.table(
        {
            "i": pa.array([1, None], pa.int64()),
            "s": ["x", None],
            "d": [dt.date(2013, 1, 2), None],
            "u": pa.array([dt.datetime(2013, 1, 2, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
            "t": pa.array([dt.datetime(2013, 1, 2, 3, 4, 5, 6), None], pa.timestamp("us")),
            "n": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(10, 2)),
            "l": pa.array([[1, None], None], pa.list_(pa.int64())),
        }
    )
    engine = engines["spark"]
    for codec in ("none", "deflate", "bzip2", "xz"):
        target = Target(
            storage=LocalStorage(base_path=str(tmp_path)),
            connection="lake",
            path=f"t-{codec}",
            format=format_of("spark", "avro", {"compression": codec}),
            format_name="avro",
            part="p",
        )
        assert engine.write(engine.from_arrow(table), target).rows == 2
        whole = [read(each, "avro", {}, f"t-{codec}") for each in ("pandas", "spark")]
        same(whole[0], table)
        same(whole[1], table)
