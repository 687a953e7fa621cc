"""Turns at a table in local files, for engines that do not all decide there who was first.

delta-rs makes the object of a commit in one step that fails if it is there. Spark looks whether it is there and then
puts its own in place, so that of two processes both could believe to have won. A lock on a file beside the log keeps
Spark apart from all others; those who need no such care do not wait for each other. Object stores decide by themselves.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from odibi_delta.log import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi_delta.location import Location

_LOCK = ".odibi-lock"


@contextmanager
def turn(place: Location, *, alone: bool) -> Iterator[None]:
    """A block in which the table may be committed to. The lock ends with the process, however that ends.

    Args:
        place: where the table is, or will be.
        alone: whether nobody else may commit meanwhile; otherwise all may who need not be alone.
    """
    if place.scheme != "file":
        yield
        return
    handle = _held(place, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _held(place: Location, how: int) -> int | None:
    """A lock; ``None`` where there can be none, as whoever cannot write there says best what is wrong."""
    folder = Path(url2pathname(urlsplit(place.storage.uri(place.path)).path), FOLDER)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # For reading: it may have been made by another user.
        handle = os.open(folder / _LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        return None
    try:
        fcntl.flock(handle, how)
    except OSError:  # a file system without locks
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle
