"""Specimens on trial: their family's suite is run on each, in a process of its own.

The processes are forked from one that has imported pytest, hypothesis and the suites, as that takes longer than most
trials do. It must have no other threads.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from odibi.testing.zoo import suite_of

LONGEST = 120.0
"""Seconds after which a suite that does not end counts as one that noticed: it would hang for its author, too."""

_FAILED = re.compile(r"^(?:FAILED|ERROR) \S*::(test_\w+)", re.MULTILINE)
_RAN = re.compile(r"(\d+) passed")
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

    Args:
        specimens: as for :func:`odibi.testing.zoo.suite_of`.
        jobs: how many at once.

    Raises:
        Broken: pytest could not run.
    """
    import hypothesis.stateful
    import pytest  # noqa: F401 - imported once, for all who are forked

    assert hypothesis.stateful
    waiting = list(specimens)[::-1]
    for specimen in waiting:
        suite_of(specimen)
    running: dict[int, tuple[str, Path, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                specimen, folder = waiting.pop(), Path(tempfile.mkdtemp(prefix="odibi-zoo-"))
                running[_fork(specimen, folder)] = (specimen, folder, time.monotonic() + LONGEST)
            ended = [(pid, code) for pid in running if (code := _code(pid, running[pid][2])) is not None]
            for pid, code in ended:
                specimen, folder, deadline = running.pop(pid)
                seconds = time.monotonic() - (deadline - LONGEST)
                output = (folder / "output").read_text(encoding="utf-8", errors="replace")
                shutil.rmtree(folder, ignore_errors=True)
                yield _judged(specimen, code, seconds, output)
            if not ended:
                time.sleep(_PAUSE)
    finally:
        for pid, (_, folder, _) in running.items():
            _stop(pid)
            shutil.rmtree(folder, ignore_errors=True)


def _fork(specimen: str, folder: Path) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()  # so that what it starts can be stopped with it
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for standard in (1, 2):
            os.dup2(output, standard)
        os.environ["ODIBI_SPECIMEN"] = specimen
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
        os.environ.pop("PYTEST_ADDOPTS", None)
        os.chdir(folder)
        code = _suite(specimen, folder)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _suite(specimen: str, folder: Path) -> int:
    import pytest
    from hypothesis import Phase, settings

    # What fails is not explained, and hardly made smaller: that it fails is all that is asked.
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    settings.register_profile("zoo", phases=phases, deadline=None, print_blob=False)
    settings.load_profile("zoo")
    options = ["-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", f"--rootdir={folder}", "-c", os.devnull]
    options += ["--basetemp", str(folder / "tmp"), *([] if specimen.endswith(".sound") else ["-x"])]
    return int(pytest.main([*options, str(Path(__file__).with_name("_specimen.py"))]))


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
