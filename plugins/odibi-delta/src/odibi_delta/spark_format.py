"""``format: delta`` for the Spark engine: by Delta's own jars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi_delta.options import DeltaOptions

if TYPE_CHECKING:
    from odibi.contracts.engine import Engine
    from odibi.contracts.format import Source, Target, WriteReport

# pyspark is imported where it is used: this module is also read to learn the format's options.


@attrs.frozen
class SparkDeltaFormat(DeltaOptions):
    """A Delta table, read and written by Spark: transactions, time travel, change data feed, upserts."""

    capabilities: ClassVar[Mapping[str, str]] = {
        "chunks": "none: Spark itself cuts the data into parts",
        "version": "full",
    }
    spark_packages: ClassVar[tuple[str, ...]] = ("io.delta:{delta}",)
    spark_conf: ClassVar[Mapping[str, str]] = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    }

    def read(self, source: Source, engine: Engine) -> Any:
        """The table as a frame: all of it as it is or as it was, or what changed."""
        from odibi_delta.spark_reading import read

        return read(source, self, engine)

    def write(self, frame: Any, target: Target, engine: Engine) -> WriteReport:  # noqa: ARG002 - the frame has its session
        """Commit the frame to the table, in one step that readers see whole."""
        from odibi_delta.spark_writing import write

        return write(frame, target, self)

    def version(self, source: Source) -> str | None:
        """A text that changes whenever what would be read does; found in the table's log, without Spark."""
        from odibi_delta.reading import data_version
        from odibi_delta.spark_places import place_of

        return data_version(place_of(source), self)
