"""JSON as Arrow tables: parsed by pyarrow, and by Python where that says more or loses less."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO

from odibi.errors import DataError
from odibi_pandas.formats.base import chosen, first_line
from odibi_pandas.formats.texts import RawText, Utf8Stream, lines, undecodable
from odibi_pandas.inference import Rules
from odibi_pandas.texts import Unfit, as_type, type_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from odibi_pandas.formats.json import JsonFormat

_BLOCK = 1 << 20
_CHUNK = 8 << 20
_LARGEST_BLOCK = 1 << 30
_EXACT = 2.0**53
_ROW = re.compile(r"\.? in row \d+$")
"""pyarrow counts the rows of a block, which tells nobody anything."""

_BARE_NULL = re.compile(rb"(?:^|[}\n])\s*null")
"""May be a null in the place of an object."""

_WORDS = {bool: "a truth value", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}


def tables(
    format_: JsonFormat, file: BinaryIO, *, name: str, columns: Sequence[str] | None, streaming: bool
) -> Iterator[pa.Table]:
    """All rows in order, in tables of any size, at least one.

    Args:
        format_: the options.
        file: seekable.
        name: what to call it in an error.
        columns: the columns wanted; ``None`` for all.
        streaming: hold a few megabytes in memory rather than all, if there is an object a line.

    Raises:
        DataError: the file is broken; says in which line.
    """
    try:
        yield from _Reading(format_, file, name, columns).tables(streaming=streaming)
    except UnicodeError as error:
        fault = undecodable(file, format_.encoding, name, format_.title)
        if fault is None:
            fault = DataError(
                f"a text is not valid: {first_line(error)}", where=name, remedy="Correct it where it was written."
            )
        raise fault from error


class _Reading:
    """One pass over one file."""

    def __init__(self, format_: JsonFormat, file: BinaryIO, name: str, columns: Sequence[str] | None) -> None:
        self._format = format_
        self._file = file
        self._name = name
        self._columns = columns

    def tables(self, *, streaming: bool) -> Iterator[pa.Table]:
        left = self._format.max_rows
        seen: list[str] = []
        any_block = False
        for block in self._blocks(streaming=streaming):
            any_block = True
            seen.extend(column for column in block.column_names if column not in seen)
            # A block may lack a column that others have.
            table = block if self._columns is None else block.select(_present(self._columns, block))
            if left is not None:
                table = table.slice(0, left)
                left -= table.num_rows
            yield table
            if left == 0:
                break
        if not any_block:
            raise DataError(
                "the file is empty", where=self._name, remedy="Leave it out; no rows are written as [] in JSON."
            )
        chosen(seen, self._columns, self._name)

    def _blocks(self, *, streaming: bool) -> Iterator[pa.Table]:
        layout = self._layout()
        if layout == "empty":
            return
        if layout == "lines":
            first = 1
            for block in self._line_blocks(streaming=streaming):
                yield self._parsed(block, first)
                first += block.count(b"\n")
            return
        objects = self._objects()
        if not objects:
            import pyarrow as pa

            yield pa.table({})
            return
        yield self._parsed("\n".join(objects).encode(), None)

    def _text(self) -> Utf8Stream:
        return Utf8Stream(RawText(self._file, self._format.encoding, self._name, self._format.title))

    def _layout(self) -> str:
        """How the objects are laid out: ``lines``, ``array``, ``objects`` one after another, or ``empty``."""
        for line in lines(self._text()):
            start = line.strip()
            if not start:
                continue
            if start.startswith(b"["):
                return "array"
            try:
                json.loads(start)
            except ValueError as error:
                # One that ends within the line is a broken line; one that goes on is laid out over several.
                at_end = isinstance(error, json.JSONDecodeError) and error.pos >= len(start.decode("utf-8", "replace"))
                return "objects" if at_end and start.startswith(b"{") else "lines"
            return "lines"
        return "empty"

    def _line_blocks(self, *, streaming: bool) -> Iterator[bytes]:
        stream = self._text()
        if not streaming:
            yield stream.read()
            return
        rest = b""
        while block := stream.read(_CHUNK):
            whole, end, rest_of_line = (rest + block).rpartition(b"\n")
            rest = rest_of_line
            if end:
                yield whole + end
        if rest.strip():
            yield rest

    def _objects(self) -> list[str]:
        """The text of each object, wherever it begins."""
        text = self._text().read().decode()
        decoder = json.JSONDecoder()
        blank = json.decoder.WHITESPACE  # type: ignore[attr-defined]
        at = blank.match(text, 0).end()
        in_array = text.startswith("[", at)
        found: list[str] = []
        if in_array:
            at = blank.match(text, at + 1).end()
            if text.startswith("]", at):
                self._nothing_after(text, blank.match(text, at + 1).end())
                return found
        while True:
            value, end = self._decoded(decoder, text, at)
            if not isinstance(value, dict):
                raise self._error(
                    f"element {len(found) + 1} is {_WORDS.get(type(value), 'null')}, not an object", _line(text, at)
                )
            found.append(text[at:end])
            at = blank.match(text, end).end()
            if not in_array:
                if at == len(text):
                    return found
                continue
            if text.startswith("]", at):
                self._nothing_after(text, blank.match(text, at + 1).end())
                return found
            if not text.startswith(",", at):
                raise self._error("there is no ',' or ']' after an object", _line(text, at))
            comma = at
            at = blank.match(text, at + 1).end()
            if text.startswith("]", at):
                raise self._error("there is a comma after the last object", _line(text, comma))

    def _decoded(self, decoder: json.JSONDecoder, text: str, at: int) -> tuple[Any, int]:
        try:
            return decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            if error.pos >= len(text.rstrip()):
                raise self._error("the file ends in the middle of an object", error.lineno) from error
            raise self._error(f"{error.msg} (column {error.colno})", error.lineno) from error

    def _nothing_after(self, text: str, at: int) -> None:
        if at != len(text):
            raise self._error("there is something after the end of the array", _line(text, at))

    def _error(self, what: str, line: int) -> DataError:
        return DataError(what, where=f"{self._name}:{line}", remedy="Correct the file where it was written.")

    # --- parsing ------------------------------------------------------------------------------------------------------

    def _parsed(self, data: bytes, first: int | None) -> pa.Table:
        """The rows in ``data``; ``first`` is the number of its first line, if it has an object a line."""
        import pyarrow as pa

        if not data.strip():
            return pa.table({})
        data.decode()  # pyarrow takes bytes that are not UTF-8 for text
        if first is not None and _BARE_NULL.search(data):
            # pyarrow makes a row of nulls of it, or crashes.
            self._explain(data, first)
        if self._format.dtypes:
            return self._by_python(data, first)
        try:
            table = _by_pyarrow(data, None)
            if any(map(_is_guessed_badly, table.schema.types)):
                table = _by_pyarrow(data, pa.schema([pa.field(it.name, _as_texts(it.type)) for it in table.schema]))
            table.validate(full=True)
        except pa.ArrowInvalid as error:
            self._explain(data, first)
            raise DataError(
                f"this is not valid JSON: {re.sub(_ROW, '', first_line(error))}",
                where=self._name,
                remedy="Correct the file where it was written.",
            ) from error
        if any(_may_have_lost_digits(column) for column in table.columns):
            self._explain(data, first)
        return table

    def _explain(self, data: bytes, first: int | None) -> None:
        """Raise what is wrong with the rows in ``data``; return if nothing is."""
        kinds: dict[str, str] = {}
        floats: set[str] = set()
        long: dict[str, int] = {}
        for line, row in self._rows(data, first):
            for column, value in row.items():
                if value is None:
                    continue
                kind = _WORDS[type(value)]
                if kinds.setdefault(column, kind) != kind:
                    raise DataError(
                        f"column {column!r} is {kind}, but {kinds[column]} before",
                        where=f"{self._name}:{line}",
                        remedy=f"Make the values alike, or set dtypes: {{{column}: str}} to read them as texts.",
                    )
                if isinstance(value, float):
                    floats.add(column)
                elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT:
                    long.setdefault(column, line)
                    if not -(2**63) <= value < 2**63:
                        floats.add(column)
        for column, line in long.items():
            if column in floats:
                raise DataError(
                    f"column {column!r} holds an integer of more digits than a number keeps",
                    where=f"{self._name}:{line}",
                    remedy=f"Set dtypes: {{{column}: str}} to keep all digits, or float to round it.",
                )

    def _rows(self, data: bytes, first: int | None, **how: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        """Line and object of each row."""
        for at, line in enumerate(data.splitlines() if first is not None else [data]):
            number = (first or 1) + at
            if not line.strip():
                continue
            if first is None:
                decoder = json.JSONDecoder(**how)
                text, begin = line.decode(), 0
                while begin < len(text):
                    value, end = decoder.raw_decode(text, begin)
                    yield _line(text, begin), value
                    begin = json.decoder.WHITESPACE.match(text, end).end()  # type: ignore[attr-defined]
                return
            try:
                value = json.loads(line, **how)
            except json.JSONDecodeError as error:
                raise self._error(f"the line is not an object: {error.msg} (column {error.colno})", number) from error
            except RecursionError as error:
                raise self._error("the line is nested too deeply", number) from error
            if not isinstance(value, dict):
                raise self._error(f"the line is {_WORDS.get(type(value), 'null')}, not an object", number)
            yield number, value

    def _by_python(self, data: bytes, first: int | None) -> pa.Table:
        """As pyarrow would, but with columns of the types that the user gave."""
        import pyarrow as pa

        given = self._format.dtypes or {}
        rows = list(self._rows(data, first))
        # Once more with numbers as they are written, for the columns that are converted from text.
        written = list(self._rows(data, first, parse_int=str, parse_float=str, parse_constant=str))
        names = list(dict.fromkeys(column for _, row in rows for column in row))
        arrays = []
        for column in names:
            if column not in given:
                arrays.append(self._array(column, [row.get(column) for _, row in rows], rows[0][0]))
                continue
            texts = pa.chunked_array([pa.array([_as_text(row.get(column)) for _, row in written], pa.string())])
            kind = type_of(given[column], column, self._name)
            try:
                arrays.append(as_type(texts, kind, Rules(), None))
            except Unfit as unfit:
                raise DataError(
                    f"a value of column {column!r} is not of the type {kind}",
                    where=f"{self._name}:{rows[unfit.row][0]}",
                    remedy="Correct it where it was written, or read the column as str.",
                ) from unfit
        return pa.table(arrays, names=names)

    def _array(self, column: str, values: list[Any], line: int) -> pa.Array:
        import pyarrow as pa

        kinds = {_WORDS[type(value)] for value in values if value is not None}
        try:
            if any(isinstance(value, float) for value in values):
                values = [float(value) if type(value) is int else value for value in values]
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            what = f"is {' and '.join(sorted(kinds))}" if len(kinds) > 1 else f"does not fit: {first_line(error)}"
            raise DataError(
                f"column {column!r} {what}",
                where=f"{self._name}:{line}",
                remedy=f"Make the values alike, or add dtypes: {{{column}: str}}.",
            ) from error


def _by_pyarrow(data: bytes, schema: pa.Schema | None) -> pa.Table:
    import pyarrow as pa
    from pyarrow import json as parser

    block = _BLOCK
    while True:
        try:
            return parser.read_json(
                io.BytesIO(data),
                read_options=parser.ReadOptions(block_size=block),
                parse_options=parser.ParseOptions(explicit_schema=schema, newlines_in_values=True),
            )
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error) or block > len(data) or block >= _LARGEST_BLOCK:
                raise
            block *= 32


def _present(columns: Sequence[str], table: pa.Table) -> list[str]:
    return [column for column in columns if column in table.column_names]


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _is_guessed_badly(kind: pa.DataType) -> bool:
    """Whether pyarrow must be told the type: of a moment it keeps whole seconds alone, and it loses the nulls that come
    before the first value in a list."""
    import pyarrow as pa

    return (
        pa.types.is_timestamp(kind)
        or pa.types.is_list(kind)
        or (pa.types.is_struct(kind) and any(_is_guessed_badly(kind.field(at).type) for at in range(kind.num_fields)))
    )


def _as_texts(kind: pa.DataType) -> pa.DataType:
    """``kind`` with texts where pyarrow saw moments."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_as_texts(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct(
            [pa.field(kind.field(at).name, _as_texts(kind.field(at).type)) for at in range(kind.num_fields)]
        )
    return kind


def _may_have_lost_digits(column: pa.ChunkedArray) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return False
    largest = pc.max(pc.abs(column)).as_py()
    return largest is not None and largest >= _EXACT


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)
