"""What S3 answers when it cannot or will not: its error codes, each with its HTTP status.

Codes and statuses are those of the list "Error responses" in the Amazon S3 API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from odibi_s3_sim.answers import Got

STATUSES: Mapping[str, int] = {
    "AccessDenied": 403,
    "BadDigest": 400,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "ConditionalRequestConflict": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "IllegalVersioningConfigurationException": 400,
    "InternalError": 500,
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidDigest": 400,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "KeyTooLongError": 400,
    "MalformedXML": 400,
    "MetadataTooLarge": 400,
    "MethodNotAllowed": 405,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "NotModified": 304,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "RequestTimeout": 400,
    "ServiceUnavailable": 503,
    "SlowDown": 503,
}
"""Error code to HTTP status."""


class S3Error(Exception):
    """An answer of S3 that is an error.

    Args:
        code: S3's, such as ``NoSuchKey``.
        message: in words.
        key: of the object that it is about.
        headers: of the answer, such as ``x-amz-delete-marker``.
        status: the HTTP status, where it is not the one that goes with the code.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.key = key
        self.headers = dict(headers or {})
        self.status = STATUSES[code] if status is None else status

    def __str__(self) -> str:
        return f"{self.code} ({self.status}): {self.message}"


class NoAnswer(Exception):
    """The connection was cut, or timed out, before the answer came: nobody knows whether the request took effect."""


class BodyCut(Exception):
    """The connection was cut while the body of an answer came.

    Args:
        got: the answer, with as much of the body as came.
    """

    def __init__(self, got: Got) -> None:
        super().__init__(f"the connection was cut after {len(got.body)} bytes of the body")
        self.got = got
