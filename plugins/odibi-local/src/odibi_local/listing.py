"""All objects under a folder, in the order in which an object store would list them."""

from __future__ import annotations

import fcntl
import heapq
import os
import stat
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import attrs

from odibi.contracts.storage import Stat, check_path
from odibi.errors import InvalidPath
from odibi_local.drafts import stat_of
from odibi_local.names import LOCKS, is_draft, is_reserved, is_stage
from odibi_local.places import enter, folder_at, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH = 32_768
"""How many names of one folder are held at a time, which bounds the memory a listing takes."""

_TRIES = 100
_STALE = 24 * 3600
"""Seconds after which the draft of a writer that no longer lives is removed."""


def objects_under(root: str, prefix: str) -> Iterator[Stat]:
    """Every object under the folder ``prefix``, by code points of the whole path.

    A link that leads outside, dangles, or leads back to a folder that is just being listed is no object and left out,
    as is a name that no path can hold (one with a backslash). What comes or goes meanwhile may or may not show; of a
    folder that is replaced meanwhile nothing new shows beside something old, and not nothing at all.

    Raises:
        OSError: as the system says; a missing folder is no error.
        InvalidPath: ``prefix`` itself is a link that leads outside.
    """
    levels: list[_Level] = []
    try:
        first = _open(root, prefix, None, "")
        if first is not None:
            levels.append(first)
        while levels:
            level = levels[-1]
            name = next(level.names, None)
            if name is None:
                again = _replaced(root, level)  # before it is closed, as its number may be given to another folder then
                levels.pop().close()
                if again is not None:
                    levels.append(again)
                elif levels:
                    levels[-1].shown = levels[-1].shown or level.shown
                continue
            full = f"{level.path}/{name}" if level.path else name
            if not name.endswith("/"):
                found = _object(root, full, name, level.folder)
                if found:
                    level.shown = True
                    yield found
                continue
            with suppress(InvalidPath):
                inner = _open(root, full[:-1], level.folder, name[:-1])
                if inner is not None:
                    levels.append(inner)
                    if any(inner.identity == above.identity for above in levels[:-1]):
                        levels.pop().close()
    finally:
        for level in levels:
            level.close()


@attrs.define
class _Level:
    """A folder that is being listed.

    Attributes:
        path: below the base.
        folder: a handle on it.
        above: a handle on the folder that holds it; ``None`` for the one the listing began with.
        name: its name there.
        names: those in it that have yet to be looked at.
        close: closes the handle.
        identity: tells it from every other folder.
        shown: whether anything of it showed.
        tries: how many folders were at its place before, while it was listed.
    """

    path: str
    folder: int
    above: int | None
    name: str
    names: Iterator[str]
    close: Callable[[], None]
    identity: tuple[int, int]
    shown: bool = False
    tries: int = 0


def _open(root: str, path: str, above: int | None, name: str) -> _Level | None:
    with ExitStack() as opened:
        try:
            # From the folder above, so that when that one is replaced while it is listed, nothing of the new one comes
            # up between what is left of the old one.
            folder = -1 if above is None else enter(above, name)
            if folder >= 0:
                opened.callback(os.close, folder)
            else:
                folder = opened.enter_context(folder_at(root, path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        status = os.fstat(folder)
        identity = (status.st_dev, status.st_ino)
        return _Level(path, folder, above, name, _names(folder), opened.pop_all().close, identity)


def _replaced(root: str, level: _Level) -> _Level | None:
    """The folder that is now where the one was that has been listed, if nothing of that one showed.

    Were it emptied after a new one took its place, but before we looked, there would seem to be nothing.
    """
    if level.shown or level.tries > _TRIES:
        return None
    with suppress(InvalidPath):
        again = _open(root, level.path, level.above, level.name)
        if again is not None and again.identity != level.identity:
            again.tries = level.tries + 1
            return again
        if again is not None:
            again.close()
    return None


def _names(folder: int) -> Iterator[str]:
    """The names in ``folder`` in the order of the keys they begin; those of folders end in ``/``.

    A folder of more than :data:`BATCH` names is read several times rather than held in memory.
    """
    last = ""
    while True:
        batch = heapq.nsmallest(BATCH, (name for name in _scan(folder) if name > last))
        yield from batch
        if len(batch) < BATCH:
            return
        last = batch[-1]


def _scan(folder: int) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if is_draft(name):
                _discard_if_stale(name, folder)
            elif name == LOCKS or is_stage(name):
                continue
            else:
                with suppress(OSError):
                    yield f"{name}/" if entry.is_dir() else name


def _object(root: str, path: str, name: str, folder: int) -> Stat | None:
    try:
        if check_path(path) != path or is_reserved(path):
            return None
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            with place_of(root, path) as place:
                status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except (OSError, InvalidPath):
        return None
    return stat_of(path, status) if stat.S_ISREG(status.st_mode) else None


def _discard_if_stale(name: str, folder: int) -> None:
    """Remove what a writer left that was killed; a living writer holds a lock on its draft, however old it is."""
    with suppress(OSError):
        if time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < _STALE:
            return
        draft = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
        try:
            fcntl.flock(draft, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name, dir_fd=folder)
        finally:
            os.close(draft)
