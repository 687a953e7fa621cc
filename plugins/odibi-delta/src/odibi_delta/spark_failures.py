"""What Spark and Delta's jars say when something goes wrong, as errors of Odibi, in the words of the other engines."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from odibi.errors import (
    AccessDenied,
    Cancelled,
    Conflict,
    DataError,
    OdibiError,
    PluginBroken,
    StorageError,
    TransformError,
    Transient,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

UNFIT = "odibi-unfit"
"""How the text begins that Spark raises where a value does not go into a column; that of the column follows."""

_UNFIT = re.compile(rf"{UNFIT}:(\d+):")
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)*)\] *([^\n]*)")
_JAVA = re.compile(r"(?:[\w$]+\.)+([\w$]*(?:Exception|Error)): *([^\n]*)")
_PYTHON = re.compile(r"^(\w*(?:Error|Exception)): (.*)$", re.MULTILINE)
_STATE = re.compile(r"\s*SQLSTATE: \w+.*$")
_ADDRESS = re.compile(r"\w[\w+.-]*:/\S*")
_WRAPPERS = ("FAILED_EXECUTE_UDF", "TASK_WRITE_FAILED")

_CANCELLED = re.compile(r"JOB_CANCELLED|OPERATION_CANCELED|OPERATION_ABANDONED|was cancelled|cancelled part of")
_WITHOUT = re.compile(
    r"Failed to find (?:the )?data source: delta|DATA_SOURCE_NOT_FOUND[^\n]*\bdelta\b"
    r"|DELTA_CONFIGURE_SPARK_SESSION_WITH_EXTENSION_AND_CATALOG|UNSUPPORTED_DATASOURCE_FOR_DIRECT_QUERY"
    r"|MERGE INTO TABLE is not supported|ClassNotFoundException: (?:io\.delta|org\.apache\.spark\.sql\.delta)"
)
_DENIED = re.compile(
    r"AccessDenied|AccessControlException|Permission denied|InvalidAccessKeyId|SignatureDoesNotMatch"
    r"|NoAuthWithAWSException|Forbidden \(Service|AuthorizationPermissionMismatch|AuthenticationFailed"
)
_PASSING = re.compile(
    r"ConnectException|SocketTimeoutException|UnknownHostException|Connection (?:refused|reset)|StatusCode.UNAVAILABLE"
    r"|SlowDown|ServerBusy|503 Service|ExecutorLostFailure|FetchFailed|Py4JNetworkError|SparkContext was shut down"
    r"|stopped SparkContext|InternalError \(Service"
)
_LOST = re.compile(
    r"DELTA_CONCURRENT_\w+|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED|DELTA_PATH_EXISTS|DELTA_MAX_COMMIT_RETRIES"
    r"|delta\.exceptions\.(?:Concurrent\w+|MetadataChanged|ProtocolChanged)Exception|FileAlreadyExistsException"
    r"|DELTA_SCHEMA_CHANGE_SINCE_ANALYSIS|DELTA_SCHEMA_CHANGED|RemoteFileChangedException|PreconditionFailed"
)
_FULL = re.compile(r"No space left|[Dd]isk quota|File too large")
_APPEND_ONLY = re.compile(r"DELTA_CANNOT_MODIFY_APPEND_ONLY")
_CHECKED = re.compile(
    r"DELTA_VIOLATE_CONSTRAINT_WITH_VALUES|DELTA_NOT_NULL_CONSTRAINT_VIOLATED|NOT_NULL_ASSERT_VIOLATION"
)
_NO_FEED = re.compile(r"DELTA_MISSING_CHANGE_DATA|DELTA_CHANGE_TABLE_FEED_DISABLED|[Cc]hange data was not recorded")
_PROPERTY = re.compile(
    r"DELTA_UNKNOWN_CONFIGURATION|Unsupported table change|DELTA_INVALID_CONFIGURATION|requirement failed"
)
_NAME = re.compile(r"DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES?")
_UNSUPPORTED = re.compile(r"DELTA_UNSUPPORTED_FEATURES_FOR_(?:READ|WRITE)|DELTA_INVALID_PROTOCOL_VERSION")
_GONE = re.compile(r"FAILED_READ_FILE\.FILE_NOT_EXIST|DELTA_FILE_NOT_FOUND\w*|FileNotFoundException")
_DAMAGED = re.compile(
    r"DELTA_TRUNCATED_TRANSACTION_LOG|DELTA_VERSIONS_NOT_CONTIGUOUS|DELTA_STATE_RECOVER_ERROR|DELTA_LOG_FILE_\w+"
    r"|DELTA_MISSING_TRANSACTION_LOG|FAILED_READ_FILE|CANNOT_READ_FILE_FOOTER|is not a Parquet file|Malformed"
    r"|JsonParseException|JsonEOFException|CHECKPOINT_\w*MISSING|ChecksumException|DELTA_MISSING_PART_FILES"
)

_DAMAGE_REMEDY = "Restore the object from a backup, or the table to an earlier version with odibi delta restore."


@contextmanager
def told(where: str, options: Mapping[str, str], columns: tuple[str, ...] = ()) -> Iterator[None]:
    """Turn what Spark raises into errors of Odibi.

    Args:
        where: what errors call the table.
        options: what the connection gave to Spark, none of which may show.
        columns: those that may be found not to fit, as :data:`UNFIT` numbers them, with both types.
    """
    try:
        yield
    except OdibiError:
        raise
    except Exception as error:
        if type(error).__module__.split(".", 1)[0] not in ("pyspark", "py4j", "grpc"):
            raise
        # Spark's own words hold its plan, and that may hold rows.
        raise failure(error, where, options, columns) from None


def failure(error: Exception, where: str, options: Mapping[str, str], columns: tuple[str, ...] = ()) -> OdibiError:
    """The error of Odibi that says the same."""
    whole = str(error)
    if found := _UNFIT.search(whole):
        return DataError(
            columns[int(found[1])],
            where=where,
            remedy="Cast or round it in a step before, or replace the table with schema_mode: overwrite.",
        )
    if _CANCELLED.search(whole):
        return Cancelled("the work was stopped", where=where)
    if _WITHOUT.search(whole):
        return _without_delta()
    text = _sentence(whole, options)
    for pattern, make in _WORDS:
        if pattern.search(whole):
            return make(whole, where)
    if _DENIED.search(whole):
        return AccessDenied("the storage refuses access", where=where, remedy="Check the connection's credentials.")
    if _PASSING.search(whole):
        return Transient(text, where=where, remedy="Try again.")
    condition = next((name for name, _ in _CONDITION.findall(whole)), "")
    if condition.startswith("DELTA_"):
        return DataError(f"Delta refuses: {text}", where=where)
    failed = TransformError(text, where=where)
    failed.quotes_data = not condition.startswith(("UNRESOLVED", "PARSE", "TABLE_OR_VIEW", "DATATYPE_MISMATCH"))
    return failed


def _without_delta() -> OdibiError:
    return PluginBroken(
        "the Spark session at hand cannot read or write Delta tables",
        where="format delta",
        remedy="Start it with the package io.delta:delta-spark that fits its Spark (spark.jars.packages),"
        " spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension and"
        " spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog; or leave out spark_session"
        " and remote, and Odibi starts one that can.",
    )


def _conflict(text: str, where: str) -> OdibiError:  # noqa: ARG001 - all makers take the text
    return Conflict("another writer has committed to the table meanwhile", where=where, remedy="Try again.")


def _full(text: str, where: str) -> OdibiError:  # noqa: ARG001
    return StorageError("there is no room left in the storage", where=where, remedy="Make room.")


def _append_only(text: str, where: str) -> OdibiError:  # noqa: ARG001
    return DataError(
        "the table is append-only: none of its rows can be replaced",
        where=where,
        remedy="Use mode append, or have the table's property delta.appendOnly: false.",
    )


def _checked(text: str, where: str) -> OdibiError:  # noqa: ARG001
    return DataError(
        "the rows break a constraint of the table, or are null where it allows no nulls",
        where=where,
        remedy="Remove or repair these rows in a step before; odibi delta detail shows the constraints.",
    )


def _no_feed(text: str, where: str) -> OdibiError:
    found = re.search(r"version:? \[?(\d+)", text)
    return no_feed(where, int(found[1]) if found else None)


def no_feed(where: str, version: int | None) -> DataError:
    """That a table kept no changes, from a version on if that is known."""
    at = "" if version is None else f" at version {version}"
    return DataError(
        f"the table kept no change data{at}",
        where=where,
        remedy="Write it with configuration: {delta.enableChangeDataFeed: true}, and begin with a later version.",
    )


def _property(text: str, where: str) -> OdibiError:
    found = re.search(r"(\w+) is a reserved table property|\b(delta\.[\w.]+)", text)
    return wrong_property(next(filter(None, found.groups()), "") if found else "", where)


def wrong_property(name: str, where: str) -> DataError:
    """That a table cannot have a property as it is wanted."""
    return DataError(
        f"the table cannot have the property {name!r} with this value" if name else "a property of the table is wrong",
        where=where,
        remedy="Check 'configuration' against Delta's table properties, such as delta.appendOnly: true.",
    )


def _name(text: str, where: str) -> OdibiError:  # noqa: ARG001
    return DataError(
        "the name of a column has a character that Delta on Spark does not take: one of ' ,;{}()=', a tab or a newline",
        where=where,
        remedy="Rename it in a step before, or set configuration: {delta.columnMapping.mode: name}.",
    )


def _unsupported(text: str, where: str) -> OdibiError:  # noqa: ARG001
    return DataError(
        "the table uses a feature of Delta that the Spark session does not know",
        where=where,
        remedy="Use a newer Spark with a newer delta-spark.",
    )


def _gone(text: str, where: str) -> OdibiError:  # noqa: ARG001
    return DataError(
        "a file of the table is gone; perhaps a vacuum removed it, if an old version was asked for",
        where=where,
        remedy="Read a newer version, or restore the file from a backup.",
    )


def _damaged(text: str, where: str) -> OdibiError:
    found = re.search(r"\b(\d{20})\b|(part-\d{5}-[\w.-]+)", text)
    which = f": {found[0]}" if found else ""
    return DataError(f"the table or its log is damaged{which}", where=where, remedy=_DAMAGE_REMEDY)


_WORDS: tuple[tuple[re.Pattern[str], Callable[[str, str], OdibiError]], ...] = (
    (_LOST, _conflict),
    (_FULL, _full),
    (_APPEND_ONLY, _append_only),
    (_CHECKED, _checked),
    (_NO_FEED, _no_feed),
    (_PROPERTY, _property),
    (_NAME, _name),
    (_UNSUPPORTED, _unsupported),
    (_GONE, _gone),
    (_DAMAGED, _damaged),
)


def _sentence(whole: str, options: Mapping[str, str]) -> str:
    """What went wrong in a line: the innermost cause."""
    found = _CONDITION.findall(whole)
    named = [text for name, text in found if name not in _WRAPPERS] or [text for _, text in found]
    if "Traceback (most recent call last)" in whole and (raised := _PYTHON.findall(whole)):
        line = f"{raised[-1][0]}: {raised[-1][1]}"
    elif named:
        line = named[-1]
    elif java := _JAVA.findall(whole):
        line = f"{java[-1][0]}: {java[-1][1]}"
    else:
        line = whole.strip().split("\n", 1)[0]
    line = _ADDRESS.sub("...", _STATE.sub("", line)).rstrip(".!; ")
    for value in options.values():
        if len(value) > 3:
            line = line.replace(value, "***")
    return line or "Spark failed without a word"
