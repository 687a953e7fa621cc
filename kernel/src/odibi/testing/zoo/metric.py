"""Metric sinks that each break one promise."""

from __future__ import annotations

import json
import math
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi.contracts.metric import Kind, Measurement
from odibi.contracts.options import option
from odibi.testing.metric import Key, MetricSuite, Value, key
from odibi.testing.reference.metric import MemoryMetrics, Series
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class SoundMetrics(MetricSuite):
    """The suite on a sink that writes a file."""

    component: ClassVar[type] = MemoryMetrics

    def options(self, place: Path) -> Mapping[str, Any]:
        """A file in the place."""
        return {"file": str(place / "metrics.json")}

    def delivered(self, place: Path) -> Mapping[Key, Value]:
        """What is in the file."""
        rows = json.loads((place / "metrics.json").read_text(encoding="utf-8"))
        return {
            key(row["name"], row["labels"]): row["value"] if "value" in row else (row["count"], row["sum"])
            for row in rows
        }

    @contextmanager
    def blocked(self, place: Path) -> Iterator[MemoryMetrics]:
        """The file that is written beside the last one is a pipe that nobody reads."""
        pipe = place / f".metrics.json.{os.getpid()}"
        os.mkfifo(pipe)
        subject = self.make(place)
        try:
            yield subject
        finally:
            # Opened for reading and writing, a pipe waits for nobody, and lets the writer that waits go on.
            reader = os.open(pipe, os.O_RDWR)
            drain = threading.Thread(target=_read_until_gone, args=(reader, pipe), daemon=True)
            drain.start()
            drain.join(20)
            os.close(reader)


def _read_until_gone(reader: int, pipe: Path) -> None:
    os.set_blocking(reader, False)
    waiting = threading.Event()
    while pipe.exists():
        try:
            os.read(reader, 1 << 16)
        except BlockingIOError:
            waiting.wait(0.005)


zoo = Zoo(SoundMetrics)


# --- sums -------------------------------------------------------------------------------------------------------------


@zoo.defect
class CounterIsAGauge(MemoryMetrics):
    """A counter keeps the last value in place of the sum."""

    def take(self, measurement: Measurement) -> str:
        """Replaced."""
        self._series.pop(self.key(measurement), None) if measurement.kind is Kind.COUNTER else None
        return super().take(measurement)


@zoo.defect
class CounterCountsCalls(MemoryMetrics):
    """A counter adds one, whatever the value."""

    def take(self, measurement: Measurement) -> str:
        """One more."""
        is_counter = measurement.kind is Kind.COUNTER
        return super().take(attrs.evolve(measurement, value=1) if is_counter else measurement)


@zoo.defect
class CounterFalls(MemoryMetrics):
    """A counter takes negative values."""

    def take(self, measurement: Measurement) -> str:
        """Added all the same."""
        if measurement.kind is Kind.COUNTER and measurement.value < 0:
            self._kinds[measurement.name] = Kind.COUNTER
            self._series.setdefault(self.key(measurement), Series()).value += measurement.value
            return ""
        return super().take(measurement)


@zoo.defect
class CounterTakesNaN(MemoryMetrics):
    """One NaN, and a counter shows nothing ever after."""

    def take(self, measurement: Measurement) -> str:
        """Added all the same."""
        if measurement.kind is Kind.COUNTER and math.isnan(measurement.value):
            self._series.setdefault(self.key(measurement), Series()).value += measurement.value
            return ""
        return super().take(measurement)


@zoo.defect
class CounterOfNothingIsLeftOut(MemoryMetrics):
    """A counter that was told nothing but zero is not there."""

    def take(self, measurement: Measurement) -> str:
        """Zeros are skipped."""
        return "" if measurement.kind is Kind.COUNTER and not measurement.value else super().take(measurement)


@zoo.defect
class WholeNumbersOnly(MemoryMetrics):
    """A counter drops what is behind the point."""

    def take(self, measurement: Measurement) -> str:
        """As an int."""
        is_counter = measurement.kind is Kind.COUNTER and math.isfinite(measurement.value)
        return super().take(attrs.evolve(measurement, value=int(measurement.value)) if is_counter else measurement)


