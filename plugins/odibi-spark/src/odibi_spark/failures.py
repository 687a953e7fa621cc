"""What Spark says when something goes wrong, as errors of ours."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from odibi.errors import AccessDenied, Cancelled, DataError, NotFound, OdibiError, TransformError, Transient
from odibi_spark.operations.failures import recognised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)*)\] *([^\n]*)")
_STATE = re.compile(r"\s*SQLSTATE: \w+.*$")
_JAVA = re.compile(r"(?:[\w$]+\.)+([\w$]*(?:Exception|Error)): *([^\n]*)")
_FILE = re.compile(r"(?:file|s3a?|abfss?|wasbs?|hdfs|dbfs|gs)://?[^\s'\",;)]+")
_PYTHON = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*([\w.]+(?:: .*)?)")
"""What a worker's Python raised, behind the trace of how it came to that."""

_CANCELLED = ("JOB_CANCELLED", "OPERATION_CANCELED", "OPERATION_ABANDONED", "was cancelled", "cancelled part of")
_DENIED = re.compile(
    r"AccessDenied|AccessControlException|Permission denied|InvalidAccessKeyId|SignatureDoesNotMatch|"
    r"NoAuthWithAWSException|Forbidden \(Service|AuthorizationPermissionMismatch|AuthenticationFailed"
)
_PASSING = re.compile(
    r"ConnectException|SocketTimeoutException|UnknownHostException|Connection (?:refused|reset)|StatusCode.UNAVAILABLE|"
    r"SlowDown|ServerBusy|503 Service|ExecutorLostFailure|FetchFailed|Py4JNetworkError|SparkContext was shut down|"
    r"stopped SparkContext|InternalError \(Service|Channel closed|NO_ACTIVE_SESSION|RETRIES_EXCEEDED"
)
on_damage: list[Callable[[str], OdibiError | None]] = []
"""Asked about each file that cannot be read; whoever knows it says what that means."""

_MISSING = ("PATH_NOT_FOUND", "FAILED_READ_FILE.FILE_NOT_EXIST", "TABLE_OR_VIEW_NOT_FOUND")


@contextmanager
def told(where: str, *, data: bool = False) -> Iterator[None]:
    """Turn what Spark raises into errors of ours.

    Args:
        where: what is read, written or asked.
        data: whether it is the data of a source that is looked at: what is wrong with it is a :class:`DataError`, where
            it is a :class:`TransformError` otherwise.
    """
    try:
        yield
    except OdibiError:
        raise
    except Exception as error:
        failed = explained(error, where, data=data)
        if failed is None:
            raise
        # Spark's own words hold its plan, and that may hold rows.
        raise failed from None


def explained(error: BaseException, where: str, *, data: bool = False) -> OdibiError | None:
    """What an exception of Spark, or of the way to it, means; ``None`` if it is from elsewhere."""
    if not is_sparks(error):
        return None
    ours = recognised(error)
    if ours is not None:
        return ours
    condition, text = _said(error)
    whole = str(error)
    if any(each in whole for each in _CANCELLED):
        return Cancelled("the work was stopped", where=where)
    if condition.startswith(_MISSING):
        file = _FILE.search(whole)
        what = f"there is nothing at {unquote(file.group())}" if file else text
        return NotFound(what, where=where, remedy="It was removed or replaced while it was to be read; run it again.")
    if _DENIED.search(whole):
        return AccessDenied(f"access was refused: {text}", where=where, remedy="Check the connection's credentials.")
    if _PASSING.search(whole):
        return Transient(text, where=where)
    if condition.startswith("FAILED_READ_FILE") or (data and _FILE.search(whole)):
        file = _FILE.search(whole)
        name = unquote(file.group()).rstrip(".") if file else "a file"
        for told_of in on_damage:
            if file and (known := told_of(name)) is not None:
                return known
        what = f"{name} cannot be read: {_cause(whole, text)}"
        return DataError(what, where=where, remedy="Check that it is what its format says.")
    if data:
        return DataError(text, where=where)
    failed = TransformError(text, where=where)
    failed.quotes_data = not condition.startswith(("UNRESOLVED", "PARSE", "TABLE_OR_VIEW", "DATATYPE_MISMATCH"))
    return failed


def is_sparks(error: BaseException) -> bool:
    """Whether an exception comes from Spark, its bridge or its client."""
    return type(error).__module__.split(".", 1)[0] in ("pyspark", "py4j", "grpc")


def condition_of(error: Any) -> tuple[str, dict[str, str]]:
    """Spark's name for what went wrong, and what it says of it."""
    name = getattr(error, "getCondition", None)
    details = getattr(error, "getMessageParameters", None)
    return (str(name() or "") if name else ""), dict((details() or {}) if details else {})


def reason_of(error: BaseException) -> str:
    """What the way to a server of Spark Connect says, without what it says around it."""
    found = re.search(r'^\s*details = "(.*)"$', str(error), re.MULTILINE)
    return found[1] if found else ""


def _said(error: BaseException) -> tuple[str, str]:
    """The condition, and a sentence."""
    whole = str(error)
    if "_InactiveRpcError" in whole and (reason := reason_of(error)):
        return "", _sentence(reason)
    found = _CONDITION.findall(whole)
    # The last one is the cause of those before it.
    named = [each for each in found if not each[0].startswith(("FAILED_EXECUTE_UDF", "TASK_WRITE_FAILED"))] or found
    if raised := _PYTHON.findall(whole):
        kind, _, text = raised[-1].partition(": ")
        return "PYTHON", f"{kind.rpartition('.')[2]}: {text}" if text else kind
    if named:
        condition, text = next((each for each in named if each[0].startswith("FAILED_READ_FILE")), named[-1])
        return condition, _sentence(text)
    java = _JAVA.findall(whole)
    if java:
        return "", _sentence(f"{java[-1][0]}: {java[-1][1]}")
    return "", _sentence(whole)


def _cause(whole: str, otherwise: str) -> str:
    """The innermost reason that Java gives."""
    causes = [text for _, text in _JAVA.findall(whole) if text and not _CONDITION.match(text)]
    return _sentence(causes[-1]) if causes else otherwise


def _sentence(text: str) -> str:
    first = text.strip().split("\n", 1)[0]
    return _STATE.sub("", first).rstrip(".!; ") or "Spark failed without a word"
