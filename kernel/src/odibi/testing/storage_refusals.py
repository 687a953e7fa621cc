"""Tests of what a storage refuses, and of what is left when something goes wrong."""

from __future__ import annotations

import pickle
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import pytest

from odibi.contracts.secret import Secret
from odibi.contracts.storage import ABSENT, ALWAYS, Match
from odibi.errors import Conflict, InvalidPath, NotFound, StorageError, Transient
from odibi.structure import option_fields
from odibi.testing.component import PLANTED, close, needs, no_secret_in
from odibi.testing.storage_base import StorageBase, paths_of, there
from odibi.testing.storage_files import BAD_PATHS, Breaking, Broken, Stopped, Untouchable, content, watched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from odibi.contracts.storage import Storage, When

_BREAKS = (0, 70_000, 9_000_000)
"""Bytes after which what gives or writes data fails."""


class RefusalTests(StorageBase):
    """Paths and conditions that are refused, and faults."""

    # --- paths ------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
    def test_a_path_that_leads_out_is_refused(self, storage: Storage, place: Path, path: str) -> None:
        """By every method, and nothing is read, written or deleted; not even the data is looked at."""
        outside = place.parent / "outside"
        outside.write_bytes(b"not yours")
        storage.write("a/b", b"1")
        for name, call in _calls(storage, path).items():
            with pytest.raises(InvalidPath) as caught:
                call()
            assert caught.value.remedy, f"{name} does not say what to do"
        assert outside.read_bytes() == b"not yours"
        assert paths_of(storage) == ["a/b"]
        assert storage.read("a/b") == b"1"

    def test_a_path_is_refused_before_any_io(self, storage: Storage, place: Path) -> None:
        """A backend that is not there is not asked."""
        with pytest.raises(InvalidPath):
            storage.stat("..")  # once before, so that whatever has to be imported is
        with self.disconnected(place):
            wrong = [
                (name, path, error)
                for path in BAD_PATHS
                for name, call in _calls(storage, path).items()
                if not isinstance(error := _raised(call), InvalidPath)
            ]
        assert wrong == []

    def test_an_error_says_what_and_where_and_can_travel(self, storage: Storage) -> None:
        """Executors bring errors home from other processes."""
        storage.write("d/there", b"1")
        calls: dict[str, Callable[[], object]] = {
            "d/nothing": lambda: storage.read("d/nothing"),
            "d/there": lambda: storage.write("d/there", b"2", when=ABSENT),
            "../out": lambda: storage.read("../out"),
        }
        for path, call in calls.items():
            with pytest.raises(StorageError) as caught:
                call()
            assert path in str(caught.value)
            again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
            assert (type(again), str(again)) == (type(caught.value), str(caught.value))

    # --- conditions -------------------------------------------------------------------------------------------------

    @needs("compare_and_set")
    @pytest.mark.parametrize("way", ["write", "file", "create"])
    def test_a_condition_that_holds(self, storage: Storage, other: Storage, place: Path, way: str) -> None:
        """ABSENT where nothing is, Match where the object still is the one that was seen, ALWAYS always."""
        put = _ways(storage)[way]
        put("d/o", b"1", ABSENT)
        assert self.raw_get(place, "d/o") == b"1"
        put("d/o", b"22", Match(other.stat("d/o").etag))
        assert self.raw_get(place, "d/o") == b"22"
        put("d/o", b"33", Match(next(other.list("d/o")).etag))
        put("d/o", b"4", ALWAYS)
        put("d/o", b"5", Match(storage.write("d/o", b"44").etag))
        assert self.raw_get(place, "d/o") == b"5"
        other.delete("d/o")
        put("d/o", b"", ABSENT)
        assert self.raw_get(place, "d/o") == b""

    @needs("compare_and_set")
    @pytest.mark.parametrize("way", ["write", "file", "create"])
    def test_a_condition_that_does_not_hold(self, storage: Storage, other: Storage, place: Path, way: str) -> None:
        """It is a Conflict, and nothing has changed: not the object, not its etag, not the listing."""
        put = _ways(storage)[way]
        first = storage.write("d/o", b"1").etag
        now = other.write("d/o", b"2")
        gone = storage.write("gone", b"3").etag
        storage.delete("gone")
        for path, when in (
            ("d/o", ABSENT),
            ("d/o", Match(first)),
            ("d/o", Match("made up")),
            ("d/o", Match("")),
            ("gone", Match(gone)),
            ("gone", Match("")),
            ("never", Match(now.etag)),
        ):
            with pytest.raises(Conflict) as caught:
                put(path, content(100_000), when)
            assert path in str(caught.value)
            assert self.raw_get(place, "d/o") == b"2"
            assert storage.stat("d/o").etag == now.etag
            assert paths_of(other) == ["d/o"]

    @needs("compare_and_set")
    def test_create_checks_its_condition_when_the_block_ends(self, storage: Storage, other: Storage) -> None:
        """What was so when it began is of no account."""
        storage.write("o", b"1")
        with storage.create("o", when=ABSENT) as file:
            file.write(b"2")
            other.delete("o")
        assert storage.read("o") == b"2"
        for path, when in (("o", Match(storage.stat("o").etag)), ("new", ABSENT)):
            etags: list[str] = []

            def lose(path: str = path, when: When = when, etags: list[str] = etags) -> None:
                with storage.create(path, when=when) as file:
                    file.write(b"late")
                    etags.append(other.write(path, b"rival").etag)

            assert isinstance(_raised(lose), Conflict)
            assert (storage.read(path), storage.stat(path).etag) == (b"rival", etags[0])

    # --- faults of others -------------------------------------------------------------------------------------------

    @needs("atomic_write")
    @pytest.mark.parametrize("old", [None, b"the old object"], ids=["nothing", "an object"])
    @pytest.mark.parametrize("size", _BREAKS)
    def test_a_file_that_breaks_leaves_what_was(
        self, storage: Storage, other: Storage, place: Path, size: int, old: bytes | None
    ) -> None:
        """Its own error, or one of a storage, comes out; nothing is listed that was not there."""
        if old is not None:
            self.raw_put(place, "d/o", old)
        for error in (Broken("the disk under it is gone"), OSError(5, "its disk is gone"), Stopped()):
            with pytest.raises((type(error), StorageError)) as caught:
                storage.write("d/o", cast("BinaryIO", Breaking(content(size), error)))
            assert _leads_to(caught.value, error), "what went wrong is lost"
            assert isinstance(caught.value, Stopped) == isinstance(error, Stopped)
            assert self.raw_get(place, "d/o") == old
            assert paths_of(storage) == paths_of(other) == ["d/o"] * (old is not None)
        storage.write("d/o", b"new")
        assert other.read("d/o") == b"new"

    @pytest.mark.parametrize("old", [None, b"the old object"], ids=["nothing", "an object"])
    @pytest.mark.parametrize("size", _BREAKS)
    def test_a_block_that_raises_discards(
        self, storage: Storage, other: Storage, place: Path, size: int, old: bytes | None
    ) -> None:
        """What it raised comes out as it is, also if the file was flushed or closed before; nothing has changed."""
        if old is not None:
            self.raw_put(place, "d/o", old)
        for error in (Broken("a bug"), KeyError("another"), Stopped(), StopIteration(), NotFound("of something else")):
            for finish in ("", "flush", "close")[: 3 if size < _BREAKS[-1] else 1]:
                with pytest.raises(type(error)) as caught:
                    self._interrupt(storage, size, finish, error)
                assert caught.value is error
                assert self.raw_get(place, "d/o") == old
                assert paths_of(storage) == paths_of(other) == ["d/o"] * (old is not None)
        with storage.create("d/o") as file:
            file.write(b"new")
        assert other.read("d/o") == b"new"

    def _interrupt(self, storage: Storage, size: int, finish: str, error: BaseException) -> None:
        with storage.create("d/o") as file:
            file.write(content(size))
            if finish:
                getattr(file, finish)()
            raise error

    @needs("atomic_write")
    def test_nobody_sees_a_write_that_is_under_way(self, storage: Storage, other: Storage, place: Path) -> None:
        """Until it is done there is the old object, whole, or nothing: for readers, in listings, and in the backend."""
        for old in (None, b"the old object"):
            looks: list[object] = []

            def look(done: int, looks: list[object] = looks) -> None:
                if done in (0, 10_000_000) or len(looks) < 4:
                    looks.append((there(other, "d/o"), self.raw_get(place, "d/o"), paths_of(other)))

            storage.write("d/o", watched(content(10_000_000), look))
            assert looks
            assert set(map(repr, looks)) == {repr((old, old, ["d/o"] * (old is not None)))}
            assert other.read("d/o") == content(10_000_000)
            storage.write("d/o", b"the old object")

    @needs("atomic_write")
    def test_nobody_sees_an_object_that_is_being_created(self, storage: Storage, other: Storage, place: Path) -> None:
        """However much was written or flushed, and though the file may be closed, there is what was before."""
        for old in (None, b"the old object"):
            with storage.create("d/o") as file:
                for size in (1, 100_000, 9_000_000):
                    file.write(content(size))
                    file.flush()
                    assert there(other, "d/o") == self.raw_get(place, "d/o") == old
                    assert paths_of(other) == ["d/o"] * (old is not None)
                file.close()
                assert there(other, "d/o") == self.raw_get(place, "d/o") == old
            assert other.stat("d/o").size == 9_100_001
            other.write("d/o", b"the old object")

    def test_a_backend_that_is_gone_is_transient(self, storage: Storage, place: Path) -> None:
        """Whatever is asked for; nothing is lost by it, and it passes."""
        storage.write("d/o", b"old")
        storage.read("d/o")
        calls: dict[str, Callable[[], object]] = {
            name: call for name, call in _calls(storage, "d/o", b"new").items() if name != "uri"
        }
        for call in (lambda: storage.read("d/nothing"), lambda: list(storage.list()), lambda: storage.read("d/o")):
            with suppress(NotFound):
                call()  # once before, so that whatever has to be imported is
        with self.disconnected(place):
            raised = {name: _raised(call) for name, call in calls.items()}
        assert [name for name, error in raised.items() if not isinstance(error, Transient)] == [], raised
        assert all(cast("Transient", error).retryable for error in raised.values())
        assert there(storage, "d/o") == self.raw_get(place, "d/o") == b"old"
        storage.write("d/o", b"new", when=Match(storage.stat("d/o").etag))
        assert storage.read("d/o") == b"new"

    @needs("atomic_write")
    def test_a_backend_that_goes_away_during_a_write(self, storage: Storage, place: Path) -> None:
        """The write raises, and the old object is there, whole, or, if that is all that failed to arrive, the new."""
        storage.write("d/o", b"old")
        storage.read("d/o")

        def create() -> None:
            with storage.create("d/o") as file:
                file.write(content(100_000))
                gone.enter_context(self.disconnected(place))

        with ExitStack() as gone:
            error = _raised(create)
        assert isinstance(error, Transient | None), error
        assert self.raw_get(place, "d/o") == (content(100_000) if error is None else b"old")

    # --- secrets ----------------------------------------------------------------------------------------------------

    def test_no_secret_shows_in_addresses_and_errors(self, storage: Storage, place: Path) -> None:
        """Addresses are logged and shown in plans; errors are, too."""
        fields = [field for field in option_fields(self.component) if field.secret]
        given = dict(self.options(place))
        real = [given[field.name] for field in fields if given.get(field.name)]
        values = [value.reveal() if isinstance(value, Secret) else str(value) for value in real]
        with no_secret_in(*values) as look:
            storage.write("d/o", b"1")
            with storage.open("d/o") as file:
                for thing in (storage, storage.uri("d/o"), storage.stat("d/o"), file):
                    look(thing)
            for call in (
                lambda: storage.read("nothing"),
                lambda: storage.read("../x"),
                lambda: storage.write("d/o", b"2", when=ABSENT),
            ):
                look(_raised(call))
        planted = {field.name: Secret(PLANTED) if "Secret" in str(field.type) else PLANTED for field in fields}
        with no_secret_in(PLANTED) as look:
            try:
                another = self.component(**{**given, **planted})
            except Exception as error:  # it may refuse them, and must not quote them
                look(error)
                return
            for call in (lambda: another.uri("d/o"), lambda: another.uri(""), lambda: another.read("../x")):
                look(_raised(call) or call())
            close(another)


