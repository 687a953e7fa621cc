"""The index of the disk cache, damaged, foreign, gone: nothing but misses, and one warning."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from odibi.errors import Conflict, StorageError
from odibi.testing.cache_store import Clock, Warnings, content, keys_of, writing
from odibi_local.cache import DiskCache

from .test_disk_cache_suite import swift_folder

HELD = {f"{letter}{number}": (letter * number * 40, letter) for letter in "abc" for number in range(1, 8)}
"""Key to content and label."""


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[DiskCache]:
    cache = DiskCache.with_clock(Clock(), path=tmp_path)
    yield cache
    cache.close()


def fill(cache: DiskCache) -> None:
    for key, (text, label) in HELD.items():
        cache.put(key, writing(text.encode()), label=label)


def database(folder: Path) -> Path:
    return folder / "v1" / (folder / "v1/index").read_text().strip()


def asides(folder: Path) -> list[Path]:
    """Databases that are not in use."""
    return sorted(set(folder.glob("v1/index-*.sqlite")) - {database(folder)})


def garble(folder: Path) -> None:
    database(folder).write_bytes(b"This is no database. " * 1000)


def cut(folder: Path) -> None:
    database(folder).write_bytes(database(folder).read_bytes()[:5000])


def empty(folder: Path) -> None:
    database(folder).write_bytes(b"")


def remove(folder: Path) -> None:
    database(folder).unlink()


def foreign(folder: Path) -> None:
    database(folder).unlink()
    connection = sqlite3.connect(database(folder))
    connection.execute("CREATE TABLE entries (key TEXT, file TEXT)")
    connection.commit()
    connection.close()


def other_schema(folder: Path) -> None:
    connection = sqlite3.connect(database(folder))
    connection.execute("DROP TRIGGER entry_gone")
    connection.commit()
    connection.close()


def link(folder: Path) -> None:
    database(folder).rename(folder / "elsewhere")
    database(folder).symlink_to(folder / "elsewhere")


def unnamed(folder: Path) -> None:
    (folder / "v1/index").unlink()


def misnamed(folder: Path) -> None:
    (folder / "v1/index").write_bytes(b"index-../../../etc/passwd\n\xff\xfe")


def named_by_a_link(folder: Path) -> None:
    (folder / "v1/index").rename(folder / "name")
    (folder / "v1/index").symlink_to(folder / "name")


DAMAGES = [garble, cut, empty, remove, foreign, other_schema, link, unnamed, misnamed, named_by_a_link]


def name_of(damage: Callable[[Path], None]) -> str:
    return damage.__name__


class TestDamagedIndex:
    @pytest.mark.parametrize("damage", DAMAGES, ids=name_of)
    def test_it_is_put_aside_and_begun_anew(self, tmp_path: Path, damage: Callable[[Path], None]) -> None:
        cache = DiskCache(path=tmp_path)
        fill(cache)
        cache.close()
        damage(tmp_path)
        with Warnings() as warnings:
            assert all(cache.get(key) is None for key in HELD)
        if damage is unnamed:
            assert warnings.messages == []
        else:
            (message,) = warnings.messages
            assert "is put aside and begun anew" in message
        cache.put("new", writing(b"x"))
        assert keys_of(cache) == ["new"]
        assert cache.stats().entries == 1
        assert len(list(tmp_path.glob("v1/??/*"))) == len(HELD) + 1
        cache.purge_expired()
        assert [file.name[:4] for file in tmp_path.glob("v1/??/*")] == ["new."]
        cache.close()
        with Warnings() as warnings:
            assert content(DiskCache(path=tmp_path), "new") == b"x"
        assert warnings.messages == []

    @pytest.mark.parametrize("damage", DAMAGES, ids=name_of)
    def test_while_others_use_it(self, tmp_path: Path, damage: Callable[[Path], None]) -> None:
        """They notice, and go on with the new one."""
        one, other = DiskCache(path=tmp_path), DiskCache(path=tmp_path)
        fill(one)
        held = other.get("a7")
        damage(tmp_path)
        third = DiskCache(path=tmp_path)
        third.put("third", writing(b"3"))
        for user in (one, other):
            user.find(HELD)
            user.put(f"new{user is one}".lower(), writing(b"x"))
        third.delete("nothing")
        for user in (one, other, third):
            assert set(keys_of(user)) >= {"third", "newtrue", "newfalse"} or damage in (garble, cut, empty)
            for key in keys_of(user):
                found = content(user, key)
                assert found is None or key not in HELD or found.decode() == HELD[key][0]
        assert held is not None
        assert bytes(held.data).decode() == HELD["a7"][0]
        for user in (one, other, third):
            user.close()
        with Warnings() as warnings:
            cache = DiskCache(path=tmp_path)
            cache.put("after", writing(b"x"))
            cache.purge_expired()
            assert list(cache.verify()) == []
            cache.close()
        assert len(warnings.messages) <= 1

    def test_the_last_one_put_aside_is_kept(self, tmp_path: Path) -> None:
        cache = DiskCache(path=tmp_path)
        for number in range(3):
            cache.put("key", writing(b"x"))
            cache.close()
            old = database(tmp_path)
            old.write_bytes(b"garbage %d" % number * 100)
            with Warnings():
                cache.get("key")
            assert asides(tmp_path) == [old]
            assert old.read_bytes() == b"garbage %d" % number * 100
        cache.close()
        assert [path.name for path in tmp_path.glob("v1/.*")] == []

    def test_a_lease_of_a_lost_index_is_lost(self, cache: DiskCache, tmp_path: Path) -> None:
        old = cache.lease("key", 10)
        assert old is not None
        garble(tmp_path)
        cache.close()
        (tmp_path / "v1" / f"{database(tmp_path).name}-wal").unlink(missing_ok=True)
        garble(tmp_path)
        with Warnings():
            assert cache.renew(old, 10) is None
            with pytest.raises(Conflict):
                cache.put("key", writing(b"x"), lease=old)
            new = cache.lease("key", 10)
        assert new is not None
        assert new.token != old.token
        with pytest.raises(Conflict):
            cache.put("key", writing(b"x"), lease=old)

    def test_tokens_of_a_lost_index_are_smaller(self, tmp_path: Path) -> None:
        clock = Clock()
        cache = DiskCache.with_clock(clock, path=tmp_path)
        tokens = []
        for _ in range(3):
            lease = cache.lease("key", 10)
            assert lease is not None
            tokens.append(lease.token)
            cache.close()
            garble(tmp_path)
            clock.advance(0.01)
            with Warnings():
                cache.get("key")
        assert tokens == sorted(set(tokens))
        cache.close()


class TestDamagedRow:
    @pytest.mark.parametrize(
        "change",
        [
            "label = 'pandbs'",
            "key = 'a0'",
            "checksum = 'xxh3-128:00000000000000000000000000000000'",
            "size = size + 1",
            "size = 'x'",
            "size = -1",
            "expires = 1e300",
            "created = created + 1",
            "created = 'x'",
            "file = '0123456789abcdef'",
            "file = '../../x'",
            "file = (SELECT file FROM entries WHERE key = 'b1')",
            "file = x'ff'",
            "seal = ''",
            "seal = x'00ff'",
        ],
    )
    def test_what_it_says_is_sealed(self, cache: DiskCache, tmp_path: Path, change: str) -> None:
        """A row that says something else than what was written is damage."""
        fill(cache)
        cache._index.change(lambda db: db.execute(f"UPDATE OR IGNORE entries SET {change} WHERE key = 'a1'"))
        key = "a0" if change.startswith("key") else "a1"
        with Warnings() as warnings:
            assert cache.get(key) is None
        assert cache.get("a1") is None
        (message,) = warnings.messages
        assert f"the cached {key}" in message
        assert content(cache, "b1") == HELD["b1"][0].encode()
        assert keys_of(cache) == sorted(HELD.keys() - {"a1"})
        assert cache.stats().corrupt == 1

    def test_verify_tells_of_it(self, cache: DiskCache) -> None:
        fill(cache)
        cache._index.change(lambda db: db.execute("UPDATE entries SET label = 'x', size = 'y' WHERE key = 'b2'"))
        with Warnings() as warnings:
            assert [entry.key for entry in cache.verify()] == ["b2"]
        assert "what the index says of it" in warnings.messages[0]
        assert len(keys_of(cache)) == len(HELD) - 1

    def test_it_leads_nowhere_else(self, cache: DiskCache, tmp_path: Path) -> None:
        """No file outside is removed for what the index says."""
        fill(cache)
        victim = tmp_path / "victim"
        victim.write_text("mine")
        for key in ("a1", "a2", "a3"):
            cache._index.change(
                lambda db, key=key: db.execute("UPDATE entries SET file = '/../../victim' WHERE key = ?", (key,))
            )
        cache.delete("a1")
        with Warnings():
            cache.get("a2")
        cache.evict(0)
        assert keys_of(cache) == []
        assert victim.read_text() == "mine"

    def test_it_is_replaced_by_the_next_put(self, cache: DiskCache) -> None:
        fill(cache)
        cache._index.change(lambda db: db.execute("UPDATE entries SET seal = '' WHERE key = 'a1'"))
        cache.put("a1", writing(b"new"))
        assert content(cache, "a1") == b"new"
        assert cache.stats().corrupt == 0


@pytest.fixture(scope="module")
def filled() -> Iterator[Path]:
    folder = swift_folder()
    cache = DiskCache.with_clock(Clock(), path=folder, ttl=1000)
    fill(cache)
    lease = cache.lease("a1", 10)
    assert lease is not None
    cache.close()
    yield folder
    shutil.rmtree(folder)


@given(
    places=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=30),
    page=st.none() | st.tuples(st.integers(0, 12), st.integers(0, 12)),
)
@settings(max_examples=60, deadline=None)
def test_no_damage_to_the_index_makes_a_wrong_answer(
    filled: Path, places: list[tuple[int, int]], page: tuple[int, int] | None
) -> None:
    """Whichever bits flip, and whichever page is another's: right, or a miss, and nothing but storage errors."""
    folder = swift_folder()
    try:
        shutil.copytree(filled, folder, dirs_exist_ok=True)
        stored = bytearray(database(folder).read_bytes())
        if page is not None:
            one, other = (number * 4096 % len(stored) for number in page)
            stored[one : one + 4096] = bytes(stored[other : other + 4096])
        for at, change in places:
            stored[at % len(stored)] ^= change
        database(folder).write_bytes(stored)
        with Warnings():
            cache = DiskCache.with_clock(Clock(), path=folder, ttl=1000, max_size=1_000_000)
            use_all(cache)
            cache.close()
            cache = DiskCache.with_clock(Clock(), path=folder)
            cache.put("last", writing(b"x"))
            assert content(cache, "last") == b"x"
            cache.close()
    finally:
        shutil.rmtree(folder)


def use_all(cache: DiskCache) -> None:
    """Everything one can do, each time with what may come out where something is damaged."""
    calls: list[Callable[[], object]] = [
        lambda: cache.find(HELD),
        lambda: list(cache.entries()),
        cache.stats,
        lambda: cache.lease("a1", 10),
        lambda: cache.lease("b1", 10),
        lambda: list(cache.verify()),
        lambda: cache.evict(3_000),
        lambda: cache.delete("c1"),
        lambda: cache.put("new", writing(b"new")),
        lambda: cache.put("a2", writing(HELD["a2"][0].encode()), label="a"),
        cache.purge_expired,
    ]
    for call in [None, *calls]:
        if call is not None:
            try:
                call()
            except StorageError:
                continue
        for key, (text, label) in HELD.items():
            try:
                found = cache.get(key)
            except StorageError:
                continue
            assert found is None or (bytes(found.data).decode(), found.label) == (text, label)
