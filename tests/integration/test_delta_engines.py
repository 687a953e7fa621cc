"""Delta tables on both engines: what one writes the other reads, and both refuse the same, in the same words.

Spark is asked through clients of Connect, which live beside whatever Spark session this process has otherwise; what is
other in a classic session is tried in processes of its own.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")
pytest.importorskip("grpc")
pytest.importorskip("odibi_delta")
pytest.importorskip("odibi_local")
pytest.importorskip("odibi_pandas")
pytest.importorskip("odibi_spark")

sys.path.insert(0, str(Path(__file__).parent))

import attrs
import pyarrow as pa
from spark_clusters import connect_server
from spark_jars import NoJarsError, as_option, jars

from odibi.contracts import Bound
from odibi.contracts.format import Source, Target, WriteMode, WriteReport
from odibi.errors import DataError, OdibiError, TransformError
from odibi_delta.maintenance import Table
from odibi_delta.pandas_format import PandasDeltaFormat
from odibi_delta.spark_format import SparkDeltaFormat
from odibi_local.storage import LocalStorage
from odibi_pandas.engine import PandasEngine
from odibi_spark.engine import SparkEngine

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

DELTA = {
    "spark.databricks.delta.snapshotPartitions": "2",  # 50 unless said
    "spark.sql.session.timeZone": "UTC",
    **SparkDeltaFormat.spark_conf,
}


def had(name: str = "delta") -> list[Path]:
    try:
        return jars(name)
    except NoJarsError as reason:
        pytest.skip(str(reason))


class ArrowEngine:
    """As much of an engine as a table format asks for; its frames are Arrow tables."""

    def to_arrow(self, frame: pa.Table) -> pa.Table:
        return frame

    def from_arrow(self, stream: Any) -> pa.Table:
        return pa.table(stream)


class Side:
    """One of both engines, in a lake that both have."""

    def __init__(self, name: str, format_: type, engine: Any, lake: LocalStorage) -> None:
        self.name = name
        self.format = format_
        self.engine = engine
        self.lake = lake

    def __repr__(self) -> str:
        return self.name

    def write(
        self,
        rows: Any,
        mode: str = "overwrite",
        *,
        path: str = "t",
        part: str = "p",
        by: tuple[str, ...] = (),
        keys: tuple[str, ...] = (),
        **options: Any,
    ) -> WriteReport:
        table = rows if isinstance(rows, pa.Table) else pa.table(rows)
        target = Target(self.lake, "lake", self.format(**options), "delta", part, path, None, WriteMode(mode), by, keys)
        report: WriteReport = target.format.write(self.engine.from_arrow(table), target, self.engine)  # type: ignore[union-attr]
        return report

    def source(self, path: str = "t", columns: tuple[str, ...] | None = None, **options: Any) -> Source:
        return Source(self.lake, "lake", self.format(**options), "delta", path, columns=columns)

    def frame(self, path: str = "t", columns: tuple[str, ...] | None = None, **options: Any) -> Any:
        source = self.source(path, columns, **options)
        return source.format.read(source, self.engine)  # type: ignore[union-attr]

    def read(self, path: str = "t", columns: tuple[str, ...] | None = None, **options: Any) -> pa.Table:
        return self.engine.to_arrow(self.frame(path, columns, **options))

    def rows(self, path: str = "t", **options: Any) -> list[dict[str, Any]]:
        return sorted(self.read(path, **options).to_pylist(), key=repr)

    def version(self, path: str = "t", **options: Any) -> str | None:
        source = self.source(path, **options)
        version: str | None = source.format.version(source)  # type: ignore[union-attr]
        return version


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with connect_server(jars=[*had(), *had("s3a")], conf=DELTA) as server:
        session = server.session()
        yield session
        session.stop()


@pytest.fixture
def sides(spark: Any, tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    """delta-rs and Spark."""
    lake = LocalStorage(base_path=str(tmp_path / "a lake"))
    engine = SparkEngine(spark_session=spark)
    yield Side("delta-rs", PandasDeltaFormat, ArrowEngine(), lake), Side("spark", SparkDeltaFormat, engine, lake)
    lake.close()


@pytest.fixture(params=["delta-rs first", "spark first"])
def ordered(request: pytest.FixtureRequest, sides: tuple[Side, Side]) -> Sequence[Side]:
    """The one that begins, and the other."""
    return sides if request.param == "delta-rs first" else sides[::-1]


MOMENT = dt.datetime(2026, 1, 31, 12, 0, 0, 123456)
TYPES = pa.table(
    {
        "i8": pa.array([1, None], pa.int8()),
        "i16": pa.array([-3, None], pa.int16()),
        "i32": pa.array([2**31 - 1, None], pa.int32()),
        "i64": pa.array([-(2**63), None], pa.int64()),
        "f32": pa.array([1.5, None], pa.float32()),
        "f64": pa.array([float("inf"), None], pa.float64()),
        "yes": pa.array([True, None]),
        "text": pa.array(["é\n'\"\\ %20", None]),
        "bytes": pa.array([b"\x00\xff", None]),
        "day": pa.array([dt.date(1969, 12, 31), None]),
        "money": pa.array([Decimal("12345678901234567.89"), None], pa.decimal128(19, 2)),
        "huge": pa.array([Decimal("9" * 38), None], pa.decimal128(38, 0)),
        "here": pa.array([MOMENT, None], pa.timestamp("us")),
        "there": pa.array([MOMENT.replace(tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
        "list": pa.array([[1, None], None], pa.list_(pa.int64())),
        "map": pa.array([[("a", 1.5)], None], pa.map_(pa.string(), pa.float64())),
        "inner": pa.array(
            [{"a": 1, "b": [{"c": "x"}]}, None],
            pa.struct([("a", pa.int32()), ("b", pa.list_(pa.struct([("c", pa.string())])))]),
        ),
    }
)


def plain(kind: pa.DataType) -> Any:
    """A type without names of items and notes on nulls, which mean nothing."""
    if pa.types.is_list(kind):
        return ["list", plain(kind.value_type)]
    if pa.types.is_map(kind):
        return ["map", plain(kind.key_type), plain(kind.item_type)]
    if pa.types.is_struct(kind):
        return ["struct", *((field.name, plain(field.type)) for field in kind)]
    return str(kind)


def types(table: pa.Table) -> list[tuple[str, Any]]:
    return [(field.name, plain(field.type)) for field in table.schema]


# --- rows and types ---------------------------------------------------------------------------------------------------


def test_the_other_reads_rows_and_types(ordered: Sequence[Side]) -> None:
    first, second = ordered
    assert first.write(TYPES).rows == 2
    for side in ordered:
        assert types(side.read()) == types(TYPES)
        assert side.rows() == sorted(TYPES.to_pylist(), key=repr)
    assert second.write(TYPES, "append").rows == 2
    for side in ordered:
        assert types(side.read()) == types(TYPES)
        assert side.rows() == sorted(TYPES.to_pylist() * 2, key=repr)
    assert second.read(columns=("there", "i8")).column_names == ["there", "i8"]


@pytest.mark.parametrize("column", ["id", "day", "here", "there", "name"])
def test_rows_between_two_values(ordered: Sequence[Side], column: str) -> None:
    """Whoever wrote the files, and what the log says of them: moments in whole milliseconds, for one."""
    count = 6
    moments = [MOMENT + dt.timedelta(microseconds=300 * at) for at in range(count)]
    rows = pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "day": [dt.date(2026, 1, 1 + at) for at in range(count)],
            "here": pa.array(moments, pa.timestamp("us")),
            "there": pa.array([each.replace(tzinfo=dt.UTC) for each in moments], pa.timestamp("us", "UTC")),
            "name": [f"{'long ' * 20}{at:02}" for at in range(count)],
        }
    )
    for at in range(0, count, 2):
        ordered[0].write(rows.slice(at, 2), "append", part=f"p{at}")
    values = rows[column].to_pylist()
    pandas = PandasEngine()
    for side in ordered:
        engine: Any = pandas if side.name == "delta-rs" else side.engine
        for above, upto in ((1, 4), (0, 5), (5, 5)):
            bound = Bound(column, values[above], values[upto])
            frame = engine.read(attrs.evolve(side.source(), after=bound))
            found = engine.to_arrow(frame)
            assert sorted(found["id"].to_pylist()) == list(range(above + 1, upto + 1)), f"{side}, {bound}"
            assert engine.newest(frame, column) == (values[upto] if above < upto else None)
    pandas.close()


def test_partitions_of_any_value(ordered: Sequence[Side]) -> None:
    first, second = ordered
    values = ["a b", "a%20b", "x/y", "k=v", "é:?#", "'\"", " ", "\\", None]
    table = pa.table(
        {
            "text": values,
            "day": [dt.date(2026, 1, 31)] * 8 + [None],
            "n": pa.array([*range(8), None], pa.int32()),
            "v": pa.array(range(9), pa.int64()),
        }
    )
    first.write(table, by=("text", "day", "n"))
    assert second.write(table, "append").rows == 9
    for side in ordered:
        assert types(side.read()) == types(table)
        assert side.rows() == sorted(table.to_pylist() * 2, key=repr)
    assert Table(first.lake, "t").detail().partition_by == ("text", "day", "n")


def test_an_empty_frame_makes_a_table_with_its_columns(ordered: Sequence[Side]) -> None:
    first, second = ordered
    assert first.write(TYPES.slice(0, 0)).rows == 0
    for side in ordered:
        assert types(side.read()) == types(TYPES)
        assert side.rows() == []
    assert second.write(TYPES.slice(0, 0), "append", part="more").rows == 0


# --- modes ------------------------------------------------------------------------------------------------------------

THERE = {"id": [1, 2], "v": ["a", "b"]}
COMING = {"id": [2, 3], "v": ["B", "C"]}
AFTER = {
    "overwrite": [(2, "B"), (3, "C")],
    "append": [(1, "a"), (2, "B"), (2, "b"), (3, "C")],
    "append_once": [(1, "a"), (2, "b"), (3, "C")],
    "upsert": [(1, "a"), (2, "B"), (3, "C")],
    "ignore": [(1, "a"), (2, "b")],
}
WRITTEN = {"overwrite": 2, "append": 2, "append_once": 1, "upsert": 2, "ignore": 0}


@pytest.mark.parametrize("mode", AFTER)
def test_modes_mean_the_same(ordered: Sequence[Side], mode: str) -> None:
    first, second = ordered
    keys = ("id",) if mode in ("append_once", "upsert") else ()
    begun = first.write(THERE, mode, keys=keys)
    assert (begun.rows, begun.skipped) == (2, False)
    assert begun.bytes
    assert begun.version == first.version() == second.version()
    done = second.write(COMING, mode, keys=keys, part="q")
    assert (done.rows, done.skipped) == (WRITTEN[mode], mode == "ignore")
    assert done.version == first.version() == second.version()
    for side in ordered:
        assert sorted((row["id"], row["v"]) for row in side.rows()) == AFTER[mode]
    again = second.write(COMING, mode, keys=keys, part="q")
    assert again.skipped == (mode in ("append", "append_once", "ignore"))


def test_a_part_that_one_engine_appended_is_none_for_the_other(ordered: Sequence[Side]) -> None:
    first, second = ordered
    first.write(THERE, "append", part="2026-01-31/é")
    again = second.write(COMING, "append", part="2026-01-31/é")
    assert again.skipped
    assert again.version == first.version()
    assert second.write(COMING, "append", part="other").rows == 2
    assert first.write(COMING, "append", part="other").skipped
    assert len(first.rows()) == 4


def test_columns_may_come_and_go(ordered: Sequence[Side]) -> None:
    first, second = ordered
    first.write(THERE)
    second.write({"id": [3], "w": [1.5]}, "append", schema_mode="merge")
    for side in ordered:
        assert side.rows()[-1] == {"id": 3, "v": None, "w": 1.5}
    first.write({"id": [3, 4], "v": ["x", "y"], "z": [True, False]}, "upsert", keys=("id",), schema_mode="merge")
    second.write({"id": [4, 5], "v": ["Y", "Z"], "q": [1, 2]}, "upsert", keys=("id",), schema_mode="merge")
    for side in ordered:
        assert side.read().column_names == ["id", "v", "w", "z", "q"]
        assert side.rows()[-2:] == [
            {"id": 4, "v": "Y", "w": None, "z": False, "q": 1},
            {"id": 5, "v": "Z", "w": None, "z": None, "q": 2},
        ]
    second.write({"other": ["x"], "year": [2026]}, schema_mode="overwrite", by=("year",))
    for side in ordered:
        assert side.rows() == [{"other": "x", "year": 2026}]
    assert Table(first.lake, "t").detail().partition_by == ("year",)


def test_types_are_made_to_fit_where_nothing_is_lost(sides: tuple[Side, Side]) -> None:
    schema = pa.schema(
        [("n", pa.int32()), ("f", pa.float32()), ("d", pa.decimal128(10, 2)), ("l", pa.list_(pa.int64()))]
    )
    for side in sides:
        path = side.name
        side.write(schema.empty_table(), path=path)
        wide = {
            "n": pa.array([7], pa.int64()),
            "f": pa.array([0.5], pa.float64()),
            "d": pa.array([12], pa.int64()),
            "l": pa.array([[1]], pa.list_(pa.int32())),
        }
        side.write(wide, "append", path=path)
        assert side.rows(path) == [{"n": 7, "f": 0.5, "d": Decimal("12.00"), "l": [1]}]
        assert types(side.read(path)) == types(schema.empty_table())


# --- the past ---------------------------------------------------------------------------------------------------------


def test_versions_changes_and_history_agree(ordered: Sequence[Side]) -> None:
    first, second = ordered
    configuration = {"delta.enableChangeDataFeed": True}
    first.write(THERE, configuration=configuration)
    second.write(COMING, "upsert", keys=("id",))
    first.write({"id": [3, 4], "v": ["c", "d"]}, "upsert", keys=("id",))
    second.write({"id": [9], "v": ["z"]}, "append")
    entries = Table(first.lake, "t").history()
    assert [entry.version for entry in entries] == [3, 2, 1, 0]
    assert all(entry.changes_data for entry in entries)
    one, other = ordered
    for entry in entries:
        at = entry.committed.isoformat()
        assert one.rows(version=entry.version) == other.rows(version=entry.version)
        assert one.rows(timestamp=at) == other.rows(timestamp=at) == one.rows(version=entry.version)
        assert one.version(version=entry.version) == other.version(version=entry.version)
    feeds = [
        {"starting_version": 0},
        {"starting_version": 1, "ending_version": 2},
        {"starting_timestamp": entries[1].committed.isoformat()},
    ]
    for feed in feeds:
        changes = [side.read(change_data_feed=True, **feed) for side in ordered]
        assert types(changes[0]) == types(changes[1])
        # A merge says of rows that it did not change what it likes, which both leave out.
        kept = [sorted(table.drop(["_commit_timestamp"]).to_pylist(), key=repr) for table in changes]
        assert kept[0] == kept[1]
        assert kept[0]
        assert one.version(change_data_feed=True, **feed) == other.version(change_data_feed=True, **feed)


def test_a_frame_stays_what_it_was(sides: tuple[Side, Side]) -> None:
    rs, spark = sides
    rs.write(THERE)
    frame = spark.frame()
    rs.write(COMING)
    assert sorted(spark.engine.to_arrow(frame).to_pydict()["id"]) == [1, 2]
    spark.write(THERE, "append")
    assert sorted(spark.engine.to_arrow(frame).to_pydict()["id"]) == [1, 2]


def test_a_table_may_be_replaced_by_what_was_made_of_it(sides: tuple[Side, Side]) -> None:
    _, spark = sides
    spark.write(THERE)
    target = Target(spark.lake, "lake", SparkDeltaFormat(), "delta", "p", "t")
    frame = spark.frame().where("id > 1")
    assert target.format.write(frame, target, spark.engine).rows == 1  # type: ignore[union-attr]
    assert spark.rows() == [{"id": 2, "v": "b"}]


def test_looking_after_a_table_that_spark_wrote(sides: tuple[Side, Side]) -> None:
    rs, spark = sides
    for number in range(3):
        spark.write({"id": [number], "v": [str(number)]}, "append", part=str(number))
    table = Table(spark.lake, "t")
    before = spark.version()
    assert table.optimize(["id"]).removed >= 3
    assert spark.version() == before
    assert len(spark.rows()) == 3
    assert table.restore(version=0) == 4
    assert spark.rows() == rs.rows() == [{"id": 0, "v": "0"}]
    assert table.vacuum().paths == ()
    assert table.vacuum(0, force=True).paths
    assert [entry.operation for entry in table.history()] == ["RESTORE", "OPTIMIZE", "WRITE", "WRITE", "WRITE"]


def test_spark_looks_after_a_table(sides: tuple[Side, Side]) -> None:
    rs, spark = sides
    rs.write({"id": [1], "v": ["a"]})
    options = {
        "configuration": {"delta.appendOnly": False, "shop.owner": "it's \\ me"},
        "description": "Who 'is' there",
    }
    spark.write(
        {"id": [2], "v": ["b"]}, "append", optimize=("id",), vacuum_hours=168, target_file_size=1 << 20, **options
    )
    spark.write({"id": [2], "v": ["b"]}, path="new", **options)
    for path in ("t", "new"):
        detail = Table(rs.lake, path).detail()
        assert detail.description == "Who 'is' there"
        assert detail.properties["shop.owner"] == "it's \\ me"
        assert detail.properties["delta.appendOnly"] == "false"
        assert detail.files == 1
    assert rs.rows() == [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]
    assert "OPTIMIZE" in [entry.operation for entry in Table(rs.lake, "t").history()]


# --- mistakes ---------------------------------------------------------------------------------------------------------

DEEP = pa.table({"id": [1], "v": pa.array([[1]], pa.list_(pa.int64()))})
MISTAKES: dict[str, tuple[Any, dict[str, Any]]] = {
    "there already": (THERE, {"mode": "error"}),
    "no keys": (THERE, {"mode": "upsert"}),
    "no such key": (THERE, {"mode": "upsert", "keys": ("idd",)}),
    "a null key": ({"id": [None, 1], "v": ["a", "b"]}, {"mode": "append_once", "keys": ("id",)}),
    "a key twice": ({"id": [1, 1, 2, 2], "v": ["a", "b", "c", "d"]}, {"mode": "upsert", "keys": ("id",)}),
    "two keys twice": ({"id": [1, 1], "v": ["a", "a"]}, {"mode": "upsert", "keys": ("id", "v")}),
    "a list as key": (DEEP, {"mode": "upsert", "keys": ("v",), "path": "new"}),
    "other columns": ({"id": [1], "w": [1.5]}, {"mode": "append"}),
    "other types": ({"id": ["x"], "v": ["y"]}, {"mode": "append"}),
    "too large": ({"id": [2**40], "v": ["y"]}, {"mode": "append", "path": "narrow"}),
    "a fraction": ({"id": [1.5], "v": ["y"]}, {"mode": "upsert", "keys": ("v",), "path": "narrow"}),
    "other partitions": (THERE, {"mode": "append", "by": ("v",)}),
    "no such partition": (THERE, {"by": ("vv",), "path": "new"}),
    "nothing but partitions": (THERE, {"by": ("id", "v"), "path": "new"}),
    "an empty partition": ({"id": [1], "v": [""]}, {"by": ("v",), "path": "new"}),
    "too many partitions": ({"id": range(10_001), "v": ["a"] * 10_001}, {"by": ("id",), "path": "new"}),
    "replaced columns of kept rows": (THERE, {"mode": "append", "schema_mode": "overwrite"}),
    "no type": (pa.table({"id": [1], "v": pa.nulls(1)}), {"path": "new"}),
    "a duration": (pa.table({"id": [dt.timedelta(1)]}), {"path": "new"}),
    "no such column to sort by": (THERE, {"optimize": ("idd",)}),
    "beside files": (THERE, {"mode": "append", "path": "files"}),
    "a property": (THERE, {"configuration": {"delta.nonsense": "x"}}),
    "a property of a new table": (THERE, {"path": "new", "configuration": {"delta.nonsense": "x"}}),
    "append only": (THERE, {"path": "grows"}),
}


def mistake(side: Side, case: str) -> OdibiError:
    rows, more = MISTAKES[case]
    with pytest.raises(OdibiError) as caught:
        side.write(rows if isinstance(rows, pa.Table) else {name: list(each) for name, each in rows.items()}, **more)
    return caught.value


def test_the_same_mistakes_are_the_same_errors(sides: tuple[Side, Side]) -> None:
    rs, spark = sides
    rs.write(THERE)
    rs.write({"id": pa.array([1], pa.int32()), "v": ["a"]}, path="narrow")
    rs.write(THERE, path="grows", configuration={"delta.appendOnly": True})
    rs.lake.write("files/orders.csv", b"id\n1\n")
    differ = {}
    for case in MISTAKES:
        one, other = mistake(rs, case), mistake(spark, case)
        if (type(one), str(one)) != (type(other), str(other)):
            differ[case] = f"\n  {type(one).__name__}: {one}\n  {type(other).__name__}: {other}"
    assert not differ, "".join(f"\n{case}:{text}" for case, text in differ.items())
    for path in ("t", "narrow", "grows"):
        assert len(Table(rs.lake, path).history()) == 1, path


@pytest.mark.parametrize("path", ["t", "new"])
@pytest.mark.parametrize("property_", ["delta.appendOnly", "delta.deletedFileRetentionDuration"])
def test_spark_refuses_a_value_that_a_property_cannot_have(sides: tuple[Side, Side], path: str, property_: str) -> None:
    rs, spark = sides
    rs.write(THERE)
    with pytest.raises(DataError) as caught:
        spark.write(THERE, path=path, configuration={property_: "soon"})
    assert f"the table cannot have the property {property_!r}" in str(caught.value)


def test_a_name_that_spark_cannot_have(sides: tuple[Side, Side]) -> None:
    with pytest.raises(DataError, match="has a character that Delta on Spark does not take"):
        sides[1].write({"a b": [1]})


def test_an_error_of_the_frame_is_told_as_one(sides: tuple[Side, Side]) -> None:
    _, spark = sides
    target = Target(spark.lake, "lake", SparkDeltaFormat(), "delta", "p", "t")
    frame = spark.engine.native.sql("SELECT 1 / (id - id) AS x FROM range(3)")
    with pytest.raises(TransformError, match="Division by zero"):
        target.format.write(frame, target, spark.engine)  # type: ignore[union-attr]
    assert spark.version() is None


READS: list[dict[str, Any]] = [
    {"path": "nothing"},
    {"path": "files"},
    {"path": "files/orders.csv"},
    {"version": 7},
    {"timestamp": "2001-01-01"},
    {"columns": ("idd",)},
    {"change_data_feed": True, "starting_version": 5},
    {"change_data_feed": True, "starting_timestamp": "2999-01-01"},
    {"change_data_feed": True, "starting_version": 0},
]


def test_what_cannot_be_read_is_the_same_error(sides: tuple[Side, Side]) -> None:
    rs, spark = sides
    rs.write(THERE)
    rs.lake.write("files/orders.csv", b"id\n1\n")
    for wanted in READS:
        with pytest.raises(OdibiError) as one:
            rs.read(**wanted)
        with pytest.raises(OdibiError) as other:
            spark.read(**wanted)
        assert (type(one.value), str(one.value)) == (type(other.value), str(other.value))
    for side in sides:
        assert side.version("nothing") is None
        assert side.version(version=7) is None


def test_rows_that_break_a_constraint(sides: tuple[Side, Side], spark: Any) -> None:
    rs, other = sides
    rs.write({"id": [1], "v": ["a"]})
    address = rs.lake.uri("t").replace("%20", " ")
    spark.sql(f"ALTER TABLE delta.`{address}` ADD CONSTRAINT positive CHECK (id > 0)").collect()
    for side in sides:
        with pytest.raises(DataError, match="break a constraint of the table"):
            side.write({"id": [-1], "v": ["secret"]}, "append")
    with pytest.raises(DataError) as caught:
        other.write({"id": [-1], "v": ["secret"]}, "upsert", keys=("id",))
    assert "secret" not in str(caught.value)
    assert rs.rows() == [{"id": 1, "v": "a"}]


def test_a_damaged_log_is_told(sides: tuple[Side, Side]) -> None:
    _, spark = sides
    spark.write(THERE)
    spark.lake.write("t/_delta_log/00000000000000000000.json", b"{nonsense")
    with pytest.raises(DataError, match="damaged") as caught:
        spark.write(COMING, "append", part="q")
    assert "Exception" not in str(caught.value)


# --- writers side by side ---------------------------------------------------------------------------------------------


def test_writers_of_both_engines_lose_nothing(sides: tuple[Side, Side]) -> None:
    rs, spark = sides
    rs.write({"id": [0], "v": ["start"]})

    def upserts(side: Side, numbers: Sequence[int]) -> None:
        for number in numbers:
            side.write({"id": [0, number], "v": [side.name, side.name]}, "upsert", keys=("id",), part=str(number))

    def appends(side: Side, numbers: Sequence[int]) -> None:
        for number in numbers:
            side.write({"id": [number], "v": [side.name]}, "append", part=str(number))

    jobs = [
        (upserts, spark, range(100, 104)),
        (upserts, rs, range(200, 215)),
        (appends, spark, range(300, 304)),
        (appends, rs, range(400, 415)),
    ]
    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(*job) for job in jobs]:
            done.result()
    expected = [0, *range(100, 104), *range(200, 215), *range(300, 304), *range(400, 415)]
    for side in sides:
        assert sorted(row["id"] for row in side.rows()) == expected
    assert [entry.version for entry in Table(rs.lake, "t").history()] == list(range(38, -1, -1))


def test_only_one_makes_a_table(sides: tuple[Side, Side]) -> None:
    def make(side: Side) -> bool:
        return not side.write({"id": [1], "who": [side.name]}, "ignore").skipped

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, [*sides, *sides]))
    assert made.count(True) == 1
    assert len(sides[0].rows()) == 1
    assert len(Table(sides[0].lake, "t").history()) == 1


# --- object stores ----------------------------------------------------------------------------------------------------


def test_each_write_takes_the_keys_of_its_connection(spark: Any, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("moto")
    storages = pytest.importorskip("odibi_s3.storage")
    from s3_servers import moto_server

    with moto_server() as server:
        lake = storages.S3Storage(
            bucket=server.make_bucket("odibi-delta-engines"),
            prefix="some where/é",
            endpoint=server.endpoint,
            region="us-east-1",
            access_key_id=server.key,
            secret_access_key=server.secret,
        )
        rs = Side("delta-rs", PandasDeltaFormat, ArrowEngine(), lake)
        other = Side("spark", SparkDeltaFormat, SparkEngine(spark_session=spark), lake)
        assert other.write(THERE).rows == 2
        assert rs.write({"id": [5], "v": ["e"]}, "append").rows == 1
        assert other.write({"id": [5], "v": ["e"]}, "append").skipped
        done = other.write(
            COMING, "upsert", keys=("id",), configuration={"shop.owner": "me"}, optimize=True, schema_mode="merge"
        )
        assert done.version == rs.version() == other.version()
        assert rs.rows() == other.rows()
        assert [row["v"] for row in rs.rows()] == ["a", "B", "C", "e"]
        assert "let nothing but this Spark write" in caplog.text
        lake.close()
    said = json.dumps(dict(spark.conf.getAll))
    assert server.secret not in said + caplog.text


# --- classic sessions, in processes of their own ----------------------------------------------------------------------

PROJECT = """
project: shop
engine: spark
engines:
  spark:
    master: "local[2]"
    jars: [JARS]
    conf:
      spark.driver.memory: 1g
      spark.driver.extraJavaOptions: "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
      spark.sql.shuffle.partitions: 2
      spark.databricks.delta.snapshotPartitions: 2
