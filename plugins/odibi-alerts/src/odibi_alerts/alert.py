"""What all alerts share: what they are sent for, and when; how is said by each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi.contracts.amounts import duration
from odibi.contracts.options import option
from odibi.contracts.secret import Secret
from odibi.events import RunFinished, RunStarted
from odibi_alerts.notice import EVENTS
from odibi_alerts.outbox import attempted, outbox_for
from odibi_alerts.templates import check_template
from odibi_alerts.throttle import admit
from odibi_alerts.watch import RunWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi.events import Event
    from odibi_alerts.notice import Notice


def _events(_: object, __: object, value: Sequence[str]) -> None:
    for name in value:
        if name not in EVENTS:
            raise ValueError(f"on_events: there is no event {name!r}; there are {', '.join(EVENTS)}")


def _late(it: Any, _: object, value: float | None) -> None:
    if value is None and "on_sla" in it.on_events:
        raise ValueError("sla: on_events has on_sla; say after how long a run is late, such as 30m")


def _metadata(_: object, __: object, value: Mapping[str, Any]) -> None:
    minutes = value.get("throttle_minutes")
    if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, int | float) or minutes < 0):
        raise ValueError("metadata: throttle_minutes is no number of minutes")


def optional_duration(given: float | str | None) -> float | None:
    """Seconds; ``None`` where nothing was given."""
    return None if given is None else duration(given)


@attrs.define(eq=False)
class Alert:
    """Tells people of runs: the part that is the same whichever way they are told."""

    on_events: Sequence[str] = option(
        ("on_failure",),
        help="What it is sent for: on_start, on_success, on_failure, on_cancel, on_retry, on_sla, on_quarantine.",
        converter=tuple,
        validator=_events,
    )
    sla: float | str | None = option(
        None,
        help="How long a run may take: on_sla is sent as soon as it has taken longer. Seconds, or with a unit.",
        converter=optional_duration,
        validator=_late,
    )
    template: str | None = option(
        None,
        help="A text to send instead of the usual one, with fields such as {pipeline} and {error} in it.",
        validator=lambda _, field, value: check_template(field.name, value),
    )
    throttle: float | str | None = option(
        None,
        help="For each pipeline and event, how long after one the next is held back. Seconds, or with a unit.",
        converter=optional_duration,
    )
    metadata: Mapping[str, Any] = option(
        factory=dict,
        help="Shown in each message. 'throttle_minutes' in it works like throttle, and so do the names of options that "
        "say whom a message calls or where it goes: 'mentions' and 'channel'.",
        validator=_metadata,
    )
    timeout: float | str = option(
        10.0, help="How long one attempt to send may take; seconds, or with a unit.", converter=duration
    )
    deadline: float | str = option(
        30.0, help="How long all attempts may take together; seconds, or with a unit.", converter=duration
    )

    _watch: RunWatch | None = attrs.field(default=None, init=False, repr=False)
    _timer: threading.Timer | None = attrs.field(default=None, init=False, repr=False)
    _lock: Any = attrs.field(factory=threading.RLock, init=False, repr=False)
    _told_late: bool = attrs.field(default=False, init=False, repr=False)
    _digest: str = attrs.field(default="", init=False, repr=False)

    name = "alert"
    """What it is called in log lines."""
    understood: ClassVar[Sequence[str]] = ("throttle_minutes",)
    """Keys of the metadata that say how it is sent."""

    def message(self, notice: Notice) -> Callable[[float], None]:
        """What sends a notice, within the seconds it is given.

        It is called on the outbox's thread, again and again until it does not raise
        :class:`~odibi_alerts.refusals.TryAgain`.
        """
        raise NotImplementedError

    def handle(self, event: Event) -> None:
        """Take one event; what it leads to is sent by another thread."""
        with self._lock:
            if isinstance(event, RunStarted):
                self._begin(event)
            elif self._watch is not None and event.run_id == self._watch.run_id:
                notice = self._watch.take(event)
                if isinstance(event, RunFinished):
                    self._check_late(event)
                    self._end()
                if notice is not None:
                    self._tell(notice)

    def close(self) -> None:
        """Forget the run; may be called twice.

        What is still to be sent is sent in the background, and the end of the process waits for it: a run's end waits
        for this call, and not for a server.
        """
        with self._lock:
            self._end()

    # --- the run ----------------------------------------------------------------------------------------------------

    def _begin(self, event: RunStarted) -> None:
        self._end()
        self._watch = RunWatch(event, self.metadata, self.understood)
        self._told_late = False
        if self.sla is not None:
            left = self._sla - (time.monotonic_ns() - event.monotonic) / 1e9
            self._timer = threading.Timer(max(0.0, left), self._ring, (self._watch,))
            self._timer.daemon = True
            self._timer.name = f"odibi-alerts-{self.name}-sla"
            self._timer.start()
        self._tell(self._watch.begin())

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._watch = self._timer = None

    @property
    def _sla(self) -> float:
        return float(self.sla or 0.0)

    def _ring(self, watch: RunWatch) -> None:
        with self._lock:
            if self._watch is watch:
                self._tell_late(watch, (time.monotonic_ns() - watch.began) / 1e9, time.time())

    def _check_late(self, event: RunFinished) -> None:
        # The timer may not have had its turn on a machine that is busy.
        if self._watch is not None and self.sla is not None and event.duration > self._sla:
            self._tell_late(self._watch, event.duration, event.wall)

    def _tell_late(self, watch: RunWatch, duration: float, wall: float) -> None:
        if not self._told_late:
            self._told_late = True
            self._tell(watch.late(self._sla, duration, wall))

    # --- sending ----------------------------------------------------------------------------------------------------

    def _tell(self, notice: Notice) -> None:
        wanted = notice.event in self.on_events or (notice.event == "on_sla" and self.sla is not None)
        if not wanted:
            return
        key = self._key()
        seconds = self._throttle()
        if seconds:
            held_back = admit((key, notice.project, notice.pipeline, notice.event), seconds)
            if held_back is None:
                return
            notice = attrs.evolve(notice, held_back=held_back)
        send = self.message(notice)
        limits = {"timeout": float(self.timeout), "deadline": float(self.deadline)}
        outbox_for(key, self.name).put(partial(attempted, self.name, notice.title, send, **limits))

    def _throttle(self) -> float:
        if self.throttle is not None:
            return float(self.throttle)
        return 60.0 * float(self.metadata.get("throttle_minutes") or 0)

    def _key(self) -> str:
        """The same for alerts with the same options; secrets are in it as part of a digest alone."""
        if self._digest:
            return self._digest
        digest = blake2b(type(self).__name__.encode(), digest_size=16)
        for field in attrs.fields(type(self)):
            if field.init:
                digest.update(repr((field.name, _revealed(getattr(self, field.name)))).encode("utf-8", "replace"))
        self._digest = digest.hexdigest()
        return self._digest


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return [(str(key), _revealed(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [_revealed(item) for item in value]
    return value
