"""What the formats of files have in common: they read and write folders, by address."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi import option
from odibi.contracts.finding import parts_of
from odibi.errors import DataError
from odibi_spark.failures import told
from odibi_spark.kinds import functions_for
from odibi_spark.places import address, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source, Target, WriteReport

_ENDINGS = {
    "csv": (".csv", ".tsv"),
    "json": (".json", ".jsonl", ".ndjson"),
    "parquet": (".parquet", ".pq"),
    "excel": (".xlsx", ".xlsm", ".xls"),
    "avro": (".avro",),
    "arrow": (".arrow", ".ipc"),
    "feather": (".feather",),
    "orc": (".orc",),
}
_INTEGER = re.compile(r"0|-?[1-9]\d{0,18}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def _no_index(_: Any, __: Any, value: bool) -> None:
    if value:
        raise ValueError("an index is not written; name it, and it becomes a column")


@attrs.frozen
class FileFormat:
    """A format of files. What Spark calls it is ``spark_name``; its fields are its options."""

    capabilities: ClassVar[Mapping[str, str]] = {"merge": "none: rows are merged safely by table formats such as delta"}

    spark_name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    title: ClassVar[str] = ""
    """What people call the format."""
    exact: ClassVar[bool] = False

    columns: tuple[str, ...] | None = option(
        None, help="Read these columns alone, in this order.", aliases=("usecols",), only="read"
    )
    union_by_name: bool = option(
        False,
        help="Read parts that have different columns as one: a column that a part lacks is null there.",
        only="read",
    )
    partition_columns: bool = option(
        True, help="Make columns of folders such as year=2013.", only="read", aliases=("hive_partitioning",)
    )

    index: bool = option(
        False, help="Always false: an index with a name becomes a column.", only="write", validator=_no_index
    )

    # --- what a format gives ------------------------------------------------------------------------------------------

    def read_options(self) -> Mapping[str, Any]:
        """What Spark's reader is told."""
        return {}

    def write_options(self) -> Mapping[str, Any]:
        """What Spark's writer is told."""
        return {}

    def load(self, source: Source, parts: Sequence[Part], engine: Any, wanted: Sequence[str] | None) -> Any:  # noqa: ARG002
        """The frame of all parts, with the columns of its folders.

        Args:
            source: what is read.
            parts: of it.
            engine: whose session reads.
            wanted: the columns that will be taken, if it is known: the others need not be sound.
        """
        options = self._given(self.read_options())
        places = places_of(source, parts, as_folder=self.partition_columns)
        types = partition_types(parts)
        if not types:
            return reader_of(source, parts, engine, self.spark_name, options).load(places)
        # Spark guesses what the names of folders mean, and 01 is no number: it is told that they are texts.
        plain = reader_of(source, parts, engine, self.spark_name, options).option("recursiveFileLookup", "true")
        fields = plain.load(places).schema.fields
        check_not_in_file(types, [field.name for field in fields], str(source))
        reader = reader_of(source, parts, engine, self.spark_name, options)
        return partitions_typed(reader.schema(_struct([*fields, *_texts(types)])).load(places), types)

    def prepared(self, frame: Any, target: Target) -> Any:  # noqa: ARG002
        """The frame as it goes to Spark's writer."""
        return frame

    # --- what the engine asks for -------------------------------------------------------------------------------------

    def read(self, source: Source, engine: Any) -> Any:
        """The data at ``source``; as much of it is looked at as its types take, and no more."""
        parts = parts_of(source, partitioned=self.partition_columns)
        wanted = source.columns if source.columns is not None else self.columns
        with told(str(source), data=True), self._hinting(source, parts):
            frame = self.load(source, parts, engine, wanted)
        return frame if wanted is None else chosen(frame, wanted, str(source))

    def write(self, frame: Any, target: Target, engine: Any) -> WriteReport:
        """Write ``frame`` as ``target`` says, as a folder of parts."""
        from odibi_spark.writing import write

        return write(frame, target, engine, self)

    def saved(self, frame: Any, target: Target, path: str, *, name: str, partition_by: Sequence[str]) -> int | None:
        """Write all rows to objects below ``path``, whose names begin with ``name``; returns how many rows."""
        from odibi_spark.writing import save

        options = {**settings(target.storage), **self._given(self.write_options())}
        frame = self.prepared(frame, target)
        return save(frame, self.spark_name, options, target, path, name=name, partition_by=partition_by)

    @contextmanager
    def _hinting(self, source: Source, parts: Sequence[Part]) -> Iterator[None]:
        """Add a hint at the format that a part's name means, if that is another."""
        try:
            yield
        except DataError as error:
            names = [part.path.lower() for part in parts]
            ours = _ENDINGS.get(source.format_name, self.extensions)
            foreign = [name for name in names if not any(ending in name for ending in ours)]
            other = next((word for name in foreign for word, ends in _ENDINGS.items() if name.endswith(ends)), None)
            if other is not None:
                error.remedy += f" The name means {other}, but it is read as {source.format_name}."
            raise

    def _given(self, options: Mapping[str, Any]) -> dict[str, str]:
        said = {name: value for name, value in options.items() if value is not None}
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in said.items()}


