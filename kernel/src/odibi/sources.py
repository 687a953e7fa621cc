"""What version of its data a node would read: one look at the storage, none at the data."""

from __future__ import annotations

import hashlib
import re
import time
from typing import TYPE_CHECKING

import attrs

from odibi.contracts.finding import first_changed
from odibi.errors import InvalidPath, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from odibi.contracts.storage import Stat, Storage
    from odibi.contracts.trigger import FileVersion

_SPECIAL = re.compile(r"[*?\[]")
_BLOCK = 1 << 20


@attrs.frozen
class SourceVersion:
    """The objects behind one ``connection:path``.

    Attributes:
        digest: of their paths, sizes and etags.
        objects, bytes: how many, and how large.
        newest: when the last of them changed; seconds since the epoch, UTC.
        checked: path to ``[etag, SHA-256 of the content]`` of objects whose etag could not be relied on alone.
        looked: the digest of what was looked at, where ``digest`` also stands for what is not there yet.
        unsettled: whether some etag cannot be relied on even now, as the object changed a moment ago.
        batch: the objects of the batch that is meant; ``None`` if it is all that is there.
        increment: which rows of them are meant, in words; empty if it is all.
    """

    digest: str
    objects: int
    bytes: int
    newest: float
    checked: Mapping[str, list[str]] = attrs.field(factory=dict)
    looked: str = ""
    unsettled: bool = False
    batch: tuple[FileVersion, ...] | None = None
    increment: str = ""


def table_version(version: str) -> SourceVersion:
    """The version of a table that knows its own."""
    digest = hashlib.sha256(f"table {version}".encode()).hexdigest()
    return SourceVersion(digest, 0, 0, 0.0, looked=digest)


def batch_version(files: Sequence[FileVersion]) -> SourceVersion:
    """The version of a batch of files: what it says of them, in its order. Nothing is looked at.

    What is there meanwhile does not matter: the same batch has the same version whenever it is consumed.
    """
    hasher = hashlib.sha256()
    for file in files:
        hasher.update(_line(file.path, file.size, file.etag))
    digest = hasher.hexdigest()
    size = sum(file.size for file in files)
    return SourceVersion(digest, len(files), size, 0.0, looked=digest, batch=tuple(files))


def is_there(storage: Storage, files: Sequence[FileVersion]) -> bool:
    """Whether each of these objects is there in its version.

    Raises:
        StorageError: the storage cannot be asked.
    """
    return first_changed(storage, files) is None


MADE_HERE = table_version("made by this run")
"""The version of a table that nodes of the run itself make; their fingerprints stand for it."""


class SourceVersions:
    """Looks at each place once.

    An etag that is made of a time cannot tell two changes that come right after one another (git calls such a time
    racy). So an object that changed within the storage's ``etag_resolution`` of being looked at is known by its
    content as well, and its content is compared whenever the same etag is seen again, until a look at it that came
    late enough is on record.

    Args:
        storage: a connection's name to its storage.
        recorded: ``connection:path`` to what ``checked`` was when results were recorded.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        storage: Callable[[str], Storage],
        recorded: Mapping[str, Mapping[str, list[str]]] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._recorded = recorded or {}
        self._now = now
        self._seen: dict[tuple[str, str, tuple[str, ...]], SourceVersion] = {}

    def of(self, connection: str, path: str, without: tuple[str, ...] = ()) -> SourceVersion:
        """The version of what ``path`` means: an object, a folder, or a pattern.

        Args:
            connection: its name.
            path: in it.
            without: paths whose objects, and those below them, do not count.

        Raises:
            StorageError: the storage cannot be asked. That nothing is there is a version too.
        """
        key = (connection, path, without)
        known = self._seen.get(key)
        if known is None:
            known = self._seen[key] = self._look(connection, path, without)
        return known

    def _look(self, connection: str, path: str, without: tuple[str, ...]) -> SourceVersion:
        storage = self._storage(connection)
        resolution = float(getattr(storage, "etag_resolution", 0.0))
        recorded = self._recorded.get(f"{connection}:{path}", {})
        hasher = hashlib.sha256()
        checked: dict[str, list[str]] = {}
        objects, size, newest, unsettled = 0, 0, 0.0, False
        for stat in stats(storage, path):
            if any(stat.path == each or stat.path.startswith(f"{each}/") for each in without):
                continue
            tag = stat.etag
            fresh = resolution > 0 and abs(self._now() - stat.modified) < resolution
            before = recorded.get(stat.path)
            if fresh or (before is not None and before[0] == stat.etag):
                content = _content(storage, stat)
                if before is not None and before[0] == stat.etag and before[1] != content:
                    tag = f"{stat.etag}:{content}"
                if fresh or tag != stat.etag:
                    checked[stat.path] = [stat.etag, content]
                unsettled = unsettled or fresh
            hasher.update(_line(stat.path, stat.size, tag))
            objects += 1
            size += stat.size
            newest = max(newest, stat.modified)
        digest = hasher.hexdigest()
        return SourceVersion(digest, objects, size, newest, checked, digest, unsettled)


def _line(path: str, size: int, tag: str) -> bytes:
    return f"{len(path)}:{path}{size}:{tag}\n".encode("utf-8", "surrogateescape")


def stats(storage: Storage, path: str) -> Iterator[Stat]:
    """The objects that a path means, in the order of their paths; perhaps more than an engine would read."""
    if not _SPECIAL.search(path):
        try:
            yield storage.stat(path)
        except (NotFound, InvalidPath):  # a folder is no object
            yield from storage.list(path)
        return
    matcher = _matcher(path)
    folder = _SPECIAL.split(path, maxsplit=1)[0].rpartition("/")[0]
    for stat in storage.list(folder):
        if stat.path == path or matcher.match(stat.path):
            yield stat


def matches(path: str, pattern: str) -> bool:
    """Whether an object at ``path`` would be among those that ``pattern`` (a path, a folder or a pattern) means."""
    if _SPECIAL.search(pattern):
        return path == pattern or _matcher(pattern).match(path) is not None
    return path == pattern or path.startswith(f"{pattern}/") or not pattern


def _matcher(pattern: str) -> re.Pattern[str]:
    """As a shell matches: ``*`` and ``?`` stay in their folder, ``**`` does not; what matches may be a folder."""
    out = []
    for part in re.findall(r"\*\*/?|\*|\?|\[[^\]]*\]|[^*?\[]+|\[", pattern):
        if part.startswith("**"):
            out.append(".*")
        elif part == "*":
            out.append("[^/]*")
        elif part == "?":
            out.append("[^/]")
        elif part.startswith("[") and len(part) > 2:
            inner = part[1:-1].replace("\\", r"\\")
            out.append(f"[^{inner[1:]}]" if inner[0] == "!" else f"[{inner}]")
        else:
            out.append(re.escape(part))
    return re.compile(f"{''.join(out)}(?:/.*)?\\Z", re.DOTALL)


def _content(storage: Storage, stat: Stat) -> str:
    hasher = hashlib.sha256()
    with storage.open(stat.path) as file:
        while block := file.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()
