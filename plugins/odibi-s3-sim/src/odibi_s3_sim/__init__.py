"""A simulated S3 for Odibi: what a pipeline does on a throttled, flaky, billed object store, with no account."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from odibi import hookimpl

if TYPE_CHECKING:
    from odibi.events import Event

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_storages() -> dict[str, str]:
    """The storage for ``type: s3_sim``."""
    return {"s3_sim": "odibi_s3_sim.storage:SimulatedS3Storage"}


@hookimpl
def odibi_suites() -> dict[str, str]:
    """The storage's conformance suite."""
    return {"storage.s3_sim": "odibi_s3_sim.conformance:SimulatedS3Suite"}


@hookimpl
def odibi_commands() -> dict[str, str]:
    """``odibi s3-sim``."""
    return {"s3-sim": "odibi_s3_sim.cli:command"}


@hookimpl
def odibi_event(event: Event) -> None:
    """At the end of a run, log what it would have cost; nothing at all where no bucket was opened."""
    ledgers = sys.modules.get("odibi_s3_sim.ledger")
    if ledgers is not None and type(event).__name__ == "RunStarted":
        ledgers.begin_run()
    if ledgers is not None and type(event).__name__ == "RunFinished":
        from odibi_s3_sim.runs import tell

        tell(event)
