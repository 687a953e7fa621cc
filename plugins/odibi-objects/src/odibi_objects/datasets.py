"""Datasets of the cache: objects that an engine writes by itself, below ``datasets/<shard>/<key>-<token>``.

An entry with a dataset has a line before its content that names its objects, with their sizes and etags, and their
bytes in its name. Its nonce is the dataset's token, so that each leads to the other.

An engine may read objects long after it got the entry. So where an entry is removed that somebody may have got within
the last hours, a mark is left in ``left``, whose name begins with that moment, and the objects go :data:`IN_USE`
seconds after it. The token begins with the moment at which the place was given: a dataset that is no entry
:data:`ABANDONED` seconds after that is taken for one of a writer that died, and an hour before that is refused, so that
no two can disagree.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from odibi.contracts.cache import Dataset
from odibi.errors import StorageError
from odibi_objects.entries import moment_of, shard_of, text_of
from odibi_objects.names import below

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from odibi.contracts.storage import Storage
    from odibi_objects.clock import Clock
    from odibi_objects.crew import Crew
    from odibi_objects.entries import Version

IN_USE = 6 * 3600.0
"""Seconds after its last use for which somebody may read a dataset."""

ABANDONED = 48 * 3600.0
"""Seconds after which a dataset that is no entry will not become one."""

_LATE = ABANDONED - 3600.0
_PLACE = re.compile(r"([0-9a-f])/([a-z0-9_-]{1,128})-([0-9a-f]{16})")
_LEFT = re.compile(r"([0-9a-f]{16})\.([0-9a-f])\.([a-z0-9_-]{1,128})-([0-9a-f]{16})")
_LARGEST = 0xFFFFFFFF

Objects = list[list[str | int]]
"""Name in the dataset, size and etag of each object."""


def packed(objects: Objects, content: bytes) -> bytes:
    """What is put for an entry with a dataset."""
    return json.dumps(objects, separators=(",", ":")).encode() + b"\n" + content


def unpacked(data: memoryview) -> tuple[Objects, memoryview]:
    """The objects and the content that were put; their checksum is right."""
    line, _, _ = bytes(data).partition(b"\n")
    return json.loads(line), data[len(line) + 1 :].toreadonly()


class Datasets:
    """The datasets below a folder.

    Args:
        storage, prefix: where they are.
        clock: tells the time.
        crew: removes many objects.
    """

    def __init__(self, storage: Storage, prefix: str, clock: Clock, crew: Crew) -> None:
        self._storage = storage
        self._root = below(prefix, "datasets")
        self._left = below(prefix, "left")
        self._clock = clock
        self._crew = crew
        self._swept = False

    def place(self, key: str) -> Dataset:
        """A place that nobody was given before. Removes what nobody reads any more, the first time."""
        if not self._swept:
            self._swept = True
            with suppress(StorageError):
                self.sweep()
        moment = min(max(int(self._clock.time()), 0), _LARGEST)
        return self._at(key, f"{moment:08x}{uuid4().hex[:8]}")

    def of(self, version: Version) -> Dataset:
        """The dataset of an entry."""
        return self._at(version.key, version.nonce)

    def parse(self, dataset: Dataset) -> tuple[str, str]:
        """The key that a dataset was given for, and its token.

        Raises:
            ValueError: it is not one of ours.
        """
        match = _PLACE.fullmatch(dataset.path.removeprefix(f"{self._root}/"))
        if match is None or dataset.storage is not self._storage:
            raise ValueError(f"{dataset.path!r} is not a dataset of this cache")
        return match[2], match[3]

    def objects(self, dataset: Dataset) -> Objects:
        """What there is in a dataset.

        Raises:
            StorageError: it cannot be listed.
        """
        start = len(dataset.path) + 1
        return [[stat.path[start:], stat.size, stat.etag] for stat in self._storage.list(dataset.path)]

    def finished(self, dataset: Dataset, token: str) -> Objects:
        """What there is in a dataset that is about to become an entry.

        Raises:
            StorageError: it cannot be listed, or it took so long that it may have been taken for abandoned.
        """
        objects = self.objects(dataset)
        if self._age(token) >= _LATE:
            raise StorageError(
                "the dataset took too long to be written, and may have been taken for abandoned",
                where=dataset.path,
                remedy=f"Write it within {_LATE / 3600:.0f} hours.",
            )
        return objects

    def leave(self, version: Version) -> str:
        """Have the objects of an entry that is about to be removed stay for a while; returns the mark of that."""
        place = f"{text_of(self._clock.time())}.{shard_of(version.key)}.{version.key}-{version.nonce}"
        self._storage.write(f"{self._left}/{place}", b"")
        return f"{self._left}/{place}"

    def remove(self, dataset: Dataset) -> None:
        """Remove all that there is in a dataset.

        Raises:
            StorageError: some of it cannot be removed.
        """
        self._crew.do(self._storage.delete, [stat.path for stat in self._storage.list(dataset.path)])

    def sweep(self) -> set[str]:
        """Remove the objects of entries that are gone, and that nobody reads any more; returns where others are."""
        left = set()
        for path, since, dataset in list(self._marks()):
            if self._clock.time() < since + IN_USE:
                left.add(dataset.path)
            else:
                self.remove(dataset)
                self._storage.delete(path)
        return left

    def purge(self, entries: Iterable[Version]) -> None:
        """As :meth:`sweep`, and remove what never became an entry, and will not.

        Args:
            entries: all that there are, replaced ones too; they were listed before this is called, as an entry that is
                removed is marked first.
        """
        known = {self.of(version).path for version in entries if version.beside is not None} | self.sweep()
        gone = []
        for stat in self._storage.list(self._root):
            match = _PLACE.fullmatch("/".join(stat.path[len(self._root) + 1 :].split("/", 2)[:2]))
            if match and f"{self._root}/{match[0]}" not in known and self._age(match[3]) >= ABANDONED:
                gone.append(stat.path)
        self._crew.do(self._storage.delete, gone)

    def _marks(self) -> Iterator[tuple[str, float, Dataset]]:
        for stat in self._storage.list(self._left):
            match = _LEFT.fullmatch(stat.path.removeprefix(f"{self._left}/"))
            if match is not None:
                yield stat.path, moment_of(match[1]), self._at(match[3], match[4])

    def _at(self, key: str, token: str) -> Dataset:
        return Dataset(self._storage, f"{self._root}/{shard_of(key)}/{key}-{token}")

    def _age(self, token: str) -> float:
        return self._clock.time() - int(token[:8], 16)
