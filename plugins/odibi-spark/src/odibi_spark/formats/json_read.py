"""JSON files as frames.

What the objects hold is found out by Spark's variants, which tell the types of all values and where they do not agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import DataError
from odibi_spark.formats.base import (
    check_distinct,
    check_not_in_file,
    known_columns,
    partition_types,
    partitions_typed,
    places_of,
    quoted,
    reader_of,
    texts_of,
)
from odibi_spark.formats.csv_read import arrow_word, part_called, type_named, zone_of
from odibi_spark.formats.inference import DATES, Rules
from odibi_spark.formats.texts import Encoding, encoding_of, lines_of, opened, where_of
from odibi_spark.kinds import functions_for
from odibi_spark.places import address

if TYPE_CHECKING:
    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source
    from odibi_spark.formats.json import JsonFormat

_FILE, _LINE = "_odibi_file", "_odibi_line"
_START = 1 << 18
_EXACT = 2**53
_WORDS = {bool: "a truth value", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
_KINDS = {"BIGINT": "a number", "DOUBLE": "a number", "STRING": "a text", "BOOLEAN": "a truth value", "VOID": "null"}
_HALF = r"(?i)\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])"
"""The first half of a character beyond the first 65,536 without its second one."""


def frame_of(
    format_: JsonFormat, source: Source, parts: Sequence[Part], engine: Any, wanted: Sequence[str] | None
) -> Any:
    """The frame of all parts, with the columns of its folders."""
    heads = [_head(format_, source, part) for part in parts]
    heads = [head for head in heads if head.layout != "empty"]
    if not heads:
        raise DataError(
            "the file is empty",
            where=where_of(source, parts[0]),
            remedy="Leave it out; no rows are written as [] in JSON.",
        )
    return _Reading(format_, source, parts, engine, wanted, heads).frame()


# --- how files begin --------------------------------------------------------------------------------------------------


@attrs.frozen
class _Head:
    """What the beginning of a file says.

    Attributes:
        part: the file.
        layout: ``lines``, ``whole`` or ``empty``.
        encoding: of the text.
        objects: the first of them.
    """

    part: Part
    layout: str
    encoding: Encoding
    objects: tuple[Any, ...] = ()


def _head(format_: JsonFormat, source: Source, part: Part) -> _Head:
    with opened(source, part, format_.title) as file:
        data = file.read(_START)
    encoding = encoding_of(data, format_.encoding, where_of(source, part))
    text = data.decode(encoding.name, "ignore").removeprefix("\ufeff")
    start = text.lstrip()
    if not start:
        return _Head(part, "empty", encoding)
    first = re.split(r"\r\n|\r|\n", start, maxsplit=1)[0].strip()
    layout = "lines"
    if start.startswith("["):
        layout, start = "whole", start[1:]
    elif len(first) < _START // 2:
        try:
            json.loads(first)
        except json.JSONDecodeError as error:
            # One that ends within the line is a broken line; one that goes on is laid out over several.
            several = error.msg == "Extra data" and first.startswith("{")
            if first.startswith("{") and (error.pos >= len(first) or several):
                layout = "whole"
    return _Head(part, layout if encoding.is_utf8 else "whole", encoding, tuple(_first_objects(start)))


def _first_objects(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n,")) if at < len(text) and text[at] in " \t\r\n," else 0
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            yield value


# --- types ------------------------------------------------------------------------------------------------------------


def parsed_schema(text: str) -> Any:
    """What ``schema_of_variant_agg`` says, as a tree: a dict for an object, a list of one for a list, else a word."""
    tree, end = _type(text, 0)
    assert end == len(text), text
    return tree


def _type(text: str, at: int) -> tuple[Any, int]:
    for word in ("OBJECT<", "ARRAY<"):
        if not text.startswith(word, at):
            continue
        at += len(word)
        if word == "ARRAY<":
            inner, at = _type(text, at)
            return [inner], at + 1
        fields: dict[str, Any] = {}
        while text[at] != ">":
            if text[at] == "`":
                found = re.compile(r"`((?:[^`]|``)*)`: ").match(text, at)
            else:
                found = re.compile(r"(.*?): ", re.DOTALL).match(text, at)
            assert found is not None, text
            name = found[1].replace("``", "`")
            fields[name], at = _type(text, found.end())
            if text.startswith(", ", at):
                at += 2
        return fields, at + 1
    found = re.compile(r"\w+(?: \w+)*(?:\(\d+,\d+\))?").match(text, at)
    assert found is not None, text
    return found[0], found.end()


def _ordered(tree: Any, samples: Sequence[Any]) -> Any:
    """The tree with its fields in the order in which they come up in ``samples``."""
    if isinstance(tree, list):
        return [_ordered(tree[0], [item for each in samples if isinstance(each, list) for item in each])]
    if not isinstance(tree, dict):
        return tree
    objects = [each for each in samples if isinstance(each, dict)]
    seen = dict.fromkeys(name for each in objects for name in each)
    names = [*(name for name in seen if name in tree), *(name for name in tree if name not in seen)]
    return {name: _ordered(tree[name], [each[name] for each in objects if name in each]) for name in names}


def _ddl(tree: Any) -> str:
    """A tree as a type of Spark's."""
    if isinstance(tree, list):
        return f"array<{_ddl(tree[0])}>"
    if isinstance(tree, dict):
        return f"struct<{', '.join(f'{quoted(name)}: {_ddl(inner)}' for name, inner in tree.items())}>"
    if tree in ("BIGINT", "BOOLEAN", "STRING", "DOUBLE"):
        return str(tree).lower()
    return "double" if tree.startswith(("DECIMAL", "FLOAT")) else "string"


