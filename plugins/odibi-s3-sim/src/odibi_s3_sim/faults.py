"""What goes wrong, when: drawn from a seed, or read from a record of another run.

A fault is decided for one request by the seed, the operation, the key, and how often this plan saw that operation on
that key. So the same requests on a key meet the same faults, whatever other threads do meanwhile.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from odibi_s3_sim.chance import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

READS = frozenset({"GetObject"})
BODIES = frozenset({"PutObject", "UploadPart"})
WRITES = frozenset(
    {
        "PutObject",
        "UploadPart",
        "CopyObject",
        "DeleteObject",
        "DeleteObjects",
        "CreateMultipartUpload",
        "CompleteMultipartUpload",
        "AbortMultipartUpload",
    }
)
CONDITIONAL = frozenset({"PutObject", "CompleteMultipartUpload"})

KINDS: Mapping[str, tuple[frozenset[str] | None, str]] = {
    "slow_down": (None, "503 SlowDown: nothing was done."),
    "internal_error": (None, "500 InternalError: nothing was done."),
    "request_timeout": (BODIES, "400 RequestTimeout: the body came too slowly; nothing was done."),
    "clock_skew": (None, "403 RequestTimeTooSkewed: the client's clock is off by more than 15 minutes."),
    "timeout": (None, "No answer, and nothing was done."),
    "cut_write": (BODIES, "The connection is cut while the body is sent; nothing was done."),
    "cut_read": (READS, "The connection is cut while the body of the answer comes."),
    "lost_response": (WRITES, "It was done, and the answer is lost."),
    "partial_multipart": (frozenset({"UploadPart"}), "The connection is cut within a part; the others are there."),
    "error_in_success": (
        frozenset({"CompleteMultipartUpload", "CopyObject"}),
        "200 OK, with InternalError in the body: nothing was done.",
    ),
    "conflict": (CONDITIONAL, "409 ConditionalRequestConflict, for conditional writes: nothing was done."),
}
"""Kind to the operations that it can hit (``None`` for all), and what happens then."""


@attrs.frozen
class Fault:
    """What goes wrong with one request.

    Attributes:
        operation, key: of the request.
        nth: which of the requests for that operation on that key, from 0.
        kind: one of :data:`KINDS`.
        at: in [0, 1); where in a body a connection is cut.
    """

    operation: str
    key: str
    nth: int
    kind: str
    at: float


class FaultPlan:
    """Decides what goes wrong.

    Args:
        seed: the same seed gives the same faults.
        rates: kind to how likely it is, for each request that it can hit; no more than 1 in all.
        recorded: instead of ``rates``, the faults of another run.
    """

    def __init__(
        self, seed: int = 0, rates: Mapping[str, float] | None = None, recorded: Iterable[Fault] | None = None
    ) -> None:
        self.seed = seed
        self.rates = check_rates(rates or {})
        self._recorded = (
            None if recorded is None else {(fault.operation, fault.key, fault.nth): fault for fault in recorded}
        )
        self._injected: list[Fault] = []
        self._seen: Counter[bytes] = Counter()
        self._lock = threading.Lock()

    @property
    def injected(self) -> tuple[Fault, ...]:
        """The faults so far, in the order in which they were decided."""
        with self._lock:
            return tuple(self._injected)

    def next(self, operation: str, key: str, *, conditional: bool = False) -> tuple[int, Fault | None]:
        """Decide on a request.

        Args:
            operation: as S3 calls it.
            key: that it is about; for a listing, the prefix.
            conditional: whether it is a conditional write.

        Returns:
            Which of its kind it is, from 0, and what goes wrong with it, if anything.
        """
        name = blake2b(f"{operation}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        with self._lock:
            nth = self._seen[name]
            self._seen[name] += 1
        fault = self._decide(operation, key, nth, conditional)
        if fault is not None:
            with self._lock:
                self._injected.append(fault)
        return nth, fault

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the faults so far to a JSON file that :func:`load` takes."""
        draft = Path(f"{os.fspath(path)}.draft-{os.getpid()}")
        draft.write_text(json.dumps([attrs.asdict(fault) for fault in self.injected], indent=1) + "\n", "utf-8")
        draft.replace(path)

    def _decide(self, operation: str, key: str, nth: int, conditional: bool) -> Fault | None:
        if self._recorded is not None:
            return self._recorded.get((operation, key, nth))
        if not self.rates:
            return None
        left = draw(self.seed, "fault", operation, key, nth)
        for kind, rate in self.rates.items():
            if not _can_hit(kind, operation, conditional):
                continue
            if left < rate:
                return Fault(operation, key, nth, kind, draw(self.seed, "at", operation, key, nth))
            left -= rate
        return None


def check_rates(rates: Mapping[str, float]) -> dict[str, float]:
    """Rates of faults, by kind.

    Raises:
        ValueError: there is no such kind, or a rate is none.
    """
    for kind, rate in rates.items():
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of fault; there are: {', '.join(KINDS)}")
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate of {kind!r} is {rate}, which is not between 0 and 1")
    if sum(rates.values()) > 1:
        raise ValueError(f"the rates of faults come to {sum(rates.values())}, which is more than 1")
    return dict(rates)


def load(path: str | os.PathLike[str]) -> list[Fault]:
    """The faults that :meth:`FaultPlan.save` wrote.

    Raises:
        ValueError: the file does not hold such a list.
        OSError: it cannot be read.
    """
    try:
        data = json.loads(Path(path).read_text("utf-8"))
        if not isinstance(data, list):
            raise TypeError("it holds no list")
        return [_fault(each) for each in data]
    except (TypeError, KeyError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{os.fspath(path)} is no record of faults: {error}") from error


def _fault(data: Any) -> Fault:
    fault = Fault(str(data["operation"]), str(data["key"]), int(data["nth"]), str(data["kind"]), float(data["at"]))
    if fault.kind not in KINDS:
        raise TypeError(f"{fault.kind!r} is no kind of fault")
    return fault


def _can_hit(kind: str, operation: str, conditional: bool) -> bool:
    operations, _ = KINDS[kind]
    if kind == "conflict" and not conditional:
        return False
    return operations is None or operation in operations
