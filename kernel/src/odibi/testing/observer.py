"""The conformance suite for observers: every sentence of :class:`odibi.contracts.Observer`, as tests.

A plugin that offers an observer derives from it::

    from odibi.testing.observer import ObserverSuite


    class MyReportSuite(ObserverSuite):
        component = MyReport

        def options(self, place):
            return {"folder": str(place)}

The observer is told of runs in which everything happens: nodes that fail, are retried, skipped, cancelled or reused,
runs that are aborted, names and messages that nobody expects. It has to take it all, change nothing, and tell
nothing that the kernel has masked. What it told is looked for in the files under ``place``; an observer that tells it
elsewhere says so in :meth:`~ObserverSuite.told`.

How the contract is read where it is silent: an event may be of a class that the observer does not know, and it passes
over that; after :meth:`close` it takes further events or refuses them with an exception, and does not hang; one
observer may be told of several runs, one after another.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import signal
import sys
import threading
import time
import types
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odibi.contracts.engine import Column
from odibi.contracts.executor import Outcome, State
from odibi.errors import NodeError, TransformError
from odibi.events import (
    Event,
    NodeEvent,
    NodeFinished,
    NodeProgressed,
    NodeRetried,
    NodeWarned,
    PluginFailed,
    RowsSampled,
    StepFinished,
)
from odibi.redact import Redactor
from odibi.testing.component import PLANTED, TOGETHER, ComponentSuite
from odibi.testing.observer_histories import EVERYTHING, Fate, Run, raised, runs, snapshot
from odibi.testing.secret import all_logged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

KINDS = (
    "RunStarted",
    "NodeStarted",
    "NodeRetried",
    "NodeWarned",
    "NodeProgressed",
    "StepFinished",
    "RowsSampled",
    "NodeFinished",
    "PluginFailed",
)

PAYLOADS: dict[str, str] = {
    "unicode": "größe-ключ-密钥-\U0001f4c8-e\u0301-\u202egnp.exe",
    "lines": "one\ntwo\r\nthree\u2028four\x0b\x0c",
    "controls": "\x1b[31mred\x1b[0m\x07\x00\x08",
    "lone surrogate": "file-\udcff.csv",
    "markup": "</script><b onclick='x'>&amp;{{ x }}{% x %}${x}[bold]",
    "signs": "%s %d %(name)s {} {0} {name} {",
    "long": "x" * 300_000,
    "empty": "",
}
"""Kind to a text that a name, a message or a detail may be."""

RUNS = 25
"""After which an observer that forgets nothing has grown."""


ODD_LEVEL = 37
"""A level of logging that nobody sets."""


@attrs.define
class SomethingNew(Event):
    """An event of a later kernel."""

    what: str


@attrs.define
class SomethingNewOfANode(NodeEvent):
    """Another one."""

    what: object


@attrs.define
class LaterWarning(NodeWarned):
    """One that we know, and of which a later kernel tells more."""

    code: int = 7


class ObserverSuite(ComponentSuite):
    """Inherit it, and name the observer; see the module's documentation."""

    family: ClassVar[str] = "observer"

    prints: ClassVar[bool] = False
    """Whether it writes to standard output, which is for the answers of commands; say so if that is its purpose."""

    tells: ClassVar[bool] = True
    """Whether :meth:`told` finds what it tells; say so if it goes where the suite cannot look."""

    remembers: ClassVar[int] = 3
    """How many runs it may keep in memory, with their events."""

    # --- what a subclass may say ------------------------------------------------------------------------------------

    def told(self, place: Path) -> str:
        """All that observers of ``place`` have told so far, as text; the files there if nothing else is said."""
        files = [file for file in sorted(place.rglob("*")) if file.is_file()]
        return "\n".join(file.read_bytes().decode("utf-8", "backslashreplace") for file in files)

    # --- events -----------------------------------------------------------------------------------------------------

    def test_it_tells_of_a_run(self, place: Path) -> None:
        """It leaves something that :meth:`told` finds: one that says nothing of what it is told observes nothing."""
        if not self.tells:
            pytest.skip("declared: what it tells cannot be found from here")
        made = self.make(place)
        tell(made, EVERYTHING.events())
        made.close()
        assert self.told(place).strip(), "after a run in which everything happened, it has told nothing"

    def test_it_takes_a_run_in_which_everything_happens(self, subject: Any) -> None:
        """Without raising: a run goes on without an observer that does."""
        tell(subject, EVERYTHING.events())
        subject.close()

    @pytest.mark.parametrize("fate", Fate)
    def test_it_takes_whatever_becomes_of_a_node(self, subject: Any, fate: Fate) -> None:
        """Nodes that never started, took no time, have no rows, or failed with an error of anybody's."""
        tell(subject, Run([("node", fate)]).events())
        tell(subject, Run([("first", Fate.SUCCEEDED), ("node", fate)], seed=1).events())
        subject.close()

    def test_it_takes_a_run_without_nodes(self, subject: Any) -> None:
        """A run begins, and is over."""
        tell(subject, Run([]).events())
        subject.close()

    def test_it_changes_no_event(self, subject: Any) -> None:
        """Nor anything that hangs on one: others are told of the same objects, and the result of the run holds them."""
        events = EVERYTHING.events()
        before = [snapshot(event) for event in events]
        tell(subject, events)
        subject.close()
        for event, was in zip(events, before, strict=True):
            assert snapshot(event) == was, f"it changed {type(event).__name__}"

    def test_it_takes_what_runs_may_tell(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Runs of any shape, in any order that can be, whole or aborted; and it changes none of their events."""

        @settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
        @given(st.lists(runs(), min_size=1, max_size=3))
        def law(several: list[Run]) -> None:
            made = self.make(tmp_path_factory.mktemp("place"))
            try:
                for run in several:
                    events = run.events()
                    before = [snapshot(event) for event in events]
                    tell(made, events)
                    assert [snapshot(event) for event in events] == before
            finally:
                made.close()

        law()

    @pytest.mark.parametrize("event", [SomethingNew, SomethingNewOfANode, LaterWarning])
    def test_it_passes_over_events_that_it_does_not_know(self, subject: Any, event: type[Event]) -> None:
        """A later kernel tells more than today's; so does one event of more than today's."""
        extra: list[Event] = [
            SomethingNew("r", 1, 1.0, "x"),
            SomethingNewOfANode("r", 1, 1.0, "node", object()),
            LaterWarning("r", 1, 1.0, "node", "careful"),
        ]
        extra = [attrs.evolve(each, run_id=EVERYTHING.run_id) for each in extra if type(each) is event]
        tell(subject, attrs.evolve(EVERYTHING, extra=extra).events())
        subject.close()

    # --- what is in them --------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", PAYLOADS)
    def test_it_takes_any_text(self, subject: Any, kind: str) -> None:
        """As a message, as a detail and in an error; the names of nodes and of pipelines are any text too."""
        text = PAYLOADS[kind]
        names = [(f"{text[:2000]}{at}", fate) for at, fate in enumerate(Fate)]
        events = Run(names, extra=_extra(text, names[0][0])).events()
        for event in events:
            if hasattr(event, "pipeline"):
                event.pipeline = text[:2000]
        tell(subject, events)
        subject.close()

    def test_it_takes_large_details(self, subject: Any) -> None:
        """Many keys, deep ones, and values of any kind."""
        deep: Any = "bottom"
        for _ in range(200):
            deep = {"in": [deep]}
        odd: dict[str, Any] = {
            "bytes": b"\xff\x00",
            "none": None,
            "set": {1, 2},
            "nan": float("nan"),
            "inf": float("-inf"),
        }
        odd |= {"object": object(), "type": int, "huge": 10**400, "path": os.curdir}
        details = [{f"key {at}": at for at in range(5_000)}, {"deep": deep}, odd, types.MappingProxyType({"x": 1})]
        extra = [StepFinished(EVERYTHING.run_id, 1, 1.0, "node", "validate", 0, 0.0, 0, detail) for detail in details]
        tell(subject, attrs.evolve(EVERYTHING, extra=extra).events())
        subject.close()

    @pytest.mark.parametrize("shape", ["circle", "chain", "group", "no words", "notes", "not an Exception"])
    def test_it_takes_any_error(self, subject: Any, shape: str) -> None:
        """Errors that cause each other, long chains of causes, groups, and those without words."""
        extra: list[Event] = []
        for where, error in (("node", _error(shape)), ("other", _error(shape))):
            extra.append(NodeRetried(EVERYTHING.run_id, 1, 1.0, where, 1, 0.1, error))
            outcome = Outcome(where, State.FAILED, error=error, started=1, finished=2)
            extra.append(NodeFinished(EVERYTHING.run_id, 1, 1.0, where, outcome))
            extra.append(PluginFailed(EVERYTHING.run_id, 1, 1.0, "plugin 1.0", "handle", error, cut_off=False))
        before = [snapshot(event) for event in extra]
        tell(subject, attrs.evolve(EVERYTHING, extra=extra).events())
        subject.close()
        assert [snapshot(event) for event in extra] == before

    def test_what_was_masked_stays_masked(self, place: Path, subject: Any, capfd: pytest.CaptureFixture[str]) -> None:
        """It tells what events say, and looks for nothing behind it: not in the frames of a traceback."""
        redactor = Redactor()
        redactor.register(PLANTED)
        error = _with_a_secret_in_its_frames()
        redactor.scrub_exception(error)
        name = EVERYTHING.run_id
        extra: list[Event] = [
            NodeRetried(name, 1, 1.0, "node", 1, 0.1, error),
            NodeFinished(name, 1, 1.0, "node", Outcome("node", State.FAILED, error=error, started=1, finished=2)),
            PluginFailed(name, 1, 1.0, "plugin", "handle", error, cut_off=True),
        ]
        with all_logged() as logged:
            tell(subject, attrs.evolve(EVERYTHING, extra=extra).events())
            subject.close()
        printed = capfd.readouterr()
        for what, text in {
            "what it told": self.told(place),
            "a log": logged(),
            "standard output": printed.out,
            "standard error": printed.err,
        }.items():
            assert PLANTED not in text, f"a secret that was masked shows in {what}"

    def test_it_tells_no_secret(self, place: Path, subject: Any, capfd: pytest.CaptureFixture[str]) -> None:
        """What comes from errors, details, warnings and rows is scrubbed by the facts of the run before it is told."""
        extra = [attrs.evolve(each, run_id=EVERYTHING.run_id) for each in _extra(f"a {PLANTED} b", "node")]
        with all_logged() as logged:
            tell(subject, attrs.evolve(EVERYTHING, extra=extra, secrets=(PLANTED,)).events())
            subject.close()
        printed = capfd.readouterr()
        told = {"what it told": self.told(place), "a log": logged(), "what it printed": printed.out + printed.err}
        for what, text in told.items():
            assert PLANTED not in text, f"a secret shows in {what}"

    # --- the order of things ----------------------------------------------------------------------------------------

    def test_it_takes_runs_one_after_another(self, subject: Any) -> None:
        """Also two of one pipeline with the same nodes."""
        for _ in range(3):
            tell(subject, Run(EVERYTHING.nodes).events())
        subject.close()

    @pytest.mark.parametrize("told_to", [1, 2, 3, 7, 20])
    def test_it_takes_a_run_that_is_aborted(self, subject: Any, told_to: int) -> None:
        """It is closed without having been told that the run is over, or told of the next run."""
        tell(subject, Run(EVERYTHING.nodes, told_to=told_to).events())
        tell(subject, EVERYTHING.events())
        tell(subject, Run(EVERYTHING.nodes, told_to=told_to).events())
        subject.close()
        subject.close()

    def test_it_can_be_closed_once_it_was_told(self, subject: Any) -> None:
        """As often as anybody likes."""
        tell(subject, EVERYTHING.events())
        for _ in range(3):
            subject.close()

    def test_it_does_not_hang_when_it_is_told_after_it_was_closed(self, subject: Any) -> None:
        """It takes the event, or raises an ordinary exception; it can then be closed again."""
        tell(subject, EVERYTHING.events())
        subject.close()

        def more() -> None:
            for event in Run(EVERYTHING.nodes).events():
                try:
                    subject.handle(event)
                except Exception as error:
                    logging.getLogger("odibi.testing").debug("it refuses the event: %r", error)
            subject.close()

        _elsewhere(more)

    def test_it_may_be_told_on_another_thread(self, place: Path) -> None:
        """It is made on one thread, and told on another, which also closes it."""
        made = self.make(place)
        try:
            _elsewhere(lambda: tell(made, EVERYTHING.events()))
            _elsewhere(lambda: tell(made, Run(EVERYTHING.nodes).events()))
            _elsewhere(made.close)
        finally:
            made.close()

    def test_two_do_not_mix_their_runs(self, place: Path, tmp_path: Path) -> None:
        """Each tells of the runs of which it was told."""
        other = tmp_path / "other"
        other.mkdir()
        mine, theirs = self.make(place), self.make(other)
        events = [Run([(f"{name}-node", Fate.WARNED)]).events() for name in ("mine", "theirs")]
        for one, another in zip(*events, strict=True):
            mine.handle(one)
            theirs.handle(another)
        mine.close()
        theirs.close()
        if self.options(place) != self.options(other):
            assert "theirs-node" not in self.told(place)
            assert "mine-node" not in self.told(other)

    # --- what it leaves alone ---------------------------------------------------------------------------------------

    def test_it_prints_nothing(self, subject: Any, capfd: pytest.CaptureFixture[str]) -> None:
        """Unless it declares that it does."""
        if self.prints:
            pytest.skip("declared: it prints")
        tell(subject, EVERYTHING.events())
        subject.close()
        assert capfd.readouterr().out == ""

    def test_it_leaves_the_process_as_it_was(self, place: Path) -> None:
        """No handler of signals or of logs, no stream, no folder and no variable is another one afterwards."""
        root = logging.getLogger()
        level = root.level
        root.setLevel(ODD_LEVEL)  # which no earlier test can have left
        try:
            before = _state_of_the_process()
            made = self.make(place)
            tell(made, Run(EVERYTHING.nodes).events())
            during = _state_of_the_process()
            made.close()
            assert during == before
            assert _state_of_the_process() == before
        finally:
            root.setLevel(level)

    def test_it_leaves_no_thread_behind(self, place: Path) -> None:
        """What it started is over when it is closed."""
        before = set(threading.enumerate())
        made = self.make(place)
        tell(made, EVERYTHING.events())
        made.close()
        until = time.monotonic() + 10
        while (left := set(threading.enumerate()) - before) and time.monotonic() < until:
            for thread in left:
                thread.join(0.05)
        assert not left, f"threads are left: {', '.join(thread.name for thread in left)}"

    def test_it_forgets_runs(self, subject: Any) -> None:
        """Events, and errors with all that their frames hold, can go when their run is over and others have been."""
        held = self._told_and_let_go(subject)
        for _ in range(self.remembers + 1):
            tell(subject, Run(EVERYTHING.nodes).events())
        gc.collect()
        alive = {name for name, reference in held if reference() is not None}
        assert not alive, f"after {self.remembers + 1} more runs it still holds: {', '.join(sorted(alive))}"

    def _told_and_let_go(self, subject: Any) -> list[tuple[str, weakref.ref[Any]]]:
        events = Run(EVERYTHING.nodes).events()
        tell(subject, events)
        held: list[tuple[str, weakref.ref[Any]]] = []
        for event in events:
            held.append((type(event).__name__, weakref.ref(event)))
            error = getattr(event, "error", None) or getattr(getattr(event, "outcome", None), "error", None)
            if error is not None and type(error).__weakrefoffset__:  # the interpreter's own have none
                held.append((f"an error, {type(error).__name__}", weakref.ref(error)))
        return held

    def test_it_does_not_grow_with_the_number_of_runs(self, subject: Any) -> None:
        """What it holds after many runs is no more than after a few."""
        for _ in range(self.remembers + 2):
            tell(subject, Run(EVERYTHING.nodes).events())
        few = _size(subject)
        for _ in range(RUNS):
            tell(subject, Run(EVERYTHING.nodes).events())
        many = _size(subject)
        assert many < few + RUNS, f"it held {few} objects, and {many} after {RUNS} more runs"
        subject.close()


def tell(observer: Any, events: Sequence[Event]) -> None:
    """Hand an observer these events, and say which it did not take.

    Raises:
        AssertionError: it raised.
    """
    for event in events:
        try:
            observer.handle(event)
        except BaseException as error:
            raise AssertionError(f"it raised {type(error).__name__} for {type(event).__name__}") from error


def _elsewhere(work: Callable[[], object]) -> None:
    """Do it on a thread of its own."""
    raised_there: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised_there.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TOGETHER)
    assert not thread.is_alive(), "it hangs"
    if raised_there:
        raise raised_there[0]


def _extra(text: str, node: str) -> list[Event]:
    """Events of a run that hold ``text`` wherever there is text."""
    error = raised(NodeError(text, where=text, remedy=text), ValueError(text))
    error.add_note(text)
    at = ("r", 1, 1.0)
    return [
        NodeWarned(*at, node, text),
        NodeProgressed(*at, node, 1, 2, text, text),
        StepFinished(*at, node, "sql", 0, 0.1, 3, {"sql": text, text: [text]}),
        RowsSampled(*at, node, "result", [{text: text}], (Column(text, "string"),), 1),
        NodeRetried(*at, node, 1, 0.5, error),
        NodeFinished(*at, node, Outcome(node, State.FAILED, error=error, worker=text, reason=text, warnings=(text,))),
        PluginFailed(*at, text, "handle", error, cut_off=False),
    ]


def _error(shape: str) -> BaseException:
    match shape:
        case "circle":
            first, second = raised(ValueError("first")), raised(ValueError("second"))
            first.__cause__, second.__cause__ = second, first
            return first
        case "chain":
            error: BaseException = ValueError("at the bottom")
            for at in range(300):
                error = raised(TransformError(f"level {at}"), error)
            return error
        case "group":
            return raised(ExceptionGroup("several", [ValueError("one"), ExceptionGroup("more", [KeyError("two")])]))
        case "notes":
            noted = raised(KeyError("x"))
            noted.add_note("a note")
            return noted
        case "not an Exception":
            return raised(KeyboardInterrupt())
    return AssertionError()


def _with_a_secret_in_its_frames() -> BaseException:
    def connect(password: str) -> None:
        raise ConnectionError(f"cannot log in with {password}")

    failed: NodeError
    try:
        try:
            connect(PLANTED)
        except ConnectionError as error:
            raise NodeError("it failed", where="node") from error
    except NodeError as error:
        failed = error
    return failed


def _state_of_the_process() -> dict[str, object]:
    """What belongs to the application, and not to an observer."""
    root = logging.getLogger()
    return {
        "root logger": (root.level, list(root.handlers), list(root.filters), root.manager.disable),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "streams": (sys.stdout, sys.stderr, sys.stdin),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook, sys.gettrace()),
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109 - what the system says
        "fault handler": faulthandler.is_enabled(),
        "recursion": sys.getrecursionlimit(),
    }


def _size(thing: object) -> int:
    """How many objects hang on one; modules, classes and code are not its own."""
    gc.collect()
    passed_over = (
        types.ModuleType,
        type,
        types.FunctionType,
        types.BuiltinFunctionType,
        types.CodeType,
        logging.Logger,
    )
    seen: set[int] = set()
    todo = [thing]
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, passed_over):
            continue
        seen.add(id(each))
        if isinstance(each, type(thing)):  # what it holds in its class, it holds too
            held = [value for base in type(each).__mro__ if base is not object for value in vars(base).values()]
            todo += [value for value in held if isinstance(value, list | dict | set)]
        todo += gc.get_referents(each)
        if isinstance(each, dict):  # whose keys the collector does not tell if they are all texts
            todo += list(each)
    return len(seen)
