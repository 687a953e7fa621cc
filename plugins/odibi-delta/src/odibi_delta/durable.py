"""Commits to local files that outlive a crash of the machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from odibi_delta.log import FOLDER

if TYPE_CHECKING:
    from odibi_delta.location import Location
    from odibi_delta.log import Commit


def make_durable(place: Location, commit: Commit) -> None:
    """Have the system write a commit to the disk, with its data files: delta-rs leaves that for later.

    Files that are gone by now were removed by somebody who saw the commit. Object stores need nothing.
    """
    if place.scheme != "file":
        return
    table = Path(url2pathname(urlsplit(place.uri).path))
    files = [table / path for path in commit.paths]
    log = table / FOLDER
    # The data before the commit that speaks of it.
    for path in [*files, *dict.fromkeys(file.parent for file in files), log / f"{commit.version:020}.json", log, table]:
        with suppress(FileNotFoundError):
            _sync(path)
    if not commit.version:
        _sync(table.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
