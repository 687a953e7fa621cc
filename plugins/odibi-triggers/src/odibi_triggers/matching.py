"""Which paths a watch means: what a read of the same ``path`` does (:mod:`odibi.contracts.finding`), one at a time.

A node that reads a batch refuses what its own path does not mean, so both have to agree; a test holds this module to
:func:`odibi.contracts.finding.parts_of`.
"""

from __future__ import annotations

import re

from odibi.contracts.finding import is_hidden
from odibi.contracts.storage import check_path

TEMPORARY = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")
"""How the names end that programs give to what they have not finished: rsync, curl, WinSCP, browsers, editors."""

_SPECIAL = re.compile(r"[*?\[]")


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
        pieces = self.path.split("/")
        fixed = next((at for at, piece in enumerate(pieces) if _SPECIAL.search(piece)), None)
        self.is_pattern = fixed is not None
        self.folder = self.path if fixed is None else "/".join(pieces[:fixed])
        self._pattern = None if fixed is None else re.compile(_expression(pieces) + r"(?P<below>/.*)?", re.DOTALL)
        self._unfinished = tuple(end for end in TEMPORARY if not self.path.endswith(end))

    def means(self, path: str) -> bool:
        """Whether an object of this path is meant."""
        if path == self.path:
            return bool(path)
        if path.endswith(self._unfinished):
            return False
        if self._pattern is not None:
            match = self._pattern.fullmatch(path)
            return match is not None and not is_hidden((match["below"] or "").lstrip("/"))
        return self.holds(path) and not is_hidden(self._inside(path))

    def may_hold(self, folder: str) -> bool:
        """Whether something that is meant may lie in this folder."""
        return self.holds(folder) and (self.is_pattern or not is_hidden(self._inside(folder)))

    def holds(self, path: str) -> bool:
        """Whether the path lies below :attr:`folder`."""
        return not self.folder or path.startswith(f"{self.folder}/")

    def _inside(self, path: str) -> str:
        return path[len(self.folder) :].lstrip("/")


def _expression(pieces: list[str]) -> str:
    """The regular expression of a pattern: only ``**`` crosses a ``/``, and no wildcard finds what is hidden."""
    found = ""
    for at, piece in enumerate(pieces):
        last = at == len(pieces) - 1
        if piece == "**":
            found += r"(?:(?![._])[^/]+/)*" + (r"(?![._])[^/]+" if last else "")
        else:
            shown = r"(?![._])" if piece[0] in "*?[" else ""
            found += shown + _piece(piece) + ("" if last else "/")
    return found


def _piece(piece: str) -> str:
    found, at = "", 0
    while at < len(piece):
        letter = piece[at]
        end = piece.find("]", at + 2) if letter == "[" else -1
        if letter in "*?":
            found += "[^/]" + ("*" if letter == "*" else "")
            at += 1
        elif end > 0:
            negated = piece[at + 1] in "!^"
            letters = piece[at + 1 + negated : end].replace("\\", r"\\").replace("[", r"\[")
            found += f"[^/{letters}]" if negated else f"[{letters}]"
            at = end + 1
        else:
            found += re.escape(letter)
            at += 1
    return found
