"""Bounds, and what runs make of them, with no plugin."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import odibi
from odibi import hookimpl
from odibi.config.check import check_project
from odibi.config.load import load_project
from odibi.contracts import Bound, Source
from odibi.contracts.bounds import KINDS, as_json, from_json, kind_of
from odibi.contracts.format import WriteMode
from odibi.errors import DataError, RunFailed, StorageError
from odibi.host import Host
from odibi.model import Incremental, Node, Read, Write
from odibi.plan import make_plan
from odibi.run.increments import Increment, increments_of, pin_of, watermark_of
from odibi.testing.reference.checkpoint import MemoryCheckpoints
from odibi.testing.reference.engine import RowsEngine, RowsFrame
from odibi.testing.reference.storage import MemoryStorage, shelf

PLACE = "odibi.testing.reference"
VALUES = st.one_of(
    st.integers(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))])),
)


@given(VALUES)
def test_a_value_is_kept_as_what_it_is(value: Any) -> None:
    kept = from_json(json.loads(json.dumps(as_json(value))))
    assert kept == value
    assert kind_of(kept) == kind_of(value)
    assert kind_of(kept) in KINDS


@pytest.mark.parametrize("value", [True, None, b"x", [1], 1j])
def test_what_has_no_order_is_not_kept(value: Any) -> None:
    assert kind_of(value) is None
    with pytest.raises(TypeError, match="is none of int"):
        as_json(value)


@pytest.mark.parametrize(
    "said",
    [None, 5, {}, {"type": "int"}, {"type": "int", "value": 5}, {"type": "int", "value": "x"},
     {"type": "decimal", "value": "x"}, {"type": "date", "value": "20"}, {"type": "bool", "value": "True"}],
)  # fmt: skip
def test_what_was_not_kept_so_is_refused(said: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(said)


@given(st.lists(st.one_of(st.integers(), st.none())), st.integers(), st.integers())
def test_each_row_is_in_one_of_two_neighbours(values: list[int | None], low: int, high: int) -> None:
    one, other, both = Bound("c", low, high), Bound("c", max(low, high)), Bound("c", low)
    for value in values:
        assert one.holds(value) + other.holds(value) == both.holds(value)
        assert not (value is None and both.holds(value))
    assert not Bound("c").holds(math.nan)


@pytest.mark.parametrize("kind", [*KINDS[1:], None])
def test_values_of_another_kind_are_refused(kind: str | None) -> None:
    Bound("c").check("str", "here")
    Bound("c", 5).check("int", "here")
    with pytest.raises(DataError, match="here"):
        Bound("c", None, 5).check(kind, "here")


def test_an_increment_is_kept_as_it_is() -> None:
    whole = Increment("at", date(2024, 1, 3), datetime(2024, 1, 3, tzinfo=UTC), "s", "n", "r")
    assert Increment.of(json.loads(json.dumps(whole.told())), "p/n") == whole
    with pytest.raises(DataError, match="odibi streams reset p/n"):
        Increment.of({**whole.told(), "upto": {"type": "int", "value": "x"}}, "p/n")
    with pytest.raises(DataError, match="cannot be read"):
        Increment.of({"column": "at", "above": {"type": "decimal", "value": str(Decimal(1))}}, "p/n")


# --- runs -----------------------------------------------------------------------------------------------------------


class Unbounded(RowsEngine):
    """Says nothing of bounds."""

    capabilities = {"bounds": "none"}  # noqa: RUF012


class Flaky(MemoryCheckpoints):
    """Cannot move offsets while told so."""

    broken = False

    def move(self, offsets: Any, **more: Any) -> None:
        if Flaky.broken:
            raise StorageError("the disk is full")
        super().move(offsets, **more)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(Flaky, "broken", False)
    engines = {"rows": f"{PLACE}.engine:RowsEngine", "plain": f"{__name__}:Unbounded"}
    return Host(
        plugins=[
            SimpleNamespace(
                odibi_engines=hookimpl(lambda: engines),
                odibi_storages=hookimpl(lambda: {"memory": f"{PLACE}.storage:MemoryStorage"}),
                odibi_formats=hookimpl(
                    lambda: {"rows.jsonl": f"{PLACE}.format:JsonLines", "plain.jsonl": f"{PLACE}.format:JsonLines"}
                ),
                odibi_checkpoints=hookimpl(lambda: {"memory": f"{__name__}:Flaky"}),
            )
        ],
        discover=False,
    )


def pipeline(host: Host, name: str, engine: str = "rows") -> odibi.Pipeline:
    node = Node(
        "orders",
        read=Read("lake", "in", format="jsonl", incremental=Incremental("id")),
        write=Write("lake", "out", format="jsonl", mode=WriteMode.APPEND),
    )
    return odibi.Pipeline(
        "sales",
        [node],
        engine=engine,
        connections={"lake": {"type": "memory", "name": name}},
        checkpoints={"type": "memory", "name": name},
        host=host,
    )


def put(name: str, path: str, *ids: int) -> None:
    MemoryStorage(name=name).write(f"in/{path}.jsonl", "".join(f'{{"id": {at}}}\n' for at in ids).encode())


def logged(name: str) -> list[int]:
    storage = MemoryStorage(name=name)
    return [json.loads(line)["id"] for it in storage.list("out") for line in storage.read(it.path).splitlines()]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for what the test keeps in memory."""
    yield request.node.nodeid
    shelf(request.node.nodeid).objects.clear()


