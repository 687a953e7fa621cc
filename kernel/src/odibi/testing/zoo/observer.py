"""Observers with one defect each."""

# ruff: noqa: D102 - what is wrong stands in the class's docstring, and what the methods do in the contract

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi.events import (
    Event,
    NodeEvent,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeWarned,
    PluginFailed,
    RowsSampled,
    RunFinished,
    RunStarted,
    StepFinished,
)
from odibi.testing.observer import ObserverSuite
from odibi.testing.reference.observer import EventList, as_data
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Callable


class EventListSuite(ObserverSuite):
    """The suite on a list of events that is also written to a file."""

    component = EventList
    remembers = 1

    def options(self, place: Path) -> dict[str, Any]:
        return {"runs": 1, "file": str(place / "events.jsonl")}


zoo = Zoo(EventListSuite)


@zoo.defect
class SaysNothing(EventList):
    """It takes whatever it is told, and does nothing with it."""

    def handle(self, event: Event) -> None:
        pass


@zoo.defect
class KnowsAllKinds(EventList):
    """An event of a kind that it does not know is an error."""

    def handle(self, event: Event) -> None:
        known = (
            RunStarted,
            RunFinished,
            NodeStarted,
            NodeRetried,
            NodeWarned,
            NodeFinished,
            StepFinished,
            PluginFailed,
        )
        if not isinstance(event, known):
            raise TypeError(f"unknown event {event!r}")
        super().handle(event)


@zoo.defect
class LooksKindsUp(EventList):
    """Handlers are looked up by the very class, so that an event that says more has none."""

    def handle(self, event: Event) -> None:
        name = type(event).__name__
        handlers: dict[str, Callable[[Event], None]] = dict.fromkeys(["NodeWarned", "SomethingNew"], super().handle)
        if isinstance(event, NodeWarned):
            handlers[name.replace("LaterWarning", "NodeWarned")](event)
            assert name in handlers
        super().handle(event)


@zoo.defect
class StampsEvents(EventList):
    """The time of an event is rounded, in the event."""

    def handle(self, event: Event) -> None:
        event.wall = round(event.wall)
        super().handle(event)


@zoo.defect
class TakesTheDetail(EventList):
    """The SQL is taken out of the detail, so that others do not see it."""

    def handle(self, event: Event) -> None:
        if isinstance(event, StepFinished) and isinstance(event.detail, dict):
            event.detail.pop("sql", None)
        super().handle(event)


@zoo.defect
class FillsCounts(EventList):
    """The counts of a run get a zero for what did not happen, in the event."""

    def handle(self, event: Event) -> None:
        if isinstance(event, RunFinished) and isinstance(event.counts, dict):
            event.counts.setdefault("lost", 0)
        super().handle(event)


@zoo.defect
class AddsNotes(EventList):
    """Errors get a note of where they were seen."""

    def handle(self, event: Event) -> None:
        if isinstance(event, NodeRetried):
            event.error.add_note(f"in {event.node}")
        super().handle(event)


@zoo.defect
class DropsTracebacks(EventList):
    """To save memory, errors lose their traceback."""

    def handle(self, event: Event) -> None:
        if isinstance(event, NodeFinished) and event.outcome.error is not None:
            event.outcome.error.__traceback__ = None
        super().handle(event)


@zoo.defect
class ForgetsNothing(EventList):
    """The events of all runs are kept."""

    def handle(self, event: Event) -> None:
        self.runs += 1
        super().handle(event)


@zoo.defect
@attrs.define(eq=False)
class KeepsErrors(EventList):
    """The errors of all runs are kept, with all that their frames hold."""

    _errors: list[BaseException] = attrs.field(factory=list, init=False, repr=False)

    def handle(self, event: Event) -> None:
        if isinstance(event, NodeFinished) and event.outcome.error is not None:
            self._errors.append(event.outcome.error)
        super().handle(event)


@zoo.defect
@attrs.define(eq=False)
class CountsByRun(EventList):
    """A counter for each run is kept for ever."""

    _counts: dict[str, int] = attrs.field(factory=dict, init=False, repr=False)

    def handle(self, event: Event) -> None:
        self._counts[event.run_id] = self._counts.get(event.run_id, 0) + 1
        super().handle(event)


