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
from odibi.errors import Conflict, DataError, InvalidPath, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from odibi.contracts.format import Source
    from odibi.contracts.storage import Storage
    from odibi.contracts.trigger import FileVersion

    Meaning = Callable[[str], Mapping[str, str | None] | None]
    """The path of an object to the values that its folders say; to ``None`` if it is not meant."""

NULL = "__HIVE_DEFAULT_PARTITION__"
"""The value of a folder whose rows have a null; as Hive, Spark and others write it."""

_SPECIAL = re.compile(r"[*?\[]")
_SEGMENT = re.compile(r"([^=/]+)=([^/]*)")
_ASKED_AT_ONCE = 16
"""How many objects are looked at side by side: a look at a distant storage takes tens of milliseconds."""

_SLICE = 256

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

    Of a source with ``only`` these are the objects named there, in that order, and nothing is listed. What is hidden
    (:func:`is_hidden`) is left out there too.

    Args:
        source: with a path.
        partitioned: whether folders such as ``year=2013`` are columns.

    Raises:
        NotFound: there is none.
        Conflict: one that ``only`` names is gone, or there in another version.
        DataError: the source has no path, its parts lie in different folders, or ``only`` names what the path does not
            mean: left out, it would be lost.
    """
    if source.path is None:
        given = "table" if source.table else "query"
        raise DataError(
            f"the format {source.format_name!r} reads files, but the node names a {given}",
            where=str(source),
            remedy="Give 'path', or a format that has tables.",
        )
    if source.only is not None:
        found = _named(source, source.only)
    elif _SPECIAL.search(source.path):
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


def check_versions(source: Source) -> None:
    """Make sure that the objects that ``source.only`` names are there in the versions that it names.

    Of a source without ``only`` nothing is promised, so nothing is looked at.

    Raises:
        Conflict: one of them is gone, or there in another version.
    """
    if not source.only:
        return
    changed = first_changed(source.storage, source.only)
    if changed is None:
        return
    file, etag = changed
    what = "it is gone since the batch was made"
    if etag is not None:
        what = f"it was replaced since the batch was made: its etag is {etag!r} now, and was {file.etag!r}"
    raise Conflict(
        what,
        where=f"{source.connection}:{file.path}",
        remedy="The batch cannot be read any more; what is there now comes in a later one, if the trigger sees it.",
    )


def first_changed(storage: Storage, files: Iterable[FileVersion]) -> tuple[FileVersion, str | None] | None:
    """The first of these objects that is not there in its version, and the etag that it has now, if it is there at all.

    Args:
        storage: theirs; of more than a few objects, several are asked for at once.
        files: each is looked at once.

    Returns:
        ``None`` if all of them are there as they were.

    Raises:
        StorageError: the storage cannot be asked.
    """

    def etag_of(file: FileVersion) -> str | None:
        try:
            return storage.stat(file.path).etag
        except NotFound:
            return None

    asked = list(dict.fromkeys(files))
    if len(asked) <= _ASKED_AT_ONCE:
        return _first_other(asked, map(etag_of, asked))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="odibi-look") as pool:
        # In slices, so that little is asked for in vain once one has changed.
        for begin in range(0, len(asked), _SLICE):
            some = asked[begin : begin + _SLICE]
            found = _first_other(some, pool.map(etag_of, some))
            if found is not None:
                return found
    return None


def _first_other(files: Sequence[FileVersion], etags: Iterable[str | None]) -> tuple[FileVersion, str | None] | None:
    return next(((file, etag) for file, etag in zip(files, etags, strict=True) if etag != file.etag), None)


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


def _named(source: Source, only: Sequence[FileVersion]) -> list[Part]:
    assert source.path is not None
    path = check_path(source.path)
    meaning = matching(path)[1] if _SPECIAL.search(path) else _in_folder(path)
    found = []
    for file in dict.fromkeys(only):
        values = {} if file.path == path else meaning(file.path)
        if values is not None:
            found.append(Part(file.path, values, file.etag))
        elif not is_hidden(file.path):
            raise DataError(
                f"it is in the batch, but {source.path!r} does not mean it",
                where=f"{source.connection}:{file.path}",
                remedy="Let the trigger watch what the node reads, and nothing beside that.",
            )
    named = {part.path for part in found}
    check_versions(attrs.evolve(source, only=tuple(file for file in only if file.path in named)))
    return found


def _below(source: Source) -> list[Part]:
    assert source.path is not None
    folder = check_path(source.path)
    return _listing(source, folder, _in_folder(folder))


def _matching(source: Source) -> list[Part]:
    assert source.path is not None
    return _listing(source, *matching(check_path(source.path)))


def _listing(source: Source, folder: str, meaning: Meaning) -> list[Part]:
    found = []
    for stat in source.storage.list(folder):
        values = meaning(stat.path)
        if values is not None:
            found.append(Part(stat.path, values, stat.etag))
    return found


def _in_folder(folder: str) -> Meaning:
    """What a folder means: all below it that is not hidden."""

    def meaning(path: str) -> Mapping[str, str | None] | None:
        inside = path[len(folder) :].lstrip("/")
        below = not folder or path.startswith(f"{folder}/")
        return values_of(inside.split("/")[:-1]) if below and not is_hidden(inside) else None

    return meaning


def is_pattern(path: str) -> bool:
    """Whether a path means what matches it, and not the object or folder of that name."""
    return _SPECIAL.search(path) is not None


def matching(pattern: str) -> tuple[str, Meaning]:
    """What a pattern means.

    Args:
        pattern: as :func:`~odibi.contracts.storage.check_path` gives it, with a wildcard.

    Returns:
        The folder that all of it is in, and a function that gives the values which the folders of a path say (see
        :func:`values_of`), or ``None`` if the pattern does not mean an object there.
    """
    pieces = pattern.split("/")
    fixed = next(at for at, piece in enumerate(pieces) if _SPECIAL.search(piece))
    matches = re.compile(_expression(pieces) + r"(?P<below>/.*)?", re.DOTALL)

    def meaning(path: str) -> Mapping[str, str | None] | None:
        match = matches.fullmatch(path)
        if match is None or is_hidden((match["below"] or "").lstrip("/")):
            return None
        return values_of(path.split("/")[fixed:-1])

    return "/".join(pieces[:fixed]), meaning


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
    if source.only is not None:
        return NotFound(
            "the batch holds nothing that can be read",
            where=str(source),
            remedy="Let the trigger leave out empty batches, and names that begin with '.' or '_'.",
        )
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
