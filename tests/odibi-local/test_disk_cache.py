"""What the disk cache promises beyond the contract: its options, its folder, its clock, its counts."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import given

import odibi_local.cache_files
from odibi import Host
from odibi.contracts.cache import CacheEntry, Lease
from odibi.errors import Conflict, InvalidPath, OptionError, StorageError
from odibi.testing.cache_store import Clock, content, keys_of, writing
from odibi_local.amounts import byte_count, seconds
from odibi_local.cache import DiskCache
from odibi_local.cache_index import Row

WEEK = 7 * 86400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Iterator[DiskCache]:
    cache = DiskCache.with_clock(clock, path=tmp_path / "cache")
    yield cache
    cache.close()


@pytest.fixture
def other(tmp_path: Path, clock: Clock) -> Iterator[DiskCache]:
    cache = DiskCache.with_clock(clock, path=tmp_path / "cache")
    yield cache
    cache.close()


def files_in(folder: Path) -> set[str]:
    """Drafts and files of content."""
    return {str(file.relative_to(folder / "v1")) for file in folder.glob("v1/*/*")}


def files_of(cache: DiskCache) -> set[str]:
    """The files that the index knows."""
    return {f"{odibi_local.cache_files.shard_of(raw[0])}/{raw[0]}.{raw[1]}" for raw in cache._index.rows()}


class TestOptions:
    def test_it_is_the_disk_cache(self, tmp_path: Path) -> None:
        cache = Host().build("cache", "disk", {"path": "c", "max_size": "10GB", "ttl": "7d"}, base_dir=tmp_path)
        assert isinstance(cache, DiskCache)
        assert (cache.path, cache.max_size, cache.ttl) == (str(tmp_path / "c"), 10 * 1000**3, 7 * 86400.0)

    def test_numbers_are_bytes_and_seconds(self) -> None:
        cache = Host().build("cache", "disk", {"max_size": 1000, "ttl": 90.5})
        assert (cache.max_size, cache.ttl) == (1000, 90.5)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"max_size": "10 apples"}, "max_size: '10 apples' is not a size; write a number with kB"),
            ({"max_size": 0}, "max_size: 0 is not a size of at least one byte"),
            ({"max_size": "0.1 B"}, "is not a size of at least one byte"),
            ({"max_size": -5}, "is not a size of at least one byte"),
            ({"ttl": "soon"}, "ttl: 'soon' is not a duration; write a number with ms"),
            ({"ttl": 0}, "ttl: 0.0 is not a duration of more than nothing"),
            ({"ttl": -1.0}, "is not a duration of more than nothing"),
            ({"maxsize": 1}, "Did you mean 'max_size'?"),
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_refused(self, options: dict[str, object], words: str) -> None:
        with pytest.raises(OptionError) as caught:
            Host().build("cache", "disk", options)
        assert words in str(caught.value)

    def test_building_it_touches_nothing(self, tmp_path: Path) -> None:
        DiskCache(path=tmp_path / "cache")
        assert os.listdir(tmp_path) == []

    def test_importing_the_plugin_imports_nothing_heavy(self) -> None:
        code = "import sys, odibi_local; sys.exit(any(name in sys.modules for name in ('xxhash', 'sqlite3', 'attrs')))"
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0

    def test_a_time_to_live_of_its_own(self, tmp_path: Path, clock: Clock) -> None:
        cache = DiskCache.with_clock(clock, path=tmp_path, ttl="10s")
        cache.put("own", writing(b"x"))
        cache.put("given", writing(b"x"), 20)
        cache.put("for-ever", writing(b"x"), float("inf"))
        clock.advance(10)
        assert cache.find(["own", "given", "for-ever"]) == {"given", "for-ever"}
        clock.advance(1e9)
        assert cache.find(["own", "given", "for-ever"]) == {"for-ever"}
        cache.close()

    @pytest.mark.parametrize("ttl", [-1, float("nan")])
    def test_no_time_to_live_is_negative(self, cache: DiskCache, ttl: float) -> None:
        with pytest.raises(ValueError, match="is not a time to live"):
            cache.put("key", writing(b"x"), ttl)
        with pytest.raises(ValueError, match="is not a time to live"):
            cache.lease("key", ttl)

    def test_no_time_at_all_is_over_at_once(self, cache: DiskCache) -> None:
        cache.put("key", writing(b"x"), 0)
        assert cache.get("key") is None

    @given(st.integers(1, 10**15), st.sampled_from(["", "b", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]))
    def test_sizes(self, number: int, unit: str) -> None:
        power = "kmgt".find(unit[:1].lower()) + 1 if unit not in ("", "b") else 0
        assert byte_count(f" {number} {unit}") == number * (1024 if "i" in unit else 1000) ** power

    @given(st.lists(st.tuples(st.integers(1, 1000), st.sampled_from(["ms", "s", "m", "h", "d", "w"])), min_size=1))
    def test_durations(self, parts: list[tuple[int, str]]) -> None:
        length = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": WEEK}
        expected = sum(number * length[unit] for number, unit in parts)
        assert seconds(" ".join(f"{number}{unit}" for number, unit in parts)) == pytest.approx(expected)

    @given(st.text(st.sampled_from("0123456789.kmgtibsdhw -e"), max_size=8))
    def test_amounts_are_read_or_refused(self, text: str) -> None:
        for read in (byte_count, seconds):
            try:
                amount = read(text)
            except ValueError:
                continue
            assert amount is not None
            assert amount > 0


class TestFolder:
    def test_it_is_its_owners_alone(self, cache: DiskCache, tmp_path: Path) -> None:
        cache.put("key", writing(b"x"))
        for folder in ("cache", "cache/v1", "cache/v1/drafts"):
            assert stat.S_IMODE(os.stat(tmp_path / folder).st_mode) == 0o700, folder
        (file,) = (tmp_path / "cache").glob("v1/??/key.*")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    def test_it_stays_out_of_backups_and_repositories(self, cache: DiskCache, tmp_path: Path) -> None:
        cache.get("key")
        assert (tmp_path / "cache/.gitignore").read_text() == "*\n"
        assert (tmp_path / "cache/CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")

    def test_a_folder_that_is_there_is_left_as_it_is(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        cache = DiskCache(path=tmp_path)
        cache.put("key", writing(b"x"))
        cache.close()
        assert os.listdir(tmp_path) == ["v1"]
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
        assert stat.S_IMODE((tmp_path / "v1").stat().st_mode) == 0o700

    def test_every_file_has_its_entry(self, cache: DiskCache, tmp_path: Path) -> None:
        for number in range(50):
            cache.put(f"k{number % 20}", writing(b"x" * number), 10 if number % 2 else None)
        cache.delete("k3")
        cache.evict(500)
        assert files_in(tmp_path / "cache") == files_of(cache)
        assert len(files_of(cache)) == cache.stats().entries > 0

    @pytest.mark.parametrize("place", ["cache", "cache/v1", "above"])
    def test_a_file_in_its_place_is_told(self, tmp_path: Path, place: str) -> None:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("mine")
        cache = DiskCache(path=tmp_path / ("above/cache" if place == "above" else "cache"))
        for call in (lambda: cache.get("key"), lambda: cache.put("key", writing(b"x")), lambda: cache.lease("key", 1)):
            with pytest.raises(InvalidPath, match="a file or a symbolic link is where the cache has a folder"):
                call()
        assert (tmp_path / place).read_text() == "mine"

    @pytest.mark.parametrize("name", ["a b?mode=ro#é%41&x", "\udcff\n"], ids=ascii)
    def test_its_path_may_hold_anything(self, tmp_path: Path, name: str) -> None:
        cache = DiskCache(path=tmp_path / name)
        cache.put("key", writing(b"x"))
        cache.close()
        assert content(cache, "key") == b"x"
        assert os.listdir(tmp_path) == [name]
        cache.close()

    def test_links_in_the_path_given_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        cache = DiskCache(path=tmp_path / "link")
        cache.put("key", writing(b"x"))
        cache.close()
        cache = DiskCache(path=tmp_path / "real")
        assert content(cache, "key") == b"x"
        cache.close()

    def test_links_inside_are_not(self, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        base = tmp_path / "cache"
        base.mkdir()
        (base / "v1").symlink_to(outside)
        cache = DiskCache(path=base)
        with pytest.raises(InvalidPath):
            cache.put("key", writing(b"x"))
        with pytest.raises(InvalidPath):
            cache.get("key")
        assert os.listdir(outside) == []
        (base / "v1").unlink()
        cache.put("key", writing(b"x"))
        (file,) = base.glob("v1/??/key.*")
        shard = file.parent
        shard.rename(outside / "shard")
        shard.symlink_to(outside / "shard")
        with pytest.raises(InvalidPath):
            cache.get("key")
        with pytest.raises(InvalidPath):
            cache.put("key", writing(b"y"))
        cache.delete("key")
        assert len(os.listdir(outside / "shard")) == 1
        shard.unlink()
        (base / "v1/drafts").rmdir()
        (base / "v1/drafts").symlink_to(outside)
        with pytest.raises(InvalidPath):
            cache.put("key", writing(b"z"))
        assert os.listdir(outside) == ["shard"]
        cache.close()

    def test_a_link_to_other_content_is_damage(self, cache: DiskCache, tmp_path: Path) -> None:
        cache.put("key", writing(b"x"))
        (file,) = (tmp_path / "cache").glob("v1/??/key.*")
        (tmp_path / "same").write_bytes(b"x")
        file.unlink()
        file.symlink_to(tmp_path / "same")
        assert cache.get("key") is None
        assert cache.stats().corrupt == 1
        assert (tmp_path / "same").read_bytes() == b"x"
        assert not file.is_symlink()

    def test_a_pipe_or_a_folder_for_content_is_damage(self, cache: DiskCache, tmp_path: Path) -> None:
        for make in (os.mkfifo, os.mkdir):
            cache.put("key", writing(b""))
            (file,) = (tmp_path / "cache").glob("v1/??/key.*")
            file.unlink()
            make(file)
            assert cache.get("key") is None
        assert cache.stats().corrupt == 2

    def test_a_cache_that_is_removed_while_it_is_used(self, cache: DiskCache, other: DiskCache, tmp_path: Path) -> None:
        """As people do with caches."""
        import shutil

        for user in (cache, other):
            user.put("key", writing(b"x" * 2_000_000))
        held = cache.get("key")
        for _ in range(2):
            shutil.rmtree(tmp_path / "cache")
            assert cache.get("key") is None
            assert other.find(["key"]) == set()
            assert held is not None
            assert held.data == b"x" * 2_000_000
            other.put("key", writing(b"y" * 2_000_000))
            assert content(cache, "key") == b"y" * 2_000_000
            lease = cache.lease("key", 10)
            assert lease is not None
            assert other.lease("key", 10) is None
            held = None
            held = cache.get("key")
            cache.put("key", writing(b"x" * 2_000_000), lease=lease)
            held = cache.get("key")
            assert stat.S_IMODE((tmp_path / "cache/v1").stat().st_mode) == 0o700

    def test_open_files_are_all_closed(self, cache: DiskCache) -> None:
        def use() -> None:
            cache.put("key", writing(b"x" * 2_000_000))
            cache.get("key")
            cache.get("nothing")
            for damage in (b"y", b"y" * 2_000_000):
                raw = cache._index.look_up("key")
                assert raw is not None
                with open(f"{cache._files.home}/{odibi_local.cache_files.shard_of('key')}/key.{raw[1]}", "wb") as file:
                    file.write(damage)
                assert cache.get("key") is None
                cache.put("key", writing(b"x" * 2_000_000))
            with pytest.raises(ZeroDivisionError):
                cache.put("key", lambda file: 1 / 0)
            cache.evict(0)
            cache.purge_expired()
            list(cache.verify())
            cache.close()

        use()
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else len(os.listdir("/dev/fd"))
        for _ in range(20):
            use()
        after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else len(os.listdir("/dev/fd"))
        assert after == before


class TestWriting:
    def test_what_is_larger_than_the_bound_is_refused_as_it_is_written(self, tmp_path: Path) -> None:
        cache = DiskCache(path=tmp_path, max_size="1MB")
        cache.put("key", writing(b"old"))
        written = []

        def writer(file: BinaryIO) -> None:
            for _ in range(1000):
                written.append(file.write(bytes(100_000)))

        with pytest.raises(StorageError, match="larger than the whole cache may be") as caught:
            cache.put("key", writer)
        assert "max_size" in caught.value.remedy
        assert sum(written) < 2_000_000
        assert content(cache, "key") == b"old"
        assert files_in(tmp_path) == files_of(cache)
        cache.put("full", writing(bytes(1_000_000)))
        assert keys_of(cache) == ["full"]
        cache.close()

    def test_a_writer_that_hides_a_failure_stores_nothing(self, tmp_path: Path) -> None:
        cache = DiskCache(path=tmp_path, max_size=1000)

        def writer(file: BinaryIO) -> None:
            for data in (bytes(500_000), b"more"):
                try:
                    file.write(data)
                    file.flush()
                except StorageError:
                    pass

        with pytest.raises(StorageError, match="larger"):
            cache.put("key", writer)
        assert keys_of(cache) == []
        assert files_in(tmp_path) == set()
        cache.close()

    def test_each_put_has_a_file_of_its_own(self, cache: DiskCache, tmp_path: Path) -> None:
        seen = set()
        for _ in range(5):
            cache.put("key", writing(b"same"))
            (file,) = files_in(tmp_path / "cache")
            seen.add(file)
        assert len(seen) == 5

    def test_a_lease_of_another_key_is_a_mistake(self, cache: DiskCache) -> None:
        lease = cache.lease("one", 10)
        with pytest.raises(ValueError, match="the lease is for 'one', not for 'two'"):
            cache.put("two", writing(b"x"), lease=lease)

    def test_a_label_that_is_no_text_is_a_mistake(self, cache: DiskCache) -> None:
        with pytest.raises(ValueError, match="surrogates"):
            cache.put("key", writing(b"x"), label="\ud800")
        assert keys_of(cache) == []

    def test_on_disk_before_it_counts(self, tmp_path: Path) -> None:
        cache = DiskCache(path=tmp_path, fsync=True)
        cache.put("key", writing(b"x" * 3_000_000))
        assert content(cache, "key") == b"x" * 3_000_000
        cache.close()


class TestSweeping:
    def test_living_writers_are_left_alone(self, cache: DiskCache, other: DiskCache, tmp_path: Path) -> None:
        """Half way, and when the content is in its place but the index does not know it yet."""

        def writer(file: BinaryIO) -> None:
            file.write(b"half")
            file.flush()
            other.purge_expired()
            other._files.sweep_drafts()
            assert len(files_in(tmp_path / "cache")) == 1

        cache.put("key", writer)
        assert content(other, "key") == b"half"

        with cache._files.draft() as draft:
            draft.fill("new", writing(b"x"), None)
            file = draft.publish("new", 1)
            other.purge_expired()
            assert len(files_in(tmp_path / "cache")) == 2
            row = Row("new", file, draft.size, 1.0, 1, None, draft.checksum, "")
            cache._index.enter(row, cache._files, limit=None, allowed=lambda db: None)
        other.purge_expired()
        assert content(other, "new") == b"x"

    def test_what_the_dead_left_is_swept_away(self, cache: DiskCache, other: DiskCache, tmp_path: Path) -> None:
        cache.put("key", writing(b"x"))
        cache.put("gone", writing(b"x"))
        home = tmp_path / "cache/v1"
        (home / "drafts/0123456789abcdef").write_bytes(b"half")
        (file,) = home.glob("??/key.*")
        (file.parent / "key.0123456789abcdef").write_bytes(b"never known")
        (file.parent / "notes.txt").write_bytes(b"somebody else's")
        other.put("other", writing(b"x"))
        assert files_in(tmp_path / "cache") - files_of(cache) == {
            f"{file.parent.name}/key.0123456789abcdef",
            f"{file.parent.name}/notes.txt",
        }
        assert other.purge_expired() == 0
        assert files_in(tmp_path / "cache") - files_of(cache) == {f"{file.parent.name}/notes.txt"}
        assert content(cache, "key") == b"x"

    def test_counts_that_were_damaged_are_mended(self, cache: DiskCache) -> None:
        for key in ("a", "b"):
            cache.put(key, writing(b"12345"))
        cache._index.change(lambda db: db.execute("UPDATE tally SET entries = -7, bytes = 'x'"))
        assert cache.stats().entries == -7
        cache.purge_expired()
        assert (cache.stats().entries, cache.stats().bytes) == (2, 10)

    def test_many(self, cache: DiskCache, clock: Clock) -> None:
        """More than are removed at once."""
        for number in range(1300):
            cache.put(f"k{number:04}", writing(b"x"), 10 if number < 1100 else None)
            clock.advance(0.001)
        clock.advance(20)
        assert cache.purge_expired() == 1100
        for number in range(1100):
            cache.put(f"k{number:04}", writing(b"x"))
            clock.advance(0.001)
        assert cache.evict(50) == 1250
        assert keys_of(cache) == [f"k{number:04}" for number in range(1050, 1100)]
        assert files_in(Path(cache.path)) == files_of(cache)


class TestClock:
    """One that goes back, or wrong, makes no wrong answer."""

    def test_what_is_from_the_future_is_not_returned_for_longer_than_its_time(
        self, cache: DiskCache, clock: Clock
    ) -> None:
        cache.put("key", writing(b"x"), 100)
        made = clock.now
        for now, there in ((made - 99, True), (made - 100, False), (made - 1e6, False), (made + 99, True)):
            clock.now = now
            assert (cache.get("key") is not None) is there
            assert cache.find(["key"]) == ({"key"} if there else set())
        clock.now = made - 100
        assert cache.purge_expired() == 1

    def test_what_is_new_is_used_last(self, cache: DiskCache, tmp_path: Path, clock: Clock) -> None:
        for key in ("a", "b", "c"):
            cache.put(key, writing(bytes(10)))
            clock.advance(1)
        clock.set(clock.now - 1e8)
        cache.put("d", writing(bytes(10)))
        cache.get("a")
        cache.close()
        bounded = DiskCache.with_clock(clock, path=tmp_path / "cache", max_size=30)
        bounded.put("e", writing(bytes(10)))
        assert keys_of(bounded) == ["a", "d", "e"]
        bounded.close()

    def test_a_lease_ends_in_its_own_time(self, cache: DiskCache, other: DiskCache, clock: Clock) -> None:
        lease = cache.lease("key", 100)
        assert lease is not None
        clock.set(clock.now - 1e8)
        assert other.lease("key", 100) is None
        clock.advance(99)
        assert other.lease("key", 100) is None
        clock.advance(1)
        newer = other.lease("key", 100)
        assert newer is not None
        assert newer.token > lease.token
        with pytest.raises(Conflict):
            cache.put("key", writing(b"x"), lease=lease)

    def test_tokens_grow_all_the_same(self, cache: DiskCache, clock: Clock) -> None:
        tokens = []
        for _ in range(5):
            lease = cache.lease("key", 10)
            assert lease is not None
            tokens.append(lease.token)
            cache.release(lease)
            clock.set(clock.now - 1000)
        assert tokens == sorted(set(tokens))

    @pytest.mark.parametrize("now", [0.0, -1e6, 1e12, 253402300800.0])
    def test_a_clock_that_is_far_off(self, cache: DiskCache, clock: Clock, now: float) -> None:
        clock.now = now
        cache.put("key", writing(b"x"), 10)
        assert content(cache, "key") == b"x"
        lease = cache.lease("key", 10)
        assert lease is not None
        cache.put("key", writing(b"y"), lease=lease)
        clock.advance(10)
        assert cache.lease("key", 10) is not None
        assert cache.purge_expired() == 0
        assert cache.evict(0) == 1


class TestLeases:
    def test_they_are_forgotten_long_after_their_end(self, cache: DiskCache, clock: Clock) -> None:
        leases = [cache.lease(f"k{number}", 10) for number in range(3)]
        assert leases[0] is not None
        assert leases[1] is not None
        assert leases[2] is not None
        cache.release(leases[0])
        cache.renew(leases[2], 2 * WEEK)
        clock.advance(WEEK - 1)
        cache.purge_expired()
        assert self.remembered(cache) == {"k0", "k1", "k2"}
        clock.advance(12)
        cache.purge_expired()
        assert self.remembered(cache) == {"k2"}
        for lease in leases[:2]:
            assert lease is not None
            with pytest.raises(Conflict):
                cache.put(lease.key, writing(b"x"), lease=lease)
            newer = cache.lease(lease.key, 10)
            assert newer is not None
            assert newer.token > lease.token

    def test_one_that_never_was_is_lost(self, cache: DiskCache, clock: Clock) -> None:
        lease = Lease("key", 10**18, clock() + 10)
        assert cache.renew(lease, 10) is None
        cache.release(lease)
        with pytest.raises(Conflict):
            cache.put("key", writing(b"x"), lease=lease)

    def test_asking_for_one_that_is_held_writes_nothing(self, cache: DiskCache, other: DiskCache) -> None:
        """Many wait, and ask often."""
        cache.lease("key", 10)
        writer = cache._index._database._writer
        before = writer.connection.total_changes if writer.connection else 0
        assert other._index._database._writer.connection is None
        for _ in range(10):
            assert cache.lease("key", 10) is None
            assert other.lease("key", 10) is None
        assert writer.connection
        assert writer.connection.total_changes == before
        assert other._index._database._writer.connection is None

    @staticmethod
    def remembered(cache: DiskCache) -> set[str]:
        return {key for (key,) in cache._index.read(lambda db: db.execute("SELECT key FROM leases").fetchall())}


class TestCounting:
    def test_reading_writes_nothing(self, cache: DiskCache) -> None:
        cache.put("key", writing(b"x"))
        cache.stats()
        writer = cache._index._database._writer.connection
        assert writer is not None
        before = writer.total_changes
        for _ in range(500):
            cache.get("key")
            cache.get("nothing")
            cache.find(["key"])
        assert writer.total_changes <= before + 1

    def test_others_see_counts_every_thousand(self, cache: DiskCache, other: DiskCache) -> None:
        for _ in range(1500):
            cache.get("nothing")
        assert other.stats().misses == 1000
        assert cache.stats().misses == 1500
        assert other.stats().misses == 1500

    def test_a_change_takes_the_counts_along(self, cache: DiskCache, other: DiskCache) -> None:
        cache.get("key")
        cache.put("key", writing(b"x"))
        cache.get("key")
        assert other.stats().misses == 1
        assert other.stats().hits == 0
        cache.delete("key")
        assert other.stats().hits == 1

    def test_a_cache_that_nobody_closes_is_closed_in_the_end(self, tmp_path: Path) -> None:
        cache = DiskCache(path=tmp_path)
        cache.get("key")
        del cache
        cache = DiskCache(path=tmp_path)
        assert cache.stats().misses == 1
        cache.close()
        code = f"""
from odibi_local.cache import DiskCache
cache = DiskCache(path={str(tmp_path)!r})
cache.get("key")
"""
        assert subprocess.run([sys.executable, "-X", "dev", "-W", "error", "-c", code], timeout=60).returncode == 0
        assert cache.stats().misses == 2
        cache.close()

    def test_every_use_is_counted_once_among_threads(self, cache: DiskCache) -> None:
        cache.put("key", writing(b"x"))

        def use() -> None:
            for _ in range(700):
                cache.get("key")

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert cache.stats().hits == 2800


def test_it_can_be_used_after_it_was_closed(cache: DiskCache) -> None:
    cache.close()
    entry = cache.put("key", writing(b"x"))
    cache.close()
    assert content(cache, "key") == b"x"
    (listed,) = cache.entries()
    assert isinstance(listed, CacheEntry)
    assert attrs.evolve(listed, used=entry.used) == entry
