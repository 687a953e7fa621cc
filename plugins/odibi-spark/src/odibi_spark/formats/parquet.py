"""Parquet, by Spark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from odibi import option
from odibi_spark.formats.base import FileFormat, quoted

if TYPE_CHECKING:
    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source

_INDEX = re.compile(r"__index_level_\d+__")


def _positive(_: Any, __: Any, value: int) -> None:
    if value < 1:
        raise ValueError("must be 1 or more")


@attrs.frozen
class ParquetFormat(FileFormat):
    """Columns with their types, compressed; reads the wanted columns alone.

    The nameless index that pandas may have put into a file is left out.
    """

    spark_name: ClassVar[str] = "parquet"
    extensions: ClassVar[tuple[str, ...]] = (".parquet", ".pq", ".parq")
    title: ClassVar[str] = "Parquet"
    exact: ClassVar[bool] = True

    compression: Literal["snappy", "zstd", "gzip", "lz4", "brotli", "none"] = option(
        "snappy", help="Of what is written. brotli takes a library of its own on Spark.", only="write"
    )
    row_group_size: int = option(
        1 << 20,
        help="Rows that are stored together, the least that a reader can take.",
        only="write",
        validator=_positive,
    )

    def read_options(self) -> Mapping[str, Any]:
        """What Spark's reader is told."""
        return {"mergeSchema": self.union_by_name}

    def write_options(self) -> Mapping[str, Any]:
        """What Spark's writer is told."""
        codec = "lz4_raw" if self.compression == "lz4" else self.compression
        return {"compression": codec, "parquet.block.row.count.limit": self.row_group_size}

    def load(self, source: Source, parts: Sequence[Part], engine: Any, wanted: Sequence[str] | None) -> Any:
        """The frame of all parts."""
        frame = FileFormat.load(self, source, parts, engine, wanted)
        index = [name for name in frame.columns if _INDEX.fullmatch(name)]
        return frame.drop(*(frame[quoted(name)] for name in index)) if index else frame
