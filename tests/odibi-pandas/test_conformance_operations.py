"""The conformance suites of the built-in operations."""

from __future__ import annotations

from odibi_pandas import conformance_operations
from odibi_pandas.conformance_operations import SUITES
from odibi_pandas.operations import OPERATIONS


def test_every_operation_has_a_suite() -> None:
    assert sorted(SUITES) == sorted(f"transform.{name}" for name in OPERATIONS)
    assert len(set(SUITES.values())) == len(SUITES)


globals().update(
    {f"Test{name}": getattr(conformance_operations, name) for _, name in (full.split(":") for full in SUITES.values())}
)
