"""Sources to frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

import attrs

from odibi.errors import DataError, OdibiError
from odibi_pandas import partitions
from odibi_pandas.bounds import within
from odibi_pandas.formats.base import FileFormat, chosen, rechunked
from odibi_pandas.frames import from_table, to_table
from odibi_pandas.snapshot import Changed, snapshot
from odibi_pandas.survey import Layout, Survey

if TYPE_CHECKING:
    import pyarrow as pa

    from odibi.contracts import Bound
    from odibi.contracts.engine import Engine
    from odibi.contracts.finding import Part
    from odibi.contracts.format import Format, Source

T = TypeVar("T")

CHUNK = 1 << 16
"""Rows that are looked at together when only some of them are meant."""

_TRIES = 5
"""How often a source is read from the start when its parts are replaced meanwhile."""

_ENDINGS = {
    "csv": (".csv", ".tsv"),
    "json": (".json", ".jsonl", ".ndjson"),
    "parquet": (".parquet", ".pq"),
    "excel": (".xlsx", ".xlsm", ".xls"),
    "avro": (".avro",),
    "arrow": (".arrow", ".ipc"),
    "feather": (".feather",),
    "orc": (".orc",),
}


def read(source: Source, engine: Engine) -> Any:
    """The data at ``source`` as one frame; see :meth:`odibi.contracts.Engine.read`."""
    if not hasattr(source.format, "read_object"):
        return _table(source, engine)
    return persistently(lambda: _read(source))


def persistently(attempted: Callable[[], T]) -> T:
    """What ``attempted`` returns once the parts stay as they are while it reads them."""
    attempt = 1
    while True:
        try:
            return attempted()
        except Changed:
            if attempt == _TRIES:
                raise
            attempt += 1


def read_chunks(source: Source, rows: int, engine: Engine) -> Iterator[Any]:
    """The same in frames of ``rows`` rows; see :meth:`odibi.contracts.Engine.read_chunks`."""
    if rows < 1:
        raise DataError("chunk_rows must be 1 or more", where=str(source))
    if not hasattr(source.format, "read_object"):
        yield from _cut(_table(source, engine), rows)
        return
    attempt = 1
    while True:
        begun = False
        try:
            for frame in _read_chunks(source, rows):
                begun = True
                yield frame
        except Changed:
            # Rows that were handed out cannot be taken back.
            if begun or attempt == _TRIES:
                raise
            attempt += 1
        else:
            return


def _table(source: Source, engine: Engine) -> Any:
    """All of a format that looks after its own objects, or of its rows those that are meant."""
    frame = source.format.read(source, engine)  # type: ignore[union-attr]
    if source.after is None:
        return frame
    return from_table(within(to_table(frame), source.after, str(source)))


def _read(source: Source) -> Any:
    import pyarrow as pa

    if source.after is not None:
        # What is passed over is never in memory at once.
        return from_table(pa.concat_tables(_tables(source, CHUNK)))
    with _reader(source) as reader:
        survey = reader.survey()
        loaded = []
        for part in reader.parts:
            table = reader.load(part)
            survey.add(table, reader.name(part))
            loaded.append(table)
        layout = survey.layout()
        tables = []
        for part, table in zip(reader.parts, loaded, strict=True):
            tables.append(reader.completed(layout.settle(table, reader.name(part)), part))
        return from_table(reader.ordered(pa.concat_tables(tables)))


def _read_chunks(source: Source, rows: int) -> Iterator[Any]:
    for table in rechunked(_tables(source, rows), rows):
        yield from_table(table)


def _tables(source: Source, rows: int) -> Iterator[pa.Table]:
    """The rows that are meant, of ``rows`` at a time; at least one table."""
    with _reader(source) as reader:
        yield from reader.settled(rows, reader.surveyed(rows).layout())


@contextmanager
def _reader(source: Source) -> Iterator[Reader]:
    format_ = own(source.format)  # type: ignore[arg-type]
    with snapshot(source, partitioned=format_.partition_columns) as parts:
        yield Reader(source, format_, parts)


def _cut(frame: Any, rows: int) -> Iterator[Any]:
    for begin in range(0, max(len(frame), 1), rows):
        yield frame.iloc[begin : begin + rows]


@attrs.frozen
class _Foreign(FileFormat):
    """A format of another package, by the contract alone."""

    format: Any = None

    def load(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Table:
        return to_table(self.format.read_object(file, name=name, columns=columns))

    def load_chunks(self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        for frame in self.format.read_object_chunks(file, rows, name=name, columns=columns):
            yield to_table(frame)


def own(format_: Format) -> FileFormat:
    """The format as one of this package."""
    return format_ if isinstance(format_, FileFormat) else _Foreign(format=format_)


class Parts(Protocol):
    """Where a reader has its parts from, such as a :class:`~odibi_pandas.snapshot.Snapshot`."""

    parts: list[Part]

    def open(self, part: Part) -> AbstractContextManager[BinaryIO]:
        """The part as a file at its start."""
        ...


class Reader:
    """The parts of one source, and what they have in common."""

    def __init__(self, source: Source, format_: FileFormat, snapshot: Parts) -> None:
        self._source = source
        self._format = format_
        self._snapshot = snapshot
        self.parts = snapshot.parts
        self._partitions = {
            column: partitions.type_of({part.partition[column] for part in self.parts})
            for column in self.parts[0].partition
        }
        wanted = source.columns if source.columns is not None else self._format.columns
        self._wanted_all = wanted
        self._columns = None if wanted is None else [it for it in wanted if it not in self._partitions]

    def name(self, part: Part) -> str:
        """What to call a part in an error."""
        return f"{self._source.connection}:{part.path}"

    def survey(self) -> Survey:
        """An empty survey."""
        return Survey(self._format)

    def load(self, part: Part) -> pa.Table:
        """All of a part."""
        with self._snapshot.open(part) as file:
            try:
                return self._format.load(file, name=self.name(part), columns=self._wanted(file, part))
            except DataError as error:
                raise self._hinted(error, part) from error.__cause__

    def load_chunks(self, part: Part, rows: int, bound: Bound | None = None) -> Iterator[pa.Table]:
        """Some rows of a part at a time; of those that ``bound`` does not mean, some may be passed over."""
        with self._snapshot.open(part) as file:
            try:
                wanted, name = self._wanted(file, part), self.name(part)
                if bound is None:
                    yield from self._format.load_chunks(file, rows, name=name, columns=wanted)
                else:
                    yield from self._format.load_within(file, rows, name=name, columns=wanted, bound=bound)
            except DataError as error:
                raise self._hinted(error, part) from error.__cause__

    def surveyed(self, rows: int, known: Mapping[str, str | None] | None = None) -> Survey:
        """What all parts have in common, looked at ``rows`` rows at a time; ``known`` as for :class:`Survey`."""
        survey = Survey(self._format, known)
        for part in self.parts:
            self.look_at(part, rows, survey)
        return survey

    def settled(self, rows: int, layout: Layout) -> Iterator[pa.Table]:
        """The rows that are meant as ``layout`` says, of ``rows`` at a time; at least one table."""
        bound = self._source.after
        for part in self.parts:
            for table in self.load_chunks(part, rows, bound):
                whole = self.completed(layout.settle(table, self.name(part)), part)
                if bound is not None:
                    whole = within(whole, bound, self.name(part))
                yield self.ordered(whole)

    def look_at(self, part: Part, rows: int, survey: Survey) -> None:
        """Take a part into the survey, from its schema if the format knows it without reading all."""
        with self._snapshot.open(part) as file:
            try:
                schema = self._format.peek(file, name=self.name(part), columns=self._wanted(file, part))
            except DataError as error:
                raise self._hinted(error, part) from error.__cause__
        if schema is not None:
            survey.add(schema.empty_table(), self.name(part))
            return
        for table in self.load_chunks(part, rows):
            survey.add(table, self.name(part))

    def completed(self, table: pa.Table, part: Part) -> pa.Table:
        """``table`` with the columns that the part's folders say."""
        import pyarrow as pa

        for column, kind in self._partitions.items():
            if column in table.column_names:
                raise DataError(
                    f"column {column!r} is in the file and in the name of its folder",
                    where=self.name(part),
                    remedy="Set partition_columns: false to use the one in the file.",
                )
            value = part.partition[column]
            scalar = pa.scalar(None, kind) if value is None else pa.scalar(value).cast(kind)
            table = table.append_column(column, pa.repeat(scalar, table.num_rows))
        return table

    def ordered(self, table: pa.Table) -> pa.Table:
        """The wanted columns in the wanted order."""
        if self._wanted_all is None:
            return table
        return table.select(chosen(table.column_names, self._wanted_all, str(self._source)))

    def _wanted(self, file: BinaryIO, part: Part) -> Sequence[str] | None:
        """The columns to ask a part for; with ``union_by_name`` one that lacks some is asked for what it has."""
        if not self._columns:
            return None  # no column of the file at all: something must still tell how many rows there are
        if not self._format.union_by_name:
            return self._columns
        schema = self._format.peek(file, name=self.name(part), columns=None)
        file.seek(0)
        return None if schema is None else [it for it in self._columns if it in schema.names]

    def _hinted(self, error: DataError, part: Part) -> OdibiError:
        """The error with a hint at the format that the part's name means, if that is another."""
        lower = part.path.lower()
        ours = _ENDINGS.get(self._source.format_name, self._format.extensions)
        if any(ending in lower for ending in ours):
            return error
        other = next((name for name, endings in _ENDINGS.items() if lower.endswith(endings)), None)
        if other is not None:
            error.remedy += f" The name means {other}, but it is read as {self._source.format_name}."
        return error