@zoo.defect
class SingleFloats(MemoryMetrics):
    """Sums are kept with seven digits."""

    def row(self, name: str, labels: dict[str, str], series: Series) -> dict[str, Any]:
        """Rounded."""
        return super().row(name, labels, attrs.evolve(series, value=float(f"{series.value:.7g}")))


@zoo.defect
class GaugeAdds(MemoryMetrics):
    """A gauge adds up."""

    def take(self, measurement: Measurement) -> str:
        """As a counter would."""
        if measurement.kind is Kind.GAUGE and math.isfinite(measurement.value):
            known = self._series.get(self.key(measurement), Series()).value
            return super().take(attrs.evolve(measurement, value=known + measurement.value))
        return super().take(measurement)


@zoo.defect
class GaugeKeepsTheGreatest(MemoryMetrics):
    """A gauge never falls."""

    def take(self, measurement: Measurement) -> str:
        """The greatest so far."""
        if measurement.kind is Kind.GAUGE and math.isfinite(measurement.value):
            known = self._series.get(self.key(measurement), Series(measurement.value)).value
            return super().take(attrs.evolve(measurement, value=max(known, measurement.value)))
        return super().take(measurement)


@zoo.defect
class GaugeRefusesNaN(MemoryMetrics):
    """A gauge that is no number is an error, for which the host cuts the sink off."""

    def take(self, measurement: Measurement) -> str:
        """Refused."""
        if measurement.kind is Kind.GAUGE and math.isnan(measurement.value):
            return f"{measurement.name!r} is no number"
        return super().take(measurement)


@zoo.defect
class HistogramWithoutSum(MemoryMetrics):
    """A histogram counts, and has no sum."""

    def row(self, name: str, labels: dict[str, str], series: Series) -> dict[str, Any]:
        """Zero."""
        row = super().row(name, labels, series)
        return {**row, "sum": 0} if row["kind"] == "histogram" else row


@zoo.defect
class TimerKeepsTheLast(MemoryMetrics):
    """A timer's sum is its last duration."""

    def take(self, measurement: Measurement) -> str:
        """Replaced."""
        if measurement.kind is Kind.TIMER:
            self._series.setdefault(self.key(measurement), Series()).value = 0.0
        return super().take(measurement)


@zoo.defect
class TimerInMilliseconds(MemoryMetrics):
    """A timer's sum is in milliseconds, under a name that says seconds."""

    def take(self, measurement: Measurement) -> str:
        """Times a thousand."""
        is_timer = measurement.kind is Kind.TIMER
        return super().take(attrs.evolve(measurement, value=measurement.value * 1000) if is_timer else measurement)


@zoo.defect
class LeavesOutTheUnobserved(MemoryMetrics):
    """A duration of zero is not counted."""

    def take(self, measurement: Measurement) -> str:
        """Zeros are skipped."""
        return "" if measurement.kind is Kind.TIMER and not measurement.value else super().take(measurement)


@zoo.defect
class SumsUpNaN(MemoryMetrics):
    """One NaN, and a histogram's sum shows nothing ever after."""

    def take(self, measurement: Measurement) -> str:
        """Added all the same."""
        if measurement.kind is Kind.HISTOGRAM and math.isnan(measurement.value):
            series = self._series.setdefault(self.key(measurement), Series())
            series.value, series.count = math.nan, series.count + 1
            return ""
        return super().take(measurement)


@zoo.defect
class StopsAtTheFirstMistake(MemoryMetrics):
    """After a measurement that it refuses it takes nothing more."""

    def record(self, measurements: Sequence[Measurement]) -> None:
        """Closed by an error."""
        try:
            super().record(measurements)
        except ValueError:
            self._closed = True
            raise


@zoo.defect
@attrs.define(eq=False)
class KeepsWhatItWasHanded(MemoryMetrics):
    """It sums up when it is asked, from measurements that the caller has used again since."""

    _held: list[Measurement] = attrs.field(factory=list, init=False, repr=False)

    def record(self, measurements: Sequence[Measurement]) -> None:
        """For later, if all is well."""
        for each in measurements:
            if each.kind is Kind.COUNTER and each.value > 0 and self._kinds.get(each.name, each.kind) is each.kind:
                self._held.append(each)
            else:
                super().record([each])

    def export(self) -> list[dict[str, Any]]:
        """Now."""
        while self._held:
            super().record([self._held.pop(0)])
        return super().export()


