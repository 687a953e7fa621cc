"""What the formats of files have in common: they read and write folders, by address."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi import option
from odibi.contracts.finding import parts_of
from odibi.errors import DataError
from odibi_spark.failures import told
from odibi_spark.places import address, settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source, Target, WriteReport


@attrs.frozen
class FileFormat:
    """A format of files. What Spark calls it is ``spark_name``; its fields are its options."""

    spark_name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    exact: ClassVar[bool] = False

    partition_columns: bool = option(True, help="Whether folders such as year=2013 are columns.", only="read")

    def read_options(self) -> Mapping[str, Any]:
        """What Spark's reader is told."""
        return {}

    def write_options(self) -> Mapping[str, Any]:
        """What Spark's writer is told."""
        return {}

    def read(self, source: Source, engine: Any) -> Any:
        """The data at ``source``; its schema is looked at, and no more."""
        parts = parts_of(source, partitioned=self.partition_columns)
        with told(str(source), data=True):
            reader = engine.native.read.format(self.spark_name).options(**settings(source.storage))
            reader = reader.options(**self._given(self.read_options()))
            frame = self.load(reader, source, parts)
        frame = self._partitions_typed(frame, parts)
        return frame if source.columns is None else chosen(frame, source.columns, str(source))

    def load(self, reader: Any, source: Source, parts: Sequence[Part]) -> Any:
        """The frame of all parts."""
        folder, paths = _places(source, parts, as_folder=self.partition_columns)
        if folder is not None:
            reader = reader.option("basePath", address(source.storage, folder))
        # Names may hold what is a pattern to Hadoop.
        return reader.option("__globPaths__", "false").load([address(source.storage, path) for path in paths])

    def write(self, frame: Any, target: Target, engine: Any) -> WriteReport:
        """Write ``frame`` as ``target`` says, as a folder of parts."""
        from odibi_spark.writing import write

        return write(frame, target, engine, self)

    def saved(self, frame: Any, target: Target, path: str, *, name: str, partition_by: Sequence[str]) -> int:
        """Write all rows to objects below ``path``, whose names begin with ``name``; returns how many rows."""
        from odibi_spark.writing import save

        options = {**settings(target.storage), **self._given(self.write_options())}
        return save(frame, self.spark_name, options, target, path, name=name, partition_by=partition_by)

    def _given(self, options: Mapping[str, Any]) -> dict[str, str]:
        said = {name: value for name, value in options.items() if value is not None}
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in said.items()}

    def _partitions_typed(self, frame: Any, parts: Sequence[Part]) -> Any:
        """Partition columns in the types that other engines give them: long integers, dates, or else text."""
        if not parts or not parts[0].partition:
            return frame
        types = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
        wide = [name for name in parts[0].partition if types.get(name) == "int"]
        return frame.withColumns({name: frame[f"`{name}`"].cast("bigint") for name in wide}) if wide else frame


def _places(source: Source, parts: Sequence[Part], *, as_folder: bool) -> tuple[str | None, list[str]]:
    """The folder that partitions are below, and the paths to load: the folder itself where that means the same."""
    assert source.path is not None
    first = parts[0].path
    if len(parts) == 1 and first.strip("/") == source.path.strip("/"):
        return None, [first]
    folder = source.path.strip("/")
    if not any(sign in folder for sign in "*?["):
        inside = [part.path[len(folder) :].strip("/").split("/")[:-1] for part in parts]
        plain = all(all("=" in step for step in steps) for steps in inside)
        if plain and (as_folder or not any(inside)):
            return None, [folder]
        return folder, [part.path for part in parts]
    fixed = folder.split("/")
    depth = next(at for at, piece in enumerate(fixed) if any(sign in piece for sign in "*?["))
    return "/".join(fixed[:depth]), [part.path for part in parts]


def chosen(frame: Any, columns: Sequence[str], where: str) -> Any:
    """The wanted columns in the wanted order.

    Raises:
        DataError: there is none of such a name.
    """
    names = frame.columns
    for column in columns:
        if column not in names:
            close = difflib.get_close_matches(column, names, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise DataError(
                f"there is no column {column!r}", where=where, remedy=f"{hint}The columns are: {', '.join(names)}."
            )
    return frame.select(*(frame["`" + column.replace("`", "``") + "`"] for column in columns))
