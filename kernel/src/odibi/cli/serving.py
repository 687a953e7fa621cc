"""What ``odibi serve`` does."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from odibi.cli.main import INTERRUPTED
from odibi.cli.project import load
from odibi.errors import OdibiError
from odibi.log import LEVELS, EventLogger, logging_to_stderr, lowest_level
from odibi.redact import Redactor
from odibi.service.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping, Sequence
    from types import FrameType

    from odibi.api import LoadedProject
    from odibi.contracts.observer import Observer

_log = logging.getLogger("odibi.service")

_LOOK = 1.0
"""Seconds between looks at the files of the projects."""


class Wishes(NamedTuple):
    """What the command line says; the fields are the options of ``odibi serve``."""

    projects: Sequence[str]
    env: str | None
    max_runs: int
    drain: float
    idle: float | None
    http: str | None
    no_reload: bool
    log_level: str | None


class _All(Redactor):
    """Takes out the secrets of several projects."""

    def __init__(self, redactors: Sequence[Redactor]) -> None:
        super().__init__()
        self.redactors = list(redactors)

    def redact(self, text: str) -> str:
        """The text without any of them."""
        for each in self.redactors:
            text = each.redact(text)
        return super().redact(text)

    def processor(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The line without any of them."""
        for each in self.redactors:
            event = each.processor(logger, method, event)
        return super().processor(logger, method, event)


class Serving:
    """A service for the command line: with signals, lines on stderr, and projects that are loaded anew.

    Args:
        wishes: what the command line says.
    """

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self._signals = 0
        self._heard = threading.Event()

    def run(self) -> int:
        """Serve until a signal comes; returns the exit code."""
        wishes = self._wishes
        loaded = [load(project, wishes.env) for project in wishes.projects]
        redactor = _All([each.redactor for each in loaded])
        level = LEVELS.get((wishes.log_level or loaded[0].project.logging.level).lower(), logging.INFO)
        structured = any(each.project.logging.structured for each in loaded)
        with ExitStack() as stack:
            stack.enter_context(
                logging_to_stderr(
                    level, redactor, structured=structured, lowest=lowest_level([each.project for each in loaded])
                )
            )
            events = level if wishes.log_level is not None else logging.WARNING

            def observers() -> Sequence[Observer]:
                return [EventLogger(events)]

            service = Service(loaded, max_runs=wishes.max_runs, observers=observers)
            with _handling(self._signal), ExitStack() as until_stopped:
                if wishes.http is not None:
                    from odibi.service.http import ServiceServer

                    token = os.environ.get("ODIBI_HTTP_TOKEN")
                    redactor.register(token or "")
                    server = ServiceServer(service, wishes.http, token or None)
                    until_stopped.callback(server.close)
                    server.start()
                service.start()
                seen = [_versions(each) for each in loaded]
                while not self._heard.wait(_LOOK if wishes.idle is None else min(_LOOK, wishes.idle / 4)):
                    if wishes.idle is not None and service.idle_for >= wishes.idle:
                        _log.info("nothing has been due for %g s", wishes.idle)
                        break
                    if wishes.no_reload:
                        continue
                    for at, each in enumerate(loaded):
                        found = _versions(each)
                        if found != seen[at]:
                            seen[at] = found
                            again = self._again(at, service, redactor)
                            if again is not None:
                                loaded[at], seen[at] = again, _versions(again)
                if self._signals:
                    _log.info("stopping; what runs may finish within %g s", wishes.drain)
                stopper = threading.Thread(target=self._second, args=(service,), daemon=True)
                stopper.start()
                drained = service.stop(wishes.drain)
            for each in loaded:
                each.close()
        return 0 if drained and self._signals < 2 else INTERRUPTED

    def _again(self, at: int, service: Service, redactor: _All) -> LoadedProject | None:
        """Load a project anew and have it served; ``None``, with a word, if that cannot be."""
        given = self._wishes.projects[at]
        try:
            found = load(given, self._wishes.env)
            redactor.redactors.append(found.redactor)
            service.reload(found)
        except OdibiError as error:
            _log.error("%s has changed, and is not taken over: %s", given, error)
            return None
        return found

    def _signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._heard.set()

    def _second(self, service: Service) -> None:
        """Stop what runs when a second signal comes."""
        while self._signals < 2:
            if service.wait(_LOOK / 10):
                return
        service.cancel()


def _versions(loaded: LoadedProject) -> dict[str, tuple[int, int]]:
    """What tells that a file of the project has changed."""
    folder = loaded.project.root
    files = [*loaded.files, *([folder / "transforms.py"] if folder is not None else [])]
    found = {}
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            continue
        found[str(file)] = (stat.st_mtime_ns, stat.st_size)
    return found


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """A ``with`` block in which SIGTERM and SIGINT come to a function."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (int(signal.SIGINT), int(signal.SIGTERM)):
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
