"""Sources of which a run wants certain objects: Spark is given these, and no folder that holds more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from odibi.contracts import FileVersion, Source
from odibi.errors import Conflict
from odibi.testing.reference.files import FileStorage
from odibi_spark.formats.csv import CsvFormat
from odibi_spark.formats.json import JsonFormat

ROWS = {CsvFormat: "v\n{}\n", JsonFormat: '{{"v": {}}}\n'}


class Places(FileStorage):
    """Files that Spark can reach."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self._at = folder

    def uri(self, path: str) -> str:
        return f"file://{self._at / path}"

    def native_options(self, for_: str) -> dict[str, Any]:
        return {}


def source(storage: Any, path: str, format_: Any, only: list[FileVersion]) -> Source:
    return Source(
        storage=storage,
        connection="lake",
        path=path,
        format=format_,
        format_name=format_.title.lower(),
        only=tuple(only),
    )


def put(storage: Any, format_: Any, *paths: str) -> list[FileVersion]:
    """Objects with a row each, which holds the number of the object."""
    stats = [storage.write(path, ROWS[type(format_)].format(at).encode()) for at, path in enumerate(paths)]
    return [FileVersion(stat.path, stat.etag, stat.size) for stat in stats]


def rows(engine: Any, wanted: Source) -> list[dict[str, Any]]:
    return sorted(pa.table(engine.to_arrow(engine.read(wanted))).to_pylist(), key=repr)


@pytest.mark.parametrize("format_", [CsvFormat(), JsonFormat(), CsvFormat(encoding="latin-1")])
@pytest.mark.parametrize("path", ["in", "in/year=*", "in/**"])
def test_folders_are_columns_by_the_objects_that_are_wanted(
    spark_engine: Any, tmp_path: Path, path: str, format_: Any
) -> None:
    """A folder of another one neither shows nor has a say in the types."""
    storage = Places(tmp_path)
    names = ("in/year=x/a", "in/year=2013/b", "in/year=2014/c", "in/year=2014/d")
    files = put(storage, format_, *(f"{name}{format_.extensions[0]}" for name in names))
    expected = [{"v": 1, "year": 2013}, {"v": 3, "year": 2014}]
    assert rows(spark_engine, source(storage, path, format_, [files[3], files[1]])) == expected


def test_all_but_one_of_a_folder(spark_engine: Any, tmp_path: Path) -> None:
    """Where the folder itself would do, were it not for that one."""
    storage, format_ = Places(tmp_path), CsvFormat()
    files = put(storage, format_, *(f"in/{at}.csv" for at in range(5)))
    assert rows(spark_engine, source(storage, "in", format_, files[1:])) == [{"v": at} for at in range(1, 5)]


@pytest.mark.parametrize("gone", [False, True])
def test_an_object_that_was_replaced(spark_engine: Any, tmp_path: Path, gone: bool) -> None:
    storage, format_ = Places(tmp_path), CsvFormat()
    files = put(storage, format_, "in/a.csv", "in/b.csv")
    if gone:
        storage.delete("in/b.csv")
    else:
        storage.write("in/b.csv", b"v\n9\n")
    with pytest.raises(Conflict, match=r"lake:in/b\.csv"):
        spark_engine.read(source(storage, "in", format_, files))
