"""CSV files as frames.

Where no field holds a line break, which the survey of all rows finds out, each line is parsed by itself, and Spark can
cut a file anywhere. Other files, and those in UTF-16 and its like, are read by Spark's own source, each by one task.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs

from odibi.errors import DataError, OdibiError, TransformError
from odibi_spark.formats.base import (
    check_not_in_file,
    known_columns,
    partition_types,
    partitions_typed,
    places_of,
    quoted,
    reader_of,
    texts_of,
)
from odibi_spark.formats.csv import BAD_LINE
from odibi_spark.formats.csv_head import Head, check_rows, dialect, heads_of, nul_byte, ragged
from odibi_spark.formats.inference import DATES, TYPES, Kind, Rules
from odibi_spark.formats.texts import lines_of, where_of
from odibi_spark.kinds import functions_for
from odibi_spark.operations.kinds import spark_type
from odibi_spark.places import address

if TYPE_CHECKING:
    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source
    from odibi_spark.formats.csv import CsvFormat

_log = logging.getLogger("odibi_spark")

_BAD, _FILE, _LINE = "_odibi_bad", "_odibi_file", "_odibi_line"
_NULL = "\ue000\ue001null"
"""What Spark is told that null looks like, so that a quoted empty field is not one."""

_PANDAS_WORDS = {
    "object": "string",
    "category": "string",
    "number": "float64",
    "datetime64": "timestamp[us]",
    **{f"datetime64[{unit}]": "timestamp[us]" for unit in ("ns", "us", "ms", "s")},
}


def frame_of(
    format_: CsvFormat, source: Source, parts: Sequence[Part], engine: Any, wanted: Sequence[str] | None
) -> Any:
    """The frame of all parts, with the columns of its folders."""
    if format_.schema is not None:
        return _as_told(format_, source, parts, engine)
    others: frozenset[str] = frozenset()
    while True:
        reading = _Reading(format_, source, parts, engine, wanted, heads_of(format_, source, parts, others))
        try:
            return reading.frame()
        except _Undecodable as found:
            others |= found.paths


class _Undecodable(Exception):
    """Some files are not in the first encoding, and there is another one to try."""

    def __init__(self, paths: frozenset[str]) -> None:
        super().__init__()
        self.paths = paths


def type_named(word: str, column: str, where: str) -> str:
    """Spark's type for a user's word.

    Raises:
        DataError: there is none.
    """
    try:
        return spark_type(_PANDAS_WORDS.get(word.strip().lower(), word), "dtypes")
    except TransformError as error:
        raise DataError(f"the type of column {column!r}: {error.what}", where=where, remedy=error.remedy) from error


def zone_of(word: str) -> str:
    """The time zone that a word for a type names; texts without one are of that zone."""
    for opening, closing in (("tz=", "]"), ("(", ")")):
        _, found, rest = word.partition(opening)
        if found and word.lower().startswith(("datetime", "timestamp")):
            return rest.partition(closing)[0].strip()
    return "UTC"


@attrs.frozen
class _Typed:
    """A column that the user gave a type."""

    type: str
    zone: str = "UTC"
    date_format: str | None = None


class _Reading:
    """One reading of one source."""

    def __init__(
        self,
        format_: CsvFormat,
        source: Source,
        parts: Sequence[Part],
        engine: Any,
        wanted: Sequence[str] | None,
        heads: Sequence[Head],
    ) -> None:
        self.format = format_
        self.source = source
        self.engine = engine
        self.f = functions_for(engine.native)
        self.partitions = partition_types(parts)
        self.parts = parts
        self.names = self._agreed(heads)
        check_not_in_file(self.partitions, self.names, str(source))
        if wanted is not None:
            known_columns(wanted, [*self.names, *self.partitions], str(source))
        self.wanted = [name for name in self.names if wanted is None or name in wanted]
        self.typed = self._types()
        kinds = Kind(sum(Kind)) if format_.dates is True else Kind(sum(Kind)) & ~DATES
        self.rules = Rules(
            self.f,
            kinds=kinds,
            true_values=format_.true_values,
            false_values=format_.false_values,
            decimal=format_.decimal,
            thousands=format_.thousands,
            **({} if format_.null_values is None else {"markers": ("", *format_.null_values)}),
        )
        self.groups = self._grouped(heads)

    def frame(self) -> Any:
        """The rows of all groups of files, in their types."""
        for group in self.groups:
            group.survey()
        masks = [group.masks for group in self.groups]
        kinds: dict[str, Kind | None] = {}
        for name in self.wanted:
            found = [each for mask in masks if (each := mask.get(name)) is not None]
            kinds[name] = self.rules.kind(reduce(lambda one, other: one & other, found) if found else None)
        frames = [group.frame(kinds) for group in self.groups]
        frame = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), frames)
        collected = [BAD_LINE] if self.format.on_bad_lines == "collect" else []
        ordered = [*self.wanted, *collected, *self.partitions]
        return partitions_typed(frame.select(*map(quoted, ordered)), self.partitions)

    def _agreed(self, heads: Sequence[Head]) -> list[str]:
        """The columns of all files, in the order in which they come up."""
        first = heads[0]
        names = list(first.names)
        for head in heads[1:]:
            lacking = [name for name in first.names if name not in head.names]
            more = [name for name in head.names if name not in first.names]
            if (lacking or more) and not self.format.union_by_name:
                said = [f"lacks {_listed(lacking)}"] if lacking else []
                said += [f"has {_listed(more)} besides"] if more else []
                raise DataError(
                    f"the part {' and '.join(said)}, unlike {where_of(self.source, first.part)}",
                    where=where_of(self.source, head.part),
                    remedy="Set union_by_name: true to fill missing columns with nulls, or read the parts one by one.",
                )
            names += [name for name in more if name not in names]
        return names

    def _grouped(self, heads: Sequence[Head]) -> list[_Group]:
        alike: dict[Any, list[Head]] = {}
        for head in heads:
            alike.setdefault((head.names, head.delimiter, attrs.evolve(head.encoding, marked=False)), []).append(head)
        return [_Group(self, group, alone=len(alike) == 1) for group in alike.values()]

    def _types(self) -> dict[str, _Typed]:
        """The types that the user asked for."""
        where, format_ = str(self.source), self.format
        given = format_.dtypes
        if isinstance(given, str):
            return {name: _Typed(type_named(given, name, where), zone_of(given)) for name in self.wanted}
        known_columns(list(given or ()), self.names, where, "dtypes")
        dated = () if isinstance(format_.dates, bool) else format_.dates
        known_columns(dated, self.names, where, "dates")
        types = {}
        for name, word in (given or {}).items():
            types[name] = _Typed(
                type_named(word, name, where), zone_of(word), format_.date_format if name in dated else None
            )
        for name in dated:
            types.setdefault(name, _Typed("timestamp_ntz", date_format=format_.date_format))
        return types

    def infers(self, name: str) -> bool:
        """Whether the type of a column is to be found out."""
        return self.format.infer_types and not isinstance(self.format.dtypes, str) and name not in self.typed


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


class _Group:
    """Files that begin alike, and are read in one go."""

    def __init__(self, reading: _Reading, heads: Sequence[Head], *, alone: bool) -> None:
        self.reading = reading
        self.heads = heads
        self.names = heads[0].names
        self.masks: Mapping[str, int | None] = {}
        self._encoding = heads[0].encoding
        self._whole = self._encoding.wide is not None
        self._alone = alone
        self._format = reading.format
        self._f = reading.f
        self._fields = [f"c{at}" for at in range(len(self.names))]

    # --- looking at all rows ------------------------------------------------------------------------------------------

    def survey(self) -> None:
        """Find out how to read the files, what the columns may be, and what is wrong with the rows."""
        if self._whole:
            # Nothing else tells whether such a file is all text.
            self._check_one_by_one(self.heads)
            self._survey_whole()
            return
        lines = self._lines()
        rows = self._parsed(lines, "valid")
        found = self._looked_at(rows, whole=False)
        if found["undecodable"]:
            self._undecoded(found["undecodable"])
        expected = sum(len([line for line in head.skipped if self._counts(line)]) for head in self.heads)
        if not found["odd"] and found["heads"] == expected:
            self._settle(found)
            return
        # A line with an odd number of quotes: a field goes on in the next line, or the quote is part of a text.
        self._whole = True
        self._check_can_be_whole()
        if found["odd"]:
            self._check_one_by_one(self._suspicious(lines))
        self._survey_whole()

    def _survey_whole(self) -> None:
        self._settle(self._looked_at(self._rows(), whole=True))

    def _looked_at(self, rows: Any, *, whole: bool) -> dict[str, Any]:
        """What there is to know of parsed rows, in one pass over them.

        How many lines are heads, whether one has an odd number of quotes, which files are not in their encoding, how
        many rows are bad, which is the first with a fault, and for each column what its values may be. The fields of a
        row are looked at below one another, so that what is computed does not grow with the number of columns.
        """
        f, reading = self._f, self.reading
        good = f.col("kept") & f.col(_BAD).isNull()
        names = [name for name in reading.wanted if name in self.names and reading.infers(name)]
        values = [self._value(field) for field in map(self._field, names)]
        odd = f.lit(False)
        if not whole and self._format.quotechar is not None:
            quote = f.lit(self._format.quotechar)
            if self._format.escapechar is None:
                odd = (f.length(_LINE) - f.length(f.replace(f.col(_LINE), quote, f.lit("")))) % 2 == 1
            else:
                odd = f.length(f.regexp_replace(_LINE, self._not_quote(), "")) % 2 == 1
        fault = self._fault_in(good)
        facts = {
            "head": f.lit(False) if whole else f.col("head"),
            "odd": odd,
            "undecodable": f.lit(None).cast("string") if whole else f.when(~f.col("valid"), f.col(_FILE)),
            "bad": f.col("kept") & f.col(_BAD).isNotNull(),
            "fault": f.when(fault.isNotNull(), f.struct(_FILE, "at", _LINE, fault.alias("fault"))),
        }
        flat = rows.select(
            *(fact.alias(name) for name, fact in facts.items()),
            f.array(*(f.when(good, value) for value in values), f.lit(None).cast("string")).alias("values"),
        )
        cells = flat.select(*facts, f.posexplode("values").alias("place", "value"))
        cells = cells.withColumn("value", reading.rules.cleaned(f.col("value")))
        # Compiled by itself: the aggregation beside it is not.
        cells = cells.select(*facts, "place", reading.rules.mask(f.col("value")).alias("mask"))
        first = f.col("place") == 0
        answers = cells.groupBy("place").agg(
            f.bit_and("mask").alias("mask"),
            f.count_if(first & f.col("head")).alias("heads"),
            f.bool_or(first & f.col("odd")).alias("odd"),
            f.collect_set(f.when(first, f.col("undecodable"))).alias("undecodable"),
            f.count_if(first & f.col("bad")).alias("bad"),
            f.min(f.when(first, f.col("fault"))).alias("fault"),
        )
        rows_found = {row["place"]: row.asDict() for row in answers.collect()}
        none = {"heads": 0, "odd": False, "undecodable": [], "bad": 0, "fault": None, "mask": None}
        masks = {name: rows_found.get(at, none)["mask"] for at, name in enumerate(names)}
        return {**rows_found.get(0, none), "masks": masks}

    def _fault_in(self, good: Any) -> Any:
        """What is wrong with a row, in a word; null if nothing is."""
        f, kept, line = self._f, self._f.col("kept"), self._f.col(_LINE)
        fault = f.when(kept & line.contains("\0"), "nul").when(kept & f.col("odd_escape"), "escape")
        if self._format.on_bad_lines == "error":
            fault = fault.when(kept & f.col(_BAD).isNotNull(), "ragged")
        quote = self._format.quotechar
        if quote is not None and self._format.escapechar is None:
            q, end = _class(quote), _class(self.heads[0].delimiter)
            after = rf"(?:^|[{end}]){q}(?:[^{q}]++|{q}{q})*+{q}(?![{end}{q}]|\z)"
            fault = fault.when(kept & line.contains(quote) & line.rlike(after), "quote")
        for name, typed in self.reading.typed.items():
            if name in self.names and name in self.reading.wanted:
                field = self._field(name)
                _, unfit = self.reading.rules.of_type(self._value(field), typed.type, typed.date_format, typed.zone)
                fault = fault.when(good & unfit, field)
        return fault

    def _field(self, name: str) -> str:
        return self._fields[self.names.index(name)]

    def _settle(self, found: Any) -> None:
        """Take what the survey found; raise what is wrong."""
        if found["fault"] is not None:
            raise self._fault(found["fault"])
        if found["bad"]:
            _log.warning("%s: %d rows with too many or too few fields were left out", self.reading.source, found["bad"])
        self.masks = found["masks"]

    # --- rows ---------------------------------------------------------------------------------------------------------

    def frame(self, kinds: Mapping[str, Kind | None]) -> Any:
        """The rows in their types; partition columns are texts."""
        f, reading = self._f, self.reading
        rows = self._rows().where("kept")
        collect = self._format.on_bad_lines == "collect"
        is_bad = f.col(_BAD).isNotNull()
        if self._format.on_bad_lines in ("skip", "warn"):
            rows = rows.where(~is_bad)
        changed = f.raise_error(f.lit(f"{reading.source} changed while it was read"))
        texts, columns = [], []
        for field, name in zip(self._fields, self.names, strict=True):
            if name not in reading.wanted:
                continue
            value = self._value(field)
            if self._format.on_bad_lines == "error":
                value = f.when(is_bad, changed).otherwise(value)
            kind = kinds.get(name)
            texts.append((reading.rules.cleaned(value) if kind is not None else value).alias(field))
            value, word = f.col(field), "string"
            if name in reading.typed:
                typed = reading.typed[name]
                word = typed.type
                found, unfit = reading.rules.of_type(value, word, typed.date_format, typed.zone)
                value = found if word in ("string", "binary") else f.when(unfit, changed).otherwise(found)
            elif kind is not None:
                value, word = reading.rules.of_kind(value, kind), TYPES[kind]
            columns.append((f.when(~is_bad, value).cast(word) if collect else value).alias(name))
        if collect:
            columns.append(f.col(_BAD).alias(BAD_LINE))
        partitions = list(map(quoted, reading.partitions))
        # What is used several times stands in a step of its own, so that it is computed once.
        return rows.select(*texts, _BAD, *partitions).select(*columns, *partitions)

    def _rows(self) -> Any:
        """Parsed rows: their fields, the text of a bad one, where it is, and whether it counts."""
        f = self._f
        if not self._whole:
            return self._parsed(self._lines())
        names = [*self._fields, _BAD]
        reader = self._reader("csv", {**self._options(), "multiLine": "true", "columnPruning": "false"})
        reader = reader.option("header", str(self._format.header is not False).lower())
        encoding = self._encoding
        charset = encoding.wide or ("ISO-8859-1" if encoding.table else "UTF-8")
        frame = (
            reader.option("encoding", charset).schema(texts_of([*names, *self.reading.partitions])).load(self._places())
        )
        columns = [self._translated(f.col(name)).alias(name) for name in names]
        return frame.select(
            *columns,
            *map(quoted, self.reading.partitions),
            f.lit(True).alias("kept"),
            f.lit(False).alias("odd_escape"),
            f.col("_metadata.file_path").alias(_FILE),
            f.monotonically_increasing_id().alias("at"),
            f.coalesce(_BAD, f.lit("")).alias(_LINE),
        )

    def _lines(self) -> Any:
        """The lines as texts, the files they are from, and whether they are in their encoding."""
        f, encoding = self._f, self._encoding
        reader = self._reader("text", {}).schema(texts_of(["value", *self.reading.partitions]))
        raw = f.col("value")
        if encoding.table is not None:
            text = self._translated(f.decode(raw.cast("binary"), "ISO-8859-1"))
            valid = ~text.contains("\ufffd")
        else:
            text = raw
            valid = f.is_valid_utf8(raw) if encoding.name == "utf-8" else raw.rlike(r"^[\x00-\x7f]*\z")
        return reader.load(self._places()).select(
            text.alias(_LINE),
            f.col("_metadata.file_path").alias(_FILE),
            valid.alias("valid"),
            *map(quoted, self.reading.partitions),
        )

    def _parsed(self, lines: Any, *more: str) -> Any:
        """The fields of each line, as columns."""
        f = self._f
        text = f.col(_LINE)
        schema = ", ".join(f"{name} string" for name in (*self._fields, _BAD))
        skipped = self._skipped()
        head = text.isin(*skipped) if skipped else f.lit(False)
        kept = ~head
        if self._format.comment is not None:
            kept = kept & ~text.startswith(self._format.comment)
        if len(self.names) > 1:
            kept = kept & (text != "")
        others = [*more, _FILE, _LINE, *map(quoted, self.reading.partitions)]
        records = lines.select(
            *others,
            head.alias("head"),
            kept.alias("kept"),
            self._odd_escape(text).alias("odd_escape"),
            f.from_csv(text, schema, self._options()).alias("record"),
            f.monotonically_increasing_id().alias("at"),
        )
        fields = [f.col(f"record.{name}").alias(name) for name in (*self._fields, _BAD)]
        return records.select(*others, "head", "kept", "odd_escape", "at", *fields)

    def _reader(self, name: str, options: Mapping[str, str]) -> Any:
        return reader_of(self.reading.source, self.reading.parts, self.reading.engine, name, options)

    def _places(self) -> list[str]:
        source = self.reading.source
        if self._alone:
            return places_of(source, self.reading.parts, as_folder=self._format.partition_columns)
        return [address(source.storage, head.part.path) for head in self.heads]

    def _options(self) -> dict[str, str]:
        format_ = self._format
        options = {
            "sep": self.heads[0].delimiter,
            "quote": format_.quotechar or "",
            "escape": format_.escapechar or format_.quotechar or "",
            "nullValue": _NULL,
            "emptyValue": "",
            "mode": "PERMISSIVE",
            "columnNameOfCorruptRecord": _BAD,
            "maxColumns": str(max(20480, 2 * len(self.names))),
        }
        return options | ({"comment": format_.comment} if format_.comment is not None else {})

    def _value(self, field: str) -> Any:
        """A field's text, after what the options say of all texts."""
        f, format_ = self._f, self._format
        value = f.col(field)
        if format_.trim:
            value = f.btrim(value, f.lit(" \t\xa0"))
            value = f.when(value != "", value)
        if format_.null_values:
            value = f.when(~value.isin(*format_.null_values), value)
        return value

    def _translated(self, text: Any) -> Any:
        table = self._encoding.table
        if table is None:
            return text
        latin = "".join(map(chr, range(128, 256)))
        changed = [(old, new) for old, new in zip(latin, table, strict=True) if old != new]
        if not changed:
            return text
        return self._f.translate(text, "".join(old for old, _ in changed), "".join(new for _, new in changed))

    # --- lines --------------------------------------------------------------------------------------------------------

    def _counts(self, line: str) -> bool:
        """Whether a skipped line is told from the others by its text; blanks and comments are left out anyway."""
        return line != "" or len(self.names) == 1

    def _skipped(self) -> list[str]:
        """The texts of the lines that come before the rows."""
        lines = [line.removeprefix("\ufeff") for head in self.heads for line in head.skipped]
        return list(dict.fromkeys(filter(self._counts, lines)))

    def _not_quote(self) -> str:
        """What is no quote that opens or closes a field."""
        quote = _class(str(self._format.quotechar))
        if self._format.escapechar is None:
            return f"[^{quote}]"
        return f"{_escaped(self._format.escapechar)}.|[^{quote}]"

    def _odd_escape(self, text: Any) -> Any:
        """Whether a line holds what means something else to Spark where a character for escapes is set."""
        escape, quote = self._format.escapechar, self._format.quotechar
        if escape is None or escape == quote:
            return self._f.lit(False)
        if quote is None:
            return text.contains(escape)
        return text.rlike(rf"(?<!{_escaped(escape)}){_escaped(escape)}(?![{_class(escape + quote)}])")

    # --- what is wrong ------------------------------------------------------------------------------------------------

    def _check_can_be_whole(self) -> None:
        """Refuse what Spark's own source of CSV cannot do."""
        format_ = self._format
        header = format_.header if type(format_.header) is int else 0
        if format_.skip_rows or header or any(len(head.skipped) > 1 and self._title(head) for head in self.heads):
            raise DataError(
                "fields hold line breaks, or lines that are left out come again among the rows, and Spark cannot leave"
                " out the first lines of such files",
                where=where_of(self.reading.source, self.heads[0].part),
                remedy="Read it on another engine, or remove these lines before.",
            )

    def _title(self, head: Head) -> bool:
        comment = self._format.comment
        lines = [line for line in head.skipped if line and not (comment and line.startswith(comment))]
        quote = self._format.quotechar
        return len(lines) > 1 and not (quote and quote in "".join(lines))

    def _check_one_by_one(self, heads: Iterable[Head]) -> None:
        for head in heads:
            check_rows(self._format, self.reading.source, head, lenient=self._format.on_bad_lines != "error")

    def _suspicious(self, lines: Any) -> list[Head]:
        """Files with an odd number of quotes, one of which may never be closed."""
        f = self._f
        count = f.sum(f.length(f.regexp_replace(_LINE, self._not_quote(), "")))
        found = lines.groupBy(_FILE).agg((count % 2 == 1).alias("odd")).where("odd").collect()
        wanted = {self._part(row[_FILE]).path for row in found}
        return [head for head in self.heads if head.part.path in wanted]

    def _undecoded(self, files: Sequence[str]) -> None:
        """Raise what says in which line a file is not in its encoding."""
        fallback = self._format.encoding_fallback
        paths = {self._part(file).path for file in files}
        for head in self.heads:
            if head.part.path not in paths:
                continue
            try:
                for _ in lines_of(self.reading.source, head.part, head.encoding, self._format.title):
                    pass
            except DataError as error:
                if fallback is None or head.encoding.marked or head.encoding.name != _name_of(self._format.encoding):
                    raise
                _log.warning("%s Read as %s.", error, fallback)
        raise _Undecodable(frozenset(paths))

    def _fault(self, found: Any) -> OdibiError:
        """What is wrong with a row, and in which line it is."""
        part = self._part(found[_FILE])
        head = next(head for head in self.heads if head.part == part)
        source, fault = self.reading.source, found["fault"]
        where = where_of(source, part, self._line_of(head, found[_LINE]))
        if fault == "nul":
            return nul_byte(where)
        if fault == "escape":
            return DataError(
                f"a {self._format.escapechar!r} comes before another character than a quote, which Spark does not"
                " understand as an escape",
                where=where,
                remedy="Read it on another engine, or leave out escapechar if it has no meaning in this file.",
            )
        if fault == "quote":
            return DataError(
                "there is something between a closing quote and the end of its field, which Spark reads in another way"
                " than other engines",
                where=where,
                remedy="Correct the line, or set quotechar to another character (or null) if quotes have no meaning.",
            )
        if fault == "ragged":
            if self._whole:
                check_rows(self._format, source, head)
            import csv

            width = max(len(next(csv.reader([found[_LINE]], **dialect(self._format, head.delimiter)), [])), 1)
            return ragged(where, len(self.names), width)
        name = self.names[self._fields.index(fault)]
        return DataError(
            f"a value of column {name!r} is not of the type {arrow_word(self.reading.typed[name].type)}",
            where=where,
            remedy="Correct it, name it in null_values if it stands for null, or read the column as str.",
        )

    def _line_of(self, head: Head, text: str) -> int | None:
        """The line with this text."""
        if self._whole:
            return None
        for number, line in lines_of(self.reading.source, head.part, head.encoding, self._format.title):
            if line == text and number > len(head.skipped):
                return number
        return None

    def _part(self, file: str) -> Part:
        """The part that Spark calls by an address."""
        return part_called(file, self.reading.source, [head.part for head in self.heads])


