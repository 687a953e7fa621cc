"""Results kept past this process, as Parquet in the storage of a cache."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from odibi_spark.failures import told
from odibi_spark.places import address, settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from odibi.contracts.storage import Storage


def write(frame: Any, storage: Storage, path: str) -> Mapping[str, Any]:
    """Write the frame below ``path``; returns what :func:`read` needs to know."""
    with told(f"a dataset of the cache at {path}"):
        frame.write.mode("append").options(**settings(storage)).parquet(address(storage, path))
    return {"schema": json.loads(frame.schema.json())}


def read(spark: Any, storage: Storage, path: str, known: Mapping[str, Any]) -> Any:
    """The frame that :func:`write` wrote; its objects are read when its rows are needed."""
    from pyspark.sql.types import StructType

    schema = StructType.fromJson(dict(known["schema"]))
    with told(f"a dataset of the cache at {path}", data=True):
        reader = spark.read.schema(schema).options(**settings(storage)).option("__globPaths__", "false")
        return reader.parquet(address(storage, path))
