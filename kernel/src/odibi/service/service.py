"""The service: one thread that knows all moments and streams, and a few that run what is due."""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from odibi.contracts.trigger import Batch
from odibi.errors import Conflict, OdibiError
from odibi.model import Misfire, Overlap
from odibi.service.attempt import Attempt, Verdict, attempt
from odibi.service.counts import Counts
from odibi.service.dispatch import Dispatcher
from odibi.service.jobs import Flow, Job, batch_of, moment_in
from odibi.service.misfires import PUNCTUAL, made_up_for
from odibi.service.served import Served
from odibi.service.streams import DEATHS, DeadLetter, InFlight
from odibi.service.timers import Timers, moment_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from odibi.api import LoadedProject
    from odibi.contracts.observer import Observer
    from odibi.service.firing import Entrance

_log = logging.getLogger("odibi.service")

_TICK = 1.0
"""Seconds between looks at what does not come by itself: locks, pauses, a clock that somebody has put."""

_AT_A_TIME = 32
"""How many of those that are due come up before what they begin may begin."""

_AFTER_A_FAULT = 60.0
"""Seconds after which a schedule is asked again that could not say its next moment."""

_BETWEEN_LOOKS = 60.0
"""Seconds between looks for pipelines that others, outside of the service, have run."""


class ServiceClock(Protocol):
    """What the service takes the time from."""

    def __call__(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def wait(self, event: threading.Event, seconds: float | None = None) -> bool:
        """Wait until ``event`` is set or the time has passed; whether it is set."""
        ...


class SystemClock:
    """The machine's."""

    def __call__(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def wait(self, event: threading.Event, seconds: float | None = None) -> bool:
        """Wait until ``event`` is set or the time has passed; whether it is set."""
        return event.wait(seconds)


@attrs.frozen
class StreamStatus:
    """How a stream is doing.

    Attributes:
        project: of which it is.
        name: ``PIPELINE/TRIGGER``; streams of several projects may have one name.
        state: ``waiting``, ``running``, ``queued``, ``retrying``, ``paused`` or ``broken``.
        next: for a schedule, its next moment, in seconds since the epoch.
        batch: the id of the batch in flight; empty if there is none.
        error: why it does not go on, or why the last attempt failed.
    """

    project: str
    name: str
    state: str
    next: float | None = None
    batch: str = ""
    error: str = ""


class Service:
    """Starts runs when triggers say so. No signal handler, no global state: it can live in any application.

    Args:
        projects: what to serve. Each needs a checkpoint store, in which all that must outlive the process is kept.
        max_runs: how many runs may go on at once, of all projects together. Runs of one pipeline never do.
        observers: told every event of every run; given anew for each, by a function.
        clock: the time; for tests, one that they turn.

    Attributes:
        counts: what it has done, in numbers.

    Raises:
        OdibiError: a project has no checkpoint store, or two of them the same name.
    """

    def __init__(
        self,
        projects: Sequence[LoadedProject],
        *,
        max_runs: int = 4,
        observers: Callable[[], Sequence[Observer]] = tuple,
        clock: ServiceClock | None = None,
    ) -> None:
        self._clock: ServiceClock = clock or SystemClock()
        self._observers = observers
        self.counts = Counts()
        self._served = [Served(loaded) for loaded in projects]
        names = [each.name for each in self._served]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise OdibiError(
                f"two projects are called '{twice[0]}'", where="odibi serve", remedy="Give each 'project' its own name."
            )
        self._timers: Timers[tuple[str, Flow]] = Timers()
        self._dispatcher: Dispatcher[Job] = Dispatcher(self._perform, max_runs)
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._looked = float("-inf")
        self._active = time.monotonic()
        self._thread = threading.Thread(target=self._serve, name="odibi-service", daemon=True)
        self._over = threading.Event()

    # --- for whoever embeds it --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to serve; returns at once."""
        self._thread.start()

    def stop(self, drain: float = 60.0) -> bool:
        """Start no more runs, let those that go on end, and give everything back.

        What waits, and a run that is stopped, are in the store, and go on when a service next serves the project.

        Args:
            drain: seconds after which runs that still go on are stopped.

        Returns:
            Whether all of them ended by themselves.
        """
        with self._lock:
            self._stop.set()
        self._wake.set()
        self._dispatcher.hold()
        for served in self._served:
            served.stop_watches()
        drained = self._dispatcher.wait(drain)
        if not drained:
            _log.warning("stopping what still runs after %g s", drain)
            for job in self._dispatcher.running():
                self._cancel(job)
            self._dispatcher.wait()
        if self._thread.ident is not None:
            self._thread.join()
        self._dispatcher.close()
        for served in self._served:
            served.close()
        self._over.set()
        return drained

    def cancel(self) -> None:
        """Stop the runs that go on; their batches are begun again when a service next serves the project."""
        for job in self._dispatcher.running():
            self._cancel(job)

    def reload(self, loaded: LoadedProject) -> None:
        """Serve a project as it is now, in place of the one of the same name.

        Runs that go on end as they began; until then, none of the project begins. How far streams are consumed, and
        what is in flight, stays as it is.

        Raises:
            OdibiError: no project of that name is served, or it has no checkpoint store.
        """
        fresh = Served(loaded)
        with self._lock:
            at = next((at for at, each in enumerate(self._served) if each.name == fresh.name), None)
            if at is None:
                names = ", ".join(f"'{each.name}'" for each in self._served)
                remedy = "Start the service anew to serve a project under another name."
                raise OdibiError(f"the project served is {names}", where=f"project '{fresh.name}'", remedy=remedy)
            self._served[at].successor = fresh
        self._wake.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it was stopped; whether it was."""
        return self._over.wait(timeout)

    @property
    def leading(self) -> bool:
        """Whether it serves every one of its projects; otherwise it stands by for another service that does."""
        return all(served.lock is not None and served.opened for served in self._served)

    @property
    def alive(self) -> bool:
        """Whether the thread that knows what is due lives, or what it began is being brought to an end."""
        return self._thread.is_alive() or (self.stopping and not self._over.is_set())

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    @property
    def running(self) -> int:
        """How many runs go on."""
        return len(self._dispatcher.running())

    def scrub(self, text: str) -> str:
        """The text without the secrets of any project."""
        for served in self._served:
            text = served.scrub(text)
        return text

    def idle(self) -> bool:
        """Whether nothing runs and nothing waits for its turn."""
        return self._dispatcher.wait(0)

    @property
    def idle_for(self) -> float:
        """Seconds for which nothing was due, nothing ran, and no source had anything to give; 0 while it stands by.

        It counts from the first time it is asked and that is so.
        """
        with self._lock:
            watches = [flow.watch for served in self._served for flow in served.flows.values() if not flow.paused]
        if not (self.leading and self.idle() and all(watch is None or watch.at_rest for watch in watches)):
            self._active = time.monotonic()
            return 0.0
        return max(0.0, time.monotonic() - self._active)

    def status(self) -> list[StreamStatus]:
        """How each stream is doing, in the order of their names, and of their projects' where these are the same."""
        with self._lock:
            flows = [flow for served in self._served for flow in served.flows.values()]
            return sorted((self._status_of(flow) for flow in flows), key=lambda status: (status.name, status.project))

    def pause(self, stream: str, *, paused: bool = True) -> StreamStatus:
        """Let nothing be started for a stream any more, or again; a run that goes on is not touched.

        Args:
            stream: ``PIPELINE/TRIGGER``, or ``PROJECT:PIPELINE/TRIGGER``.
            paused: whether it is to pause.

        Returns:
            How it is doing then.

        Raises:
            KeyError: there is no such stream.
            Conflict: several projects have one of that name.
            StorageError: it cannot be noted.
        """
        flow = self._flow(stream)
        flow.stream.pause(paused=paused)
        with self._lock:
            self._set_paused(flow, paused)
            status = self._status_of(flow)
        self._wake.set()
        return status

    def fire(self, stream: str) -> StreamStatus:
        """Let a schedule come up now, besides its moments.

        Args:
            stream: as for :meth:`pause`.

        Returns:
            How it is doing then.

        Raises:
            KeyError: there is no such stream.
            Conflict: it is no schedule, or several projects have one of that name.
        """
        flow = self._flow(stream)
        if flow.schedule is None:
            raise Conflict(
                f"{flow.name} is no schedule",
                remedy="Only schedules can be fired; events are sent to /events/TRIGGER, or with: odibi fire",
            )
        with self._lock:
            moment = moment_of(self._clock())
            self._offer_moment(flow, moment)
            flow.handled = max(flow.handled or moment, moment)
            return self._status_of(flow)

    def entrance(self, trigger: str, project: str | None = None) -> Entrance:
        """Where events for a trigger come in over HTTP.

        Args:
            trigger: its name.
            project: of which it is, if several have one of that name.

        Raises:
            KeyError: there is no such trigger.
            NotFound: it takes no events.
            Conflict: several projects have one; or it is switched off.
            OdibiError: it cannot be built.
        """
        with self._lock:
            found = [
                served
                for served in self._served
                if trigger in served.loaded.project.triggers and project in (None, served.name)
            ]
        if len(found) > 1:
            raise Conflict(
                f"{len(found)} projects have a trigger '{trigger}'", remedy=f"Send it to /events/PROJECT/{trigger}."
            )
        if not found:
            raise KeyError(trigger)
        return found[0].entrance(trigger)

    def _flow(self, stream: str) -> Flow:
        with self._lock:
            flows = [flow for served in self._served for flow in served.flows.values()]
        found = [flow for flow in flows if flow.full_name == stream] or [flow for flow in flows if flow.name == stream]
        if len(found) > 1:
            names = ", ".join(sorted(flow.full_name for flow in found))
            raise Conflict(f"{len(found)} projects have a stream '{stream}'", remedy=f"Name one of: {names}.")
        if not found:
            raise KeyError(f"there is no stream {stream!r}")
        return found[0]

    def _status_of(self, flow: Flow) -> StreamStatus:
        job = flow.job
        error = flow.watch.error if flow.watch is not None else ""
        state = "broken" if error else "waiting"
        following = self._timers.when(("fire", flow))
        if job is not None:
            retrying = ("retry", flow) in self._timers
            state = "retrying" if retrying else "running" if job.handle is not None else "queued"
            error = error or job.batch.error
        if flow.paused:
            state = "paused"
        batch = job.batch.batch.id if job is not None else ""
        return StreamStatus(flow.served.name, flow.name, state, following, batch, error)

    # --- the thread -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        ticked = float("-inf")
        while not self._stop.is_set():
            self._wake.clear()
            now = self._clock()
            try:
                if now - ticked >= _TICK or now < ticked:
                    ticked = now
                    self._tick(now)
                following = self._do_what_is_due(now)
            except Exception:  # a store that is not there for a while must not end the service
                _log.exception("the service could not do what was due")
                following = None
            if self._stop.is_set():
                return
            until = ticked + _TICK if following is None else min(following, ticked + _TICK)
            self._clock.wait(self._wake, max(0.0, until - self._clock()))

    def _do_what_is_due(self, now: float) -> float | None:
        """Let come up what is due; says when the next is, in seconds since the epoch.

        Some at a time: what has come up begins while the others do.
        """
        while True:
            with self._lock:
                for (kind, flow), moment in islice(self._timers.due(now), _AT_A_TIME):
                    try:
                        self._come_up(kind, flow, moment, now)
                    except Exception:
                        _log.exception("%s: what was due at %s could not be begun", flow.name, moment)
                        self._timers.set((kind, flow), moment_of(now + _AFTER_A_FAULT))
                following = self._timers.next()
            if following is None or following > now:
                return following

    def _tick(self, now: float) -> None:
        for at, served in enumerate(self._served):
            try:
                self._look_at(at, served, now)
            except Exception:  # one project's store must not keep the others waiting
                _log.exception("'%s' could not be looked at", served.name)
        if now - self._looked >= _BETWEEN_LOOKS or now < self._looked:
            self._looked = now
            for served in self._served:
                if served.lock is not None:
                    self._look_after(served)

    def _look_at(self, at: int, served: Served, now: float) -> None:
        if served.successor is not None:
            self._replace(at, served, served.successor)
        elif served.lock is None:
            if served.try_to_lead():
                self._take_up(served, now)
        elif not served.lock.held():
            self._lay_down(served)
        elif not served.opened:  # its store was not there when it was to be taken up
            self._take_up(served, now)
        else:
            for flow, paused in served.changed_pauses():
                with self._lock:
                    self._set_paused(flow, paused)
            served.forget_events()

    def _take_up(self, served: Served, now: float) -> None:
        """Begin to serve a project, from where it stands."""
        _log.info("serving '%s': %s", served.name, served.described())
        if why := served.idle_because():
            _log.warning("nothing will ever start a pipeline of '%s': %s", served.name, why)
        in_flight = served.open(moment_of(now))
        self._active = time.monotonic()
        with self._lock:
            for flow, batch in in_flight:
                self._resume(flow, batch)
            self._timers.fill((("fire", flow), moment) for flow, moment in served.first_moments())
            for flow in served.flows.values():
                if flow.is_source:
                    served.listen(flow, lambda batch, flow=flow: self._deal(flow, batch))  # type: ignore[misc]

    def _replace(self, at: int, served: Served, successor: Served) -> None:
        """Put a project that was loaded anew in the place of the former, once nothing of that runs."""
        self._silence(served)
        if any(job.flow.served is served for job in self._dispatcher.running()):
            return
        served.stop_watches()
        served.close()
        with self._lock:
            self._served[at] = successor
        _log.info("'%s' was loaded anew", successor.name)
        if successor.try_to_lead():
            self._take_up(successor, self._clock())

    def _silence(self, served: Served) -> None:
        """Let nothing of a project begin any more."""
        with self._lock:
            served.silent = True
            for flow in served.flows.values():
                self._timers.drop(("fire", flow))
                self._timers.drop(("retry", flow))
                self._dispatcher.withdraw(flow.lane, lambda _: True)

    def _lay_down(self, served: Served) -> None:
        """Another service has taken the project over: let go of it at once."""
        _log.error("another service has taken over '%s'; standing by", served.name)
        self._silence(served)
        for job in self._dispatcher.running():
            if job.flow.served is served:
                self._cancel(job)
        served.let_go()

    def _look_after(self, served: Served) -> None:
        """Offer pipelines all of whose predecessors have succeeded since they last ran."""
        for flow in served.followers:
            if flow.job is not None or flow.paused:
                continue
            batch = served.after(flow)
            with self._lock:
                if batch is not None and flow.job is None and flow.stream.offset() != batch.offset:
                    self._submit(Job(flow, InFlight(batch)))

    # --- moments ----------------------------------------------------------------------------------------------------

    def _come_up(self, kind: str, flow: Flow, moment: datetime, now: float) -> None:
        if kind == "retry":
            if flow.job is not None:
                self._submit(flow.job)
            return
        schedule, trigger = flow.schedule, flow.trigger
        if schedule is None or trigger is None or flow.paused:
            return  # a paused one is set again when it goes on
        present, wanted = moment_of(now), [moment]
        following = schedule.next_after(moment)
        missed = present - moment > PUNCTUAL or (following is not None and following <= present)
        if missed:
            after = moment - timedelta(microseconds=1)
            wanted = made_up_for(schedule, after, present, trigger.misfire, trigger.grace)
            following = schedule.next_after(present)
            if not wanted:
                _log.warning("%s: moments up to %s were missed, and are not made up for", flow.name, present)
        if following is not None and not (counts_from_end(schedule) and wanted):
            self._timers.set(("fire", flow), following)
        for each in wanted:
            self._offer_moment(flow, each)
        flow.handled = present if missed else moment

    def _offer_moment(self, flow: Flow, moment: datetime) -> None:
        """Let a moment have its run, as the overlap policy has it."""
        trigger = flow.trigger
        assert trigger is not None
        running, waiting = self._dispatcher.lane(flow.lane)
        batch = batch_of(moment)
        all_wanted = trigger.misfire is Misfire.ALL and trigger.overlap is Overlap.QUEUE
        if all_wanted and flow.job is not None:
            flow.behind.append(Job(flow, InFlight(batch), moment))
            return
        if running is not None or waiting or flow.job is not None:
            if trigger.overlap is Overlap.SKIP:
                _log.info("%s: %s is passed over, as the pipeline still runs", flow.name, moment)
                flow.skipped = moment
                return
            if not all_wanted:
                # The newest moment stands for those that wait, and for one that was to be tried again.
                # One that an earlier service began may be half done, and goes first.
                self._dispatcher.withdraw(flow.lane, lambda job: job.flow is flow and not job.batch.attempts)
                self._timers.drop(("retry", flow))
                flow.behind.clear()
            if trigger.overlap is Overlap.CANCEL_PREVIOUS and running is not None and running.flow is flow:
                running.unwanted = True
                self._cancel(running)
        self._submit(Job(flow, InFlight(batch), moment))

    # --- batches ----------------------------------------------------------------------------------------------------

    def _resume(self, flow: Flow, batch: InFlight) -> None:
        """Go on with a batch that an earlier service began."""
        if batch.deaths > DEATHS:
            error = batch.error or f"the process died {batch.deaths} times in the middle of it"
            self._give_up(flow, batch, Attempt(Verdict.FAILED, error))
            flow.settled.set()
            return
        _log.info("%s: going on with batch %s", flow.name, batch.batch.id)
        self._submit(Job(flow, batch))

    def _deal(self, flow: Flow, batch: Batch) -> bool:
        """For the thread that listens to a source: have a batch consumed, or given up; false if that will not be."""
        flow.settled.clear()
        with self._lock:
            if self._stop.is_set():
                return False
            self._submit(Job(flow, InFlight(batch)))
        while not flow.settled.wait(_TICK):
            if self._stop.is_set() or flow.watch is None or flow.watch.stopped:
                return False
        return not self._stop.is_set()

    def _submit(self, job: Job) -> None:
        job.flow.job = job
        job.flow.settled.clear()
        self._active = time.monotonic()
        if self._stop.is_set() or job.flow.paused or job.flow.served.silent:
            return  # it is taken up when the stream goes on
        self._dispatcher.submit(job.flow.lane, job)

    def _cancel(self, job: Job) -> None:
        handle = job.handle
        if handle is not None:
            handle.cancel(running=True)

    def _set_paused(self, flow: Flow, paused: bool) -> None:
        if flow.paused == paused:
            return
        flow.paused = paused
        _log.info("%s %s", flow.name, "is paused" if paused else "goes on")
        if paused:
            self._dispatcher.withdraw(flow.lane, lambda job: job.flow is flow)  # it still is the flow's job
            return
        if flow.job is not None and flow.job.handle is None:
            self._timers.drop(("retry", flow))
            self._dispatcher.submit(flow.lane, flow.job)
        if flow.schedule is not None and flow.handled is not None and ("fire", flow) not in self._timers:
            # What passed meanwhile was missed like anything else.
            following = flow.schedule.next_after(flow.handled)
            if following is not None:
                self._timers.set(("fire", flow), following)

    # --- runs, on the dispatcher's threads --------------------------------------------------------------------------

    def _perform(self, job: Job) -> None:
        flow, served = job.flow, job.flow.served
        with self._lock:
            if flow.job is not job and flow.is_source:
                return
            flow.job = job
        try:
            if job.moment is not None and not job.batch.attempts:
                job.batch = attrs.evolve(job.batch, batch=batch_of(job.moment, moment_in(flow.stream.offset())))
            begun = flow.stream.begin(job.batch, served.lock)
        except Conflict:
            return  # another service leads
        except OdibiError as error:
            self._put_off(job, job.batch, Attempt(Verdict.PUT_OFF, served.scrub(str(error))))
            return

        def started(handle: Any) -> None:
            job.handle = handle
            _log.info("%s: run %s for %s", flow.name, handle.run_id, job.batch.batch.id)
            if self._stop.is_set() or job.unwanted:
                handle.cancel(running=job.unwanted)

        if job.moment is not None and not job.batch.attempts and not job.batch.error:  # not one that was put off
            self.counts.began(self._clock() - job.moment.timestamp())
        since = time.monotonic()
        try:
            found = attempt(flow.stream, begun, flow.pipeline, self._observers(), started, served.lock)
        except Exception as error:
            _log.exception("%s: it could not be tried", flow.name)
            found = Attempt(Verdict.PUT_OFF, f"{type(error).__name__}: {error}")
        found = attrs.evolve(found, error=served.scrub(found.error))
        took = time.monotonic() - since if found.run_id else None
        self.counts.settled(served.name, flow.stream.pipeline, flow.name, found.verdict.value, took)
        job.handle = None
        try:
            self._settle(job, begun, found)
        except Conflict:
            pass  # another service leads, and goes on from what is in the store
        except OdibiError as error:
            # What is in the store says that an attempt was begun, which is true.
            said = served.scrub(str(error))
            _log.error("%s: %s", flow.name, said)
            self._put_off(job, begun, Attempt(Verdict.PUT_OFF, said))

    def _settle(self, job: Job, begun: InFlight, found: Attempt) -> None:
        flow = job.flow
        if found.verdict in (Verdict.CONSUMED, Verdict.FAILED):
            flow.put_off = 0
        if found.verdict is Verdict.CONSUMED:
            self._done(job)
            self._look_after(flow.served)
        elif found.verdict is Verdict.CANCELLED and job.unwanted:
            self._done(job)
        elif found.verdict is Verdict.CANCELLED:
            # Nobody's fault: it goes on where it was, when a service next serves the project.
            flow.stream.note(attrs.evolve(begun, attempts=job.batch.attempts), flow.served.lock)
            if not self._stop.is_set():
                self._put_off(job, attrs.evolve(begun, attempts=job.batch.attempts), found)
        elif found.verdict is Verdict.PUT_OFF:
            again = attrs.evolve(begun, attempts=job.batch.attempts, error=found.error)
            flow.stream.note(again, flow.served.lock)
            self._put_off(job, again, found)
        else:
            failed = attrs.evolve(begun, failures=begun.failures + 1, error=found.error)
            if failed.failures >= flow.max_attempts:
                self._give_up(flow, failed, found)
                self._done(job)
            else:
                flow.stream.note(failed, flow.served.lock)
                self._again(job, failed, flow.delay(failed.failures), found.error)

    def _put_off(self, job: Job, batch: InFlight, found: Attempt) -> None:
        job.flow.put_off += 1
        self._again(job, batch, job.flow.pause(job.flow.put_off), found.error)

    def _again(self, job: Job, batch: InFlight, delay: float, error: str) -> None:
        flow = job.flow
        with self._lock:
            if flow.job is not job or self._stop.is_set():
                return  # a newer moment stands for it
            flow.job = Job(flow, attrs.evolve(batch, error=error), job.moment)
            _log.warning("%s: %s; trying again in %g s", flow.name, error, delay)
            self._timers.set(("retry", flow), moment_of(self._clock() + delay))
        self._wake.set()

    def _give_up(self, flow: Flow, batch: InFlight, found: Attempt) -> None:
        lock = flow.served.lock
        if flow.schedule is not None or flow.trigger is None:
            _log.error("%s: %s failed: %s", flow.name, batch.batch.id, found.error)
            flow.stream.pass_over(batch.batch, lock)
            self.counts.gave_up(flow.served.name, flow.name)
            return
        _log.error("%s: giving up batch %s after %s: %s", flow.name, batch.batch.id, _times(batch.attempts),
                   found.error)  # fmt: skip
        letter = DeadLetter(batch.batch, found.error, batch.attempts, self._clock(), found.run_id)
        flow.stream.bury(letter, lock)
        self.counts.gave_up(flow.served.name, flow.name)

    def _done(self, job: Job) -> None:
        """No batch of the stream is in flight any more, unless a newer moment waits."""
        flow = job.flow
        self._active = time.monotonic()
        if flow.takes_events:
            flow.served.consumed.add(flow.stream.trigger)
        with self._lock:
            if flow.job is job and flow.behind:
                self._submit(flow.behind.pop(0))
            elif flow.job is job:
                flow.job = None
                flow.settled.set()
                schedule = flow.schedule
                if schedule is not None and counts_from_end(schedule):
                    following = schedule.next_after(moment_of(self._clock()))
                    if following is not None:
                        self._timers.set(("fire", flow), following)
                        self._wake.set()
                self._note_skipped(job)

    def _note_skipped(self, job: Job) -> None:
        """Moments that were passed over while this ran are not to be made up for by a later service."""
        flow = job.flow
        skipped, flow.skipped = flow.skipped, None
        if skipped is None:
            return  # as ever with a source, whose offsets are no moments
        moment = job.moment or moment_in(job.batch.batch.offset)
        if moment is not None and skipped > moment:
            flow.stream.store.move({flow.name: skipped.isoformat()}, lock=flow.served.lock)


def _times(attempts: int) -> str:
    return f"{attempts} attempt{'' if attempts == 1 else 's'}"


def counts_from_end(schedule: Any) -> bool:
    """Whether a schedule's next moment counts from the end of the last run: a fixed delay, not a fixed rate."""
    return bool(getattr(schedule, "from_end", False))