def _merged(one: Any, other: Any) -> Any:
    """What holds the values of two files."""
    if one == other or other == "VOID":
        return one
    if one == "VOID":
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: _merged(one.get(name, "VOID"), other.get(name, "VOID")) for name in {**one, **other}}
    if isinstance(one, list) and isinstance(other, list):
        return [_merged(one[0], other[0])]
    words = [str(each) for each in (one, other)]
    if all(word.startswith(("BIGINT", "DECIMAL", "DOUBLE", "FLOAT")) for word in words):
        whole = all(word == "BIGINT" or word.endswith(",0)") for word in words)
        return max(words) if whole else "DOUBLE"  # DECIMAL comes after BIGINT
    return "VARIANT"


def _mixed(tree: Any) -> bool:
    """Whether values of different types come where one type is expected."""
    if isinstance(tree, dict):
        return any(map(_mixed, tree.values()))
    return _mixed(tree[0]) if isinstance(tree, list) else tree == "VARIANT"


def _too_long(tree: Any) -> bool:
    """Whether there is an integer of more than 64 bits."""
    if isinstance(tree, dict):
        return any(map(_too_long, tree.values()))
    return _too_long(tree[0]) if isinstance(tree, list) else re.fullmatch(r"DECIMAL\(\d+,0\)", tree) is not None


# --- reading ----------------------------------------------------------------------------------------------------------


