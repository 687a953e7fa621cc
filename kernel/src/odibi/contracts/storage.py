"""Storage: bytes under POSIX-like relative paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, runtime_checkable

import attrs

from odibi.errors import InvalidPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager


class _When:
    """A condition on a write that needs no argument."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> str:
        return self._name


ALWAYS: Final = _When("ALWAYS")
"""Write whatever is there."""

ABSENT: Final = _When("ABSENT")
"""Write only if nothing is there; else raise :class:`~odibi.errors.Conflict`."""


@attrs.frozen
class Match:
    """Write only if the object there still has this etag; else raise :class:`~odibi.errors.Conflict`."""

    etag: str


When = _When | Match


@attrs.frozen
class Stat:
    """What a storage knows of one object.

    Attributes:
        path: relative to the storage's root, with ``/``.
        size: in bytes.
        modified: seconds since the epoch, UTC.
        etag: changes whenever the content does; an opaque string.
    """

    path: str
    size: int
    modified: float
    etag: str


@runtime_checkable
class Storage(Protocol):
    """Objects of bytes under relative paths such as ``bronze/orders/part-0.parquet``.

    Promises:
        * A write is atomic: every reader sees the old object or the new one, whole. A write that returned is durable.
        * ``ABSENT`` and ``Match`` are atomic compare-and-set: of N racers exactly one wins, the others get
          :class:`~odibi.errors.Conflict`.
        * A path that is absolute, has ``..``, a NUL or a backslash is refused with
          :class:`~odibi.errors.InvalidPath` before any I/O (:func:`check_path` does it).
        * Missing is :class:`~odibi.errors.NotFound`; credentials are :class:`~odibi.errors.AccessDenied`; throttled,
          timed out and cut off are :class:`~odibi.errors.Transient`. Nothing but a
          :class:`~odibi.errors.StorageError` escapes.
        * All methods may be called from many threads at once.
        * An error names the path, shows no secret, and survives a trip between processes (a pickle round trip).

    A storage may have a class attribute ``etag_resolution``, in seconds: two changes that are no further apart may
    share an etag, so that what was changed that recently has to be looked at again. Without one, etags never do.

    A storage that can make many objects visible in one step also is a :class:`FolderStorage`.
    """

    def read(self, path: str) -> bytes:
        """The whole object."""
        ...

    def open(self, path: str) -> BinaryIO:
        """The object as a seekable binary file; reading a range does not fetch the whole.

        What is missing is :class:`~odibi.errors.NotFound` here, and not at the first read. If the object is replaced
        or deleted while the file is open, reading gives the rest of what was opened or raises a
        :class:`~odibi.errors.StorageError`; it never gives a mixture.
        """
        ...

    def write(self, path: str, data: bytes | memoryview | BinaryIO, *, when: When = ALWAYS) -> Stat:
        """Make ``data`` the object at ``path``, atomically and durably; missing folders are made.

        A file is read from where it stands; it may be unseekable, give fewer bytes than asked for, and stays open. If
        it raises, nothing is written, and the error comes out as it is or as the cause of a
        :class:`~odibi.errors.StorageError`. Where an answer was lost, so that nobody can know whether a conditional
        write took place, that is :class:`~odibi.errors.Transient`.
        """
        ...

    def create(self, path: str, *, when: When = ALWAYS) -> AbstractContextManager[BinaryIO]:
        """A binary file that becomes the object when the ``with`` block ends, and is discarded when it raises.

        For writers whose result does not fit in memory. ``when`` is checked when the block ends. Closing the file
        inside the block publishes nothing yet, and a block that raises after that still discards it.
        """
        ...

    def stat(self, path: str) -> Stat:
        """What is at ``path``; a folder (a prefix of other objects) is :class:`~odibi.errors.NotFound`."""
        ...

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """All objects at or under ``prefix``, recursively, in the order of their paths (by code point).

        ``prefix`` is a folder, not a string: ``list("etl")`` does not show ``etl_daily/x``. Lazy, and of constant
        memory at a million objects. A prefix under which nothing lies gives nothing.
        """
        ...

    def delete(self, path: str) -> None:
        """Remove the object; deleting nothing succeeds."""
        ...

    def uri(self, path: str) -> str:
        """An absolute address for people and for readers that go direct (``file:///...``, ``abfss://...``)."""
        ...

    def native_options(self, for_: str) -> Mapping[str, Any]:
        """What a reader that goes direct needs beside :meth:`uri`.

        Args:
            for_: the reader: ``"fsspec"``, ``"pyarrow"``, ``"duckdb"``, ``"delta"``, ``"spark"``.
        """
        ...

    def close(self) -> None:
        """Let go of connections; may be called twice."""
        ...


@runtime_checkable
class FolderStorage(Storage, Protocol):
    """A storage whose folders can be replaced in one step."""

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """Make the objects below ``staged`` those below ``path``, in one step that every reader sees whole, durably.

        They keep their etags. What was below ``path`` is removed afterwards, and ``staged`` is gone. ``path`` may have
        nothing below it, and may be a single object, which the folder then replaces. An object that was being read can
        be read to its end. A write that was under way to what was below ``path`` is lost with it or raises.

        Args:
            staged: a folder whose last part begins with ``.odibi-stage-``, beside ``path`` (in the same folder). A
                listing of a folder above shows nothing of it.
            path: the folder to replace.
            when: ``ALWAYS``, or ``ABSENT`` to do it only if nothing lies at or below ``path``.

        Returns:
            Whether it was done; ``False``, with nothing changed, where this file system cannot do it in one step.

        Raises:
            NotFound: nothing lies below ``staged``.
            Conflict: ``when`` is ``ABSENT``, and something lies there.
        """
        ...


def check_path(path: str) -> str:
    """Refuse a path that could leave its storage, before any I/O.

    Args:
        path: relative, with ``/`` between its parts; ``""`` is the root.

    Returns:
        The path without empty and ``.`` parts.

    Raises:
        InvalidPath: absolute, with ``..``, a NUL, a backslash or a drive letter.
    """
    if "\0" in path:
        raise InvalidPath("the path holds a NUL character", where=repr(path), remedy="Remove it.")
    if "\\" in path:
        raise InvalidPath("the path holds a backslash", where=repr(path), remedy="Separate its parts with '/'.")
    if path.startswith("/") or (len(path) > 1 and path[1] == ":" and path[0].isalpha()):
        raise InvalidPath(
            "the path is absolute",
            where=repr(path),
            remedy="Give a path relative to the connection's base.",
        )
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidPath(
            "the path climbs out with '..'", where=repr(path), remedy="Give a path below the connection's base."
        )
    return "/".join(parts)