@zoo.defect
class TakesTheFirstOfSeveral(MemoryMetrics):
    """Of observations that come together it sees one."""

    def take(self, measurement: Measurement) -> str:
        """As if it had come by itself."""
        return super().take(attrs.evolve(measurement, more=()))


@zoo.defect
class SeveralAreOne(MemoryMetrics):
    """Observations that come together are one, as long as all of them."""

    def take(self, measurement: Measurement) -> str:
        """Their sum."""
        if measurement.more and all(value >= 0 for value in measurement.more):
            measurement = attrs.evolve(measurement, value=measurement.value + sum(measurement.more), more=())
        return super().take(measurement)


@zoo.defect
class ChecksTheFirstOfSeveral(MemoryMetrics):
    """One NaN behind a sound observation, and a timer shows nothing ever after."""

    def take(self, measurement: Measurement) -> str:
        """Only the first is looked at."""
        problem = super().take(attrs.evolve(measurement, more=()))
        if not problem and measurement.more:
            series = self._series[self.key(measurement)]
            series.value += sum(measurement.more)
            series.count += len(measurement.more)
        return problem


# --- labels -----------------------------------------------------------------------------------------------------------


@zoo.defect
class MergesLabels(MemoryMetrics):
    """All labels of a name are one series."""

    def key(self, measurement: Measurement) -> Key:
        """The name alone."""
        return (measurement.name, frozenset())


@zoo.defect
class KeepsOneLabel(MemoryMetrics):
    """Of several labels the first counts."""

    def key(self, measurement: Measurement) -> Key:
        """The first."""
        return (measurement.name, frozenset(sorted(measurement.labels.items())[:1]))


@zoo.defect
class ForgetsWhichLabel(MemoryMetrics):
    """Two series whose labels have the same values, the other way round, are one."""

    def key(self, measurement: Measurement) -> Key:
        """By the values in order."""
        values = sorted(measurement.labels.values())
        return (measurement.name, frozenset(zip(sorted(measurement.labels), values, strict=True)))


@zoo.defect
@attrs.define(eq=False)
class JoinsLabels(MemoryMetrics):
    """It tells series apart by their labels joined with commas."""

    _first: dict[str, Key] = attrs.field(factory=dict, init=False, repr=False)

    def key(self, measurement: Measurement) -> Key:
        """Joined."""
        text = ",".join(f"{name}={value}" for name, value in sorted(measurement.labels.items()))
        return self._first.setdefault(f"{measurement.name}{{{text}", super().key(measurement))


@zoo.defect
@attrs.define(eq=False)
class MindsTheOrderOfLabels(MemoryMetrics):
    """Labels that are said in another order are another series."""

    _orders: dict[tuple[str, ...], int] = attrs.field(factory=dict, init=False, repr=False)

    def row(self, name: str, labels: dict[str, str], series: Series) -> dict[str, Any]:
        """Without the mark by which it tells them apart."""
        return super().row(name, {each: value for each, value in labels.items() if each != "\0"}, series)

    def key(self, measurement: Measurement) -> Key:
        """With the order."""
        found = super().key(measurement)
        order = list(measurement.labels)
        return found if order == sorted(order) else (found[0], found[1] | {("\0", "other")})


@zoo.defect
class DoesNotEscape(MemoryMetrics):
    """A quote ends a label's value."""

    def key(self, measurement: Measurement) -> Key:
        """Up to the quote."""
        cut = {name: value.partition('"')[0] if value != '"' else value for name, value in measurement.labels.items()}
        return super().key(attrs.evolve(measurement, labels=cut))


@zoo.defect
class EscapesTwice(MemoryMetrics):
    """Line ends in label values come back as a backslash and an n."""

    def row(self, name: str, labels: dict[str, str], series: Series) -> dict[str, Any]:
        """Escaped before JSON escapes."""
        return super().row(name, {each: value.replace("\n", "\\n") for each, value in labels.items()}, series)


@zoo.defect
class SpeaksAscii(MemoryMetrics):
    """Label values lose what is not ASCII."""

    def key(self, measurement: Measurement) -> Key:
        """With question marks."""
        ascii_ = {name: value.encode("ascii", "replace").decode() for name, value in measurement.labels.items()}
        return super().key(attrs.evolve(measurement, labels=ascii_))


