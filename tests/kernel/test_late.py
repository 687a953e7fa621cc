"""Late rows of incremental reads, each once, with no plugin."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odibi
from odibi import hookimpl
from odibi.config.check import check_project
from odibi.config.load import load_project
from odibi.contracts.bounds import DIGEST, key_digest, kind_of
from odibi.contracts.format import WriteMode
from odibi.errors import DataError, OdibiError, RunFailed, StorageError
from odibi.host import Host
from odibi.model import Incremental, Node, Read, Write
from odibi.run import late
from odibi.run.increments import Increment, pin_of, watermark_of
from odibi.run.late import Window, less
from odibi.testing.reference.checkpoint import MemoryCheckpoints
from odibi.testing.reference.engine import RowsEngine, RowsFrame
from odibi.testing.reference.storage import MemoryStorage, shelf

PLACE = "odibi.testing.reference"
MOMENTS = st.one_of(st.datetimes(), st.datetimes(timezones=st.just(UTC)))
KEY = st.one_of(
    st.integers(), st.decimals(allow_nan=False, allow_infinity=False), st.text(), st.dates(), MOMENTS, st.booleans(),
    st.binary(),
)  # fmt: skip

# --- digests and windows --------------------------------------------------------------------------------------------


@given(st.lists(KEY, max_size=3), st.lists(KEY, max_size=3))
def test_keys_share_a_digest_if_they_are_equal(one: list[Any], other: list[Any]) -> None:
    kinds = [[kind_of(each) or type(each) for each in key] for key in (one, other)]
    assert (key_digest(one) == key_digest(other)) == (kinds[0] == kinds[1] and one == other)
    assert len(key_digest(one)) == DIGEST


def test_equal_values_that_are_written_otherwise() -> None:
    same = [
        (Decimal("1.10"), Decimal("1.1")),
        (Decimal(100), Decimal("1E+2")),
        (Decimal("-0.0"), Decimal(0)),
        (datetime(2024, 1, 1, 2, tzinfo=UTC), datetime.fromisoformat("2024-01-01T03:00:00+01:00")),
    ]
    assert all(key_digest([one]) == key_digest([other]) for one, other in same)
    with pytest.raises(TypeError, match="float is none of int"):
        key_digest([1.0])


@given(st.dictionaries(st.binary(min_size=DIGEST, max_size=DIGEST), MOMENTS.filter(lambda it: it.tzinfo is None)))
def test_a_window_is_kept_as_it_is(keys: dict[bytes, Any]) -> None:
    window = Window(("a", "b"), ("int", "str"), datetime(2024, 1, 1), keys, frozenset(itertools.islice(keys, 2)))
    whole = Increment("at", None, datetime(2025, 1, 1), "s", "n", "r", window)
    assert Increment.of(json.loads(json.dumps(whole.told())), "p/n") == whole
    assert not window.settled().given


@pytest.mark.parametrize(
    "change", [{"count": 5}, {"digests": "!"}, {"digests": ""}, {"values": "AA=="}, {"kind": "bool"}, {"given": "e"}]
)
def test_a_window_that_cannot_be_read(change: dict[str, Any]) -> None:
    window = Window(("id",), ("int",), 3, {key_digest([1]): 4, key_digest([2]): 5})
    told = Increment("at", None, 5, window=window).told()
    told["window"].update(change)
    with pytest.raises(DataError, match="odibi streams reset p/n"):
        Increment.of(told, "p/n")


@given(st.one_of(st.integers(), st.decimals(allow_nan=False, allow_infinity=False)), st.integers(1, 10**6))
def test_a_number_and_so_much_less(value: Any, lateness: int) -> None:
    found = less(value, lateness, "here")
    assert type(found) is type(value)
    if isinstance(value, int):
        assert found == value - lateness


def test_less_leaves_nothing_out_by_rounding() -> None:
    assert less(10, 1.5, "") == 8
    assert less(date(2024, 1, 10), timedelta(hours=36), "") == date(2024, 1, 8)
    assert less(datetime(2024, 1, 10), timedelta(hours=36), "") == datetime(2024, 1, 8, 12)
    assert less(Decimal(12345678901234567890123456789012345678), 0.1, "") == Decimal(
        "12345678901234567890123456789012345677.9"
    )
    assert less(1.5, 0.25, "") == 1.25
    assert less(date(1, 1, 2), timedelta(days=3), "") is None


@pytest.mark.parametrize(
    ("value", "lateness", "said"),
    [
        (5, timedelta(hours=2), "the column is int"),
        ("x", 5, "the column is str"),
        (date(2024, 1, 1), 3, "Write it with a unit"),
    ],
)
def test_what_is_no_part_of_a_value(value: Any, lateness: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        less(value, lateness, "here")


def test_a_window_does_not_begin_before_its_keys() -> None:
    """Also if the calendar does."""
    known = Window(("id",), ("int",), date(1, 6, 1))
    frame = RowsFrame({"id": "int64", "day": "date32[day]"}, [[1, date(1, 7, 1)]])
    for days in (10**5, 200):
        _, window = late.first(RowsEngine(), frame, "day", date(1, 7, 1), known, timedelta(days=days), "here")
        assert window.since == date(1, 6, 1)
    _, window = late.first(RowsEngine(), frame, "day", date(1, 7, 1), known, timedelta(days=10), "here")
    assert window.since == date(1, 6, 21)
    assert late.lowest(Window(("id",)), None, timedelta(days=10), "here") is None


# --- runs -----------------------------------------------------------------------------------------------------------


class Broken(MemoryCheckpoints):
    """A store that fails in one of its methods while told so."""

    at = ""

    def move(self, offsets: Any, **more: Any) -> None:
        if Broken.at == "move":
            raise StorageError("the disk is full")
        super().move(offsets, **more)

    def finish(self, *args: Any, **more: Any) -> None:
        if Broken.at == "finish":
            raise StorageError("the disk is full")
        super().finish(*args, **more)


class Refusing(MemoryStorage):
    """A storage that refuses what the second node writes while told so."""

    def write(self, path: str, data: Any, **more: Any) -> Any:
        if Broken.at == "node" and path.startswith("two"):
            raise StorageError("the disk is full")
        return super().write(path, data, **more)


class Keyless(RowsEngine):
    """Knows bounds, and no keys."""

    capabilities = {"bounds": "full"}  # noqa: RUF012


HOST = Host(
    plugins=[
        SimpleNamespace(
            odibi_engines=hookimpl(lambda: {"rows": f"{PLACE}.engine:RowsEngine", "plain": f"{__name__}:Keyless"}),
            odibi_storages=hookimpl(lambda: {"memory": f"{__name__}:Refusing"}),
            odibi_formats=hookimpl(
                lambda: {"rows.jsonl": f"{PLACE}.format:JsonLines", "plain.jsonl": f"{PLACE}.format:JsonLines"}
            ),
            odibi_checkpoints=hookimpl(lambda: {"memory": f"{__name__}:Broken"}),
        )
    ],
    discover=False,
)
LATENESS = 10
LATE = Incremental("at", LATENESS, ("id",))


def pipeline(name: str, incremental: Incremental = LATE, engine: str = "rows") -> odibi.Pipeline:
    def log(path: str) -> Write:
        return Write("lake", path, format="jsonl", mode=WriteMode.APPEND)

    orders = Node("orders", read=Read("lake", "in", format="jsonl", incremental=incremental), write=log("one"))
    return odibi.Pipeline(
        "sales",
        [orders, Node("follower", depends_on=("orders",), write=log("two"))],
        engine=engine,
        connections={"lake": {"type": "memory", "name": name}},
        checkpoints={"type": "memory", "name": name},
        host=HOST,
    )


def put(name: str, path: str, *rows: tuple[int, int]) -> None:
    text = "".join(f'{{"id": {key}, "at": {at}}}\n' for key, at in rows)
    MemoryStorage(name=name).write(f"in/{path}.jsonl", text.encode())


def logged(name: str, path: str = "one") -> list[tuple[int, int]]:
    """The rows that were appended, as keys and values."""
    storage = MemoryStorage(name=name)
    lines = [json.loads(line) for it in storage.list(path) for line in storage.read(it.path).splitlines()]
    return sorted((line["id"], line["at"]) for line in lines)


def forget(name: str) -> None:
    Broken.at = ""
    shelf(name).objects.clear()
    store = MemoryCheckpoints(name=name)
    store.move({watermark_of("sales", "orders"): None, pin_of("sales", "orders"): None})
    store.forget("sales")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for what the test keeps in memory."""
    forget(request.node.nodeid)
    yield request.node.nodeid
    forget(request.node.nodeid)


