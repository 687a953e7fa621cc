"""Putting the objects of one write in place.

A single object is published whole by its storage. Several objects are published one after the other, the new ones
before the old ones go: whoever reads meanwhile may see both, and a write that fails half way leaves the old ones as
they were, with new parts beside them that the next attempt replaces. To make readers switch from all old parts to all
new ones at once, this module is the one to change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from odibi.contracts.storage import ABSENT, ALWAYS
from odibi.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import BinaryIO

    from odibi.contracts.storage import Storage, When


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
        kept: paths of objects that were there and stayed.
    """

    rows: int = 0
    bytes: int = 0
    etags: Mapping[str, str] = attrs.field(factory=dict)
    kept: tuple[str, ...] = ()


def publish(storage: Storage, drafts: Iterable[Draft], *, replaced: Iterable[str] = ()) -> Published:
    """Write all drafts, whatever is there, and then remove the objects ``replaced`` that were not written anew."""
    result = _publish(storage, drafts, ALWAYS)
    for path in replaced:
        if path not in result.etags:
            storage.delete(path)
    return result


def publish_absent(storage: Storage, drafts: Iterable[Draft]) -> Published:
    """Write the drafts where nothing is; what is there stays, as the same part has the same name."""
    return _publish(storage, drafts, ABSENT)


def _publish(storage: Storage, drafts: Iterable[Draft], when: When) -> Published:
    rows, size = 0, 0
    etags: dict[str, str] = {}
    kept: list[str] = []
    for draft in drafts:
        try:
            with storage.create(draft.path, when=when) as file:
                written = draft.write(file)
        except Conflict:
            if when is ALWAYS:
                raise
            kept.append(draft.path)
            continue
        stat = storage.stat(draft.path)
        rows += written
        size += stat.size
        etags[stat.path] = stat.etag
    return Published(rows, size, etags, tuple(kept))
