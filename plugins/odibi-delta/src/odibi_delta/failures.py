"""What delta-rs and the object stores below it raise, as errors of Odibi.

Their messages hold addresses, key ids, rows of data and stack traces. What is known gets words of our own; of what is
not, the first line is kept, without addresses and without what the connection gave.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from odibi.errors import AccessDenied, Conflict, DataError, NotFound, OdibiError, StorageError, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_DENIED = re.compile(
    r"necessary privileges|valid authentication credentials|\b40[13] (Forbidden|Unauthorized)|Unauthenticated"
    r"|InvalidAccessKeyId"
    r"|SignatureDoesNotMatch|ExpiredToken|AccessDenied|[Pp]ermission denied|CredentialsNotLoaded|no providers in chain"
    r"|os error 13\b|os error 1\)",
)
_PASSING = re.compile(
    r"error sending request|timed? ?out|[Cc]onnection (refused|reset|closed)"
    r"|\b(429 Too|50[0234] (Internal|Bad|Service|Gateway))|SlowDown"
    r"|retry_timeout|after \d+ retries|dns error|broken pipe|operation was canceled|error decoding response body",
)
_NO_BUCKET = re.compile(r"NoSuchBucket|bucket does not exist|ContainerNotFound")
_SPOILED = re.compile(r"magic bytes|Could not open Parquet|Couldn't deserialize|[Cc]orrupt|range was invalid")
_NO_FILE = re.compile(r"missing file|not found|No such file|NoSuchKey|os error 2\b|does not exist")
_FULL = re.compile(r"No space left|os error 28\b|[Dd]isk quota|File too large")
_CHECKED = re.compile(r"(\d+) rows? failed validation check|Invariant violation|violates")
_UNSUPPORTED = re.compile(
    r"[Uu]nsupported|not supported|not yet supported|DeltaProtocolError|requires? (reader|writer)"
)
_NO_FEED = re.compile(r"does not have change data enabled|[Cc]hange data feed")
_PROPERTY = re.compile(r"Error parsing property|is invalid, valid values are")
_LOST = re.compile(
    r"[Cc]oncurrent|changed since last commit|existing table version|transaction: \d+$|table already exists",
    re.MULTILINE,
)
_APPEND_ONLY = re.compile(r"append.?only")
_DAMAGED = re.compile(
    r"Json error|found gap|No table metadata|Arrow error|Parquet error|[Pp]arquet|EOF|checksum"
    r"|[Ii]nvalid (range|thrift)|range was invalid|log segment|LogSegment|deserializ|serde|unexpected end"
    r"|missing field|magic",
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ADDRESS = re.compile(r"\w[\w+.-]*://\S*")
_MOST = 300

_DAMAGE_REMEDY = "Restore the object from a backup, or the table to an earlier version with odibi delta restore."


@contextmanager
def mapped(where: str, options: Mapping[str, str] | None = None) -> Iterator[None]:
    """Let nothing but errors of Odibi come out of the block.

    Args:
        where: what errors call the table.
        options: what the connection gave to delta-rs, none of which may show.
    """
    try:
        yield
    except OdibiError:
        raise
    except BaseException as error:
        if not is_failure(error):
            raise
        raise failure(error, where, options) from None


def is_failure(error: BaseException) -> bool:
    """Whether it is something that went wrong: an exception, or a panic of Rust, which comes as none."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def failure(error: BaseException, where: str, options: Mapping[str, str] | None = None) -> OdibiError:
    """The error of Odibi that says the same."""
    if isinstance(error, OdibiError):
        return error
    text = _COLOURS.sub("", str(error))
    kind = type(error).__name__
    if _CHECKED.search(text):  # goes on with rows, in which anything may stand
        return _checked(text, where)
    if _DENIED.search(text):
        return AccessDenied("the storage refuses access", where=where, remedy="Check the connection's credentials.")
    if _NO_BUCKET.search(text):
        return NotFound("there is no such bucket", where=where, remedy="Check the connection.")
    if _PASSING.search(text):
        return Transient("the storage did not answer as it should", where=where, remedy="Try again.")
    if _FULL.search(text):
        return StorageError("there is no room left in the storage", where=where, remedy="Make room.")
    if kind in _KINDS:
        return _KINDS[kind](text, where)
    for pattern, make in _WORDS:
        if pattern.search(text):
            return make(text, where)
    return DataError(f"delta-rs failed: {_clean(text, options) or kind}", where=where)


