"""How offsets are kept: what earlier versions wrote is read, and objects of nobody do no harm."""

from __future__ import annotations

from typing import Any

import pytest
from storages import MemoryStorage

from odibi.contracts.checkpoint import RunLock
from odibi.errors import Conflict
from odibi_objects import documents
from odibi_objects.checkpoint import StorageCheckpoints
from odibi_objects.names import key_of


def opened(storage: Any) -> StorageCheckpoints:
    return StorageCheckpoints(connection=storage, prefix="s", parallel=1)


def old(storage: MemoryStorage, stream: str, value: Any, stamp: int = 5) -> None:
    """Write an offset as the first version did."""
    content = {"stream": stream, "stamp": stamp, "run": "1", "value": value}
    storage.write(f"s/streams/{key_of(stream)}", documents.encode("offset", content))


def named(storage: MemoryStorage) -> list[str]:
    return sorted(path for path in storage.objects if path.startswith("s/names/"))


def test_what_an_earlier_version_wrote_is_found() -> None:
    storage = MemoryStorage()
    for stream, value in (("a/1", 1), ("a/2", {"page": 2}), ("b", 0), ("nothing", None)):
        old(storage, stream, value)
    store, other = opened(storage), opened(storage)
    assert (store.offset("a/1"), store.offset("nothing")) == (1, None)
    for handle in (store, other, opened(storage)):
        assert handle.offsets("a/") == {"a/1": 1, "a/2": {"page": 2}}
        assert list(handle.offsets().items()) == [("a/1", 1), ("a/2", {"page": 2}), ("b", 0)]
    assert len(named(storage)) == 3
    store.move({"a/1": None, "b": 1, "nothing": 2})
    assert other.offsets() == {"a/2": {"page": 2}, "b": 1, "nothing": 2}
    assert len(named(storage)) == 3


def test_offsets_of_an_earlier_version_are_moved_before_anybody_looks() -> None:
    storage = MemoryStorage()
    for stream in ("a", "b", "c"):
        old(storage, stream, 1)
    store = opened(storage)
    store.move({"a": 2, "b": None})
    assert opened(storage).offsets() == {"a": 2, "c": 1}
    assert len(named(storage)) == 2


def test_an_earlier_version_may_go_on_with_streams_that_it_began() -> None:
    storage = MemoryStorage()
    old(storage, "a", 1)
    store = opened(storage)
    assert store.offsets() == {"a": 1}
    old(storage, "a", 2, stamp=6)
    assert store.offsets() == {"a": 2}
    store.move({"a": 3})
    assert store.offsets() == {"a": 3}
    store.move({"a": None})
    assert store.offsets() == {}


def test_a_look_writes_nothing_where_there_is_nothing() -> None:
    storage = MemoryStorage()
    assert opened(storage).offsets() == opened(storage).offsets("a/") == {}
    assert not storage.objects


def test_objects_of_nobody_among_the_names_do_no_harm() -> None:
    storage = MemoryStorage()
    store = opened(storage)
    store.move({"a/1": 1})
    for path in ("README", "x.y", "fa/n-zz.1", "fa/nA.2", "nnever.3", "fa/kgone.123.4", "fa/k.5"):
        storage.write(f"s/names/{path}", b"?")
    storage.write("s/ending/move.", b"?")
    storage.write("s/ending/else", b"?")
    assert store.offsets() == store.offsets("a") == {"a/1": 1}
    store.lock("etl").release()


class Another:
    """A lock of some other store."""

    token = 1

    def held(self) -> bool:
        return True

    def release(self) -> None:
        pass


def test_a_lock_of_another_kind_gives_no_right() -> None:
    store = opened(MemoryStorage())
    lock: RunLock = Another()
    with pytest.raises(ValueError, match="no lock of this store"):
        store.move({"a": 1}, lock=lock)
    assert store.offset("a") is None


def test_a_lock_that_was_given_back_while_offsets_are_moved_moves_nothing() -> None:
    storage = MemoryStorage()
    store = opened(storage)
    lock = store.lock("etl")

    class GivesBack:
        """Gives the lock back right after it was said what is to be moved."""

        def write(self, path: str, data: Any, **more: Any) -> Any:
            stat = storage.write(path, data, **more)
            if "/ending/" in path:
                lock.release()
            return stat

        def __getattr__(self, name: str) -> Any:
            return getattr(storage, name)

    store._offsets._storage = GivesBack()
    with pytest.raises(Conflict):
        store.move({"a": 1}, lock=lock)
    assert opened(storage).offsets() == {}
    assert not [path for path in storage.objects if "/ending/" in path]
