"""What ``odibi run`` does."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import closing, contextmanager
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import click

from odibi.api import LoadedProject
from odibi.cli.display import JsonLines, Lines, Output, seconds
from odibi.cli.main import INTERRUPTED
from odibi.cli.plan import print_plans
from odibi.cli.progress import Progress
from odibi.cli.project import errors_as_json, load, plural, using
from odibi.cli.report import Places, folders, rows_of
from odibi.cli.resuming import choices
from odibi.cli.unbatched import warnings_of
from odibi.contracts.observer import NOTICE
from odibi.draw import visible
from odibi.errors import OdibiError
from odibi.log import LEVELS, EventLogger, logging_to_stderr
from odibi.model import Mode, OnError
from odibi.run.continuous import thin_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

    from odibi.api import Pipeline
    from odibi.cli.live import LiveView
    from odibi.cli.report import NodeRow
    from odibi.cli.resuming import Choice
    from odibi.contracts.observer import Observer
    from odibi.model import Continuous
    from odibi.run.handle import RunHandle
    from odibi.run.result import RunResult

_QUICK = 1.0  # seconds in which most runs have started; then they take the signal themselves
_POLL = 0.1  # seconds between looks for a signal; the end of a run is noticed at once


class Choices(NamedTuple):
    """What the command line says; the fields are the options of ``odibi run``."""

    pipelines: Sequence[str]
    select: Sequence[str]
    targets: Sequence[str]
    env: str | None
    engine: str | None
    workers: int | None
    executor: str | None
    force: bool
    no_cache: bool
    resume: str | None
    on_error: str | None
    mode: str | None
    max_iterations: int | None
    sleep_seconds: float | None
    checkpoint_interval: int | None
    dry_run: bool
    as_json: bool
    log_level: str | None


def run_project(project: str, given: Choices) -> int:
    """Run the pipelines of a project; returns the exit code.

    Args:
        project: the file, or its folder.
        given: the command line.

    Raises:
        OdibiError: nothing could be run; ``--json`` has told so already.
    """
    with errors_as_json(given.as_json):
        loaded = _overridden(load(project, given.env, given.engine), given.on_error)
        with using(loaded):
            chosen = choices(
                loaded,
                given.pipelines,
                given.select,
                given.targets,
                force=given.force,
                no_cache=given.no_cache,
                resume=given.resume,
            )
            output = Output(loaded.redactor)
            if given.dry_run:
                print_plans(chosen, output, as_json=given.as_json)
                return 0
            for warning in warnings_of(chosen):
                click.echo(loaded.redactor.redact(f"warning: {warning}"), err=True)
            level, observed = _levels(loaded, given.log_level)
            logging = loaded.project.logging
            structured = given.as_json or logging.structured
            with logging_to_stderr(level, loaded.redactor, structured=structured, metadata=logging.metadata):
                view = _view(output, given.as_json)
                running = _Running(loaded, view, given, level if observed else None)
                again = [choice for choice in chosen if _mode(choice.pipeline, given) is Mode.STREAM]
                once = [choice for choice in chosen if choice not in again]
                code = running.all(once) if once else 0
                return code if code or not again else running.again_and_again(again)


def _overridden(loaded: LoadedProject, on_error: str | None) -> LoadedProject:
    """The project with what the command line says put on it."""
    if on_error is None:
        return loaded
    pipelines = [attrs.evolve(pipeline, on_error=OnError(on_error)) for pipeline in loaded.project.pipelines]
    project = attrs.evolve(loaded.project, pipelines=tuple(pipelines))
    return LoadedProject(project, host=loaded.host, redactor=loaded.redactor)


def _mode(pipeline: Pipeline, given: Choices) -> Mode:
    return Mode(given.mode) if given.mode is not None else pipeline.model.mode


def _continuous(pipeline: Pipeline, given: Choices) -> Continuous:
    """How a pipeline runs again and again: as the command line says, and where it does not, the project."""
    said = {name: getattr(given, name) for name in ("max_iterations", "sleep_seconds", "checkpoint_interval")}
    return attrs.evolve(pipeline.model.continuous, **{name: value for name, value in said.items() if value is not None})


def _levels(loaded: LoadedProject, given: str | None) -> tuple[int, bool]:
    """What to log, and whether to log events: the display shows them already, so only where somebody asked."""
    wanted = LEVELS.get((given or loaded.project.logging.level).lower(), LEVELS["info"])
    if given is not None or loaded.project.logging.structured:
        return wanted, True
    return max(wanted, NOTICE), False


def _view(output: Output, as_json: bool) -> Lines | JsonLines | LiveView:
    if as_json:
        return JsonLines(output)
    if sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb":
        from rich.console import Console

        from odibi.cli.live import LiveView

        return LiveView(Console(highlight=False), output.redactor)
    return Lines(output)


class _Running:
    """The runs of one command, one pipeline after another.

    Args:
        loaded: the project.
        view: shows them.
        given: the command line.
        log_level: at which events are logged; ``None`` for not at all.
    """

    def __init__(
        self, loaded: LoadedProject, view: Lines | JsonLines | LiveView, given: Choices, log_level: int | None
    ) -> None:
        self._loaded = loaded
        self._view = view
        self._given = given
        self._where: dict[str, Any] = {"workers": given.workers, "executor": given.executor}
        self._log_level = log_level
        self._results: list[RunResult] = []
        self._rows: list[NodeRow] = []
        self._resumed: dict[str, str] = {}

    def all(self, chosen: Sequence[Choice]) -> int:
        """Run them; returns the exit code."""
        begin = monotonic()
        with closing(Places(self._loaded)) as places:
            with _Signals() as signals:
                for choice in chosen:
                    self._one(choice, places, signals)
                    if signals.count or not self._results[-1].ok:
                        break
            where = folders(self._rows, [choice.pipeline for choice in chosen], places)
            ok = len(self._results) == len(chosen) and all(result.ok for result in self._results)
            stopped = bool(signals.count) or any(result.state == "cancelled" for result in self._results)
            left = [choice.pipeline.name for choice in chosen[len(self._results) :]]
            word = "succeeded" if ok else "interrupted" if stopped else "failed"
            last = self._last(word, monotonic() - begin, left, where)
            self._view.finish(self._results, self._rows, last, self._resumed)
        return 0 if ok else INTERRUPTED if stopped else 1

    def again_and_again(self, chosen: Sequence[Choice]) -> int:
        """Run them in turns, until each has had its runs or a signal comes; returns the exit code.

        One that fails has its turn again; the code is that of the last round.
        """
        how = {choice.pipeline.name: _continuous(choice.pipeline, self._given) for choice in chosen}
        number, code = 0, 0
        with _Signals() as signals:
            while not signals.count:
                number += 1
                left = [each for each in chosen if number <= (how[each.pipeline.name].max_iterations or number)]
                if not left:
                    return code
                self._results.clear()
                self._rows.clear()
                code = self.all(left)
                if code == INTERRUPTED:
                    return code
                self._thin_out(number, how)
                rest = min(how[each.pipeline.name].sleep_seconds for each in left)
                if any(number < (how[each.pipeline.name].max_iterations or number + 1) for each in left):
                    _sleep(rest, signals)
        return INTERRUPTED

    def _thin_out(self, number: int, how: Mapping[str, Continuous]) -> None:
        if self._loaded.project.checkpoints is None or all(each.checkpoint_interval == 1 for each in how.values()):
            return
        from odibi.cli.history import opened_store

        with opened_store(self._loaded) as store:
            for result in self._results:
                thin_out(store, result, number, how[result.pipeline])

    def _one(self, choice: Choice, places: Places, signals: _Signals) -> None:
        pipeline = choice.pipeline
        progress = Progress(pipeline.model.nodes)
        observers: list[Observer] = [progress, self._view]
        if self._log_level is not None:
            observers.append(EventLogger(self._log_level, _node_levels(pipeline)))
        self._view.begin(pipeline, progress, partial(self._resumed_by, pipeline))
        try:
            with signals.while_starting():
                handle = pipeline.start(
                    select=choice.select, targets=choice.targets, observers=observers, **self._where, **choice.how
                )
            result = self._wait(handle, signals)
        finally:
            self._view.close()
        self._results.append(result)
        self._rows += rows_of(pipeline, result, progress.failed_in, places)
        self._resumed_by(pipeline, result.run_id)

    def _resumed_by(self, pipeline: Pipeline, run_id: str) -> str:
        """The id of the run that a run goes on with, as the journal has it; empty if none or not known."""
        if run_id not in self._resumed and self._loaded.project.checkpoints is not None:
            from odibi.cli.history import opened_store, resumed_by

            try:
                with opened_store(self._loaded) as store:
                    newest = next(iter(store.runs(pipeline.name, limit=1)), None)
            except OdibiError:
                newest = None  # it is said for people, and must not fail a run
            if newest is not None and newest.run_id == run_id and (resumed := resumed_by(newest)):
                self._resumed[run_id] = resumed
        return self._resumed.get(run_id, "")

    def _wait(self, handle: RunHandle, signals: _Signals) -> RunResult:
        """Wait for the end of a run in the main thread, where signals arrive."""
        heard = 0
        while not handle.done():
            if signals.count > heard:
                heard = signals.count
                self._stop(handle, heard)
            try:
                handle.result(timeout=_POLL)
            except TimeoutError:
                continue
        return handle.result()

    def _stop(self, handle: RunHandle, times: int) -> None:
        if times == 1:
            handle.cancel()
            self._view.note("finishing what runs; press again to stop")
        elif times == 2:
            handle.cancel(running=True)
            self._view.note("stopping; press again to leave at once")
        else:
            # What is written is written whole or not at all, so nothing is lost but the nodes that ran.
            self._view.close()
            os._exit(INTERRUPTED)

    def _last(self, word: str, duration: float, left: Sequence[str], where: dict[str, int]) -> str:
        good = sum(row.state in ("succeeded", "reused", "restored") for row in self._rows)
        text = f"{word}: {good:,} of {plural(len(self._rows), 'node')} in {seconds(duration)}"
        if left:
            text += f"; not run: {', '.join(map(visible, left))}"
        if where:
            text += f"; written to {', '.join(f'{visible(root)} ({nodes})' for root, nodes in where.items())}"
        return text


def _node_levels(pipeline: Pipeline) -> dict[str, int]:
    levels = {node.name: LEVELS.get((node.log_level or "").lower()) for node in pipeline.model.nodes}
    return {name: level for name, level in levels.items() if level is not None}


def _sleep(seconds: float, signals: _Signals) -> None:
    """Wait until the time has passed, or a signal comes."""
    until = monotonic() + seconds
    while not signals.count and (left := until - monotonic()) > 0:
        sleep(min(left, _POLL))


class _Signals:
    """Counts Ctrl-C and SIGTERM instead of letting them end the process."""

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[int, Any] = {}
        self._starting: float | None = None

    @contextmanager
    def while_starting(self) -> Iterator[None]:
        """A ``with`` block that a signal ends if it takes long: it may wait for another run, or for a slow storage."""
        self._starting = monotonic()
        try:
            yield
        finally:
            self._starting = None

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self._starting is not None and (self.count > 1 or monotonic() - self._starting > _QUICK):
            raise KeyboardInterrupt
