"""JSON lines for the engine of plain rows: a format on the standard library, for tests of pipelines and of suites."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import attrs

from odibi import option
from odibi.errors import DataError
from odibi.testing.reference.engine import RowsFrame, concatenated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WORDS = {bool: "bool", int: "int64", float: "double", str: "string", type(None): "null"}
_MERGED = {frozenset(("int64", "double")): "double"} | {
    frozenset(("null", word)): word for word in _WORDS.values() if word != "null"
}
_AT_ONCE = 1_000


@attrs.frozen
class JsonLines:
    """An object a line, a row an object; registered as ``rows.jsonl``.

    Columns hold truth values, whole numbers, numbers or texts. The type of a column is that of its values; one without
    any value has the type ``null`` unless ``types`` says another. A table without rows is an object without bytes, of
    which nobody knows the columns unless ``types`` says them.
    """

    extensions: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    exact: ClassVar[bool] = False

    types: Mapping[str, str] | None = option(
        None, help="Column to Arrow type, for columns that may have no value.", only="read"
    )
    ensure_ascii: bool = option(False, help="Write what is not ASCII as escapes.", only="write")

    def read_object(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None = None) -> RowsFrame:
        """All rows in ``file``."""
        return concatenated(list(self.read_object_chunks(file, _AT_ONCE, name=name, columns=columns)), name)

    def read_object_chunks(
        self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None = None
    ) -> Iterator[RowsFrame]:
        """The same, ``rows`` rows at a time; at least one frame."""
        held: list[dict[str, Any]] = []
        types: dict[str, str] | None = None
        # The types are those of the whole, so that all chunks have the same.
        for _, row in self._parsed(file, name):
            types = self._merged(types, row, name)
        types = {**(types or {}), **(self.types or {})}
        wanted = self._wanted(types, columns, name)
        file.seek(0)
        anything = False
        for _, row in self._parsed(file, name):
            held.append(row)
            if len(held) == rows:
                yield _frame(wanted, held)
                held, anything = [], True
        if held or not anything:
            yield _frame(wanted, held)

    def write_object(self, frame: RowsFrame, file: BinaryIO) -> None:
        """Write all rows."""
        self.write_object_chunks(iter([frame]), file)

    def write_object_chunks(self, frames: Iterator[RowsFrame], file: BinaryIO) -> int:
        """Write one frame after another; returns the number of rows."""
        count, first = 0, None
        for frame in frames:
            first = list(frame.types) if first is None else first
            if list(frame.types) != first:
                raise DataError(
                    f"the chunks have different columns: {', '.join(frame.types)}",
                    remedy=f"Each must have {', '.join(first)}; see the steps.",
                )
            for row in frame.rows:
                file.write(self._line(dict(zip(frame.types, row, strict=True))))
                count += 1
        return count

    def _line(self, row: Mapping[str, Any]) -> bytes:
        for column, value in row.items():
            if type(value) not in _WORDS:
                raise DataError(
                    f"column {column!r} holds values of the type {type(value).__name__}, which JSON has not",
                    remedy="Convert it to text in a step before.",
                )
        return json.dumps(row, ensure_ascii=self.ensure_ascii).encode() + b"\n"

    def _parsed(self, file: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{name}:{number}"
            try:
                row = json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"this is no JSON: {error}", where=where, remedy="Check that the file is whole, an object a line."
                ) from error
            if not isinstance(row, dict):
                raise DataError("this is no JSON object", where=where, remedy="Write an object a line.")
            yield number, row

    def _merged(self, types: dict[str, str] | None, row: Mapping[str, Any], name: str) -> dict[str, str]:
        found = {column: _WORDS.get(type(value), "") for column, value in row.items()}
        if types is None:
            types = dict(found)
        if set(types) != set(found):
            raise DataError("the lines have different columns", where=name, remedy="Give each line the same keys.")
        for column, word in found.items():
            merged = _MERGED.get(frozenset((word, types[column])), "") if word != types[column] else word
            if not merged:
                raise DataError(
                    f"column {column!r} mixes values, or holds nested ones",
                    where=name,
                    remedy="Write values of one kind, which is none of list and object.",
                )
            types[column] = merged
        return types

    def _wanted(self, types: Mapping[str, str], columns: Sequence[str] | None, name: str) -> dict[str, str]:
        for column in columns or ():
            if column not in types:
                raise DataError(
                    f"there is no column {column!r}", where=name, remedy=f"The columns are: {', '.join(types)}."
                )
        return dict(types) if columns is None else {column: types[column] for column in columns}


def _frame(types: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> RowsFrame:
    return RowsFrame(dict(types), [[_fitting(row.get(column), word) for column, word in types.items()] for row in rows])


def _fitting(value: Any, word: str) -> Any:
    return float(value) if word == "double" and value is not None else value