def part_called(file: str, source: Source, parts: Sequence[Part]) -> Part:
    """The part that Spark calls by an address, as ``_metadata.file_path`` has it."""
    called = unquote(file).partition(":")[2].lstrip("/")
    for part in parts:
        if address(source.storage, part.path).partition(":")[2].lstrip("/") == called:
            return part
    raise DataError(f"{unquote(file)} came while the source was read", where=str(source), remedy="Read it again.")


def _name_of(encoding: str) -> str:
    import codecs

    return codecs.lookup(encoding).name


def arrow_word(type_: str) -> str:
    """A type in the words of the other engines."""
    words = {
        "bigint": "int64",
        "int": "int32",
        "smallint": "int16",
        "tinyint": "int8",
        "boolean": "bool",
        "date": "date32[day]",
        "timestamp_ntz": "timestamp[us]",
        "timestamp": "timestamp[us, tz=UTC]",
    }
    return words.get(type_, type_)


def _escaped(character: str) -> str:
    return "\\" + character if not character.isalnum() else character


def _class(characters: str) -> str:
    """Characters as they stand between square brackets in a pattern of Java's."""
    return "".join(map(_escaped, characters))


def _as_told(format_: CsvFormat, source: Source, parts: Sequence[Part], engine: Any) -> Any:
    """The frame by Spark's own source with the schema that the user gave; nothing is looked at before."""
    refused = {
        "column_names": format_.column_names is not None,
        "skip_rows": format_.skip_rows > 0,
        "header": type(format_.header) is int and format_.header > 0,
        "delimiter: auto": format_.delimiter == "auto",
        "dtypes": format_.dtypes is not None,
        "dates": not isinstance(format_.dates, bool),
        "on_bad_lines": format_.on_bad_lines not in ("error", "skip"),
        "null_values": format_.null_values is not None and len(format_.null_values) > 1,
        "decimal": format_.decimal != ".",
        "thousands": format_.thousands is not None,
        "union_by_name": format_.union_by_name,
    }
    for name, given in refused.items():
        if given:
            raise DataError(
                f"the options schema and {name} do not go together", where=str(source), remedy="Leave out one of them."
            )
    encoding = heads_encoding(format_)
    options = {
        "sep": format_.delimiter or ("\t" if parts[0].path.lower().rpartition(".tsv")[1] else ","),
        "quote": format_.quotechar or "",
        "escape": format_.escapechar or format_.quotechar or "",
        "nullValue": format_.null_values[0] if format_.null_values else _NULL,
        "emptyValue": "",
        "header": str(format_.header is not False).lower(),
        "enforceSchema": "false",
        "multiLine": "true",
        "columnPruning": "false",
        "encoding": encoding,
        "ignoreLeadingWhiteSpace": str(format_.trim).lower(),
        "ignoreTrailingWhiteSpace": str(format_.trim).lower(),
        "mode": "FAILFAST" if format_.on_bad_lines == "error" else "DROPMALFORMED",
    }
    if format_.comment is not None:
        options["comment"] = format_.comment
    types = partition_types(parts)
    schema = ", ".join([str(format_.schema), *(f"{quoted(name)} string" for name in types)])
    reader = reader_of(source, parts, engine, "csv", options).schema(schema)
    return partitions_typed(reader.load(places_of(source, parts, as_folder=format_.partition_columns)), types)


def heads_encoding(format_: CsvFormat) -> str:
    """Spark's name for the encoding of files that nobody has looked at.

    Raises:
        DataError: Spark has none.
    """
    from odibi_spark.formats.csv import WRITTEN
    from odibi_spark.formats.csv_write import encoding_for

    return encoding_for(format_.encoding, WRITTEN)
