"""Tests of a storage that many use at once."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from odibi.contracts.storage import ABSENT, Match, Stat
from odibi.errors import Conflict, NotFound
from odibi.testing.component import needs, together
from odibi.testing.storage_base import StorageBase, paths_of, there
from odibi.testing.storage_files import content, often_switching, watched
from odibi.testing.storage_histories import histories

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from odibi.contracts.storage import Storage

RACERS = 8
ROUNDS = 15
PROCESSES = 3

_COUNT_IN_PROCESS = """
input()
for _ in range(12):
    while True:
        seen = storage.stat("count")
        value = int(storage.read("count"))
        try:
            storage.write("count", b"%d" % (value + 1), when=Match(seen.etag))
            break
        except Conflict:
            pass
won = []
for number in range(25):
    try:
        storage.write(f"claims/{number}", str(os.getpid()).encode(), when=ABSENT)
        won.append(number)
    except Conflict:
        pass
print(json.dumps(won), flush=True)
"""

_STOP_HALF_WAY = """
class Data(io.RawIOBase):
    given = 0
    def readable(self):
        return True
    def readinto(self, buffer):
        return self.give(len(buffer), buffer)
    def read(self, size=-1):
        return self.give(65_536, None)
    def give(self, size, buffer):
        if self.given > 9_000_000:
            print("half", flush=True)
            input()
        self.given += size
        if buffer is None:
            return b"x" * size
        buffer[:] = b"x" * size
        return size

if sys.stdin.readline().strip() == "write":
    storage.write("d/o", Data())
else:
    with storage.create("d/o") as file:
        for _ in range(100):
            file.write(b"x" * 90_001)
        file.flush()
        print("half", flush=True)
        input()
