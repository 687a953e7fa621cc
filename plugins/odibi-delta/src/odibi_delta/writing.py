"""Frames to Delta tables, by delta-rs.

Every write is one commit, and every commit carries a token of its own. Who loses a race for a commit opens the table
anew and decides anew: so a table is only ever changed by somebody who has seen what is in it. Appends alone are sent
again by delta-rs itself: what others committed meanwhile does not matter to them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from odibi.contracts.format import WriteMode, WriteReport
from odibi.errors import Conflict, OdibiError, StorageError
from odibi_delta.attempts import FIRST_ONLY, KEYED, Lost, beside_others, nothing, refused, until_won
from odibi_delta.checks import check_columns, check_keys, check_partitioning, check_partitions
from odibi_delta.durable import make_durable
from odibi_delta.failures import failure, is_failure, mapped
from odibi_delta.location import Location, location_of
from odibi_delta.opening import opened, opened_if_there, schema_of
from odibi_delta.transactions import VERSION, application_of, new_token
from odibi_delta.turns import turn
from odibi_delta.types import fitted, matched

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from odibi.contracts.engine import Engine
    from odibi.contracts.format import Target
    from odibi_delta.log import Commit
    from odibi_delta.options import DeltaOptions

_log = logging.getLogger("odibi_delta")

_SOURCE, _TARGET = "__odibi_source", "__odibi_target"


def write(frame: Any, target: Target, options: DeltaOptions, engine: Engine) -> WriteReport:
    """Write ``frame`` as ``target`` says; see :class:`odibi.contracts.format.WriteMode`."""
    import pyarrow as pa

    place = location_of(target)
    options.check_mode(target.mode, place.where)
    table = pa.table(engine.to_arrow(frame))
    report = _Write(place, target, options, table).report()
    if not report.skipped:
        _look_after(place, options)
    return report


class _Write:
    """One frame on its way to one table."""

    def __init__(self, place: Location, target: Target, options: DeltaOptions, table: pa.Table) -> None:
        self._place = place
        self._where = place.where
        self._target = target
        self._mode = target.mode
        self._options = options
        self._given = table
        self._token = new_token()

    def report(self) -> WriteReport:
        """Do it, as often as others are faster."""
        return until_won(self._once, self._where)

    def _once(self) -> WriteReport:
        there = opened_if_there(self._place)
        done = self._skipped(there)
        if done is not None:
            return done
        self._place.check_writable()
        return self._attempt(there)

    def _skipped(self, there: Any | None) -> WriteReport | None:
        """The report of a write that has nothing to do.

        Raises:
            DataError: something is there, and must not be.
        """
        if there is None:
            return beside_others(self._place, self._mode)
        if self._mode in FIRST_ONLY:
            return refused(self._place, self._mode, "there is a table already")
        if self._mode is WriteMode.APPEND:
            with self._mapped():
                known = there.transaction_version(application_of(self._target.part))
            if known is not None and known >= VERSION:
                return nothing(self._place)
        return None

    def _attempt(self, there: Any | None) -> WriteReport:
        """Write on top of what was seen; ``there`` is ``None`` if there was no table.

        Raises:
            Lost: it is no longer what was seen.
        """
        if there is None:
            table = self._new_table()
            seen = -1
        else:
            with turn(self._place, alone=False):
                self._describe(there)
            table = self._matching(there)
            seen = there.version()
        try:
            with turn(self._place, alone=False):
                if there is None:
                    self._create(table)
                elif self._mode in KEYED:
                    self._merge(there, table)
                else:
                    self._add(there, table)
        except OdibiError:
            raise
        except BaseException as error:
            if not is_failure(error):
                raise
            mine = self._committed(seen, error)
            if mine is None:
                found = failure(error, self._where, self._place.options)
                if isinstance(found, Conflict):
                    raise Lost from None
                raise found from None
        else:
            mine = self._place.log.find(self._token, seen)
        return self._told(mine, table.num_rows)

    def _committed(self, seen: int, error: BaseException) -> Commit | None:
        """This write's commit, if it took place though an error came back: the answer to it was lost."""
        found = failure(error, self._where, self._place.options)
        if not isinstance(found, StorageError):
            return None
        try:
            return self._place.log.find(self._token, seen)
        except StorageError:
            return None

    def _told(self, mine: Commit | None, rows: int) -> WriteReport:
        log, path = self._place.log, self._place.path
        if mine is None:
            # Merging found nothing to do, and so nothing was committed.
            return nothing(self._place)
        make_durable(self._place, mine)
        if self._mode is WriteMode.APPEND_ONCE and mine.info.get("operation") == "MERGE":
            metrics: Mapping[str, Any] = mine.info.get("operationMetrics", {})
            rows = int(metrics.get("num_target_rows_inserted", rows))
        return WriteReport(
            rows=rows,
            bytes=sum(int(each.get("size", 0)) for each in mine.added),
            paths=tuple(f"{path}/{each}" for each in mine.paths),
            version=log.data_version(mine.version) or "",
        )

    # --- what is written ----------------------------------------------------------------------------------------------

    def _new_table(self) -> pa.Table:
        table = fitted(self._given, self._where)
        if self._mode in KEYED:
            check_keys(table, self._target.keys, self._where)
        check_partitions(table, self._target.partition_by, self._where)
        self._check_sorting(table.column_names)
        return table

    def _matching(self, there: Any) -> pa.Table:
        schema = schema_of(there, self._place)
        with self._mapped():
            partitions = list(there.metadata().partition_columns)
        replace = self._mode is WriteMode.OVERWRITE and self._options.schema_mode == "overwrite"
        if self._mode in KEYED:
            check_columns(self._target.keys, self._given.column_names, self._where, "key column")
        if replace:
            table = fitted(self._given, self._where)
            partitions = list(self._target.partition_by) or partitions
        else:
            check_partitioning(self._target.partition_by, partitions, self._where)
            merge = self._options.schema_mode == "merge"
            found = matched(fitted(self._given, self._where, untyped=schema.names), schema, self._where, merge=merge)
            table = found.table
            check_columns(partitions, table.column_names, self._where, "column to partition by:")
        if self._mode in KEYED:
            check_keys(table, self._target.keys, self._where)
        check_partitions(table, partitions, self._where)
        self._check_sorting(table.column_names)
        return table

    def _check_sorting(self, columns: list[str]) -> None:
        if not isinstance(self._options.optimize, bool):
            check_columns(self._options.optimize, columns, self._where, "column to optimize by:")

    # --- how it is written --------------------------------------------------------------------------------------------

    def _create(self, table: pa.Table) -> None:
        from deltalake import write_deltalake

        # delta-rs would add to a table that somebody else has just made, if it were let try again.
        write_deltalake(
            self._place.uri,
            table,
            mode="error",
            partition_by=list(self._target.partition_by) or None,
            configuration=dict(self._options.configuration) or None,
            description=self._options.description,
            target_file_size=self._options.target_file_size,
            storage_options=dict(self._place.options),
            commit_properties=self._commit(retries=0),
        )

    def _add(self, there: Any, table: pa.Table) -> None:
        from deltalake import write_deltalake

        append = self._mode is WriteMode.APPEND
        mode = self._options.schema_mode
        write_deltalake(
            there,
            table,
            mode="append" if append else "overwrite",
            partition_by=list(self._target.partition_by) or None,
            schema_mode=None if mode == "none" else mode,
            target_file_size=self._options.target_file_size,
            commit_properties=self._commit(retries=None if append else 0),
        )

    def _merge(self, there: Any, table: pa.Table) -> None:
        self._widen(there, table)
        same = " AND ".join(f"{_TARGET}.`{key}` = {_SOURCE}.`{key}`" for key in self._target.keys)
        merging = there.merge(
            table,
            same,
            source_alias=_SOURCE,
            target_alias=_TARGET,
            streamed_exec=False,
            commit_properties=self._commit(retries=0),
        )
        if self._mode is WriteMode.UPSERT:
            merging = merging.when_matched_update_all()
        merging.when_not_matched_insert_all().execute()

    def _widen(self, there: Any, table: pa.Table) -> None:
        """Add the frame's new columns to the table, at its end."""
        import pyarrow as pa
        from deltalake import CommitProperties, Schema

        known = schema_of(there, self._place).names
        added = [field for field in table.schema if field.name not in known]
        if added:
            fields = Schema.from_arrow(pa.schema(added)).fields
            there.alter.add_columns(fields, commit_properties=CommitProperties(max_commit_retries=0))

    def _describe(self, there: Any) -> None:
        """Give the table the properties and the description that the node names."""
        from deltalake import CommitProperties

        with self._mapped():
            known = there.metadata()
        wanted = {
            name: value for name, value in self._options.configuration.items() if known.configuration.get(name) != value
        }
        once = CommitProperties(max_commit_retries=0)
        try:
            if wanted:
                there.alter.set_table_properties(wanted, commit_properties=once)
            if self._options.description not in (None, known.description):
                there.alter.set_table_description(self._options.description, commit_properties=once)
        except BaseException as error:
            if not is_failure(error):
                raise
            found = failure(error, self._where, self._place.options)
            if isinstance(found, Conflict):
                raise Lost from None
            raise found from None

    def _commit(self, *, retries: int | None) -> Any:
        """What delta-rs puts into the commit beside the data.

        Args:
            retries: how often it may be sent again if others were faster; as often as delta-rs likes if ``None``.
        """
        from deltalake import CommitProperties, Transaction

        parts = [Transaction(application_of(self._target.part), VERSION)] if self._mode is WriteMode.APPEND else None
        return CommitProperties(
            custom_metadata={"odibi.write": self._token, "odibi.part": self._target.part},
            max_commit_retries=retries,
            app_transactions=parts,
        )

    def _mapped(self) -> Any:
        return mapped(self._where, self._place.options)


# --- afterwards -----------------------------------------------------------------------------------------------------


def _look_after(place: Location, options: DeltaOptions) -> None:
    """Put small files together and remove old ones, as the node says.

    The rows are in the table by now, so what fails here is told and does not fail the node.
    """
    if not options.optimize and options.vacuum_hours is None:
        return
    try:
        with mapped(place.where, place.options):
            table = opened(place)
            with turn(place, alone=False):
                _tidy(table, options)
    except OdibiError as error:
        _log.warning("%s: the rows are written, but the table was not tidied up: %s", place.where, error.what)


def _tidy(table: Any, options: DeltaOptions) -> None:
    if options.optimize is True:
        table.optimize.compact()
    elif options.optimize:
        table.optimize.z_order(list(options.optimize))
    if options.vacuum_hours is not None:
        table.vacuum(retention_hours=options.vacuum_hours, dry_run=False, full=True)
