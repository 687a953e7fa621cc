"""The suite for transforms accepts the kit's own operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from odibi.errors import TransformError
from odibi.testing.frames import Table
from odibi.testing.reference.engine import RowsEngine, RowsFrame
from odibi.testing.reference.transform import KeepRows, RenameColumns
from odibi.testing.transform import Example, StepContext
from odibi.testing.zoo.transform import LookUpSuite, RowsSuite

ROWS = Table.of(id=("int64", [1, 2, 3]), name=("string", ["a", None, "b"]))


class TestLookUp(LookUpSuite):
    pass


class TestKeepRows(RowsSuite):
    component = KeepRows
    columns = ("name",)
    examples = (Example(frame=ROWS, expected=Table.of(id=("int64", [1]), name=("string", ["a"]))),)

    def options(self, place: Path) -> dict[str, Any]:
        return {"column": "name", "values": ["a", "c"]}


class TestRenameColumns(RowsSuite):
    component = RenameColumns
    columns = ("name", "id")
    examples = (Example(frame=ROWS, expected=Table.of(key=("int64", [1, 2, 3]), id=("string", ["a", None, "b"]))),)

    def options(self, place: Path) -> dict[str, Any]:
        return {"columns": {"id": "key", "name": "id"}}


def test_names_that_would_be_one_are_refused() -> None:
    frame = RowsFrame({"a": "int64", "b": "int64"}, [[1, 2]])
    with pytest.raises(TransformError, match="one name"):
        RenameColumns(columns={"a": "b"}).apply(frame, StepContext(RowsEngine(), {}, {}))
