"""Results kept past this process, as Parquet in the storage of a cache."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from odibi.errors import DataError, StorageError
from odibi_spark.failures import on_damage, told
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
    place = address(storage, path)
    _offered[_plain(place)] = (storage, path)
    with told(f"a dataset of the cache at {path}", data=True):
        reader = spark.read.schema(schema).options(**settings(storage)).option("__globPaths__", "false")
        return reader.parquet(place)


_offered: dict[str, tuple[Storage, str]] = {}
"""The datasets that this process was given frames of, by their addresses."""


def _plain(address: str) -> str:
    """An address with one slash after its scheme, as not everybody writes as many."""
    scheme, _, rest = unquote(address).partition(":")
    return f"{scheme}:/{rest.lstrip('/')}"


def dropped(file: str) -> DataError | None:
    """Delete an object that cannot be read, if it is of a dataset: its result is then computed anew by the next run.

    Args:
        file: its address.

    Returns:
        What to say of it.
    """
    whole = _plain(file)
    for place, (storage, path) in list(_offered.items()):
        if whole.startswith(f"{place}/"):
            with suppress(StorageError):
                storage.delete(path + whole[len(place) :])
            return DataError(
                "a result in the cache is damaged",
                where=whole,
                remedy="It was removed from the cache; run again, and what was kept there is computed anew.",
            )
    return None


on_damage.append(dropped)
