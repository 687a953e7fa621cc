"""What S3 charges, from a table that says where it comes from and of what day it is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from odibi_s3_sim.ledger import Entry

Tiers = Sequence[tuple[float | None, float]]
"""``(up to how many GB a month, price for one)``; the last one has no end."""

Reader = Literal["same_region", "other_region", "internet"]
"""From where a bucket is read."""

STANDARD = "us-east-1"


@attrs.frozen
class Bill:
    """What requests cost, in the table's currency."""

    requests: float
    transfer: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.requests + self.transfer


@attrs.frozen
class Prices:
    """A price table.

    Attributes:
        name: of which storage class and region it is.
        source: where the prices are published.
        as_of: the day on which they were those, as ``2025-06-01``.
        currency: such as ``USD``.
        gigabyte: bytes of what is billed as one.
        requests: class of requests to the price of one.
        operations: operation to its class.
        transfer_out: where a reader is to the price of a GB.
        storage: price of a GB for a month.
    """

    name: str
    source: str
    as_of: str
    currency: str
    gigabyte: float
    requests: Mapping[str, float]
    operations: Mapping[str, str]
    transfer_out: Mapping[str, Tiers]
    storage: Tiers

    def of_request(self, operation: str, answer: str) -> float:
        """The price of one request.

        Args:
            operation: as S3 calls it.
            answer: the HTTP status, or anything else where none came.

        Raises:
            KeyError: the table does not know the operation.
        """
        if answer.startswith("5"):
            return 0.0
        return self.requests[self.operations[operation]]

    def of_transfer(self, bytes_out: int, reader: Reader, already: int = 0) -> float:
        """The price of bytes that leave S3.

        Args:
            bytes_out: how many.
            reader: to where.
            already: bytes that left before in the same month.
        """
        tiers = self.transfer_out[reader]
        before, after = already / self.gigabyte, (already + bytes_out) / self.gigabyte
        return in_tiers(tiers, after) - in_tiers(tiers, before)

    def of_storage(self, held: int) -> float:
        """The price of keeping so many bytes for a month."""
        return in_tiers(self.storage, held / self.gigabyte)

    def bill(self, entries: Sequence[Entry], reader: Reader) -> Bill:
        """The price of requests."""
        requests = sum(self.of_request(each.operation, each.answer) * each.requests for each in entries)
        return Bill(requests, self.of_transfer(sum(each.bytes_out for each in entries), reader))


def in_tiers(tiers: Tiers, amount: float) -> float:
    """The price of an amount whose first part is priced by the first tier, and so on."""
    price, begin = 0.0, 0.0
    for end, each in tiers:
        here = amount - begin if end is None else min(amount, end) - begin
        if here <= 0:
            break
        price += here * each
        begin = end or 0.0
    return price


def load(given: str = STANDARD) -> Prices:
    """A price table.

    Args:
        given: the name of one that comes with the package (``us-east-1``), or the path of a file of the same form.

    Raises:
        ValueError: there is none, or it is not one.
    """
    try:
        if given.endswith(".json") or os.sep in given:
            text = Path(given).read_text("utf-8")
        else:
            text = resources.files("odibi_s3_sim").joinpath("price_tables", f"{given}.json").read_text("utf-8")
        return _table(json.loads(text))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{given!r} is no price table: {type(error).__name__}: {error}") from error


def _table(data: Any) -> Prices:
    return Prices(
        name=str(data["name"]),
        source=str(data["source"]),
        as_of=str(data["as_of"]),
        currency=str(data["currency"]),
        gigabyte=float(data["gigabyte"]),
        requests={str(name): float(price) / 1000 for name, price in data["requests_per_1000"].items()},
        operations={str(name): str(kind) for name, kind in data["operations"].items()},
        transfer_out={str(name): _tiers(tiers) for name, tiers in data["transfer_out_per_gb"].items()},
        storage=_tiers(data["storage_per_gb_month"]),
    )


def _tiers(data: Any) -> Tiers:
    return [(None if end is None else float(end), float(price)) for end, price in data]
