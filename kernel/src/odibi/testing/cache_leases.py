"""The tests of leases, and of many users of a cache at once; :mod:`odibi.testing.cache` has the others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import BinaryIO

import pytest

from odibi.contracts.cache import Cache, Lease
from odibi.errors import Conflict
from odibi.testing.cache_store import PATIENCE, CacheBase, Opened, Warnings, content, in_threads, keys_of, writing
from odibi.testing.component import needs

_SINGLE_FLIGHT = """
import time
print("ready", flush=True)
input()
for number in range(25):
    key = f"k{number}"
    until = time.monotonic() + 60
    while (found := cache.get(key)) is None:
        assert time.monotonic() < until, "nobody computes it"
        lease = cache.lease(key, 60.0)
        if lease is None:
            time.sleep(0.001)
            continue
        if not cache.find([key]):
            print(key, flush=True)
            cache.put(key, lambda file: file.write(key.encode() * 1000), label=key, lease=lease)
        cache.release(lease)
    assert (bytes(found.data), found.label) == (key.encode() * 1000, key)
cache.close()
"""

_HAMMER = """
import sys, time
from random import Random
random = Random(int(sys.argv[1]))
keys = "abcdef"

def put(key):
    letter = f"{key}{random.randrange(10)}".encode()
    data = letter * random.choice([0, 50, 35_000, 600_000])
    label = f"{letter.decode()} {len(data)}"
    cache.put(key, lambda file: file.write(data), random.choice([None, 0.001, 60]), label=label)

