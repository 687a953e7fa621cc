"""Storages for the tests: a real one in memory, and one that fails when told to."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from heapq import nsmallest
from typing import Any, BinaryIO

import attrs

from odibi.contracts.storage import ABSENT, ALWAYS, Match, Stat, When, check_path
from odibi.errors import Conflict, NotFound, StorageError, Transient

PAGE = 1000
"""Objects that one request lists, as object stores do it."""


@attrs.frozen
class Kept:
    data: bytes
    modified: float
    number: int

    @property
    def etag(self) -> str:
        return f"{self.number:x}"


class MemoryStorage:
    """Objects in a dict.

    Attributes:
        now: when the next write is, seconds since the epoch.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Kept] = {}
        self.now = 1_700_000_000.0
        self._number = 0
        self._lock = threading.Lock()

    def read(self, path: str) -> bytes:
        with self._lock:
            return self._kept(path).data

    def open(self, path: str) -> BinaryIO:
        return io.BytesIO(self.read(path))

    def write(self, path: str, data: bytes | memoryview | BinaryIO, *, when: When = ALWAYS) -> Stat:
        content = bytes(data) if isinstance(data, bytes | bytearray | memoryview) else data.read()
        path = check_path(path)
        with self._lock:
            there = self.objects.get(path)
            if (when is ABSENT and there) or (isinstance(when, Match) and (not there or there.etag != when.etag)):
                raise Conflict("it is another", where=path)
            self._number += 1
            kept = self.objects[path] = Kept(content, self.now, self._number)
        return Stat(path, len(content), kept.modified, kept.etag)

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        file = io.BytesIO()
        yield file
        self.write(path, file.getvalue(), when=when)

    def stat(self, path: str) -> Stat:
        with self._lock:
            return self._seen(path)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        prefix = check_path(prefix)
        last = ""
        while True:
            with self._lock:
                names = nsmallest(PAGE, (name for name in self.objects if name > last and _is_below(name, prefix)))
                page = [self._seen(name) for name in names]
            yield from page
            if len(page) < PAGE:
                return
            last = page[-1].path

    def delete(self, path: str) -> None:
        with self._lock:
            self.objects.pop(check_path(path), None)

    def uri(self, path: str) -> str:
        return f"memory:///{path}"

    def native_options(self, for_: str) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        pass

    def damage(self, path: str, how: Callable[[bytes], bytes]) -> None:
        """Change an object such that nothing but its content tells."""
        with self._lock:
            self.objects[path] = attrs.evolve(self.objects[path], data=how(self.objects[path].data))

    def _seen(self, path: str) -> Stat:
        kept = self._kept(path)
        return Stat(path, len(kept.data), kept.modified, kept.etag)

    def _kept(self, path: str) -> Kept:
        try:
            return self.objects[check_path(path)]
        except KeyError:
            raise NotFound("nothing is there", where=path) from None


class Killed(BaseException):
    """The process is no more; nothing of it runs on."""


class Wrapped:
    """A storage that counts what is asked of it, and stops at one of its operations.

    Args:
        storage: does the work.

    Attributes:
        asked: how often each operation was called, since it was last cleared.
        fail_at: the number of the operation that fails, counting from 0; no operation does if it is ``None``.
        done: whether that operation is carried out all the same.
        broken: every operation fails, of which ``refused`` have.
        error: what it raises; after :class:`Killed`, every further operation raises it, too.
    """

    def __init__(self, storage: Any) -> None:
        self.storage = storage
        self.asked: Counter[str] = Counter()
        self.fail_at: int | None = None
        self.done = False
        self.error: Callable[[], BaseException] = Killed
        self.number = 0
        self.broken = False
        self.refused = 0
        self._lock = threading.Lock()

    def fail(self, at: int | None, error: Callable[[], BaseException] = Killed, *, done: bool = False) -> None:
        """Fail at an operation, counting from now."""
        self.fail_at, self.error, self.done, self.number = at, error, done, 0

    def read(self, path: str) -> bytes:
        return self._do("read", lambda: self.storage.read(path))  # type: ignore[no-any-return]

    def open(self, path: str) -> BinaryIO:
        return self._do("open", lambda: self.storage.open(path))  # type: ignore[no-any-return]

    def write(self, path: str, data: Any, *, when: When = ALWAYS) -> Stat:
        return self._do("write", lambda: self.storage.write(path, data, when=when))  # type: ignore[no-any-return]

    def create(self, path: str, *, when: When = ALWAYS) -> Any:
        return self._do("create", lambda: self.storage.create(path, when=when))

    def stat(self, path: str) -> Stat:
        return self._do("stat", lambda: self.storage.stat(path))  # type: ignore[no-any-return]

    def list(self, prefix: str = "") -> Iterator[Stat]:
        self._do("list", lambda: None)
        yield from self.storage.list(prefix)

    def delete(self, path: str) -> None:
        self._do("delete", lambda: self.storage.delete(path))

    def uri(self, path: str) -> str:
        return self.storage.uri(path)  # type: ignore[no-any-return]

    def native_options(self, for_: str) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        pass

    def _do(self, what: str, work: Callable[[], Any]) -> Any:
        with self._lock:
            self.asked[what] += 1
            number, self.number = self.number, self.number + 1
        if self.broken:
            self.refused += 1
            raise transient()
        if self.fail_at is not None and number >= self.fail_at:
            if number == self.fail_at:
                if self.done:
                    work()
                raise self.error()
            if self.error is Killed:
                raise Killed
        return work()

    @property
    def requests(self) -> int:
        return self.asked.total()


class LosesAnswers:
    """A storage that tries each write again, as one does whose answer was lost: it then meets its own object."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def write(self, path: str, data: Any, *, when: When = ALWAYS) -> Stat:
        content = data if isinstance(data, bytes) else data.read()
        self._storage.write(path, content, when=when)
        return self._storage.write(path, content, when=when)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def transient() -> StorageError:
    return Transient("the storage did not answer", where="the test", remedy="Try again.")


def _is_below(name: str, prefix: str) -> bool:
    return not prefix or name == prefix or name.startswith(f"{prefix}/")