def test_a_late_row_is_read_and_those_beside_it_are_not_read_again(name: str) -> None:
    put(name, "a", (1, 100), (2, 95))
    pipeline(name).run()
    put(name, "b", (3, 93), (4, 101))
    assert pipeline(name).plan().reasons[0] == "rows after 100 of lake:in, and late ones"
    pipeline(name).run()
    assert logged(name) == logged(name, "two") == [(1, 100), (2, 95), (3, 93), (4, 101)]


def test_a_row_that_is_too_late_is_not_read(name: str) -> None:
    put(name, "a", (1, 100))
    pipeline(name).run()
    put(name, "b", (2, 90), (3, 91))
    pipeline(name).run()
    assert logged(name) == [(1, 100), (3, 91)]


def test_a_key_that_comes_again_with_another_value(name: str) -> None:
    """Is known as long as its newest row lies in the window; of one read the newest is taken."""
    put(name, "a", (1, 100), (1, 98), (2, 5))
    pipeline(name).run()
    put(name, "b", (1, 105))
    pipeline(name).run()
    put(name, "c", (1, 112))
    pipeline(name).run()
    assert logged(name) == [(1, 100), (2, 5)]
    put(name, "d", (3, 130))
    pipeline(name).run()
    put(name, "e", (1, 131))
    pipeline(name).run()
    assert logged(name) == [(1, 100), (1, 131), (2, 5), (3, 130)]


