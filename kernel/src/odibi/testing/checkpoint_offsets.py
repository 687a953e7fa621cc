"""The tests of offsets of streams, within runs and outside; :mod:`odibi.testing.checkpoint` has the others."""

from __future__ import annotations

import math
import signal
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

from odibi.errors import Conflict
from odibi.testing.checkpoint_base import NAMES, CheckpointBase, in_threads
from odibi.testing.component import needs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from odibi.contracts.checkpoint import CheckpointStore

_NAMES = (
    *NAMES,
    "etl/daily!dead/1",
    "etl/daily!dead/2",
    "etl/dailyx",
    "etl//daily",
    "/etl",
    "etl/",
    "etl/\u0000",
    "etl/\ud7ff",
    "etl/\ue000",
    "etl/\U0010ffff",
    "etl/\U0010ffff\U0010ffff",
    "eTl/daily",
    "e_l/daily",
    "etl0",
    "etl.",
    "!service/overlap",
    "con",
    "etl/nul/x",
    "etl/" + "x" * 300,
    "0/" + "a" * 300,
    "etl/" + "x" * 300 + "/y",
    "x" * 300 + "/y",
    "é" * 200 + "/é",
    "/".join("abcdefghij" * 12),
)
"""Names that a look for some prefix might take for one another."""

_PREFIXES = (
    *_NAMES,
    "e",
    "et",
    "etl/d",
    "etl/daily!",
    "etl/daily!dead/",
    "!",
    "\U0010ffff",
    "x" * 299,
    "é" * 200 + "/",
    "a/b/c/",
    "/".join("abcdefghij" * 11) + "/",
)


