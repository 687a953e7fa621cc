"""A bucket as S3 keeps it: objects, versions, conditions, ranges, listings, multipart uploads.

The semantics are those of the Amazon S3 user guide and API reference for general purpose buckets. Requests are methods;
each answers with a status, or raises :class:`~odibi_s3_sim.errors.S3Error` with one. There are no faults, no latency
and no bill here: those are the business of :class:`~odibi_s3_sim.endpoint.Endpoint`.
"""

from __future__ import annotations

import math
import os
import threading
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Literal

from odibi_s3_sim import index, listing
from odibi_s3_sim.answers import Deleted, DeletedMany, Failure, Got, Page, Part, Upload, Version, VersionsPage, Written
from odibi_s3_sim.clock import Clock, RealClock
from odibi_s3_sim.contents import FileContents, MemoryContents, orphans
from odibi_s3_sim.errors import S3Error
from odibi_s3_sim.index import Index
from odibi_s3_sim.requests import (
    PAGE,
    PART_BYTES,
    PUT_BYTES,
    check_bucket_name,
    check_digest,
    check_metadata,
    check_read_conditions,
    check_write_conditions,
    key_bytes,
    quoted,
    span,
)
from odibi_s3_sim.uploads import Uploads

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from odibi_s3_sim.contents import Contents

Versioning = Literal["", "Enabled", "Suspended"]
"""As S3 says it; empty where it never was on."""

Gone = list[str]
"""Contents that nothing needs any more, once a change is made."""

_DATABASE = "bucket.db"
_CONTENTS = "contents"
_DAY = 24 * 3600.0