"""


class RaceTests(StorageBase):
    """Compare-and-set and atomic writes, among threads, handles and processes, and whatever history."""

    # --- compare-and-set --------------------------------------------------------------------------------------------

    @needs("compare_and_set")
    @pytest.mark.parametrize("way", ["write", "file", "create"])
    @pytest.mark.parametrize("condition", ["ABSENT", "Match"])
    def test_of_many_one_wins(self, storage: Storage, other: Storage, condition: str, way: str) -> None:
        """The others get Conflict, and what is there is the winner's, as the winner was told."""
        with often_switching():
            for turn in range(ROUNDS):
                path = f"d{turn % 3}/{turn}"
                when = ABSENT if condition == "ABSENT" else Match(storage.write(path, b"before").etag)
                results = together(
                    *(self._racer((storage, other)[n % 2], path, f"{n}" * (n + 1), when, way) for n in range(RACERS))
                )
                winners = [n for n, result in enumerate(results) if not isinstance(result, BaseException)]
                losers = [result for result in results if isinstance(result, BaseException)]
                assert all(isinstance(error, Conflict) for error in losers), losers
                assert len(winners) == 1, f"{len(winners)} of {RACERS} won"
                assert storage.read(path) == other.read(path) == f"{winners[0]}".encode() * (winners[0] + 1)
                told = results[winners[0]]
                if isinstance(told, Stat):
                    assert storage.stat(path).etag == told.etag

    def _racer(self, storage: Storage, path: str, text: str, when: Any, way: str) -> Callable[[], object]:
        data = text.encode()

        def create() -> None:
            with storage.create(path, when=when) as file:
                file.write(data)

        ways: dict[str, Callable[[], object]] = {
            "write": lambda: storage.write(path, data, when=when),
            "file": lambda: storage.write(path, watched(data), when=when),
            "create": create,
        }
        return ways[way]

    @needs("compare_and_set")
    def test_who_comes_while_the_data_is_read_comes_first(self, storage: Storage, other: Storage) -> None:
        """The condition is checked in the step that publishes, not before the data is taken."""
        etag = storage.write("seen", b"1").etag
        for path, when in (("absent", ABSENT), ("seen", Match(etag))):
            came: list[Stat] = []

            def come(_: int, path: str = path, came: list[Stat] = came) -> None:
                if not came:
                    came.append(other.write(path, b"rival"))

            with pytest.raises(Conflict):
                storage.write(path, watched(content(100_000), come), when=when)
            assert storage.read(path) == b"rival"
            assert storage.stat(path).etag == came[0].etag

    @needs("compare_and_set")
    def test_threads_count_without_losing_one(self, storage: Storage, other: Storage) -> None:
        """Each reads, adds one, and writes if nobody was faster."""
        storage.write("count", b"0")

        def count(handle: Storage) -> Callable[[], None]:
            def work() -> None:
                for _ in range(10):
                    while True:
                        seen = handle.stat("count")
                        value = int(handle.read("count"))
                        try:
                            handle.write("count", b"%d" % (value + 1), when=Match(seen.etag))
                        except Conflict:
                            continue
                        break

            return work

        with often_switching():
            results = together(*(count(handle) for handle in (storage, other, storage, other)))
        assert results == [None] * 4
        assert storage.read("count") == b"40"

    @needs("compare_and_set")
    def test_a_plain_write_counts_as_a_change(self, storage: Storage, other: Storage) -> None:
        """Who writes without a condition, and who deletes, is seen by those who write with one."""
        with often_switching():
            for turn in range(ROUNDS):
                etag = storage.write("o", b"before").etag
                changed, plain = together(
                    lambda etag=etag: storage.write("o", b"changed", when=Match(etag)),  # type: ignore[misc]
                    lambda: other.write("o", b"plain"),
                )
                assert isinstance(changed, Stat | Conflict), changed
                assert isinstance(plain, Stat), plain
                # If the conditional one came second, it must have failed: so the plain one is there in any case.
                assert storage.read("o") == b"plain", turn

    @needs("compare_and_set", "shared")
    def test_processes_count_without_losing_one(self, storage: Storage, place: Path) -> None:
        """And of those that claim one name, one gets it."""
        storage.write("count", b"0")
        with (
            self.process(place, _COUNT_IN_PROCESS) as first,
            self.process(place, _COUNT_IN_PROCESS) as second,
            self.process(place, _COUNT_IN_PROCESS) as third,
        ):
            processes = (first, second, third)
            for each in processes:
                assert each.stdin is not None
                each.stdin.write("go\n")
                each.stdin.flush()
            said = [each.communicate(timeout=120)[0] for each in processes]
            assert [each.returncode for each in processes] == [0, 0, 0]
        assert storage.read("count") == b"%d" % (12 * len(processes))
        won = [set(_numbers(text)) for text in said]
        assert sorted(number for each in won for number in each) == list(range(25))
        for number in range(25):
            winner = next(process for process, each in zip(processes, won, strict=True) if number in each)
            assert storage.read(f"claims/{number}") == str(winner.pid).encode()

    # --- whole objects ----------------------------------------------------------------------------------------------

    @needs("atomic_write")
    def test_readers_see_whole_objects(self, storage: Storage, other: Storage) -> None:
        """While it is overwritten there always is one of the versions, whole; with a size and an etag of its own."""
        versions = [content(size, seed=9) for size in (70_000, 10, 300_001, 1)]
        storage.write("d/o", versions[0])
        storage.write("d/other", b"1")
        done = threading.Event()

        def write(handle: Storage, way: int) -> Callable[[], None]:
            def work() -> None:
                try:
                    for number in range(60):
                        data = versions[number % len(versions)]
                        if (number + way) % 3 == 0:
                            with handle.create("d/o") as file:
                                file.write(data[: len(data) // 2])
                                file.write(data[len(data) // 2 :])
                        elif (number + way) % 3 == 1:
                            handle.write("d/o", watched(data))
                        else:
                            handle.write("d/o", data)
                finally:
                    done.set()

            return work

        def read() -> int:
            count = 0
            while not done.is_set() or not count:
                assert other.read("d/o") in versions, "a mixture, or a part"
                with storage.open("d/o") as file:
                    assert file.read() in versions, "a mixture, or a part"
                assert storage.stat("d/o").size in map(len, versions)
                assert paths_of(other, "d") == ["d/o", "d/other"], "a listing during a write"
                count += 1
            return count

        with often_switching():
            results = together(write(storage, 0), write(other, 1), read, read)
        assert results[:2] == [None, None]
        for result in results[2:]:
            if isinstance(result, BaseException):
                raise result

    @needs("atomic_write")
    def test_readers_of_an_object_that_comes_and_goes(self, storage: Storage, other: Storage) -> None:
        """They see it whole, or that it is not there; and nothing but a storage's errors."""
        data = content(50_000, seed=3)
        done = threading.Event()

        def write() -> None:
            try:
                for _ in range(40):
                    storage.write("d/e/o", data)
                    other.delete("d/e/o")
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                assert there(other, "d/e/o") in (None, data)
                with suppress(NotFound):
                    assert storage.stat("d/e/o").size == len(data)
                assert paths_of(other) in ([], ["d/e/o"])

        with often_switching():
            assert together(write, read, read) == [None] * 3
        assert paths_of(storage) == []

    def test_created_objects_that_overlap_do_not_mix(self, storage: Storage, other: Storage) -> None:
        """The last that ends is there."""
        with storage.create("o") as first:
            first.write(b"1" * 100_000)
            with other.create("o") as second, storage.create("p") as third:
                for _ in range(10):
                    second.write(b"2" * 50_000)
                    first.write(b"1" * 10_000)
                    third.write(b"3" * 9)
            assert other.read("o") == b"2" * 500_000
            assert other.read("p") == b"3" * 90
        assert other.read("o") == b"1" * 200_000

    def test_threads_get_in_nobodys_way(self, storage: Storage) -> None:
        """One handle serves them all, each with objects of its own."""

        def work(name: str) -> Callable[[], None]:
            def go() -> None:
                for number in range(12):
                    data = content(number * 3_000, seed=ord(name))
                    path = f"{name}/{number}"
                    seen = storage.write(path, data)
                    assert storage.read(path) == data
                    with storage.open(path) as file:
                        file.seek(number)
                        assert file.read(100) == data[number : number + 100]
                    with storage.create(f"{name}/created") as file:
                        file.write(data)
                    assert storage.read(f"{name}/created") == data
                    assert storage.stat(path).etag == seen.etag
                    assert paths_of(storage, name) == sorted([path, f"{name}/created"])
                    storage.delete(path)

            return go

        with often_switching():
            for result in together(*map(work, "abcdef")):
                if isinstance(result, BaseException):
                    raise result
        assert paths_of(storage) == [f"{name}/created" for name in "abcdef"]

    # --- processes --------------------------------------------------------------------------------------------------

    @needs("shared")
    def test_another_process_sees_it_and_what_it_writes_is_seen(self, storage: Storage, place: Path) -> None:
        """Though that one ends without a word."""
        storage.write("d/from here", b"\r\n1")
        code = """
seen = storage.stat("d/from here")
assert storage.read("d/from here") == b"\\r\\n1"
assert [found.path for found in storage.list()] == ["d/from here"]
assert storage.write("d/from there", b"2\\r\\n", when=ABSENT).size == 3
storage.write("d/over", b"3", when=ABSENT)
storage.write("d/from here", b"4", when=Match(seen.etag))
storage.delete("d/over")
print(storage.uri("d"), flush=True)
os._exit(0)
"""
        with self.process(place, code) as process:
            said, _ = process.communicate(timeout=60)
            assert process.returncode == 0
        assert said == f"{storage.uri('d')}\n"
        assert paths_of(storage) == ["d/from here", "d/from there"]
        assert self.raw_get(place, "d/from there") == b"2\r\n"
        assert storage.read("d/from here") == b"4"

    @needs("shared", "atomic_write")
    @pytest.mark.parametrize("way", ["write", "create"])
    @pytest.mark.parametrize("old", [None, b"the old object"], ids=["nothing", "an object"])
    def test_a_killed_writer_leaves_what_was(self, storage: Storage, place: Path, way: str, old: bytes | None) -> None:
        """Nothing of it shows, and nothing is in the way of the next."""
        if old is not None:
            storage.write("d/o", old)
        with self.process(place, _STOP_HALF_WAY) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{way}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "half\n"
            assert there(storage, "d/o") == old
            process.kill()
            process.wait(60)
        assert there(storage, "d/o") == self.raw_get(place, "d/o") == old
        assert paths_of(storage) == ["d/o"] * (old is not None)
        storage.write("d/o", b"next")
        assert storage.read("d/o") == b"next"

    # --- anything ---------------------------------------------------------------------------------------------------

    def test_any_history(self, storage: Storage, other: Storage, place: Path) -> None:
        """Random histories of two handles and of other programs, beside a dict that does the same."""
        machine = histories(
            storage,
            other,
            raw_get=lambda path: self.raw_get(place, path),
            raw_put=lambda path, data: self.raw_put(place, path, data),
            exact=self.capability("compare_and_set").is_there,
        )
        some = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
        run_state_machine_as_test(machine, settings=some)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.strip().strip("[]").split(",") if number.strip()]
