"""Where an object lies: from a path to an open folder and a name in it, never outside the base.

A folder is reached by opening one part of the path after the other, each relative to the one before and none through
a symbolic link; so nobody who swaps a folder for a link meanwhile can lead the walk astray. Links that stay below the
base are followed by resolving them first and walking the resolved path in the same way.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import attrs

from odibi.errors import InvalidPath
from odibi_local.failures import display

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MAX_LINKS = 40
"""As many as Linux follows itself."""


class _LinkMet(Exception):
    """The walk came upon a symbolic link; ``parts`` leads to it."""

    def __init__(self, parts: tuple[str, ...]) -> None:
        self.parts = parts


@attrs.frozen
class Place:
    """Where an object is, or will be.

    Attributes:
        folder: file descriptor of the folder that holds it.
        name: its name there.
        key: its path with all links resolved, the same for all paths that lead to the object.
    """

    folder: int
    name: str
    key: str


@contextmanager
def folder_at(root: str, path: str) -> Iterator[int]:
    """The folder at ``path`` as a file descriptor, open for the time of the ``with`` block.

    Raises:
        OSError: as the system says; ``ENOENT`` and ``ENOTDIR`` if there is no folder.
        InvalidPath: a link leads outside.
    """
    parts = tuple(filter(None, path.split("/")))
    for _ in range(_MAX_LINKS):
        try:
            folder = _walk(root, parts)
        except _LinkMet as link:
            parts = _resolve(root, link.parts, path) + parts[len(link.parts) :]
            continue
        try:
            yield folder
        finally:
            os.close(folder)
        return
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


@contextmanager
def place_of(root: str, path: str, *, make: bool = False, durable: bool = True, follow: bool = True) -> Iterator[Place]:
    """The place of the object at ``path``, its folder open for the time of the ``with`` block.

    Args:
        root: the base folder, absolute.
        path: as :func:`odibi.contracts.storage.check_path` gives it, not empty.
        make: make missing folders.
        durable: have the made folders on disk before going on.
        follow: if the object is a link, the place is where the link leads.

    Raises:
        OSError: as the system says.
        InvalidPath: a link leads outside.
    """
    parts = tuple(path.split("/"))
    for _ in range(_MAX_LINKS):
        try:
            folder = _walk(root, parts[:-1], make=make, durable=durable)
        except _LinkMet as link:
            parts = _resolve(root, link.parts, path) + parts[len(link.parts) :]
            continue
        try:
            if follow and _is_link(parts[-1], folder):
                parts = _resolve(root, parts, path)
                if not parts:
                    raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
                continue
            yield Place(folder, parts[-1], "/".join(parts))
        finally:
            os.close(folder)
        return
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def enter(folder: int, name: str) -> int:
    """The folder ``name`` in the open one, as a file descriptor that the caller closes; -1 if it is a link.

    Raises:
        OSError: as the system says.
    """
    try:
        return _enter(folder, name, (), make=False, durable=False)
    except _LinkMet:
        return -1


def make_folders(path: str, *, durable: bool) -> None:
    """Make the folder at the absolute ``path`` and those above it that are missing."""
    if os.path.isdir(path):  # noqa: PTH112 - strings all the way: this is on the path of each write
        return
    above = os.path.dirname(path)  # noqa: PTH120
    make_folders(above, durable=durable)
    with suppress(FileExistsError):
        os.mkdir(path)  # noqa: PTH102
    if durable:
        folder = os.open(above, _FOLDER)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _walk(root: str, parts: tuple[str, ...], *, make: bool = False, durable: bool = True) -> int:
    """Open the folder under ``root`` at ``parts``; the caller closes it."""
    folder = os.open(root, _FOLDER)
    try:
        for depth, part in enumerate(parts, 1):
            inner = _enter(folder, part, parts[:depth], make=make, durable=durable)
            os.close(folder)
            folder = inner
    except BaseException:
        os.close(folder)
        raise
    return folder


def _enter(folder: int, part: str, parts: tuple[str, ...], *, make: bool, durable: bool) -> int:
    try:
        return os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP) and _is_link(part, folder):
            raise _LinkMet(parts) from None
        raise
    with suppress(FileExistsError):
        os.mkdir(part, dir_fd=folder)
    if durable:
        os.fsync(folder)
    return os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _resolve(root: str, parts: tuple[str, ...], path: str) -> tuple[str, ...]:
    """The parts of the path to which the link at ``parts`` leads in the end."""
    real_root = os.path.realpath(root)
    real = os.path.realpath(os.path.join(real_root, *parts))  # noqa: PTH118
    if real != real_root and not real.startswith(real_root.rstrip("/") + "/"):
        raise InvalidPath(
            f"the symbolic link {display('/'.join(parts))} leads out of the connection's base",
            where=display(path),
            remedy="Give a connection whose base holds the file, or copy the file there.",
        )
    return tuple(filter(None, real[len(real_root) :].split("/")))