def test_a_key_is_known_by_its_newest_row_though_that_is_gone_for_a_while(name: str) -> None:
    put(name, "a", (1, 100))
    pipeline(name).run()
    put(name, "b", (1, 105))
    pipeline(name).run()
    MemoryStorage(name=name).delete("in/b.jsonl")
    put(name, "c", (2, 112))
    pipeline(name).run()
    put(name, "b", (1, 105))
    pipeline(name).run()
    assert logged(name) == [(1, 100), (2, 112)]


def test_a_key_with_the_column_in_it_tells_versions(name: str) -> None:
    versions = attrs.evolve(LATE, key=("id", "at"))
    put(name, "a", (1, 100))
    pipeline(name, versions).run()
    put(name, "b", (1, 105), (1, 99), (1, 100))
    pipeline(name, versions).run()
    assert logged(name) == [(1, 99), (1, 100), (1, 105)]


def test_a_lateness_that_changes_doubles_nothing(name: str) -> None:
    """Below what is known, nothing is read again, however far a run is to look back."""
    short, long = attrs.evolve(LATE, lateness=2), attrs.evolve(LATE, lateness=50)
    put(name, "a", (1, 60), (2, 100))
    for at, each in enumerate([Incremental("at"), short, long, LATE, Incremental("at"), long]):
        put(name, f"b{at}", (10 + at, 101 + at))
        pipeline(name, each).run()
    expected = [(1, 60), (2, 100), *((10 + at, 101 + at) for at in range(6))]
    assert logged(name) == logged(name, "two") == expected
    put(name, "c", (20, 90), (21, 106))
    pipeline(name, long).run()
    assert logged(name) == [*expected[:2], *expected[2:], (21, 106)]


def test_only_the_keys_of_the_window_are_kept(name: str) -> None:
    put(name, "a", *((at, at) for at in range(1000)))
    pipeline(name).run()
    told = MemoryCheckpoints(name=name).offset(watermark_of("sales", "orders"))
    assert told is not None
    assert told["window"]["count"] == LATENESS
    assert told["window"]["since"] == {"type": "int", "value": str(999 - LATENESS)}


def test_too_many_keys_are_told_before_anything_is_made_of_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late, "MOST", 3)
    put(name, "a", *((at, 7) for at in range(4)))
    with pytest.raises(RunFailed, match=r"more than 3 keys lie within a lateness of 10.*Give a shorter 'lateness'"):
        pipeline(name).run()
    assert logged(name) == []
    put(name, "a", *((at, 7) for at in range(3)))
    pipeline(name).run()
    assert len(logged(name)) == 3


