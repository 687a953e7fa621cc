"""A storage in memory: small, correct, and of use to whoever tests a pipeline without a service.

Storages of one name share their objects, within this process. So a test can make one that is called as the project
under test calls it, and look at what the pipeline left::

    from odibi.testing.reference.storage import MemoryStorage, forget

    lake = MemoryStorage(name="lake")
    lake.write("orders.csv", b"id\\n1\\n")
    ...  # run the pipeline, with another MemoryStorage(name="lake") for its connection
    assert lake.read("report.csv") == b"n\\n1\\n"
    forget("lake")

:func:`cut_off` makes the objects of a name unreachable for a while, as a service that does not answer.
"""

from __future__ import annotations

import io
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast
from urllib.parse import quote

import attrs

from odibi import option
from odibi.contracts.storage import ABSENT, ALWAYS, Match, Stat, check_path
from odibi.errors import Conflict, InvalidPath, NotFound, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from _typeshed import ReadableBuffer

    from odibi.contracts.storage import When

__all__ = ["Draft", "FolderMemoryStorage", "Kept", "MemoryStorage", "Shelf", "cut_off", "forget", "shelf"]

STAGE = ".odibi-stage-"
"""How the last part of a staged folder begins; see :class:`odibi.contracts.storage.FolderStorage`."""


@attrs.frozen
class Kept:
    """One object.

    Attributes:
        data: its content.
        modified: seconds since the epoch, UTC.
        etag: another one for every write.
    """

    data: bytes
    modified: float
    etag: str


@attrs.define(eq=False)
class Shelf:
    """The objects that the storages of one name share.

    Attributes:
        objects: path to object.
        lock: held while they are looked at or changed.
        reachable: whether anything can be done with them.
        writes: how many there have been, from which etags are made.
    """

    objects: dict[str, Kept] = attrs.field(factory=dict)
    lock: threading.RLock = attrs.field(factory=threading.RLock)
    reachable: bool = True
    writes: int = 0

    def keep(self, path: str, data: bytes) -> Kept:
        """Put an object there, whatever was there; the caller holds the lock."""
        self.writes += 1
        kept = self.objects[path] = Kept(data, time.time(), f"{self.writes:x}")
        return kept


_shelves: dict[str, Shelf] = {}
_shelves_lock = threading.Lock()


def shelf(name: str) -> Shelf:
    """The objects of the storages with this name; those with none have a new shelf each."""
    if not name:
        return Shelf()
    with _shelves_lock:
        return _shelves.setdefault(name, Shelf())


def forget(name: str) -> None:
    """Let go of the objects of this name; a storage that is made after it finds none of them."""
    with _shelves_lock:
        _shelves.pop(name, None)


@contextmanager
def cut_off(name: str) -> Iterator[None]:
    """Have everything that storages of this name do raise :class:`~odibi.errors.Transient` within the block."""
    found = shelf(name)
    found.reachable = False
    try:
        yield
    finally:
        found.reachable = True


class Draft(io.BytesIO):
    """A file that keeps its content when a library closes it, as writers of archives do."""

    content: bytes | None = None

    def close(self) -> None:
        """Keep what was written."""
        if self.content is None:
            self.content = self.getvalue()
        super().close()

    def whole(self) -> bytes:
        """All that was written."""
        return self.getvalue() if self.content is None else self.content