# --- reading ----------------------------------------------------------------------------------------------------------


def reader_of(source: Source, parts: Sequence[Part], engine: Any, name: str, options: Mapping[str, str]) -> Any:
    """A reader of Spark for parts of a source, with the folder that their partitions are below."""
    reader = engine.native.read.format(name).options(**settings(source.storage)).options(**options)
    if parts[0].partition:
        assert source.path is not None
        reader = reader.option("basePath", address(source.storage, _fixed(source.path)))
    # Names may hold what is a pattern to Hadoop.
    return reader.option("__globPaths__", "false")


def places_of(source: Source, parts: Sequence[Part], *, as_folder: bool) -> list[str]:
    """The addresses to load: the folder itself, where that means the same as its parts."""
    assert source.path is not None
    folder = source.path.strip("/")
    paths = [part.path for part in parts]
    # Of a batch, only what it names: the folder holds more.
    if source.only is None and _fixed(folder) == folder and paths != [folder]:
        inside = [path[len(folder) :].strip("/").split("/")[:-1] for path in paths]
        plain = all(all("=" in step for step in steps) for steps in inside)
        if plain and (as_folder or not any(inside)):
            paths = [folder]
    return [address(source.storage, path) for path in paths]


def _fixed(path: str) -> str:
    """The part of a path without patterns."""
    pieces = path.strip("/").split("/")
    depth = next((at for at, piece in enumerate(pieces) if any(sign in piece for sign in "*?[")), len(pieces))
    return "/".join(pieces[:depth])


def partition_types(parts: Sequence[Part]) -> dict[str, str]:
    """The columns that folders are, each with its type: long integers, dates, or else text; on every engine."""
    return {name: _partition_type({part.partition[name] for part in parts}) for name in parts[0].partition}


def _partition_type(values: Iterable[str | None]) -> str:
    given = [value for value in values if value is not None]
    if given and all(_INTEGER.fullmatch(value) and -(2**63) <= int(value) < 2**63 for value in given):
        return "bigint"
    return "date" if given and all(map(_is_date, given)) else "string"


def _is_date(value: str) -> bool:
    if not _DATE.fullmatch(value):
        return False
    try:
        dt.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def partitions_typed(frame: Any, types: Mapping[str, str]) -> Any:
    """The frame with partition columns, which are texts in it, in their types."""
    functions = functions_for(frame)
    changed = {name: functions.col(quoted(name)).cast(word) for name, word in types.items() if word != "string"}
    return frame.withColumns(changed) if changed else frame


def check_not_in_file(types: Iterable[str], names: Sequence[str], where: str) -> None:
    """Refuse a column that comes from a file and from the name of its folder.

    Raises:
        DataError: there is one.
    """
    folded = {name.casefold() for name in names}
    for name in types:
        if name.casefold() in folded:
            raise DataError(
                f"column {name!r} is in the file and in the name of its folder",
                where=where,
                remedy="Set partition_columns: false to use the one in the file.",
            )


def _texts(types: Mapping[str, str]) -> list[Any]:
    from pyspark.sql.types import StringType, StructField

    return [StructField(name, StringType()) for name in types]


def _struct(fields: Sequence[Any]) -> Any:
    from pyspark.sql.types import StructType

    return StructType(list(fields))


def texts_of(names: Iterable[str]) -> Any:
    """A schema of texts."""
    return _struct(_texts(dict.fromkeys(names, "string")))


def quoted(name: str) -> str:
    """A column's name as it stands in an expression."""
    return "`" + name.replace("`", "``") + "`"


def chosen(frame: Any, columns: Sequence[str], where: str) -> Any:
    """The wanted columns in the wanted order.

    Raises:
        DataError: there is none of such a name.
    """
    known_columns(columns, frame.columns, where)
    return frame.select(*(frame[quoted(column)] for column in columns))


def known_columns(columns: Sequence[str], names: Sequence[str], where: str, option_name: str = "") -> None:
    """Refuse the name of a column that is not there.

    Raises:
        DataError: there is none of such a name.
    """
    for column in columns:
        if column not in names:
            close = difflib.get_close_matches(column, names, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            what = f"there is no column {column!r}"
            if option_name:
                what = f"the option {option_name} names the column {column!r}, which is not there"
            raise DataError(what, where=where, remedy=f"{hint}The columns are: {', '.join(names)}.")


def check_distinct(names: Sequence[str], where: str) -> None:
    """Refuse columns that Spark takes for one.

    Raises:
        DataError: two names differ in nothing but their case.
    """
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.casefold(), name)) != name:
            raise DataError(
                f"the columns {other!r} and {name!r} have the same name to Spark, which does not tell cases apart",
                where=where,
                remedy="Give them other names in the file, or with column_names where the format has it.",
            )
