"""What every test of the repository shares.

``ODIBI_REQUIRE_ALL=1`` says that everything a test may need is here. A test that skips itself all the same then fails:
on the machine that decides, "not run" must not look like "passed".

``--together`` is for an environment with every package. It passes over what :data:`APART` names: what has passed in the
environment of its own package, and comes to the same whatever else is installed.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Generator
from fnmatch import fnmatch
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell, which lets interrupts be ignored, by all that tests start as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)

REQUIRE_ALL = os.environ.get("ODIBI_REQUIRE_ALL", "") not in ("", "0")
WITHOUT = os.environ.get("ODIBI_WITHOUT", "").replace(",", " ").split()
"""Modules that are not here on purpose: the environment with every package has them, and runs what needs them."""

APART = ("odibi-*/*",)
"""Modules of tests, below this folder, that ``--together`` passes over.

None of the kernel's: it looks at what is installed, and must not mind.
"""

NEEDS_MORE = ("*/test_*conformance.py::test_a_reader_that_goes_direct_reads_the_same",)
"""Tests of such modules that it runs all the same: a package's own environment lacks what they need."""

_TESTS = Path(__file__).resolve().parent
_KIT = "/odibi/testing/"


def _passed_over(path: Path, test: str) -> bool:
    """Whether ``--together`` leaves a test out; for a test ``"*"``, whether it does so with the whole module."""
    module = path.relative_to(_TESTS).as_posix() if path.is_relative_to(_TESTS) else ""
    if not any(fnmatch(module, each) for each in APART):
        return False
    more = [each.partition("::") for each in NEEDS_MORE]
    return not any(fnmatch(module, of) and test in ("*", name) for of, _, name in more)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the repository's own option."""
    parser.addoption(
        "--together", action="store_true", help="leave out what each package's environment tests by itself"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Modules of which nothing would run are not even imported."""
    together = config.getoption("--together") and collection_path.suffix == ".py"
    return True if together and _passed_over(collection_path, "*") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has been tested apart."""
    if config.getoption("--together"):
        kept: list[pytest.Item] = []
        left: list[pytest.Item] = []
        for each in items:
            (left if _passed_over(each.path, each.name.partition("[")[0]) else kept).append(each)
        config.hook.pytest_deselected(items=left)
        items[:] = kept


def _reason(longrepr: object) -> str:
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)


def _allowed(longrepr: object, path: Path, test: str) -> bool:
    """Whether a test was left out by the kit, for what a component or its suite declares that it cannot do.

    Or for want of what is not here on purpose, if the environment that has it does not pass the test over.
    """
    missing = re.search(r"could not import '(\w+)", _reason(longrepr))
    if missing is not None:
        return missing.group(1) in WITHOUT and not _passed_over(path, test)
    return isinstance(longrepr, tuple) and _KIT in str(longrepr[0]).replace(os.sep, "/")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport, path: Path, test: str) -> None:
    refused = REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail")
    if refused and not _allowed(report.longrepr, path, test):
        report.outcome = "failed"
        report.longrepr = f"{_reason(report.longrepr)}\nODIBI_REQUIRE_ALL is set, so nothing may be skipped."


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test is a failed one where everything must run."""
    report = yield
    _refuse_skip(report, item.path, item.name.partition("[")[0])
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So is a module that skips itself as a whole."""
    report = yield
    _refuse_skip(report, collector.path, "")
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Where Spark has run, its client may leave a socket to the garbage collector, which comes in any later test.

    An environment without Spark runs each package's tests too, and is strict about sockets.
    """
    if "pyspark" in sys.modules:
        item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))
    return (yield)
