"""What stands between a client and a bucket: the network, S3's moods, its limits, and its bill."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import attrs

from odibi_s3_sim.answers import Deleted, DeletedMany, Got, Page, Part, Upload, VersionsPage, Written
from odibi_s3_sim.errors import BodyCut, NoAnswer, S3Error
from odibi_s3_sim.ledger import NO_ANSWER
from odibi_s3_sim.outages import is_dark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from odibi_s3_sim.bucket import Bucket
    from odibi_s3_sim.clock import Clock
    from odibi_s3_sim.faults import Fault, FaultPlan
    from odibi_s3_sim.latency import Latency
    from odibi_s3_sim.ledger import Ledger
    from odibi_s3_sim.rates import RateLimits

T = TypeVar("T")

_REFUSALS = {
    "slow_down": ("SlowDown", "reduce your request rate"),
    "internal_error": ("InternalError", "an internal error; try again"),
    "request_timeout": ("RequestTimeout", "the body came too slowly"),
    "clock_skew": ("RequestTimeTooSkewed", "the client's clock differs by more than 15 minutes"),
    "conflict": ("ConditionalRequestConflict", "another request was under way to this object"),
}
_CUTS = ("cut_write", "partial_multipart")


@attrs.frozen(eq=False)
class Endpoint:
    """A bucket as a client meets it; its requests are those of :class:`~odibi_s3_sim.bucket.Bucket`.

    A request raises :class:`~odibi_s3_sim.errors.NoAnswer` or :class:`~odibi_s3_sim.errors.BodyCut` where the
    connection was at fault, and :class:`~odibi_s3_sim.errors.S3Error` where S3 was.

    Attributes:
        bucket: the bucket.
        plan: what goes wrong.
        latency: how long it takes.
        clock: on which it takes that long.
        ledger: where it is counted.
        limits: requests a second; ``None`` for no limits.
        denied: folders that the client may not touch; an empty one is all of them.
    """

    bucket: Bucket
    plan: FaultPlan
    latency: Latency
    clock: Clock
    ledger: Ledger
    limits: RateLimits | None = None
    denied: Sequence[str] = ()

    def put(
        self,
        key: str,
        body: bytes | memoryview,
        *,
        metadata: Mapping[str, str] | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Written:
        """PutObject."""
        conditional = if_match is not None or if_none_match is not None
        return self._ask(
            "PutObject",
            key,
            lambda: self.bucket.put(key, body, metadata=metadata, if_match=if_match, if_none_match=if_none_match),
            sent=len(body),
            conditional=conditional,
        )

    def get(
        self, key: str, *, byte_range: str | None = None, version_id: str | None = None, if_match: str | None = None
    ) -> Got:
        """GetObject."""
        return self._ask(
            "GetObject",
            key,
            lambda: self.bucket.get(key, byte_range=byte_range, version_id=version_id, if_match=if_match),
        )

    def head(self, key: str, *, version_id: str | None = None) -> Got:
        """HeadObject."""
        return self._ask("HeadObject", key, lambda: self.bucket.head(key, version_id=version_id))

    def delete(self, key: str) -> Deleted:
        """DeleteObject."""
        return self._ask("DeleteObject", key, lambda: self.bucket.delete(key))

    def delete_many(self, keys: Sequence[str]) -> DeletedMany:
        """DeleteObjects."""
        return self._ask("DeleteObjects", keys[0] if keys else "", lambda: self.bucket.delete_many(keys))

    def copy(self, source: str, key: str) -> Written:
        """CopyObject."""
        return self._ask("CopyObject", key, lambda: self.bucket.copy(source, key))

    def list(self, prefix: str = "", *, delimiter: str = "", token: str | None = None) -> Page:
        """ListObjectsV2."""
        return self._ask("ListObjectsV2", prefix, lambda: self.bucket.list(prefix, delimiter=delimiter, token=token))

    def versions(self, prefix: str = "") -> VersionsPage:
        """ListObjectVersions, the first page."""
        return self._ask("ListObjectVersions", prefix, lambda: self.bucket.versions(prefix))

    def create_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> Upload:
        """CreateMultipartUpload."""
        return self._ask("CreateMultipartUpload", key, lambda: self.bucket.create_upload(key, metadata=metadata))

    def upload_part(self, key: str, upload_id: str, number: int, body: bytes | memoryview) -> Part:
        """UploadPart."""
        return self._ask(
            "UploadPart", key, lambda: self.bucket.upload_part(key, upload_id, number, body), sent=len(body)
        )

    def complete_upload(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[tuple[int, str]],
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Written:
        """CompleteMultipartUpload."""
        return self._ask(
            "CompleteMultipartUpload",
            key,
            lambda: self.bucket.complete_upload(key, upload_id, parts, if_match=if_match, if_none_match=if_none_match),
            conditional=if_match is not None or if_none_match is not None,
        )

    def abort_upload(self, key: str, upload_id: str) -> None:
        """AbortMultipartUpload."""
        self._ask("AbortMultipartUpload", key, lambda: self.bucket.abort_upload(key, upload_id))

    # --- underneath -------------------------------------------------------------------------------------------------

    def _ask(self, operation: str, key: str, do: Callable[[], T], *, sent: int = 0, conditional: bool = False) -> T:
        nth, fault = self.plan.next(operation, key, conditional=conditional)
        wait = self.latency.first_byte(self.plan.seed, operation, key, nth)
        try:
            self._refuse(operation, key, fault)
            answer = do()
        except S3Error as error:
            self._count(operation, str(error.status), wait, sent, 0)
            raise
        except NoAnswer:
            if fault is not None and fault.kind in _CUTS:
                self._count(operation, NO_ANSWER, wait, int(sent * fault.at), 0)
            else:
                self._count(operation, NO_ANSWER, self.latency.timeout, sent, 0)
            raise
        if fault is not None and fault.kind == "lost_response":
            self._count(operation, NO_ANSWER, self.latency.timeout, sent, 0)
            raise NoAnswer("the answer is lost")
        if isinstance(answer, Got):
            received = len(answer.body)
            if fault is not None and fault.kind == "cut_read":
                received = int(received * fault.at)
            self._count(operation, str(answer.status), wait, sent, received)
            if fault is not None and fault.kind == "cut_read":
                raise BodyCut(attrs.evolve(answer, body=answer.body[:received]))
        else:
            self._count(operation, str(getattr(answer, "status", 204)), wait, sent, 0)
        return answer

    def _refuse(self, operation: str, key: str, fault: Fault | None) -> None:
        if is_dark(self.ledger.label):
            raise NoAnswer("there is an outage")
        if any(not folder or key == folder or key.startswith(f"{folder}/") for folder in self.denied):
            raise S3Error("AccessDenied", "access denied", key=key)
        if self.limits is not None and not self.limits.admits(operation, key):
            raise S3Error("SlowDown", "reduce your request rate", key=key)
        kind = "" if fault is None else fault.kind
        if kind in _REFUSALS:
            code, message = _REFUSALS[kind]
            raise S3Error(code, message, key=key)
        if kind == "error_in_success":
            raise S3Error("InternalError", "an internal error, told in the body of an answer", key=key, status=200)
        if kind == "timeout" or kind in _CUTS:
            raise NoAnswer("the request timed out" if kind == "timeout" else "the connection was cut")

    def _count(self, operation: str, answer: str, wait: float, bytes_in: int, bytes_out: int) -> None:
        waited = wait + self.latency.transfer(bytes_in, bytes_out)
        self.ledger.add(operation, answer, bytes_in=bytes_in, bytes_out=bytes_out, waited=waited)
        self.clock.sleep(waited)
