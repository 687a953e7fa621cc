"""Whether the simulated S3 keeps the contract of storages: in a folder, in memory, and while much goes wrong."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar

from odibi.contracts.capability import Capability, Level
from odibi.testing.storage import StorageSuite
from odibi_s3_sim.outages import outage
from odibi_s3_sim.requests import PART_BYTES
from odibi_s3_sim.storage import SimulatedS3Storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from odibi.contracts.capability import Capability as _Capability  # noqa: F401

FAULTS: Mapping[str, float] = {
    "slow_down": 0.04,
    "internal_error": 0.03,
    "request_timeout": 0.01,
    "clock_skew": 0.01,
    "timeout": 0.02,
    "cut_write": 0.02,
    "cut_read": 0.04,
    "lost_response": 0.04,
    "partial_multipart": 0.02,
    "error_in_success": 0.02,
    "conflict": 0.02,
}
"""More than any real network: about one request in five fails."""


class SimulatedS3Suite(StorageSuite):
    """A bucket in a folder."""

    component = SimulatedS3Storage
    sizes = (PART_BYTES,)

    def options(self, place: Path) -> Mapping[str, Any]:
        """A bucket of its own in the place."""
        return {"path": str(place), "bucket": "suite", "prefix": "lake", "part_size": PART_BYTES, "fsync": False}

    def raw_get(self, place: Path, path: str) -> bytes | None:
        """From the bucket, with no client in between."""
        with suppress(KeyError):
            return self._raw(place).raw_get(path)
        return None

    def raw_put(self, place: Path, path: str, data: bytes) -> None:
        """Into the bucket, with no client in between."""
        self._raw(place).raw_put(path, data)

    @contextmanager
    def disconnected(self, place: Path) -> Iterator[None]:
        """An outage."""
        with outage(self._raw(place).connection.ledger.label):
            yield

    def _raw(self, place: Path) -> SimulatedS3Storage:
        """One handle for all looks past the storage that a test takes; it goes with the test."""
        handles: dict[Path, SimulatedS3Storage] = self.__dict__.setdefault("_handles", {})
        if place not in handles:
            handles[place] = self.component(**{**self.options(place), "faults": {}})
        return handles[place]


class VersionedSimulatedS3Suite(SimulatedS3Suite):
    """A bucket in a folder that keeps versions."""

    def options(self, place: Path) -> Mapping[str, Any]:
        """With versions."""
        return {**super().options(place), "versioning": True}


class FaultySimulatedS3Suite(VersionedSimulatedS3Suite):
    """A bucket in a folder, behind a network and a service on a bad day.

    It keeps versions: without them, nobody can tell whether a conditional write whose answer was lost was done, once
    another one came on top of it.
    """

    def options(self, place: Path) -> Mapping[str, Any]:
        """With faults, and the retries that it takes to get through them in each of thousands of requests."""
        return {**super().options(place), "faults": dict(FAULTS), "seed": 20, "retries": 12}


class MemorySimulatedS3Suite(SimulatedS3Suite):
    """A bucket in memory."""

    in_this_process: ClassVar[bool] = True

    def options(self, place: Path) -> Mapping[str, Any]:
        """A bucket of its own for the place."""
        name = blake2b(str(place).encode(), digest_size=16).hexdigest()
        return {"bucket": f"suite-{name}", "prefix": "lake", "part_size": PART_BYTES}

    def capability(self, name: str) -> Capability:
        """Other processes see nothing of it."""
        return Capability(Level.NONE, "in memory") if name == "shared" else super().capability(name)