def test_mistakes_in_the_key(name: str) -> None:
    put(name, "a", (1, 100))
    with pytest.raises(RunFailed, match="no column 'nr' of the key"):
        pipeline(name, attrs.evolve(LATE, key=("nr",))).run()
    pipeline(name).run()
    with pytest.raises(DataError, match=r"by the key id so far, and is to be read by the key at.*streams reset"):
        pipeline(name, attrs.evolve(LATE, key=("at",))).run()
    MemoryStorage(name=name).write("in/a.jsonl", b'{"id": "1", "at": 100}\n{"id": "2", "at": 101}\n')
    with pytest.raises(RunFailed, match=r"'id' of the key was int when it was last read, and is str now"):
        pipeline(name).run()
    assert logged(name) == [(1, 100)]


def test_a_duration_of_a_column_of_numbers(name: str) -> None:
    put(name, "a", (1, 100))
    with pytest.raises(RunFailed, match="the column is int, of which 2:00:00 is no part"):
        pipeline(name, attrs.evolve(LATE, lateness=timedelta(hours=2))).run()


def test_an_engine_without_keys_is_refused(name: str, tmp_path: Path) -> None:
    put(name, "a", (1, 100))
    pipeline(name, Incremental("at"), "plain").run()
    put(name, "b", (2, 101))
    with pytest.raises(RunFailed, match=r"cannot tell rows by their keys, as node 'orders' is to.*Remove 'lateness'"):
        pipeline(name, engine="plain").run()
    file = tmp_path / "odibi.yaml"
    file.write_text(f"""
project: shop
engine: plain
connections:
  lake: {{type: memory, name: {json.dumps(name)}}}
checkpoints: {{type: memory}}
pipelines:
  - pipeline: sales
    nodes:
      - name: orders
        read: {{connection: lake, path: in, format: jsonl, incremental: {{column: at, lateness: 5, key: id}}}}
""")
    (problem,) = check_project(load_project(file), HOST)
    assert "Tells the rows of a frame by their keys" in problem.what
    assert "Remove 'lateness' and 'key'" in problem.remedy


# --- against a model ------------------------------------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("put"), st.lists(st.integers(-15, 15), min_size=1, max_size=4)),
    st.tuples(st.just("again"), st.integers(0, 50)),
    st.tuples(st.just("run"), st.sampled_from(["", "", "move", "node", "finish"])),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(STEP, max_size=14))
def test_late_rows_come_in_any_order_and_each_is_read_once(steps: list[tuple[str, Any]]) -> None:
    """With runs that fail at any point in between. Rows that are too late may be left out, and never come twice."""
    name = "late against a model"
    forget(name)
    rows: list[tuple[int, int]] = []
    promised: set[tuple[int, int]] = set()
    newest_there = newest_read = 0
    read_any = False
    for at, (what, more) in enumerate([*steps, ("run", ""), ("run", "")]):
        if what == "put":
            # Values around the newest that there was, on either side of what is too late.
            fresh = [(len(rows) + place, newest_there + each) for place, each in enumerate(more)]
            promised |= {row for row in fresh if not read_any or row[1] > newest_read - LATENESS}
            rows += fresh
            put(name, f"{at:02}", *fresh)
            newest_there = max(newest_there, *(row[1] for row in fresh))
        elif what == "again" and rows:
            put(name, f"{at:02}", rows[more % len(rows)])
        elif what == "run" and rows:
            Broken.at = more
            try:
                pipeline(name).run()
            except OdibiError:
                assert more
            if more != "move":
                read_any, newest_read = True, newest_there
            Broken.at = ""
    for path in ("one", "two"):
        found = logged(name, path)
        assert len(found) == len(set(found))
        assert promised <= set(found) <= set(rows)


def test_a_window_of_moments(name: str) -> None:
    """As they are kept, they are the same afterwards."""
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    keys = {key_digest([at]): begin + timedelta(microseconds=at) for at in range(1000)}
    window = Window(("id",), ("int",), begin, keys, frozenset(list(keys)[::2]))
    told = json.dumps(window.told())
    assert Window.of(json.loads(told)) == window
    assert len(told) < 30 * len(keys)
