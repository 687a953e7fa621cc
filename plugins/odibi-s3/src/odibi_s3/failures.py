"""What S3, and the way to it, may answer, in the words of the storage contract.

The words of the client and of the server hold addresses, ids of keys, and, where a signature did not match, all of what
was signed. None of them is passed on, not as the cause of an error either: what is told is the status, and S3's code
for it, which comes from a fixed list.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from odibi.errors import AccessDenied, Conflict, InvalidPath, NotFound, StorageError, Transient

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_KIND = re.compile(r"kind: (Connect|Request|Timeout|Interrupted|Decode|Unknown|Builder)\b")
_METADATA_SERVICES = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "/latest/api/token")

_KEYS = "Check the keys, and that their owner may do this."
_CREDENTIALS = {
    "AccessDenied": _KEYS,
    "AllAccessDisabled": _KEYS,
    "AccountProblem": "Ask whoever owns the account.",
    "AuthorizationHeaderMalformed": "Check the region and the keys.",
    "CredentialsNotSupported": _KEYS,
    "ExpiredToken": "Get new temporary credentials.",
    "InvalidAccessKeyId": "Check access_key_id.",
    "InvalidSecurity": _KEYS,
    "InvalidToken": "Check session_token.",
    "MissingSecurityHeader": _KEYS,
    "NotSignedUp": "Ask whoever owns the account.",
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "SignatureDoesNotMatch": "Check secret_access_key.",
    "TokenRefreshRequired": "Get new temporary credentials.",
    "UnauthorizedAccess": _KEYS,
}
_PASSING = {
    "BadDigest",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "XAmzContentSHA256Mismatch",
}
_BAD_KEYS = {"KeyTooLongError", "KeyTooLong", "InvalidURI"}
_ELSEWHERE = {"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}


class Busy(Transient):
    """Another conditional write to the object is under way; this one has certainly not been done."""


class UploadGone(NotFound):
    """The parts that were uploaded are not there (any more): their upload was completed, or given up."""


class BucketMissing(NotFound):
    """There is no such bucket."""


class RangeMissing(StorageError):
    """The object has no such bytes; an empty one has none at all."""


def asked(where: str, ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``ask`` answers; what it raises becomes a storage error, with no trace of the original.

    Args:
        where: what to call the object in an error.
        ask: a call of the client library.
        args, kwargs: its arguments.
    """
    try:
        return ask(*args, **kwargs)
    except StorageError:
        raise
    except Exception as error:
        failure = storage_error(error, where)
    raise failure  # outside of the handler: so that it has no context, which would show what the server said


def storage_error(error: Exception, where: str) -> StorageError:
    """The storage error that says what an error of the client library means.

    Args:
        error: of obstore's exceptions, told by their names, or a built-in one.
        where: what to call the object.
    """
    text = str(error)
    status, code = _found(_STATUS, text), _found(_CODE, text)
    name = type(error).__name__
    if isinstance(error, UnicodeEncodeError) or name == "InvalidPathError" or "Could not parse path" in text:
        return InvalidPath("S3's client cannot name such an object", where=where, remedy="Use another path.")
    by_code = _by_code(code, where)
    if by_code is not None:
        return by_code
    if name in ("AlreadyExistsError", "PreconditionError"):  # also for If-Match where nothing is, which S3 answers 404
        return _lost(where)
    by_status = _by_status(int(status), code, where) if status else None
    if by_status is not None:
        return by_status
    if name in ("PermissionDeniedError", "UnauthenticatedError"):
        return AccessDenied("access is refused", where=where, remedy=_KEYS)
    if isinstance(error, FileNotFoundError):
        return _missing(where)
    if any(service in text for service in _METADATA_SERVICES):
        return AccessDenied(
            "there are no credentials",
            where=where,
            remedy="Give keys or a profile, or set anonymous: true for a public bucket.",
        )
    if "error performing token request" in text.lower() or "AssumeRoleWithWebIdentity" in text:
        return AccessDenied("the identity token was not exchanged for credentials", where=where, remedy=_KEYS)
    if "BareRedirect" in text or "without LOCATION" in text:
        return StorageError("the bucket is in another region", where=where, remedy="Set region.")
    if "BadScheme" in text:
        return StorageError("http is not allowed", where=where, remedy="Use https, or set allow_http: true.")
    if name == "GenericError" or isinstance(error, OSError):
        return _unanswered(text, where)
    return StorageError(f"the client of S3 failed ({name})", where=where, remedy="Check the options of the connection.")


def _by_code(code: str, where: str) -> StorageError | None:
    if code == "NoSuchBucket":
        return BucketMissing("there is no such bucket", where=where, remedy="Make it, or check bucket and endpoint.")
    if code == "NoSuchUpload":
        return UploadGone("the upload is gone", where=where, remedy="Write it again.")
    if code == "InvalidRange":
        return RangeMissing("the object is shorter than that", where=where, remedy="Read it again.")
    if code == "ConditionalRequestConflict":
        return Busy("another writer is at the object", where=where, remedy="Try again.")
    if code in _CREDENTIALS:
        return AccessDenied(f"access is refused ({code})", where=where, remedy=_CREDENTIALS[code])
    if code in _PASSING:
        return Transient(f"the server did not do it now ({code})", where=where, remedy="Try again.")
    if code in _BAD_KEYS:
        return InvalidPath(f"the server does not take such a key ({code})", where=where, remedy="Use another path.")
    if code in _ELSEWHERE:
        return StorageError(f"the bucket is elsewhere ({code})", where=where, remedy="Set region or endpoint.")
    if code == "InvalidObjectState":
        return StorageError("the object is archived", where=where, remedy="Restore it first.")
    if code == "EntityTooLarge":
        return StorageError("the object is larger than the server allows", where=where, remedy="Write it in parts.")
    return None


def _by_status(status: int, code: str, where: str) -> StorageError | None:
    said = f"{status} {code}".strip()
    if status == 404:
        return _missing(where)
    if status == 412:
        return _lost(where)
    if status == 416:
        return RangeMissing("the object is shorter than that", where=where, remedy="Read it again.")
    if status == 409:
        return Conflict(f"the server refuses ({said})", where=where, remedy="Read it again and decide anew.")
    if status in (401, 403):
        return AccessDenied(
            f"access is refused ({said})",
            where=where,
            remedy=f"{_KEYS} Without the right to list, S3 says this of what is missing, too.",
        )
    if status in (408, 429) or (status >= 500 and status != 501):
        return Transient(f"the server did not do it now ({said})", where=where, remedy="Try again.")
    if status in (301, 302, 307, 308):
        return StorageError(f"the bucket is elsewhere ({said})", where=where, remedy="Set region or endpoint.")
    return StorageError(
        f"the server refuses ({said})", where=where, remedy="Check region, endpoint and the keys of the connection."
    )


def _unanswered(text: str, where: str) -> StorageError:
    kind = _found(_KIND, text)
    what = {
        "Timeout": "the server did not answer in time",
        "Connect": "the server cannot be reached",
    }.get(kind, "the connection to the server was cut")
    return Transient(what, where=where, remedy="Try again; if it stays so, check endpoint and network.")


def _missing(where: str) -> NotFound:
    return NotFound("there is no such object", where=where, remedy="Check the path, and the connection's prefix.")


def _lost(where: str) -> Conflict:
    return Conflict("the object is there already, or has changed", where=where, remedy="Read it again and decide anew.")


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match.group(1) if match else ""
