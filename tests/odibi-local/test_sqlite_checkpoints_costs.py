"""What the SQLite checkpoint store costs, counted in what SQLite does rather than in seconds; and its groups."""

from __future__ import annotations

import json
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from odibi.errors import Conflict, NotFound, StorageError, Transient
from odibi_local.checkpoints import SqliteCheckpoints
from odibi_local.json_text import from_json, to_json

PATIENCE = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteCheckpoints]:
    store = SqliteCheckpoints(path=tmp_path / "runs.db", durable=False)
    yield store
    store.close()


def connection(store: SqliteCheckpoints) -> sqlite3.Connection:
    assert store._store._connection is not None
    return store._store._connection


def record(node: int) -> dict[str, Any]:
    return {"node": f"n{node}", "fingerprint": "f", "fill": "x" * 100}


def history(store: SqliteCheckpoints, first: int, last: int) -> None:
    for at in range(first, last):
        for pipeline in ("etl", "other"):
            run = f"{at:06} {pipeline}"
            store.begin(run, pipeline, {"at": at}, sync=False)
            store.append(run, [record(node) for node in range(5)])
            store.finish(run, "succeeded" if at % 10 else "failed", {"orders": at, f"{pipeline}/{at}": at})
            store.move({f"{pipeline}/{at}": None} if at % 3 else {})


CALLS: dict[str, Callable[[SqliteCheckpoints], object]] = {
    "lock": lambda store: store.lock("etl").release(),
    "begin": lambda store: store.begin("z", "etl", {}),
    "append": lambda store: store.append("z", [record(1), {"n": 1}]),
    "load": lambda store: store.load("z"),
    "latest": lambda store: store.latest("etl"),
    "latest running": lambda store: store.latest("etl", states=["running"]),
    "finish": lambda store: store.finish("z", "cancelled", {"orders": -1}),
    "latest cancelled": lambda store: store.latest("etl", states=["cancelled"]),
    "latest of none": lambda store: store.latest("etl", states=["interrupted", "running"]),
    "runs": lambda store: list(store.runs(limit=5)),
    "runs of one": lambda store: list(store.runs("etl", limit=5)),
    "results": lambda store: store.results("etl"),
    "offset": lambda store: store.offset("orders"),
    "move": lambda store: store.move({"orders": 7, "mine/2": 1, "mine/1": 2, "mine": 3}),
    "offsets": lambda store: store.offsets("mine/"),
    "offsets of none": lambda store: store.offsets("mine/x"),
    "move and forget": lambda store: store.move({"mine/2": None, "mine/1": None, "mine": None, "never": None}),
    "forget": lambda store: store.forget("etl", ["n1"]),
    "forget all": lambda store: store.forget("etl"),
    "remove": lambda store: store.remove("z"),
}


