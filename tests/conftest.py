"""What every test of the repository shares.

``ODIBI_REQUIRE_ALL=1`` says that everything a test may need is here. A test that skips itself all the same then fails:
on the machine that decides, "not run" must not look like "passed".
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell, which lets interrupts be ignored, by all that tests start as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)

DECLARED = "Skipped: declared: "
REQUIRE_ALL = os.environ.get("ODIBI_REQUIRE_ALL", "") not in ("", "0")


def _reason(longrepr: object) -> str:
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = _reason(report.longrepr) if report.skipped else ""
    # What a component declares that it cannot do is not left out for want of something.
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail") and not reason.startswith(DECLARED):
        report.outcome = "failed"
        report.longrepr = f"{reason}\nODIBI_REQUIRE_ALL is set, so nothing may be skipped."


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