def _conflict(text: str, where: str) -> OdibiError:  # noqa: ARG001 - all makers take the text
    return Conflict("another writer has committed to the table meanwhile", where=where, remedy="Try again.")


def _missing(text: str, where: str) -> OdibiError:  # noqa: ARG001
    return NotFound("there is no Delta table", where=where, remedy="Check the path.")


def _schema(text: str, where: str) -> OdibiError:  # noqa: ARG001
    return DataError(
        "the frame has other columns or types than the table",
        where=where,
        remedy="Cast or select columns in a step before, or set schema_mode.",
    )


def _no_file(text: str, where: str) -> OdibiError:  # noqa: ARG001
    return DataError(
        "a file of the table is gone; perhaps a vacuum removed it, if an old version was asked for",
        where=where,
        remedy="Read a newer version, or restore the file from a backup.",
    )


def _checked(text: str, where: str) -> OdibiError:
    found = _CHECKED.search(text)
    many = f"{found[1]} of the rows break" if found and found[1] else "the rows break"
    return DataError(
        f"{many} a constraint of the table, or are null where it allows no nulls",
        where=where,
        remedy="Remove or repair these rows in a step before; odibi delta detail shows the constraints.",
    )


def _no_feed(text: str, where: str) -> OdibiError:
    found = re.search(r"version:? (\d+)", text)
    at = f" at version {found[1]}" if found else ""
    return DataError(
        f"the table kept no change data{at}",
        where=where,
        remedy="Write it with configuration: {delta.enableChangeDataFeed: true}, and begin with a later version.",
    )


def _append_only(text: str, where: str) -> OdibiError:  # noqa: ARG001
    return DataError(
        "the table is append-only: none of its rows can be replaced",
        where=where,
        remedy="Use mode append, or have the table's property delta.appendOnly: false.",
    )


def _unsupported(text: str, where: str) -> OdibiError:
    found = re.search(r"[Ff]eature '?(\w+)|reader version (\d+)|writer version (\d+)", text)
    what = f" ({found[0].strip()})" if found else ""
    return DataError(
        f"the table uses a feature of Delta that delta-rs does not know{what}",
        where=where,
        remedy="Use the Spark engine for this table, or a newer deltalake package.",
    )


def _property(text: str, where: str) -> OdibiError:
    found = re.search(r"property '([^']*)'|(\bdelta\.[\w.]+) = ", text)
    name = next(filter(None, found.groups()), "") if found else ""
    return DataError(
        f"the table cannot have the property {name!r} with this value" if name else "a property of the table is wrong",
        where=where,
        remedy="Check 'configuration' against Delta's table properties, such as delta.appendOnly: true.",
    )


def _damaged(text: str, where: str) -> OdibiError:
    found = re.search(r"\b(\d{20})\b|(part-\d{5}-[\w.-]+)", text)
    which = f": {found[0]}" if found else ""
    return DataError(f"the table or its log is damaged{which}", where=where, remedy=_DAMAGE_REMEDY)


_KINDS: Mapping[str, Callable[[str, str], OdibiError]] = {
    "TableNotFoundError": _missing,
    "SchemaMismatchError": _schema,
    "FileNotFoundError": _no_file,
}

_WORDS: tuple[tuple[re.Pattern[str], Callable[[str, str], OdibiError]], ...] = (
    (_LOST, _conflict),
    (_APPEND_ONLY, _append_only),
    (_NO_FEED, _no_feed),
    (_PROPERTY, _property),
    (_UNSUPPORTED, _unsupported),
    (_SPOILED, _damaged),
    (_NO_FILE, _no_file),
    (_DAMAGED, _damaged),
)


def _clean(text: str, options: Mapping[str, str] | None) -> str:
    line = _ADDRESS.sub("...", next((line for line in text.splitlines() if line.strip()), "").strip())
    for value in (options or {}).values():
        if len(value) > 3:
            line = line.replace(value, "***")
    return line if len(line) <= _MOST else f"{line[:_MOST]}..."
