"""The conformance suites of the built-in operations."""

from __future__ import annotations

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
