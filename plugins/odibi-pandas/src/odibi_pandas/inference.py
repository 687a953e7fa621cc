"""Which type a column of texts has: the strictest one that keeps every value whole.

A kind fits a column if it fits each value alone. So what a column is found to be depends on its values, not on how
they were cut into parts and chunks, and looking at a part never has to be undone.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

MARKERS = (
    *("", "NA", "N/A", "n/a", "NULL", "null", "Null", "None", "NaN", "nan", "-nan", "-NaN"),
    *("#N/A", "#N/A N/A", "#NA", "#NULL!", "<NA>"),
)
"""What stands for "no value" in a column of anything but text."""

_SAMPLE = 200
_FIRST_NANOSECOND_YEAR, _LAST_NANOSECOND_YEAR = 1678, 2261
_DIGITS = 16
_EXACT = 10 ** (_DIGITS - 1)
"""Beyond this many a floating point number does not hold each integer, and fifteen digits are always kept."""


class Kind(IntEnum):
    """What a column of texts may be, the first that fits first."""

    INTEGER = 1
    BOOLEAN = 2
    FLOAT = 3
    DATE = 4
    MOMENT = 5
    MOMENT_NS = 6
    MOMENT_UTC = 7
    MOMENT_UTC_NS = 8
    TEXT = 9


@attrs.frozen
class Rules:
    """How values are written.

    Attributes:
        kinds: those looked for, besides text.
        markers: texts that stand for no value, except in columns of text.
        true_values, false_values: the words of a column of truth values.
        decimal: the decimal point.
        thousands: what groups digits, if anything does.
    """

    kinds: frozenset[Kind] = frozenset(Kind) - {Kind.TEXT}
    markers: tuple[str, ...] = MARKERS
    true_values: tuple[str, ...] = ("true", "True", "TRUE")
    false_values: tuple[str, ...] = ("false", "False", "FALSE")
    decimal: str = "."
    thousands: str | None = None


DATES_ONLY = Rules(kinds=frozenset({Kind.DATE, Kind.MOMENT, Kind.MOMENT_NS, Kind.MOMENT_UTC, Kind.MOMENT_UTC_NS}))
"""For formats whose numbers and truth values have types, but whose dates are texts."""


class Inference:
    """Finds the kind of one column from its parts, in any order.

    Args:
        rules: how values are written.
        known: what :attr:`found` was for other parts of it; what is found then is of all.
    """

    def __init__(self, rules: Rules, known: Kind | None = None) -> None:
        self._rules = rules
        # Kinds before the known one were refused by a value already, and those after it are not asked for: if the
        # known one does not fit the other parts, only looking at all of them tells which does.
        self._fitting = set(rules.kinds) if known is None else {known} & rules.kinds
        self._seen = known is not None

    def observe(self, column: pa.ChunkedArray) -> None:
        """Take in some of the column's values."""
        if not self._fitting or column.null_count == len(column):
            return
        if len(column) > _SAMPLE:
            # Nearly every kind that does not fit shows that in the first values, at no cost.
            self._check(column.slice(0, _SAMPLE))
        self._check(column)

    @property
    def kind(self) -> Kind:
        """The strictest kind that fits all values seen; text if there were none."""
        return min(self._fitting, default=Kind.TEXT) if self._seen else Kind.TEXT

    @property
    def found(self) -> Kind | None:
        """The same where more parts can only make it looser; ``None`` as long as there was no value to tell it by."""
        return self.kind if self._seen or not self._fitting else None

    def _check(self, column: pa.ChunkedArray) -> None:
        fitting: set[Kind] = set()
        for kind in sorted(self._fitting):
            if kind in fitting:
                continue
            values = as_kind(column, kind, self._rules)
            if values is None:
                continue
            fitting.add(kind)
            fitting |= _implied(kind, values)
            self._seen = self._seen or values.null_count < len(values)
        self._fitting &= fitting


def as_kind(column: pa.ChunkedArray, kind: Kind, rules: Rules, *, trusted: bool = False) -> pa.ChunkedArray | None:
    """The texts as values of ``kind``, or ``None`` if one does not fit.

    Args:
        column: the texts.
        kind: what they are to be.
        rules: how they are written.
        trusted: they were found to fit before, and need not be looked at for codes that look like numbers.
    """
    import pyarrow as pa

    if kind is Kind.TEXT:
        return column
    convert = _CONVERT[kind]
    try:
        values = convert(column, rules, trusted)
    except pa.ArrowInvalid:
        values = None
    if values is not None:
        return values
    try:
        return convert(cleaned(column, rules, number=kind in (Kind.INTEGER, Kind.FLOAT)), rules, trusted)
    except pa.ArrowInvalid:
        return None


def is_by_value(rules: Rules) -> bool:
    """Whether what becomes of a text depends on that text alone, whatever stands beside it in a chunk.

    Texts are cleaned only where one of the chunk has to be, which must change nothing in the others: no marker may be
    a value as well, no word of truth may have white space around it, and no text with groups of digits may be a number
    as it stands.
    """
    import pyarrow as pa

    if rules.thousands is not None and (rules.thousands == rules.decimal or rules.thousands.isalnum()):
        return False
    if rules.decimal.isalnum() or rules.decimal in "+- ":
        return False
    if any(word != word.strip() for word in (*rules.true_values, *rules.false_values)):
        return False
    for marker in rules.markers:
        column = pa.chunked_array([[marker]], pa.string())
        for kind in rules.kinds:
            values = as_kind(column, kind, rules)
            if values is None or values.null_count == 0:
                return False
    return True


