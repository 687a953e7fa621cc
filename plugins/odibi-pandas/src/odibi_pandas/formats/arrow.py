"""Arrow IPC, as a file or a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import attrs

from odibi import option
from odibi.errors import DataError
from odibi_pandas.formats.base import FileFormat, chosen, reading, rechunked

if TYPE_CHECKING:
    import pyarrow as pa

_FILE = b"ARROW1"
_FEATHER_1 = b"FEA1"


@attrs.frozen
class ArrowFormat(FileFormat):
    """Arrow's own format; keeps every type. Files and streams are told apart by themselves."""

    extensions: ClassVar[tuple[str, ...]] = (".arrow", ".ipc", ".arrows")
    title: ClassVar[str] = "Arrow"
    exact: ClassVar[bool] = True

    compression: Literal["none", "lz4", "zstd"] = option("none", help="Of what is written.", only="write")
    stream: bool = option(False, help="Write a stream rather than a file, for readers that cannot seek.", only="write")

    def load(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Table:
        """All rows of the wanted columns."""
        import pyarrow as pa

        return pa.concat_tables(list(self._batches(file, name, columns)))

    def load_chunks(self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """The same, some rows at a time."""
        return rechunked(self._batches(file, name, columns), rows)

    def peek(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Schema | None:
        """The schema that the file holds."""
        return next(self._batches(file, name, columns)).schema

    def dump(self, tables: Iterator[pa.Table], schema: pa.Schema, file: BinaryIO) -> None:
        """One record batch for each chunk of the tables."""
        import pyarrow as pa

        from odibi_pandas.survey import marked

        codec = None if self.compression == "none" else self.compression
        options = pa.ipc.IpcWriteOptions(compression=codec, unify_dictionaries=True)
        new = pa.ipc.new_stream if self.stream else pa.ipc.new_file
        with new(file, marked(schema), options=options) as writer:
            for table in tables:
                writer.write_table(table)

    def _batches(self, file: BinaryIO, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        import pyarrow as pa

        file.seek(0)
        start = file.read(len(_FILE))
        file.seek(0)
        with reading(self.title, name):
            if start.startswith(_FEATHER_1):
                raise DataError(
                    "this is Feather of the first version, which Arrow no longer supports",
                    where=name,
                    remedy="Write it again with a recent pandas or R.",
                )
            is_file = start == _FILE
            source: Any = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
            wanted = chosen(source.schema.names, columns, name)
            schema = pa.schema([source.schema.field(column) for column in wanted])
            yield schema.empty_table()
            batches = (source.get_batch(at) for at in range(source.num_record_batches)) if is_file else source
            for batch in batches:
                # Arrow trusts what it reads: a damaged offset would take the whole process down later on.
                batch.validate(full=True)
                yield pa.Table.from_batches([batch]).select(wanted).replace_schema_metadata(None)
