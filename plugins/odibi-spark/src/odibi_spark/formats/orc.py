"""ORC, by Spark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import attrs

from odibi import option
from odibi_spark.formats.base import FileFormat


@attrs.frozen
class OrcFormat(FileFormat):
    """Columns with their types, compressed; reads the wanted columns alone."""

    spark_name: ClassVar[str] = "orc"
    extensions: ClassVar[tuple[str, ...]] = (".orc",)
    exact: ClassVar[bool] = True

    compression: Literal["snappy", "zstd", "zlib", "lz4", "none"] = option(
        "zstd", help="Of what is written.", only="write"
    )
    union_by_name: bool = option(
        False, help="Whether parts may have different columns; what one lacks is null.", only="read"
    )

    def read_options(self) -> Mapping[str, Any]:
        """What Spark's reader is told."""
        return {"mergeSchema": self.union_by_name}

    def write_options(self) -> Mapping[str, Any]:
        """What Spark's writer is told."""
        return {"compression": self.compression}
