"""The conformance suites of the built-in operations."""

from __future__ import annotations

import os
import subprocess
import sys

from odibi.testing.transform import TransformSuite
from odibi_spark import conformance_operations
from odibi_spark.operations import OPERATIONS

SUITES = {name: f"{home.rpartition(':')[2]}Suite" for name, home in OPERATIONS.items()}


def test_every_operation_has_a_suite_of_its_own() -> None:
    for name, suite in SUITES.items():
        found = getattr(conformance_operations, suite)
        assert issubclass(found, TransformSuite)
        assert f"{found.component.__module__}:{found.component.__name__}" == OPERATIONS[name]


globals().update({f"Test{suite}": getattr(conformance_operations, suite) for suite in SUITES.values()})


_ALL = """
import json
from odibi_spark import conformance_operations as suites
for name in {names!r}:
    suite = getattr(suites, name)
    suite = type("Suite", (suite,), {{}})()
    for at in range(len(suite.examples)):
        print(json.dumps([name, at, suite.result_as_text(at)]))
"""


def test_other_processes_give_the_same() -> None:
    """In which sets have other orders; a Spark for all suites, as each takes seconds to start."""
    code = _ALL.format(names=sorted(SUITES.values()))
    one, other = (
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            text=True,
            timeout=300,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    )
    assert len(one.splitlines()) >= len(SUITES)
    assert one == other
