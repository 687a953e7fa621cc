"""CSV files that grow: what is read of their tail alone is what is read of the whole, or the whole is read."""

from __future__ import annotations

import gzip
import io
import json
import logging
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import attrs
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from odibi.contracts import Bound
from odibi.errors import DataError
from odibi.testing.engine_bounds import BoundPromises
from odibi_pandas.engine import PandasEngine
from odibi_pandas.formats.csv import CsvFormat
from odibi_pandas.formats.parquet import ParquetFormat
from odibi_pandas.inference import Rules, is_by_value

CSV = CsvFormat()
PATH = "in/a.csv"
HEAD = "id,a,b"

NUMBERS = ("0", "1", "-7", "1.5", "1e3", "007", "-0", "+5", "0x1F", "9999999999999999", "12345678901234567890", "inf",
           "nan", "NaN", "1e999", " 5", '" 5"', '"1,234"', '"1,5"', '"1"')  # fmt: skip
MOMENTS = ("2024-01-01", "1500-01-01", "2024-01-01T10:00:00", "2024-01-01 10:00:00.123456789", "2024-01-01T10:00:00Z",
           "2024-01-01T10:00:00+02:00", "1500-01-01T00:00:00Z", "01.02.2024", " 2024-01-01")  # fmt: skip
WORDS = (
    "true",
    "False",
    "yes",
    "x",
    "é",
    '"x"',
    '"a\nb"',
    '"a\r\nb"',
    '"a""b"',
    '"a,b"',
    'a"b',
    "\ufeff",
    " ",
    '" NA "',
)
NOTHING = ("", '""', "NA", "null", '"NA"')

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"trim": True},
    {"infer_types": False},
    {"thousands": ","},
    {"thousands": ",", "decimal": ","},
    {"decimal": ","},
    {"null_values": ("x", "NA")},
    {"null_values": ("1", "x")},
    {"true_values": ("yes",), "false_values": ("x",)},
    {"true_values": (" ",)},
    {"dates": False},
    {"dates": ("a",)},
    {"dates": ("a",), "date_format": "%Y-%m-%d"},
    {"dtypes": {"a": "float", "b": "str"}},
    {"dtypes": {"a": "datetime"}},
    {"dtypes": {"b": "bool"}},
    {"columns": ("id",)},
    {"columns": ("b", "id")},
    {"column_names": ("k", "id", "n")},
    {"union_by_name": True},
    {"delimiter": "auto"},
    {"header": 0},
    {"header": False, "column_names": ("id", "a", "b")},
    {"max_rows": 3},
    {"comment": "x"},
    {"on_bad_lines": "skip"},
)


def put(lake: Any, text: str | bytes, path: str = PATH) -> None:
    lake.storage.write(path, text.encode() if isinstance(text, str) else text)


def from_mark(lake: Any, above: Any, mark: Any, format_: Any = CSV, path: str = PATH, **more: Any) -> tuple[Any, Any]:
    """What is read with a mark that was kept as JSON: a table, and the next mark."""
    source = lake.source(path, format_, after=Bound("id", above, **more))
    frame, mark = lake.engine.read_from(source, json.loads(json.dumps(mark)))
    return lake.engine.to_arrow(frame), mark


def whole(lake: Any, above: Any, format_: Any = CSV, path: str = PATH, **more: Any) -> Any:
    return lake.engine.to_arrow(lake.read(path, format_, after=Bound("id", above, **more)))


def tried(read: Callable[[], Any], otherwise: Any = None) -> tuple[Any, str]:
    """What is read, or why it cannot be."""
    try:
        return read(), ""
    except DataError as error:
        return otherwise, str(error)


