"""ORC, by pyarrow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import attrs

from odibi import option
from odibi_pandas.formats.base import FileFormat, chosen, reading, rechunked

if TYPE_CHECKING:
    import pyarrow as pa

_IN_MEMORY = 16 << 20
"""Bytes of an object that are kept in memory before they are written; more of them go to a temporary file."""


@attrs.frozen
class OrcFormat(FileFormat):
    """Hive's columnar format; reads the wanted columns alone.

    Has no durations and no time of day; moments have nanoseconds, and unsigned integers become signed ones.
    """

    extensions: ClassVar[tuple[str, ...]] = (".orc",)
    title: ClassVar[str] = "ORC"

    compression: Literal["none", "snappy", "zlib", "lz4", "zstd"] = option(
        "zstd", help="Of what is written.", only="write"
    )

    def load(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Table:
        """All rows of the wanted columns."""
        import pyarrow as pa

        return pa.concat_tables(list(self._stripes(file, name, columns)))

    def load_chunks(self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        """The same, some rows at a time; a stripe is held in memory."""
        return rechunked(self._stripes(file, name, columns), rows)

    def peek(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None) -> pa.Schema | None:
        """The schema that the file holds."""
        return next(self._stripes(file, name, columns)).schema

    def dump(self, tables: Iterator[pa.Table], schema: pa.Schema, file: BinaryIO) -> None:
        """One file of stripes."""
        import pyarrow as pa
        from pyarrow import orc

        codec = "uncompressed" if self.compression == "none" else self.compression
        known = pa.schema([field.with_type(_known(field.type)) for field in schema])
        if any(pa.types.is_nested(field.type) for field in schema):
            # pyarrow's writer loses nulls of structs but in a single, unsliced chunk: these are written in one go.
            whole = pa.concat_tables(list(tables))
            tables = iter([whole.take(pa.array(range(whole.num_rows), pa.int64())).combine_chunks()])
        # ORC's library ends the process when a file fails while it closes it: so it writes to one that does not.
        with SpooledTemporaryFile(_IN_MEMORY) as whole:
            with orc.ORCWriter(whole, compression=codec) as writer:
                for table in tables:
                    writer.write(table.cast(known))
            whole.seek(0)
            shutil.copyfileobj(whole, file)

    def _stripes(self, file: BinaryIO, name: str, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        import pyarrow as pa
        from pyarrow import orc

        with reading(self.title, name), _own_errors(file) as kept:
            source = orc.ORCFile(kept)
            wanted = chosen(source.schema.names, columns, name)
            yield pa.schema([source.schema.field(column) for column in wanted]).empty_table()
            for at in range(source.nstripes):
                batch = source.read_stripe(at, columns=wanted)
                batch.validate(full=True)
                yield pa.Table.from_batches([batch]).select(wanted).replace_schema_metadata(None)


def _known(kind: pa.DataType) -> pa.DataType:
    """The nearest type that ORC has."""
    import pyarrow as pa

    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_unsigned_integer(kind):
        return {8: pa.int16(), 16: pa.int32()}.get(kind.bit_width, pa.int64())
    return kind


class _Remembering:
    """A file that keeps what it raised."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except Exception as error:
            self.error = error
            raise


@contextmanager
def _own_errors(file: BinaryIO) -> Iterator[_Remembering]:
    """Raise what the file raised: ORC's library makes an error of its own of it, which looks like a fault of the data.

    Then a storage that could not be reached for a moment is asked again.
    """
    kept = _Remembering(file)
    try:
        yield kept
    except Exception as error:
        if kept.error is not None and error is not kept.error:
            raise kept.error from error
        raise
