"""Files that are replaced as a whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from odibi.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path


def replaced(file: Path, text: str) -> None:
    """Put a text in the place of a file; whoever reads it sees the old one or the new one, whole.

    Args:
        file: its folder must be there. A file that a killed process left beside it does not matter.
        text: written as UTF-8; what UTF-8 cannot hold becomes a question mark.

    Raises:
        StorageError: it cannot be written.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_bytes(text.encode("utf-8", "replace"))
        beside.replace(file)
    except OSError as error:
        raise StorageError(
            f"the measurements cannot be written: {error.strerror or error}",
            where=str(file),
            remedy="Name a file in a folder that is there and that may be written to.",
        ) from error
