"""Avro object containers, by Spark's own package for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from odibi import option
from odibi.errors import DataError, PluginBroken
from odibi_spark.formats.base import FileFormat

if TYPE_CHECKING:
    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source, Target

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PACKAGE = "org.apache.spark:spark-avro_{scala}:{spark}"


@attrs.frozen
class AvroFormat(FileFormat):
    """Rows with their schema.

    Dates, moments, decimals and UUIDs keep their types; a UUID is a text. An enum is a text. A union of more than one
    type and null is refused, as are times of day, for which Spark has no type. Small integers are written as ``int``.

    Takes a package of Spark's that is loaded when the session starts.
    """

    spark_name: ClassVar[str] = "avro"
    spark_packages: ClassVar[tuple[str, ...]] = (_PACKAGE,)
    extensions: ClassVar[tuple[str, ...]] = (".avro",)
    title: ClassVar[str] = "Avro"

    compression: Literal["none", "deflate", "bzip2", "xz"] = option(
        "deflate", help="Of what is written.", aliases=("codec",), only="write"
    )

    def load(self, source: Source, parts: Sequence[Part], engine: Any, wanted: Sequence[str] | None) -> Any:
        """The frame of all parts; the heads of the files are looked at first."""
        from odibi_spark.formats.avro_head import check_heads

        check_heads(source, parts, wanted, union_by_name=self.union_by_name)
        with _package_told(str(source)):
            return FileFormat.load(self, source, parts, engine, wanted)

    def read_options(self) -> Mapping[str, Any]:
        """What Spark's reader is told."""
        return {"ignoreExtension": True}

    def saved(self, frame: Any, target: Target, path: str, *, name: str, partition_by: Sequence[str]) -> int | None:
        """Write all rows to objects below ``path``; returns how many rows."""
        with _package_told(str(target)):
            return FileFormat.saved(self, frame, target, path, name=name, partition_by=partition_by)

    def prepared(self, frame: Any, target: Target) -> Any:
        """The frame, if Avro has names and types for its columns."""
        for field in frame.schema.fields:
            if not _NAME.fullmatch(field.name) and field.name not in target.partition_by:
                raise DataError(
                    f"Avro does not allow the name {field.name!r} of a column",
                    where=str(target),
                    remedy="Rename it before, to letters, digits and underscores; a digit must not come first.",
                )
            word = field.dataType.simpleString()
            if "interval" in word or word in ("variant", "time"):
                raise DataError(
                    f"column {field.name!r} is {word}, which Avro does not have",
                    where=str(target),
                    remedy="Cast or drop it before, or write Parquet instead.",
                )
        return frame

    def write_options(self) -> Mapping[str, Any]:
        """What Spark's writer is told."""
        codecs = {"none": "uncompressed"}
        return {"compression": codecs.get(self.compression, self.compression)}


class _package_told:  # noqa: N801 - used as a function
    """Says what to do when the session has no Avro."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, _: Any) -> None:
        text = str(error)
        missing = ("Avro is built-in but external", "AvroFileFormat", "AVRO_NOT_LOADED", "DATA_SOURCE_NOT_FOUND")
        if error is None or not any(each in text for each in missing):
            return
        from odibi_spark.versions import filled

        package = filled(_PACKAGE)
        raise PluginBroken(
            f"the Spark session has no {package}, which Avro takes",
            where=self._where,
            remedy=f"A session that runs cannot load it. Start one with 'packages: [{package}]' under the engine's"
            " options, or with its jar on the class path of the cluster or server.",
        ) from None
