"""S3's answers, and the system's, as the errors of a storage."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from odibi.errors import AccessDenied, Conflict, InvalidPath, NotFound, StorageError, Transient
from odibi_s3_sim.errors import NoAnswer, S3Error

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS: dict[str, tuple[type[StorageError], str, str]] = {
    "AccessDenied": (AccessDenied, "S3 denies access", "Give a connection that may; this one's 'deny' forbids it."),
    "ConditionalRequestConflict": (Transient, "another request was under way to the object", "Try again."),
    "InternalError": (Transient, "S3 has an internal error", "Try again later."),
    "KeyTooLongError": (InvalidPath, "the path is too long: S3 takes 1,024 bytes of UTF-8", "Shorten it."),
    "InvalidArgument": (InvalidPath, "S3 does not take the path", "Use another."),
    "NoSuchBucket": (NotFound, "there is no such bucket", "Name one that exists, or set create: true."),
    "NoSuchKey": (NotFound, "there is no such object", ""),
    "NoSuchVersion": (NotFound, "there is no such version of the object", ""),
    "NoSuchUpload": (Transient, "the upload is gone", "Write the object again."),
    "PreconditionFailed": (Conflict, "the object is there already, or is no longer the one that was seen", ""),
    "RequestTimeTooSkewed": (Transient, "the clock differs from that of S3", "Set the clock."),
    "RequestTimeout": (Transient, "S3 waited too long for the data", "Try again."),
    "ServiceUnavailable": (Transient, "S3 is not available", "Try again later."),
    "SlowDown": (Transient, "S3 throttles", "Try again later, or spread the objects over more prefixes."),
}


@contextmanager
def mapped(where: str, *, writes: bool = False) -> Iterator[None]:
    """Make what a bucket raises an error of a storage.

    Args:
        where: the path that it is about.
        writes: whether an object is made; ``NoSuchKey`` is S3's answer to ``If-Match`` where none is.
    """
    try:
        yield
    except S3Error as error:
        code = "PreconditionFailed" if writes and error.code == "NoSuchKey" else error.code
        kind, what, remedy = _KINDS.get(code, (StorageError, error.message, ""))
        raise kind(f"{what} ({error.code}, {error.status})", where=where, remedy=remedy) from error
    except NoAnswer as error:
        raise Transient("S3 does not answer", where=where, remedy="Try again later.") from error
    except sqlite3.Error as error:
        remedy = "See whether its folder is on a local disk, with room left; an index that is damaged cannot be mended."
        raise StorageError(f"the bucket's index cannot be used: {error}", where=where, remedy=remedy) from error
    except OSError as error:
        # Whatever else is under the bucket: the files of a folder.
        what = f"the bucket's folder cannot be used: {error.strerror or error}"
        raise StorageError(what, where=where, remedy="See whether it is there, writable, and has room.") from error