@zoo.defect
class MixesKinds(MemoryMetrics):
    """A name that is used for two kinds is summed up as whatever comes."""

    def take(self, measurement: Measurement) -> str:
        """The latest kind counts."""
        self._kinds[measurement.name] = measurement.kind
        return super().take(measurement)


@zoo.defect
class DoesNotSayWhich(MemoryMetrics):
    """Its error for a name of two kinds does not say which name."""

    def take(self, measurement: Measurement) -> str:
        """Something is wrong."""
        return super().take(measurement) and "duplicated timeseries"


# --- flush, export, close ---------------------------------------------------------------------------------------------


@zoo.defect
class ExportResets(MemoryMetrics):
    """Whoever looks takes all away."""

    def export(self) -> list[dict[str, Any]]:
        """And nothing is left."""
        found = super().export()
        self._series.clear()
        return found


@zoo.defect
@attrs.define(eq=False)
class FlushResets(MemoryMetrics):
    """Counters begin again at each flush."""

    def flush(self) -> None:
        """Once sent, forgotten at the next record."""
        super().flush()
        self._flushed = True

    _flushed: bool = attrs.field(default=False, init=False, repr=False)

    def record(self, measurements: Sequence[Measurement]) -> None:
        """From nothing, after a flush."""
        if self._flushed:
            self._series.clear()
            self._flushed = False
        super().record(measurements)


@zoo.defect
@attrs.define(eq=False)
class FlushSendsTheLastButOne(MemoryMetrics):
    """What was recorded since the last flush is sent by the next."""

    _text: str = attrs.field(default="[]", init=False, repr=False)

    def flush(self) -> None:
        """One behind."""
        held, new = self._text, json.dumps(self.export())
        self._text = new
        if self.file is not None:
            self.file.write_text(held, encoding="utf-8")


@zoo.defect
class CloseDoesNotFlush(MemoryMetrics):
    """What was not flushed is lost when it is closed."""

    def close(self) -> None:
        """Gone."""
        self._closed = True


@zoo.defect
class ExportsObjects(MemoryMetrics):
    """Its export holds what JSON does not have."""

    def row(self, name: str, labels: dict[str, str], series: Series) -> dict[str, Any]:
        """A tuple of pairs."""
        return {**super().row(name, labels, series), "pairs": tuple(labels.items())}


@zoo.defect
class ExportsNaN(MemoryMetrics):
    """Its export holds NaN, which strict readers of JSON refuse."""

    def row(self, name: str, labels: dict[str, str], series: Series) -> dict[str, Any]:
        """As it is."""
        row = super().row(name, labels, series)
        return {**row, "value": series.value} if "value" in row else row


@zoo.defect
@attrs.define(eq=False)
class ExportsItsOwn(MemoryMetrics):
    """What it exports is what it holds: whoever changes that changes the sink."""

    _rows: dict[Key, dict[str, Any]] = attrs.field(factory=dict, init=False, repr=False)

    def export(self) -> list[dict[str, Any]]:
        """The same rows each time."""
        for row in super().export():
            mine = self._rows.setdefault(key(row["name"], row["labels"]), {})
            mine.update(row)
        return list(self._rows.values())


@zoo.defect
@attrs.define(eq=False)
class OneForAll(MemoryMetrics):
    """All sinks of a process share what they hold, as a default registry does."""

    _all: ClassVar[dict[Key, Series]] = {}

    def __attrs_post_init__(self) -> None:
        self._series = self._all


@zoo.defect
class OneAtATime(MemoryMetrics):
    """A second sink in the process cannot have the names of the first."""

    _taken: ClassVar[dict[str, int]] = {}

    def take(self, measurement: Measurement) -> str:
        """Whose name it is."""
        if self._taken.setdefault(measurement.name, id(self)) != id(self):
            return f"duplicated timeseries in the registry: {measurement.name}"
        return super().take(measurement)

    def close(self) -> None:
        """The names are free again."""
        super().close()
        for name in [name for name, owner in self._taken.items() if owner == id(self)]:
            del self._taken[name]


@zoo.defect
class HangsAfterClose(MemoryMetrics):
    """Recording after it was closed waits for a worker that is gone."""

    def record(self, measurements: Sequence[Measurement]) -> None:
        """For ever."""
        if self._closed:
            threading.Event().wait()
        super().record(measurements)


