"""What a bucket answers: plain data, each with the HTTP status that S3 would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs


@attrs.frozen
class Version:
    """One version of an object, or a delete marker.

    Attributes:
        key: of the object.
        version_id: ``"null"`` for what was written while versioning was not on.
        order: grows with every version that a bucket gets.
        etag: quoted, as S3 writes it; empty for a delete marker.
        size: in bytes.
        modified: whole seconds since the epoch, UTC.
        metadata: what the writer gave along, without ``x-amz-meta-``.
        marker: whether it is a delete marker.
        pieces: the contents it is made of, as ``(id, bytes)``, in order.
    """

    key: str
    version_id: str
    order: int
    etag: str
    size: int
    modified: float
    metadata: Mapping[str, str]
    marker: bool
    pieces: Sequence[tuple[str, int]] = attrs.field(repr=False)


@attrs.frozen
class Written:
    """An object was made.

    Attributes:
        etag: of it.
        modified: its date.
        version_id: ``None`` where versioning never was on.
    """

    etag: str
    modified: float
    version_id: str | None = None
    status: int = 200


@attrs.frozen
class Got:
    """An object, or what a HEAD tells of it.

    Attributes:
        version: what is known of it.
        body: the bytes asked for; empty for HEAD.
        first: at which of the object's bytes the body begins.
        content_range: ``bytes 0-9/100`` where a range was given, else empty.
        version_id: ``None`` where versioning never was on.
    """

    version: Version
    body: bytes = attrs.field(repr=False, default=b"")
    first: int = 0
    content_range: str = ""
    version_id: str | None = None
    status: int = 200

    @property
    def etag(self) -> str:
        """Of the whole object, quoted."""
        return self.version.etag


@attrs.frozen
class Deleted:
    """A delete was done.

    Attributes:
        marker: whether a delete marker was made, or was what was removed.
        version_id: of the marker that was made, or of the version that was removed.
    """

    marker: bool = False
    version_id: str | None = None
    status: int = 204


@attrs.frozen
class Failure:
    """One key of a batch that could not be deleted."""

    key: str
    code: str
    message: str


@attrs.frozen
class DeletedMany:
    """A batch was deleted.

    Attributes:
        deleted: key to what was done.
        errors: what could not be.
    """

    deleted: Mapping[str, Deleted]
    errors: Sequence[Failure] = ()
    status: int = 200


@attrs.frozen
class Page:
    """Up to a thousand objects.

    Attributes:
        contents: the objects, in the order of their keys as UTF-8.
        common_prefixes: what was rolled up because of a delimiter.
        truncated: whether there is more.
        next_token: gives the next page; empty if there is none.
    """

    contents: Sequence[Version]
    common_prefixes: Sequence[str]
    truncated: bool
    next_token: str
    status: int = 200

    @property
    def key_count(self) -> int:
        """Objects and prefixes."""
        return len(self.contents) + len(self.common_prefixes)


@attrs.frozen
class VersionsPage:
    """Up to a thousand versions and delete markers.

    Attributes:
        versions: by key, the newest of a key first.
        latest: the version ids, as ``(key, version_id)``, that are the newest of their key.
        truncated: whether there is more.
        next_key, next_version_id: the markers that give the next page.
    """

    versions: Sequence[Version]
    latest: frozenset[tuple[str, str]]
    truncated: bool
    next_key: str = ""
    next_version_id: str = ""
    status: int = 200


@attrs.frozen
class Upload:
    """A multipart upload under way.

    Attributes:
        key: what it will be.
        upload_id: its name.
        initiated: when it began; the date of the object in the end.
    """

    key: str
    upload_id: str
    initiated: float
    status: int = 200


@attrs.frozen
class Part:
    """One part of a multipart upload."""

    number: int
    etag: str
    size: int
    modified: float
    status: int = 200
