"""The suite for ``file_watch``, on a storage in files."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from odibi.testing.reference.files import FileStorage
from odibi.testing.trigger import SourceSuite
from odibi_triggers.file_watch import FileWatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from odibi.contracts.trigger import Batch

_numbers = itertools.count()

_ELSEWHERE = """
import json
from odibi.testing.reference.files import FileStorage
from {home} import {name}
trigger = {name}(**{{**json.loads({options!r}), "connection": FileStorage({data!r})}})
"""


class FileWatchSuite(SourceSuite):
    """The suite for files that are renamed into place."""

    component: ClassVar[type] = FileWatch

    def options(self, place: Path) -> Mapping[str, Any]:
        """As in a project file, where the connection has a name; :meth:`make` builds it, as the kernel does."""
        return {"connection": "landing", "path": "in", "complete": "rename", "ledger": str(place / "ledger")}

    def make(self, place: Path) -> FileWatch:
        """On a storage in the place."""
        return FileWatch(**{**self.options(place), "connection": FileStorage(str(place / "data"))})

    def arrive(self, place: Path, n: int) -> Sequence[Any]:
        """Files that are written beside and renamed, under names that sort as they arrive."""
        return [self.arrive_one(place / "data/in", f"{next(_numbers):08}.csv") for _ in range(n)]

    def arrive_one(self, folder: Path, name: str) -> str:
        """Let one file arrive; its path in the storage."""
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{name}"
        draft.write_text(name, "utf-8")
        os.replace(draft, folder / name)  # noqa: PTH105 - as a program would
        return f"in/{name}"

    def arrived(self, batch: Batch) -> Sequence[Any]:
        """The paths."""
        return [file["path"] for file in batch.payload["files"]]

    def process_code(self, place: Path) -> str:
        """On the same storage, in another process."""
        home, name = self.component.__module__, self.component.__qualname__
        options = json.dumps(dict(self.options(place)))
        return _ELSEWHERE.format(home=home, name=name, options=options, data=str(place / "data"))
