"""Which objects a source means: one, a folder of parts, or those that a pattern matches.

Engines that read through a storage, and those that go direct, agree on it here: ``*``, ``?`` and ``[...]`` stay in
their folder, ``**`` does not; what begins with ``.`` or ``_`` is no data; folders such as ``year=2013`` may be columns.
"""

from __future__ import annotations

import difflib
import re
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote

import attrs

from odibi.contracts.storage import check_path
from odibi.errors import DataError, InvalidPath, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from odibi.contracts.format import Source

NULL = "__HIVE_DEFAULT_PARTITION__"
"""The value of a folder whose rows have a null; as Hive, Spark and others write it."""

_SPECIAL = re.compile(r"[*?\[]")
_SEGMENT = re.compile(r"([^=/]+)=([^/]*)")
_LOOKED_AT = 2000
"""How many names are compared to find the nearest ones for an error."""


@attrs.frozen
class Part:
    """One object of a source.

    Attributes:
        path: in the storage.
        partition: the values that its folders say, by column.
        etag: of the object when it was found.
    """

    path: str
    partition: Mapping[str, str | None]
    etag: str


def parts_of(source: Source, *, partitioned: bool) -> list[Part]:
    """The objects that ``source`` means, in the order of their paths; at least one.

    Args:
        source: with a path.
        partitioned: whether folders such as ``year=2013`` are columns.

    Raises:
        NotFound: there is none.
        DataError: the source has no path, or its parts lie in different folders.
    """
    if source.path is None:
        given = "table" if source.table else "query"
        raise DataError(
            f"the format {source.format_name!r} reads files, but the node names a {given}",
            where=str(source),
            remedy="Give 'path', or a format that has tables.",
        )
    if _SPECIAL.search(source.path):
        found = _matching(source) or _exactly(source)
    else:
        found = _exactly(source) or _below(source)
    if not found:
        raise _nothing(source)
    if not partitioned:
        return [attrs.evolve(part, partition={}) for part in found]
    keys = set(found[0].partition)
    for part in found:
        if set(part.partition) != keys:
            raise DataError(
                f"the folders say {_listed(part.partition)}, but {_listed(found[0].partition)} for {found[0].path}",
                where=f"{source.connection}:{part.path}",
                remedy="Give all parts folders of the same columns, or set partition_columns: false.",
            )
    return found


def values_of(folders: Sequence[str]) -> dict[str, str | None]:
    """The values that the folders above a part say, by column."""
    found: dict[str, str | None] = {}
    for folder in folders:
        match = _SEGMENT.fullmatch(folder)
        if match:
            value = unquote(match.group(2))
            found[unquote(match.group(1))] = None if value == NULL else value
    return found


def is_hidden(path: str) -> bool:
    """Whether a part of the path marks what lies there as no data: ``_SUCCESS``, ``.crc`` files and their like."""
    return any(piece.startswith((".", "_")) and "=" not in piece for piece in path.split("/"))


def _exactly(source: Source) -> list[Part]:
    assert source.path is not None
    try:
        stat = source.storage.stat(source.path)
    except (NotFound, InvalidPath):
        # A path that no object can have may be a folder's; check_path refuses the others again below.
        return []
    return [Part(stat.path, {}, stat.etag)]


def _below(source: Source) -> list[Part]:
    assert source.path is not None
    folder = check_path(source.path)
    found = []
    for stat in source.storage.list(folder):
        inside = stat.path[len(folder) :].lstrip("/")
        if not is_hidden(inside):
            found.append(Part(stat.path, values_of(inside.split("/")[:-1]), stat.etag))
    return found


def _matching(source: Source) -> list[Part]:
    assert source.path is not None
    pattern = check_path(source.path)
    pieces = pattern.split("/")
    fixed = next(at for at, piece in enumerate(pieces) if _SPECIAL.search(piece))
    folder = "/".join(pieces[:fixed])
    matches = re.compile(_expression(pieces) + r"(?P<below>/.*)?", re.DOTALL)
    found = []
    for stat in source.storage.list(folder):
        match = matches.fullmatch(stat.path)
        if match is None or is_hidden((match["below"] or "").lstrip("/")):
            continue
        found.append(Part(stat.path, values_of(stat.path.split("/")[fixed:-1]), stat.etag))
    return found


def _expression(pieces: list[str]) -> str:
    """The regular expression of a pattern: no wildcard crosses a ``/`` but ``**``, or finds what is hidden."""
    expression = ""
    for at, piece in enumerate(pieces):
        last = at == len(pieces) - 1
        if piece == "**":
            expression += r"(?:(?![._])[^/]+/)*" + (r"(?![._])[^/]+" if last else "")
        else:
            shown = r"(?![._])" if piece[0] in "*?[" else ""
            expression += shown + _piece(piece) + ("" if last else "/")
    return expression


def _piece(piece: str) -> str:
    expression, at = "", 0
    while at < len(piece):
        character = piece[at]
        end = piece.find("]", at + 2) if character == "[" else -1
        if character == "*":
            expression += "[^/]*"
        elif character == "?":
            expression += "[^/]"
        elif end > 0:
            inside = piece[at + 1 : end].replace("\\", r"\\").replace("[", r"\[")
            expression += f"[^/{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
            at = end
        else:
            expression += re.escape(character)
        at += 1
    return expression


def _nothing(source: Source) -> NotFound:
    assert source.path is not None
    pieces = check_path(source.path).split("/")
    known: list[str] = []
    # The nearest folder that holds anything, from the path's own upwards.
    for depth in range(len(pieces) - 1, -1, -1):
        if any(_SPECIAL.search(piece) for piece in pieces[:depth]):
            continue
        known = [stat.path for stat in islice(source.storage.list("/".join(pieces[:depth])), _LOOKED_AT)]
        if known:
            break
    close = difflib.get_close_matches(source.path, known, n=3, cutoff=0.5) or known[:3]
    hint = f"Near it: {', '.join(close)}." if close else "The connection holds nothing there."
    what = "no object matches the pattern" if _SPECIAL.search(source.path) else "there is no such object or folder"
    return NotFound(what, where=str(source), remedy=hint)


def _listed(partition: Mapping[str, str | None]) -> str:
    return " and ".join(partition) or "no columns"
