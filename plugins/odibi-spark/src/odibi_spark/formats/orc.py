"""ORC, by Spark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import attrs

from odibi import option
from odibi_spark.formats.base import FileFormat


@attrs.frozen
class OrcFormat(FileFormat):
    """Hive's columnar format; reads the wanted columns alone.

    Moments have microseconds on Spark, and a moment that another program wrote without a zone has one here: ORC's own
    note of it is Spark's alone.
    """

    spark_name: ClassVar[str] = "orc"
    extensions: ClassVar[tuple[str, ...]] = (".orc",)
    title: ClassVar[str] = "ORC"
    exact: ClassVar[bool] = True

    compression: Literal["none", "snappy", "zlib", "lz4", "zstd"] = option(
        "zstd", help="Of what is written.", only="write"
    )

    def read_options(self) -> Mapping[str, Any]:
        """What Spark's reader is told."""
        return {"mergeSchema": self.union_by_name}

    def write_options(self) -> Mapping[str, Any]:
        """What Spark's writer is told."""
        return {"compression": self.compression}