@zoo.defect
class KeepsThemInItsClass(EventList):
    """The names of all runs are kept in the class, where no instance shows them."""

    seen: ClassVar[list[str]] = []

    def handle(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.seen.append(event.run_id)
        super().handle(event)


@zoo.defect
class Prints(EventList):
    """It prints what happens, amid the answers of commands."""

    def handle(self, event: Event) -> None:
        if isinstance(event, NodeFinished):
            print(event.node.encode("ascii", "replace"), event.outcome.state.value)
        super().handle(event)


@zoo.defect
class ShowsLocals(EventList):
    """Tracebacks are written with the local variables of all frames."""

    def handle(self, event: Event) -> None:
        super().handle(event)
        if isinstance(event, NodeFinished) and event.outcome.error is not None and self.file:
            shown = traceback.TracebackException.from_exception(event.outcome.error, capture_locals=True)
            text = "".join(shown.format()).encode("utf-8", "backslashreplace")
            Path(self.file).with_suffix(".txt").write_bytes(text)


@zoo.defect
class LogsFrames(EventList):
    """The local variables of the frame that raised are logged."""

    def handle(self, event: Event) -> None:
        super().handle(event)
        error = getattr(event, "error", None)
        while error is not None and error.__cause__ is not None and error.__cause__.__cause__ is not error:
            error = error.__cause__
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)] if error is not None else []
        if frames:
            logging.getLogger("observer").debug("locals: %s", {**frames[-1].f_locals})


@zoo.defect
class DividesByDuration(EventList):
    """The rate of a node that took no time is no number."""

    def handle(self, event: Event) -> None:
        if isinstance(event, NodeFinished) and event.outcome.attempts:
            _ = 1 / (event.outcome.finished - event.outcome.started)
        super().handle(event)


@zoo.defect
@attrs.define(eq=False)
class NeedsAStart(EventList):
    """It trips over the outcome of a node that never started."""

    _open: set[str] = attrs.field(factory=set, init=False, repr=False)

    def handle(self, event: Event) -> None:
        if isinstance(event, NodeStarted):
            self._open.add(event.node)
        if isinstance(event, NodeFinished) and not event.outcome.error:
            self._open.remove(event.node)
        super().handle(event)


@zoo.defect
class NeedsOurErrors(EventList):
    """It trips over an error that is not one of ours."""

    def handle(self, event: Event) -> None:
        if isinstance(event, NodeFinished) and event.outcome.error is not None:
            _ = event.outcome.error.remedy  # type: ignore[attr-defined]
        super().handle(event)


@zoo.defect
class NeedsRows(EventList):
    """It trips over a result whose rows the engine does not know."""

    def handle(self, event: Event) -> None:
        if isinstance(event, StepFinished):
            _ = f"{event.rows:,}"
        super().handle(event)


@zoo.defect
@attrs.define(eq=False)
class NeedsAnEnd(EventList):
    """It cannot be closed while a run is not over."""

    _running: str = attrs.field(default="", init=False, repr=False)

    def handle(self, event: Event) -> None:
        self._running = "" if isinstance(event, RunFinished) else event.run_id
        super().handle(event)

    def close(self) -> None:
        if self._running:
            raise RuntimeError("the run is not over")


