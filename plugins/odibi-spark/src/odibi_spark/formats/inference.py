"""Which type a column of texts has, found by Spark: the strictest one that keeps every value whole.

The rules are those of the pandas engine, so that a file has the same types on both. Each value has a mask, with a bit
for each kind that it may be; what all masks of a column have in common is what the column may be.
"""

from __future__ import annotations

import re
from enum import IntFlag
from typing import Any

import attrs

MARKERS = (
    *("", "NA", "N/A", "n/a", "NULL", "null", "Null", "None", "NaN", "nan", "-nan", "-NaN"),
    *("#N/A", "#N/A N/A", "#NA", "#NULL!", "<NA>"),
)
"""What stands for "no value" in a column of anything but text."""

_BLANK = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2000\u2001\u2002\u2003\u2009\u2028\u2029\u202f\u3000"
_EXACT = 10**15
"""From here on a floating point number does not hold each integer."""

_INTEGER = r"^(?:0|-?[1-9][0-9]{0,18})\z"
_FLOAT = r"^-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\z"
_INFINITY = r"(?i)^-?inf(?:inity)?\z"
_CODE = r"^-?[0-9]{16,}\z"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\z"
_CLOCK = r"[ T][0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?"
_MOMENT = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:{_CLOCK})?\z"
_ZONED = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_CLOCK}(?:Z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)\z"
_ANY_INTEGER = r"^[-+]?[0-9]+\z"
_ANY_FLOAT = r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\z|(?i)^[-+]?inf(?:inity)?\z|(?i)^[-+]?nan\z"


class Kind(IntFlag):
    """What a column of texts may be, the first that fits first; a text, if none does."""

    INTEGER = 1
    BOOLEAN = 2
    FLOAT = 4
    DATE = 8
    MOMENT = 16
    MOMENT_UTC = 32


TYPES = {
    Kind.INTEGER: "bigint",
    Kind.BOOLEAN: "boolean",
    Kind.FLOAT: "double",
    Kind.DATE: "date",
    Kind.MOMENT: "timestamp_ntz",
    Kind.MOMENT_UTC: "timestamp",
}
DATES = Kind.DATE | Kind.MOMENT | Kind.MOMENT_UTC
ALL = DATES | Kind.INTEGER | Kind.BOOLEAN | Kind.FLOAT