def get(key):
    found = cache.get(key)
    if found is not None:
        letter, size = found.label.split()
        assert letter[0] == key, "another key's content"
        assert found.data == letter.encode() * (int(size) // 2), "other content"

acts = [put, put, get, get, get, get, get, cache.delete]
acts.append(lambda key: cache.evict(random.choice([0, 100, 1_000_000])))
acts.append(lambda key: cache.find(keys))
acts.append(lambda key: [entry.key for entry in cache.entries()])
acts.append(lambda key: cache.purge_expired())
acts.append(lambda key: cache.stats())
print("ready", flush=True)
input()
until = time.monotonic() + 2.5
while time.monotonic() < until:
    random.choice(acts)(random.choice(keys))
cache.close()
"""

_STOP_HALF_WAY = """
lease = cache.lease("new", 3600.0)
def writer(file):
    file.write(b"half" * 500_000)
    file.flush()
    print("half", flush=True)
    input()
cache.put("new" if lease else "", writer, lease=lease)
"""


class CacheLeaseTests(CacheBase):
    """Tests of leases, and of many users at once."""

    # --- leases -----------------------------------------------------------------------------------------------------

    def test_one_holds_a_lease(self, store: Opened) -> None:
        """Until it gives it back; other keys are other leases."""
        one, other = store.open(), store.open()
        lease = one.lease("key", 60.0)
        assert lease is not None
        assert lease.key == "key"
        assert lease.expires == pytest.approx(store.now() + 60.0, abs=5.0)
        assert other.lease("key", 60.0) is None
        assert one.lease("key", 60.0) is None
        assert other.lease("other", 60.0) is not None
        one.release(lease)
        again = other.lease("key", 60.0)
        assert again is not None
        assert again.token > lease.token

    def test_a_lease_is_no_entry(self, store: Opened) -> None:
        """And an entry that goes takes no lease along."""
        cache = store.open()
        assert cache.lease("key", 60.0) is not None
        assert cache.get("key") is None
        assert list(cache.entries()) == []
        cache.put("key", writing(b"x"))
        cache.delete("key")
        cache.evict(0)
        assert cache.lease("key", 60.0) is None

    def test_a_lease_ends_at_the_very_second(self, store: Opened) -> None:
        """By itself."""
        cache, other = store.open(), store.open()
        first = cache.lease("key", 10)
        assert first is not None
        assert first.expires == pytest.approx(store.now() + 10, abs=1e-3)
        store.clock.now = first.expires - 0.001
        assert other.lease("key", 10) is None
        store.clock.now = first.expires
        second = other.lease("key", 10)
        assert second is not None
        assert second.token > first.token

    def test_tokens_grow_for_ever(self, store: Opened) -> None:
        """However a lease ended, and whoever had it."""
        tokens = []
        for number in range(12):
            cache = store.open()
            lease = cache.lease("key", 10)
            assert lease is not None
            tokens.append(lease.token)
            if number % 3 == 0 or not store.has_clock:
                cache.release(lease)
            elif number % 3 == 1:
                store.clock.advance(10)
            else:
                cache.put("key", writing(b"x"), lease=lease)
                cache.release(lease)
                cache.delete("key")
                cache.purge_expired()
            cache.close()
        assert tokens == sorted(set(tokens))

    def test_a_lease_can_be_renewed(self, store: Opened) -> None:
        """From now on, with its token, as often as one likes."""
        cache, other = store.open(), store.open()
        lease = cache.lease("key", 10)
        assert lease is not None
        for _ in range(3):
            store.clock.advance(9)
            renewed = cache.renew(lease, 10)
            assert renewed is not None
            assert (renewed.key, renewed.token) == (lease.key, lease.token)
            assert renewed.expires == pytest.approx(store.now() + 10, abs=1e-3)
            store.clock.advance(0.5)
            assert other.lease("key", 10) is None
        store.clock.advance(9.5)
        assert other.lease("key", 10) is not None

    def test_a_lost_lease_is_lost(self, store: Opened) -> None:
        """It can neither be renewed nor take the newer one away."""
        cache, other = store.open(), store.open()
        old = cache.lease("key", 10)
        assert old is not None
        store.clock.advance(10)
        new = other.lease("key", 10)
        assert new is not None
        assert cache.renew(old, 100) is None
        cache.release(old)
        assert cache.lease("key", 10) is None
        other.release(new)
        assert cache.renew(old, 100) is None
        assert other.lease("key", 10) is not None

    def test_giving_back_twice_does_nothing(self, store: Opened) -> None:
        """Even if somebody else has it by then."""
        cache, other = store.open(), store.open()
        lease = cache.lease("key", 10)
        assert lease is not None
        cache.release(lease)
        assert cache.renew(lease, 10) is None
        newer = other.lease("key", 10)
        cache.release(lease)
        assert newer is not None
        assert cache.lease("key", 10) is None

    def test_a_late_lease_is_lost_or_goes_on(self, store: Opened) -> None:
        """But nobody else has it at the same time."""
        cache, other = store.open(), store.open()
        lease = cache.lease("key", 10)
        assert lease is not None
        store.clock.advance(11)
        renewed = cache.renew(lease, 10)
        taken = other.lease("key", 10)
        assert (renewed is None) != (taken is None)

    def test_a_put_under_a_lease_is_fenced(self, store: Opened) -> None:
        """Under the newest one it is made; under an older one nothing is stored."""
        cache, other = store.open(), store.open()
        old = cache.lease("key", 10)
        assert old is not None
        cache.put("key", writing(b"first"), label="first", lease=old)
        assert content(cache, "key") == b"first"
        assert other.lease("key", 10) is None
        store.clock.advance(10)
        cache.put("key", writing(b"late, but nobody else"), lease=old)
        new = other.lease("key", 10)
        assert new is not None
        before = cache.stats()
        for key_there in (True, False):
            with pytest.raises(Conflict):
                cache.put("key", writing(b"too late"), lease=old)
            assert content(cache, "key") == (b"late, but nobody else" if key_there else None)
            assert cache.stats().puts == before.puts
            cache.delete("key")
        other.put("key", writing(b"second"), lease=new)
        other.release(new)
        with pytest.raises(Conflict):
            cache.put("key", writing(b"too late"), lease=old)
        assert content(cache, "key") == b"second"
        cache.put("key", writing(b"by nobody in particular"))
        assert content(cache, "key") == b"by nobody in particular"

    def test_a_lease_lost_while_writing_is_lost(self, store: Opened) -> None:
        """It is checked when the content is whole, not when the writing begins."""
        cache, other = store.open(), store.open()
        lease = cache.lease("key", 10)
        assert lease is not None

        def writer(file: BinaryIO) -> None:
            file.write(b"too late")
            cache.release(lease)
            assert other.lease("key", 10) is not None

        with pytest.raises(Conflict):
            cache.put("key", writer, lease=lease)
        assert cache.get("key") is None

    # --- all at once ------------------------------------------------------------------------------------------------

    def test_of_many_one_gets_the_lease(self, store: Opened) -> None:
        """Whatever they share."""
        caches = [store.open() for _ in range(3)]
        for number in range(15):

            def take(index: int, key: str = f"k{number}") -> Lease | None:
                return caches[index % 3].lease(key, 60.0)

            leases = in_threads(6, take)
            assert len([lease for lease in leases if lease is not None]) == 1

    def test_each_key_is_computed_once(self, store: Opened) -> None:
        """By those who keep to the leases."""
        caches = [store.open() for _ in range(2)]
        computed: list[str] = []

        def work(index: int) -> list[bytes]:
            cache = caches[index % 2]
            results = []
            for number in range(12):
                key = f"k{number}"
                until = time.monotonic() + PATIENCE
                while (found := content(cache, key)) is None:
                    assert time.monotonic() < until, "nobody computes it"
                    lease = cache.lease(key, 60.0)
                    if lease is None:
                        time.sleep(0.001)
                        continue
                    if not cache.find([key]):
                        computed.append(key)
                        cache.put(key, writing(key.encode() * 100), lease=lease)
                    cache.release(lease)
                results.append(found)
            return results

        expected = [f"k{number}".encode() * 100 for number in range(12)]
        assert in_threads(4, work) == [expected] * 4
        assert sorted(computed) == sorted(f"k{number}" for number in range(12))

    def test_threads_get_in_nobodys_way(self, store: Opened) -> None:
        """Whatever they do, what is read is one put's content with that put's label, whole."""
        caches = [store.open() for _ in range(2)]
        keys = ["a", "b", "c"]
        sizes = (0, 100, 70_000, 1_500_000)

        def put(cache: Cache, key: str, random: Random) -> None:
            letter = f"{key}{random.randrange(10)}".encode()
            data = letter * (random.choice(sizes) // 2)
            cache.put(key, writing(data), label=f"{letter.decode()} {len(data)}")

        def get(cache: Cache, key: str, random: Random) -> None:  # noqa: ARG001
            found = cache.get(key)
            if found is not None:
                letter, _, size = found.label.partition(" ")
                assert letter.startswith(key)
                assert found.data == letter.encode() * (int(size) // 2)

        acts: list[Callable[[Cache, str, Random], object]] = [put, get, get, get]
        acts.append(lambda cache, key, _: cache.delete(key))
        acts.append(lambda cache, _, random: cache.evict(random.choice([0, 100, 1_000_000])))
        acts.append(lambda cache, _, __: cache.find(keys))
        acts.append(lambda cache, _, __: [entry.key for entry in cache.entries()])
        acts.append(lambda cache, _, __: cache.purge_expired())
        acts.append(lambda cache, _, __: cache.stats())

        def work(index: int) -> None:
            random = Random(index)  # noqa: S311
            for _ in range(60):
                random.choice(acts)(caches[index % 2], random.choice(keys), random)

        with Warnings() as warnings:
            in_threads(4, work)
            assert list(caches[0].verify()) == []
        assert warnings.messages == []
        stats = caches[0].stats()
        entries = list(caches[0].entries())
        assert (stats.entries, stats.bytes) == (len(entries), sum(entry.size for entry in entries))
        assert stats.corrupt == 0

    @needs("shared")
    def test_processes_compute_each_key_once(self, store: Opened) -> None:
        """And each reads what one of them put."""
        cache = store.open()
        with processes(3, store, _SINGLE_FLIGHT) as started:
            computed = [line for process in started for line in ended(process).split()]
        assert sorted(computed) == sorted(f"k{number}" for number in range(25))
        assert len(keys_of(cache)) == 25
        stats = cache.stats()
        assert (stats.puts, stats.corrupt) == (25, 0)
        assert stats.hits == 75

    @needs("shared")
    def test_processes_get_in_nobodys_way(self, store: Opened) -> None:
        """Whatever they do, for some seconds, what is read is one put's content with that put's label, whole."""
        cache = store.open()
        with processes(3, store, _HAMMER) as started:
            for process in started:
                ended(process)
        with Warnings() as warnings:
            assert list(cache.verify()) == []
        assert warnings.messages == []
        entries = list(cache.entries())
        stats = cache.stats()
        assert (stats.entries, stats.bytes) == (len(entries), sum(entry.size for entry in entries))
        assert stats.corrupt == 0
        assert stats.hits > 0

    @needs("shared")
    def test_a_killed_writer_leaves_nothing(self, store: Opened) -> None:
        """Nothing that shows, and nothing that is in the way of the next.

        Its lease ends when its time is up at the latest; a cache that knows of its death may end it before.
        """
        cache = store.open()
        cache.put("there", writing(b"old"))
        with processes(1, store, _STOP_HALF_WAY, said="half") as (process,):
            process.kill()
            process.wait(PATIENCE)
        assert keys_of(cache) == ["there"]
        assert cache.get("new") is None
        assert cache.find(["new", "there"]) == {"there"}
        lease = cache.lease("new", 10.0)
        assert cache.purge_expired() == 0
        stats = cache.stats()
        assert (stats.entries, stats.bytes, stats.puts) == (1, 3, 1)
        cache.put("new", writing(b"by another"), lease=lease)
        assert content(cache, "new") == b"by another"
        assert content(cache, "there") == b"old"


@contextmanager
def processes(count: int, store: Opened, code: str, *, said: str = "ready") -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that run ``code`` with a cache of their own, all of which have said their word; then they go on."""
    source = f"{store.process_code()}\n{code}"
    started = [
        subprocess.Popen(  # noqa: S603 - what runs is this module's own text and the store's
            [sys.executable, "-c", source, str(index)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        for index in range(count)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == said
        if said == "ready":
            for process in started:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def ended(process: subprocess.Popen[str]) -> str:
    """What a process says until it ends well."""
    printed, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, "a process failed; what it says stands above"
    return printed
