"""Locks on machines whose clocks differ, and what becomes of the runs under them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from storages import MemoryStorage, Wrapped, transient
from turning import Turned, move_away, rewrite

from odibi.errors import Conflict, StorageError
from odibi_objects.checkpoint import StorageCheckpoints

DAY = 86400.0


def result(node: str, value: int) -> dict[str, Any]:
    return {"node": node, "fingerprint": str(value), "value": value}


class Machine:
    """A store with clocks of its own."""

    def __init__(self, storage: Any, *, ahead: float = 0.0, **options: Any) -> None:
        self.turned = Turned(1_700_000_000.0 + ahead)
        self.store = StorageCheckpoints(connection=storage, prefix="s", parallel=1, **options)
        self.turned.drive(self.store.clock)


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def machines(storage: MemoryStorage) -> Iterator[tuple[Machine, Machine]]:
    both = Machine(storage), Machine(storage)
    yield both
    for machine in both:
        machine.store.close()


def lock_path(storage: MemoryStorage, pipeline: str = "etl") -> str:
    (path,) = (path for path in storage.objects if f"/{pipeline}." in path and path.endswith("/lock"))
    return path


# --- whose lease is over --------------------------------------------------------------------------------------------


def test_on_one_machine_a_lease_is_over_when_it_was_not_renewed_for_its_time(
    machines: tuple[Machine, Machine],
) -> None:
    one, other = machines
    lock = one.store.lock("etl")
    other.turned.ticks += 29.999
    with pytest.raises(Conflict):
        other.store.lock("etl")
    other.turned.ticks += 0.001
    assert other.store.lock("etl").token > lock.token


@pytest.mark.parametrize("jump", [-DAY, DAY, 3650 * DAY])
def test_a_clock_that_jumps_ends_no_lease_of_the_same_machine(machines: tuple[Machine, Machine], jump: float) -> None:
    one, other = machines
    lock = one.store.lock("etl")
    for machine in machines:
        machine.turned.wall += jump
    with pytest.raises(Conflict):
        other.store.lock("etl")
    assert lock.held()
    one.store.begin("1", "etl", {}, lock=lock)
    assert other.store.load("1").state == "running"


def test_a_watcher_elsewhere_waits_for_a_whole_lease_without_a_change(
    storage: MemoryStorage, machines: tuple[Machine, Machine]
) -> None:
    one, other = machines
    lock = one.store.lock("etl")
    move_away(storage, lock_path(storage))
    other.turned.ticks += 1e6  # what its clock shows has nothing to do with that of the holder
    with pytest.raises(Conflict):
        other.store.lock("etl")
    other.turned.ticks += 29.0
    with pytest.raises(Conflict):
        other.store.lock("etl")
    assert lock.renew()  # a change: the watch begins anew
    other.turned.ticks += 29.0
    with pytest.raises(Conflict):
        other.store.lock("etl")
    other.turned.ticks += 29.999
    with pytest.raises(Conflict):
        other.store.lock("etl")
    other.turned.ticks += 0.001
    assert other.store.lock("etl").token > lock.token
    assert not lock.renew()
    assert not lock.held()


def test_who_waits_watches(storage: MemoryStorage, machines: tuple[Machine, Machine]) -> None:
    one, other = machines
    one.store.lock("etl")
    move_away(storage, lock_path(storage))
    with pytest.raises(Conflict) as caught:
        other.store.lock("etl", wait=20.0)
    assert "process 7 on elsewhere since 2023-11-14" in str(caught.value)
    assert 19.99 < other.turned.slept < 20.01
    assert other.store.lock("etl", wait=60.0).held()
    assert other.turned.slept < 33.0


@pytest.mark.parametrize("apart", [-59.0, 0.0, 59.0])
def test_who_comes_late_goes_by_the_time_of_day_with_room_for_clocks_that_differ(apart: float) -> None:
    storage = MemoryStorage()
    one, other = Machine(storage, ahead=apart), Machine(storage)
    one.store.lock("etl")
    move_away(storage, lock_path(storage))
    other.turned.wall += 30.0 + 60.0 + apart - 0.01
    with pytest.raises(Conflict):
        other.store.lock("etl")
    fresh = Machine(storage)
    fresh.turned.wall = other.turned.wall + 0.02
    assert fresh.store.lock("etl").held()
    for machine in (one, other, fresh):
        machine.store.close()


def test_a_process_that_has_gone_is_seen_at_once_on_its_machine(storage: MemoryStorage) -> None:
    one, other = Machine(storage), Machine(storage)
    one.store.lock("etl")
    path = lock_path(storage)
    rewrite(storage, path, holder={**_content(storage, path)["holder"], "pid": 2**22 + 1})  # above the largest there is
    assert other.store.lock("etl").held()
    # The same number, but of a process that began at another time.
    rewrite(storage, path, holder={**_content(storage, path)["holder"], "started": "1"})
    assert one.store.lock("etl").held()
    one.store.close()
    other.store.close()


def _content(storage: MemoryStorage, path: str) -> dict[str, Any]:
    from odibi_objects.documents import decode

    return decode(storage.read(path), path, "lease")


# --- how long it counts as held -------------------------------------------------------------------------------------


def test_a_lock_counts_as_lost_before_anybody_may_take_it(machines: tuple[Machine, Machine]) -> None:
    one, other = machines
    lock = one.store.lock("etl")
    one.store.begin("1", "etl", {}, lock=lock)
    one.turned.ticks += 23.9
    assert lock.held()
    one.store.append("1", [result("a", 1)])
    one.turned.ticks += 0.2
    assert not lock.held()
    for call in (
        lambda: one.store.append("1", [result("a", 2)]),
        lambda: one.store.append("1", []),
        lambda: one.store.finish("1", "succeeded", {"orders": 1}),
        lambda: one.store.begin("2", "etl", {}, lock=lock),
    ):
        with pytest.raises(Conflict):
            call()
    assert not [stat.path for stat in other.store.connection.list() if "/ending/" in stat.path]
    other.turned.ticks += 24.1
    with pytest.raises(Conflict):
        other.store.lock("etl")
    # Nobody has taken it, so nothing is lost: it goes on as soon as the storage can be reached again.
    assert lock.renew()
    assert lock.held()
    one.store.append("1", [result("a", 3)])
    one.store.finish("1", "succeeded", {"orders": 1})
    assert [record["value"] for record in other.store.load("1").outcomes] == [1, 3]


def until(is_so: Any) -> None:
    deadline = time.monotonic() + 30.0
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_is_renewed_for_as_long_as_its_process_lives(storage: MemoryStorage) -> None:
    store = StorageCheckpoints(connection=storage, prefix="s", lease=0.15)
    lock = store.lock("etl")
    path = lock_path(storage)
    etags = {storage.stat(path).etag}

    def renewed() -> bool:
        etags.add(storage.stat(path).etag)
        return len(etags) > 4

    until(renewed)
    lock.release()
    lock.release()
    assert not lock.held()
    assert not lock.renew()
    assert store.lock("etl").held()
    store.close()
    assert _content(storage, path)["free"]


def test_it_goes_on_trying_while_the_storage_cannot_be_reached(
    storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    wrapped = Wrapped(storage)
    store = StorageCheckpoints(connection=wrapped, prefix="s", lease=0.15)
    with caplog.at_level(logging.WARNING, "odibi.checkpoint"):
        lock = store.lock("etl")
        wrapped.broken = True
        until(lambda: wrapped.refused > 3 and not lock.held())
        wrapped.broken = False
        until(lock.held)
    assert caplog.text.count("could not be renewed yet") == 1
    lock.release()
    assert _content(storage, lock_path(storage))["free"]


def test_who_was_overtaken_hears_of_it(machines: tuple[Machine, Machine], caplog: pytest.LogCaptureFixture) -> None:
    one, other = machines
    lock = one.store.lock("etl")
    other.turned.ticks += 30.0
    newer = other.store.lock("etl")
    assert lock.held()
    with caplog.at_level(logging.WARNING, "odibi.checkpoint"):
        assert not lock.renew()
    assert "another process took over the lock of pipeline 'etl'" in caplog.text
    assert not lock.held()
    lock.release()
    assert newer.renew()


def test_a_lock_that_cannot_be_given_back_ends_by_itself(
    storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    wrapped = Wrapped(storage)
    one, other = Machine(wrapped), Machine(storage)
    lock = one.store.lock("etl")
    wrapped.fail(0, transient)
    with caplog.at_level(logging.WARNING, "odibi.checkpoint"):
        lock.release()
    assert "could not be given back, and ends in 30 s" in caplog.text
    assert not lock.held()
    with pytest.raises(Conflict):
        other.store.lock("etl")
    one.store.lock("etl").release()  # who gave it back does not wait for itself
    other.store.lock("etl").release()
    lock = one.store.lock("etl")
    wrapped.fail(0, transient)
    lock.release()
    wrapped.fail(None)
    one.store.close()  # tries once more
    other.store.lock("etl").release()
    other.store.close()


# --- objects that are damaged, or gone ------------------------------------------------------------------------------


def test_a_damaged_lock_is_waited_for_and_then_taken(storage: MemoryStorage, machines: tuple[Machine, Machine]) -> None:
    one, other = machines
    lock = one.store.lock("etl")
    storage.damage(lock_path(storage), lambda data: data[:-3] + b"???")
    with pytest.raises(Conflict):
        other.store.lock("etl")
    other.turned.pass_(29.9)
    with pytest.raises(Conflict):
        other.store.lock("etl")
    other.turned.pass_(0.1)
    newer = other.store.lock("etl")
    assert newer.token > lock.token
    assert not lock.renew()


def test_who_holds_a_lock_that_was_removed_begins_nothing(
    storage: MemoryStorage, machines: tuple[Machine, Machine]
) -> None:
    one, other = machines
    lock = one.store.lock("etl")
    storage.delete(lock_path(storage))
    with pytest.raises(Conflict):
        one.store.begin("1", "etl", {}, lock=lock)
    assert list(other.store.runs()) == []
    assert not lock.renew()
    other.turned.pass_(0.001)
    assert other.store.lock("etl").token > lock.token


def test_a_lock_that_was_lost_takes_nothing_along(storage: MemoryStorage, machines: tuple[Machine, Machine]) -> None:
    """Whoever takes over ends the run, once and for all, and its results stay."""
    one, other = machines
    lock = one.store.lock("etl")
    one.store.begin("1", "etl", {}, lock=lock)
    one.store.append("1", [result("a", 1)])
    other.turned.ticks += 30.0
    other.store.lock("etl").release()
    assert other.store.load("1").state == "interrupted"
    assert not [path for path in storage.objects if "/open/" in path]
    with pytest.raises(Conflict) as caught:
        one.store.append("1", [result("a", 2)])
    assert "was taken for dead" in str(caught.value)
    assert other.store.results("etl") == {"a": {**result("a", 1), "run_id": "1"}}


# --- what is newer, where clocks differ -----------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [DAY, -DAY])
@pytest.mark.parametrize("dies", [False, True])
def test_what_was_written_later_is_newer_whatever_the_clocks_say(ahead: float, dies: bool) -> None:
    storage = MemoryStorage()
    one, other = Machine(storage, ahead=ahead), Machine(storage)
    for number in range(3):
        first = one.store.lock("etl")
        one.store.begin(f"{number}-1", "etl", {}, lock=first)
        one.store.append(f"{number}-1", [result("a", 2 * number), result("b", number)])
        one.store.finish(f"{number}-1", "succeeded", {"orders": 2 * number})
        if dies:
            other.turned.ticks = one.turned.ticks + 40.0
        else:
            first.release()
        second = other.store.lock("etl")
        other.store.begin(f"{number}-2", "etl", {}, lock=second)
        other.store.append(f"{number}-2", [result("a", 2 * number + 1)])
        other.store.finish(f"{number}-2", "succeeded", {"orders": 2 * number + 1})
        for machine in (one, other):
            found = machine.store.results("etl")
            assert (found["a"]["value"], found["b"]["value"]) == (2 * number + 1, number)
            assert machine.store.offset("orders") == 2 * number + 1
        second.release()
        one.store.forget("etl", ["b"])
        assert set(other.store.results("etl")) == {"a"}
    one.store.close()
    other.store.close()


@pytest.mark.parametrize("ahead", [DAY, -DAY])
def test_offsets_of_one_stream_move_on_in_runs_of_several_pipelines(ahead: float) -> None:
    storage = MemoryStorage()
    machines = Machine(storage, ahead=ahead), Machine(storage)
    for number in range(6):
        machine = machines[number % 2]
        machine.store.begin(f"{number}", f"pipeline {number % 2}", {})
        machine.store.finish(f"{number}", "succeeded", {"orders": number})
        assert [each.store.offset("orders") for each in machines] == [number, number]


# --- runs without a lock --------------------------------------------------------------------------------------------


def test_a_run_without_a_lock_on_another_machine_is_taken_for_dead_after_a_week(storage: MemoryStorage) -> None:
    one, other = Machine(storage), Machine(storage)
    one.store.begin("1", "etl", {})
    one.store.append("1", [result("a", 1)])
    for path in list(storage.objects):
        if "/open/" in path or path.endswith("/00000000"):
            move_away(storage, path)
    other.turned.wall += 6.9 * DAY
    assert other.store.load("1").state == "running"
    other.store.lock("etl").release()
    with pytest.raises(Conflict):
        other.store.remove("1")
    storage.now += 0.2 * DAY  # a sign of life
    one.store.append("1", [result("a", 2)])
    other.turned.wall += 0.2 * DAY
    assert other.store.load("1").state == "running"
    other.turned.wall += 7 * DAY
    assert other.store.load("1").state == "interrupted"
    other.store.lock("etl").release()
    with pytest.raises(Conflict):
        one.store.append("1", [result("a", 3)])
    assert other.store.results("etl")["a"]["value"] == 2
    assert other.store.prune(0) == 0  # the newest run, and interrupted
    other.store.remove("1")
    assert list(other.store.runs()) == []


@pytest.mark.parametrize("last", [0, 1])
def test_two_stores_may_write_to_a_run_that_needs_no_lock(storage: MemoryStorage, last: int) -> None:
    one, other = Machine(storage), Machine(storage)
    one.store.begin("1", "etl", {})
    for number in range(4):
        (one, other)[number % 2].store.append("1", [result("a", number)])
    one.store.append("1", [result("b", 9)])
    (one, other)[last].store.finish("1", "failed")
    for machine in (one, other):
        with pytest.raises(Conflict):
            machine.store.append("1", [result("b", 10)])
    assert [record["value"] for record in one.store.load("1").outcomes] == [0, 1, 2, 3, 9]
    found = one.store.results("etl")
    assert (found["a"]["value"], found["b"]["value"]) == (3, 9)


def test_an_error_of_the_storage_while_taking_over_gives_the_lock_back(
    storage: MemoryStorage, machines: tuple[Machine, Machine]
) -> None:
    wrapped = Wrapped(storage)
    third = Machine(wrapped)
    wrapped.fail(2, transient)  # taken with a look and a write; then the listing of open runs
    with pytest.raises(StorageError):
        third.store.lock("etl")
    machines[0].store.lock("etl").release()
    third.store.close()
