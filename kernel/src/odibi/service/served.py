"""One project of a service: its store, the right to serve it, and its streams."""

from __future__ import annotations

import hashlib
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from odibi.contracts.trigger import Batch, EventSource
from odibi.errors import Conflict, OdibiError
from odibi.model import Mode
from odibi.service.firing import Entrance, source_of
from odibi.service.jobs import AFTER, Flow, moment_in
from odibi.service.streams import PAUSED, InFlight, Stream
from odibi.service.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from odibi.api import LoadedProject
    from odibi.contracts.checkpoint import CheckpointStore, RunLock

_log = logging.getLogger("odibi.service")

LEADER = "!service/"
"""What the name of the lock begins with that says who serves a project."""

_STOPPED = 10.0
"""Seconds that a source is given to stop; it should within one."""


class Served:
    """A project that is served, or that this service stands by for.

    Args:
        loaded: the project.

    Attributes:
        name: its name.
        store: where its runs and streams are recorded.
        lock: the right to serve it, while it is ours.
        flows: its streams by their names, while it is served.
        followers: those of them that are of pipelines which come after others.
        opened: whether it is known where each stream stands.
        silent: nothing of it is to begin.
        successor: the same project as it was loaded since.
        consumed: triggers of events of which some may be needed no more.

    Raises:
        OdibiError: it has no checkpoint store.
    """

    def __init__(self, loaded: LoadedProject) -> None:
        self.loaded = loaded
        self.name = loaded.project.name
        self._resources = loaded.resources()
        store = self._resources.checkpoints()
        if store is None:
            raise OdibiError(
                "a service has to remember what it has done, and the project has no checkpoint store",
                where=f"project '{self.name}'",
                remedy="Add 'checkpoints: sqlite' to the project file.",
            )
        self.store: CheckpointStore = store
        self.lock: RunLock | None = None
        self.flows: dict[str, Flow] = {}
        self.followers: tuple[Flow, ...] = ()
        self.opened = False
        self.silent = False
        self.successor: Served | None = None
        self.consumed: set[str] = set()
        self._waits = False
        self._entrances: dict[str, Entrance] = {}
        self._making = threading.Lock()

    def scrub(self, text: str) -> str:
        """The text without the project's secrets."""
        return self.loaded.redactor.redact(text)

    def described(self) -> str:
        """What there is to serve, in words."""
        active = [name for name, trigger in self.loaded.project.triggers.items() if trigger.enabled]
        later = [pipeline.name for pipeline in self.loaded.project.pipelines if pipeline.after]
        words = [f"{len(active)} trigger{'' if len(active) == 1 else 's'}"]
        if later:
            words.append("1 pipeline that comes after others" if len(later) == 1
                         else f"{len(later)} pipelines that come after others")  # fmt: skip
        return ", ".join(words)

    def idle_because(self) -> str:
        """Why nothing will ever begin, and what to do about it, in words; empty if something may."""
        project = self.loaded.project
        if any(it.enabled for it in project.triggers.values()) or any(each.after for each in project.pipelines):
            return ""
        if project.triggers:
            return "all of its triggers are switched off; remove 'enabled: false' from one"
        said = "it has no triggers; add some under 'triggers' in the project file, such as a 'cron' or a 'file_watch'"
        if any(each.mode is Mode.STREAM for each in project.pipelines):
            said += ". What is to run again and again by itself ('mode: stream') is run by: odibi run"
        return said

    # --- the right to serve it --------------------------------------------------------------------------------------

    def try_to_lead(self) -> bool:
        """Take the right to serve the project, if nobody has it."""
        try:
            self.lock = self.store.lock(f"{LEADER}{self.name}")
        except Conflict as error:
            if not self._waits:
                self._waits = True
                _log.info("standing by for '%s': %s", self.name, error.what)
            return False
        self._waits = False
        return True

    def let_go(self) -> None:
        """Serve it no more."""
        self.stop_watches()
        self.flows, self.followers, self.opened = {}, (), False
        lock, self.lock = self.lock, None
        if lock is not None:
            lock.release()

    def close(self) -> None:
        """Give everything back, once nothing runs any more."""
        self.stop_watches()
        for flow in self.flows.values():
            if flow.watch is not None and not flow.watch.join(_STOPPED):
                _log.warning("%s: its source does not stop", flow.name)
        self.let_go()
        with self._making:
            entrances, self._entrances = self._entrances, {}
        for entrance in entrances.values():
            entrance.source.close()
        self._resources.close()

    # --- streams ----------------------------------------------------------------------------------------------------

    def open(self, now: datetime) -> list[tuple[Flow, InFlight]]:
        """Find out where each stream stands; gives those with a batch in flight."""
        self.silent = False
        self.flows = {flow.name: flow for flow in self._flows()}
        self.followers = tuple(flow for flow in self.flows.values() if flow.stream.trigger == AFTER)
        paused = self.store.offsets(PAUSED)
        in_flight, new = [], dict[str, Any]()
        for flow in self.flows.values():
            flow.paused = f"{PAUSED}{flow.name}" in paused
            begun = flow.stream.in_flight()
            if begun is not None:
                in_flight.append((flow, begun))
            else:
                flow.settled.set()
            if flow.schedule is not None:
                handled = moment_in(flow.stream.offset())
                if handled is None:
                    # From now on, a moment that passes while nobody looks is one that was missed.
                    new[flow.name] = now.isoformat()
                flow.handled = handled or now
                pinned = moment_in(begun.batch.offset) if begun is not None else None
                if pinned is not None:
                    flow.handled = max(flow.handled, pinned)
        if new:
            self.store.move(new, lock=self.lock)
        self.consumed = {flow.stream.trigger for flow in self.flows.values() if flow.takes_events}
        self.opened = True
        return in_flight

    def _flows(self) -> Iterator[Flow]:
        project = self.loaded.project
        for name, trigger in project.triggers.items():
            if not trigger.enabled:
                continue
            for pipeline in trigger.pipelines or [each.name for each in project.pipelines]:
                component = self._resources.trigger(name)
                yield Flow(Stream(self.store, pipeline, name), self.loaded[pipeline], trigger, component, self)
        for each in project.pipelines:
            if each.after:
                yield Flow(Stream(self.store, each.name, AFTER), self.loaded[each.name], None, None, self)

    def first_moments(self) -> Iterator[tuple[Flow, datetime]]:
        """The first moment of each schedule: one that was missed, or the next."""
        for flow in self.flows.values():
            if flow.schedule is None or flow.handled is None:
                continue
            moment = flow.schedule.next_after(flow.handled)
            if moment is not None:
                yield flow, moment

    def changed_pauses(self) -> list[tuple[Flow, bool]]:
        """The streams that somebody has paused, or let go on, in the store."""
        paused = self.store.offsets(PAUSED)
        flows = self.flows.values()
        return [(flow, not flow.paused) for flow in flows if flow.paused != (f"{PAUSED}{flow.name}" in paused)]

    def listen(self, flow: Flow, deal: Callable[[Batch], bool]) -> None:
        """Begin to listen to a stream's source, once no batch of it is in flight."""

        def opened() -> Any:
            source = self._resources.trigger(flow.stream.trigger)
            if isinstance(source, EventSource):
                source.attach(self.loaded.events(flow.stream.trigger))
            return source

        flow.watch = Watch(flow.stream, flow.settled, opened, deal, self.scrub)
        flow.watch.start()

    def stop_watches(self) -> None:
        """Listen to no source any more."""
        for flow in self.flows.values():
            if flow.watch is not None:
                flow.watch.stop()

    # --- events -----------------------------------------------------------------------------------------------------

    def entrance(self, trigger: str) -> Entrance:
        """Where events for a trigger come in over HTTP; also while it stands by, as whoever leads sees them.

        Raises:
            Conflict: the trigger is switched off.
            NotFound: it takes no events.
            OdibiError: it cannot be built.
        """
        with self._making:
            if trigger not in self._entrances:
                source = source_of(self.loaded, self._resources, trigger)
                self._entrances[trigger] = Entrance(trigger, source, self.loaded.events(trigger))
            return self._entrances[trigger]

    def forget_events(self) -> None:
        """Remove events that each stream of their trigger has consumed.

        A pipeline that the trigger is given later begins with what is there then.
        """
        for trigger in sorted(self.consumed):
            self.consumed.discard(trigger)  # before looking: what is consumed from now on says so again
            streams = [flow.stream for flow in self.flows.values() if flow.stream.trigger == trigger]
            try:
                offsets = [offset for stream in streams if isinstance(offset := stream.offset(), int)]
                if offsets and len(offsets) == len(streams):
                    with suppress(Conflict):  # another service leads
                        self.loaded.events(trigger).forget(min(offsets), self.lock)
            except OdibiError as error:
                self.consumed.add(trigger)
                _log.warning("%s: consumed events are not removed yet: %s", trigger, self.scrub(str(error)))

    # --- pipelines after others -------------------------------------------------------------------------------------

    def after(self, flow: Flow) -> Batch | None:
        """What a pipeline that comes after others has to consume: new successes of all of them."""
        newest: dict[str, str] = {}
        for name in flow.pipeline.model.after:
            found = self.store.latest(name, states=("succeeded",))
            if found is None:
                return None
            newest[name] = found.run_id
        seen = flow.stream.offset() or {}
        if any(seen.get(name, "") >= run_id for name, run_id in newest.items()):
            return None
        text = "\n".join(f"{name}={run_id}" for name, run_id in sorted(newest.items()))
        return Batch(hashlib.sha256(text.encode()).hexdigest()[:16], newest, {"runs": newest})