class _Reading:
    """One reading of one source."""

    def __init__(
        self,
        format_: JsonFormat,
        source: Source,
        parts: Sequence[Part],
        engine: Any,
        wanted: Sequence[str] | None,
        heads: Sequence[_Head],
    ) -> None:
        self._format = format_
        self._source = source
        self._parts = parts
        self._engine = engine
        self._wanted = wanted
        self._heads = heads
        self._f = functions_for(engine.native)
        self._partitions = partition_types(parts)
        self._rules = Rules(self._f, kinds=DATES)

    def frame(self) -> Any:
        """The rows in their types."""
        f = self._f
        rows = self._rows()
        if self._format.schema is not None:
            record = f.from_json(_LINE, self._format.schema, {"mode": "FAILFAST"})
            partitions = list(map(quoted, self._partitions))
            frame = rows.where(f.trim(_LINE) != "").select(record.alias("record"), *partitions)
            return partitions_typed(frame.select("record.*", *partitions), self._partitions)
        tree = self._surveyed(rows)
        names = [name for name in tree if self._wanted is None or name in self._wanted]
        fields = {name: f"c{at}" for at, name in enumerate(names)}
        words = {name: "string" if name in self._typed() else _ddl(tree[name]) for name in names}
        records = self._records(rows, words, fields)
        kinds = self._dates(records, words, fields)
        changed = f.raise_error(f.lit(f"{self._source} changed while it was read"))
        columns = []
        for name, field in fields.items():
            value = f.col(field)
            if name in self._typed():
                type_, zone = self._typed()[name]
                found, unfit = Rules(f).of_type(value, type_, None, zone)
                value = found if type_ in ("string", "binary") else f.when(unfit, changed).otherwise(found)
            elif name in kinds:
                value = self._rules.of_kind(self._rules.cleaned(value), kinds[name])
            columns.append(value.alias(name))
        return partitions_typed(records.select(*columns, *map(quoted, self._partitions)), self._partitions)

    def _rows(self) -> Any:
        """The text of each object, where it is, and what is wrong with the file there."""
        frames = []
        for layout, load in (("lines", self._lines), ("whole", self._whole)):
            parts = [head.part for head in self._heads if head.layout == layout]
            if parts:
                alone = len(parts) == len(self._parts)
                whole = places_of(self._source, self._parts, as_folder=self._format.partition_columns)
                frames.append(load(whole if alone else [address(self._source.storage, each.path) for each in parts]))
        return frames[0] if len(frames) == 1 else frames[0].unionByName(frames[1])

    def _lines(self, places: Sequence[str]) -> Any:
        f = self._f
        reader = reader_of(self._source, self._parts, self._engine, "text", {})
        frame = reader.schema(texts_of(["value", *self._partitions])).load(list(places))
        return frame.select(
            f.col("value").alias(_LINE),
            f.col("_metadata.file_path").alias(_FILE),
            f.monotonically_increasing_id().alias("at"),
            f.when(~f.is_valid_utf8("value"), "undecodable").alias("fault"),
            *map(quoted, self._partitions),
        )

    def _whole(self, places: Sequence[str]) -> Any:
        """Files that are not an object a line, taken apart by Python."""
        f = self._f
        reader = reader_of(self._source, self._parts, self._engine, "binaryFile", {})
        frame = reader.load(list(places))
        partitions = [f.col(quoted(name)).cast("string").alias(name) for name in self._partitions]
        if self._partitions:
            from pyspark.sql.types import StructType

            fields = [field for field in frame.schema.fields if field.name not in self._partitions]
            fields += texts_of(self._partitions).fields
            reader = reader_of(self._source, self._parts, self._engine, "binaryFile", {})
            frame = reader.schema(StructType(fields)).load(list(places))
        frame = frame.select("content", f.col("_metadata.file_path").alias(_FILE), *partitions)
        schema = ", ".join(
            f"{quoted(name)} {'bigint' if name == 'at' else 'string'}"
            for name in (_LINE, _FILE, "at", "fault", *self._partitions)
        )
        return frame.mapInArrow(_taker(self._heads[0].encoding.name, _FILE, _LINE), schema)

    def _surveyed(self, rows: Any) -> dict[str, Any]:
        """The types of all values.

        Raises:
            DataError: an object is broken, or values do not agree.
        """
        f = self._f
        kept = rows.where((f.trim(_LINE, f.lit(" \t\r\n\ufeff")) != "") | f.col("fault").isNotNull())
        # In brackets, so that what follows an object is not left out.
        value = f.try_parse_json(f.concat(f.lit("["), f.ltrim(f.col(_LINE), f.lit("\ufeff")), f.lit("]")))
        values = kept.select("*", value.alias("list"))
        one = f.try_variant_get("list", "$[0]", "variant")
        values = values.select("*", one.alias("value"), f.schema_of_variant("list").alias("kind"))
        several = f.try_variant_get("list", "$[1]", "variant").isNotNull()
        fault = (
            f.when(f.col("fault").isNotNull(), f.col("fault"))
            .when(f.col("list").isNull() | several, "broken")
            .when(~f.col("kind").startswith("ARRAY<OBJECT<"), f.col("kind"))
            .when(f.col(_LINE).contains("\\u") & f.col(_LINE).rlike(_HALF), "surrogate")
        )
        values = values.select(_FILE, "at", _LINE, "value", fault.alias("fault"))
        found = values.groupBy(_FILE).agg(
            f.schema_of_variant_agg(f.when(f.col("fault").isNull(), f.col("value"))).alias("schema"),
            f.min(f.when(f.col("fault").isNotNull(), f.struct(_FILE, "at", _LINE, "fault"))).alias("fault"),
        )
        files = sorted(found.collect(), key=lambda row: str(row[_FILE]))
        for row in files:
            if row["fault"] is not None:
                raise self._fault(row["fault"])
        trees = {self._head_of(row[_FILE]).part.path: parsed_schema(row["schema"]) for row in files}
        self._check_alike(trees)
        tree: Any = reduce(_merged, trees.values(), "VOID")
        samples = [each for head in self._heads for each in head.objects]
        found_types: dict[str, Any] = _ordered(tree if isinstance(tree, dict) else {}, samples)
        self._check(found_types)
        return found_types

    def _check(self, tree: Mapping[str, Any]) -> None:
        where = str(self._source)
        check_distinct(list(tree), where)
        check_not_in_file(self._partitions, list(tree), where)
        known_columns(list(self._format.dtypes or ()), list(tree), where, "dtypes")
        if self._wanted is not None:
            known_columns(self._wanted, [*tree, *self._partitions], self._where())
        for name, inner in tree.items():
            if name in self._typed() or (self._wanted is not None and name not in self._wanted):
                continue
            if _mixed(inner):
                raise self._disagreement(name)
            if _too_long(inner):
                line = self._line(lambda row, name=name: _is_too_long(row.get(name)))  # type: ignore[misc]
                raise _long(name, self._where(line))

    def _check_alike(self, trees: Mapping[str, Any]) -> None:
        """Refuse parts of different columns, unless they may be."""
        known: set[str] | None = None
        for head in self._heads:
            tree = trees.get(head.part.path)
            if self._format.union_by_name or not isinstance(tree, dict):
                continue
            known = set(tree) if known is None else known
            lacking, more = sorted(known - set(tree)), sorted(set(tree) - known)
            if lacking or more:
                said = [f"lacks {', '.join(map(repr, lacking))}"] if lacking else []
                said += [f"has {', '.join(map(repr, more))} besides"] if more else []
                raise DataError(
                    f"the part {' and '.join(said)}, unlike {where_of(self._source, self._heads[0].part)}",
                    where=where_of(self._source, head.part),
                    remedy="Set union_by_name: true to fill missing columns with nulls, or read the parts one by one.",
                )

    def _records(self, rows: Any, words: Mapping[str, str], fields: Mapping[str, str]) -> Any:
        f = self._f
        schema = ", ".join(f"{quoted(name)} {word}" for name, word in words.items()) or "_odibi_none string"
        kept = rows.where(f.trim(_LINE, f.lit(" \t\r\n\ufeff")) != "")
        others = [_FILE, "at", _LINE, *map(quoted, self._partitions)]
        text = f.ltrim(f.col(_LINE), f.lit("\ufeff"))
        records = kept.select(*others, f.from_json(text, schema, {"mode": "FAILFAST"}).alias("record"))
        columns = [f.col("record").getField(name).alias(field) for name, field in fields.items()]
        return records.select(*others, *columns)

    def _dates(self, records: Any, words: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, Any]:
        """The columns of texts that are dates or moments; looks for values that do not fit their types on the way."""
        f, typed = self._f, self._typed()
        texts = [name for name, word in words.items() if word == "string" and name not in typed and self._format.dates]
        floats = [name for name, word in words.items() if word == "double"]
        if not texts and not typed and not floats:
            return {}
        fault = f.lit(None).cast("string")
        for name in typed:
            if name in fields:
                type_, zone = typed[name]
                _, unfit = Rules(f).of_type(f.col(fields[name]), type_, None, zone)
                fault = f.coalesce(fault, f.when(unfit, fields[name]))
        for name in floats:
            # The text says whether an integer was among the floats that is none any more.
            large = f.abs(f.col(fields[name])) >= float(_EXACT)
            digits = rf'"{re.escape(json.dumps(name)[1:-1])}"\s*:\s*-?[0-9]{{16,}}\s*[,}}]'
            fault = f.coalesce(fault, f.when(large & f.col(_LINE).rlike(digits), fields[name]))
        flat = records.select(
            f.when(fault.isNotNull(), f.struct(_FILE, "at", _LINE, fault.alias("fault"))).alias("fault"),
            f.array(*(f.col(fields[name]) for name in texts), f.lit(None).cast("string")).alias("values"),
        )
        cells = flat.select("fault", f.posexplode("values").alias("place", "value"))
        cells = cells.withColumn("value", self._rules.cleaned(f.col("value")))
        found = cells.groupBy("place").agg(
            f.bit_and(self._rules.mask(f.col("value"))).alias("mask"),
            f.min(f.when(f.col("place") == 0, f.col("fault"))).alias("fault"),
        )
        answers = {row["place"]: row for row in found.collect()}
        if 0 in answers and answers[0]["fault"] is not None:
            raise self._unfit(answers[0]["fault"], {field: name for name, field in fields.items()})
        kinds = {name: self._rules.kind(answers[at]["mask"]) for at, name in enumerate(texts) if at in answers}
        return {name: kind for name, kind in kinds.items() if kind is not None}

    def _typed(self) -> dict[str, tuple[str, str]]:
        """The types that the user asked for, with their time zones."""
        given = self._format.dtypes or {}
        return {name: (type_named(word, name, str(self._source)), zone_of(word)) for name, word in given.items()}

    # --- what is wrong ------------------------------------------------------------------------------------------------

    def _where(self, at: tuple[Part, int | None] | None = None) -> str:
        if at is not None:
            return where_of(self._source, *at)
        return where_of(self._source, self._parts[0]) if len(self._parts) == 1 else str(self._source)

    def _fault(self, found: Any) -> DataError:
        head = self._head_of(found[_FILE])
        fault = found["fault"]
        if fault == "undecodable":
            for _ in lines_of(self._source, head.part, head.encoding, self._format.title):
                pass
        at = self._at(head, found)
        where = self._where(at)
        remedy = "Correct the file where it was written."
        if fault == "surrogate":
            return DataError("this is not valid JSON: half a surrogate pair stands alone", where=where, remedy=remedy)
        if head.layout == "whole" and fault != "broken":
            return DataError(fault, where=where, remedy=remedy)
        if fault.startswith("ARRAY<"):
            inner = fault.removeprefix("ARRAY<")
            what = "a list" if inner.startswith("ARRAY") else _KINDS.get(inner.removesuffix(">"), "a number")
            return DataError(f"the line is {what}, not an object", where=where, remedy=remedy)
        return DataError("the line is not an object in JSON", where=where, remedy=remedy)

    def _unfit(self, found: Any, names: Mapping[str, str]) -> DataError:
        where = self._where(self._at(self._head_of(found[_FILE]), found))
        name = names[found["fault"]]
        if name not in self._typed():
            return _long(name, where)
        return DataError(
            f"a value of column {name!r} is not of the type {arrow_word(self._typed()[name][0])}",
            where=where,
            remedy="Correct it, or read the column as str.",
        )

    def _at(self, head: _Head, found: Any) -> tuple[Part, int | None]:
        """The file and the line of an object."""
        if head.layout == "whole":
            return head.part, found["at"]
        for number, line in lines_of(self._source, head.part, head.encoding, self._format.title):
            if line == found[_LINE].removeprefix("\ufeff"):
                return head.part, number
        return head.part, None

    def _disagreement(self, name: str) -> DataError:
        """Which value is of another type than those before."""
        kinds: list[tuple[str, Part]] = []

        def differs(row: Mapping[str, Any]) -> bool:
            value = row.get(name)
            if value is None:
                return False
            kinds.append((_WORDS[type(value)], self._reading_part))
            return kinds[-1][0] != kinds[0][0]

        at = self._line(differs)
        if at is None:
            return DataError(
                f"column {name!r} holds values of different types",
                where=self._where(),
                remedy=f"Make the values alike, or set dtypes: {{{name}: str}} to read them as texts.",
            )
        return DataError(
            f"column {name!r} is {kinds[-1][0]}, but {kinds[0][0]} before",
            where=self._where(at),
            remedy=f"Make the values alike, or set dtypes: {{{name}: str}} to read them as texts.",
        )

    def _line(self, test: Callable[[Mapping[str, Any]], bool]) -> tuple[Part, int | None] | None:
        """Where the first object is that ``test`` is true for; looked for one by one."""
        for head in self._heads:
            self._reading_part = head.part
            if head.layout == "whole":
                if any(map(test, head.objects)):
                    return head.part, None
                continue
            for number, line in lines_of(self._source, head.part, head.encoding, self._format.title):
                try:
                    row = json.loads(line) if line.strip() else {}
                except ValueError:
                    continue
                if isinstance(row, dict) and test(row):
                    return head.part, number
        return None

    def _head_of(self, file: str) -> _Head:
        part = part_called(file, self._source, [head.part for head in self._heads])
        return next(head for head in self._heads if head.part == part)


