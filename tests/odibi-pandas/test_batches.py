"""Sources of which a run wants certain objects, each in one version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from odibi.contracts import FileVersion
from odibi.errors import Conflict
from odibi_pandas.formats.csv import CsvFormat
from odibi_pandas.formats.json import JsonFormat
from odibi_pandas.formats.parquet import ParquetFormat
from odibi_pandas.frames import from_table

CSV = CsvFormat()


def put(lake: Any, *paths: str) -> tuple[FileVersion, ...]:
    """Objects with a row each, which holds the number of the object."""
    for at, path in enumerate(paths):
        lake.storage.write(path, f"v\n{at}\n".encode())
    return versions(lake, *paths)


def versions(lake: Any, *paths: str) -> tuple[FileVersion, ...]:
    return tuple(FileVersion(stat.path, stat.etag, stat.size) for stat in map(lake.storage.stat, paths))


def both(lake: Any, path: str, only: tuple[FileVersion, ...], format_: Any = CSV, **more: Any) -> list[list[Any]]:
    """The rows, read whole and in chunks."""
    whole = lake.read(path, format_, only=only, **more)
    chunks = lake.read_chunks(path, format_, 1, only=only, **more)
    assert [row for chunk in chunks for row in chunk.to_numpy().tolist()] == whole.to_numpy().tolist()
    return whole.to_numpy().tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("path", ["in", "in/year=*", "in/**/*.csv"])
def test_folders_are_columns_by_the_objects_that_are_wanted(lake: Any, path: str) -> None:
    """A folder of another one neither shows nor has a say in the types."""
    files = put(lake, "in/year=x/a.csv", "in/year=2013/b.csv", "in/year=2014/c.csv")
    assert both(lake, path, files[:0:-1]) == [[2, 2014], [1, 2013]]
    assert both(lake, path, files[:0:-1], columns=("year",)) == [[2014], [2013]]


@pytest.mark.parametrize("format_", [CSV, JsonFormat(), ParquetFormat()])
def test_objects_come_in_the_order_of_the_batch(lake: Any, format_: Any) -> None:
    ending = format_.extensions[0]
    for at in range(4):
        frame = from_table(pa.table({"v": [at]}))
        lake.write(frame, f"in/{at}{ending}", format_)
    only = versions(lake, *(f"in/{at}{ending}" for at in (3, 0, 2)))
    assert both(lake, "in", only, format_) == [[3], [0], [2]]


def replacing(lake: Any, path: str, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Replace ``path`` right before it is opened for the ``after``-th time; a frame could be made of either version."""
    opened = lake.storage.open
    times: list[str] = []

    def open_(name: str) -> Any:
        if name == path:
            times.append(name)
            if len(times) == after:
                lake.storage.write(path, b"v\n99\n")
        return opened(name)

    monkeypatch.setattr(lake.storage, "open", open_)


@pytest.mark.parametrize("read", ["read", "read_chunks"])
@pytest.mark.parametrize("path", ["in", "in/*", "in/00.csv"])
def test_an_object_that_is_replaced_before_it_is_opened(
    lake: Any, path: str, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is not read instead, and is not waited for either."""
    files = put(lake, "in/00.csv", "in/01.csv")
    replacing(lake, "in/00.csv", monkeypatch, after=1)
    only = files[:1] if path.endswith(".csv") else files
    chosen: Callable[..., Any] = getattr(lake, read)
    more = (1,) if read == "read_chunks" else ()
    with pytest.raises(Conflict, match=r"in/00\.csv"):
        chosen(path, CSV, *more, only=only)


@pytest.mark.parametrize("read", ["read", "read_chunks"])
def test_one_of_many_that_is_replaced_before_its_turn(lake: Any, read: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are held open at once."""
    files = put(lake, *(f"in/{at:02}.csv" for at in range(40)))
    replacing(lake, "in/39.csv", monkeypatch, after=1)
    chosen: Callable[..., Any] = getattr(lake, read)
    more = (1,) if read == "read_chunks" else ()
    with pytest.raises(Conflict, match="files of the batch were replaced while they were read"):
        chosen("in", CSV, *more, only=files)
