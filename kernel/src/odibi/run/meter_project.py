"""The metric sinks of a project, and what all of its runs tell them.

The sinks live as long as the project is open, so counters never fall from one run to the next.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from odibi.contracts import measured as names
from odibi.contracts.metric import ScrapedSink
from odibi.run.dispatch import PATIENCE
from odibi.run.meter import MeterListener, RunMeter
from odibi.run.meter_sinks import SinkThread
from odibi.run.meter_tally import Names, Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from odibi.contracts.metric import Measurement, MetricSink
    from odibi.plan import Plan
    from odibi.run.dispatch import Listener
    from odibi.run.resources import Resources

_log = logging.getLogger("odibi.metrics")


class ProjectMeter:
    """The sinks of a project, and what its runs have in common.

    Args:
        resources: builds the sinks, and has the cache; lives as long as the project.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.project = resources.redactor.redact(resources.project.name)
        self.names = Names(resources.redactor.redact)
        self._lock = threading.Lock()
        self._sinks: dict[int, SinkThread] | None = None
        self._refused: set[int] = set()
        self._running: dict[str, int] = {}
        self._met: set[str] = set()
        self._evicted = 0
        self._aside = Tally()

    @property
    def sinks(self) -> Sequence[SinkThread]:
        """The sinks, built when they are first asked for.

        One that cannot be built is left out, and logged once; the next run tries again.
        """
        with self._lock:
            if self._sinks is None:
                self._sinks = {}
                self._build()
            return tuple(self._sinks.values())

    def _build(self) -> None:
        """Build the sinks that are not there, with the lock held."""
        assert self._sinks is not None
        for at, config in enumerate(self._resources.project.metrics):
            if at in self._sinks:
                continue
            try:
                sink = self._resources.metric(config)
            except Exception as error:
                if at not in self._refused:
                    words = self._resources.redactor.redact(f"{type(error).__name__}: {error}")
                    _log.warning("the metric sink %s cannot be had, and the runs go on without it: %s",
                                 config.type, words)  # fmt: skip
                self._refused.add(at)
            else:
                self._refused.discard(at)
                self._sinks[at] = self._started(config.type, sink)

    def _started(self, name: str, sink: MetricSink) -> SinkThread:
        return SinkThread(
            name,
            sink,
            failed=lambda hook: self._count(names.PLUGIN_FAILURES, (self.project, name, hook)),
            dropped=lambda count: self._count(names.DROPPED, (self.project, name), count),
            redact=self._resources.redactor.redact,
        )

    def of_run(self, plan: Plan) -> tuple[RunMeter, Listener] | None:
        """What measures one more run, with what listens for it; ``None`` if there is no sink."""
        if self._refused and self._sinks is not None:
            with self._lock:
                self._build()
        if not self.sinks:
            return None
        meter = RunMeter(self, plan)
        return meter, MeterListener(meter)

    def tell(self, measurements: Sequence[Measurement]) -> None:
        """Let every sink have measurements."""
        with self._lock:
            aside = self._aside.take() if self._aside else ()
        told = [*aside, *measurements]
        if told:
            for sink in self.sinks:
                sink.put(told)

    def flush(self) -> list[threading.Event]:
        """Let every sink send what it has; what is given back is set when they have."""
        return [sink.flush() for sink in self.sinks]

    def begins(self, pipeline: str) -> tuple[int, bool]:
        """A run begins: how many of the pipeline go on now, and whether it is the first of all."""
        with self._lock:
            self._running[pipeline] = self._running.get(pipeline, 0) + 1
            first = pipeline not in self._met
            self._met.add(pipeline)
            return self._running[pipeline], first

    def ends(self, pipeline: str) -> int:
        """A run ends: how many of the pipeline still go on."""
        with self._lock:
            self._running[pipeline] = max(0, self._running.get(pipeline, 0) - 1)
            return self._running[pipeline]

    @property
    def has_cache(self) -> bool:
        """Whether results are kept."""
        return self._resources.project.cache is not None

    @property
    def usage(self) -> bool:
        """Whether a sink wants to know what nodes take."""
        return any(getattr(thread.sink, "usage", False) for thread in self.sinks)

    def look_at_cache(self, tally: Tally) -> None:
        """Measure the cache; of one that cannot be asked, nothing is told."""
        if not self.has_cache:
            return
        try:
            cache = self._resources.cache()
            assert cache is not None
            stats = cache.stats()
        except Exception as error:  # the project may have been closed meanwhile, or the store be out of reach
            _log.debug("the cache could not be measured: %s", error)
            return
        labels = (self.project,)
        tally.set(names.CACHE_BYTES, labels, stats.bytes)
        tally.set(names.CACHE_ENTRIES, labels, stats.entries)
        with self._lock:
            more, self._evicted = max(0, stats.evictions - self._evicted), stats.evictions
        tally.add(names.CACHE_EVICTIONS, labels, more)

    def look_at_history(self, tally: Tally, pipeline: str, labels: tuple[str, ...]) -> None:
        """Measure when a pipeline last succeeded, before this process began; nothing is told if that is not known."""
        try:
            store = self._resources.checkpoints()
            record = store.latest(pipeline, states=("succeeded",)) if store is not None else None
        except Exception as error:
            _log.debug("the history could not be measured: %s", error)
            return
        if record is not None and record.finished is not None:
            tally.set(names.LAST_SUCCESS, labels, record.finished)

    def scrapes(self) -> list[str]:
        """What those sinks hold that Prometheus can read, in its text format."""
        found = []
        for thread in self.sinks:
            if isinstance(thread.sink, ScrapedSink):
                try:
                    found.append(thread.sink.scrape())
                except Exception as error:
                    words = self._resources.redactor.redact(f"{type(error).__name__}: {error}")
                    _log.warning("the metric sink %s cannot be scraped: %s", thread.name, words)
                    self._count(names.PLUGIN_FAILURES, (self.project, thread.name, "scrape"))
        return found

    def close(self) -> None:
        """Let the sinks send what they have, and close them; one that hangs is left behind. May be called twice."""
        with self._lock:
            sinks, self._sinks = list((self._sinks or {}).values()), None
            aside = self._aside.take()
            self._met.clear()  # sinks that are built afterwards begin at nothing
            self._evicted = 0
        for sink in sinks:
            if aside:
                sink.put(aside)
            sink.close()
        deadline = time.monotonic() + PATIENCE
        for sink in sinks:
            if not sink.join(max(0.0, deadline - time.monotonic())):
                _log.warning("the metric sink %s does not close, and is left behind", sink.name)

    def _count(self, metric: names.Metric, labels: tuple[str, ...], value: float = 1) -> None:
        """Count something that happens to sinks; they are told with what comes next."""
        with self._lock:
            self._aside.add(metric, labels, value)
