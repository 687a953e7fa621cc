"""Frames of Spark to Delta tables.

Every write carries a token into its commit, by which the commit is found again in the log: what it did and how many
rows it wrote is read there, and nothing is counted. Who loses a race for a commit looks at the table anew and decides
anew.
"""

from __future__ import annotations

import json
import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from odibi.contracts.format import WriteMode, WriteReport
from odibi.errors import Conflict, OdibiError, StorageError
from odibi_delta.attempts import FIRST_ONLY, KEYED, Lost, beside_others, nothing, refused, until_won
from odibi_delta.checks import check_columns
from odibi_delta.durable import make_durable
from odibi_delta.snapshot import snapshot
from odibi_delta.spark_failures import told, wrong_property
from odibi_delta.spark_fitting import Fit, as_new, as_part, check_same_partitions, checked_keys, checked_partitions
from odibi_delta.spark_places import address, place_of, quoted, settings
from odibi_delta.spark_sessions import beside
from odibi_delta.transactions import VERSION, application_of, new_token
from odibi_delta.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from odibi.contracts.format import Target
    from odibi_delta.location import Location
    from odibi_delta.log import Commit
    from odibi_delta.options import DeltaOptions
    from odibi_delta.snapshot import Snapshot

_log = logging.getLogger("odibi_delta")

_FOLDERS_AT_ONCE = "64"
"""How many tasks a vacuum has to look for files; Spark's default of 10,000 is for far larger tables."""


_VALUE = re.compile(r'For input string: "([^"\n]*)"|(\S+) is not a valid INTERVAL')
"""How Spark refuses the value of a property."""


def write(frame: Any, target: Target, options: DeltaOptions) -> WriteReport:
    """Write ``frame`` as ``target`` says; see :class:`odibi.contracts.format.WriteMode`."""
    place = place_of(target)
    options.check_mode(target.mode, place.where)
    if options.target_file_size is not None and not options.optimize:
        _log.warning("%s: on Spark, target_file_size counts for 'optimize' alone", place.where)
    _warn_of_others(place, frame.sparkSession)
    report = _Write(place, target, options, frame).report()
    if not report.skipped:
        _look_after(place, options, frame.sparkSession)
    return report


