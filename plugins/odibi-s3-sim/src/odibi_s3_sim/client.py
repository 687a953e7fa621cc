"""A client as those of S3 are: it tries again, waits longer each time, and knows its own writes.

A write whose answer was lost may have been done. Doing it again is harmless where it has no condition; where it has
one, its own first attempt makes the second one fail. So a conditional write carries a name of its own in its metadata,
and one that fails after an attempt of unknown outcome looks whether the object there is its own.
"""

from __future__ import annotations

from hashlib import md5
from secrets import token_hex
from typing import TYPE_CHECKING, TypeVar

import attrs

from odibi.contracts.storage import ABSENT, ALWAYS, Match
from odibi_s3_sim.answers import Got, Part, Upload, Written
from odibi_s3_sim.chance import draw
from odibi_s3_sim.errors import BodyCut, NoAnswer, S3Error
from odibi_s3_sim.ledger import BACKOFF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from odibi.contracts.storage import When
    from odibi_s3_sim.answers import Version
    from odibi_s3_sim.endpoint import Endpoint

T = TypeVar("T")

AGAIN = frozenset(
    {
        "ConditionalRequestConflict",
        "InternalError",
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
    }
)
"""Errors after which trying again may help."""

LONGEST_BACKOFF = 20.0
"""Seconds; as in the "standard" retry mode of the AWS SDKs, whose waits are a random part of 1, 2, 4, ... seconds."""

_NAME = "odibi-write"


class _Unsure(Exception):
    """Another attempt failed for good, after one whose outcome is not known."""

    def __init__(self, error: S3Error | NoAnswer) -> None:
        super().__init__(str(error))
        self.error = error


