"""CSV files to which rows are appended: whether those can be read without the rows before, and under which names."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, BinaryIO

from odibi_pandas.formats.csv_head import read_head
from odibi_pandas.formats.texts import RawText, Utf8Stream, is_compressed
from odibi_pandas.inference import Rules, is_by_value
from odibi_pandas.texts import type_of

if TYPE_CHECKING:
    from odibi_pandas.formats.csv import CsvFormat

_CHUNK = 1 << 16


def lead(format_: CsvFormat, file: BinaryIO, name: str) -> bytes | None:
    """The first line of ``file``, which is to stand before rows that were appended to it.

    Args:
        format_: the options.
        file: seekable; where it stands afterwards is left open.
        name: what to call it in an error.

    Returns:
        The bytes, a byte order mark included; ``None`` if the meaning of a row depends on more than its own text and
        the types of the columns.

    Raises:
        DataError: the file does not begin as a CSV file does.
    """
    if not _by_row(format_, name):
        return None
    if is_compressed(file):
        return None
    raw = RawText(file, format_.encoding, name, format_.title)
    if raw.encoding != "utf-8":
        return None
    try:
        head = read_head(format_, Utf8Stream(raw), name)
    except UnicodeDecodeError:
        return None  # reading the whole says where
    file.seek(0)
    begun = b""
    while True:
        block = file.read(_CHUNK)
        begun += block
        found = begun.splitlines(keepends=True)
        if not block or len(found) > head.lines:
            return b"".join(found[: head.lines])


def _by_row(format_: CsvFormat, name: str) -> bool:
    """Whether the options leave each row a meaning of its own."""
    plain = (
        format_.header is True
        and format_.skip_rows == 0
        and format_.max_rows is None
        and codecs.lookup(format_.encoding).name == "utf-8"
        and format_.encoding_fallback is None
        and format_.escapechar is None
        and format_.comment is None
        and format_.on_bad_lines == "error"
        and format_.delimiter != "auto"
    )
    rules = format_.rules()
    return plain and is_by_value(rules or Rules(kinds=frozenset())) and _types_are_by_value(format_, name)


def _types_are_by_value(format_: CsvFormat, name: str) -> bool:
    """Whether the types that were asked for are: moments with a zone and moments without cannot stand in one column."""
    import pyarrow as pa

    named = () if isinstance(format_.dates, bool) else format_.dates
    given = format_.dtypes
    types = {"": given} if isinstance(given, str) else {**dict.fromkeys(named, "datetime"), **(given or {})}
    for column, word in types.items():
        kind = type_of(word, column, name)
        if (pa.types.is_date(kind) or pa.types.is_timestamp(kind)) and (
            format_.date_format is None or column not in named
        ):
            return False
    return True