class _Write:
    """One frame on its way to one table."""

    def __init__(self, place: Location, target: Target, options: DeltaOptions, frame: Any) -> None:
        self._place = place
        self._where = place.where
        self._target = target
        self._mode = target.mode
        self._options = options
        self._frame = frame
        self._token = new_token()

    def report(self) -> WriteReport:
        """Do it, as often as others are faster."""
        return until_won(self._once, self._where)

    def _once(self) -> WriteReport:
        there = snapshot(self._place.log)
        done = self._skipped(there)
        return self._attempt(there) if done is None else done

    def _skipped(self, there: Snapshot | None) -> WriteReport | None:
        """The report of a write that has nothing to do.

        Raises:
            DataError: something is there, and must not be.
        """
        if there is None:
            return beside_others(self._place, self._mode)
        if self._mode in FIRST_ONLY:
            return refused(self._place, self._mode, "there is a table already")
        return nothing(self._place) if self._is_part_of(there) else None

    def _is_part_of(self, there: Snapshot | None) -> bool:
        """Whether it is an append that took place before."""
        if self._mode is not WriteMode.APPEND or there is None:
            return False
        return there.transactions.get(application_of(self._target.part), VERSION - 1) >= VERSION

    def _attempt(self, there: Snapshot | None) -> WriteReport:
        """Write on top of what was seen; ``there`` is ``None`` if there was no table.

        Raises:
            Lost: it is no longer what was seen.
        """
        with told(self._where, self._place.options):
            fit = self._fit(there)
        with self._kept(fit) as fit:
            rows = self._check(fit, there)
            seen = -1 if there is None else there.version
            try:
                with told(self._where, self._place.options, fit.unfit), turn(self._place, alone=True):
                    self._commit(fit, there)
            except StorageError as error:
                # The answer may have been lost, and not the commit; sent again, it then met itself.
                mine = self._place.log.find(self._token, seen)
                if mine is None:
                    raise Lost if isinstance(error, Conflict) else error from None
            else:
                mine = self._place.log.find(self._token, seen)
        return self._told(mine, rows)

    def _fit(self, there: Snapshot | None) -> Fit:
        columns = self._frame.columns
        if there is None or self._replaces_columns:
            fit = as_new(self._frame, self._where)
        else:
            if self._mode in KEYED:
                check_columns(self._target.keys, columns, self._where, "key column")
            fit = as_part(self._frame, there, self._where, merge=self._options.schema_mode == "merge")
            check_same_partitions(fit, self._target.partition_by, there.partition_by, self._where)
        return fit

    @contextmanager
    def _kept(self, fit: Fit) -> Iterator[Fit]:
        """The frame, computed once where its rows are looked at before they are merged."""
        if self._mode not in KEYED:
            yield fit
            return
        # A frame of this write's own: nobody else may count on that it is kept, or lose it.
        with told(self._where, self._place.options, fit.unfit):
            kept = fit.frame.select("*").persist()
        try:
            yield Fit(kept, fit.table, fit.added, fit.unfit)
        finally:
            with told(self._where, self._place.options):
                kept.unpersist()

    def _check(self, fit: Fit, there: Snapshot | None) -> int | None:
        """Refuse keys and partitions that cannot be; returns the number of rows if it came to know that."""
        rows = None
        with told(self._where, self._place.options, fit.unfit):
            if self._mode in KEYED:
                rows = checked_keys(fit, self._target.keys, self._where)
            checked_partitions(fit, self._partitions(there), self._where)
        if not isinstance(self._options.optimize, bool):
            check_columns(self._options.optimize, fit.table.column_names, self._where, "column to optimize by:")
        return rows

    @property
    def _replaces_columns(self) -> bool:
        return self._mode is WriteMode.OVERWRITE and self._options.schema_mode == "overwrite"

    def _partitions(self, there: Snapshot | None) -> list[str]:
        if there is None:
            return list(self._target.partition_by)
        return list((self._replaces_columns and self._target.partition_by) or there.partition_by)

    # --- how it is written --------------------------------------------------------------------------------------------

    def _commit(self, fit: Fit, there: Snapshot | None) -> None:
        if there is None:
            self._create(fit)
            return
        self._describe(there.properties, there.description)
        if self._mode in KEYED:
            self._merge(fit)
            return
        writer = self._writer(fit.frame).mode("append" if self._mode is WriteMode.APPEND else "overwrite")
        if self._options.schema_mode == "merge":
            writer = writer.option("mergeSchema", "true")
        if self._replaces_columns:
            writer = writer.option("overwriteSchema", "true")
        writer.partitionBy(*self._partitions(there)).save(address(self._place))

    def _create(self, fit: Fit) -> None:
        # Where somebody else has just made the table, this fails, and decides anew.
        configured = {name: value for name, value in self._options.configuration.items() if name.startswith("delta.")}
        writer = self._writer(fit.frame).mode("error").options(**configured)
        with self._properties_told():
            writer.partitionBy(*self._target.partition_by).save(address(self._place))
        self._describe(configured, None)

    def _writer(self, frame: Any) -> Any:
        said = json.dumps({"odibi.write": self._token, "odibi.part": self._target.part})
        writer = frame.write.format("delta").options(**settings(self._place)).option("userMetadata", said)
        # Also where the session has it that an overwrite replaces some partitions.
        writer = writer.option("partitionOverwriteMode", "static")
        if self._mode is WriteMode.APPEND:
            writer = writer.option("txnAppId", application_of(self._target.part)).option("txnVersion", str(VERSION))
        return writer

    def _merge(self, fit: Fit) -> None:
        if fit.added:
            empty = fit.frame.limit(0).write.format("delta").options(**settings(self._place))
            empty.option("mergeSchema", "true").mode("append").save(address(self._place))
        spark = fit.frame.sparkSession
        # The log names the columns that are compared: one carries the token.
        key, names = self._target.keys[0], fit.frame.columns
        source = {name: self._token if name == key else name for name in names}
        same = " AND ".join(f"t.{quoted(name)} = s.{quoted(source[name])}" for name in dict.fromkeys(self._target.keys))
        columns = ", ".join(map(quoted, names))
        values = ", ".join(f"s.{quoted(source[name])}" for name in names)
        renewed = ", ".join(f"t.{quoted(name)} = s.{quoted(source[name])}" for name in names)
        found = " WHEN MATCHED THEN UPDATE SET " + renewed if self._mode is WriteMode.UPSERT else ""
        views = {each: f"odibi_{each}_{uuid4().hex}" for each in ("source", "target")}
        try:
            fit.frame.withColumnRenamed(key, self._token).createTempView(views["source"])
            there = spark.read.format("delta").options(**settings(self._place)).load(address(self._place))
            there.createTempView(views["target"])
            spark.sql(
                f"MERGE INTO {views['target']} AS t USING {views['source']} AS s ON {same}{found}"  # noqa: S608 - quoted
                f" WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values})"
            ).collect()
        finally:
            for view in views.values():
                spark.catalog.dropTempView(view)

    def _describe(self, properties: Mapping[str, str], description: str | None) -> None:
        """Give the table the properties and the description that the node names."""
        wanted = {name: value for name, value in self._options.configuration.items() if properties.get(name) != value}
        if self._options.description not in (None, description):
            wanted["comment"] = str(self._options.description)
        if wanted:
            said = ", ".join(f"{_text(name)} = {_text(value)}" for name, value in wanted.items())
            with beside(self._frame.sparkSession, settings(self._place)) as spark, self._properties_told():
                spark.sql(f"ALTER TABLE delta.{quoted(address(self._place))} SET TBLPROPERTIES ({said})").collect()

    @contextmanager
    def _properties_told(self) -> Iterator[None]:
        """Name the property that cannot have its value; Spark names the value alone."""
        try:
            yield
        except Exception as error:
            if found := _VALUE.search(str(error)):
                wrong = [name for name, value in self._options.configuration.items() if value in found.groups()]
                if wrong:
                    raise wrong_property(wrong[0], self._where) from None
            raise

    # --- what is told -------------------------------------------------------------------------------------------------

    def _told(self, mine: Commit | None, rows: int | None) -> WriteReport:
        place = self._place
        if mine is None:
            if self._mode in KEYED or self._is_part_of(snapshot(place.log)):
                return nothing(place)
            # Spark says that it has committed, and the log knows nothing of it: somebody's commit took its place.
            raise Lost
        metrics: Mapping[str, Any] = mine.info.get("operationMetrics", {})
        make_durable(place, mine)
        if mine.info.get("operation") == "MERGE":
            if self._mode is WriteMode.APPEND_ONCE and "numTargetRowsInserted" in metrics:
                rows = int(metrics["numTargetRowsInserted"])
        elif "numOutputRows" in metrics:
            rows = int(metrics["numOutputRows"])
        return WriteReport(
            rows=rows,
            bytes=sum(int(each.get("size", 0)) for each in mine.added),
            paths=tuple(f"{place.path}/{each}" for each in mine.paths),
            version=place.log.data_version(mine.version) or "",
        )