def steps(store: SqliteCheckpoints, call: Callable[[SqliteCheckpoints], object]) -> int:
    """How many instructions SQLite's machine executes for the call."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection(store).set_progress_handler(step, 1)
    try:
        call(store)
    finally:
        connection(store).set_progress_handler(None, 1)
    return count


class TestHistoryCostsNothing:
    def test_no_call_does_more_after_more_runs(self, store: SqliteCheckpoints) -> None:
        history(store, 0, 20)
        few = {name: steps(store, call) for name, call in CALLS.items()}
        history(store, 20, 600)
        many = {name: steps(store, call) for name, call in CALLS.items()}
        assert all(few.values())
        assert many == few

    def test_prune_costs_what_it_removes(self, store: SqliteCheckpoints) -> None:
        history(store, 0, 30)
        assert steps(store, lambda store: store.prune(10)) > 0
        few = steps(store, lambda store: store.prune(10))
        history(store, 30, 60)
        removing = steps(store, lambda store: store.prune(10))
        history(store, 60, 360)
        assert steps(store, lambda store: store.prune(10)) < 13 * removing
        assert steps(store, lambda store: store.prune(10)) == few

    def test_every_statement_finds_what_it_wants_by_an_index(self, store: SqliteCheckpoints) -> None:
        history(store, 0, 3)
        seen: list[str] = []
        connection(store).set_trace_callback(seen.append)
        for call in (*CALLS.values(), lambda store: store.prune(1), lambda store: store.forget("etl")):
            call(store)
        connection(store).set_trace_callback(None)
        statements = {text for text in seen if text.strip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))}
        assert len(statements) > 20
        for statement in statements:
            for *_, plan in connection(store).execute(f"EXPLAIN QUERY PLAN {statement}"):
                assert "TEMP B-TREE" not in plan, statement
                scans = plan.startswith("SCAN") and not plan.startswith(
                    ("SCAN tokens", "SCAN pipelines", "SCAN CONSTANT")
                )
                assert not scans, (plan, statement)

    def test_results_are_read_anew_only_if_there_are_others(self, store: SqliteCheckpoints) -> None:
        history(store, 0, 3)
        seen = store.results("etl")

        def nothing_happens() -> None:
            store.begin("z", "etl", {}, lock=store.lock("etl"))
            store.append("z", [{"node": "n1", "state": "failed"}])
            store.finish("z", "succeeded", records=[{"kept": {"reused": ["n1"]}}])
            store.remove("z")

        def another_writes() -> None:
            other = SqliteCheckpoints(path=store.path, durable=False)
            history(other, 4, 5)
            other.close()

        nothing_happens()
        assert store.results("etl") is seen
        for change in (
            lambda: history(store, 3, 4),
            lambda: store.forget("etl", ["n1"]),
            another_writes,
        ):
            change()
            now = store.results("etl")
            assert now is not seen
            other = SqliteCheckpoints(path=store.path)
            assert now == other.results("etl")
            other.close()
            seen = now

    def test_many_dead_runs_are_looked_at_once(self, store: SqliteCheckpoints) -> None:
        def die(first: int, last: int) -> None:
            for at in range(first, last):
                lock = store.lock("etl")
                store.begin(f"{at:06}", "etl", {}, lock=lock)
                lock.release()

        def look(store: SqliteCheckpoints) -> None:
            store.latest("etl", states=["running"])
            store.lock("etl").release()

        die(0, 5)
        store.lock("etl").release()
        few = steps(store, look)
        die(5, 105)
        store.lock("etl").release()
        assert steps(store, look) == few
        assert store.latest("etl", states=["interrupted"]) is not None

    def test_runs_that_never_end_are_in_nobodys_way(self, store: SqliteCheckpoints) -> None:
        def look(store: SqliteCheckpoints) -> None:
            store.begin("z", "etl", {})
            store.latest("etl", states=["running"])
            store.finish("z", "succeeded")
            store.remove("z")

        for at in range(50):
            store.begin(f"{at:06}", "etl", {})
        few = steps(store, look)
        for at in range(50, 300):
            store.begin(f"{at:06}", "etl", {})
        assert steps(store, look) == few

    def test_a_journal_costs_what_it_holds(self, store: SqliteCheckpoints) -> None:
        store.begin("a", "etl", {})
        for _ in range(100):
            store.append("a", [{"n": 1}])
        hundred = steps(store, lambda store: store.load("a"))
        for _ in range(900):
            store.append("a", [{"n": 1}])
        assert steps(store, lambda store: store.load("a")) < 10.5 * hundred

    def test_a_batch_is_one_row_of_the_journal(self, store: SqliteCheckpoints) -> None:
        store.begin("a", "etl", {})
        store.append("a", [{"n": n} for n in range(1200)])
        assert connection(store).execute("SELECT count(*) FROM journal").fetchone() == (3,)
        assert [each["n"] for each in store.load("a").outcomes] == list(range(1200))


class Blocked:
    """The database while somebody else writes to it, and threads that wait for that to end."""

    def __init__(self, store: SqliteCheckpoints) -> None:
        self.store = store
        self.errors: list[BaseException] = []
        self.threads: list[threading.Thread] = []
        self.blocker = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
        self.blocker.execute("BEGIN IMMEDIATE")

    def start(self, call: Callable[[], object]) -> None:
        """Make the call in a thread, and go on once it waits."""
        waiting = len(self.store._store._waiting)

        def work() -> None:
            try:
                call()
            except BaseException as error:
                self.errors.append(error)

        self.threads.append(threading.Thread(target=work))
        self.threads[-1].start()
        deadline = time.monotonic() + PATIENCE
        while len(self.store._store._waiting) == waiting:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def let_go(self) -> None:
        self.blocker.execute("ROLLBACK")
        self.join()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        self.blocker.close()


INTERRUPTED = """
import json, sys, threading
from odibi_local.checkpoints import SqliteCheckpoints
store = SqliteCheckpoints(path=sys.argv[1], durable=False)
store.begin("a", "etl", {})
stop, spared = threading.Event(), 0

