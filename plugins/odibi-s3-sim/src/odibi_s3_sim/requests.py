"""What a request may say, and what S3 refuses before it looks at any object."""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import md5
from typing import TYPE_CHECKING

from odibi_s3_sim.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from odibi_s3_sim.answers import Version

KEY_BYTES = 1024
METADATA_BYTES = 2048
PUT_BYTES = 5 * 1024**3
PART_BYTES = 5 * 1024**2
PARTS = 10_000
PAGE = 1000
"""Limits of S3: of a key, of the metadata, of one PUT, the least for a part that is not the last, the most parts, and
the most that a listing or a batch holds."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def check_bucket_name(name: str) -> str:
    """Refuse what S3 does not take for the name of a bucket."""
    if not _BUCKET.fullmatch(name) or ".." in name or _ADDRESS.fullmatch(name):
        raise S3Error(
            "InvalidBucketName", f"{name!r} is not the name of a bucket: 3 to 63 lower-case letters, digits, '.', '-'"
        )
    return name


def key_bytes(key: str) -> bytes:
    """A key as UTF-8."""
    try:
        raw = key.encode()
    except UnicodeEncodeError:
        raise S3Error("InvalidArgument", "the key is not UTF-8", key=repr(key)) from None
    if not raw:
        raise S3Error("InvalidArgument", "the key is empty")
    if len(raw) > KEY_BYTES:
        raise S3Error("KeyTooLongError", f"the key has {len(raw)} bytes, and may have {KEY_BYTES}", key=key)
    return raw


def check_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as S3 keeps it: names in lower case, and not too much of it."""
    kept = {name.lower(): value for name, value in metadata.items()}
    if sum(len(name.encode()) + len(value.encode()) for name, value in kept.items()) > METADATA_BYTES:
        raise S3Error("MetadataTooLarge", f"the metadata has more than {METADATA_BYTES} bytes")
    return kept


def check_digest(body: bytes | memoryview, content_md5: str | None) -> str:
    """The MD5 of a body, in hex; it has to be the one that the request names, if it names one."""
    digest = md5(body, usedforsecurity=False)
    if content_md5 is not None:
        try:
            named = base64.b64decode(content_md5, validate=True)
        except binascii.Error:
            named = b""
        if len(named) != digest.digest_size:
            raise S3Error("InvalidDigest", "the Content-MD5 is not the Base64 of an MD5")
        if named != digest.digest():
            raise S3Error("BadDigest", "the Content-MD5 is not that of the body")
    return digest.hexdigest()


def quoted(etag: str) -> str:
    """An ETag with its quotes, however it was given."""
    return etag if etag.startswith('"') else f'"{etag}"'


def check_write_conditions(
    there: Version | None, if_match: str | None, if_none_match: str | None, seen: Version | None
) -> None:
    """Refuse a write whose conditions do not hold.

    Args:
        there: the object now.
        if_match: it must have this ETag.
        if_none_match: ``"*"``: there must be none.
        seen: the object when the request came.
    """
    if if_none_match is not None:
        if if_none_match != "*":
            raise S3Error("NotImplemented", "If-None-Match of a write takes '*' alone")
        if there is not None:
            raise S3Error("PreconditionFailed", "an object is there already (If-None-Match)", key=there.key)
    if if_match is not None:
        if there is None:
            if seen is not None:
                raise S3Error("ConditionalRequestConflict", "the object was deleted meanwhile", key=seen.key)
            raise S3Error("NoSuchKey", "there is no object whose ETag could match (If-Match)")
        if there.etag != quoted(if_match):
            raise S3Error("PreconditionFailed", "the object has another ETag (If-Match)", key=there.key)


def check_read_conditions(there: Version, if_match: str | None, if_none_match: str | None) -> None:
    """Refuse a read whose conditions do not hold."""
    if if_match is not None and if_match != "*" and there.etag != quoted(if_match):
        raise S3Error("PreconditionFailed", "the object has another ETag (If-Match)", key=there.key)
    if if_none_match is not None and (if_none_match == "*" or there.etag == quoted(if_none_match)):
        raise S3Error("NotModified", "the object still has this ETag (If-None-Match)", key=there.key)


def span(header: str | None, size: int) -> tuple[int, int] | None:
    """What a ``Range`` header asks for.

    Args:
        header: such as ``bytes=0-9``, ``bytes=10-``, ``bytes=-5``.
        size: of the object.

    Returns:
        The first byte and the number of bytes; ``None`` for the whole object, which is also what S3 gives for several
        ranges, and for what is not a range.
    """
    found = None if header is None else _RANGE.fullmatch(header.strip())
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if first and last and int(last) < int(first):
        return None
    if first:
        start, end = int(first), min(int(last) if last else size - 1, size - 1)
    else:
        start, end = max(0, size - int(last)), size - 1
    if start >= size or (not first and not int(last)):
        raise S3Error("InvalidRange", f"the object has {size} bytes", headers={"content-range": f"bytes */{size}"})
    return start, end - start + 1
