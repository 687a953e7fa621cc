"""The pandas engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import attrs

from odibi import option

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from odibi.contracts.bounds import Bound, Value
    from odibi.contracts.engine import FrameInfo, Mark, Session
    from odibi.contracts.format import Source, Target, WriteReport

# pandas, pyarrow and duckdb are imported where they are used: this module is also read to learn the engine's options.


def _positive(_: Any, __: Any, value: int) -> None:
    if value < 1:
        raise ValueError("must be 1 or more")


@attrs.frozen(eq=False)
class PandasEngine:
    """Frames are pandas frames with Arrow-backed columns; SQL runs in DuckDB over the same memory.

    Frames that functions made may have any columns that pandas knows. Where a frame leaves pandas (into SQL, a file or
    another engine), named levels of its index become columns and an index without a name is left out.
    """

    frame_type: ClassVar[str] = "pandas:DataFrame"
    dialect: ClassVar[str] = "duckdb"
    capabilities: ClassVar[Mapping[str, str]] = {
        "bounds": "full",
        "keys": "full",
        "tails": "partial: of one CSV file in UTF-8, without compression, and with options that leave each row a"
        " meaning of its own",
    }

    threads: int = option(
        1,
        help="Threads for one query. With one, a query gives its rows in the same order each time; nodes run side by"
        " side all the same.",
        validator=_positive,
    )
    memory_limit: str | None = option(None, help="Memory for all queries together, such as 4GB; by default 80 %.")
    temp_directory: str | None = option(
        None, help="Where queries put what does not fit into memory; by default the system's.", is_path=True
    )
    sql_external_access: bool = option(False, help="Let queries read files and load extensions of DuckDB.")
    _database: Any = attrs.field(init=False, repr=False)

    @_database.default
    def _make_database(self) -> Any:
        from odibi_pandas.sql import Database

        return Database(
            threads=self.threads,
            memory_limit=self.memory_limit,
            temp_directory=self.temp_directory,
            external_access=self.sql_external_access,
        )

    def read(self, source: Source) -> Any:
        """The data at ``source`` as one frame."""
        from odibi_pandas.reading import read

        return read(source, self)

    def read_chunks(self, source: Source, rows: int) -> Iterator[Any]:
        """The same data in order, in frames of about ``rows`` rows."""
        from odibi_pandas.reading import read_chunks

        return read_chunks(source, rows, self)

    def write(self, frame: Any, target: Target) -> WriteReport:
        """Write ``frame`` as ``target`` says."""
        from odibi_pandas.writing import write

        return write(frame, target, self)

    def write_chunks(self, frames: Iterator[Any], target: Target) -> WriteReport:
        """Write frames of one schema one after another as one target."""
        from odibi_pandas.writing import write_chunks

        return write_chunks(frames, target)

    def sql(self, query: str, frames: Mapping[str, Any]) -> Any:
        """The result of a single query that sees ``frames`` under their names, and nothing else."""
        return self.session("sql").sql(query, frames)

    def session(self, node: str) -> Session:
        """A new namespace for one attempt of ``node``."""
        from odibi_pandas.sql import SqlSession

        return SqlSession(self._database, node)

    def share(self, frame: Any) -> Any:
        """A handle on the same data for one more reader, by pandas' copy on write.

        Two things go past pandas in the columns of a frame that a function made, and never in those of this engine:
        changing what lies inside a cell of an ``object`` column (a list, a dict), and writing to the ``array`` of a
        column of NumPy's.
        """
        return frame.copy(deep=False)

    def to_arrow(self, frame: Any) -> Any:
        """The frame as an Arrow table, without a copy of its Arrow-backed columns."""
        from odibi_pandas.frames import to_table

        return to_table(frame)

    def from_arrow(self, stream: Any) -> Any:
        """A frame from any object with ``__arrow_c_stream__``, without a copy."""
        import pyarrow as pa

        from odibi_pandas.frames import from_table

        return from_table(pa.table(stream))

    def write_arrow(self, frame: Any, file: BinaryIO) -> None:
        """Write the frame to ``file`` as one Arrow IPC file that gives it back as it was."""
        from odibi_pandas.stored.file import write

        write(frame, file)

    def read_arrow(self, data: memoryview) -> Any:
        """The frame that :meth:`write_arrow` wrote; its Arrow-backed columns share the memory of ``data``."""
        from odibi_pandas.stored.file import read

        return read(data)

    def newest(self, frame: Any, column: str) -> Any:
        """The greatest value of a column; ``None`` if it has none."""
        from odibi_pandas.bounds import newest

        return newest(frame, column)

    def read_from(self, source: Source, mark: Mark | None) -> tuple[Any, Mark | None]:
        """The rows that are meant, of what was appended since ``mark`` alone if that is the same."""
        if not hasattr(source.format, "read_object"):
            return self.read(source), None
        from odibi_pandas.tail import read_from

        return read_from(source, mark)

    def digests(self, frame: Any, key: Sequence[str], bound: Bound) -> Iterator[tuple[int, bytes, Value]]:
        """Place, digest of the key and value of each row that ``bound`` means."""
        from odibi_pandas.keys import digests

        return digests(frame, key, bound)

    def newest_of_each(self, frame: Any, key: Sequence[str], column: str) -> Any:
        """Of the rows that have one key, the one with the greatest value."""
        from odibi_pandas.keys import newest_of_each

        return newest_of_each(frame, key, column)

    def without(self, frame: Any, rows: Collection[int]) -> Any:
        """The frame without these rows."""
        from odibi_pandas.keys import without

        return without(frame, rows)

    def inspect(self, frame: Any) -> FrameInfo:
        """Rows and schema, without computing anything."""
        from odibi_pandas.frames import info

        return info(frame)

    def sample(self, frame: Any, n: int) -> Sequence[Mapping[str, Any]]:
        """Up to ``n`` rows as values that JSON has."""
        from odibi_pandas.frames import rows

        return rows(frame, n)

    def close(self) -> None:
        """Let go of DuckDB; may be called twice."""
        self._database.close()