def test_the_watermark_moves_with_the_end_of_the_run(host: Host, name: str) -> None:
    put(name, "a", 9, 10)
    pipeline(host, name).run()
    store = MemoryCheckpoints(name=name)
    told = store.offset(watermark_of("sales", "orders"))
    assert (told["above"], told["upto"]) == (None, {"type": "int", "value": "10"})
    assert store.offset(pin_of("sales", "orders")) is None
    put(name, "b", 100)
    pipeline(host, name).run()
    assert sorted(logged(name)) == [9, 10, 100]


def test_nothing_is_written_before_the_bound_is_pinned(host: Host, name: str) -> None:
    put(name, "a", 1)
    Flaky.broken = True
    with pytest.raises(RunFailed, match="the disk is full"):
        pipeline(host, name).run()
    assert logged(name) == []
    Flaky.broken = False
    pipeline(host, name).run()
    assert logged(name) == [1]


def test_a_pin_is_what_the_next_attempt_reads(host: Host, name: str) -> None:
    """Whatever has come since; then come the others."""
    put(name, "a", 1, 2)
    store = MemoryCheckpoints(name=name)
    pin = Increment("id", None, 2, "of another version", "nonce", "a run that is gone")
    store.move({pin_of("sales", "orders"): pin.told()})
    put(name, "b", 3)
    pipeline(host, name).run()
    assert sorted(logged(name)) == [1, 2]
    assert store.offset(watermark_of("sales", "orders")) == pin.told()
    pipeline(host, name).run()
    assert sorted(logged(name)) == [1, 2, 3]


def test_what_a_store_does_not_understand_is_told_before_anything_runs(host: Host, name: str) -> None:
    put(name, "a", 1)
    MemoryCheckpoints(name=name).move({watermark_of("sales", "orders"): {"column": "id"}})
    with pytest.raises(DataError, match="odibi streams reset sales/orders"):
        pipeline(host, name).run()


def test_an_engine_without_bounds_is_refused(host: Host, name: str, tmp_path: Path) -> None:
    put(name, "a", 1)
    with pytest.raises(RunFailed, match="cannot read by the values of a column"):
        pipeline(host, name, "plain").run()
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
        read: {{connection: lake, path: in, format: jsonl, incremental: {{column: id}}}}
""")
    (problem,) = check_project(load_project(file), host)
    assert "Reads the rows above and up to a value of a column" in problem.what
    assert "Remove 'incremental'" in problem.remedy


def test_the_first_attempt_that_knows_the_bound_decides_it(host: Host, name: str) -> None:
    """One that timed out may still be reading when the next has pinned how far the rows go."""
    put(name, "a", 1, 2)
    sales = pipeline(host, name)
    resources = sales._loaded.resources()
    increments = increments_of(make_plan(sales.model), sales.model, resources, "run", None)
    assert increments is not None
    increments.version("orders", None)
    read = sales.model.nodes[0].read
    assert read is not None
    source = resources.source(read, "rows")
    other: list[Any] = []

    class Late(RowsEngine):
        def read(self, source: Source) -> RowsFrame:
            if not other:
                other.append(None)
                other.append(increments.read("orders", "rows", RowsEngine(), source))
                put(name, "b", 3)
            return super().read(source)

    late = increments.read("orders", "rows", Late(), source)
    assert other[1].rows == late.rows == [[1], [2]]
    told = MemoryCheckpoints(name=name).offset(pin_of("sales", "orders"))
    assert told["upto"] == {"type": "int", "value": "2"}
    resources.close()
