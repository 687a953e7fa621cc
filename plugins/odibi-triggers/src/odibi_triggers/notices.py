"""What the operating system tells of changes in a folder, by way of watchfiles (inotify on Linux)."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

import attrs

_log = logging.getLogger("odibi.trigger")

STEP = 10
"""Milliseconds between two looks whether something was told; one more goes by until nothing new comes."""

DEBOUNCE = 40
"""Milliseconds after which is passed on what was told, though more keeps coming."""

REMOTE = ("9p", "afs", "ceph", "cifs", "fuse", "glusterfs", "lustre", "ncpfs", "nfs", "smb", "vboxsf", "virtiofs")
"""How the names of file systems begin that other machines change, of which the own system tells nothing."""

_ADDED, _DELETED = 1, 3
_MOUNTS = Path("/proc/self/mountinfo")


class Flag(Protocol):
    """What can be set."""

    def is_set(self) -> bool:
        """Whether it is."""
        ...


@attrs.frozen
class Change:
    """Something happened to a path.

    Attributes:
        path: absolute.
        is_new: whether it appeared there, so that it may be a whole folder.
    """

    path: str
    is_new: bool


def folder_of(uri: str) -> Path | None:
    """The folder at a ``file:`` address; ``None`` for any other."""
    parts = urlsplit(uri)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def is_remote(folder: Path, mounts: str | None = None) -> bool:
    """Whether other machines may change what is in a folder.

    Args:
        folder: absolute.
        mounts: as ``/proc/self/mountinfo`` has them (proc(5)); read there if not given.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text("utf-8", "surrogateescape")
        except OSError:
            return False
    real, best, kind = os.path.realpath(folder), "", ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].encode("ascii", "surrogateescape").decode("unicode_escape")
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind.startswith(REMOTE)


class Notices:
    """Changes below a folder, from when :meth:`renew` was called on.

    A folder that is not there yet is waited for in the nearest one above that is. All is told by a thread of
    watchfiles, which gathers what happens while nobody asks; it goes with :meth:`close`.

    What is told may be incomplete: the system's queue overflows, a folder that just appeared is watched a moment later,
    and watchfiles drops what comes in the instant in which it hands out the rest. So listings have to follow.

    Args:
        base: where to stay below.
        wanted: the folder, or file, to watch.
    """

    def __init__(self, base: Path, wanted: Path) -> None:
        self._base, self._wanted = base, wanted
        self._place: _Place | None = None
        self._watcher: Any = None
        self._busy = threading.Lock()
        self._closed = False
        self._refused = False

    @property
    def work(self) -> bool:
        """Whether changes are told at the moment."""
        return self._watcher is not None

    @property
    def tell_all(self) -> bool:
        """Whether all that is wanted is watched, rather than a folder above that is yet to hold it."""
        return self.work and self._place is not None and self._place.holds

    def renew(self) -> bool:
        """Watch the folder that is there now, if it is another one than is watched; whether it is."""
        found = self._nearest()
        if found == self._place or self._closed:
            return False
        with self._busy:
            self._let_go()
            self._place = found
            if found is not None and not self._refused:
                self._watcher = self._begin(found)
        return True

    def wait(self, seconds: float, stop: Flag) -> set[Change]:
        """What has changed, as soon as something has; nothing once ``stop`` is set, or after ``seconds``."""
        with self._busy:
            if self._watcher is None:
                return set()
            told = self._watcher.watch(DEBOUNCE, STEP, max(1, int(seconds * 1000)), stop)
        if told == "signal":  # whose exception watchfiles has swallowed
            raise KeyboardInterrupt
        if isinstance(told, str):
            return set()
        if self._place is not None and (_DELETED, str(self._place.folder)) in told:
            self._place = None  # a folder that is made in its place may have its inode, but is not watched
        return {Change(path, kind == _ADDED) for kind, path in told}

    def close(self) -> None:
        """Watch no longer; does not wait for a :meth:`wait` that goes on, which is to be stopped by its flag."""
        self._closed = True
        if self._busy.acquire(blocking=False):
            try:
                self._let_go()
            finally:
                self._busy.release()

    def _let_go(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.close()

    def _begin(self, place: _Place) -> Any:
        from watchfiles._rust_notify import RustNotify

        try:
            return RustNotify([str(place.folder)], False, False, 0, place.folder == self._wanted, True)
        except FileNotFoundError:
            self._place = None  # gone again; the next time, then
        except (OSError, RuntimeError) as error:
            self._refused = True
            _log.warning("%s cannot be watched (%s); it is listed now and then instead", place.folder, error)
        return None

    def _nearest(self) -> _Place | None:
        folder, above = self._wanted, False
        while True:
            with suppress(OSError):
                status = folder.stat()
                if S_ISDIR(status.st_mode):
                    return _Place(folder, not above, status.st_dev, status.st_ino)
                above = folder != self._wanted
                if not above:  # a file: its folder is all that there is to watch
                    status = folder.parent.stat()
                    return _Place(folder.parent, True, status.st_dev, status.st_ino)
            if folder in (self._base, folder.parent):
                return None
            folder, above = folder.parent, True


@attrs.frozen
class _Place:
    """What is watched.

    Attributes:
        folder: the wanted one, or one above.
        holds: whether all that is wanted lies in it.
        device, inode: tell it from another folder of the same name.
    """

    folder: Path
    holds: bool
    device: int
    inode: int
