"""One specimen on trial: its family's suite is run on it, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs

LONGEST = 240.0
"""Seconds after which a suite that does not end counts as one that noticed: it would hang for its author, too."""

_FAILED = re.compile(r"^(?:FAILED|ERROR) \S*::(test_\w+)", re.MULTILINE)
_RAN = re.compile(r"(\d+) passed")


@attrs.frozen
class Trial:
    """How it went.

    Attributes:
        refused: whether a test failed.
        by: the test that did; empty where none failed, or where the suite hung.
        passed: how many tests passed (until one failed).
        output: what pytest printed.
    """

    refused: bool
    by: str
    passed: int
    output: str


class Broken(Exception):
    """The suite could not be run at all, which says nothing about the specimen."""


def trial(specimen: str, *, stop: bool = True) -> Trial:
    """Run a suite on a specimen.

    Args:
        specimen: as for :func:`odibi.testing.zoo.suite_of`.
        stop: at the first test that fails.

    Raises:
        Broken: pytest could not run.
    """
    module = Path(__file__).with_name("_specimen.py")
    with tempfile.TemporaryDirectory(prefix="odibi-zoo-") as folder:
        options = ["-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", f"--rootdir={folder}", "-c", os.devnull]
        options += ["--basetemp", str(Path(folder, "tmp")), *(["-x"] if stop else [])]
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", "pytest", *options, str(module)],
                capture_output=True,
                check=False,
                text=True,
                timeout=LONGEST,
                cwd=folder,
                env={
                    **os.environ,
                    "ODIBI_SPECIMEN": specimen,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    "HYPOTHESIS_STORAGE_DIRECTORY": str(Path(folder, "hypothesis")),
                    "PYTEST_ADDOPTS": "",
                },
            )
        except subprocess.TimeoutExpired as error:
            return Trial(True, "", 0, f"it did not end within {LONGEST:g} s: {error}")
    output = done.stdout + done.stderr
    if done.returncode not in (0, 1):
        raise Broken(f"{specimen}: pytest ended with {done.returncode}:\n{output}")
    failed, passed = _FAILED.search(output), _RAN.search(output)
    if done.returncode == 1 and failed is None:
        raise Broken(f"{specimen}: nothing says which test failed:\n{output}")
    return Trial(done.returncode == 1, failed.group(1) if failed else "", int(passed.group(1)) if passed else 0, output)
