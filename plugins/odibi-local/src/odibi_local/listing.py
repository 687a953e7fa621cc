"""All objects under a folder, in the order in which an object store would list them."""

from __future__ import annotations

import fcntl
import heapq
import os
import stat
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from odibi.contracts.storage import Stat, check_path
from odibi.errors import InvalidPath
from odibi_local.drafts import LOCKS, is_draft, is_reserved, stat_of
from odibi_local.places import folder_at, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 32_768
"""How many names of one folder are held at a time, which bounds the memory a listing takes."""

_STALE = 24 * 3600
"""Seconds after which the draft of a writer that no longer lives is removed."""


def objects_under(root: str, prefix: str) -> Iterator[Stat]:
    """Every object under the folder ``prefix``, by code points of the whole path.

    A link that leads outside, dangles, or leads back to a folder that is just being listed is no object and left out,
    as is a name that no path can hold (one with a backslash). What comes or goes meanwhile may or may not show.

    Raises:
        OSError: as the system says; a missing folder is no error.
        InvalidPath: ``prefix`` itself is a link that leads outside.
    """
    with ExitStack() as opened:
        levels: list[tuple[str, int, Iterator[str], ExitStack]] = []

        def descend(path: str) -> None:
            level = ExitStack()
            try:
                folder = level.enter_context(folder_at(root, path))
            except (FileNotFoundError, NotADirectoryError):
                return
            except InvalidPath:
                if not levels:
                    raise
                return
            if any(os.path.sameopenfile(folder, above) for _, above, _, _ in levels):
                level.close()
                return
            opened.push(level)
            levels.append((path, folder, _names(folder), level))

        descend(prefix)
        while levels:
            path, folder, names, level = levels[-1]
            name = next(names, None)
            if name is None:
                levels.pop()
                level.close()
                continue
            full = f"{path}/{name}" if path else name
            if name.endswith("/"):
                descend(full[:-1])
            elif found := _object(root, full, name, folder):
                yield found


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
            elif name == LOCKS:
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