def _calls(storage: Storage, path: str, data: bytes | None = None) -> dict[str, Callable[[], object]]:
    """Every method of a storage that takes a path, on this one; without ``data``, with data that must not be read."""

    def create() -> None:
        with storage.create(path) as file:
            assert data is not None, "the block is entered"
            file.write(data)

    def read() -> None:
        with storage.open(path) as file:
            file.read()

    source: Any = Untouchable() if data is None else data
    return {
        "read": lambda: storage.read(path),
        "open": read,
        "write": lambda: storage.write(path, source),
        "write if absent": lambda: storage.write(path, source, when=ABSENT),
        "create": create,
        "stat": lambda: storage.stat(path),
        "list": lambda: next(storage.list(path), None),
        "delete": lambda: storage.delete(path),
        "uri": lambda: storage.uri(path),
    }


def _ways(storage: Storage) -> dict[str, Callable[[str, bytes, When], object]]:
    """The ways to write."""

    def file(path: str, data: bytes, when: When) -> None:
        storage.write(path, watched(data), when=when)

    def create(path: str, data: bytes, when: When) -> None:
        with storage.create(path, when=when) as file:
            file.write(data)

    return {
        "write": lambda path, data, when: storage.write(path, data, when=when),
        "file": file,
        "create": create,
    }


def _raised(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as error:
        return error
    return None


def _leads_to(error: BaseException | None, cause: BaseException) -> bool:
    while error is not None and error is not cause:
        error = error.__cause__ or error.__context__
    return error is cause