@attrs.frozen(eq=False)
class Client:
    """Requests that are tried again.

    Attributes:
        endpoint: where they go.
        retries: how often one is tried again.
        seed: of the jitter.
    """

    endpoint: Endpoint
    retries: int
    seed: int

    def put(self, key: str, body: bytes | memoryview, when: When) -> Written:
        """Make an object with one request."""
        if_match, if_none_match = _headers(when)
        if when is ALWAYS:
            return self._plain("PutObject", key, lambda: self.endpoint.put(key, body))
        name = token_hex(16)
        try:
            return self._retried(
                "PutObject",
                key,
                lambda: self.endpoint.put(
                    key, body, metadata={_NAME: name}, if_match=if_match, if_none_match=if_none_match
                ),
            )
        except _Unsure as unsure:
            return self._own(key, name, _etag_of(body), unsure)

    def get(
        self, key: str, first: int = 0, size: int | None = None, pinned: Version | None = None, version_id: str = ""
    ) -> Got:
        """An object, or some of its bytes; those of one version, whatever is written meanwhile.

        Args:
            key: of the object.
            first: the first byte.
            size: how many; ``None`` for all that follow.
            pinned: the version that it has to be; without one, the current one.
            version_id: of ``pinned``, where the bucket has versions.

        Raises:
            S3Error: among others ``PreconditionFailed``, if it is no longer the version that it has to be.
        """
        received: list[bytes] = []
        count = 0
        version, shown = pinned, version_id
        head: Got | None = None

        def ask() -> Got:
            nonlocal count, version, shown, head
            begin = first + count
            last = "" if size is None else str(first + size - 1)
            ranged = begin > 0 or size is not None
            try:
                got = self.endpoint.get(
                    key,
                    byte_range=f"bytes={begin}-{last}" if ranged else None,
                    version_id=shown or None,
                    if_match=None if version is None or shown else version.etag,
                )
            except BodyCut as cut:
                received.append(cut.got.body)
                count += len(cut.got.body)
                version, shown = cut.got.version, cut.got.version_id or ""
                head = head or cut.got
                raise
            except S3Error as error:
                if pinned is None and version is not None and error.code in ("PreconditionFailed", "NoSuchVersion"):
                    # Another one took its place between two pieces: begin anew with that.
                    received.clear()
                    count, version, shown, head = 0, None, "", None
                    raise NoAnswer("the object was replaced while it was read") from error
                raise
            received.append(got.body)
            return got

        got = self._plain("GetObject", key, ask)
        begun = head or got
        return attrs.evolve(begun, version=got.version, body=received[0] if len(received) == 1 else b"".join(received))

    def head(self, key: str, version_id: str | None = None) -> Got:
        """What is known of an object."""
        return self._plain("HeadObject", key, lambda: self.endpoint.head(key, version_id=version_id))

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._plain("DeleteObject", key, lambda: self.endpoint.delete(key))

    def list(self, prefix: str) -> Iterator[Version]:
        """All objects whose keys begin with a prefix, a page at a time."""
        token: str | None = None
        while token is None or token:
            page = self._plain("ListObjectsV2", prefix, lambda: self.endpoint.list(prefix, token=token))  # noqa: B023
            yield from page.contents
            token = page.next_token

    def create_upload(self, key: str) -> tuple[Upload, str]:
        """Begin a multipart upload; returns it with the name by which its object can be known.

        Where an answer is lost there are two, one of which nobody completes: S3 keeps, and bills, what is in it until
        a lifecycle rule ends it. There is nothing in it here.
        """
        name = token_hex(16)
        upload = self._plain(
            "CreateMultipartUpload", key, lambda: self.endpoint.create_upload(key, metadata={_NAME: name})
        )
        return upload, name

    def upload_part(self, upload: Upload, number: int, body: bytes | memoryview) -> Part:
        """Upload a part."""
        return self._plain(
            "UploadPart",
            upload.key,
            lambda: self.endpoint.upload_part(upload.key, upload.upload_id, number, body),
        )

    def complete_upload(self, upload: Upload, name: str, parts: Sequence[tuple[int, str]], when: When) -> Written:
        """Make the parts an object."""
        if_match, if_none_match = _headers(when)
        try:
            return self._retried(
                "CompleteMultipartUpload",
                upload.key,
                lambda: self.endpoint.complete_upload(
                    upload.key, upload.upload_id, parts, if_match=if_match, if_none_match=if_none_match
                ),
            )
        except _Unsure as unsure:
            return self._own(upload.key, name, _etag_of_parts(parts), unsure)

    def abort_upload(self, upload: Upload) -> None:
        """End an upload without an object; one that is gone is as well."""
        try:
            self._plain(
                "AbortMultipartUpload",
                upload.key,
                lambda: self.endpoint.abort_upload(upload.key, upload.upload_id),
            )
        except S3Error as error:
            if error.code != "NoSuchUpload":
                raise

    # --- underneath -------------------------------------------------------------------------------------------------

    def _plain(self, operation: str, key: str, ask: Callable[[], T]) -> T:
        """A request that may be done twice."""
        try:
            return self._retried(operation, key, ask)
        except _Unsure as unsure:
            raise unsure.error from None

    def _retried(self, operation: str, key: str, ask: Callable[[], T]) -> T:
        unsure = False
        for attempt in range(self.retries + 1):
            failed: S3Error | NoAnswer
            try:
                return ask()
            except (NoAnswer, BodyCut) as error:
                failed = error if isinstance(error, NoAnswer) else NoAnswer(str(error))
                unsure = True
            except S3Error as error:
                failed = error
                if error.code not in AGAIN:
                    break
                unsure = unsure or error.code == "InternalError"
            if attempt < self.retries:
                self._back_off(operation, key, attempt)
        if unsure:
            raise _Unsure(failed)
        raise failed

    def _back_off(self, operation: str, key: str, attempt: int) -> None:
        wait = draw(self.seed, "backoff", operation, key, attempt) * min(2.0**attempt, LONGEST_BACKOFF)
        self.endpoint.ledger.add(BACKOFF, "", waited=wait)
        self.endpoint.clock.sleep(wait)

    def _own(self, key: str, name: str, etag: str, unsure: _Unsure) -> Written:
        """The object that an attempt made whose answer was lost; raises what came last if there is none."""
        try:
            there = self.head(key)
        except S3Error as error:
            if error.code != "NoSuchKey":
                raise
            there = None
        if there is not None and there.version.metadata.get(_NAME) == name:
            return Written(there.etag, there.version.modified, there.version_id)
        # Where there are versions, it is still there even if another one came on top of it.
        if (there is None or there.version_id is not None) and (earlier := self._earlier(key, name, etag)) is not None:
            return Written(earlier.etag, earlier.version.modified, earlier.version_id)
        raise unsure.error

    def _earlier(self, key: str, name: str, etag: str) -> Got | None:
        """The version of that name among those that have its ETag; it is one of the newest thousand."""
        page = self._plain("ListObjectVersions", key, lambda: self.endpoint.versions(key))
        for each in page.versions:
            if (each.key, each.etag) != (key, etag) or each.version_id == "null":
                continue
            try:
                got = self.head(key, each.version_id)
            except S3Error as error:
                if error.code != "NoSuchVersion":
                    raise
                continue
            if got.version.metadata.get(_NAME) == name:
                return got
        return None


def _etag_of(body: bytes | memoryview) -> str:
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


def _etag_of_parts(parts: Sequence[tuple[int, str]]) -> str:
    digests = b"".join(bytes.fromhex(etag.strip('"')) for _, etag in parts)
    return f'"{md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"'


def _headers(when: When) -> tuple[str | None, str | None]:
    """``If-Match`` and ``If-None-Match``."""
    return (when.etag if isinstance(when, Match) else None), ("*" if when is ABSENT else None)
