"""What the formats of this package share: they speak Arrow inside, and the contract's frames outside."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import attrs

from odibi import option
from odibi.errors import DataError, OdibiError

if TYPE_CHECKING:
    import pyarrow as pa

    from odibi.contracts import Bound
    from odibi_pandas.inference import Rules


def _no_index(_: Any, __: Any, value: bool) -> None:
    if value:
        raise ValueError("an index is not written; name it, and it becomes a column")


@attrs.frozen
class FileFormat:
    """One object, one table. A subclass says how to load and dump it; the rest follows."""

    extensions: ClassVar[tuple[str, ...]] = ()
    exact: ClassVar[bool] = False
    """As in the contract, for frames as this engine makes them: Arrow-backed columns, and rows without labels."""
    title: ClassVar[str] = ""
    """What people call the format."""

    columns: tuple[str, ...] | None = option(
        None, help="Read these columns alone, in this order.", aliases=("usecols",), only="read"
    )
    union_by_name: bool = option(
        False,
        help="Read parts that have different columns as one: a column that a part lacks is null there.",
        only="read",
    )
    partition_columns: bool = option(
        True, help="Make columns of folders such as year=2013.", only="read", aliases=("hive_partitioning",)
    )

    index: bool = option(
        False, help="Always false: an index with a name becomes a column.", only="write", validator=_no_index
    )

    # --- what a subclass gives ----------------------------------------------------------------------------------------

    def load(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Table:
        """The table in ``file``; columns of text that have yet to be given types are left as they are."""
        raise NotImplementedError

    def load_chunks(self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """As :meth:`load`, ``rows`` rows at a time; at least one table, so that the columns are known."""
        yield from sliced(self.load(file, name=name, columns=columns), rows)

    def load_within(
        self,
        file: BinaryIO,
        rows: int,
        *,
        name: str,
        columns: Sequence[str] | None,
        bound: Bound,  # noqa: ARG002
    ) -> Iterator[pa.Table]:
        """As :meth:`load_chunks`; rows that ``bound`` does not mean may be passed over unread."""
        yield from self.load_chunks(file, rows, name=name, columns=columns)

    def lead(self, file: BinaryIO, *, name: str) -> bytes | None:  # noqa: ARG002
        """What has to stand before rows that were appended to ``file``, so that they can be read without those before.

        ``None`` if they cannot, by this format, with these options or in this file: each row must mean the same
        whichever rows stand before it, but for the types of its columns, see :meth:`rules`. Such an object ends in a
        whole row if its last byte ends a line, and it could be read.
        """
        return None

    def dump(self, tables: Iterator[pa.Table], schema: pa.Schema, file: BinaryIO) -> None:
        """Write tables of one schema as one object."""
        raise NotImplementedError

    def peek(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Schema | None:  # noqa: ARG002
        """The schema without the rows, if the format knows it; ``None`` if only looking at the rows tells."""
        return None

    def rules(self) -> Rules | None:
        """How columns of text are given types; ``None`` if they stay text."""
        return None

    def infers(self, column: str) -> bool:  # noqa: ARG002
        """Whether a column of texts is given a type by :meth:`rules`; not if the user said that it is text."""
        return True

    def for_path(self, path: str) -> FileFormat:  # noqa: ARG002
        """The format as it is used to write the object at ``path``."""
        return self

    def extension(self) -> str:
        """The ending of the names of new parts."""
        return self.extensions[0]

    # --- what the contract asks for -----------------------------------------------------------------------------------

    def read_object(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None = None) -> Any:
        """The frame in ``file``; see :class:`odibi.contracts.format.Format`."""
        from odibi_pandas.frames import from_table
        from odibi_pandas.survey import Survey

        table = self.load(file, name=name, columns=columns if columns is not None else self.columns)
        survey = Survey(self)
        survey.add(table, name)
        return from_table(survey.layout().settle(table, name))

    def read_object_chunks(
        self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None = None
    ) -> Iterator[Any]:
        """As :meth:`read_object`, in order, about ``rows`` rows at a time."""
        from odibi_pandas.frames import from_table
        from odibi_pandas.survey import Survey

        columns = columns if columns is not None else self.columns
        survey = Survey(self)
        schema = self.peek(file, name=name, columns=columns)
        if schema is not None:
            survey.add(schema.empty_table(), name)
        else:
            for table in self.load_chunks(file, rows, name=name, columns=columns):
                survey.add(table, name)
        layout = survey.layout()
        file.seek(0)
        for table in self.load_chunks(file, rows, name=name, columns=columns):
            yield from_table(layout.settle(table, name))

    def write_object(self, frame: Any, file: BinaryIO) -> None:
        """Write all of ``frame`` to ``file``."""
        self.write_object_chunks(iter([frame]), file)

    def write_object_chunks(self, frames: Iterator[Any], file: BinaryIO) -> int:
        """Write frames of one schema one after another as one object; returns the number of rows."""
        from odibi_pandas.frames import to_table

        first = next(frames, None)
        if first is None:
            raise DataError(
                f"there is nothing to write as {self.title}", remedy="Give at least one frame; it may have no rows."
            )
        if not len(first.columns) and len(first):
            raise DataError(
                f"the frame has {len(first):,} rows but no columns, which no file can hold",
                remedy="Keep a column in the step before.",
            )
        source = _Source(to_table(first), frames)
        try:
            self.dump(iter(source), source.schema, file)
        except OdibiError:
            raise
        except Exception as error:
            if error is source.error:
                raise  # whoever makes the frames failed, not the writing of them
            raise _unwritable(self.title, source.schema, error) from error
        return source.rows


class _Source:
    """The tables to be written, of one schema; counts rows, and remembers what the maker of the frames raised."""

    def __init__(self, first: pa.Table, frames: Iterator[Any]) -> None:
        self.schema = first.schema
        self.rows = 0
        self.error: Exception | None = None
        self._first = first
        self._frames = frames

    def __iter__(self) -> Iterator[pa.Table]:
        from odibi_pandas.frames import to_table

        table = self._first
        while table is not None:
            self.rows += table.num_rows
            yield table
            try:
                frame = next(self._frames, None)
            except Exception as error:
                self.error = error
                raise
            table = None if frame is None else fitted(to_table(frame), self.schema)


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """``table`` with the columns and types of ``schema``.

    Raises:
        DataError: it cannot have them.
    """
    import pyarrow as pa

    if table.schema.equals(schema):
        return table
    if set(table.column_names) != set(schema.names):
        raise DataError(
            "the chunks have different columns", remedy=f"Each must have {', '.join(schema.names)}; see the steps."
        )
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"the chunks have different types: {first_line(error)}", remedy="Cast the column in a step."
        ) from error


def sliced(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    """``table`` in pieces of ``rows`` rows; one piece if it has none."""
    yield table.slice(0, rows)
    for begin in range(rows, table.num_rows, rows):
        yield table.slice(begin, rows)


def rechunked(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Tables of ``rows`` rows each, the last one smaller, from tables of any size."""
    import pyarrow as pa

    held: list[pa.Table] = []
    count = 0
    first = True
    for table in tables:
        held.append(table)
        count += table.num_rows
        while count >= rows:
            whole = pa.concat_tables(held)
            yield whole.slice(0, rows)
            first = False
            rest = whole.slice(rows)
            held, count = [rest], rest.num_rows
    if held and (count or first):
        yield pa.concat_tables(held)


