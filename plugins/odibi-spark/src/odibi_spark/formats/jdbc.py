"""Databases over JDBC, by Spark."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import unquote, unquote_plus

import attrs

from odibi import option
from odibi.contracts.format import WriteMode, WriteReport
from odibi.errors import DataError, NotFound, OdibiError, PluginBroken
from odibi_spark.failures import told
from odibi_spark.formats.base import chosen, quoted
from odibi_spark.kinds import functions_for, observation_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.contracts.format import Source, Target

_KEYED = (WriteMode.APPEND_ONCE, WriteMode.UPSERT)
_PLAIN = ("url", "driver", "packages")
_MISSING = ("does not exist", "not found", "no such table", "Invalid object name", "doesn't exist")


def _positive(_: Any, __: Any, value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError("must be 1 or more")


@attrs.frozen
class JdbcFormat:
    """Tables and queries of a database that has a JDBC driver.

    The connection says where the database is: its ``native_options("jdbc")`` has ``url`` (``jdbc:postgresql://...``)
    and ``driver`` (the name of a class), and besides them what the driver is to be told, such as ``user`` and
    ``password``. What the driver comes in stands in ``packages`` of its ``native_options("spark")``, which the session
    loads when it starts.

    A table is read by one task, unless ``partition_column`` cuts it into several. Each task of Spark writes in a
    transaction of its own: an append that fails half way leaves what other tasks wrote, so that it is not retried.
    ``overwrite`` empties the table, and keeps its columns, indexes and rights; readers see it empty meanwhile.
    """

    capabilities: ClassVar[Mapping[str, str]] = {
        "merge": "none: Spark's JDBC has no merge; a table format such as delta has",
    }
    exact: ClassVar[bool] = False
    foreign_order: ClassVar[bool] = True
    """Filters are evaluated by the database, whose texts may have another order than Spark's."""

    partition_column: str | None = option(
        None,
        help="A column of numbers, dates or moments with a zone by which the table is cut into parts.",
        only="read",
    )
    lower_bound: str | int | None = option(
        None, help="Where the second part begins, about; with partition_column.", only="read"
    )
    upper_bound: str | int | None = option(
        None, help="Where the last part ends, about; with partition_column. No row is left out.", only="read"
    )
    num_partitions: int | None = option(
        None, help="How many tasks, and so connections, work at once.", validator=_positive
    )
    fetch_size: int | None = option(
        10_000, help="Rows that come over at once; null leaves it to the driver.", only="read", validator=_positive
    )
    batch_size: int = option(1000, help="Rows that are written at once.", only="write", validator=_positive)
    isolation_level: Literal["none", "read_uncommitted", "read_committed", "repeatable_read", "serializable"] = option(
        "read_committed", help="Of the transactions that write.", only="write"
    )
    column_types: str | None = option(
        None,
        help="The database's types of columns of a new table, such as 'name varchar(64), amount decimal(10, 2)'.",
        only="write",
    )

    def read(self, source: Source, engine: Any) -> Any:
        """The rows of the table, or of the query."""
        where = f"{source.connection}:{source.table or 'query'}"
        if source.path is not None or (source.table is None) == (source.query is None):
            raise DataError(
                "the format 'jdbc' reads a table or a query",
                where=where,
                remedy="Give 'table' or 'query', and no path.",
            )
        known = _known(source.storage, where)
        with _secretly(known), told(where, data=True), _missing_told(where, table=source.table is not None):
            reader = engine.native.read.format("jdbc").options(**known).options(**self._cut(where))
            if self.fetch_size is not None:
                reader = reader.option("fetchsize", str(self.fetch_size))
            if source.table is not None:
                reader = reader.option("dbtable", source.table)
            elif self.partition_column is not None:
                reader = reader.option("dbtable", f"({str(source.query).strip().rstrip(';')}) q")
            else:
                reader = reader.option("query", str(source.query).strip().rstrip(";"))
            frame = reader.option("preferTimestampNTZ", "true").load()
        return frame if source.columns is None else chosen(frame, source.columns, where)

    def write(self, frame: Any, target: Target, engine: Any) -> WriteReport:
        """Write the rows to the table as ``target.mode`` says."""
        where = f"{target.connection}:{target.table or target.path}"
        if target.table is None:
            raise DataError(
                "the format 'jdbc' writes a table", where=where, remedy="Give 'table', which may name a schema."
            )
        if target.mode in _KEYED:
            raise DataError(
                f"mode {target.mode.value} is not possible over JDBC: Spark has no merge for databases",
                where=where,
                remedy="Append to a table beside it, and merge the two in the database; or use 'format: delta'.",
            )
        if target.partition_by:
            raise DataError("a table of a database has no folders", where=where, remedy="Leave out partition_by.")
        known = _known(target.storage, where)
        if target.mode in (WriteMode.ERROR, WriteMode.IGNORE) and self._is_there(
            known, str(target.table), engine, where
        ):
            if target.mode is WriteMode.IGNORE:
                return WriteReport(rows=0, skipped=True)
            raise DataError(
                "there is a table already", where=where, remedy="Choose another table, or mode overwrite or append."
            )
        f = functions_for(frame)
        seen = observation_for(frame)
        with _secretly(known), told(where), _missing_told(where, table=False):
            observed = frame.observe(seen, f.count(f.lit(1)).alias("rows"))
            mode = "overwrite" if target.mode is WriteMode.OVERWRITE else "append"
            writer = observed.write.format("jdbc").mode(mode).options(**known)
            writer = writer.options(
                dbtable=str(target.table),
                truncate="true",
                batchsize=str(self.batch_size),
                isolationLevel=self.isolation_level.upper(),
            )
            if self.num_partitions is not None:
                writer = writer.option("numPartitions", str(self.num_partitions))
            if self.column_types is not None:
                writer = writer.option("createTableColumnTypes", self.column_types)
            writer.save()
            rows = seen.get.get("rows")  # nothing, if a server of Connect has too much to do
        return WriteReport(rows=rows)

    def _is_there(self, known: Mapping[str, str], table: str, engine: Any, where: str) -> bool:
        with _secretly(known):
            try:
                with told(where, data=True), _missing_told(where, table=True):
                    engine.native.read.format("jdbc").options(**known).option("dbtable", table).load()
            except NotFound:
                return False
        return True

    def _cut(self, where: str) -> dict[str, str]:
        bounds = (self.lower_bound, self.upper_bound, self.num_partitions)
        if self.partition_column is None:
            if self.lower_bound is not None or self.upper_bound is not None:
                raise DataError(
                    "there are bounds, but no column that they are of", where=where, remedy="Give partition_column."
                )
            return {}
        if any(each is None for each in bounds):
            raise DataError(
                "partition_column takes lower_bound, upper_bound and num_partitions",
                where=where,
                remedy="Give all four; the bounds say where to cut, and leave no row out.",
            )
        return {
            "partitionColumn": quoted(self.partition_column)
            if not self.partition_column.isidentifier()
            else self.partition_column,
            "lowerBound": str(self.lower_bound),
            "upperBound": str(self.upper_bound),
            "numPartitions": str(self.num_partitions),
        }


def _known(storage: Any, where: str) -> dict[str, str]:
    """What Spark is told of the database."""
    found = {name: str(value) for name, value in storage.native_options("jdbc").items() if name != "packages"}
    if not found.get("url", "").startswith("jdbc:"):
        raise DataError(
            "the connection is no database over JDBC: it says no url that begins with jdbc:",
            where=where,
            remedy="Use a connection to a database, or another format.",
        )
    return found


@contextmanager
def _missing_told(where: str, *, table: bool) -> Iterator[None]:
    """A table that is not there is :class:`~odibi.errors.NotFound`, and a driver that is not is the user's to bring."""
    try:
        yield
    except OdibiError:
        raise
    except Exception as error:
        if "ClassNotFoundException" in str(error) or "No suitable driver" in str(error):
            raise PluginBroken(
                "the Spark session lacks the driver of the database",
                where=where,
                remedy="Name its package in the engine's option packages, or its jar in jars; a session that runs"
                " cannot load it.",
            ) from None
        if "Partition column type should be" in str(error):
            raise DataError(
                "the column of partition_column is neither a number, a date nor a moment with a zone",
                where=where,
                remedy="Take another column; in a query, a moment may be cast to a date.",
            ) from None
        if table and any(each in str(error) for each in _MISSING):
            raise NotFound("there is no such table", where=where, remedy="Check its name and schema.") from None
        raise


@contextmanager
def _secretly(known: Mapping[str, str]) -> Iterator[None]:
    """Let no error tell what the connection keeps to itself: a url may hold a password too."""
    try:
        yield
    except OdibiError as error:
        hidden = [value for name, value in known.items() if name not in _PLAIN and len(value) > 2]
        url = known["url"]
        after_host = url.partition("?")[2] or url.partition(";")[2]
        pieces = [piece.partition("=")[2] for piece in after_host.replace("&", ";").split(";")]
        login = url.partition("@")[0].rpartition("/")[2] if "@" in url else ""
        written = (*pieces, login, login.partition(":")[2])
        hidden += [piece for each in written for piece in (each, unquote_plus(each), unquote(each)) if len(piece) > 2]
        what, remedy = error.what, error.remedy
        for each in sorted(hidden, key=len, reverse=True):
            what, remedy = what.replace(each, "***"), (remedy or "").replace(each, "***")
        error.what, error.remedy = what, remedy
        error.args = tuple(arg if not isinstance(arg, str) else what for arg in error.args)
        raise
