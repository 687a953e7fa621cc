"""What a table is, from its log alone: columns, partitions, properties, and which parts were appended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import DataError, NotFound
from odibi_delta.log import FOLDER

if TYPE_CHECKING:
    from odibi_delta.log import Log

_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\..*parquet")


@attrs.frozen
class Snapshot:
    """A version of a table.

    Attributes:
        version: its number.
        schema: the columns, as the JSON that Delta and Spark have for them.
        partition_by: the columns of its partitions.
        properties: what is configured.
        description: for people.
        transactions: application id to the last version that it noted.
    """

    version: int
    schema: str
    partition_by: tuple[str, ...]
    properties: Mapping[str, str]
    description: str | None
    transactions: Mapping[str, int]


def snapshot(log: Log) -> Snapshot | None:
    """The newest version; ``None`` if there is no table.

    Raises:
        DataError: the log is damaged.
    """
    for _ in range(3):
        try:
            return _newest(log)
        except NotFound:  # cleaned up while this looked
            continue
    return _newest(log)


def _newest(log: Log) -> Snapshot | None:
    commits = log.versions()
    checkpoints: dict[int, list[str]] = {}
    for stat in log.storage.list(f"{log.path}/{FOLDER}"):
        if found := _CHECKPOINT.fullmatch(stat.path.rpartition("/")[2]):
            checkpoints.setdefault(int(found[1]), []).append(stat.path)
    if not commits and not checkpoints:
        return None
    metadata: Mapping[str, Any] | None = None
    transactions: dict[str, int] = {}
    begin = max(checkpoints, default=-1)
    for path in checkpoints.get(begin, []):
        for action in _checkpointed(log, path):
            metadata = action.get("metaData") or metadata
            _note(action, transactions)
    for version in sorted(each for each in commits if each > begin):
        for action in log.commit(version).actions:
            metadata = action.get("metaData") or metadata
            _note(action, transactions)
    if metadata is None:
        raise DataError(
            "the log of the table does not say what its columns are",
            where=log.where,
            remedy="Restore the object from a backup.",
        )
    return Snapshot(
        version=max([*commits, begin]),
        schema=metadata["schemaString"],
        partition_by=tuple(metadata.get("partitionColumns") or ()),
        properties=dict(metadata.get("configuration") or {}),
        description=metadata.get("description"),
        transactions=transactions,
    )


def _note(action: Mapping[str, Any], transactions: dict[str, int]) -> None:
    if said := action.get("txn"):
        transactions[said["appId"]] = said["version"]


def _checkpointed(log: Log, path: str) -> list[Mapping[str, Any]]:
    """What a file of a checkpoint says of the table itself, and not of its data files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with log.storage.open(path) as file:
        try:
            found = pq.ParquetFile(file)
            wanted = [name for name in ("metaData", "txn") if name in found.schema_arrow.names]
            return list(found.read(columns=wanted, use_threads=False).to_pylist(maps_as_pydicts="lossy"))
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(
                f"the log of the table is damaged: {path} is no checkpoint: {type(error).__name__}",
                where=log.where,
                remedy="Restore this object from a backup.",
            ) from None
