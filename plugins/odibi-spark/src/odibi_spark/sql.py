"""SQL over frames, in a namespace for each query, and all else that belongs to one attempt of one node."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from odibi.errors import Cancelled, TransformError
from odibi_spark.failures import condition_of, explained, is_sparks
from odibi_spark.kinds import functions_for
from odibi_spark.query import known, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from odibi.contracts.engine import Progress
    from odibi_spark.cluster import Cluster
    from odibi_spark.query import Query

_AGAIN = 0.2
"""Seconds after which what is to be stopped is stopped once more: Spark forgets it for jobs that have not begun."""


class SqlSession:
    """One attempt of one node: its queries, and its mark on all that its thread has Spark do.

    What a query calls its frames stands in the query and nowhere else: Spark knows them by random names while it looks
    at it, and by none afterwards.
    """

    def __init__(self, cluster: Cluster, node: str, dialect: str) -> None:
        self._cluster = cluster
        self._node = node
        self._dialect = dialect
        self._mark = f"odibi-{re.sub(r'[^A-Za-z0-9_]', '_', node)}-{token_hex(4)}"
        self._interrupted = False
        self._closed = threading.Event()
        self._spark = cluster.spark
        self._remote = cluster.is_remote
        self._tell: Callable[[Progress], None] | None = None
        self._marked: set[int] = set()
        self._mark_thread()
        if self._remote:
            cluster.pulse.begin()

    def sql(self, query: str, frames: Mapping[str, Any]) -> Any:
        """The result of a single query that sees ``frames`` under their names, and nothing else."""
        self._refuse_if_interrupted()
        self._mark_thread()
        _check_names(frames)
        found = parsed(query, self._dialect)
        used = {known(table, frames): None for table in found.tables}
        for name in used:
            _check_columns(name, frames[name])
        try:
            result = _ask(self._spark, found, frames)
            result.schema  # noqa: B018 - Connect looks at the query no sooner
        except Exception as error:
            self._refuse_if_interrupted(error)
            if not is_sparks(error):
                raise
            raise _in_words(error, {name: frames[name] for name in used}, list(frames)) from None
        return result

    def watch(self, tell: Callable[[Progress], None]) -> None:
        """Call ``tell`` whenever Spark gets on with what this node asked of it."""
        self._tell = tell
        self._cluster.watcher.watch(self._mark, tell)

    def interrupt(self) -> None:
        """Stop what runs for this node, and go on stopping what comes, until the session is closed."""
        if not self._interrupted:
            self._interrupted = True
            threading.Thread(target=self._keep_stopping, name="odibi-spark-stop", daemon=True).start()
        self._stop()

    def close(self) -> None:
        """Take the mark off this thread; frames that are not computed yet stay of use."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._remote:
            self._cluster.pulse.end()
        if self._tell is not None:
            self._cluster.watcher.forget(self._mark)
        if threading.get_ident() not in self._marked:
            return
        with suppress(Exception):  # the session may be gone
            if self._remote:
                self._spark.removeTag(self._mark)
                return
            context = self._spark.sparkContext
            context.removeJobTag(self._mark)
            context.setLocalProperty("spark.jobGroup.id", None)
            context.setLocalProperty("spark.job.description", None)
            context.setLocalProperty("spark.scheduler.pool", None)

    def _mark_thread(self) -> None:
        """From now on, what this thread has Spark do is done for this node."""
        if threading.get_ident() in self._marked:
            return
        self._marked.add(threading.get_ident())
        if self._remote:
            self._spark.addTag(self._mark)
            return
        context = self._spark.sparkContext
        context.setJobGroup(self._mark, f"node {self._node}", interruptOnCancel=True)
        context.addJobTag(self._mark)
        # With the scheduler in its fair mode, nodes that run at once share the cluster.
        context.setLocalProperty("spark.scheduler.pool", self._node)

    def _keep_stopping(self) -> None:
        while not self._closed.wait(_AGAIN):
            self._stop()

    def _stop(self) -> None:
        with suppress(Exception):  # the session may be gone
            if self._remote:
                self._spark.interruptTag(self._mark)
                return
            context = self._spark.sparkContext
            context.cancelJobsWithTag(self._mark)
            context.cancelJobGroup(self._mark)

    def _refuse_if_interrupted(self, cause: BaseException | None = None) -> None:
        if self._interrupted:
            raise Cancelled("the query was stopped", where=self._node) from cause


def _ask(spark: Any, found: Query, frames: Mapping[str, Any]) -> Any:
    """Have Spark answer; the frames are views of random names for as long as it thinks about the question."""
    if not found.tables:
        return spark.sql(found.text.format())
    # Who drops a view lets go of what is kept of the very frame behind it; so that is another one, of the same rows.
    every = functions_for(spark).lit(True)
    given = {f"t{at}": frames[known(table, frames)].where(every) for at, table in enumerate(found.tables)}
    return spark.sql(found.text, **given)


def _check_names(frames: Mapping[str, Any]) -> None:
    folded: dict[str, str] = {}
    for name in frames:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise TransformError(
                f"the inputs {other!r} and {name!r} have the same name in SQL, which does not tell cases apart",
                remedy="Rename one of the nodes.",
            )


def _check_columns(name: str, frame: Any) -> None:
    if not frame.columns:
        raise TransformError("the frame has no columns", where=f"input {name!r}", remedy="SQL needs at least one.")


def _in_words(error: Any, frames: Mapping[str, Any], inputs: list[str]) -> TransformError:
    condition, details = condition_of(error)
    line = re.search(r"line (\d+)", str(error))
    where = f"SQL line {line.group(1)}" if line else "SQL"
    if condition.startswith("UNRESOLVED_COLUMN"):
        name = _last_part(details.get("objectName", ""))
        columns = list(dict.fromkeys(column for frame in frames.values() for column in frame.columns))
        return TransformError(
            f"there is no column {name!r}",
            where=where,
            remedy=f"{_did_you_mean(name, columns)}The columns are: {', '.join(columns) or 'none'}.",
        )
    if condition == "TABLE_OR_VIEW_NOT_FOUND":
        name = _last_part(details.get("relationName", ""))
        return TransformError(
            f"there is no input called {name!r}",
            where=where,
            remedy=f"The inputs are: {', '.join(inputs) or 'none'}. Add it to the node's depends_on.",
        )
    failed = explained(error, where)
    if not isinstance(failed, TransformError):
        failed = TransformError(failed.what if failed is not None else str(error), where=where)
    failed.remedy = failed.remedy or f"Check the query; its inputs are: {', '.join(inputs) or 'none'}."
    return failed


def _last_part(quoted: str) -> str:
    parts = re.findall(r"`((?:[^`]|``)*)`", quoted)
    return parts[-1].replace("``", "`") if parts else quoted


def _did_you_mean(name: str, columns: list[str]) -> str:
    import difflib

    folded = {column.casefold(): column for column in columns}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"Did you mean {folded[close[0]]!r}? " if close else ""
