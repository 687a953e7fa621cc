"""Putting the objects of one write in place.

A single object is published whole by its storage. A folder of objects is written beside its place first, under a hidden
name, and put there in one step, if the storage has such a step (:class:`~odibi.contracts.FolderStorage`).

Where it has none, the new objects are published one after the other, and the old ones are removed afterwards: whoever
reads meanwhile may see both. A write that fails before the last new object is there removes the new ones, and the old
ones are as they were.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from secrets import token_hex
from shutil import copyfileobj
from typing import TYPE_CHECKING

import attrs

from odibi.contracts.storage import ABSENT, ALWAYS, FolderStorage
from odibi.errors import AccessDenied, Conflict, InvalidPath, NotFound, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import BinaryIO

    from odibi.contracts.storage import Storage, When

_BLOCK = 1 << 20


@attrs.frozen
class Draft:
    """An object to be written.

    Attributes:
        path: where.
        write: writes it to a file and returns the number of rows.
    """

    path: str
    write: Callable[[BinaryIO], int]


@attrs.frozen
class Published:
    """What was published.

    Attributes:
        rows: in the objects written.
        bytes: of them.
        etags: path to etag, in the order in which they were written.
        kept: path to etag of objects that were there already, and stayed.
    """

    rows: int = 0
    bytes: int = 0
    etags: Mapping[str, str] = attrs.field(factory=dict)
    kept: Mapping[str, str] = attrs.field(factory=dict)


class SingleObject(Exception):
    """There is a single object where a folder is to be, and the storage cannot let one take the other's place."""


def publish(storage: Storage, drafts: Iterable[Draft]) -> Published:
    """Write all drafts, whatever is there."""
    return _publish(storage, drafts, ALWAYS, {})


def publish_absent(storage: Storage, drafts: Iterable[Draft]) -> Published:
    """Write the drafts where nothing is; what is there stays, as the same part has the same name."""
    return _publish(storage, drafts, ABSENT, {})


def publish_folder(storage: Storage, folder: str, drafts: Iterable[Draft], *, when: When = ALWAYS) -> Published:
    """Make the drafts all that is below ``folder``, in one step if the storage has one.

    Args:
        storage: where.
        folder: what is replaced, hidden objects and all; it may be a single object.
        drafts: with paths below ``folder`` that nothing there has.
        when: ``ALWAYS``, or ``ABSENT`` to do it only if nothing is there. Without that step, of those who write at the
            same time only the ones whose objects have the same names are noticed.

    Raises:
        Conflict: something is there, and ``when`` is ``ABSENT``.
        SingleObject: there is a single object, and the storage has no such step.
    """
    drafts = iter(drafts)
    if not isinstance(storage, FolderStorage):
        return _one_by_one(storage, folder, drafts, when)
    above = folder.rpartition("/")[0]
    stage = "/".join(filter(None, (above, f".odibi-stage-{token_hex(8)}")))
    first = next(drafts, None)
    begun: list[str] = []
    try:
        moved = (_moved(draft, folder, stage, begun) for draft in chain(filter(None, [first]), drafts))
        try:
            staged = _publish(storage, moved, ALWAYS, {})
        except AccessDenied:
            # Who may write into the folder, but not beside it, has to do without the one step.
            if begun:
                raise
            return _one_by_one(storage, folder, chain(filter(None, [first]), drafts), when)
        if storage.replace_folder(stage, folder, when=when):
            etags = {folder + path[len(stage) :]: etag for path, etag in staged.etags.items()}
            return attrs.evolve(staged, etags=etags)
        copies = (_copy(storage, path, folder + path[len(stage) :]) for path in staged.etags)
        published = attrs.evolve(_one_by_one(storage, folder, copies, when), rows=staged.rows)
    except BaseException:
        _discard(storage, stage)
        raise
    _discard(storage, stage)
    return published


def _one_by_one(storage: Storage, folder: str, drafts: Iterator[Draft], when: When) -> Published:
    with suppress(NotFound, InvalidPath):
        storage.stat(folder)
        raise SingleObject(folder)
    old = [stat.path for stat in storage.list(folder)]
    written: dict[str, str] = {}
    try:
        published = _publish(storage, drafts, when, written)
        if published.kept:
            raise Conflict("there is data already", where=folder, remedy="Read it again and decide anew.")
    except BaseException:
        for path in written:
            with suppress(StorageError):
                storage.delete(path)
        raise
    if when is ALWAYS:
        for path in old:
            storage.delete(path)
    return published


def _publish(storage: Storage, drafts: Iterable[Draft], when: When, etags: dict[str, str]) -> Published:
    """Write the drafts; those that are written are in ``etags``, also when this raises."""
    rows, size = 0, 0
    kept: dict[str, str] = {}
    for draft in drafts:
        try:
            with storage.create(draft.path, when=when) as file:
                written = draft.write(file)
        except Conflict:
            if when is ALWAYS:
                raise
            kept[draft.path] = storage.stat(draft.path).etag
            continue
        stat = storage.stat(draft.path)
        rows += written
        size += stat.size
        etags[stat.path] = stat.etag
    return Published(rows, size, etags, kept)


def _moved(draft: Draft, folder: str, stage: str, begun: list[str]) -> Draft:
    """The draft of the same object in the staged folder; notes that it is being written."""

    def write(file: BinaryIO) -> int:
        begun.append(draft.path)
        return draft.write(file)

    return Draft(stage + draft.path[len(folder) :], write)


def _copy(storage: Storage, staged: str, path: str) -> Draft:
    def write(file: BinaryIO) -> int:
        with storage.open(staged) as source:
            copyfileobj(source, file, _BLOCK)
        return 0

    return Draft(path, write)


def _discard(storage: Storage, stage: str) -> None:
    """Remove what was staged; what cannot be removed now goes when the next folder is staged beside it."""
    with suppress(StorageError):
        for stat in list(storage.list(stage)):
            storage.delete(stat.path)
