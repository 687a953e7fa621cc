"""The sink for ``type: statsd``: sent over UDP, as StatsD or DogStatsD read it."""

from __future__ import annotations

import math
import re
import socket
import threading
from typing import TYPE_CHECKING, Any, Literal

import attrs

from odibi.contracts.metric import Kind
from odibi.contracts.options import option
from odibi.errors import Transient
from odibi_metrics.addresses import port as a_port
from odibi_metrics.series import Store, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from odibi.contracts.metric import Measurement
    from odibi_metrics.series import Series

MOST = 500
"""So many observations of one series are sent between two flushes; of more, every so many-th, with the rate."""

_UNSAFE = re.compile(r"[\s:|@,#\\{}\"']+")


class Recent:
    """Observations since they were last sent, and how many there were in all.

    Attributes:
        count, total: of all that there ever were.
        new: those that were not sent, or every so many-th of them.
        every: how many observations one of these stands for.
    """

    __slots__ = ("count", "every", "new", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.new: list[float] = []
        self.every = 1

    def add(self, values: Sequence[float]) -> None:
        """Add observations; none is negative or no number."""
        self.count += len(values)
        self.total += math.fsum(values)
        self.new.extend(values[:: self.every])
        while len(self.new) > MOST:
            self.new = self.new[::2]
            self.every *= 2

    def take(self) -> tuple[list[float], int]:
        """What is to be sent, and how many one stands for; afterwards nothing is."""
        found = (self.new, self.every)
        self.new, self.every = [], 1
        return found

    def copy(self) -> Recent:
        """The sums, which do not change any more."""
        made = Recent()
        made.count, made.total = self.count, self.total
        return made


def _mtu(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if not 64 <= value <= 65_507:
        raise ValueError(f"'{attribute.name}' is a number of bytes between 64 and 65507")


@attrs.define(eq=False)
class StatsdSink:
    """Sends what is new over UDP, at the end of each run and every fifteen seconds of a long one.

    UDP loses what nobody takes, and says so to nobody. StatsD itself knows no labels: without ``tags`` their values
    become parts of the name, and durations are sent in milliseconds under a name that says so.
    """

    host: str = option("127.0.0.1", help="Where StatsD listens.")
    port: int = option(8125, help="Its port.", validator=a_port)
    tags: Literal["none", "dogstatsd"] = option(
        "none", help="'dogstatsd' sends labels as tags, as Datadog, Telegraf and Prometheus' exporter read them."
    )
    prefix: str = option("", help="Put before each name.")
    mtu: int = option(1432, help="The most bytes of a datagram; more than a network takes in one piece gets lost.",
                      validator=_mtu)  # fmt: skip
    usage: bool = option(False, help="Also measure the processor time and memory of nodes.")
    _store: Store[Recent] = attrs.field(factory=lambda: Store(Recent), init=False, repr=False)
    _sent: dict[Any, float] = attrs.field(factory=dict, init=False, repr=False)
    _sending: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)
    _closed: bool = attrs.field(default=False, init=False, repr=False)

    def record(self, measurements: Sequence[Measurement]) -> None:
        """Take measurements.

        Raises:
            ValueError: it cannot take one of them, for what that means; it has taken the others.
        """
        if not self._closed:
            self._store.record(measurements)

    def flush(self) -> None:
        """Send what is new.

        Raises:
            Transient: the host has no address, or cannot be reached.
        """
        with self._sending:
            if self._closed:
                return
            try:
                family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)[0]
                with socket.socket(family, kind, protocol) as sender:
                    sender.setblocking(False)
                    lines = [line for found in self._store.each(self._lines) for line in found]
                    for datagram in _datagrams(lines, self.mtu):
                        sender.sendto(datagram, address)
            except BlockingIOError:
                return  # what does not fit is lost, as it would be on its way
            except OSError as error:
                raise Transient(
                    f"cannot send there: {error.strerror or error}",
                    where=f"{self.host}:{self.port}",
                    remedy="Look whether the host's name is right.",
                ) from error

    def export(self) -> list[dict[str, Any]]:
        """A mapping a series: ``name``, ``kind``, ``labels``, and ``value`` or ``count`` and ``sum``."""
        return list(rows(self._store.read()))

    def close(self) -> None:
        """Flush; what is recorded afterwards is ignored."""
        try:
            self.flush()
        finally:
            self._closed = True

    def _lines(self, series: Series[Recent]) -> list[str]:
        """What of one series is new, as StatsD's lines."""
        if series.observed is not None:
            values, every = series.observed.take()
            rate = f"|@{1 / every:g}" if every > 1 else ""
            if self.tags == "dogstatsd":
                return [self._line(series, series.name, value, f"h{rate}") for value in values]
            name, factor = _in_milliseconds(series.name)
            return [self._line(series, name, value * factor, f"ms{rate}") for value in values]
        if series.kind is Kind.GAUGE:
            if not math.isfinite(series.value):
                return []
            # A sign says that a gauge is to change by that much, so one that is negative begins at nothing.
            begins = [self._line(series, series.name, 0.0, "g")] if series.value < 0 else []
            return [*begins, self._line(series, series.name, series.value, "g")]
        key = (series.name, series.labels)
        if self._sent.get(key) == series.value:
            return []
        more = series.value - self._sent.get(key, 0.0)
        self._sent[key] = series.value
        return [self._line(series, series.name, more, "c")]

    def _line(self, series: Series[Recent], name: str, value: float, kind: str) -> str:
        said = [(label, _UNSAFE.sub("_", text) or "_") for label, text in series.labels]
        number = repr(value).removesuffix(".0")
        if self.tags == "dogstatsd":
            tags = ",".join(f"{label}:{text}" for label, text in said)
            return f"{self.prefix}{name}:{number}|{kind}{f'|#{tags}' if tags else ''}"
        parts = [text.replace(".", "_") for _, text in said]
        return f"{self.prefix}{'.'.join([name, *parts])}:{number}|{kind}"


def _in_milliseconds(name: str) -> tuple[str, float]:
    """What StatsD's timers are in: the name that says so, and by what to multiply seconds."""
    if name.endswith("_seconds"):
        return f"{name.removesuffix('_seconds')}_milliseconds", 1000.0
    return name, 1.0


def _datagrams(lines: Sequence[str], most: int) -> Iterator[bytes]:
    """Lines in as few datagrams as may be; one that is longer by itself is left out, as it would not arrive."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        data = line.encode("utf-8", "replace")
        if len(data) > most:
            continue
        if size + len(data) > most:
            yield b"\n".join(held)
            held, size = [], 0
        held.append(data)
        size += len(data) + 1
    if held:
        yield b"\n".join(held)
