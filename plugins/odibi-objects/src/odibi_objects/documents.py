"""Small objects of JSON that carry their own checksum, and how several writers change one without losing anything."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from odibi.contracts.storage import ABSENT, Match
from odibi.errors import Conflict, NotFound, StorageError, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from odibi.contracts.storage import Stat, Storage, When

_MAGIC = b"odibi-objects 1 "
_TRIES = 200
"""How often a change is tried again because another writer was faster; each time, one of them got on."""


class Damaged(StorageError):
    """An object is not what was once written to it."""


def encode(kind: str, content: Mapping[str, Any]) -> bytes:
    """The bytes of a document.

    Args:
        kind: what it is, so that one object is never taken for another.
        content: JSON values.

    Raises:
        TypeError, ValueError: ``content`` holds something else.
    """
    body = json.dumps({"kind": kind, **content}, separators=(",", ":")).encode()
    return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode(data: bytes, where: str, *kinds: str) -> dict[str, Any]:
    """The content of a document, with its ``kind`` under that key.

    Args:
        data: as :func:`encode` made it.
        where: to call it in an error.
        kinds: those that may stand there.

    Raises:
        Damaged: it differs from what was written, or is of another kind.
    """
    head, _, body = data.partition(b"\n")
    if head == _MAGIC + hashlib.sha256(body).hexdigest().encode():
        content = json.loads(body)
        if isinstance(content, dict) and content.get("kind") in kinds:
            return content
    raise Damaged(
        "the object is damaged, or was written by something else",
        where=where,
        remedy="Restore it from a copy, or remove it if it can be missed.",
    )


def read(storage: Storage, path: str, *kinds: str) -> dict[str, Any] | None:
    """The document at ``path``, or ``None``; one request.

    Raises:
        Damaged: see :func:`decode`.
        StorageError: the storage fails.
    """
    try:
        return decode(storage.read(path), path, *kinds)
    except NotFound:
        return None


def swap(storage: Storage, path: str, data: bytes, when: When) -> Stat | None:
    """Write under a condition; ``None`` if it does not hold.

    A storage that tries again by itself, after the answer to its first try was lost, finds its own object in the way.
    That is told from a lost race by looking at what is there, so ``data`` must not be what another writer may write.

    Raises:
        StorageError: the storage fails; whether it was written is not known then.
    """
    try:
        return storage.write(path, data, when=when)
    except Conflict:
        pass
    try:
        there = storage.stat(path)
        return there if storage.read(path) == data else None
    except NotFound:
        return None


def change(
    storage: Storage, path: str, kind: str, how: Callable[[dict[str, Any] | None], Mapping[str, Any] | None]
) -> None:
    """Change a document by compare-and-set until no other writer comes in between.

    Args:
        storage: where it is.
        path: of the document.
        kind: its kind.
        how: makes the new content of the old (``None`` if there is none, or a damaged one); ``None`` to leave it. It
            may be called several times, also on what it has made before.

    Raises:
        Transient: other writers kept coming in between.
        StorageError: the storage fails.
    """
    for _ in range(_TRIES):
        try:
            etag: str | None = storage.stat(path).etag
            try:
                old: dict[str, Any] | None = decode(storage.read(path), path, kind)
            except Damaged:
                old = None
        except NotFound:
            etag = old = None
        new = how(old)
        if new is None:
            return
        if swap(storage, path, encode(kind, new), ABSENT if etag is None else Match(etag)):
            return
    raise Transient("other writers kept changing the object", where=path, remedy="Try again.")