@attrs.frozen
class Rules:
    """How values are written.

    Attributes:
        f: the functions for the frame.
        kinds: those looked for, besides text.
        markers: texts that stand for no value, except in columns of text.
        true_values, false_values: the words of a column of truth values.
        decimal: the decimal point.
        thousands: what groups digits, if anything does.
    """

    f: Any
    kinds: Kind = ALL
    markers: tuple[str, ...] = MARKERS
    true_values: tuple[str, ...] = ("true", "True", "TRUE")
    false_values: tuple[str, ...] = ("false", "False", "FALSE")
    decimal: str = "."
    thousands: str | None = None

    def kind(self, mask: int | None) -> Kind | None:
        """The strictest kind that is in what all masks of a column have in common; ``None`` for text."""
        return next((kind for kind in Kind if mask is not None and mask & kind & self.kinds), None)

    def mask(self, value: Any) -> Any:
        """Which kinds each of the values, which are :meth:`cleaned`, may be; null for null."""
        f = self.f
        found = self._dates_mask(value)
        if self.kinds & (Kind.INTEGER | Kind.FLOAT):
            found = self._numbers_mask(value, found)
        if self.kinds & Kind.BOOLEAN:
            words = value.isin(*self.true_values, *self.false_values)
            found = found + f.when(words, f.lit(int(Kind.BOOLEAN))).otherwise(f.lit(0))
        return f.when(value.isNotNull(), found)

    def of_kind(self, value: Any, kind: Kind) -> Any:
        """The :meth:`cleaned` values of a column that was found to be of ``kind``; null for one that is not."""
        if kind is Kind.BOOLEAN:
            return self._truth(value, self.true_values, self.false_values)
        if kind in (Kind.INTEGER, Kind.FLOAT):
            value = self._number(value, point=kind is Kind.FLOAT)
        if kind is Kind.FLOAT:
            found = value.try_cast("double")
            return self.f.when(~self.f.isnan(found), found)
        return value.try_cast(TYPES[kind])

    def of_type(self, text: Any, type_: str, date_format: str | None = None, zone: str = "UTC") -> tuple[Any, Any]:
        """The values of a column whose type the user said, null for those that do not fit; and which do not."""
        f = self.f
        if type_ in ("string", "binary"):
            return text.cast(type_), f.lit(False)
        value = self.cleaned(text)
        if type_ in ("tinyint", "smallint", "int", "bigint"):
            number = self._number(value, point=False)
            found = f.when(number.rlike(_ANY_INTEGER), number.try_cast(type_))
        elif type_ in ("float", "double"):
            number = self._number(value, point=True)
            found = f.when(number.rlike(_ANY_FLOAT), number.try_cast(type_))
        elif type_.startswith("decimal"):
            number = self._number(value, point=True)
            scale = int(type_.rstrip(")").rpartition(",")[2])
            whole = rf"^[-+]?[0-9]*(?:\.[0-9]{{0,{scale}}}0*)?\z"
            found = f.when(number.rlike(whole), number.try_cast(type_))
        elif type_ == "boolean":
            found = self._truth(value, (*self.true_values, "1"), (*self.false_values, "0"))
        else:
            found = self._moment(value, type_, date_format, zone)
        return found, value.isNotNull() & found.isNull()

    def cleaned(self, text: Any) -> Any:
        """The texts without white space around them, and without those that stand for no value."""
        f, blanks = self.f, list(_BLANK)
        # Trimming of more than spaces is slow in Spark, and hardly ever needed.
        padded = f.substring(text, 1, 1).isin(blanks) | f.substring(text, -1, 1).isin(blanks)
        value = f.when(padded, f.btrim(text, f.lit(_BLANK))).otherwise(text)
        return f.when(~value.isin(*self.markers), value)

    def _truth(self, value: Any, true: tuple[str, ...], false: tuple[str, ...]) -> Any:
        return self.f.when(value.isin(*true), True).when(value.isin(*false), False)

    def _number(self, value: Any, *, point: bool) -> Any:
        """The text of a number as Spark writes it."""
        f = self.f
        if self.thousands:
            group, mark = re.escape(self.thousands), re.escape(self.decimal)
            grouped = value.rlike(rf"^-?[0-9]{{1,3}}(?:{group}[0-9]{{3}})+(?:{mark}[0-9]*)?\z")
            value = f.when(grouped, f.replace(value, f.lit(self.thousands), f.lit(""))).otherwise(value)
        if point and self.decimal != ".":
            value = f.when(~value.contains("."), f.replace(value, f.lit(self.decimal), f.lit(".")))
        return value

    def _numbers_mask(self, value: Any, otherwise: Any) -> Any:
        f = self.f
        whole = self._number(value, point=False)
        number = whole if self.decimal == "." else self._number(value, point=True)
        long = whole.try_cast("bigint")
        small = long.between(-_EXACT + 1, _EXACT - 1)
        finite = f.abs(number.try_cast("double")) < float("inf")
        return (
            f.when(
                whole.rlike(_INTEGER) & long.isNotNull(),
                f.when(small, f.lit(int(Kind.INTEGER | Kind.FLOAT))).otherwise(f.lit(int(Kind.INTEGER))),
            )
            .when(number.rlike(_FLOAT) & ~number.rlike(_CODE) & finite, f.lit(int(Kind.FLOAT)))
            .when(number.rlike(_INFINITY), f.lit(int(Kind.FLOAT)))
            .otherwise(otherwise)
        )

    def _dates_mask(self, value: Any) -> Any:
        f = self.f
        if not self.kinds & DATES:
            return f.lit(0)
        return f.when(
            f.substring(value, 5, 1) == "-",
            f.when(value.rlike(_DATE) & value.try_cast("date").isNotNull(), f.lit(int(Kind.DATE | Kind.MOMENT)))
            .when(value.rlike(_MOMENT) & value.try_cast("timestamp_ntz").isNotNull(), f.lit(int(Kind.MOMENT)))
            .when(value.rlike(_ZONED) & value.try_cast("timestamp").isNotNull(), f.lit(int(Kind.MOMENT_UTC)))
            .otherwise(f.lit(0)),
        ).otherwise(f.lit(0))

    def _moment(self, value: Any, type_: str, date_format: str | None, zone: str) -> Any:
        f = self.f
        if date_format is not None:
            local = f.try_to_timestamp(value, f.lit(java_pattern(date_format))).cast("timestamp_ntz")
        else:
            local = f.when(value.rlike(_MOMENT), value.try_cast("timestamp_ntz"))
        moment = f.when(value.rlike(_ZONED), value.try_cast("timestamp"))
        as_local = f.convert_timezone(f.current_timezone(), f.lit("UTC"), moment.cast("timestamp_ntz"))
        if type_ == "timestamp":
            if date_format is not None:
                here = f.convert_timezone(f.lit(zone), f.current_timezone(), local)
                return f.coalesce(moment, here.cast("timestamp"))
            clock = f.when(value.rlike(_DATE), f.concat(value, f.lit("T00:00:00"))).otherwise(value)
            here = f.when(value.rlike(_MOMENT), f.concat(clock, f.lit(f" {zone}")).try_cast("timestamp"))
            return f.coalesce(moment, here)
        return f.coalesce(local, as_local).cast(type_)


_DIRECTIVES = {
    "d": "d",
    "m": "M",
    "Y": "yyyy",
    "y": "yy",
    "H": "H",
    "I": "h",
    "M": "m",
    "S": "s",
    "f": "SSSSSS",
    "p": "a",
    "b": "MMM",
    "B": "MMMM",
    "j": "D",
    "F": "yyyy-MM-dd",
    "T": "H:m:s",
}
"""The directives of strptime in the words of Java, which take one digit as well as two."""


def java_pattern(date_format: str) -> str:
    """A format of strptime as a pattern of Java's.

    Raises:
        ValueError: a directive has no counterpart.
    """
    found = []
    for directive, text in re.findall(r"%(.)|([^%]+)", date_format, re.DOTALL):
        if text:
            found.append(re.sub(r"[A-Za-z']+", lambda match: "'" + match[0].replace("'", "''") + "'", text))
        elif directive == "%":
            found.append("%")
        elif directive in _DIRECTIVES:
            found.append(_DIRECTIVES[directive])
        else:
            raise ValueError(f"Spark does not read %{directive} in a date_format")
    return "".join(found)
