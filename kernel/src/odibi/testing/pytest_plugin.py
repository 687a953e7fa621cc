"""The part of the conformance kit that pytest loads: its options, what was left out, and known failures.

pytest finds it through the entry point of the kernel's distribution, in every run; so it imports nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytest.register_assert_rewrite("odibi.testing")

_DECLARED = "Skipped: declared: "
_AS_DECLARED = "left out, as declared"
_NOT_SAID = "left out, as the suite does not say how, or something is not installed"
_KEY = pytest.StashKey["KnownFailures"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the kit's options."""
    group = parser.getgroup("odibi", "the conformance kit of Odibi")
    group.addoption(
        "--odibi-conformance",
        action="store_true",
        help="Test every plugin that is installed, and every component for which its plugin brings a suite.",
    )
    group.addoption(
        "--odibi-known-failures",
        metavar="FILE",
        help="Tests that are known to fail, a line each: the end of the test's id, and why after '#'. One that passes, "
        "and a line that means no test, is a failure.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and aim at what is installed if asked to."""
    config.addinivalue_line("markers", "odibi_needs(*capabilities): leave out for components that declare none of it.")
    if config.getoption("odibi_conformance"):
        given = config.invocation_params.args
        named = [each for each in config.args if str(each) in map(str, given)]
        config.args[:] = [*named, str(Path(__file__).with_name("installed.py"))]
    file = config.getoption("odibi_known_failures")
    if file is not None:
        config.stash[_KEY] = KnownFailures(Path(file))
        config.pluginmanager.register(config.stash[_KEY], "odibi-known-failures")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was left out: because a component declares that it cannot do it, or because its suite does not say how.

    What is not tested must not look like what passes.
    """
    sections: dict[str, dict[str, int]] = {_AS_DECLARED: {}, _NOT_SAID: {}}
    for report in terminalreporter.getreports("skipped"):
        if not isinstance(report.longrepr, tuple):
            continue
        path, _, reason = report.longrepr
        if reason.startswith(_DECLARED):
            counts, what = sections[_AS_DECLARED], reason[len(_DECLARED) :]
        elif Path(path).parent == Path(__file__).parent:
            counts, what = sections[_NOT_SAID], reason.removeprefix("Skipped: ")
        else:
            continue
        counts[what] = counts.get(what, 0) + 1
    for title, counts in sections.items():
        if counts:
            terminalreporter.section(title)
        for what, count in sorted(counts.items()):
            terminalreporter.line(f"{count} {'test' if count == 1 else 'tests'}: {what}")


class KnownFailures:
    """Tests that are expected to fail, from a file.

    Args:
        file: a line each, as ``TestMine::test_this  # why``; empty lines and those that begin with ``#`` are skipped.

    Raises:
        pytest.UsageError: it cannot be read, or a line does not say why.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._reasons: dict[str, str] = {}
        self._stale: list[str] = []
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise pytest.UsageError(f"--odibi-known-failures: {file} cannot be read: {error}") from error
        for number, line in enumerate(lines, 1):
            test, _, reason = (part.strip() for part in line.partition("#"))
            if not test:
                continue
            if not reason:
                raise pytest.UsageError(f"{file}:{number}: say after '#' why {test} is known to fail")
            self._reasons[test] = reason

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Mark the tests that are known to fail; one that passes all the same fails."""
        unused = dict(self._reasons)
        for item in items:
            for test, reason in self._reasons.items():
                if item.nodeid.endswith(test) and item.nodeid[: -len(test)][-1:] in ("", ":", "/"):
                    item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
                    unused.pop(test, None)
        self._stale = list(unused)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Fail for lines that mean no test."""
        if self._stale and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the lines that mean no test."""
        if self._stale:
            terminalreporter.section("known failures that mean no test")
            for test in self._stale:
                terminalreporter.line(f"{self._file}: {test}: remove the line, or correct it", red=True)
