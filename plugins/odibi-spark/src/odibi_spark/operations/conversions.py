"""From one type to another, whole or not at all: the columns that ``cast`` is made of.

Spark's own casts follow SQL: they round, trim texts, and take ``yes`` for true. Here a value goes over as Arrow lets it
go, so that a project gives the same on an engine that works on Arrow. Nothing here depends on Spark's time zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from odibi_spark.operations.kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column
    from pyspark.sql.types import DataType

_BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
_EXACT = {"float": 2**24, "double": 2**53}
"""The largest integer up to which a float has all of them."""

_FLOAT = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[ T][0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?"
_OFFSET = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_EPOCH = "TIMESTAMP_NTZ'1970-01-01 00:00:00'"


@attrs.frozen
class Conversion:
    """How values of one type become those of another.

    Attributes:
        f: the functions for the frame.
        held: the type of the values.
        wanted: the type that is wanted, in Spark's words.
    """

    f: Any
    held: DataType
    wanted: str

    def of(self, column: str) -> Column | None:
        """The converted values of the column called ``column``: null for those that will not go.

        Returns:
            ``None`` if the types have nothing to do with one another.
        """
        if self.held.simpleString() == self.wanted:
            found: Column = self.f.col(column)
            return found
        make = self._makers().get((self._family(self.held.simpleString()), self._family(self.wanted)))
        return None if make is None else make(column)

    @staticmethod
    def _family(word: str) -> str:
        if word in _BITS:
            return "integer"
        return "decimal" if word.startswith("decimal") else "float" if word in _EXACT else word

    def _makers(self) -> dict[tuple[str, str], Callable[[str], Column]]:
        texts = {
            "integer": self._text_to_integer,
            "float": self._text_to_float,
            "decimal": self._text_to_decimal,
            "boolean": self._text_to_bool,
            "date": self._text_to_date,
            "timestamp_ntz": self._text_to_local,
            "timestamp": self._text_to_moment,
            "binary": self._plainly,
        }
        numbers: dict[tuple[str, str], Callable[[str], Column]] = {
            ("integer", "integer"): self._tried,
            ("integer", "float"): self._integer_to_float,
            ("integer", "decimal"): self._tried,
            ("integer", "boolean"): self._number_to_bool,
            ("integer", "string"): self._plainly,
            ("float", "integer"): self._float_to_integer,
            ("float", "float"): self._plainly,
            ("float", "decimal"): self._tried,
            ("float", "boolean"): self._number_to_bool,
            ("float", "string"): self._float_to_text,
            ("decimal", "integer"): self._wholly,
            ("decimal", "float"): self._plainly,
            ("decimal", "decimal"): self._wholly,
            ("decimal", "string"): self._plainly,
            ("boolean", "integer"): self._plainly,
            ("boolean", "float"): self._plainly,
            ("boolean", "string"): self._plainly,
        }
        times: dict[tuple[str, str], Callable[[str], Column]] = {
            ("date", "string"): self._plainly,
            ("date", "timestamp_ntz"): self._plainly,
            ("date", "timestamp"): lambda column: self._moment(f"CAST({column} AS TIMESTAMP_NTZ)"),
            ("timestamp_ntz", "date"): self._plainly,
            ("timestamp_ntz", "string"): self._local_to_text,
            ("timestamp_ntz", "timestamp"): self._moment,
            ("timestamp", "date"): self._plainly,
            ("timestamp", "string"): self._moment_to_text,
            ("timestamp", "timestamp_ntz"): self._local,
        }
        if self.held.simpleString() == "bigint":
            times[("integer", "timestamp")] = self.f.timestamp_micros
            times[("integer", "timestamp_ntz")] = lambda column: self.f.expr(
                f"timestampadd(MICROSECOND, {column}, {_EPOCH})"
            )
        if self.held.simpleString() == "int":
            times[("integer", "date")] = self.f.date_from_unix_date
        if self.wanted == "bigint":
            times[("timestamp", "integer")] = self.f.unix_micros
            times[("timestamp_ntz", "integer")] = lambda column: self.f.expr(_since_epoch(column))
        if self.wanted == "int":
            times[("date", "integer")] = self.f.unix_date
        others: dict[tuple[str, str], Callable[[str], Column]] = {("string", to): make for to, make in texts.items()}
        if kind_of(self.held) == "null":
            others[("void", self._family(self.wanted))] = self._plainly
        others[("binary", "string")] = lambda column: self.f.try_validate_utf8(self.f.col(column).cast("string"))
        return {**numbers, **times, **others}

    # --- plain ------------------------------------------------------------------------------------------------------

    def _plainly(self, column: str) -> Column:
        return self.f.col(column).cast(self.wanted)  # type: ignore[no-any-return]

    def _tried(self, column: str) -> Column:
        return self.f.col(column).try_cast(self.wanted)  # type: ignore[no-any-return]

    def _if(self, condition: Column, made: Column) -> Column:
        return self.f.when(condition, made)  # type: ignore[no-any-return]

    def _wholly(self, column: str) -> Column:
        made = self._tried(column)
        return self._if(made == self.f.col(column), made)

    # --- numbers ----------------------------------------------------------------------------------------------------

    def _integer_to_float(self, column: str) -> Column:
        value, most = self.f.col(column), _EXACT[self.wanted]
        return self._if(value.between(-most, most), self._plainly(column))

    def _float_to_integer(self, column: str) -> Column:
        value, bits = self.f.col(column).cast("double"), _BITS[self.wanted]
        fits = (value >= float(-(2 ** (bits - 1)))) & (value < float(2 ** (bits - 1)))
        return self._if(fits & (value == self.f.rint(value)), self._tried(column))

    def _number_to_bool(self, column: str) -> Column:
        value = self.f.col(column)
        return self._if((value == 0) | (value == 1), value == 1)

    def _float_to_text(self, column: str) -> Column:
        """As short as it can be: ``1``, ``0.5``, ``1e+20``, ``nan``, ``inf``."""
        value = self.f.col(column)
        text = value.cast("string")
        mantissa = self.f.regexp_replace(self.f.regexp_extract(text, r"^([^E]*)", 1), r"\.0$", "")
        exponent = self.f.regexp_extract(text, r"E(.*)$", 1)
        signed = self.f.when(exponent.startswith("-"), exponent).otherwise(self.f.concat(self.f.lit("+"), exponent))
        size = self.f.abs(value.cast("double"))
        # Between these Spark writes an exponent, and Arrow all digits.
        digits = self.f.regexp_replace(text.cast("decimal(38,18)").cast("string"), r"\.?0+$", "")
        scientific = self.f.concat(mantissa, self.f.lit("e"), signed)
        return (  # type: ignore[no-any-return]
            self.f.when(self.f.isnan(value), "nan")
            .when(size == float("inf"), self.f.when(value > 0, "inf").otherwise("-inf"))
            .when(exponent == "", mantissa)
            .when((size >= 1e-6) & (size < 1e10), digits)
            .otherwise(scientific)
        )

    # --- texts ------------------------------------------------------------------------------------------------------

    def _text_to_integer(self, column: str) -> Column:
        text, bits = self.f.col(column), _BITS[self.wanted]
        digits = self._if(text.rlike("^-?[0-9]+$"), self._tried(column))
        # What is written in hexadecimal digits are the bits, of which the first is the sign.
        unsigned = self.f.conv(self.f.substring(text, 3, bits // 4), 16, 10).try_cast("decimal(20,0)")
        wraps = self.f.when(unsigned >= self._whole(2 ** (bits - 1)), unsigned - self._whole(2**bits))
        signed = self.f.coalesce(wraps, unsigned).cast(self.wanted)
        is_hex = text.rlike(f"^0[xX][0-9a-fA-F]{{1,{bits // 4}}}$")
        return self.f.when(is_hex, signed).otherwise(digits)  # type: ignore[no-any-return]

    def _whole(self, number: int) -> Column:
        """A number that may be larger than what Spark takes from Python."""
        return self.f.lit(str(number)).cast("decimal(20,0)")  # type: ignore[no-any-return]

    def _text_to_float(self, column: str) -> Column:
        text = self.f.col(column)
        nan = self.f.lit("NaN").cast(self.wanted)
        looks_right = text.rlike(_FLOAT) | text.rlike(r"^(?i)[-+]?(inf|infinity)$")
        made = self._if(looks_right, self._tried(column))
        return self.f.when(text.rlike(r"^(?i)[-+]?nan$"), nan).otherwise(made)  # type: ignore[no-any-return]

    def _text_to_decimal(self, column: str) -> Column:
        text, scale = self.f.col(column), int(self.wanted.rstrip(")").split(",")[1])
        whole = self.f.regexp_extract(text, r"^[-+]?([0-9]*)", 1)
        part = self.f.regexp_extract(text, r"\.([0-9]*)", 1)
        digits = self.f.concat(whole, part)
        exponent = self.f.coalesce(self.f.regexp_extract(text, r"[eE]([-+]?[0-9]+)$", 1).try_cast("int"), self.f.lit(0))
        needless = self.f.length(digits) - self.f.length(self.f.regexp_replace(digits, "0+$", ""))
        is_exact = (self.f.length(part) - needless - exponent <= scale) | digits.rlike("^0*$")
        return self._if(text.rlike(_FLOAT) & is_exact, self._tried(column))

    def _text_to_bool(self, column: str) -> Column:
        text = self.f.lower(self.f.col(column))
        return self.f.when(text.isin("true", "1"), True).when(text.isin("false", "0"), False)  # type: ignore[no-any-return]

    def _text_to_date(self, column: str) -> Column:
        return self._if(self.f.col(column).rlike(f"^{_DAY}$"), self._tried(column))

    def _text_to_local(self, column: str) -> Column:
        text = self.f.col(column)
        return self._if(text.rlike(f"^{_DAY}({_CLOCK})?$"), self._in_full(text).try_cast("timestamp_ntz"))

    def _text_to_moment(self, column: str) -> Column:
        text = self.f.col(column)
        local = self.f.regexp_extract(text, f"^({_DAY}({_CLOCK})?)", 1)
        offset = self.f.regexp_extract(text, f"{_CLOCK}{_OFFSET}$", 4)
        hours = self.f.substring(offset, 2, 2).try_cast("int")
        minutes = self.f.when(self.f.length(offset) > 3, self.f.right(offset, self.f.lit(2)).try_cast("int")).otherwise(
            0
        )
        seconds = hours * 3600 + minutes * 60
        back = self.f.when(offset.startswith("-"), seconds).otherwise(-seconds)
        moved = self.f.when(offset.isin("", "Z"), 0).otherwise(self.f.when((hours < 24) & (minutes < 60), back))
        utc = self.f.concat(self._in_full(local), self.f.lit("Z")).try_cast("timestamp")
        made = self.f.timestamp_micros(self.f.unix_micros(utc) + moved.cast("bigint") * 1_000_000)
        return self._if(text.rlike(f"^{_DAY}({_CLOCK}{_OFFSET}?)?$"), made)

    def _in_full(self, text: Column) -> Column:
        """``2024-01-02`` and ``2024-01-02 10`` with the parts that are left out."""
        rest = {10: " 00:00:00", 13: ":00:00", 16: ":00"}
        found = self.f.lit("")
        for size, missing in rest.items():
            found = self.f.when(self.f.length(text) == size, missing).otherwise(found)
        return self.f.concat(text, found)  # type: ignore[no-any-return]

    # --- times ------------------------------------------------------------------------------------------------------

    def _moment(self, local: str) -> Column:
        """A time without a zone counts as UTC."""
        return self.f.timestamp_micros(self.f.expr(_since_epoch(local)))  # type: ignore[no-any-return]

    def _local(self, column: str) -> Column:
        return self.f.expr(f"timestampadd(MICROSECOND, unix_micros({column}), {_EPOCH})")  # type: ignore[no-any-return]

    def _local_to_text(self, column: str) -> Column:
        return self.f.date_format(column, "yyyy-MM-dd HH:mm:ss.SSSSSS")  # type: ignore[no-any-return]

    def _moment_to_text(self, column: str) -> Column:
        return self.f.date_format(column, "yyyy-MM-dd HH:mm:ss.SSSSSSXX")  # type: ignore[no-any-return]


def _since_epoch(local: str) -> str:
    return f"timestampdiff(MICROSECOND, {_EPOCH}, {local})"