def cleaned(column: pa.ChunkedArray, rules: Rules, *, number: bool) -> pa.ChunkedArray:
    """The texts without white space around them, markers as nulls, and numbers without groups of digits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.utf8_trim_whitespace(column)
    missing = pc.is_in(column, value_set=pa.array(rules.markers, column.type), skip_nulls=True)
    column = pc.if_else(missing, pa.scalar(None, column.type), column)
    if number and rules.thousands:
        column = _ungrouped(column, rules.thousands, rules.decimal)
    return column


def _ungrouped(column: pa.ChunkedArray, thousands: str, decimal: str) -> pa.ChunkedArray:
    import re

    import pyarrow.compute as pc

    group, point = re.escape(thousands), re.escape(decimal)
    grouped = pc.match_substring_regex(column, rf"^-?\d{{1,3}}({group}\d{{3}})+({point}\d*)?$")
    return pc.if_else(grouped, pc.replace_substring(column, thousands, ""), column)


def _integers(column: pa.ChunkedArray, _: Rules, trusted: bool) -> pa.ChunkedArray | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = column.cast(pa.int64())
    if not trusted:
        # 007, -0 and 0x1F are numbers only to a machine.
        zeros = pc.sum(pc.starts_with(column, "0")).as_py() or 0
        plain_zeros = (pc.sum(pc.equal(column, "0")).as_py() or 0) if zeros else 0
        if zeros != plain_zeros or pc.any(pc.starts_with(column, "-0")).as_py():
            return None
    return values


def _floats(column: pa.ChunkedArray, rules: Rules, trusted: bool) -> pa.ChunkedArray | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if rules.decimal != ".":
        if pc.any(pc.match_substring(column, ".")).as_py():
            return None
        column = pc.replace_substring(column, rules.decimal, ".")
    values = column.cast(pa.float64())
    if not trusted and (_has_codes(column) or _overflows(column, values)):
        return None
    unknown = pc.is_nan(values)
    return pc.if_else(unknown, pa.scalar(None, values.type), values) if pc.any(unknown).as_py() else values


def _has_codes(column: pa.ChunkedArray) -> bool:
    """Whether a text is a code or an identifier: with leading zeros, a plus sign, or more digits than a float keeps."""
    import pyarrow.compute as pc

    if any(pc.any(pc.starts_with(column, start)).as_py() for start in ("0", "-0", "+")) and (
        pc.any(pc.match_substring_regex(column, r"^(\+|-?0\d)")).as_py()
    ):
        return True
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    return longest >= _DIGITS and bool(pc.any(pc.match_substring_regex(column, rf"^-?\d{{{_DIGITS},}}$")).as_py())


def _overflows(column: pa.ChunkedArray, values: pa.ChunkedArray) -> bool:
    """Whether a number is too large for a float (1e999), rather than said to be infinite."""
    import pyarrow.compute as pc

    infinite = pc.is_inf(values)
    if not pc.any(infinite).as_py():
        return False
    words = pc.match_substring_regex(column, r"(?i)^-?inf(inity)?$")
    return bool(pc.any(pc.and_(infinite, pc.invert(words))).as_py())


def _booleans(column: pa.ChunkedArray, rules: Rules, _: bool) -> pa.ChunkedArray | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    true = pc.is_in(column, value_set=pa.array(rules.true_values, column.type), skip_nulls=True)
    false = pc.is_in(column, value_set=pa.array(rules.false_values, column.type), skip_nulls=True)
    known = pc.or_(true, false)
    if (pc.sum(known).as_py() or 0) != len(column) - column.null_count:
        return None
    return pc.if_else(known, true, pa.scalar(None, pa.bool_()))


def _casting(name: str, unit: str = "", zone: str | None = None) -> Callable[[pa.ChunkedArray, Rules, bool], Any]:
    def convert(column: pa.ChunkedArray, _: Rules, __: bool) -> pa.ChunkedArray:
        import pyarrow as pa

        return column.cast(pa.date32() if name == "date32" else pa.timestamp(unit, zone))

    return convert


_CONVERT: dict[Kind, Callable[[Any, Rules, bool], Any]] = {
    Kind.INTEGER: _integers,
    Kind.BOOLEAN: _booleans,
    Kind.FLOAT: _floats,
    Kind.DATE: _casting("date32"),
    Kind.MOMENT: _casting("timestamp", "us"),
    Kind.MOMENT_NS: _casting("timestamp", "ns"),
    Kind.MOMENT_UTC: _casting("timestamp", "us", "UTC"),
    Kind.MOMENT_UTC_NS: _casting("timestamp", "ns", "UTC"),
}


def _implied(kind: Kind, values: pa.ChunkedArray) -> set[Kind]:
    """Looser kinds that fit as well, found more cheaply than by trying."""
    import pyarrow.compute as pc

    if kind is Kind.INTEGER:
        bounds = pc.min_max(values).as_py()
        low, high = bounds["min"], bounds["max"]
        return {Kind.FLOAT} if low is None or max(-low, high) < _EXACT else set()
    if kind not in (Kind.DATE, Kind.MOMENT, Kind.MOMENT_UTC):
        return set()
    years = pc.min_max(pc.year(values)).as_py()
    narrow = years["min"] is None or (years["min"] >= _FIRST_NANOSECOND_YEAR and years["max"] <= _LAST_NANOSECOND_YEAR)
    if kind is Kind.MOMENT_UTC:
        return {Kind.MOMENT_UTC_NS} if narrow else set()
    return {Kind.MOMENT, Kind.MOMENT_NS} if narrow else {Kind.MOMENT}
