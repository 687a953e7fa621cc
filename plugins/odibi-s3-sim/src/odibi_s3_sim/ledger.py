"""What was asked of a bucket: requests by operation and answer, bytes, and the time that was spent waiting."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from odibi_s3_sim.index import Index
    from odibi_s3_sim.prices import Prices, Reader

BACKOFF = "backoff"
"""What stands for an operation where a client waited before it tried again."""

NO_ANSWER = "none"
"""What stands for an HTTP status where no answer came."""

_ANSWERS = {"304", "404", "412", "416"}
"""Statuses that answer the question: it is not there, or not as it would have to be."""


@attrs.frozen
class Entry:
    """Requests of one operation with one kind of answer.

    Attributes:
        operation: as S3 calls it.
        answer: the HTTP status, or :data:`NO_ANSWER`.
        requests: how many.
        bytes_in: into S3.
        bytes_out: out of S3.
        waited: seconds.
    """

    operation: str
    answer: str
    requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    waited: float = 0.0

    def plus(self, requests: int, bytes_in: int, bytes_out: int, waited: float) -> Entry:
        """With more."""
        return attrs.evolve(
            self,
            requests=self.requests + requests,
            bytes_in=self.bytes_in + bytes_in,
            bytes_out=self.bytes_out + bytes_out,
            waited=self.waited + waited,
        )


class Ledger:
    """The account of one bucket.

    Args:
        label: what to call the bucket.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._entries: dict[tuple[str, str], Entry] = {}
        self._kept: dict[tuple[str, str], Entry] = {}
        self._lock = threading.Lock()
        self._keeping = threading.Lock()

    def add(
        self,
        operation: str,
        answer: str,
        *,
        requests: int = 1,
        bytes_in: int = 0,
        bytes_out: int = 0,
        waited: float = 0,
    ) -> None:
        """Count requests."""
        name = (operation, answer)
        with self._lock:
            entry = self._entries.get(name) or Entry(operation, answer)
            self._entries[name] = entry.plus(requests, bytes_in, bytes_out, waited)

    def entries(self) -> list[Entry]:
        """All of it, in the order of operations and answers."""
        with self._lock:
            return [self._entries[name] for name in sorted(self._entries)]

    def keep(self, index: Index) -> None:
        """Add to the account in the bucket what was counted since the last time."""
        with self._keeping:
            now = self.entries()
            new = since(now, list(self._kept.values()))
            if not new:
                return
            add_to(index, new)
            self._kept = {(each.operation, each.answer): each for each in now}


def since(now: Sequence[Entry], before: Sequence[Entry]) -> list[Entry]:
    """What was counted between two looks at one ledger."""
    old = {(each.operation, each.answer): each for each in before}
    new = []
    for each in now:
        was = old.get((each.operation, each.answer))
        new.append(each if was is None else each.plus(-was.requests, -was.bytes_in, -was.bytes_out, -was.waited))
    return [each for each in new if each.requests]


def add_to(index: Index, entries: Sequence[Entry]) -> None:
    """Add to the account in a bucket."""
    with index.change() as db:
        db.executemany(
            "INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (operation, answer) DO UPDATE SET "
            "requests = requests + excluded.requests, bytes_in = bytes_in + excluded.bytes_in, "
            "bytes_out = bytes_out + excluded.bytes_out, waited = waited + excluded.waited",
            [attrs.astuple(each) for each in entries],
        )


def kept_in(index: Index) -> list[Entry]:
    """The account in a bucket: of all processes that used it, once they closed it or ended a run."""
    with index.read() as db:
        return [Entry(*row) for row in db.execute("SELECT * FROM accounts ORDER BY operation, answer")]


def report(label: str, entries: Sequence[Entry], prices: Prices, reader: Reader) -> dict[str, Any]:
    """An account with its price, as plain data.

    Args:
        label: of the bucket.
        entries: of its ledger.
        prices: by which they are billed.
        reader: from where the bucket is read.

    Returns:
        ``dollars`` (in the table's currency) and ``seconds`` first, then what they are made of.
    """
    asked = [each for each in entries if each.operation != BACKOFF]
    bill = prices.bill(asked, reader)
    return {
        "bucket": label,
        "dollars": bill.total,
        "seconds": sum(each.waited for each in entries),
        "requests": sum(each.requests for each in asked),
        "failed": sum(
            each.requests for each in asked if not each.answer.startswith("2") and each.answer not in _ANSWERS
        ),
        "bytes_in": sum(each.bytes_in for each in asked),
        "bytes_out": sum(each.bytes_out for each in asked),
        "dollars_for_requests": bill.requests,
        "dollars_for_transfer": bill.transfer,
        "seconds_of_backoff": sum(each.waited for each in entries if each.operation == BACKOFF),
        "reader": reader,
        "prices": {"name": prices.name, "source": prices.source, "as_of": prices.as_of, "currency": prices.currency},
        "operations": [attrs.asdict(each) for each in asked],
    }


# --- the ledgers of this process ------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Account:
    """A ledger with what is needed to bill it."""

    ledger: Ledger
    prices: Prices
    reader: Reader
    index: Index | None


@attrs.define
class _Runs:
    """The runs of this process: how many are under way, and what was counted before the first of them."""

    under_way: int = 0
    before: dict[str, list[Entry]] = attrs.field(factory=dict)


_RUNS = _Runs()
_ACCOUNTS: dict[str, Account] = {}
_TOLD: dict[str, list[Entry]] = {}
_LOCK = threading.Lock()


def account(label: str, prices: Prices, reader: Reader, index: Index | None) -> Account:
    """The account of a bucket in this process; the prices are those that were named last.

    Args:
        label: of the bucket.
        prices: of its requests.
        reader: from where it is read.
        index: where the account is kept; ``None`` where nothing outlives the process.
    """
    with _LOCK:
        known = _ACCOUNTS.get(label)
        _ACCOUNTS[label] = Account(known.ledger if known else Ledger(label), prices, reader, index)
        return _ACCOUNTS[label]


def begin_run() -> None:
    """Note that a run begins: at its end, the buckets that were asked for something meanwhile are told of."""
    with _LOCK:
        if not _RUNS.under_way:
            _RUNS.before = {label: each.ledger.entries() for label, each in _ACCOUNTS.items()}
        _RUNS.under_way += 1


def untold() -> list[tuple[Account, list[Entry]]]:
    """The accounts that the run which ends has used, with what was counted since they were last told of.

    They are told of now. What was asked outside of runs, of a bucket that no run uses, is nobody's bill.
    """
    with _LOCK:
        told = []
        before = _RUNS.before if _RUNS.under_way else {}
        _RUNS.under_way = max(0, _RUNS.under_way - 1)
        for label, each in _ACCOUNTS.items():
            now = each.ledger.entries()
            if now == before.get(label):
                continue
            new = since(now, _TOLD.get(label, []))
            _TOLD[label] = now
            if new:
                told.append((each, new))
        return told
