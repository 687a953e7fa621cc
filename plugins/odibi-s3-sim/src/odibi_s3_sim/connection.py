"""A bucket with everything around it, as long as a storage uses it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal
from weakref import finalize

import attrs

from odibi.errors import NotFound, OdibiError
from odibi_s3_sim import faults, ledger, prices
from odibi_s3_sim.bucket import Bucket, memory_bucket
from odibi_s3_sim.client import Client
from odibi_s3_sim.clock import clock_of
from odibi_s3_sim.contents import settle_folder
from odibi_s3_sim.endpoint import Endpoint
from odibi_s3_sim.failures import mapped
from odibi_s3_sim.latency import latency_of
from odibi_s3_sim.rates import RateLimits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from odibi_s3_sim.clock import Clock
    from odibi_s3_sim.faults import FaultPlan
    from odibi_s3_sim.ledger import Account, Ledger
    from odibi_s3_sim.prices import Prices, Reader


@attrs.frozen(kw_only=True)
class Settings:
    """What the options of a storage come to; see there."""

    name: str
    folder: str
    create: bool
    versioning: bool | None
    seed: int
    rates: Mapping[str, float]
    faults_from: str | None
    faults_to: str | None
    latency: str | Mapping[str, float]
    clock: Literal["virtual", "real"]
    rate_limits: bool
    retries: int
    price_table: str | None
    reader: Reader
    denied: Sequence[str]
    durable: bool


class Connection:
    """An open bucket.

    Args:
        settings: how to open it.
        plan: of the faults, of an earlier connection with these settings that was closed: it goes on counting, and
            what it wrote down is not lost.

    Raises:
        NotFound: there is none, and none is to be made.
        StorageError: its folder cannot be used.
    """

    def __init__(self, settings: Settings, plan: FaultPlan | None = None) -> None:
        table = _prices(settings.price_table)
        self.plan = plan or _plan(settings)
        self.bucket = _bucket(settings)
        self.clock: Clock = clock_of(settings.clock)
        label = f"{settings.name} in {settings.folder}" if settings.folder else settings.name
        with mapped(settings.name):
            self._set_versioning(settings.versioning)
        index = self.bucket.index if settings.folder else None
        self.account = ledger.account(label, table, settings.reader, index)
        limits = RateLimits(self.clock) if settings.rate_limits else None
        latency = latency_of(settings.latency)
        self.endpoint = Endpoint(
            self.bucket, self.plan, latency, self.clock, self.account.ledger, limits, settings.denied
        )
        self.client = Client(self.endpoint, settings.retries, settings.seed)
        self._close = finalize(self, _close, self.bucket, self.account, self.plan, settings.faults_to)

    @property
    def ledger(self) -> Ledger:
        """What was asked of the bucket in this process."""
        return self.account.ledger

    def close(self) -> None:
        """Write down what is to be kept, and let go of the files; may be called twice."""
        self._close()

    def _set_versioning(self, wanted: bool | None) -> None:
        state = self.bucket.versioning()
        if wanted is True and state != "Enabled":
            self.bucket.set_versioning("Enabled")
        elif wanted is False and state == "Enabled":
            self.bucket.set_versioning("Suspended")


def _close(bucket: Bucket, account: Account, plan: FaultPlan, faults_to: str | None) -> None:
    with mapped(bucket.name):
        if faults_to is not None:
            plan.save(faults_to)
        if account.index is not None:
            try:
                account.ledger.keep(bucket.index)
            finally:
                bucket.close()


def _bucket(settings: Settings) -> Bucket:
    if not settings.folder:
        return memory_bucket(settings.name)
    with mapped(settings.name):
        if not settings.create and not Bucket.is_in(settings.folder):
            raise NotFound(
                "there is no such bucket (NoSuchBucket, 404)",
                where=settings.folder,
                remedy="Name one that exists, or set create_bucket: true.",
            )
        new = not os.path.isdir(settings.folder)  # noqa: PTH112
        os.makedirs(settings.folder, exist_ok=True)  # noqa: PTH103
        bucket = Bucket(settings.name, settings.folder, durable=settings.durable)
        if new and settings.durable:
            for folder in (settings.folder, os.path.dirname(settings.folder)):  # noqa: PTH120
                settle_folder(folder)
        return bucket


def _plan(settings: Settings) -> FaultPlan:
    if settings.faults_from is None:
        return faults.FaultPlan(settings.seed, settings.rates)
    try:
        with mapped(settings.faults_from):
            return faults.FaultPlan(settings.seed, recorded=faults.load(settings.faults_from))
    except ValueError as error:
        raise OdibiError(str(error), remedy="Give a file that faults_to made.") from error


def _prices(table: str | None) -> Prices:
    try:
        return prices.load(table or prices.STANDARD)
    except ValueError as error:
        raise OdibiError(str(error), remedy="See the README of odibi-s3-sim for its form.") from error