def chosen(names: Sequence[str], columns: Sequence[str] | None, name: str) -> list[str]:
    """Which of the columns ``names`` of the object ``name`` to read.

    Raises:
        DataError: a wanted column is not there.
    """
    if columns is None:
        return list(names)
    for column in columns:
        if column not in names:
            close = difflib.get_close_matches(column, names, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise DataError(
                f"there is no column {column!r}", where=name, remedy=f"{hint}The columns are: {', '.join(names)}."
            )
    return list(columns)


@contextmanager
def reading(title: str, name: str, remedy: str = "") -> Iterator[None]:
    """Let nothing but an :class:`~odibi.errors.OdibiError` escape from the library that reads ``name``."""
    try:
        yield
    except OdibiError:
        raise
    except Exception as error:  # the libraries raise whatever comes up while they decode bytes that make no sense
        raise DataError(
            f"this is not valid {title}: {first_line(error)}",
            where=name,
            remedy=remedy or "Check that the file is whole and that 'format' is right.",
        ) from error


def _unwritable(title: str, schema: pa.Schema, error: Exception) -> DataError:
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    return DataError(
        f"the frame cannot be written as {title}: {first_line(error)}",
        remedy=f"Cast or drop the column before, or use another format. The columns are: {columns}.",
    )


def first_line(error: BaseException) -> str:
    """What a library says, in one line and without its full stop; its class if it says nothing."""
    text = str(error).strip().split("\n", 1)[0].strip().rstrip(".")
    return text or type(error).__name__
