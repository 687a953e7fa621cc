"""A frame as one Arrow file, and back as it was.

The columns of the file are those of the frame and of its row labels; whoever else reads the file finds the same values.
What makes them a pandas frame again is in the file's metadata: notes in JSON, and, each as an Arrow stream of its own,
arrays that have not one value a row. Nothing is compressed, so that the file can be used where it lies in memory.
"""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from odibi.errors import DataError, OdibiError
from odibi_pandas.formats.base import first_line
from odibi_pandas.stored import plain
from odibi_pandas.stored.columns import Arrays, Note, array_of, decode, decode_labels, encode, encode_labels, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    import pyarrow as pa

_LAYOUT = "odibi-pandas-1"
"""Changed when the notes change their meaning."""

_NOTES = b"odibi.frame"
_OTHER = "odibi.array."
_SMALL_BATCH, _MANY_BATCHES = 1 << 16, 64
"""Rows and number of record batches that make it worth copying the columns, so that each is in one piece."""


def write(frame: pd.DataFrame, file: BinaryIO) -> None:
    """Write a frame; see :meth:`odibi.contracts.Engine.write_arrow`.

    Raises:
        DataError: it would not come back as it is.
    """
    import pyarrow as pa

    table = _in_few_pieces(_table(frame))
    dictionaries = any(_has_dictionary(field.type) for field in table.schema)
    options = pa.ipc.IpcWriteOptions(unify_dictionaries=dictionaries)
    try:
        with pa.ipc.new_file(file, table.schema, options=options) as writer:
            writer.write_table(table)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise DataError(
            f"the frame cannot be kept as it is: {first_line(error)}",
            remedy="Convert the column in a step, or set cache: false for the node.",
        ) from error


def read(data: memoryview) -> pd.DataFrame:
    """The frame in a file that :func:`write` made; see :meth:`odibi.contracts.Engine.read_arrow`.

    Arrow-backed columns share the memory of ``data``; nobody can write to them. Other columns are copied, as functions
    may change them in place.

    Raises:
        DataError: it is no such file.
    """
    import pyarrow as pa

    try:
        with pa.ipc.open_file(pa.py_buffer(data), options=_reading()) as reader:
            table = reader.read_all()
        table.validate()
        notes, arrays = _notes(table)
        return _frame(notes, arrays)
    except OdibiError:
        raise
    except Exception as error:  # whatever bytes that make no sense lead to, in Arrow and in pandas
        raise DataError(
            f"this is no frame that the pandas engine has kept: {first_line(error)}", remedy="Make it anew."
        ) from error


def _table(frame: pd.DataFrame) -> pa.Table:
    import pandas as pd
    import pyarrow as pa

    if type(frame) is not pd.DataFrame:
        raise refused("it", f"is a {type(frame).__module__}.{type(frame).__name__}, not a plain DataFrame")
    arrays = Arrays()
    columns: list[Note] = []
    names: list[str] = []
    for label, column in frame.items():
        columns.append(encode(array_of(column), arrays, f"column {label!r}"))
        names += [_printable(label)] * (len(arrays.rows) - len(names))
    notes = {
        "layout": _LAYOUT,
        "columns": columns,
        "names": encode_labels(frame.columns, arrays, "the columns' index", of_rows=False),
        "index": encode_labels(frame.index, arrays, "the index", of_rows=True),
        "attrs": _attrs(frame),
        "duplicates": frame.flags.allows_duplicate_labels,
    }
    names += ["index"] * (len(arrays.rows) - len(names))
    _check(frame, notes, arrays)
    metadata = {_NOTES: json.dumps(notes).encode()}
    metadata.update((f"{_OTHER}{at}".encode(), _stream(array)) for at, array in enumerate(arrays.others))
    schema = pa.schema([pa.field(name, array.type) for name, array in zip(names, arrays.rows, strict=True)], metadata)
    return pa.Table.from_arrays(arrays.rows, schema=schema)


