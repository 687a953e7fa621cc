"""Events on the stores that projects have: in order, each once, known again by their key, and cheap to look for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from odibi.contracts.checkpoint import CheckpointStore
from odibi.service import events
from odibi.service.events import StoreQueue

Opened = Callable[[], CheckpointStore]


@pytest.fixture(name="opened", params=["sqlite", "storage"])
def _opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Opens one more store on the same data, as another process would."""
    local = pytest.importorskip("odibi_local.storage")
    made: list[CheckpointStore] = []

    def opened() -> CheckpointStore:
        store: Any
        if request.param == "sqlite":
            store = pytest.importorskip("odibi_local.checkpoints").SqliteCheckpoints(path=tmp_path / "runs.db")
        else:
            checkpoint = pytest.importorskip("odibi_objects.checkpoint")
            (tmp_path / "shared").mkdir(exist_ok=True)
            store = checkpoint.StorageCheckpoints(connection=local.LocalStorage(base_path=str(tmp_path / "shared")))
        made.append(store)
        return store

    yield opened
    for store in made:
        store.close()


def test_events_are_kept_in_order_and_removed(opened: Opened) -> None:
    one, two = StoreQueue(opened(), "t.x"), StoreQueue(opened(), "t.x")
    payloads = [{"text": "\u20ac\U0001f600\x00"}, None, [1.5, 2**70], "", {"a": {"b": []}}]
    for at, payload in enumerate(payloads, 1):
        assert (one if at % 2 else two).put(payload) == at
    wanted = list(enumerate(payloads, 1))
    assert one.after(None, 9) == two.after(None, 9) == wanted
    assert two.after(2, 2) == wanted[2:4]
    store = opened()
    StoreQueue(store, "t.x").forget(3, store.lock("!service/shop"))
    assert one.after(None, 9) == two.after(None, 9) == wanted[3:]
    assert one.put("next") == 6


def test_several_that_put_at_once(opened: Opened) -> None:
    def put(who: int) -> list[int]:
        queue = StoreQueue(opened(), "t")
        return [queue.put([who, at], f"{at}" if who else None) for at in range(6)]

    with ThreadPoolExecutor(3) as pool:
        numbers = list(pool.map(put, range(3)))
    assert numbers[1] == numbers[2]
    found = StoreQueue(opened(), "t").after(None, 99)
    assert [number for number, _ in found] == list(range(1, 13))
    for mine in numbers:
        assert mine == sorted(mine)


def test_keys_are_forgotten_in_their_order(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "REMEMBERED", 3)
    queue = StoreQueue(opened(), "t")
    assert [queue.put(key, key) for key in ("a", "b", "c", "a", "d", "b", "a")] == [1, 2, 3, 1, 4, 2, 5]
