"""Pages of a listing: keys in the order of their UTF-8, rolled up at a delimiter, with tokens to go on."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from odibi_s3_sim import index
from odibi_s3_sim.answers import Page, Version, VersionsPage
from odibi_s3_sim.errors import S3Error
from odibi_s3_sim.requests import PAGE

if TYPE_CHECKING:
    import sqlite3

_AT, _AFTER = b"=", b">"


def successor(prefix: bytes) -> bytes:
    """The first key that is greater than all that begin with ``prefix``; empty if there is none."""
    cut = prefix.rstrip(b"\xff")
    return cut[:-1] + bytes([cut[-1] + 1]) if cut else b""


def page(
    db: sqlite3.Connection, prefix: str, delimiter: str, max_keys: int, token: str | None, start_after: str
) -> Page:
    """One page; see :meth:`odibi_s3_sim.bucket.Bucket.list`."""
    if max_keys < 0:
        raise S3Error("InvalidArgument", "max-keys is negative")
    limit = min(max_keys, PAGE)
    under, rolled = prefix.encode(), delimiter.encode()
    beyond = successor(under)
    at, exclusive = _begin(under, token, start_after)
    contents: list[Version] = []
    prefixes: list[str] = []
    last = skipped = b""
    while len(contents) + len(prefixes) < limit:
        wanted = limit - len(contents) - len(prefixes)
        rows = index.objects_from(db, at, beyond, wanted, exclusive=exclusive)
        for key, version in rows:
            if skipped and key.startswith(skipped):
                continue
            end = key.find(rolled, len(under)) if rolled else -1
            if end < 0:
                contents.append(version)
                last, at, exclusive = _AFTER + key, key, True
            else:
                skipped = key[: end + len(rolled)]
                prefixes.append(skipped.decode())
                at, exclusive = successor(skipped), False  # all others below it are passed over
                last = _AT + at
        if len(rows) < wanted:
            break
    more = bool(limit and last and index.objects_from(db, at, beyond, 1, exclusive=exclusive))
    following = base64.urlsafe_b64encode(last).decode() if more else ""
    return Page(tuple(contents), tuple(prefixes), more, following)


def _begin(under: bytes, token: str | None, start_after: str) -> tuple[bytes, bool]:
    """Where a page begins, and whether after that key."""
    if token is not None:
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if raw[:1] not in (_AT, _AFTER):
            raise S3Error("InvalidArgument", "the continuation token is not one that a listing gave")
        return max(raw[1:], under), raw[:1] == _AFTER and raw[1:] >= under
    after = start_after.encode()
    return max(after, under), bool(after) and after >= under


def versions_page(
    db: sqlite3.Connection, prefix: str, max_keys: int, key_marker: str, version_id_marker: str
) -> VersionsPage:
    """One page; see :meth:`odibi_s3_sim.bucket.Bucket.versions`."""
    if version_id_marker and not key_marker:
        raise S3Error("InvalidArgument", "a version-id marker needs a key marker")
    limit = min(max(max_keys, 0), PAGE)
    under, key = prefix.encode(), key_marker.encode()
    before = None
    if version_id_marker:
        marked = index.version(db, key, version_id_marker)
        if marked is None:
            raise S3Error("InvalidArgument", "the version-id marker is of no version")
        before = marked.order
    found = index.versions_from(db, under, successor(under), key, before, limit + 1)
    more, found = len(found) > limit > 0, found[:limit]
    latest = set()
    for each in {one.key for one in found}:
        newest = index.newest(db, each.encode())
        if newest is not None:
            latest.add((each, newest.version_id))
    tail = found[-1] if more else None
    return VersionsPage(
        tuple(found), frozenset(latest), more, tail.key if tail else "", tail.version_id if tail else ""
    )
