"""Which paths a watch means: what a read of the same ``path`` does (:mod:`odibi.contracts.finding`), one at a time.

A node that reads a batch refuses what its own path does not mean, so both have to agree; a test holds this module to
:func:`odibi.contracts.finding.parts_of`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from odibi.contracts.finding import is_hidden, is_pattern, matching
from odibi.contracts.storage import check_path

if TYPE_CHECKING:
    from collections.abc import Callable

TEMPORARY = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")
"""How the names end that programs give to what they have not finished: rsync, curl, WinSCP, browsers, editors."""


class Matcher:
    """What a ``path`` means.

    Args:
        path: an object, a folder, or a pattern.

    Attributes:
        path: without empty and ``.`` parts.
        folder: below which everything lies that is meant; the path itself, if that is no pattern.
        is_pattern: whether it is.

    Raises:
        InvalidPath: it leads out of the storage.
    """

    def __init__(self, path: str) -> None:
        self.path = check_path(path)
        self.is_pattern = is_pattern(self.path)
        self.folder = self.path
        self._meaning: Callable[[str], object] | None = None
        if self.is_pattern:
            self.folder, self._meaning = matching(self.path)
        self._unfinished = tuple(end for end in TEMPORARY if not self.path.endswith(end))

    def means(self, path: str) -> bool:
        """Whether an object of this path is meant."""
        if path == self.path:
            return bool(path)
        if path.endswith(self._unfinished):
            return False
        if self._meaning is not None:
            return self._meaning(path) is not None
        return self.holds(path) and not is_hidden(self._inside(path))

    def may_hold(self, folder: str) -> bool:
        """Whether something that is meant may lie in this folder."""
        return self.holds(folder) and (self.is_pattern or not is_hidden(self._inside(folder)))

    def holds(self, path: str) -> bool:
        """Whether the path lies below :attr:`folder`."""
        return not self.folder or path.startswith(f"{self.folder}/")

    def _inside(self, path: str) -> str:
        return path[len(self.folder) :].lstrip("/")
