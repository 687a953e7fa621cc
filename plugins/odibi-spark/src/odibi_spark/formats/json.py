"""JSON, by Spark: an object a line, which Spark can cut anywhere, or whole files of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from odibi import option
from odibi.errors import DataError
from odibi_spark.formats.base import FileFormat
from odibi_spark.formats.csv import compression_of, not_negative
from odibi_spark.formats.texts import check_encoding

if TYPE_CHECKING:
    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source, Target


def _records(_: Any, __: Any, value: str | None) -> None:
    if value not in (None, "records"):
        raise ValueError("only 'records' is read and written: objects with the columns' names as keys")


@attrs.frozen
class JsonFormat(FileFormat):
    """Objects, one a row: in an array, one a line, or one after another; which of them is found by itself.

    A column has the type of its values: truth values, numbers (floats if one is), texts, lists or objects. Texts that
    are all dates or moments in ISO 8601 become such. A column whose values have different types is an error, as is an
    integer too long for 64 bits; ``dtypes`` says what they are to be.

    The types take a look at all rows, which also finds what is wrong with them; ``schema`` spares it. A file that has
    not an object a line, or is not UTF-8, is read by one task. Other than on pandas, ``dtypes`` that make texts of
    numbers write them as Spark does (1.1 for 1.10), and ``max_rows`` takes any rows, where there are several parts.
    """

    spark_name: ClassVar[str] = "json"
    extensions: ClassVar[tuple[str, ...]] = (
        *(".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".json.bz2", ".json.zst", ".jsonl.zst"),
    )
    title: ClassVar[str] = "JSON"

    lines: bool | None = option(
        None, help="Write an object a line, as Spark always does. Reading finds it by itself.", only="write"
    )
    orient: str | None = option(None, help="Only 'records', the default.", validator=_records)
    max_rows: int | None = option(
        None, help="Read no more rows than this.", aliases=("nrows",), only="read", validator=not_negative
    )
    encoding: str = option("utf-8", help="Of the text; a byte order mark is found by itself.", validator=check_encoding)
    dtypes: Mapping[str, str] | None = option(
        None, help="Column to type, as for CSV.", aliases=("dtype", "types"), only="read"
    )
    dates: bool = option(
        True, help="Find dates and moments among texts.", aliases=("parse_dates", "convert_dates"), only="read"
    )
    schema: str | None = option(
        None,
        help="Spark alone: the columns with Spark's types, such as 'id bigint, tags array<string>'; then nothing is"
        " looked at before the rows are needed.",
        only="read",
    )
    compression: Literal["auto", "none", "gzip", "bz2", "zstd"] = option(
        "auto", help="Of what is written; auto goes by the name. Reading goes by the name too.", only="write"
    )

    def load(self, source: Source, parts: Sequence[Part], engine: Any, wanted: Sequence[str] | None) -> Any:
        """The frame of all parts; a look at all rows tells their types."""
        from odibi_spark.formats.json_read import frame_of

        frame = frame_of(self, source, parts, engine, wanted)
        return frame if self.max_rows is None else frame.limit(self.max_rows)

    def saved(self, frame: Any, target: Target, path: str, *, name: str, partition_by: Sequence[str]) -> int | None:
        """Write all rows to objects below ``path``; returns how many rows."""
        if self.lines is False:
            raise DataError(
                "Spark writes an object a line, and no arrays", where=str(target), remedy="Leave out lines: false."
            )
        codec: Any = compression_of(str(target.path)) if self.compression == "auto" else self.compression
        named = attrs.evolve(self, compression=codec)
        return FileFormat.saved(named, frame, target, path, name=name, partition_by=partition_by)

    def prepared(self, frame: Any, target: Target) -> Any:
        """Every value as JSON is to have it."""
        from odibi_spark.formats.json_write import as_json

        return as_json(self, frame, target)

    def write_options(self) -> Mapping[str, Any]:
        """What Spark's writer is told."""
        from odibi_spark.formats.csv import WRITTEN
        from odibi_spark.formats.csv_write import encoding_for

        return {
            "ignoreNullFields": False,
            "encoding": encoding_for(self.encoding, WRITTEN),
            "compression": {"auto": "none", "bz2": "bzip2"}.get(self.compression, self.compression),
        }
