"""Specimens on trial: their family's suite is run on each, in a process of its own.

The processes are forked from one that has imported pytest, hypothesis and the suites, as that takes longer than most
trials do. It must have no other threads.

A trial of a defect ends with the first test that refuses, and most tests are quick while few laws take nearly all of a
suite's time. So the tests run by how long each took on the sound specimen of the family, the shortest first.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from odibi.testing.zoo import SOUND, suite_of

if TYPE_CHECKING:
    import pytest

LONGEST = 120.0
"""Seconds after which a suite that does not end counts as one that noticed: it would hang for its author, too."""

_FAILED = re.compile(r"^(?:FAILED|ERROR) \S*::(test_\w+)", re.MULTILINE)
_RAN = re.compile(r"(\d+) passed")
_LENGTHS = "lengths.json"
_PAUSE = 0.02


@attrs.frozen
class Trial:
    """How it went.

    Attributes:
        specimen: as for :func:`odibi.testing.zoo.suite_of`.
        refused: whether a test failed.
        by: the test that did; empty where none failed, or where the suite hung.
        passed: how many tests passed (until one failed).
        seconds: how long it took.
        output: what pytest printed.
    """

    specimen: str
    refused: bool
    by: str
    passed: int
    seconds: float
    output: str


class Broken(Exception):
    """The suite could not be run at all, which says nothing about the specimen."""


def trials(specimens: Iterable[str], jobs: int = 1) -> Iterator[Trial]:
    """Run suites on specimens, up to the first test that refuses; those that are sound are run to the end.

    Sound ones come first, and a family's defects once its own is done, if it is among the specimens.

    Args:
        specimens: as for :func:`odibi.testing.zoo.suite_of`.
        jobs: how many at once.

    Raises:
        Broken: pytest could not run.
    """
    import hypothesis.stateful
    import pytest  # noqa: F401 - imported once, for all who are forked

    assert hypothesis.stateful
    waiting = sorted(specimens, key=lambda specimen: not _is_sound(specimen))
    for specimen in waiting:
        suite_of(specimen)
    awaited = {_family(specimen) for specimen in waiting if _is_sound(specimen)}
    lengths: dict[str, Mapping[str, float]] = {}
    running: dict[int, tuple[str, Path, float]] = {}
    try:
        while waiting or running:
            while len(running) < jobs and (chosen := _next(waiting, awaited)):
                waiting.remove(chosen)
                folder = Path(tempfile.mkdtemp(prefix="odibi-zoo-"))
                pid = _fork(chosen, folder, lengths.get(_family(chosen), {}))
                running[pid] = (chosen, folder, time.monotonic() + LONGEST)
            ended = [(pid, code) for pid in running if (code := _code(pid, running[pid][2])) is not None]
            for pid, code in ended:
                specimen, folder, deadline = running.pop(pid)
                seconds = time.monotonic() - (deadline - LONGEST)
                output = (folder / "output").read_text(encoding="utf-8", errors="replace")
                if _is_sound(specimen):
                    lengths[_family(specimen)] = _read_lengths(folder)
                    awaited.discard(_family(specimen))
                shutil.rmtree(folder, ignore_errors=True)
                yield _judged(specimen, code, seconds, output)
            if not ended:
                time.sleep(_PAUSE)
    finally:
        for pid, (_, folder, _) in running.items():
            _stop(pid)
            shutil.rmtree(folder, ignore_errors=True)


def _family(specimen: str) -> str:
    return specimen.partition(".")[0]


def _is_sound(specimen: str) -> bool:
    return specimen.partition(".")[2] == SOUND


def _next(waiting: Iterable[str], awaited: set[str]) -> str | None:
    """The next specimen that need not wait for the sound one of its family."""
    return next((each for each in waiting if _is_sound(each) or _family(each) not in awaited), None)


def _read_lengths(folder: Path) -> dict[str, float]:
    """What tests of a sound specimen took; nothing if it did not come to an end."""
    try:
        found: dict[str, float] = json.loads((folder / _LENGTHS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _fork(specimen: str, folder: Path, lengths: Mapping[str, float]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        gc.freeze()  # what came with the fork stays to the end, and pytest collects garbage more than once
        os.setsid()  # so that what it starts can be stopped with it
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for standard in (1, 2):
            os.dup2(output, standard)
        os.environ["ODIBI_SPECIMEN"] = specimen
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
        os.environ.pop("PYTEST_ADDOPTS", None)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # plugins of pytest that happen to be here have no say
        os.chdir(folder)
        code = _suite(specimen, folder, _Lengths(lengths))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _suite(specimen: str, folder: Path, lengths: _Lengths) -> int:
    import pytest
    from hypothesis import Phase, settings

    # What fails is not explained, and hardly made smaller: that it fails is all that is asked.
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    settings.register_profile("zoo", phases=phases, deadline=None, print_blob=False)
    settings.load_profile("zoo")
    options = ["-q", "-rfE", "--tb=native", "-p", "no:cacheprovider", f"--rootdir={folder}", "-c", os.devnull]
    options += ["-p", "odibi.testing.pytest_plugin", "-p", "_hypothesis_pytestplugin"]
    options += ["--basetemp", str(folder / "tmp"), *([] if _is_sound(specimen) else ["-x"])]
    code = int(pytest.main([*options, str(Path(__file__).with_name("_specimen.py"))], plugins=[lengths]))
    (folder / _LENGTHS).write_text(json.dumps(lengths.took), encoding="utf-8")
    return code


class _Lengths:
    """Puts the tests of a trial in order, and takes their time.

    Args:
        known: what each took elsewhere, in seconds; one that is not there comes first.
    """

    def __init__(self, known: Mapping[str, float]) -> None:
        self._known = known
        self.took: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The shortest first; as they were where nothing is known."""
        items.sort(key=lambda item: self._known.get(item.nodeid.rpartition("::")[2], 0.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Its set-up and what follows it count, too."""
        name = report.nodeid.rpartition("::")[2]
        self.took[name] = self.took.get(name, 0.0) + report.duration


def _code(pid: int, deadline: float) -> int | None:
    """The exit code of a process; ``None`` while it goes on, and -1 once it had to be stopped."""
    found, status = os.waitpid(pid, os.WNOHANG)
    if found:
        return os.waitstatus_to_exitcode(status)
    if time.monotonic() < deadline:
        return None
    _stop(pid)
    return -1


def _stop(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _judged(specimen: str, code: int, seconds: float, output: str) -> Trial:
    if code == -1:
        return Trial(specimen, True, "", 0, seconds, f"it did not end within {LONGEST:g} s:\n{output}")
    if code not in (0, 1):
        raise Broken(f"{specimen}: pytest ended with {code}:\n{output}")
    failed, passed = _FAILED.search(output), _RAN.search(output)
    if code == 1 and failed is None:
        raise Broken(f"{specimen}: nothing says which test failed:\n{output}")
    by, count = failed[1] if failed else "", int(passed[1]) if passed else 0
    return Trial(specimen, code == 1, by, count, seconds, output)
