"""The tests of locks, and of many users of a checkpoint store; :mod:`odibi.testing.checkpoint` has the others."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from odibi.errors import Conflict, NotFound
from odibi.testing.checkpoint_base import CheckpointBase, in_threads, result
from odibi.testing.component import needs

if TYPE_CHECKING:
    from pathlib import Path

    from odibi.contracts.checkpoint import CheckpointStore, RunLock


class CheckpointLockTests(CheckpointBase):
    """Tests of locks, of other processes and of many users at once."""

    # --- locks ------------------------------------------------------------------------------------------------------

    def test_one_holds_the_lock(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Until it gives it back; others are told who holds it, and giving back twice takes nothing away."""
        lock = store.lock("etl")
        assert lock.held()
        for handle in (store, other):
            with pytest.raises(Conflict) as caught:
                handle.lock("etl")
            assert "etl" in str(caught.value)
            assert str(os.getpid()) in str(caught.value), "it does not say who holds the lock"
        assert lock.held()
        other.lock("etl_daily").release()
        lock.release()
        assert not lock.held()
        lock.release()
        next_lock = other.lock("etl")
        assert next_lock.held()
        assert not lock.held()
        lock.release()
        assert next_lock.held(), "giving a lost lock back took it from its holder"
        next_lock.release()

    def test_each_holder_has_a_greater_token(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Whichever handle took the lock."""
        tokens = []
        for handle in (store, other) * 5:
            lock = handle.lock("etl")
            tokens.append(lock.token)
            lock.release()
        assert tokens == sorted(set(tokens))

    def test_of_many_that_want_the_lock_one_gets_it(self, place: Path) -> None:
        """Of threads on one handle and on several."""
        stores = [self.make(place) for _ in range(4)]
        try:
            for _ in range(5):
                held: list[RunLock] = []

                def take(store: CheckpointStore, held: list[RunLock] = held) -> bool:
                    try:
                        held.append(store.lock("etl"))
                    except Conflict:
                        return False
                    return True

                assert in_threads([lambda store=store: take(store) for store in stores * 2]).count(True) == 1  # type: ignore[misc]
                held[0].release()
        finally:
            for store in stores:
                store.close()

    def test_waits_for_the_lock(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Whoever waits has it when it is given back."""
        lock = store.lock("etl")
        waits = threading.Event()

        def wait() -> RunLock:
            waits.set()
            return other.lock("etl", wait=self.patience)

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(wait)
            assert waits.wait(self.patience)
            assert not waiting.done()
            lock.release()
            got = waiting.result(self.patience)
        assert got.held()
        assert got.token > lock.token
        got.release()

    def test_waits_no_longer_than_told(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """But as long, and the holder is not disturbed."""
        lock = store.lock("etl")
        begin = time.monotonic()
        with pytest.raises(Conflict):
            other.lock("etl", wait=0.05)
        assert time.monotonic() - begin >= 0.05
        assert lock.held()
        lock.release()

    def test_who_waits_gets_the_lock_in_some_order(self, place: Path) -> None:
        """One after the other, none twice, each with a token of its own."""
        stores = [self.make(place) for _ in range(4)]
        inside = threading.Lock()

        def turn(store: CheckpointStore) -> int:
            lock = store.lock("etl", wait=self.patience)
            assert inside.acquire(blocking=False), "two hold the lock"
            token = lock.token
            inside.release()
            lock.release()
            return token

        try:
            tokens = in_threads([lambda store=store: turn(store) for store in stores * 2])  # type: ignore[misc]
            assert len(set(tokens)) == 8
        finally:
            for store in stores:
                store.close()

    def test_runs_of_two_pipelines_go_on_at_once(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Neither is in the other's way."""
        locks = [store.lock("a"), other.lock("b")]
        store.begin("1", "a", {}, lock=locks[0])
        other.begin("2", "b", {}, lock=locks[1])
        for n in range(5):
            store.append("1", [result("node", n)])
            other.append("2", [result("node", -n)])
        assert store.results("a")["node"]["value"] == 4
        assert store.results("b")["node"]["value"] == -4
        store.finish("1", "succeeded")
        other.finish("2", "succeeded")
        for lock in locks:
            lock.release()

    def test_who_gave_the_lock_back_cannot_write(self, store: CheckpointStore) -> None:
        """What it wrote before stays."""
        lock = store.lock("etl")
        store.begin("1", "etl", {}, lock=lock)
        store.append("1", [result("a", 1)])
        lock.release()
        self.check_shut_out(store, lock)

    def test_who_lost_the_lock_cannot_write(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Whether or not somebody has it now, who is not disturbed."""
        lock = store.lock("etl")
        store.begin("1", "etl", {}, lock=lock)
        store.append("1", [result("a", 1)])
        lock.release()
        newer = other.lock("etl")
        self.check_shut_out(store, lock)
        other.begin("2", "etl", {}, lock=newer)
        self.check_shut_out(store, lock)
        other.append("2", [result("b", 2)])
        other.finish("2", "succeeded")
        newer.release()
        self.check_shut_out(store, lock)
        assert other.load("2").state == "succeeded"

    def check_shut_out(self, store: CheckpointStore, lock: RunLock) -> None:
        """Run 1 was begun under a lock, journalled ``a``, and must not get further."""
        assert not lock.held()
        offset = store.offset("orders")
        with pytest.raises(Conflict):
            store.append("1", [result("a", "late")])
        with pytest.raises(Conflict):
            store.append("1", [])
        with pytest.raises(Conflict):
            store.finish("1", "succeeded", {"orders": "late"}, records=[result("a", "late")])
        with pytest.raises(Conflict):
            store.begin("1b", "etl", {}, lock=lock)
        assert list(store.load("1").outcomes) == [result("a", 1)]
        assert store.load("1").state == "interrupted"
        assert store.results("etl")["a"] == {**result("a", 1), "run_id": "1"}
        assert store.offset("orders") == offset
        with pytest.raises(NotFound):
            store.load("1b")

    def test_a_lock_is_for_one_pipeline(self, store: CheckpointStore) -> None:
        """No run of another is begun under it."""
        lock = store.lock("a")
        with pytest.raises((Conflict, ValueError)):
            store.begin("1", "b", {}, lock=lock)
        assert list(store.runs()) == []
        lock.release()

    # --- other processes --------------------------------------------------------------------------------------------

    @needs("shared")
    def test_keeps_other_processes_out(self, store: CheckpointStore, place: Path) -> None:
        """They are told the process that holds it; other pipelines are free."""
        with self.holder(place, "etl") as process:
            with pytest.raises(Conflict) as caught:
                store.lock("etl")
            assert str(process.pid) in str(caught.value)
            store.lock("etl_daily").release()
            process.communicate("go on\n", timeout=self.patience)
        store.lock("etl", wait=self.patience).release()

    @needs("shared")
    def test_a_lock_dies_with_its_holder(self, store: CheckpointStore, place: Path) -> None:
        """Its run was interrupted, with all that was appended; the next one goes on."""
        code = "store.begin('1', 'etl', {}, lock=lock)\nstore.append('1', [{'n': 1}, {'n': 2}])"
        with self.holder(place, "etl", code) as process:
            assert store.load("1").state == "running"
            with pytest.raises(Conflict):
                store.remove("1")
            assert store.prune(0) == 0
            process.kill()
            process.wait()
            self.until(lambda: store.load("1").state == "interrupted", "the run of a dead process still goes on")
        latest = store.latest("etl", states=["interrupted"])
        assert latest is not None
        assert list(latest.outcomes) == [{"n": 1}, {"n": 2}]
        assert latest.finished is None
        assert store.latest("etl", states=["running"]) is None
        assert [run.state for run in store.runs("etl")] == ["interrupted"]
        lock = store.lock("etl", wait=self.patience)
        assert lock.held()
        store.begin("2", "etl", {}, lock=lock)
        store.finish("2", "succeeded")
        lock.release()
        assert store.load("1").state == "interrupted"

    @needs("shared")
    def test_tokens_grow_across_processes(self, store: CheckpointStore, place: Path) -> None:
        """Whoever had the lock between."""
        first = store.lock("etl")
        first.release()
        with self.process(place, "print(store.lock('etl').token, flush=True)") as process:
            assert process.stdout is not None
            token = int(process.stdout.readline())
            process.wait(self.patience)
        last = store.lock("etl", wait=self.patience)
        assert first.token < token < last.token
        last.release()

    @needs("shared")
    def test_a_run_without_lock_dies_with_its_process(self, store: CheckpointStore, place: Path) -> None:
        """And goes on until then."""
        code = "store.begin('1', 'etl', {})\nstore.append('1', [{'n': 1}])"
        with self.holder(place, "something else", code) as process:
            assert store.load("1").state == "running"
            process.kill()
            process.wait()
            self.until(lambda: store.load("1").state == "interrupted", "the run of a dead process still goes on")
        assert list(store.load("1").outcomes) == [{"n": 1}]

    @needs("shared")
    @pytest.mark.parametrize("round_", range(4))
    def test_killed_while_it_appends(self, store: CheckpointStore, place: Path, round_: int) -> None:
        """Whatever was said to be durable is there, what was being written is there whole or not at all."""
        code = """
import itertools
for n in itertools.count():
    batch = [{"node": f"n{at}", "fingerprint": str(n), "n": n, "at": at, "fill": "x" * 300} for at in range(n % 5 + 1)]
    store.append("1", batch)
    print(n, flush=True)
"""
        before = "store.begin('1', 'etl', {}, lock=lock)\nprint('begun', flush=True)"
        with self.process(place, f"lock = store.lock('etl')\n{before}\n{code}") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            for _ in range((0, 1, 20, 77)[round_]):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().splitlines()
        durable = int(said[-1]) if said else (0, 1, 20, 77)[round_] - 1
        outcomes = list(store.load("1").outcomes)
        expected = [(n, at) for n in range(durable + 2) for at in range(n % 5 + 1)]
        seen = [(record["n"], record["at"]) for record in outcomes]
        least = sum(n % 5 + 1 for n in range(durable + 1))
        assert seen in (expected, expected[:least]), (durable, seen[-10:])
        assert all(record["fill"] == "x" * 300 for record in outcomes)
        newest = {record["node"]: {**record, "run_id": "1"} for record in outcomes}
        assert store.results("etl") == newest

    # --- many at once -----------------------------------------------------------------------------------------------

    def test_many_threads_append(self, store: CheckpointStore, other: CheckpointStore) -> None:
        """Every record is there when its call returns, once, with those of its call, in the order of its thread."""
        threads, calls = 8, 25
        store.begin("r1", "etl", {})

        def work(thread: int) -> None:
            for call in range(calls):
                batch = [result(f"{thread}", call, thread=thread, call=call, at=at) for at in range(call % 3 + 1)]
                store.append("r1", batch)
                if call % 10 == 0:
                    mine = [record for record in other.load("r1").outcomes if record["thread"] == thread]
                    assert mine[-len(batch) :] == batch, "a record is not there though its call has returned"

        in_threads([lambda thread=thread: work(thread) for thread in range(threads)])  # type: ignore[misc]
        outcomes = list(other.load("r1").outcomes)
        expected = [(call, at) for call in range(calls) for at in range(call % 3 + 1)]
        for thread in range(threads):
            assert [(r["call"], r["at"]) for r in outcomes if r["thread"] == thread] == expected
        batches = [(r["thread"], r["call"]) for r in outcomes if r["at"] == 0]
        together = [(t, c, at) for t, c in batches for at in range(c % 3 + 1)]
        assert [(r["thread"], r["call"], r["at"]) for r in outcomes] == together, "records of two calls are mixed"
        assert {node: record["call"] for node, record in other.results("etl").items()} == {
            str(thread): calls - 1 for thread in range(threads)
        }

    def test_a_mistake_of_one_thread_is_no_others(self, store: CheckpointStore) -> None:
        """Where calls share a sync, only the one that is wrong fails."""
        store.begin("r1", "etl", {})

        def work(thread: int) -> None:
            for call in range(20):
                if thread % 2:
                    with pytest.raises(NotFound):
                        store.append("no such run", [result("bad")])
                else:
                    store.append("r1", [{"thread": thread, "call": call}])

        in_threads([lambda thread=thread: work(thread) for thread in range(6)])  # type: ignore[misc]
        assert len(store.load("r1").outcomes) == 60
        assert store.results("etl") == {}

    @needs("shared")
    def test_many_processes_append(self, store: CheckpointStore, place: Path) -> None:
        """Each to its own run; nothing is lost, nothing mixed."""
        code = """
import sys
store.begin(f"r{me}", f"pipeline {me}", {})
print("ready", flush=True)
sys.stdin.readline()
for n in range(30):
    store.append(f"r{me}", [{"node": "a", "fingerprint": str(n), "n": n, "me": me}])
store.finish(f"r{me}", "succeeded", {f"stream {me}": 30})
"""
        with (
            self.process(place, f"me = 0\n{code}") as first,
            self.process(place, f"me = 1\n{code}") as second,
            self.process(place, f"me = 2\n{code}") as third,
        ):
            everybody = (first, second, third)
            for process in everybody:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            for process in everybody:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            for process in everybody:
                process.communicate(timeout=2 * self.patience)
                assert process.returncode == 0
        for me in range(3):
            assert [(r["me"], r["n"]) for r in store.load(f"r{me}").outcomes] == [(me, n) for n in range(30)]
            assert store.results(f"pipeline {me}")["a"]["n"] == 29
            assert store.offset(f"stream {me}") == 30

    def test_many_open_a_new_store_at_once(self, place: Path) -> None:
        """One of them makes it, and all use it."""

        def work(at: int) -> None:
            store = self.make(place)
            try:
                store.begin(f"r{at}", "etl", {})
                store.append(f"r{at}", [{"at": at}])
            finally:
                store.close()

        in_threads([lambda at=at: work(at) for at in range(8)])  # type: ignore[misc]
        store = self.make(place)
        try:
            assert [run.run_id for run in store.runs()] == [f"r{at}" for at in range(7, -1, -1)]
            assert [list(store.load(f"r{at}").outcomes) for at in range(8)] == [[{"at": at}] for at in range(8)]
        finally:
            store.close()
