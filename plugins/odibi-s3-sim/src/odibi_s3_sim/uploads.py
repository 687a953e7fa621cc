"""Multipart uploads: parts that become one object, in one step."""

from __future__ import annotations

import json
from hashlib import md5
from itertools import pairwise
from secrets import token_hex
from typing import TYPE_CHECKING

import attrs

from odibi_s3_sim.answers import Part, Upload
from odibi_s3_sim.errors import S3Error
from odibi_s3_sim.listing import successor
from odibi_s3_sim.requests import PARTS, PUT_BYTES, quoted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from odibi_s3_sim.contents import Contents


@attrs.frozen
class Chosen:
    """What the parts of an upload come to."""

    etag: str
    size: int
    pieces: Sequence[tuple[str, int]]


class Uploads:
    """The uploads of a bucket, within the transactions of its index.

    Args:
        contents: of the bucket.
        least: bytes that a part must have that is not the last.
    """

    def __init__(self, contents: Contents, least: int) -> None:
        self._contents = contents
        self._least = least

    def create(self, db: sqlite3.Connection, key: bytes, metadata: dict[str, str], now: float) -> Upload:
        """Begin one."""
        upload_id = token_hex(24)
        db.execute("INSERT INTO uploads VALUES (?, ?, ?, ?)", (upload_id, key, now, json.dumps(metadata)))
        return Upload(key.decode(), upload_id, now)

    def find(self, db: sqlite3.Connection, key: bytes, upload_id: str) -> tuple[Upload, dict[str, str]]:
        """An upload, with the metadata of what it will be."""
        row = db.execute(
            "SELECT initiated, metadata FROM uploads WHERE upload_id = ? AND key = ?", (upload_id, key)
        ).fetchone()
        if row is None:
            raise S3Error("NoSuchUpload", "there is no such upload; it may be completed or aborted", key=key.decode())
        return Upload(key.decode(), upload_id, row[0]), json.loads(row[1])

    @staticmethod
    def check_part(number: int, size: int) -> None:
        """Refuse a part that S3 does not take."""
        if not 1 <= number <= PARTS:
            raise S3Error("InvalidArgument", f"the number of a part is 1 to {PARTS}, not {number}")
        if size > PUT_BYTES:
            raise S3Error("EntityTooLarge", f"a part has at most {PUT_BYTES} bytes")

    def add_part(
        self,
        db: sqlite3.Connection,
        upload_id: str,
        number: int,
        size: int,
        digest: str,
        now: float,
        content: str,
        gone: list[str],
    ) -> Part:
        """Take a part, instead of the one of that number; what that one held is added to ``gone``."""
        before = db.execute(
            "SELECT content FROM parts WHERE upload_id = ? AND number = ?", (upload_id, number)
        ).fetchone()
        gone += [] if before is None else [before[0]]
        db.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)", (upload_id, number, size, digest, now, content)
        )
        return Part(number, quoted(digest), size, now)

    def parts(self, db: sqlite3.Connection, upload_id: str) -> Sequence[Part]:
        """All parts, in order."""
        query = "SELECT number, md5, size, modified FROM parts WHERE upload_id = ? ORDER BY number"
        return [
            Part(number, quoted(digest), size, when) for number, digest, size, when in db.execute(query, (upload_id,))
        ]

    def under_way(self, db: sqlite3.Connection, prefix: str) -> Sequence[Upload]:
        """All uploads below a prefix."""
        under = prefix.encode()
        rows = db.execute(
            "SELECT key, upload_id, initiated FROM uploads WHERE key >= ? AND (? OR key < ?) "
            "ORDER BY key, initiated, upload_id",
            (under, not under, successor(under)),
        )
        return [Upload(key.decode(), upload_id, initiated) for key, upload_id, initiated in rows]

    def choose(self, db: sqlite3.Connection, upload_id: str, parts: Sequence[tuple[int, str]]) -> Chosen:
        """Check the parts that are to be the object, and put them together.

        The ETag is the MD5 of the parts' MD5s, a dash, and their number.
        """
        numbers = [number for number, _ in parts]
        if not numbers:
            raise S3Error("MalformedXML", "an object is made of one part at least")
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            raise S3Error("InvalidPartOrder", "the parts are not in ascending order")
        query = "SELECT number, size, md5, content FROM parts WHERE upload_id = ?"
        there = {number: (size, digest, content) for number, size, digest, content in db.execute(query, (upload_id,))}
        whole = md5(usedforsecurity=False)
        pieces = []
        for number, etag in parts:
            size, digest, content = there.get(number, (0, "", ""))
            if not content or quoted(digest) != quoted(etag):
                raise S3Error("InvalidPart", f"part {number} was not uploaded, or has another ETag")
            if size < self._least and number != numbers[-1]:
                raise S3Error("EntityTooSmall", f"part {number} has {size} bytes, fewer than {self._least}")
            whole.update(bytes.fromhex(digest))
            pieces.append((content, size))
        return Chosen(f'"{whole.hexdigest()}-{len(parts)}"', sum(size for _, size in pieces), pieces)

    def forget(self, db: sqlite3.Connection, upload_id: str, keep: AbstractSet[str]) -> list[str]:
        """End an upload; returns the contents that nothing needs any more.

        Args:
            db: the database.
            upload_id: which.
            keep: contents that became part of an object.
        """
        rows = db.execute("DELETE FROM parts WHERE upload_id = ? RETURNING content", (upload_id,)).fetchall()
        db.execute("DELETE FROM uploads WHERE upload_id = ?", (upload_id,))
        return [content for (content,) in rows if content not in keep]
