"""How many requests each call makes, and what several machines make of one cache."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, BinaryIO

import pytest
from storages import MemoryStorage, Wrapped
from turning import Turned, move_away

from odibi.errors import Conflict
from odibi_objects.cache import StorageCache
from odibi_objects.entries import shard_of


def writing(data: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(data)


class Machine:
    """A cache with clocks of its own, that says what its calls cost."""

    def __init__(self, storage: MemoryStorage, *, ahead: float = 0.0, **options: Any) -> None:
        self.turned = Turned(1_700_000_000.0 + ahead)
        self.storage = Wrapped(storage)
        self.cache = StorageCache(connection=self.storage, prefix="c", parallel=4, **options)
        self.turned.drive(self.cache.clock)

    def requests(self, call: Callable[[StorageCache], Any]) -> int:
        self.storage.asked.clear()
        call(self.cache)
        return self.storage.requests


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


def test_each_call_makes_few_requests(storage: MemoryStorage) -> None:
    machine = Machine(storage)
    cache = machine.cache
    leases: list[Any] = []
    keys = [f"{number:064x}" for number in range(1000)]
    assert machine.requests(lambda cache: cache.get("a")) == 1
    assert machine.requests(lambda cache: leases.append(cache.lease("a", 60.0))) == 1
    assert machine.requests(lambda cache: leases.append(cache.renew(leases[0], 60.0))) == 1
    assert machine.requests(lambda cache: cache.put("a", writing(b"x"), lease=leases[1])) == 3
    assert machine.requests(lambda cache: cache.release(leases[1])) == 1
    assert machine.requests(lambda cache: cache.put("b", writing(b"x"))) == 2
    assert machine.requests(lambda cache: cache.put("b", writing(b"y"))) == 3
    assert machine.requests(lambda cache: cache.get("a")) == 2
    assert machine.requests(lambda cache: cache.find(["a"])) == 1
    assert machine.requests(lambda cache: cache.find(keys)) == 16
    for key in keys[::2]:
        cache.put(key, writing(b"x"))
    found: list[Any] = []
    assert machine.requests(lambda cache: found.append(cache.find(keys))) == 16
    assert found == [set(keys[::2])]
    assert machine.storage.asked["read"] == machine.storage.asked["open"] == 0
    assert machine.requests(lambda cache: cache.delete("b")) == 2
    assert machine.requests(lambda cache: cache.stats()) == 16 + 1
    assert machine.requests(lambda cache: cache.evict(10_000)) == 16 + 1
    assert machine.requests(lambda cache: cache.purge_expired()) == 16 + 2 + 1 + 1
    assert machine.requests(lambda cache: cache.close()) == 1
    assert Machine(storage).requests(lambda cache: cache.stats()) == 16 + 1 + 1


def test_who_waits_for_a_lease_asks_cheaply(storage: MemoryStorage) -> None:
    one, other = Machine(storage), Machine(storage)
    assert one.cache.lease("a", 60.0) is not None
    assert other.requests(lambda cache: cache.lease("a", 60.0)) == 5
    assert other.requests(lambda cache: cache.lease("a", 60.0)) == 2


def test_a_few_keys_among_very_many_others_are_asked_for_one_by_one(storage: MemoryStorage) -> None:
    machine = Machine(storage)
    many = [key for number in range(60_000) if shard_of(key := f"k{number:05}") == "0"]
    assert len(many) > 3000
    put = machine.cache.put("k00000", writing(b"x"))
    (path,) = (path for path in storage.objects if "/entries/" in path)
    kept = storage.objects.pop(path)
    for key in many:  # put by hand, which is faster
        storage.objects[path.replace(f"{shard_of('k00000')}/k00000!", f"0/{key}!")] = kept
    assert put.size == 1
    wanted = [many[0], many[-2], many[-1]]
    found: list[Any] = []
    assert machine.requests(lambda cache: found.append(cache.find([*wanted, "nothing"]))) <= 8
    assert found == [set(wanted)]


def test_a_large_content_goes_through_a_file(storage: MemoryStorage) -> None:
    cache = Machine(storage).cache
    part = bytes(range(256)) * 4096

    def writer(file: BinaryIO) -> None:
        file.writelines(part for _ in range(40))

    assert cache.put("a", writer).size == 40 << 20
    found = cache.get("a")
    assert found is not None
    assert found.data[-len(part) :] == part
    assert found.data.nbytes == 40 << 20


# --- counts and uses of several machines ----------------------------------------------------------------------------


def test_what_was_counted_shows_after_a_while_and_at_the_end(storage: MemoryStorage) -> None:
    one, other = Machine(storage), Machine(storage)
    one.cache.put("a", writing(b"x"))
    one.cache.get("a")
    one.cache.get("b")
    assert (one.cache.stats().hits, other.cache.stats().hits) == (1, 0)
    one.turned.pass_(299.0)
    one.cache.get("a")
    assert other.cache.stats().hits == 0
    one.turned.pass_(1.0)
    one.cache.get("a")
    assert (other.cache.stats().hits, other.cache.stats().misses, other.cache.stats().puts) == (3, 1, 1)
    one.cache.get("a")
    assert other.cache.stats().hits == 3
    one.cache.close()
    assert other.cache.stats().hits == one.cache.stats().hits == 4
    one.cache.get("a")
    one.cache.close()
    one.cache.close()
    assert other.cache.stats().hits == one.cache.stats().hits == 5


def test_uses_of_others_count_when_something_has_to_go(storage: MemoryStorage) -> None:
    one, other = Machine(storage), Machine(storage)
    for key in "abc":
        one.cache.put(key, writing(b"x" * 10))
        one.turned.pass_(1.0)
    other.turned.pass_(10.0)
    other.cache.get("a")
    other.cache.close()
    assert one.cache.evict(20) == 1
    assert one.cache.find("abc") == {"a", "c"}


def test_finished_tallies_are_added_up(storage: MemoryStorage) -> None:
    keys = [f"k{number}" for number in range(40)]
    for key in keys:
        machine = Machine(storage, ahead=float(keys.index(key)))
        machine.cache.put(key, writing(b"x"))
        machine.cache.get(key)
        machine.cache.get("nothing")
        machine.cache.close()
    assert len([path for path in storage.objects if "/tallies/" in path]) == 40
    machine = Machine(storage, ahead=1000.0)
    before = machine.cache.stats()
    used = {entry.key: entry.used for entry in machine.cache.entries()}
    machine.cache.delete("k0")
    machine.cache.purge_expired()
    assert len([path for path in storage.objects if "/tallies/" in path]) == 1
    after = machine.cache.stats()
    assert (after.hits, after.misses, after.puts) == (before.hits, before.misses, before.puts) == (40, 40, 40)
    assert {entry.key: entry.used for entry in machine.cache.entries()} == {k: u for k, u in used.items() if k != "k0"}
    # Somebody who is killed between the two steps of it leaves both, and nothing counts twice.
    for number in range(20):
        another = Machine(storage, ahead=2000.0 + number)
        another.cache.get("k1")
        another.cache.close()
    kept = {path: object_ for path, object_ in storage.objects.items() if "/tallies/" in path}
    machine.cache.purge_expired()
    storage.objects.update({path: object_ for path, object_ in kept.items() if not path.endswith("/sum")})
    assert machine.cache.stats().hits == 60
    machine.cache.purge_expired()
    assert machine.cache.stats().hits == 60


def test_a_tally_that_changes_still_is_not_added_up(storage: MemoryStorage) -> None:
    """Nor is that of one who was killed, before it is old."""
    for _ in range(20):
        machine = Machine(storage, count_every=0)
        machine.cache.get("nothing")
    storage.now = machine.turned.wall
    machine.cache.purge_expired()
    assert len([path for path in storage.objects if "/tallies/" in path]) == 20
    machine.turned.wall += 86_401.0
    machine.cache.purge_expired()
    assert len([path for path in storage.objects if "/tallies/" in path]) == 2
    assert machine.cache.stats().misses == 20


def test_who_counts_for_days_counts_each_thing_once(storage: MemoryStorage) -> None:
    one, other = Machine(storage, count_every=0), Machine(storage)
    for _ in range(30):
        one.cache.get("nothing")
        one.turned.pass_(3600.0)
        storage.now = one.turned.wall
    assert len([path for path in storage.objects if "/tallies/" in path]) == 5
    assert other.cache.stats().misses == one.cache.stats().misses == 30


def test_a_damaged_tally_is_left_out(storage: MemoryStorage, caplog: pytest.LogCaptureFixture) -> None:
    one, other = Machine(storage), Machine(storage)
    for machine in (one, other):
        machine.cache.get("nothing")
        machine.cache.close()
    path = next(path for path in storage.objects if "/tallies/" in path)
    storage.damage(path, lambda data: data[:-1])
    assert Machine(storage).cache.stats().misses == 1
    assert "the counts of a user of the cache are left out" in caplog.text


def test_a_bound_is_kept_without_listing_for_each_put(storage: MemoryStorage) -> None:
    machine = Machine(storage, max_size="1000B")
    machine.cache.put("k0", writing(bytes(100)))
    for number in range(1, 30):
        machine.turned.pass_(1.0)
        assert machine.requests(lambda cache, n=number: cache.put(f"k{n}", writing(bytes(100)))) <= 3  # type: ignore[misc]
        assert machine.cache.get("k0") is not None
    assert machine.cache.stats().bytes == 1000
    assert machine.cache.find([f"k{number}" for number in range(30)]) == {"k0", *(f"k{n}" for n in range(21, 30))}
    # What others put shows with the next listing.
    other = Machine(storage, ahead=1000.0)
    for number in range(5):
        other.cache.put(f"other{number}", writing(bytes(100)))
    machine.turned.pass_(700.0)
    machine.cache.put("last", writing(bytes(100)))
    assert machine.cache.stats().bytes == 1000
    machine.cache.delete("last")
    machine.cache.put("more", writing(bytes(100)))
    assert machine.cache.stats().bytes == 1000
    assert machine.cache.stats().evictions == 20 + 5 + 1


# --- leases of several machines -------------------------------------------------------------------------------------


def lease_path(storage: MemoryStorage) -> str:
    (path,) = (path for path in storage.objects if "/leases/" in path)
    return path


def test_a_lease_of_another_machine_ends_by_the_watchers_own_clock(storage: MemoryStorage) -> None:
    one, other = Machine(storage, ahead=-50.0), Machine(storage)
    lease = one.cache.lease("a", 10.0)
    assert lease is not None
    move_away(storage, lease_path(storage))
    assert other.cache.lease("a", 10.0) is None
    other.turned.ticks += 9.99
    assert other.cache.lease("a", 10.0) is None
    other.turned.ticks += 0.01
    newer = other.cache.lease("a", 10.0)
    assert newer is not None
    assert newer.token > lease.token
    with pytest.raises(Conflict, match="the lease was lost to process"):
        one.cache.put("a", writing(b"late"), lease=lease)
    assert one.cache.renew(lease, 10.0) is None


def test_a_lease_of_another_machine_is_over_for_who_comes_late(storage: MemoryStorage) -> None:
    one, other = Machine(storage), Machine(storage, clock_skew="5s")
    assert one.cache.lease("a", 10.0) is not None
    move_away(storage, lease_path(storage))
    other.turned.wall += 14.9
    assert other.cache.lease("a", 10.0) is None
    other.turned.wall += 0.2
    assert other.cache.lease("a", 10.0) is not None


def test_leases_that_nobody_holds_are_removed_after_a_day(storage: MemoryStorage) -> None:
    machine = Machine(storage)
    released = machine.cache.lease("released", 60.0)
    assert released is not None
    machine.cache.release(released)
    ended, held = machine.cache.lease("ended", 60.0), machine.cache.lease("held", 10 * 86_400.0)
    assert ended is not None
    assert held is not None

    def leases() -> set[str]:
        return {path.rpartition("/")[2] for path in storage.objects if "/leases/" in path}

    machine.cache.purge_expired()
    assert leases() == {"released", "ended", "held"}
    machine.turned.pass_(86_500.0)
    machine.cache.purge_expired()
    assert leases() == {"held"}
    for old in (released, ended):
        assert machine.cache.renew(old, 10.0) is None
        newer = machine.cache.lease(old.key, 10.0)
        assert newer is not None
        assert newer.token > old.token
        with pytest.raises(Conflict):
            machine.cache.put(old.key, writing(b"late"), lease=old)
    assert machine.cache.lease("held", 10.0) is None


def test_a_damaged_entry_that_was_replaced_meanwhile_is_not_taken_for_it(
    storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    """The new one has a name of its own, so that removing the old one cannot hit it."""
    one, other = Machine(storage), Machine(storage)
    one.cache.put("a", writing(b"old"))
    (path,) = (path for path in storage.objects if "/entries/" in path)
    storage.damage(path, lambda data: b"?" + data[1:])

    class Replaced(Wrapped):
        def read(self, path: str) -> bytes:
            data = super().read(path)
            if "/entries/" in path and not self.asked["replaced"]:
                self.asked["replaced"] += 1
                other.cache.put("a", writing(b"new"))
            return data

    one.cache.connection = Replaced(storage)
    with caplog.at_level(logging.WARNING, "odibi.cache"):
        assert one.cache.get("a") is None
    assert caplog.text.count("the entry a of the cache is damaged") == 1
    found = one.cache.get("a")
    assert found is not None
    assert bytes(found.data) == b"new"


def test_entries_live_as_long_as_the_cache_says(storage: MemoryStorage) -> None:
    machine = Machine(storage, ttl="1h")
    assert machine.cache.put("a", writing(b"x")).expires == machine.turned.wall + 3600.0
    assert machine.cache.put("b", writing(b"x"), 10.0).expires == machine.turned.wall + 10.0
    machine.turned.pass_(3599.0)
    assert machine.cache.find("ab") == {"a"}
    machine.turned.pass_(1.0)
    assert machine.cache.find("ab") == set()


@pytest.mark.parametrize("bad", [{"label": "x" * 513}, {"ttl": -1.0}, {"ttl": float("nan")}])
def test_what_cannot_be_kept_is_refused(storage: MemoryStorage, bad: dict[str, Any]) -> None:
    machine = Machine(storage)
    with pytest.raises(ValueError, match=r"a label has at most 512 bytes|is no time to live"):
        machine.cache.put("a", writing(b"x"), **bad)
    lease = machine.cache.lease("a", 10.0)
    with pytest.raises(ValueError, match="the lease is for 'a', not for 'b'"):
        machine.cache.put("b", writing(b"x"), lease=lease)
    assert list(machine.cache.entries()) == []