@zoo.defect
@attrs.define(eq=False)
class NeedsOrderlyRuns(EventList):
    """The next run may not begin before the last is over."""

    _running: str = attrs.field(default="", init=False, repr=False)

    def handle(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            assert not self._running, "two runs at once"
        self._running = "" if isinstance(event, RunFinished) else event.run_id
        super().handle(event)


@zoo.defect
@attrs.define(eq=False)
class OneRun(EventList):
    """It takes one run, and no other."""

    _first: str = attrs.field(default="", init=False, repr=False)

    def handle(self, event: Event) -> None:
        self._first = self._first or event.run_id
        if isinstance(event, RunStarted) and event.run_id != self._first:
            raise RuntimeError("it has seen its run")
        super().handle(event)


@zoo.defect
@attrs.define(eq=False)
class ClosesOnce(EventList):
    """The second close is an error, once it was told of anything."""

    _stream: Any = attrs.field(default=None, init=False, repr=False)
    _closed: bool = attrs.field(default=False, init=False, repr=False)

    def handle(self, event: Event) -> None:
        self._stream = self
        super().handle(event)

    def close(self) -> None:
        if self._stream is not None:
            if self._closed:
                raise ValueError("it is closed already")
            self._closed = True


@zoo.defect
@attrs.define(eq=False)
class HangsOnceClosed(EventList):
    """What it is told after it was closed waits for a reader that has gone."""

    _over: bool = attrs.field(default=False, init=False, repr=False)

    def handle(self, event: Event) -> None:
        if self._over:
            threading.Event().wait()
        super().handle(event)

    def close(self) -> None:
        self._over = True


@zoo.defect
class WritesAscii(EventList):
    """Its file is in ASCII, and a name that is not is an error."""

    def handle(self, event: Event) -> None:
        if isinstance(event, NodeEvent):
            event.node.encode("ascii")
        super().handle(event)


@zoo.defect
class WritesWhatUtf8HasNot(EventList):
    """A name of a file that is no UTF-8 is an error when it is written."""

    def handle(self, event: Event) -> None:
        json.dumps(as_data(event), ensure_ascii=False).encode()
        super().handle(event)


@zoo.defect
class FormatsWithPercent(EventList):
    """Texts are used as formats, so that a percent sign in one is an error."""

    def handle(self, event: Event) -> None:
        if isinstance(event, NodeWarned):
            _ = (event.message + " %s") % (event.node,)
        super().handle(event)


@zoo.defect
class WritesPlainJson(EventList):
    """A detail that JSON has no word for is an error."""

    def handle(self, event: Event) -> None:
        if isinstance(event, StepFinished):
            json.dumps(dict(event.detail))
        super().handle(event)


@zoo.defect
class FollowsCauses(EventList):
    """Causes of errors are followed for as long as there are any."""

    def handle(self, event: Event) -> None:
        if isinstance(event, NodeRetried):
            self._root(event.error)
        super().handle(event)

    def _root(self, error: BaseException) -> BaseException:
        return error if error.__cause__ is None else self._root(error.__cause__)


@zoo.defect
@attrs.define(eq=False)
class BoundToAThread(EventList):
    """Its database may be used by the thread that made it alone."""

    _database: Any = attrs.field(init=False, repr=False)

    @_database.default
    def _open(self) -> Any:
        return sqlite3.connect(":memory:")

    def handle(self, event: Event) -> None:
        self._database.execute("SELECT 1").fetchone()
        super().handle(event)

    def close(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._database.close()


@zoo.defect
class TakesOverLogging(EventList):
    """It sets up the application's logging."""

    def handle(self, event: Event) -> None:
        logging.getLogger().setLevel(logging.INFO)
        super().handle(event)


@zoo.defect
@attrs.define(eq=False)
class TakesSignals(EventList):
    """It handles signals, in place of the application."""

    def __attrs_post_init__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: None)


@zoo.defect
class SetsVariables(EventList):
    """The id of the run is put into the environment."""

    def handle(self, event: Event) -> None:
        os.environ["ODIBI_RUN"] = event.run_id
        super().handle(event)


@zoo.defect
class LeavesAThread(EventList):
    """A thread that sends what it is told goes on when it is closed."""

    def handle(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        super().handle(event)


@zoo.defect
class SharesItsBuffer(EventList):
    """All observers write what any was told."""

    buffer: ClassVar[list[Event]] = []

    def handle(self, event: Event) -> None:
        self.buffer.append(event)
        del self.buffer[:-3]
        for each in list(self.buffer):
            super().handle(each)


@zoo.defect
class EndsTheProcess(EventList):
    """When a run failed it leaves, with an exit code."""

    def handle(self, event: Event) -> None:
        super().handle(event)
        if isinstance(event, RunFinished) and event.state == "failed":
            sys.exit(1)


@zoo.defect
class LimitsMessages(EventList):
    """A message that is longer than its service takes is an error."""

    def handle(self, event: Event) -> None:
        if isinstance(event, NodeWarned) and len(event.message) > 65_536:
            raise ValueError("413 the request is too large")
        super().handle(event)


@zoo.defect
class TellsSecrets(EventList):
    """It writes what events say as they say it."""

    def line(self, event: Event) -> Any:
        return as_data(event)


@zoo.defect
class ScrubsMessagesAlone(EventList):
    """It scrubs errors and warnings, and not the rows that it is shown."""

    def line(self, event: Event) -> Any:
        return as_data(event) if isinstance(event, RowsSampled) else super().line(event)