class Bucket:
    """One bucket, in memory or in a folder that several processes may share.

    Args:
        name: as S3 allows them.
        folder: that holds it; empty for memory.
        clock: tells the dates of objects.
        durable: in a folder, have each change on disk before it counts as done.
        part_bytes: the least size of a part that is not the last; S3's is 5 MiB.
    """

    def __init__(
        self,
        name: str,
        folder: str = "",
        *,
        clock: Clock | None = None,
        durable: bool = True,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self.name = check_bucket_name(name)
        self.folder = folder
        self._clock: Clock = clock or RealClock()
        self._dropped = False
        if folder:
            self._contents: Contents = FileContents(os.path.join(folder, _CONTENTS), durable=durable)  # noqa: PTH118
            self.index = Index(os.path.join(folder, _DATABASE), durable=durable)  # noqa: PTH118
            self._sweep()
        else:
            self._contents, self.index = MemoryContents(), Index()
        self._uploads = Uploads(self._contents, part_bytes)

    @staticmethod
    def is_in(folder: str) -> bool:
        """Whether a folder holds a bucket."""
        return os.path.exists(os.path.join(folder, _DATABASE))  # noqa: PTH110, PTH118

    # --- the bucket itself ------------------------------------------------------------------------------------------

    def drop(self) -> None:
        """Delete the bucket, which must be empty; every later request is ``NoSuchBucket``.

        A folder is left where it is, with nothing in it that is an object.
        """
        with self._changing() as db:
            if db.execute("SELECT 1 FROM versions LIMIT 1").fetchone() is not None:
                raise S3Error("BucketNotEmpty", "the bucket still has objects, versions or delete markers")
            index.set_fact(db, "dropped", "yes")
        self._dropped = True

    def versioning(self) -> Versioning:
        """Whether versions are kept."""
        with self._reading() as db:
            return _versioning(db)

    def set_versioning(self, state: Literal["Enabled", "Suspended"]) -> None:
        """Turn versioning on, or suspend it; it cannot be undone."""
        if state not in ("Enabled", "Suspended"):
            raise S3Error("IllegalVersioningConfigurationException", "versioning is 'Enabled' or 'Suspended'")
        with self._changing() as db:
            index.set_fact(db, "versioning", state)

    def size(self) -> tuple[int, int]:
        """How many objects and versions there are, and their bytes; those of unfinished uploads included."""
        with self._reading() as db:
            count, held = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM versions").fetchone()
            (parts,) = db.execute("SELECT coalesce(sum(size), 0) FROM parts").fetchone()
        return count, held + parts

    def close(self) -> None:
        """Let go of the files; the next request opens them again."""
        self.index.close()

    # --- objects ----------------------------------------------------------------------------------------------------

    def put(
        self,
        key: str,
        body: bytes | memoryview,
        *,
        metadata: Mapping[str, str] | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        content_md5: str | None = None,
    ) -> Written:
        """PutObject.

        Args:
            key: of the object.
            body: all of it.
            metadata: kept beside it.
            if_match: only if the object there has this ETag.
            if_none_match: ``"*"``: only if there is none.
            content_md5: Base64 of the body's MD5, to be checked.
        """
        raw = key_bytes(key)
        kept = check_metadata(metadata or {})
        if len(body) > PUT_BYTES:
            raise S3Error("EntityTooLarge", f"one PUT takes at most {PUT_BYTES} bytes", key=key)
        seen = self._check_before(raw, if_match, if_none_match)
        etag = quoted(check_digest(body, content_md5))
        pieces = [(self._contents.store(body), len(body))] if body else []
        now = float(math.floor(self._clock.time()))
        with self._publishing(pieces) as (db, gone):
            check_write_conditions(index.current(db, raw), if_match, if_none_match, seen)
            return self._add(db, raw, etag, len(body), now, kept, pieces, gone)

    def get(
        self,
        key: str,
        *,
        byte_range: str | None = None,
        version_id: str | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Got:
        """GetObject.

        Args:
            key: of the object.
            byte_range: the ``Range`` header: ``bytes=0-9``, ``bytes=10-``, ``bytes=-5``.
            version_id: which version.
            if_match: only if it has this ETag.
            if_none_match: only if it has another one; else ``NotModified``.
        """
        raw = key_bytes(key)
        while True:
            found, shown = self._find(raw, version_id)
            check_read_conditions(found, if_match, if_none_match)
            part = span(byte_range, found.size)
            first, size = part or (0, found.size)
            try:
                body = self._read(found.pieces, first, size)
            except FileNotFoundError:
                continue  # it was replaced just now
            if part is None:
                return Got(found, body, version_id=shown)
            return Got(found, body, first, f"bytes {first}-{first + size - 1}/{found.size}", shown, 206)

    def head(
        self, key: str, *, version_id: str | None = None, if_match: str | None = None, if_none_match: str | None = None
    ) -> Got:
        """HeadObject."""
        found, shown = self._find(key_bytes(key), version_id)
        check_read_conditions(found, if_match, if_none_match)
        return Got(found, version_id=shown)

    def delete(self, key: str, *, version_id: str | None = None) -> Deleted:
        """DeleteObject: removes the object, hides it under a delete marker, or removes one version."""
        raw = key_bytes(key)
        now = float(math.floor(self._clock.time()))
        with self._publishing() as (db, gone):
            if version_id is not None:
                found = index.version(db, raw, version_id)
                gone.extend(index.remove_version(db, raw, version_id))
                return Deleted(found is not None and found.marker, version_id)
            state = _versioning(db)
            if not state:
                gone.extend(index.remove_version(db, raw, "null"))
                return Deleted()
            marker = token_hex(16) if state == "Enabled" else "null"
            gone.extend(index.add_version(db, raw, marker, "", 0, now, {}, True, ()))
            return Deleted(True, marker)

    def delete_many(self, keys: Sequence[str | tuple[str, str]]) -> DeletedMany:
        """DeleteObjects.

        Args:
            keys: up to a thousand, each with a version id or without one.
        """
        if not 0 < len(keys) <= PAGE:
            raise S3Error("MalformedXML", f"a batch has 1 to {PAGE} keys, not {len(keys)}")
        deleted: dict[str, Deleted] = {}
        errors = []
        for each in keys:
            key, version_id = (each, None) if isinstance(each, str) else each
            try:
                deleted[key] = self.delete(key, version_id=version_id)
            except S3Error as error:
                errors.append(Failure(key, error.code, error.message))
        return DeletedMany(deleted, tuple(errors))

    def copy(
        self,
        source: str,
        key: str,
        *,
        source_version_id: str | None = None,
        source_if_match: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Written:
        """CopyObject, within the bucket.

        Args:
            source: the key of what is copied.
            key: of the copy.
            source_version_id: which version of it.
            source_if_match: only if it has this ETag.
            metadata: instead of that of the source.
            if_match, if_none_match: conditions on what is at ``key``, as for :meth:`put`.
        """
        raw, origin = key_bytes(key), key_bytes(source)
        if raw == origin and metadata is None and source_version_id is None:
            raise S3Error("InvalidRequest", "a copy of an object to itself has to change its metadata", key=key)
        kept = None if metadata is None else check_metadata(metadata)
        seen = self._check_before(raw, if_match, if_none_match)
        while True:
            found, _ = self._find(origin, source_version_id)
            check_read_conditions(found, source_if_match, None)
            if found.size > PUT_BYTES:
                raise S3Error("InvalidRequest", f"a copy takes at most {PUT_BYTES} bytes", key=source)
            try:
                pieces = [(self._contents.share(name), size) for name, size in found.pieces]
            except FileNotFoundError:
                continue  # it was replaced just now
            break
        # One piece or many, the copy is what one PUT would have made.
        etag = found.etag
        if "-" in etag:
            etag = quoted(check_digest(self._read(pieces, 0, found.size), None))
        now = float(math.floor(self._clock.time()))
        with self._publishing(pieces) as (db, gone):
            check_write_conditions(index.current(db, raw), if_match, if_none_match, seen)
            metadata_kept = dict(found.metadata) if kept is None else kept
            return self._add(db, raw, etag, found.size, now, metadata_kept, pieces, gone)

    # --- listings ---------------------------------------------------------------------------------------------------

    def list(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        max_keys: int = PAGE,
        token: str | None = None,
        start_after: str = "",
    ) -> Page:
        """ListObjectsV2.

        Args:
            prefix: what the keys begin with.
            delimiter: keys that have it behind the prefix are rolled up to common prefixes.
            max_keys: 1,000 at most.
            token: of the page before; without one, the first page.
            start_after: begin after this key.
        """
        with self._reading() as db:
            return listing.page(db, prefix, delimiter, max_keys, token, start_after)

    def versions(
        self, prefix: str = "", *, max_keys: int = PAGE, key_marker: str = "", version_id_marker: str = ""
    ) -> VersionsPage:
        """ListObjectVersions.

        Args:
            prefix: what the keys begin with.
            max_keys: 1,000 at most.
            key_marker, version_id_marker: where the page before ended.
        """
        with self._reading() as db:
            return listing.versions_page(db, prefix, max_keys, key_marker, version_id_marker)

    # --- multipart uploads ------------------------------------------------------------------------------------------

    def create_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> Upload:
        """CreateMultipartUpload."""
        raw = key_bytes(key)
        kept = check_metadata(metadata or {})
        now = float(math.floor(self._clock.time()))
        with self._changing() as db:
            return self._uploads.create(db, raw, kept, now)

    def upload_part(
        self, key: str, upload_id: str, number: int, body: bytes | memoryview, *, content_md5: str | None = None
    ) -> Part:
        """UploadPart; a part that is uploaded again replaces the one before."""
        raw = key_bytes(key)
        Uploads.check_part(number, len(body))
        digest = check_digest(body, content_md5)
        with self._reading() as db:
            self._uploads.find(db, raw, upload_id)
        name = self._contents.store(body)
        now = float(math.floor(self._clock.time()))
        with self._publishing([(name, len(body))]) as (db, gone):
            self._uploads.find(db, raw, upload_id)
            return self._uploads.add_part(db, upload_id, number, len(body), digest, now, name, gone)

    def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """ListParts, all of them."""
        with self._reading() as db:
            self._uploads.find(db, key_bytes(key), upload_id)
            return self._uploads.parts(db, upload_id)

    def uploads(self, prefix: str = "") -> Sequence[Upload]:
        """ListMultipartUploads, all of them, by key and then by date."""
        with self._reading() as db:
            return self._uploads.under_way(db, prefix)

    def complete_upload(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[tuple[int, str]],
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Written:
        """CompleteMultipartUpload: the object appears, in one step.

        Args:
            key: of the upload.
            upload_id: of the upload.
            parts: numbers and ETags, in order.
            if_match, if_none_match: conditions on what is at ``key`` now, as for :meth:`put`.
        """
        raw = key_bytes(key)
        with self._publishing() as (db, gone):
            upload, metadata = self._uploads.find(db, raw, upload_id)
            chosen = self._uploads.choose(db, upload_id, parts)
            check_write_conditions(index.current(db, raw), if_match, if_none_match, None)
            gone.extend(self._uploads.forget(db, upload_id, {piece for piece, _ in chosen.pieces}))
            return self._add(db, raw, chosen.etag, chosen.size, upload.initiated, metadata, chosen.pieces, gone)

    def abort_upload(self, key: str, upload_id: str) -> None:
        """AbortMultipartUpload: its parts are gone."""
        raw = key_bytes(key)
        with self._publishing() as (db, gone):
            self._uploads.find(db, raw, upload_id)
            gone.extend(self._uploads.forget(db, upload_id, set()))

    # --- underneath -------------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self.index.read() as db:
            self._check_there(db)
            yield db

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self.index.change() as db:
            self._check_there(db)
            yield db

    @contextmanager
    def _publishing(self, new: Sequence[tuple[str, int]] = ()) -> Iterator[tuple[sqlite3.Connection, Gone]]:
        """A change; what it no longer needs is removed after it, and what it would have added if it fails."""
        gone: Gone = []
        try:
            with self._changing() as db:
                yield db, gone
        except BaseException:
            self._contents.remove(name for name, _ in new)
            raise
        with suppress(OSError):  # it is done all the same; what stays is swept one day
            self._contents.remove(gone)

    def _check_there(self, db: sqlite3.Connection) -> None:
        if self._dropped or index.fact(db, "dropped"):
            raise S3Error("NoSuchBucket", f"there is no bucket {self.name!r}")

    def _check_before(self, key: bytes, if_match: str | None, if_none_match: str | None) -> Version | None:
        """Refuse a write that cannot succeed before its content is kept; the object that is there."""
        if if_match is None and if_none_match is None:
            return None
        with self._reading() as db:
            there = index.current(db, key)
        check_write_conditions(there, if_match, if_none_match, None)
        return there

    def _find(self, key: bytes, version_id: str | None) -> tuple[Version, str | None]:
        """A version, and its id as an answer shows it."""
        with self._reading() as db:
            state = _versioning(db)
            if version_id is not None:
                found = index.version(db, key, version_id)
                if found is None:
                    raise S3Error("NoSuchVersion", "there is no such version", key=key.decode())
                if found.marker:
                    headers = {"x-amz-delete-marker": "true", "allow": "DELETE"}
                    raise S3Error("MethodNotAllowed", "it is a delete marker", key=key.decode(), headers=headers)
                return found, found.version_id if state else None
            found = index.current(db, key)
            if found is None:
                latest = index.newest(db, key)
                headers = {"x-amz-delete-marker": "true", "x-amz-version-id": latest.version_id} if latest else {}
                raise S3Error("NoSuchKey", "there is no such object", key=key.decode(), headers=headers)
            return found, found.version_id if state else None

    def _add(
        self,
        db: sqlite3.Connection,
        key: bytes,
        etag: str,
        size: int,
        modified: float,
        metadata: dict[str, str],
        pieces: Sequence[tuple[str, int]],
        gone: Gone,
    ) -> Written:
        state = _versioning(db)
        version_id = token_hex(16) if state == "Enabled" else "null"
        gone.extend(index.add_version(db, key, version_id, etag, size, modified, metadata, False, pieces))
        return Written(etag, modified, version_id if state else None)

    def _read(self, pieces: Sequence[tuple[str, int]], first: int, size: int) -> bytes:
        found = []
        for name, length in pieces:
            if size <= 0:
                break
            if first < length:
                piece = self._contents.read(name, first, min(size, length - first))
                found.append(piece)
                size -= len(piece)
            first = max(0, first - length)
        return found[0] if len(found) == 1 else b"".join(found)

    def _sweep(self) -> None:
        """Once a day, remove what a process that was killed left behind."""
        now = self._clock.time()
        with self.index.change() as db:
            if now - float(index.fact(db, "swept") or 0) < _DAY:
                return
            index.set_fact(db, "swept", repr(now))
            self._contents.remove(orphans(self._contents, index.contents_in_use(db)))


def _versioning(db: sqlite3.Connection) -> Versioning:
    state = index.fact(db, "versioning")
    return "Enabled" if state == "Enabled" else "Suspended" if state == "Suspended" else ""


_IN_MEMORY: dict[str, Bucket] = {}
_IN_MEMORY_LOCK = threading.Lock()


def memory_bucket(name: str) -> Bucket:
    """The bucket of that name in the memory of this process; made if it is new."""
    with _IN_MEMORY_LOCK:
        if name not in _IN_MEMORY:
            _IN_MEMORY[name] = Bucket(name)
        return _IN_MEMORY[name]


def forget_memory_bucket(name: str) -> None:
    """Let the next one of that name be a new one."""
    with _IN_MEMORY_LOCK:
        _IN_MEMORY.pop(name, None)