connections:
  lake: {type: local, base_path: ./lake}
cache: {type: disk, path: ./.odibi/cache}
checkpoints: {type: sqlite, path: ./.odibi/runs.db}
pipelines:
  - pipeline: shop
    nodes:
      - name: orders
        engine: pandas
        read: {connection: lake, path: in/orders.csv}
        write: {connection: lake, path: bronze/orders, format: delta, mode: append}
      - name: totals
        read: {connection: lake, path: bronze/orders, format: delta}
        depends_on: [orders]
        transform:
          steps:
            - sql: SELECT customer, CAST(SUM(amount) AS DOUBLE) AS total FROM df GROUP BY customer
        write:
          connection: lake
          path: gold/totals
          format: delta
          mode: upsert
          keys: [customer]
          options: {configuration: {shop.owner: me}, optimize: [customer]}
      - name: log
        read: {connection: lake, path: bronze/orders, format: delta}
        depends_on: [orders]
        write: {connection: lake, path: gold/log, format: delta, mode: append, partition_by: [customer]}
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    return subprocess.run(
        [sys.executable, "-m", "odibi", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_project_on_a_session_that_is_started_for_it(tmp_path: Path) -> None:
    from deltalake import DeltaTable

    option = ", ".join(as_option(had()).split(","))
    (tmp_path / "odibi.yaml").write_text(PROJECT.replace("JARS", option))
    (tmp_path / "lake/in").mkdir(parents=True)
    (tmp_path / "lake/in/orders.csv").write_text("id,customer,amount\n1,ann,2.5\n2,bob,3.0\n3,ann,1.0\n")
    done = run(tmp_path, "run", "--json")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr

    def rows(path: str) -> list[dict[str, Any]]:
        return sorted(DeltaTable(str(tmp_path / "lake" / path)).to_pyarrow_table().to_pylist(), key=repr)

    assert rows("gold/totals") == [{"customer": "ann", "total": 3.5}, {"customer": "bob", "total": 3.0}]
    assert len(rows("gold/log")) == 3
    # Nothing has changed: the tables' versions are found without a session.
    again = run(tmp_path, "run", "--json")
    assert again.returncode == 0, again.stderr
    states = {
        node["node"]: node["state"]
        for each in json.loads(again.stdout.splitlines()[-1])["runs"]
        for node in each["nodes"]
    }
    assert states == {"orders": "reused", "totals": "reused", "log": "reused"}
    assert "starting Spark" not in again.stderr
    (tmp_path / "lake/in/orders.csv").write_text("id,customer,amount\n4,bob,1.0\n5,cid,7.0\n")
    more = run(tmp_path, "run", "--json")
    assert more.returncode == 0, more.stderr
    totals = rows("gold/totals")
    assert [(row["customer"], row["total"]) for row in totals] == [("ann", 3.5), ("bob", 4.0), ("cid", 7.0)]
    history = Table(LocalStorage(base_path=str(tmp_path / "lake")), "gold/totals").history()
    assert "MERGE" in [entry.operation for entry in history]


PLAIN = """
import attrs
from pyspark.sql import SparkSession
from odibi.contracts.format import Source, Target
from odibi.errors import PluginBroken
from odibi_delta.pandas_format import PandasDeltaFormat
from odibi_delta.spark_format import SparkDeltaFormat
from odibi_local.storage import LocalStorage
from odibi_pandas.engine import PandasEngine
from odibi_spark.engine import SparkEngine
import attrs
import pyarrow as pa

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config(
    "spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate()
engine = SparkEngine(spark_session=spark)
lake = LocalStorage(base_path="lake")
class Arrow:
    def to_arrow(self, frame): return frame
target = Target(lake, "lake", PandasDeltaFormat(), "delta", "p", "t")
target.format.write(pa.table({"id": [1]}), target, Arrow())
for act in ("read", "write"):
    try:
        if act == "read":
            SparkDeltaFormat().read(Source(lake, "lake", SparkDeltaFormat(), "delta", "t"), engine)
        else:
            SparkDeltaFormat().write(spark.range(1), attrs.evolve(target, format=SparkDeltaFormat()), engine)
    except PluginBroken as error:
        print(act, error)
spark.stop()
"""


def test_a_session_without_delta_is_told_what_it_lacks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PLAIN],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout.splitlines()
    assert [line.split()[0] for line in said] == ["read", "write"], done.stderr
    for line in said:
        assert "cannot read or write Delta tables" in line
        assert "spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension" in line
