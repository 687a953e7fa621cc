"""What every test of the repository shares.

``ODIBI_REQUIRE_ALL=1`` says that everything a test may need is here. A test that skips itself all the same then fails:
on the machine that decides, "not run" must not look like "passed".
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Generator

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell, which lets interrupts be ignored, by all that tests start as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)

REQUIRE_ALL = os.environ.get("ODIBI_REQUIRE_ALL", "") not in ("", "0")
WITHOUT = os.environ.get("ODIBI_WITHOUT", "").replace(",", " ").split()
"""Modules that are not here on purpose: another environment has them, and runs what needs them."""

_KIT = "/odibi/testing/"


def _reason(longrepr: object) -> str:
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)


def _allowed(longrepr: object) -> bool:
    """Whether a test was left out by the kit, for what a component or its suite declares that it cannot do."""
    missing = re.search(r"could not import '(\w+)", _reason(longrepr))
    if missing is not None:
        return missing.group(1) in WITHOUT
    return isinstance(longrepr, tuple) and _KIT in str(longrepr[0]).replace(os.sep, "/")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail") and not _allowed(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{_reason(report.longrepr)}\nODIBI_REQUIRE_ALL is set, so nothing may be skipped."


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test is a failed one where everything must run."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So is a module that skips itself as a whole."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Where Spark has run, its client may leave a socket to the garbage collector, which comes in any later test.

    An environment without Spark runs each package's tests too, and is strict about sockets.
    """
    if "pyspark" in sys.modules:
        item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))
    return (yield)