# --- afterwards -----------------------------------------------------------------------------------------------------


def _warn_of_others(place: Location, spark: Any) -> None:
    """Say so where a commit of this Spark could take the place of somebody else's."""
    if place.scheme in ("s3", "s3a") and not spark.conf.get("spark.delta.logStore.s3a.impl", ""):
        _log.warning(
            "%s: on S3, Delta's jars do not leave it to the server who was first: let nothing but this Spark write to"
            " the table meanwhile, or set spark.delta.logStore.s3a.impl to a log store that does",
            place.where,
        )


def _look_after(place: Location, options: DeltaOptions, spark: Any) -> None:
    """Put small files together and remove old ones, as the node says.

    The rows are in the table by now, so what fails here is told and does not fail the node.
    """
    if not options.optimize and options.vacuum_hours is None:
        return
    conf = {**settings(place), "spark.sql.sources.parallelPartitionDiscovery.parallelism": _FOLDERS_AT_ONCE}
    if options.target_file_size is not None:
        conf["spark.databricks.delta.optimize.maxFileSize"] = str(options.target_file_size)
    table = f"delta.{quoted(address(place))}"
    try:
        with told(place.where, place.options), turn(place, alone=True), beside(spark, conf) as session:
            if options.optimize is True:
                session.sql(f"OPTIMIZE {table}").collect()
            elif options.optimize:
                session.sql(f"OPTIMIZE {table} ZORDER BY ({', '.join(map(quoted, options.optimize))})").collect()
            if options.vacuum_hours is not None:
                session.sql(f"VACUUM {table} RETAIN {options.vacuum_hours} HOURS").collect()
    except OdibiError as error:
        _log.warning("%s: the rows are written, but the table was not tidied up: %s", place.where, error.what)


def _text(value: str) -> str:
    """A text as it stands in SQL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