class CheckpointOffsetTests(CheckpointBase):
    """Tests of how far streams were consumed."""

    # --- within runs ------------------------------------------------------------------------------------------------

    def test_offsets_move_when_the_run_ends(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Not before, and only those that the run consumed."""
        assert store.offset("orders") is None
        store.begin("r1", "etl", {})
        store.append("r1", [{"n": 1}])
        assert other.offset("orders") is None
        store.finish("r1", "succeeded", {"orders": {"page": 7}, "customers": "2024-01-01"})
        assert other.offset("orders") == {"page": 7}
        store.begin("r2", "etl", {})
        store.finish("r2", "succeeded", {"orders": {"page": 8}})
        assert (other.offset("orders"), other.offset("customers")) == ({"page": 8}, "2024-01-01")
        store.begin("r3", "etl", {})
        store.finish("r3", "succeeded")
        assert other.offset("orders") == {"page": 8}

    def test_offsets_move_with_the_end_or_not_at_all(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """A run that cannot end moves none, and forgets none."""
        store.move({"bills": 1})
        lock = store.lock("etl")
        store.begin("r1", "etl", {}, lock=lock)
        lock.release()
        with pytest.raises(Conflict):
            store.finish("r1", "succeeded", {"orders": 1, "bills": None})
        assert other.offset("orders") is None
        assert other.offsets() == {"bills": 1}
        assert other.load("r1").state != "succeeded"

    def test_offsets_outlive_their_runs(self, store: CheckpointStore) -> None:
        """Removing a run takes nothing back."""
        store.begin("r1", "etl", {})
        store.finish("r1", "succeeded", {"orders": 1})
        store.remove("r1")
        assert store.offset("orders") == 1
        assert store.offsets() == {"orders": 1}

    def test_an_end_with_nothing_for_a_stream_forgets_it(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """In the transaction that moves the others; one that never was is forgotten as well, and may come again."""
        store.begin("r1", "etl", {})
        store.finish("r1", "succeeded", {"orders": 1, "bills": 2, "never": None})
        assert other.offsets() == {"bills": 2, "orders": 1}
        store.begin("r2", "etl", {})
        store.finish("r2", "failed", {"orders": None, "bills": 3, "never": None})
        for handle in (store, other):
            assert handle.offset("orders") is None
            assert handle.offsets() == {"bills": 3}
        store.begin("r3", "etl", {})
        store.finish("r3", "succeeded", {"orders": 4})
        assert other.offset("orders") == 4
        assert list(other.offsets().items()) == [("bills", 3), ("orders", 4)]

    # --- by their names ---------------------------------------------------------------------------------------------

    def test_offsets_are_found_by_the_beginning_of_their_names(
        self, store: CheckpointStore, other: CheckpointStore
    ) -> None:
        """Which is compared letter by letter, whatever the letters mean elsewhere; in the order of the names."""
        store.begin("r1", "etl", {})
        store.finish("r1", "succeeded", {name: at for at, name in enumerate(_NAMES)})
        for prefix in _PREFIXES:
            expected = [(name, _NAMES.index(name)) for name in sorted(_NAMES) if name.startswith(prefix)]
            assert list(other.offsets(prefix).items()) == expected, prefix
        assert list(other.offsets().items()) == [(name, _NAMES.index(name)) for name in sorted(_NAMES)]
        assert other.offsets("etl/daily!dead/1/") == {}
        assert other.offsets("never") == {}

    def test_each_name_is_moved_and_forgotten_by_itself(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Those that look like it stay."""
        store.move({name: at for at, name in enumerate(_NAMES)})
        left = {name: at for at, name in enumerate(_NAMES)}
        for name in _NAMES[::3]:
            store.move({name: None})
            del left[name]
            assert other.offset(name) is None
        assert other.offsets() == left
        assert {name: other.offset(name) for name in left} == left

    def test_many_offsets(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """All of them, once, in order; those that are forgotten are not among them."""
        store.move({f"a/{at:04}": at for at in range(1200)})
        assert list(other.offsets("a/").items()) == [(f"a/{at:04}", at) for at in range(1200)]
        assert list(other.offsets("a/11")) == [f"a/{at:04}" for at in range(1100, 1200)]
        store.move({f"a/{at:04}": None for at in range(0, 1200, 2)})
        assert list(other.offsets("a/")) == [f"a/{at:04}" for at in range(1, 1200, 2)]

    # --- outside of runs --------------------------------------------------------------------------------------------

    def test_offsets_move_outside_of_runs(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """At once, for every handle; without a trace among the runs, and runs move them on."""
        store.move({"orders": {"page": 1}, "bills": [1]})
        for handle in (store, other):
            assert (handle.offset("orders"), handle.offset("bills")) == ({"page": 1}, [1])
        other.move({"orders": {"page": 2}})
        assert store.offsets() == {"bills": [1], "orders": {"page": 2}}
        store.begin("r1", "etl", {})
        store.finish("r1", "succeeded", {"orders": {"page": 3}})
        assert other.offset("orders") == {"page": 3}
        other.move({"orders": {"page": 2}})
        assert store.offset("orders") == {"page": 2}, "offsets may go back, too"
        assert [run.run_id for run in store.runs()] == ["r1"]
        assert store.results("etl") == {}
        store.move({})
        assert store.offsets() == {"bills": [1], "orders": {"page": 2}}

    def test_a_move_of_nothing_for_a_stream_forgets_it(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Whoever moved it; it may come again, and be forgotten again."""
        store.begin("r1", "etl", {})
        store.finish("r1", "succeeded", {"orders": 1, "bills": 1})
        for value in (2, 3):
            other.move({"orders": None, "never": None, "bills": value})
            for handle in (store, other):
                assert handle.offset("orders") is None
                assert handle.offsets() == {"bills": value}
                assert handle.offsets("never") == {}
            store.move({"orders": value})
            assert other.offsets() == {"bills": value, "orders": value}

    @pytest.mark.parametrize("value", [0, False, "", [], {}, [None], {"": None}], ids=repr)
    def test_what_is_empty_is_not_nothing(self, store: CheckpointStore, other: CheckpointStore, value: Any) -> None:
        """It is an offset as good as any other."""
        store.move({"orders": value})
        assert other.offset("orders") == value
        assert type(other.offset("orders")) is type(value)
        assert other.offsets() == {"orders": value}

    @pytest.mark.parametrize("bad", [math.nan, object(), {1, 2}, {1: 2}], ids=lambda bad: type(bad).__name__)
    @pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
    def test_a_move_of_what_is_not_json_moves_nothing(self, store: CheckpointStore, bad: Any, first: bool) -> None:
        """Neither what comes before it, nor what comes after, nor what is to be forgotten."""
        store.move({"orders": 1, "bills": 1})
        rest: dict[str, Any] = {"orders": 2, "bills": None, "new": 1}
        with pytest.raises((TypeError, ValueError)):
            store.move({"bad": [bad], **rest} if first else {**rest, "bad": [bad]})
        assert store.offsets() == {"bills": 1, "orders": 1}

    def test_a_name_that_is_no_text_is_refused(self, store: CheckpointStore) -> None:
        """With what came beside it."""
        with pytest.raises((TypeError, ValueError)):
            store.move(cast("Any", {"orders": 1, 7: 2}))
        assert store.offsets() == {}

    def test_offsets_that_are_handed_over_are_copies(self, store: CheckpointStore) -> None:
        """To change what was handed in, or out, changes nothing that is kept."""
        given = {"pages": [1]}
        store.move({"orders": given})
        given["pages"].append(2)
        cast("Any", store.offsets())["bills"] = 1
        cast("Any", store.offsets()["orders"])["pages"].append(3)
        store.offset("orders")["pages"].append(4)  # type: ignore[index]
        assert store.offsets() == {"orders": {"pages": [1]}}

    # --- under locks ------------------------------------------------------------------------------------------------

    def test_offsets_move_under_a_lock(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """As often as one likes, of any streams; the lock stays held."""
        lock = store.lock("etl")
        store.move({"etl/orders": 1, "something else": 1}, lock=lock)
        store.move({"etl/orders": 2, "something else": None}, lock=lock)
        assert lock.held()
        assert other.offsets() == {"etl/orders": 2}
        other.move({"etl/orders": 3})
        assert store.offset("etl/orders") == 3
        lock.release()

    def test_who_lost_the_lock_cannot_move(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Whether it was given back, or somebody else has it, or had it; not even nothing, so that it is told."""
        lock = store.lock("etl")
        store.move({"orders": 1}, lock=lock)
        lock.release()
        self.check_moves_nothing(store, lock)
        newer = other.lock("etl")
        self.check_moves_nothing(store, lock)
        other.move({"bills": 1}, lock=newer)
        newer.release()
        self.check_moves_nothing(store, lock)
        self.check_moves_nothing(other, newer)
        assert other.offsets() == {"bills": 1, "orders": 1}

    def check_moves_nothing(self, store: CheckpointStore, lock: Any) -> None:
        """The lock was lost."""
        before = store.offsets()
        for offsets in ({"orders": "late", "new": 1}, {"orders": None}, {}):
            with pytest.raises(Conflict):
                store.move(offsets, lock=lock)
        assert store.offsets() == before

    def test_a_run_that_goes_on_does_not_mind_moves(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Whoever moves last has moved; what the run moves at its end is newer than what was moved meanwhile."""
        lock = store.lock("etl")
        store.begin("r1", "etl", {}, lock=lock)
        store.move({"orders": 5, "bills": 5}, lock=lock)
        other.move({"orders": 6})
        store.append("r1", [{"n": 1}])
        store.finish("r1", "succeeded", {"orders": 1})
        assert other.offsets() == {"bills": 5, "orders": 1}
        other.move({"orders": None})
        assert store.offsets() == {"bills": 5}
        lock.release()

    # --- others -----------------------------------------------------------------------------------------------------

    def test_offsets_outlive_the_store(self, store: CheckpointStore, place: Path) -> None:
        """Whoever opens the place later finds what was moved, and nothing of what was forgotten."""
        store.move({"orders": 1, "bills": 2})
        store.move({"bills": None, "a/b": [3]})
        store.close()
        again = self.make(place)
        try:
            assert list(again.offsets().items()) == [("a/b", [3]), ("orders", 1)]
            assert again.offset("bills") is None
            assert again.offsets("a/") == {"a/b": [3]}
        finally:
            again.close()

    @needs("shared")
    def test_other_processes_see_what_was_moved(self, store: CheckpointStore, place: Path) -> None:
        """And move it on."""
        store.move({"a/orders": 1, "a/bills": 1, "b": 1})
        code = """
print(dict(store.offsets("a/")) == {"a/bills": 1, "a/orders": 1}, flush=True)
store.move({"a/orders": 2, "a/bills": None})
"""
        with self.process(place, code) as process:
            told, _ = process.communicate(timeout=self.patience)
            assert (told, process.returncode) == ("True\n", 0)
        assert store.offsets() == {"a/orders": 2, "b": 1}

    @needs("shared")
    def test_a_dead_holder_moves_nothing_more(self, store: CheckpointStore, place: Path) -> None:
        """What it moved stays, and whoever has the lock next moves on."""
        with self.holder(place, "etl", "store.move({'orders': 1}, lock=lock)") as process:
            assert store.offset("orders") == 1
            process.kill()
            process.wait()
        lock = store.lock("etl", wait=self.patience)
        assert store.offsets() == {"orders": 1}
        store.move({"orders": 2}, lock=lock)
        assert store.offsets() == {"orders": 2}
        lock.release()

    @needs("shared")
    @pytest.mark.parametrize("round_", range(4))
    def test_killed_while_it_moves(self, store: CheckpointStore, place: Path, round_: int) -> None:
        """What was said to be moved is, and what was being moved is all there or not at all."""
        code = """
import itertools
lock = store.lock("etl") if locked else None
for n in itertools.count(1):
    store.move({"a": n, "b": n, "c/d": n, f"dead/{n}": n, f"dead/{n - 1}": None}, lock=lock)
    print(n, flush=True)
"""
        with self.process(place, f"locked = {bool(round_ % 2)}\n{code}") as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range((1, 2, 11, 30)[round_])]
            process.send_signal(signal.SIGKILL)
            said += process.stdout.read().splitlines()
        found = store.offsets()
        assert found["a"] in (int(said[-1]), int(said[-1]) + 1)
        n = found["a"]
        assert list(found.items()) == [("a", n), ("b", n), ("c/d", n), (f"dead/{n}", n)]
        assert [store.offset(name) for name in ("a", "b", "c/d", f"dead/{n}", f"dead/{n - 1}")] == [n, n, n, n, None]
        lock = store.lock("etl", wait=self.patience)
        assert store.offsets() == found
        store.move({"a": -1, f"dead/{n}": None}, lock=lock)
        assert store.offsets() == {"a": -1, "b": n, "c/d": n}
        lock.release()

    def test_many_move_at_once(self, place: Path) -> None:
        """Each stream ends where the last of its movers left it, and two that move together stay together."""
        stores = [self.make(place) for _ in range(3)]
        together = [f"shared/{at}" for at in range(3)]
        done = threading.Event()

        def move(thread: int) -> None:
            for n in range(8):
                store = stores[(thread + n) % len(stores)]
                mine = [thread, n]
                store.move({**dict.fromkeys(together, mine), f"own/{thread}": n, f"gone/{thread}": n % 2 or None})
                assert store.offset(f"own/{thread}") == n, "a move does not show though its call has returned"

        def look() -> int:
            looks = 0
            while not done.is_set() or not looks:
                seen = stores[0].offsets("shared/")
                assert len(seen) in (0, len(together)), f"half of a move shows: {seen}"
                assert all(value == seen[together[0]] for value in seen.values()), f"half of a move shows: {seen}"
                looks += 1
            return looks

        def move_all() -> None:
            try:
                in_threads([lambda thread=thread: move(thread) for thread in range(4)])  # type: ignore[misc]
            finally:
                done.set()

        try:
            in_threads([move_all, look])
            found = stores[1].offsets()
            assert {name: found.pop(name) for name in list(found) if name.startswith("own/")} == {
                f"own/{thread}": 7 for thread in range(4)
            }
            assert {name: found.pop(name) for name in list(found) if name.startswith("gone/")} == {
                f"gone/{thread}": 1 for thread in range(4)
            }
            assert list(found) == together
            assert found[together[0]][1] == 7
            assert all(value == found[together[0]] for value in found.values())
        finally:
            for store in stores:
                store.close()

    def test_a_bad_move_of_one_thread_is_no_others(self, store: CheckpointStore) -> None:
        """Where calls share a sync, only the one that may not move fails."""
        lost = store.lock("etl")
        lost.release()

        def work(thread: int) -> None:
            for n in range(10):
                if thread % 2:
                    with pytest.raises(Conflict):
                        store.move({f"{thread}": n}, lock=lost)
                else:
                    store.move({f"{thread}": n})

        calls: list[Callable[[], None]] = [lambda thread=thread: work(thread) for thread in range(6)]  # type: ignore[misc]
        in_threads(calls)
        assert store.offsets() == {"0": 9, "2": 9, "4": 9}