@zoo.defect
class ClosesOnce(MemoryMetrics):
    """Closed a second time it raises."""

    def close(self) -> None:
        """Once."""
        if self._closed:
            raise RuntimeError("it is closed")
        super().close()


class Scraped(MemoryMetrics):
    """Of those that are scraped, what they have in common."""

    def scrape(self) -> str:
        """As Prometheus' text."""
        lines: list[str] = []
        for name, kind in self._kinds.items():
            lines.append(f"# TYPE {name} {'summary' if kind in (Kind.TIMER, Kind.HISTOGRAM) else kind.value}")
            for (mine, labels), series in self._series.items():
                if mine == name:
                    lines += self.samples(name, kind, self.said(labels), series)
        return "".join(f"{line}\n" for line in lines)

    def said(self, labels: frozenset[tuple[str, str]]) -> str:
        """The labels."""
        return ",".join(f'{name}="{self.escaped(value)}"' for name, value in sorted(labels))

    def escaped(self, value: str) -> str:
        """A value as it stands between quotes."""
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    def number(self, value: float) -> str:
        """As Prometheus writes it."""
        return repr(value).replace("inf", "+Inf").replace("nan", "NaN")

    def samples(self, name: str, kind: Kind, said: str, series: Series) -> list[str]:
        """The lines of one series."""
        value = self.number(series.value)
        if kind in (Kind.COUNTER, Kind.GAUGE):
            return [f"{name}{{{said}}} {value}"]
        return [f"{name}_count{{{said}}} {series.count}", f"{name}_sum{{{said}}} {value}"]


@zoo.defect
class ScrapesUnescaped(Scraped):
    """A quote in a label's value ends it, in what Prometheus reads."""

    def escaped(self, value: str) -> str:
        """As it is."""
        return value


@zoo.defect
class ScrapesPythonNumbers(Scraped):
    """It writes ``inf`` and ``nan`` as Python does."""

    def number(self, value: float) -> str:
        """As Python writes it."""
        return repr(value)


@zoo.defect
class ScrapesEachType(Scraped):
    """It says the type anew for each series, which Prometheus refuses."""

    def samples(self, name: str, kind: Kind, said: str, series: Series) -> list[str]:
        """Once more."""
        return [f"# TYPE {name} {kind.value}", *super().samples(name, kind, said, series)]


@zoo.defect
class ScrapesTwice(Scraped):
    """Each series is there twice."""

    def samples(self, name: str, kind: Kind, said: str, series: Series) -> list[str]:
        """And again."""
        return super().samples(name, kind, said, series) * 2


# --- in the way -------------------------------------------------------------------------------------------------------


@zoo.defect
class SendsUnderTheLock(MemoryMetrics):
    """It holds the lock that recording waits for while it sends."""

    def record(self, measurements: Sequence[Measurement]) -> None:
        """In turn."""
        with self._writing:
            super().record(measurements)


@zoo.defect
class SendsAtOnce(MemoryMetrics):
    """Recording sends, and waits for the answer."""

    def record(self, measurements: Sequence[Measurement]) -> None:
        """And off with it."""
        super().record(measurements)
        self.flush()


@zoo.defect
class BoundedQueue(MemoryMetrics):
    """It drops what is beyond a thousand measurements of one call."""

    def record(self, measurements: Sequence[Measurement]) -> None:
        """The first thousand."""
        super().record(measurements[:1000])


@zoo.defect
class BoundedSeries(MemoryMetrics):
    """It silently keeps 256 series of a name."""

    def take(self, measurement: Measurement) -> str:
        """Not one more."""
        mine = sum(name == measurement.name for name, _ in self._series) if len(self._series) > 255 else 0
        return "" if mine > 255 and self.key(measurement) not in self._series else super().take(measurement)


@zoo.defect
class ExportsWithoutTheLock(MemoryMetrics):
    """It walks over its series while others add to them."""

    def export(self) -> list[dict[str, Any]]:
        """As they are."""
        return [self.row(name, dict(labels), series) for (name, labels), series in self._series.items()]


@zoo.defect
@attrs.define(eq=False)
class ShowsItsToken(MemoryMetrics):
    """Its error for an endpoint that refuses it quotes the token."""

    token: str = option("", help="For the endpoint.", secret=True)

    def flush(self) -> None:
        """Refused."""
        if self.token:
            raise ConnectionError(f"401 from https://push.example/?token={self.token}")
        super().flush()
