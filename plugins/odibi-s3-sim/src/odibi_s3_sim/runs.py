"""What is said at the end of a run: what it would have cost on S3, and how long it would have waited for it."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from odibi.contracts import NOTICE
from odibi.errors import StorageError
from odibi_s3_sim.failures import mapped
from odibi_s3_sim.ledger import report, untold

if TYPE_CHECKING:
    from odibi.events import Event

_log = logging.getLogger("odibi.s3_sim")


def tell(event: Event) -> None:
    """Log, for each bucket that the run used, what was asked of it since it was last told of.

    What was asked while the run was planned belongs to it. Where several runs of a process are under way at once, what
    all of them asked is told at the end of the first.

    Args:
        event: the end of a run.
    """
    for account, entries in untold():
        told = report(account.ledger.label, entries, account.prices, account.reader)
        _log.log(
            NOTICE,
            "bucket %s: this run would cost $%s and spend %s waiting on S3 "
            "(%d requests, %d of them failed; %s in, %s out; prices of %s)",
            told["bucket"],
            dollars(told["dollars"]),
            seconds(told["seconds"]),
            told["requests"],
            told["failed"],
            size(told["bytes_in"]),
            size(told["bytes_out"]),
            account.prices.as_of,
            extra={"run_id": event.run_id},
        )
        if account.index is not None:
            try:
                with mapped(account.ledger.label):
                    account.ledger.keep(account.index)
            except StorageError as error:
                _log.warning("the account of bucket %s cannot be written: %s", account.ledger.label, error)


def dollars(amount: float) -> str:
    """An amount with two digits that say something: ``0.0000042``, ``1.25``."""
    if amount == 0 or amount >= 0.01:
        return f"{amount:,.2f}"
    digits = 1 - math.floor(math.log10(amount))
    return f"{amount:.{digits}f}"


def seconds(length: float) -> str:
    """A length of time: ``0.42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if length < 60:
        return f"{length:.2f} s" if length < 10 else f"{length:.1f} s"
    whole = round(length)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float) -> str:
    """A number of bytes: ``512 B``, ``1.5 MB``; powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
