"""The names of datasets, by OpenLineage's conventions (https://openlineage.io/docs/spec/naming).

Whoever else reads or writes the same data (Spark, Airflow, dbt) has to come to the same name, or the lineage breaks.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_PATTERN = frozenset("*?[")


class Dataset(NamedTuple):
    """Where data is: a namespace, and a name in it."""

    namespace: str
    name: str


def dataset_of(uri: str) -> Dataset | None:
    """The dataset at an address; ``None`` if it is no address.

    A password, a query and a fragment are left out: they may hold secrets, and are no part of the name. Of a pattern,
    it is the folder in which it looks, since that is what others write.

    Args:
        uri: as a storage says it.
    """
    parts = urlsplit(uri)
    if not parts.scheme:
        return None
    steps: list[str] = []
    for step in unquote(parts.path).split("/"):
        if _PATTERN.intersection(step):
            break
        if step:
            steps.append(step)
    path = "/".join(steps)
    if parts.scheme == "file":
        return Dataset("file", f"/{path}")
    user, at, host = parts.netloc.rpartition("@")
    # In abfss://CONTAINER@ACCOUNT, what stands before the @ is no user.
    place = f"{user}@{host}" if at and ":" not in user else host
    if parts.scheme in ("hdfs", "viewfs", "dbfs"):
        return Dataset(f"{parts.scheme}://{place}" if place else parts.scheme, f"/{path}")
    return Dataset(f"{parts.scheme}://{place}", path or "/")
