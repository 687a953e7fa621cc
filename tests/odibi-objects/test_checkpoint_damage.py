"""Objects that decay: what they held is dropped with a warning, or an error says so; it is never misread."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from storages import MemoryStorage
from turning import Turned

from odibi.errors import StorageError
from odibi_objects import documents
from odibi_objects.checkpoint import StorageCheckpoints
from odibi_objects.names import backwards, key_of


def result(node: str, value: int) -> dict[str, Any]:
    return {"node": node, "fingerprint": str(value), "value": value}


def lived() -> MemoryStorage:
    """A storage with a run that has ended, one that has not, and one that was killed between its end and its filing.

    And with a move that was filed, one that was killed before it, and one before it happened.
    """
    storage = MemoryStorage()
    store = StorageCheckpoints(connection=storage, prefix="s", parallel=1)
    Turned().drive(store.clock)
    store.move({"bills": 1, "gone": 1, "dead/1": 1})
    store.move({"gone": None})
    for number, kind in enumerate(["moved", "moving"]):
        said = {"offsets": {"dead/1": None, "bills": 2 + number}, "nonce": "", "stamp": 2 * 10**15}
        body = documents.encode(kind, {**said, "pipeline": key_of("etl"), "token": 1})
        storage.write(f"s/ending/move.{number}", body)
    for run in ("1", "2", "3"):
        store.begin(run, "etl", {"run": run})
        store.append(run, [result("a", int(run)), {"note": run}])
        store.append(run, [result(f"only {run}", int(run))])
        if run == "3":
            unfiled = {path: kept for path, kept in storage.objects.items() if "/done/" not in path}
            store.finish(run, "succeeded", {"orders": 3})
            ended = {path: kept for path, kept in storage.objects.items() if "/runs/" in path}
            store.close()
            storage.objects = {**unfiled, **ended, **_promise()}
        elif run == "1":
            store.finish(run, "failed", {"orders": 1, "customers": 1})
    return storage


def _promise() -> dict[str, Any]:
    """What a run writes right before it ends."""
    other = MemoryStorage()
    store = StorageCheckpoints(connection=other, prefix="s", parallel=1)
    store._offsets.promise("3", {"orders": 3})
    return dict(other.objects)


PATHS = sorted(lived().objects)
OFFSETS = {"orders": (1, 3), "customers": (1,), "bills": (1, 2), "gone": (None,), "dead/1": (1, None)}


def test_it_is_whole_without_damage() -> None:
    store = StorageCheckpoints(connection=lived(), prefix="s", parallel=1)
    assert [run.state for run in store.runs()] == ["succeeded", "running", "failed"]
    assert {node: found["value"] for node, found in store.results("etl").items()} == {
        "a": 3,
        "only 1": 1,
        "only 2": 2,
        "only 3": 3,
    }
    assert (store.offset("orders"), store.offset("customers")) == (3, 1)
    assert store.offsets() == {"bills": 2, "customers": 1, "orders": 3}
    assert len(PATHS) > 14


@pytest.mark.parametrize("number", range(len(PATHS)))
@given(position=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=6, deadline=None)
def test_nothing_is_misread(number: int, position: int, bit: int, cut: bool) -> None:
    storage = lived()
    path = sorted(storage.objects)[number]  # of which some have a part that is not the same again

    def damage(data: bytes) -> bytes:
        at = position % len(data)
        return data[:at] if cut else data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]

    storage.damage(path, damage)
    store = StorageCheckpoints(connection=storage, prefix="s", parallel=1)
    for run in ("1", "2", "3"):
        if path.endswith(f"/{backwards(run)}/00000000"):
            with pytest.raises(StorageError, match="damaged"):
                store.load(run)
            continue
        seen = store.load(run)
        assert (seen.pipeline, seen.detail) == ("etl", {"run": run})
        expected = [result("a", int(run)), {"note": run}, result(f"only {run}", int(run))]
        assert list(seen.outcomes) in (expected, expected[:2], expected[2:])
    for node, found in store.results("etl").items():
        if node == "a":
            assert found in [{**result("a", value), "run_id": str(value)} for value in (1, 2, 3)]
        else:
            run = node[-1]
            assert found == {**result(node, int(run)), "run_id": run}
    for stream, values in OFFSETS.items():
        if f"/{key_of(stream)}" in path:
            with pytest.raises(StorageError, match="damaged"):
                store.offset(stream)
        else:
            assert store.offset(stream) in values
    if "/streams/" in path and "/gone." not in path:
        with pytest.raises(StorageError, match="damaged"):
            store.offsets()
    else:
        assert all(value in OFFSETS[stream] for stream, value in store.offsets().items())
        assert store.offsets().keys() >= {"bills", "customers", "orders"}
    assert all(run.detail == {"run": run.run_id} for run in store.runs("etl"))
    assert all(run.detail == {"run": run.run_id} for run in store.runs())
    # Work can go on.
    lock = store.lock("etl")
    store.begin("4", "etl", {"run": "4"}, lock=lock)
    store.append("4", [result("a", 4)])
    store.finish("4", "succeeded", {"orders": 4})
    lock.release()
    assert store.results("etl")["a"] == {**result("a", 4), "run_id": "4"}
    assert store.offset("orders") == 4
    latest = store.latest("etl")
    assert latest is not None
    assert latest.run_id == "4"
    store.prune(1)
    store.close()


def test_an_offset_that_is_damaged_is_no_offset_that_never_was() -> None:
    storage = MemoryStorage()
    store = StorageCheckpoints(connection=storage, prefix="s", parallel=1)
    store.begin("1", "etl", {})
    store.finish("1", "succeeded", {"orders": 1})
    (path,) = (path for path in storage.objects if "/streams/" in path)
    storage.damage(path, lambda data: data[:-1])
    with pytest.raises(StorageError, match="damaged") as caught:
        store.offset("orders")
    assert caught.value.where == path
    assert caught.value.remedy


def test_what_is_dropped_is_told(caplog: pytest.LogCaptureFixture) -> None:
    storage = lived()
    store = StorageCheckpoints(connection=storage, prefix="s", parallel=1)
    (path,) = (path for path in storage.objects if "/runs/cdz/00000001" in path)
    storage.damage(path, lambda data: data[:-1])
    assert list(store.load("2").outcomes) == [result("only 2", 2)]
    assert "a part of the journal of run 2 is damaged, and is left out" in caplog.text
    assert path in caplog.text