@attrs.define(eq=False)
class MemoryStorage:
    """Objects in the memory of this process; see :class:`odibi.contracts.Storage` for what it promises.

    As in an object store, an object may lie at a path that is a folder of others, too.
    """

    capabilities: ClassVar[dict[str, str]] = {"durable": "none", "shared": "none", "streaming_write": "none"}

    name: str = option("", help="Storages of one name share their objects; one without a name shares them with none.")
    _shelf: Shelf = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._shelf = shelf(self.name)

    def read(self, path: str) -> bytes:
        """The whole object."""
        return self._kept(_object_path(path)).data

    def open(self, path: str) -> BinaryIO:
        """The object as it is now, as a seekable binary file that shares its memory."""
        return io.BufferedReader(cast("io.RawIOBase", io.BytesIO(self.read(path))))

    def write(self, path: str, data: bytes | memoryview | BinaryIO, *, when: When = ALWAYS) -> Stat:
        """Make ``data`` the object at ``path``, atomically."""
        path = _object_path(path)
        self._reach(path)
        return self._put(path, _content(data), when)

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """A binary file that becomes the object when the ``with`` block ends."""
        path = _object_path(path)
        self._reach(path)
        draft = Draft()
        yield draft
        self._put(path, draft.whole(), when)

    def stat(self, path: str) -> Stat:
        """What is at ``path``."""
        path = _object_path(path)
        return _stat(path, self._kept(path))

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """All objects at or under ``prefix``, in the order of their paths; what comes or goes meanwhile may show."""
        return self._list(check_path(prefix))

    def delete(self, path: str) -> None:
        """Remove the object."""
        path = _object_path(path)
        self._reach(path)
        with self._shelf.lock:
            self._shelf.objects.pop(path, None)

    def uri(self, path: str) -> str:
        """An address for people; nothing but this class can read from it."""
        return f"odibi-memory://{quote(self.name, safe='')}/{quote(check_path(path))}"

    def native_options(self, for_: str) -> Mapping[str, Any]:  # noqa: ARG002 - there is no reader that could go direct
        """Nothing."""
        return {}

    def close(self) -> None:
        """Nothing is held open; the objects stay until :func:`forget`."""

    def _reach(self, path: str) -> None:
        if not self._shelf.reachable:
            raise Transient("the storage does not answer", where=repr(path), remedy="Try again.")

    def _kept(self, path: str) -> Kept:
        self._reach(path)
        try:
            return self._shelf.objects[path]
        except KeyError:
            raise NotFound("there is no such object", where=path, remedy="Check the path.") from None

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        self._reach(path)
        with self._shelf.lock:
            self._check(path, when)
            return _stat(path, self._shelf.keep(path, data))

    def _check(self, path: str, when: When) -> None:
        there = self._shelf.objects.get(path)
        if when is ABSENT and there is not None:
            raise _lost(path, "there is an object already")
        if isinstance(when, Match) and (there is None or there.etag != when.etag):
            raise _lost(path, "the object has changed" if there else "the object is gone")

    def _list(self, prefix: str) -> Iterator[Stat]:
        self._reach(prefix)
        # These objects to the end: where a folder is replaced meanwhile, nothing new shows beside something old.
        objects = self._shelf.objects
        with self._shelf.lock:
            paths = sorted(path for path in objects if is_below(path, prefix) and not hidden(path, prefix))
        for path in paths:
            self._reach(path)
            kept = objects.get(path)
            if kept is not None:
                yield _stat(path, kept)


@attrs.define(eq=False)
class FolderMemoryStorage(MemoryStorage):
    """The same, with folders that can be replaced in one step."""

    capabilities: ClassVar[dict[str, str]] = {**MemoryStorage.capabilities, "replace_folder": "full"}

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """Make the objects below ``staged`` those below ``path``, in one step."""
        staged, path = _object_path(staged), _object_path(path)
        (above, _, name), (beside, _, _) = staged.rpartition("/"), path.rpartition("/")
        if above != beside or not name.startswith(STAGE):
            raise InvalidPath(
                f"it is not staged beside {path}", where=staged, remedy=f"Stage it there, under {STAGE}<something>."
            )
        self._reach(path)
        with self._shelf.lock:
            objects = self._shelf.objects
            new = {path + name[len(staged) :]: kept for name, kept in objects.items() if is_below(name, staged)}
            if not new:
                raise NotFound("nothing is staged there", where=staged, remedy="Write the objects first.")
            old = [name for name in objects if is_below(name, path)]
            if when is ABSENT and old:
                raise _lost(path, "something is there already")
            gone = {*old, *(name for name in objects if is_below(name, staged))}
            # One assignment, so that who looks without the lock sees all of it or nothing.
            self._shelf.objects = {**{name: kept for name, kept in objects.items() if name not in gone}, **new}
        return True


def is_below(path: str, prefix: str) -> bool:
    """Whether an object lies at or under a folder."""
    return not prefix or path == prefix or path.startswith(f"{prefix}/")


def hidden(path: str, prefix: str) -> bool:
    """Whether a listing of ``prefix`` leaves the object out because it lies in a staged folder below it."""
    parts = path[len(prefix) :].split("/")[:-1]
    return any(part.startswith(STAGE) for part in parts)


def _object_path(path: str) -> str:
    clean = check_path(path)
    if not clean:
        raise InvalidPath("the path is empty", where=repr(path), remedy="Name an object.")
    return clean


def _content(data: bytes | memoryview | BinaryIO) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    parts: list[ReadableBuffer] = []
    while part := data.read(1 << 20):
        parts.append(part)
    return b"".join(parts)


def _stat(path: str, kept: Kept) -> Stat:
    return Stat(path, len(kept.data), kept.modified, kept.etag)


def _lost(path: str, what: str) -> Conflict:
    return Conflict(what, where=path, remedy="Read it again and decide anew.")
