"""The conformance suites of this plugin, for ``pytest --odibi-conformance`` and for its own tests."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from odibi.testing.engine import EngineSuite
from odibi_spark.engine import SparkEngine
from odibi_spark.formats.parquet import ParquetFormat

if TYPE_CHECKING:
    from pathlib import Path

    from odibi.contracts.storage import Storage

SMALL = {
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.shuffle.partitions": "2",
}
"""Settings of a Spark that starts soon and does with little."""


class SparkEngineSuite(EngineSuite):
    """The engine, on a Spark in this process."""

    component = SparkEngine
    format = ParquetFormat
    format_name = "parquet"
    ordered: ClassVar[bool] = False
    through_storage: ClassVar[bool] = False
    slow: ClassVar[bool] = True
    slow_query: ClassVar[str] = (
        "SELECT count(*) AS n FROM range(4000000000000) AS r JOIN numbers ON numbers.id = r.id % 9000000000"
    )

    def make(self, place: Path) -> Any:  # noqa: ARG002 - it needs none
        """An engine; all of them share one session, that is started once."""
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        return SparkEngine(master="local[2]", conf=SMALL)

    def storage(self, place: Path) -> Storage:
        """A folder."""
        from odibi.testing.reference.files import FileStorage

        return FileStorage(str(place))
