"""The built-in operations: one class each, whose fields are its parameters.

All of them are registered for the pandas engine, none for every engine: they promise more than portable SQL can. An
operation keeps the order of rows wherever it has no reason to change it, and gives back untouched columns with
exactly the type they had. So SQL is asked which rows, in what order, and for new values alone; the rows themselves
are taken from the Arrow table by position.

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
    f"pandas.{_NAMES.get(kind, kind.lower())}": f"odibi_pandas.operations.{module}:{kind}"
    for module, kinds in _HOMES.items()
    for kind in kinds
}
"""What ``odibi_transforms`` registers: name to ``"module:Class"``."""
