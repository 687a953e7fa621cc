"""Looking after Delta tables: their history, old files, earlier versions, small files.

.. code-block:: python

    import odibi
    from odibi_delta.maintenance import Table

    project = odibi.load("odibi.yaml")
    orders = Table(project.resources().storage("lake"), "silver/orders")
    for entry in orders.history(limit=10):
        print(entry.version, entry.operation)
    orders.vacuum(dry_run=False)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs

from odibi.errors import DataError
from odibi_delta.checks import check_columns
from odibi_delta.failures import mapped
from odibi_delta.location import Location, location
from odibi_delta.log import Commit, iso
from odibi_delta.opening import opened, schema_of
from odibi_delta.options import LEAST_RETENTION, moment
from odibi_delta.turns import turn

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from odibi.contracts.storage import Storage


@attrs.frozen
class Entry:
    """A version of a table.

    Attributes:
        version: its number.
        committed: when, in UTC.
        operation: what was done, in the words of the writer (``WRITE``, ``MERGE``); empty if it did not say.
        parameters, metrics: more of that.
        files: data files that were added.
        bytes: of these.
        changes_data: whether a reader would notice.
    """

    version: int
    committed: datetime
    operation: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    files: int
    bytes: int
    changes_data: bool


@attrs.frozen
class Detail:
    """What a table is.

    Attributes:
        uri: its address.
        id: given to it when it was made.
        name, description: for people.
        version: the newest.
        created: when, in UTC; ``None`` if nobody noted it.
        columns: name to type, in Delta's words.
        partition_by: the columns of its partitions.
        properties: what is configured, such as ``delta.enableChangeDataFeed``.
        files, bytes: the data files of the newest version.
        rows: in them; ``None`` if some have no statistics.
        reader, writer: versions of the protocol that a reader and a writer must know.
        features: of the protocol that they must know beside.
    """

    uri: str
    id: str
    name: str | None
    description: str | None
    version: int
    created: datetime | None
    columns: Mapping[str, str]
    partition_by: tuple[str, ...]
    properties: Mapping[str, str]
    files: int
    bytes: int
    rows: int | None
    reader: int
    writer: int
    features: tuple[str, ...]


@attrs.frozen
class Vacuumed:
    """What a vacuum removed, or would.

    Attributes:
        paths: of the files, relative to the table.
        dry_run: whether they are still there.
    """

    paths: tuple[str, ...]
    dry_run: bool


@attrs.frozen
class Tidied:
    """What putting files together did.

    Attributes:
        added, removed: numbers of files.
        version: of the table, afterwards.
    """

    added: int
    removed: int
    version: int


@attrs.define
class Table:
    """A Delta table to look after.

    Args:
        storage: the connection.
        path: of the table in it.
        name: what errors call it; by default the path.
    """

    storage: Storage
    path: str
    name: str = ""
    _place: Location = attrs.field(init=False, repr=False)

    @_place.default
    def _find(self) -> Location:
        return location(self.storage, self.path, self.name or self.path)

    def history(self, limit: int | None = None) -> Sequence[Entry]:
        """The versions that are still in the log, the newest first.

        Raises:
            NotFound: there is no table.
        """
        log = self._place.log
        log.latest()
        times = log.times()
        found: list[Entry] = []
        for commit in log.backwards():
            if limit is not None and len(found) >= limit:
                break
            if commit.version in times:
                found.append(_entry(commit, times[commit.version]))
        return found

    def detail(self) -> Detail:
        """What the table is.

        Raises:
            NotFound: there is no table.
        """
        import pyarrow as pa

        table = opened(self._place)
        with self._mapped():
            about, protocol = table.metadata(), table.protocol()
            files = pa.table(table.get_add_actions())
            rows = files["num_records"].to_pylist() if "num_records" in files.column_names else [None] * len(files)
            columns = {field.name: _word(field.type) for field in table.schema().fields}
        features = {*(protocol.reader_features or ()), *(protocol.writer_features or ())}
        return Detail(
            uri=self._place.uri,
            id=str(about.id),
            name=about.name,
            description=about.description,
            version=table.version(),
            created=datetime.fromtimestamp(about.created_time / 1000, UTC) if about.created_time else None,
            columns=columns,
            partition_by=tuple(about.partition_columns),
            properties=dict(about.configuration),
            files=len(files),
            bytes=sum(files["size_bytes"].to_pylist()),
            rows=None if None in rows else sum(rows),
            reader=protocol.min_reader_version,
            writer=protocol.min_writer_version,
            features=tuple(sorted(features)),
        )

    def vacuum(self, hours: int = LEAST_RETENTION, *, dry_run: bool = True, force: bool = False) -> Vacuumed:
        """Remove the files that have not been part of the table for some time. Versions that had them are lost.

        Those that a killed writer left, which were never part of it, are among them.

        Args:
            hours: how long they have not.
            dry_run: tell which files these are, and remove none.
            force: allow fewer hours than 168: who still reads such a file, or writes one just now, fails or loses it.

        Raises:
            DataError: the hours are too few.
            NotFound: there is no table.
        """
        if hours < 0 or (hours < LEAST_RETENTION and not force):
            raise DataError(
                f"files that were removed less than {LEAST_RETENTION} hours ago may still be in use; asked for {hours}",
                where=self._place.where,
                remedy="Give 168 hours or more, or force it if nobody else uses the table.",
            )
        if not dry_run:
            self._place.check_writable()
        table = opened(self._place)
        place = self._place
        there = {stat.path[len(place.path) + 1 :] for stat in place.storage.list(place.path)}
        with self._mapped():
            found = table.vacuum(
                retention_hours=hours, dry_run=dry_run, enforce_retention_duration=not force, full=True
            )
        # delta-rs also names those that were removed before.
        paths = {path if path in there else unquote(path) for path in found} & there
        return Vacuumed(tuple(sorted(paths)), dry_run)

    def restore(self, *, version: int | None = None, timestamp: str | None = None) -> int:
        """Make the table what it was, as a new version; nothing is lost by that.

        Args:
            version: which one to go back to.
            timestamp: or the moment, as ISO text.

        Returns:
            The new version.

        Raises:
            DataError: there is no such version, its files are gone, or neither or both were given.
            NotFound: there is no table.
            Conflict: somebody else committed at the same time.
        """
        if (version is None) == (timestamp is None):
            raise DataError("give either a version or a timestamp to go back to", where=self._place.where)
        log = self._place.log
        if timestamp is not None:
            try:
                wanted = log.at(moment(timestamp))
            except ValueError as error:
                raise DataError(str(error), where=self._place.where) from None
        else:
            assert version is not None
            wanted = log.check_version(version)
        self._place.check_writable()
        table = opened(self._place)
        with self._mapped(), turn(self._place, alone=False):
            table.restore(wanted)
        return int(table.version())

    def optimize(self, zorder: Sequence[str] = (), *, target_size: int | None = None) -> Tidied:
        """Put small files together; the rows stay the same.

        Args:
            zorder: columns by which to sort the rows, so that readers that look for values of these open fewer files.
            target_size: bytes of a file, about.

        Raises:
            DataError: there is no such column.
            NotFound: there is no table.
            Conflict: somebody else removed rows at the same time.
        """
        self._place.check_writable()
        table = opened(self._place)
        check_columns(zorder, schema_of(table, self._place).names, self._place.where, "column to sort by:")
        with self._mapped(), turn(self._place, alone=False):
            sort = table.optimize.z_order
            told = sort(list(zorder), target_size=target_size) if zorder else table.optimize.compact(None, target_size)
        return Tidied(int(told["numFilesAdded"]), int(told["numFilesRemoved"]), int(table.version()))

    def _mapped(self) -> AbstractContextManager[None]:
        return mapped(self._place.where, self._place.options)


def as_data(value: Any) -> Any:
    """What the methods of :class:`Table` return, as JSON values."""
    if attrs.has(type(value)):
        return {field.name: as_data(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Mapping):
        return {str(key): as_data(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(each) for each in value]
    return value


def _entry(commit: Commit, time: datetime) -> Entry:
    info = commit.info
    return Entry(
        version=commit.version,
        committed=time,
        operation=str(info.get("operation", "")),
        parameters=info.get("operationParameters", {}),
        metrics=info.get("operationMetrics", {}),
        files=len(commit.added),
        bytes=sum(int(each.get("size", 0)) for each in commit.added),
        changes_data=commit.changes_data,
    )


def _word(kind: Any) -> str:
    """A type in Delta's words: ``long``, ``decimal(10,2)``, ``array``."""
    return str(getattr(kind, "type", kind))
