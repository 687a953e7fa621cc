"""A folder that can be brought back to what it was, as often as needed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import attrs


@attrs.frozen
class _File:
    path: str
    stored: Path
    content: bytes
    times: tuple[int, int]


class Snapshot:
    """What is in a folder now.

    Files come back with their inodes and their times: storages tell versions of a file apart by these, and a journal
    that remembers them would otherwise find everything changed.

    Args:
        folder: what is kept.
        store: a folder to be made on the same file system, for hard links to the files.
    """

    def __init__(self, folder: Path, store: Path) -> None:
        self._folder = folder
        self._folders: list[str] = []
        self._links: list[tuple[str, str]] = []
        self._files: list[_File] = []
        store.mkdir()
        for above, folders, files in os.walk(folder):
            for name in [*folders, *files]:
                path = Path(above, name)
                inside = str(path.relative_to(folder))
                if path.is_symlink():
                    self._links.append((inside, os.readlink(path)))
                elif path.is_dir():
                    self._folders.append(inside)
                else:
                    stored = store / str(len(self._files))
                    os.link(path, stored)
                    status = path.stat()
                    times = (status.st_atime_ns, status.st_mtime_ns)
                    self._files.append(_File(inside, stored, path.read_bytes(), times))

    def restore(self) -> None:
        """Make the folder what it was."""
        shutil.rmtree(self._folder)
        self._folder.mkdir()
        for path in self._folders:
            (self._folder / path).mkdir(parents=True, exist_ok=True)
        for path, target in self._links:
            (self._folder / path).symlink_to(target)
        for file in self._files:
            # A database changes its files in place.
            if file.stored.read_bytes() != file.content:
                file.stored.write_bytes(file.content)
            os.utime(file.stored, ns=file.times)
            os.link(file.stored, self._folder / file.path)