def rows(ids: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Records with their ends."""
    cell = st.one_of(*map(st.sampled_from, (NUMBERS, MOMENTS, WORDS, NOTHING)))
    end = st.sampled_from(("\n", "\n", "\n", "\r\n", "\r", "\n\n"))
    alike = st.tuples(st.sampled_from((NUMBERS, MOMENTS, WORDS, NOTHING)), st.sampled_from((NUMBERS, WORDS))).flatmap(
        lambda pools: st.lists(
            st.builds("{},{},{}{}".format, ids, st.sampled_from(pools[0]), st.sampled_from(pools[1]), end), max_size=4
        )
    )
    few = st.sampled_from(NUMBERS[:3])  # columns of one type, as they are most often
    plain = st.lists(st.builds("{},{},{}{}".format, ids, few, few, st.just("\n")), max_size=4)
    mixed = st.lists(st.builds("{},{},{}{}".format, ids, cell, cell, end), max_size=3)
    return st.one_of(plain, alike, mixed).map("".join)


NUMBERED = rows(st.integers(-5, 60).map(str))
ANY = rows(st.one_of(st.integers(-5, 60).map(str), st.sampled_from(("", "NA", "1.5", "x"))))


@given(
    options=st.sampled_from(OPTIONS),
    start=st.sampled_from((f"{HEAD}\n", f"{HEAD}\r\n", f"\ufeff{HEAD}\n", '"id",a,"b"\n', f"\n{HEAD}\n", "id\n")),
    parts=st.lists(st.one_of(NUMBERED, NUMBERED, ANY), min_size=2, max_size=4),
    change=st.one_of(st.none(), st.none(), st.tuples(st.integers(0, 200), st.sampled_from(b'1x,\n"'))),
)
@example(options={}, start=f"{HEAD}\n", parts=["1,1,1\n", "\ufeff2,1,1\n"], change=None)
@example(options={}, start=f"{HEAD}\n", parts=["1,1,1\r", "\n2,1,1\n"], change=None)
@example(options={"columns": ("id",)}, start=f"{HEAD}\n", parts=['1,a"b,"c\n', '2,1,x"\n'], change=None)
@example(options={}, start=f"{HEAD}\n", parts=["1,,NA\n", "2,1,1\n"], change=None)
@example(options={}, start=f"{HEAD}\n", parts=["1,1,1\n", "2,1.5,1\n", "3,x,2024-01-01\n"], change=None)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_tail_gives_what_the_whole_gives(
    lake: Any, options: dict[str, Any], start: str, parts: list[str], change: tuple[int, int] | None
) -> None:
    """Rows, order, types and errors; whatever comes, wherever it is cut, and if a byte of before is another."""
    format_ = CsvFormat(**options)
    text, above, mark = start.encode(), None, None
    for at, part in enumerate(parts):
        text += part.encode()
        if at == len(parts) - 1 and change is not None:
            place = change[0] % len(text)
            text = text[:place] + bytes([change[1]]) + text[place + 1 :]
        put(lake, text)
        expected, refused = tried(partial(whole, lake, above, format_))
        (found, mark), said = tried(partial(from_mark, lake, above, mark, format_), (None, None))
        assert said == refused
        if refused:
            return
        assert found.equals(expected)
        newest = lake.engine.newest(lake.engine.from_arrow(expected), "id")
        above = newest if newest is not None else above


def test_the_rows_beside_which_a_row_is_converted_do_not_matter(lake: Any) -> None:
    """Here the whole converts the last old rows, which have to be cleaned, together with the new ones."""
    text = f"{HEAD}\n" + "".join(f"{at},{at}.5,2024-01-0{at % 9 + 1}\n" for at in range(70_000)) + "70000, 1 ,NA\n"
    put(lake, text)
    mark = from_mark(lake, None, None)[1]
    put(lake, text + '70001,"NA"," 2024-01-01 "\n70002,nan,2024-02-01\n70003,"2",\n')
    found, _ = from_mark(lake, 70_000, mark)
    assert found.equals(whole(lake, 70_000))
    assert found["a"].to_pylist() == [None, None, 2.0]


OLD = f"{HEAD}\n" + "".join(f"{at},{at / 4},text {at}\n" for at in range(100))
NEW = "100,5.5,one\n101,6,two\n"


@pytest.fixture
def marked(lake: Any, caplog: pytest.LogCaptureFixture) -> Any:
    """The mark of ``OLD``."""
    caplog.set_level(logging.DEBUG, "odibi_pandas")
    put(lake, OLD)
    return from_mark(lake, None, None)[1]


def is_tail(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether the last read was of a tail alone."""
    return "only grew since" in caplog.messages[-1]


def test_what_was_appended_is_read_alone(lake: Any, marked: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Again and again, also if nothing was; a repeated read of some of it goes on from the same mark."""
    put(lake, OLD + NEW)
    found, mark = from_mark(lake, 99, marked)
    assert is_tail(caplog)
    assert found.to_pylist() == [{"id": 100, "a": 5.5, "b": "one"}, {"id": 101, "a": 6.0, "b": "two"}]
    found, again = from_mark(lake, 101, mark)
    assert is_tail(caplog)
    assert (found.num_rows, found.schema, again) == (0, whole(lake, 101).schema, mark)
    put(lake, OLD + NEW + "102,7,three\n")
    assert from_mark(lake, 101, mark)[0]["id"].to_pylist() == [102]
    assert is_tail(caplog)
    assert from_mark(lake, 99, marked, upto=100)[0]["id"].to_pylist() == [100]
    assert is_tail(caplog)


@pytest.mark.parametrize(
    "text",
    [
        OLD.replace("\n50,12.5", "\n99,12.5") + NEW,
        OLD.replace("\n50,12.5", "\n500,1.5") + NEW,  # of the same size, in the middle, and newer now
        OLD.replace("a,b", "b,a") + NEW,
        OLD[:-1] + " " + NEW,
        OLD[: len(OLD) // 2],
        f"{HEAD}\n" + NEW,
        OLD + "100,x,one\n",
        OLD + "\ufeff100,1,one\n",
    ],
    ids=["middle", "same size", "header", "end", "shrunk", "replaced", "types", "byte order mark"],
)
def test_what_did_not_only_grow_is_read_whole(
    lake: Any, marked: Any, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    put(lake, text)
    expected, refused = tried(lambda: whole(lake, 99))
    (found, _), said = tried(lambda: from_mark(lake, 99, marked), (None, None))
    assert said == refused
    assert refused or found.equals(expected)
    assert "did not only grow" in caplog.messages[-1]


@pytest.mark.parametrize("said", [{}, [], "x", 5, {"size": 3}, {"size": -1, "types": None}])
def test_a_mark_that_is_none(lake: Any, marked: Any, said: Any) -> None:
    put(lake, OLD + NEW)
    for other in (said, {**marked, "size": True}, {**marked, "types": {"id": 1}}, {**marked, "way": "x"}):
        assert from_mark(lake, 99, other)[0].equals(whole(lake, 99))


def test_other_options_and_columns_than_before(lake: Any, marked: Any, caplog: pytest.LogCaptureFixture) -> None:
    """By other options an old row may have another value, and of another column nobody knows the type."""
    put(lake, OLD + NEW)
    for format_ in (attrs.evolve(CSV, null_values=("7",)), attrs.evolve(CSV, dtypes={"a": "str"})):
        assert from_mark(lake, 99, marked, format_)[0].equals(whole(lake, 99, format_))
        assert not is_tail(caplog)
    put(lake, OLD + "x,1,y\n")
    _, mark = from_mark(lake, None, None, attrs.evolve(CSV, null_values=("x",)))
    assert mark is not None
    with pytest.raises(DataError, match="was int when it was last read, and is str now"):
        from_mark(lake, 99, mark)
    put(lake, OLD + NEW)
    source = lake.source(PATH, CSV, after=Bound("id", None), columns=("id",))
    _, mark = lake.engine.read_from(source, None)
    assert from_mark(lake, 99, mark)[0].equals(whole(lake, 99))
    assert not is_tail(caplog)


def test_a_line_without_its_end_may_go_on(lake: Any) -> None:
    put(lake, OLD + "100,5.5,on")
    assert from_mark(lake, None, None)[1] is None


@pytest.mark.parametrize("path", ["in", "in/*.csv"])
def test_a_folder_or_a_pattern_may_mean_another_object_the_next_time(lake: Any, path: str) -> None:
    put(lake, OLD)
    found, mark = from_mark(lake, 90, None, path=path)
    assert (found.num_rows, mark) == (9, None)


@pytest.mark.parametrize("data", [gzip.compress(OLD.encode()), OLD.encode("utf-16")])
def test_files_whose_bytes_are_no_plain_text(lake: Any, data: bytes) -> None:
    """Compressed ones, and those of another encoding than was said; their rows come all the same."""
    put(lake, data)
    found, mark = from_mark(lake, 90, None)
    assert (found.num_rows, mark) == (9, None)


def test_other_formats(lake: Any) -> None:
    lake.write(lake.engine.from_arrow(pa.table({"id": [0, 1]})), "p.parquet", ParquetFormat())
    found, mark = from_mark(lake, 0, None, ParquetFormat(), "p.parquet")
    assert (found["id"].to_pylist(), mark) == ([1], None)


class Growing(io.BytesIO):
    """A file to which another writes while it is read: once its end was looked for, a row comes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        place = super().seek(offset, whence)
        if whence == io.SEEK_END:
            super().write(b"1000,1,late\n")
            super().seek(place)
        return place


def test_a_file_that_grows_while_it_is_read(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes meanwhile is not read, and not said to be: it comes the next time."""
    put(lake, OLD)
    monkeypatch.setattr(lake.storage, "open", lambda path: Growing(lake.storage.read(path)))
    found, mark = from_mark(lake, None, None)
    assert (found.num_rows, mark["size"]) == (100, len(OLD))
    found, mark = from_mark(lake, 99, mark)
    assert (found.num_rows, mark["size"]) == (0, len(OLD))


class Shrinking(io.BytesIO):
    """A file that is cut short in its place after it was read a few times."""

    left = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if len(data) > 100:
            self.left -= 1
            if not self.left:
                self.truncate(100)
        return data


@pytest.mark.parametrize("times", range(1, 6))
def test_a_file_that_is_cut_short_while_it_is_read(lake: Any, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Whenever that is, there is no mark but of what all rows came from."""

    def opened(path: str) -> Shrinking:
        file = Shrinking(lake.storage.read(path))
        file.left = times
        return file

    put(lake, OLD)
    monkeypatch.setattr(lake.storage, "open", opened)
    (found, mark), refused = tried(partial(from_mark, lake, None, None), (None, None))
    assert refused or mark is None or (found.num_rows, mark["size"]) == (100, len(OLD))


def test_a_quote_that_is_open_at_the_end_of_a_column_that_is_not_wanted(lake: Any) -> None:
    """It swallowed the rest of the file without a word, as there was another quote that made their number even."""
    for text, columns in product(('1,x"y,"z\n2,u,v\n', '1,x"y,"z\n'), (None, ("id",), ("a", "id"))):
        put(lake, f"{HEAD}\n{text}")
        with pytest.raises(DataError, match="never closed"):
            lake.read(PATH, CSV, columns=columns)


@pytest.mark.parametrize("more", [{}, {"max_rows": 2}, {"max_rows": 5}, {"on_bad_lines": "collect"}, {"trim": True}])
def test_the_last_column_comes_only_where_it_is_wanted(lake: Any, more: dict[str, Any]) -> None:
    put(lake, f"{HEAD}\n1,x,v\n2,y,\n3,z,u\n")
    for columns in (("id",), ("a", "id")):
        table = lake.engine.to_arrow(lake.read(PATH, CsvFormat(**more), columns=columns))
        assert table["id"].to_pylist() == [1, 2, 3][: more.get("max_rows")]
        assert [name for name in table.column_names if name != "_bad_line"] == list(columns)


def test_what_is_no_text_in_a_column_that_is_not_wanted_is_no_matter(lake: Any) -> None:
    put(lake, OLD.encode() * 1000 + b"100,1,\xff\n")
    with pytest.raises(DataError, match="not utf-8"):
        lake.read(PATH, CSV)
    assert len(lake.read(PATH, CSV, columns=("id", "a"))) == 101_000


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Rules(), True),
        (Rules(thousands=","), True),
        (Rules(thousands=".", decimal=","), True),
        (Rules(thousands=" ", markers=("", "-", "1,000", "?")), True),
        (Rules(thousands=".", decimal="."), False),
        (Rules(thousands="0"), False),
        (Rules(thousands="e"), False),
        (Rules(markers=("", "-999")), False),
        (Rules(markers=("", "9999-12-31")), False),
        (Rules(markers=("", "true")), False),
        (Rules(markers=(" NA ",)), False),
        (Rules(true_values=("yes ",)), False),
    ],
)
def test_rules_by_which_a_value_means_the_same_beside_any_other(rules: Rules, expected: bool) -> None:
    assert is_by_value(rules) is expected


class TestTheContractOnCsv(BoundPromises):
    """What the kit asks of bounds and tails; its suite of the engine is on Parquet, which has no tails."""

    component = PandasEngine
    format = CsvFormat
    format_name = "csv"
