"""The built-in operations on Spark frames: one class each, whose fields are its parameters.

They have the names, the parameters and the meaning of those for pandas frames. What differs lies in Spark: a frame has
no order of rows but after a sort, and nothing is computed before a frame is written or looked at. So an operation finds
out from the schema alone what can be found out, and the rest fails when the rows are computed, with an error of ours
that :mod:`odibi_spark.operations.failures` can tell from others. One operation starts a job: ``pivot`` has to know the
values that become columns.

No answer depends on how columns are called: where names are not part of an expression that a user wrote, they are
replaced by plain ones (:mod:`odibi_spark.operations.frames`), for Spark does not tell ``id`` from ``ID``.

Nulls follow SQL: a condition that is null is not true, a null key matches nothing in a join, and nulls are one group
in ``aggregate``, ``pivot`` and ``drop_duplicates``. NaN is a value of its own, larger than every number.
"""

from __future__ import annotations

_HOMES = {
    "aggregate": ("Aggregate",),
    "cast": ("Cast",),
    "columns": ("Drop", "Rename", "Select"),
    "explode": ("Explode",),
    "join": ("Join",),
    "pivot": ("Pivot", "Unpivot"),
    "rows": ("DropDuplicates", "Filter", "Sample", "Sort"),
    "union": ("Union",),
    "values": ("Derive", "Fillna"),
}

_NAMES = {"DropDuplicates": "drop_duplicates"}

OPERATIONS: dict[str, str] = {
    f"spark.{_NAMES.get(kind, kind.lower())}": f"odibi_spark.operations.{module}:{kind}"
    for module, kinds in _HOMES.items()
    for kind in kinds
}
"""What ``odibi_transforms`` registers: name to ``"module:Class"``."""