def _is_too_long(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_is_too_long, value.values()))
    if isinstance(value, list):
        return any(map(_is_too_long, value))
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _long(name: str, where: str) -> DataError:
    return DataError(
        f"column {name!r} holds an integer of more digits than a number keeps",
        where=where,
        remedy=f"Set dtypes: {{{name}: str}} to keep all digits, or float to round it.",
    )


def _taker(encoding: str, file: str, line: str) -> Callable[[Any], Any]:
    """A function that takes files apart; it holds all it needs, as this package need not be where Spark's workers are.

    Each object becomes a line of JSON with the number of the line that it begins in; what is wrong becomes a fault, and
    ends the file.
    """

    def objects(data: bytes) -> Any:
        import bz2
        import gzip
        import json
        import re

        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        elif data[:3] == b"BZh":
            data = bz2.decompress(data)
        try:
            text = data.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            number = data[: error.start].decode(encoding, "replace").count("\n") + 1
            yield "", number, f"the text is not {encoding}"
            return
        words = {bool: "a truth value", int: "a number", float: "a number", str: "a text", list: "a list"}
        decoder = json.JSONDecoder()
        blanks = re.compile(r"[ \t\n\r]*")

        def skip(at: int) -> int:
            found = blanks.match(text, at)
            return found.end() if found else at

        at, counted, number = skip(0), 0, 1
        in_array = text.startswith("[", at)
        count = 0
        closed = False
        if in_array:
            at = skip(at + 1)
            closed = text.startswith("]", at)
        while not closed and (in_array or at < len(text)):
            number += text.count("\n", counted, at)
            counted = at
            try:
                value, end = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                if error.pos >= len(text.rstrip()):
                    yield "", error.lineno, "the file ends in the middle of an object"
                else:
                    yield "", error.lineno, f"{error.msg} (column {error.colno})"
                return
            count += 1
            if not isinstance(value, dict):
                yield "", number, f"element {count} is {words.get(type(value), 'null')}, not an object"
                return
            # In one line: outside of texts a line end is a blank, and in them it cannot be.
            yield text[at:end].replace("\r", " ").replace("\n", " "), number, None
            at = skip(end)
            if not in_array:
                continue
            closed = text.startswith("]", at)
            if closed:
                break
            if not text.startswith(",", at):
                yield "", number + text.count("\n", counted, at), "there is no ',' or ']' after an object"
                return
            comma = at
            at = skip(at + 1)
            if text.startswith("]", at):
                yield "", number + text.count("\n", counted, comma), "there is a comma after the last object"
                return
        if closed and skip(at + 1) != len(text):
            rest = skip(at + 1)
            yield "", text.count("\n", 0, rest) + 1, "there is something after the end of the array"

    def take(batches: Any) -> Any:
        import pyarrow as pa

        for batch in batches:
            for row in range(batch.num_rows):
                others = {name: batch.column(name)[row].as_py() for name in batch.schema.names if name != "content"}
                found = list(objects(batch.column("content")[row].as_py()))
                columns = {
                    line: pa.array([each[0] for each in found], pa.string()),
                    file: pa.array([others.pop(file)] * len(found), pa.string()),
                    "at": pa.array([each[1] for each in found], pa.int64()),
                    "fault": pa.array([each[2] for each in found], pa.string()),
                    **{name: pa.array([value] * len(found), pa.string()) for name, value in others.items()},
                }
                yield pa.RecordBatch.from_pydict(columns)

    return take
