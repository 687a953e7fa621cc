"""What the service has to do: a stream as it deals with it, and an attempt at a batch that waits for its turn."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.trigger import Batch, EventSource, TriggerSource

if TYPE_CHECKING:
    from odibi.api import Pipeline
    from odibi.contracts.trigger import Schedule
    from odibi.model import Trigger
    from odibi.run.handle import RunHandle
    from odibi.service.served import Served
    from odibi.service.streams import InFlight, Stream
    from odibi.service.watching import Watch

AFTER = "!after"
"""The trigger that pipelines are which others come after."""

_SOONEST = 0.1
"""Seconds that what cannot be run waits at least, whatever the trigger says: for nothing, it would be tried without a
break as long as another run has the pipeline."""

_LONGEST = 3600.0
"""Seconds after which a batch is tried again at the latest."""


@attrs.define(eq=False)
class Flow:
    """A stream as the service deals with it.

    Attributes:
        stream: where it stands.
        pipeline: is run.
        trigger: the settings; ``None`` for pipelines that come after others.
        component: the schedule or the source; ``None`` likewise.
        served: the project that it is of.
        handled: for a schedule, the last moment that was dealt with.
        skipped: the last moment that was passed over while the pipeline ran.
        job: the attempt that waits, runs, or is to be made again.
        behind: where all moments are wanted, those that wait for the job, one after another.
        watch: for a source, the thread that listens to it.
        paused: whether nothing is to be started.
        put_off: how often in a row the batch could not be run.
        settled: set when no batch is in flight.
    """

    stream: Stream
    pipeline: Pipeline
    trigger: Trigger | None
    component: Schedule | TriggerSource | None
    served: Served
    handled: datetime | None = None
    skipped: datetime | None = None
    job: Job | None = None
    behind: list[Job] = attrs.field(factory=list)
    watch: Watch | None = None
    paused: bool = False
    put_off: int = 0
    settled: threading.Event = attrs.field(factory=threading.Event)

    @property
    def name(self) -> str:
        """Of the stream."""
        return self.stream.name

    @property
    def full_name(self) -> str:
        """Of the stream, with its project, as streams of several projects may have one name."""
        return f"{self.served.name}:{self.name}"

    @property
    def lane(self) -> tuple[str, str]:
        """What its jobs have in common with others that must not run at once."""
        return (self.served.name, self.stream.pipeline)

    @property
    def schedule(self) -> Schedule | None:
        """The component, if it is a schedule."""
        found = self.component
        return None if found is None or isinstance(found, TriggerSource) else found

    @property
    def is_source(self) -> bool:
        """Whether the component is a source."""
        return isinstance(self.component, TriggerSource)

    @property
    def takes_events(self) -> bool:
        """Whether the component is a source of events."""
        return isinstance(self.component, EventSource)

    @property
    def max_attempts(self) -> int:
        """How often a batch is tried."""
        if self.trigger is not None and self.trigger.max_attempts is not None:
            return self.trigger.max_attempts
        return 3 if self.is_source else 1

    def delay(self, times: int) -> float:
        """Seconds until a batch is tried again after ``times`` attempts that failed."""
        return self._doubled(self._first, times)

    def pause(self, times: int) -> float:
        """Seconds until a batch is tried again that could not be run ``times`` times in a row."""
        return self._doubled(max(self._first, _SOONEST), times)

    @property
    def _first(self) -> float:
        return float(self.trigger.retry_delay) if self.trigger is not None else 10.0

    @staticmethod
    def _doubled(first: float, times: int) -> float:
        return min(first * 2.0 ** min(times - 1, 30), _LONGEST)


@attrs.define(eq=False)
class Job:
    """An attempt at a batch that waits, or runs.

    Attributes:
        flow: whose.
        batch: with what became of earlier attempts.
        moment: for a schedule, the moment.
        handle: the run, once it goes on.
        unwanted: whether it was cancelled for a newer one.
    """

    flow: Flow
    batch: InFlight
    moment: datetime | None = None
    handle: RunHandle | None = None
    unwanted: bool = False


def batch_of(moment: datetime, before: datetime | None = None) -> Batch:
    """A moment of a schedule as a batch.

    Its payload says the moment and the one that was dealt with before it, in UTC: the run's stretch of time.
    """
    text = moment.astimezone(UTC).isoformat()
    previous = None if before is None else before.astimezone(UTC).isoformat()
    return Batch(text, text, {"moment": text, "previous": previous})


def moment_in(offset: Any) -> datetime | None:
    """The moment that an offset of a schedule says."""
    return None if not isinstance(offset, str) else datetime.fromisoformat(offset).astimezone(UTC)