def work():
    global spared
    while not stop.is_set():
        store.append("a", [{"name": "spared", "n": spared}])
        spared += 1

thread = threading.Thread(target=work)
thread.start()
hit, n, interrupts = [], 0, 0
while interrupts < 150:
    try:
        print("ready", flush=True)
        while True:
            n += 1
            store.append("a", [{"name": "hit", "n": n}])
            hit.append(n)
    except KeyboardInterrupt:
        interrupts += 1
stop.set()
thread.join()
print(json.dumps({"hit": hit, "spared": spared, "interrupts": interrupts}))
store.close()
"""


class TestGroups:
    @pytest.fixture
    def blocked(self, store: SqliteCheckpoints) -> Blocked:
        store.begin("a", "etl", {})
        return Blocked(store)

    def test_moves_share_a_transaction_with_appends(self, store: SqliteCheckpoints, blocked: Blocked) -> None:
        before = store._store.transactions
        for n in range(5):
            blocked.start(lambda n=n: store.move({f"s{n}": n, "gone": None}))  # type: ignore[misc]
            blocked.start(lambda n=n: store.append("a", [{"n": n}]))  # type: ignore[misc]
        blocked.let_go()
        assert not blocked.errors
        assert store._store.transactions == before + 2
        assert store.offsets() == {f"s{n}": n for n in range(5)}

    def test_a_move_that_is_refused_takes_no_other_with_it(self, store: SqliteCheckpoints) -> None:
        lost = store.lock("other")
        lost.release()
        blocked = Blocked(store)
        for n in range(3):
            blocked.start(lambda n=n: store.move({f"s{n}": n}))  # type: ignore[misc]
            blocked.start(lambda n=n: store.move({f"late{n}": n}, lock=lost))  # type: ignore[misc]
        blocked.let_go()
        assert [type(error) for error in blocked.errors] == [Conflict] * 3
        assert store.offsets() == {f"s{n}": n for n in range(3)}

    def test_those_that_wait_share_a_transaction(self, store: SqliteCheckpoints, blocked: Blocked) -> None:
        before = store._store.transactions
        for n in range(9):
            blocked.start(lambda n=n: store.append("a", [{"n": n}, {"n": n}]))  # type: ignore[misc]
        blocked.let_go()
        assert not blocked.errors
        assert store._store.transactions == before + 2, "the first goes alone, and all that came meanwhile together"
        assert [each["n"] for each in store.load("a").outcomes] == [n for n in range(9) for _ in range(2)]

    def test_a_mistake_is_only_whose_it_is(self, store: SqliteCheckpoints, blocked: Blocked) -> None:
        for n in range(6):
            run = "a" if n % 3 else "no such run"
            blocked.start(lambda n=n, run=run: store.append(run, [{"n": n}]))  # type: ignore[misc]
        blocked.let_go()
        assert [type(error) for error in blocked.errors] == [NotFound, NotFound]
        assert [each["n"] for each in store.load("a").outcomes] == [1, 2, 4, 5]

    def test_what_is_too_much_for_the_disk_is_only_whose_it_is(
        self, store: SqliteCheckpoints, blocked: Blocked
    ) -> None:
        (pages,) = connection(store).execute("PRAGMA page_count").fetchone()
        connection(store).execute(f"PRAGMA max_page_count = {pages + 10}")
        for n in range(5):
            blocked.start(lambda n=n: store.append("a", [{"n": n, "fill": "x" * (100_000 if n == 2 else 10)}]))  # type: ignore[misc]
        blocked.let_go()
        assert [type(error) for error in blocked.errors] == [StorageError]
        assert [each["n"] for each in store.load("a").outcomes] == [0, 1, 3, 4]

    def test_who_waits_too_long_is_told_so(self, tmp_path: Path) -> None:
        store = SqliteCheckpoints(path=tmp_path / "runs.db", timeout=0.2)
        store.begin("a", "etl", {})
        blocked = Blocked(store)
        for n in range(4):
            blocked.start(lambda n=n: store.append("a", [{"n": n}]))  # type: ignore[misc]
        blocked.join()
        assert [type(error) for error in blocked.errors] == [Transient] * 4
        assert list(store.load("a").outcomes) == []
        store.append("a", [{"n": 1}])
        assert list(store.load("a").outcomes) == [{"n": 1}]
        store.close()

    def test_an_interrupt_hits_one_and_loses_nothing(self, store: SqliteCheckpoints, blocked: Blocked) -> None:
        """It comes while the changes of several are being made; who it hits is told, and the others go on."""
        hit: list[bool] = []

        def interrupted(_: object) -> None:
            if not hit:
                hit.append(True)
                raise KeyboardInterrupt

        for n in range(4):
            blocked.start(lambda n=n: store.append("a", [{"n": n}]))  # type: ignore[misc]
        blocked.start(lambda: store._store.change(interrupted))
        blocked.let_go()
        assert [type(error) for error in blocked.errors] == [KeyboardInterrupt]
        seen = [each["n"] for each in store.load("a").outcomes]
        assert len(seen) >= 3, "somebody was told that what is not there is done"
        assert seen == sorted(set(seen)), "something was done twice"
        store.append("a", [{"n": 9}])
        assert [each["n"] for each in store.load("a").outcomes] == [*seen, 9]

    def test_interrupts_at_any_instant(self, store: SqliteCheckpoints, tmp_path: Path) -> None:
        """Ctrl-C again and again in a process of which another thread appends as well."""
        arguments = [sys.executable, "-c", INTERRUPTED, store.path]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(150):
                while not select.select([process.stdout], [], [], 10)[0]:
                    # Python passes over an interrupt that comes while it clears something away.
                    process.send_signal(signal.SIGINT)
                assert process.stdout.readline() == "ready\n"
                process.send_signal(signal.SIGINT)
            while not select.select([process.stdout], [], [], 10)[0]:
                process.send_signal(signal.SIGINT)
            said = json.loads(process.stdout.readline())
        assert process.returncode == 0
        seen = [(each["name"], each["n"]) for each in store.load("a").outcomes]
        assert len(seen) == len(set(seen)), "something was done twice"
        spared = [n for name, n in seen if name == "spared"]
        assert spared == list(range(said["spared"])), "another thread has lost something"
        assert {n for name, n in seen if name == "hit"} >= set(said["hit"])
        assert said["interrupts"] == 150


class TestJsonText:
    VALUES = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )

    @given(values=st.lists(VALUES))
    def test_comes_back_as_it_was(self, values: list[Any]) -> None:
        assert from_json([to_json(value, "it") for value in values]) == values

    @pytest.mark.parametrize(
        ("value", "kind", "words"),
        [
            ({"a": [1, float("nan")]}, ValueError, "it['a'][1] is nan"),
            ({"a": {"b": float("-inf")}}, ValueError, "it['a']['b'] is -inf"),
            ({"a": {1: 2}}, TypeError, "a key of it['a'] is of type int (1)"),
            ({"a": ({"b": {3}},)}, TypeError, "it['a'][0]['b'] is of type set"),
            ({None: 1}, TypeError, "a key of it is of type NoneType"),
            (b"x", TypeError, "it is of type bytes"),
        ],
    )
    def test_says_where_it_is_wrong(self, value: Any, kind: type[Exception], words: str) -> None:
        with pytest.raises(kind) as caught:
            to_json(value, "it")
        assert words in str(caught.value)

    def test_a_number_that_is_too_long(self) -> None:
        with pytest.raises(ValueError, match="digits"):
            to_json({"a": 10**5000}, "it")

    def test_what_holds_itself_or_is_too_deep(self) -> None:
        itself: list[Any] = []
        itself.append(itself)
        deep: Any = "x"
        for _ in range(100_000):
            deep = [deep]
        for value in (itself, {"a": deep}):
            with pytest.raises(ValueError, match="it cannot be written as JSON"):
                to_json(value, "it")
        while isinstance(deep, list):  # taking it apart at once is too deep for Python as well
            deep = deep.pop()

    def test_numbers_and_text_of_other_types(self) -> None:
        class Size(IntEnum):
            LARGE = 3

        class Word(str):
            __slots__ = ()

        for value in (Size.LARGE, Word("x"), [Size.LARGE, {"a": Word("x"), Word("b"): [Size.LARGE]}]):
            (back,) = from_json([to_json(value, "it")])
            assert back == value
        assert to_json(Size.LARGE, "it") == "3"

    def test_other_mappings_and_tuples(self) -> None:
        from types import MappingProxyType

        assert to_json(MappingProxyType({"a": (1, MappingProxyType({"b": 2}))}), "it") == '{"a":[1,{"b":2}]}'
        with pytest.raises(TypeError, match="a key of it"):
            to_json(MappingProxyType({1: 2}), "it")