def _check(frame: pd.DataFrame, notes: dict[str, Any], arrays: Arrays) -> None:
    """Refuse what would come back as something else, as far as types and labels tell, without a look at the rows."""
    import pyarrow as pa

    types = [array.type for array in arrays.rows]
    kept = pa.ipc.read_schema(pa.schema([pa.field("", it) for it in types]).serialize()).types
    for was, becomes in zip(types, kept, strict=True):
        if was != becomes:
            raise refused("a column", f"has the type {was}, which Arrow's files do not keep")
    none, few = arrays.head(0), arrays.head(2)
    for label, dtype, note in zip(frame.columns, frame.dtypes, notes["columns"], strict=True):
        if note["kind"] != "arrow":
            with _making(f"column {label!r}"):
                becomes = decode(note, none).dtype
            if becomes != dtype:
                raise refused(f"column {label!r}", f"has the type {dtype}, and would come back as {becomes}")
    with _making("the index"):
        alike = notes["index"]["kind"] == "range" or decode_labels(notes["index"], few).identical(frame.index[:2])
    if not alike:
        raise refused("the index", "would come back as another one")
    with _making("the columns' index"):
        alike = decode_labels(notes["names"], arrays).identical(frame.columns)
    if not alike:
        raise refused("the columns' index", "would come back as another one")


@contextmanager
def _making(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # pandas raises whatever comes up for what it cannot make again
        raise refused(name, f"cannot be made again ({first_line(error)})") from error


def _attrs(frame: pd.DataFrame) -> str:
    try:
        return plain.dumps(frame.attrs)
    except plain.NotPlain as error:
        raise refused("its attrs", f"hold a value of the type {error.args[0].__name__}") from None


def _notes(table: pa.Table) -> tuple[dict[str, Any], Arrays]:
    import pyarrow as pa

    metadata = table.schema.metadata or {}
    if _NOTES not in metadata:
        raise ValueError("it holds no notes of how the frame was made")
    notes = json.loads(metadata[_NOTES])
    if notes["layout"] != _LAYOUT:
        raise ValueError(f"its layout is {notes['layout']}, not {_LAYOUT}")
    others: list[pa.ChunkedArray] = []
    while (stream := metadata.get(f"{_OTHER}{len(others)}".encode())) is not None:
        with pa.ipc.open_stream(base64.b64decode(stream)) as reader:
            others.append(reader.read_all().column(0))
    return notes, Arrays(table.columns, others)


def _stream(array: pa.ChunkedArray) -> bytes:
    """An array as an Arrow stream, in letters, as metadata should be text."""
    import pyarrow as pa

    table = pa.table([array], names=[""])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue())


def _frame(notes: dict[str, Any], arrays: Arrays) -> pd.DataFrame:
    import pandas as pd

    index = decode_labels(notes["index"], arrays)
    columns: dict[int, Any] = {}
    for at, note in enumerate(notes["columns"]):
        values = decode(note, arrays)
        # Of bare objects pandas would guess what they are.
        columns[at] = pd.Series(values, index, dtype=object, copy=False) if values.dtype == object else values
    # Copied as a whole, columns of one NumPy type come to lie in one block, as in a frame that pandas has computed.
    frame: Any = pd.DataFrame(columns, index, copy=True)
    frame.columns = decode_labels(notes["names"], arrays)
    frame.attrs = plain.loads(notes["attrs"])
    frame.flags.allows_duplicate_labels = notes["duplicates"]
    return frame  # type: ignore[no-any-return]


def _reading() -> pa.ipc.IpcReadOptions:
    import pyarrow as pa

    if not hasattr(pa.ipc, "Alignment"):
        return pa.ipc.IpcReadOptions()
    # Memory that begins anywhere makes numbers lie anywhere; these are copied, so that nothing trips over them.
    return pa.ipc.IpcReadOptions(ensure_alignment=pa.ipc.Alignment.DataTypeSpecific)


def _in_few_pieces(table: pa.Table) -> pa.Table:
    pieces = max((column.num_chunks for column in table.columns), default=0)
    if pieces > _MANY_BATCHES and table.num_rows < pieces * _SMALL_BATCH:
        return table.combine_chunks()
    return table


def _has_dictionary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_dictionary(kind) or any(_has_dictionary(kind.field(at).type) for at in range(kind.num_fields))


def _printable(label: Any) -> str:
    return str(label).encode("utf-8", "backslashreplace").decode()
