"""Datasets of a disk cache: folders of objects that an engine writes by itself, and what their entries say of them.

A dataset is a folder ``datasets/<shard>/<key>-<token>``. Its entry has a file like any other, called
``<key>.<token>.d``, in which a line with the name, size and etag of each object comes before the content. So the index
decides about a dataset as about every entry: what it does not know is not there.

The file also tells when the dataset was used last, and goes after its objects. As an engine may read them long after
it got the entry, objects of an entry that was removed stay for :data:`IN_USE` seconds after that moment, unless they
were deleted. The token tells when the place was given: who has not put the entry :data:`ABANDONED` seconds after that
is taken for dead, and an hour before that is refused, so that no two can disagree.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from itertools import islice
from secrets import token_hex
from typing import TYPE_CHECKING

from odibi.contracts.cache import Dataset
from odibi.errors import StorageError
from odibi_local.failures import mapped
from odibi_local.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_USE = 6 * 3600.0
"""Seconds after its last use for which somebody may read a dataset."""

ABANDONED = 48 * 3600.0
"""Seconds after which a dataset that is no entry will not become one."""

FOLDER = "datasets"

_SUFFIX = ".d"
_LATE = ABANDONED - 3600.0
_PLACE = re.compile(r"([0-9a-f]{2})/([a-z0-9_-]{1,128})-([0-9a-f]{16})")
_FILE = re.compile(r"[0-9a-f]{16}\.d")
_LARGEST = 0xFFFFFFFF
_BATCH = 500

Objects = list[list[str | int]]
"""Name in the dataset, size and etag of each object."""


def has_dataset(file: str) -> bool:
    """Whether an entry has a dataset, by what its file's name ends in; what a damaged index says is anything."""
    return isinstance(file, str) and _FILE.fullmatch(file) is not None


def packed(objects: Objects, content: bytes) -> bytes:
    """What goes into the file of an entry."""
    return json.dumps(objects, separators=(",", ":")).encode() + b"\n" + content


def unpacked(data: memoryview) -> tuple[Objects, memoryview]:
    """The objects and the content that the file of an entry names; its checksum is right."""
    line, _, _ = bytes(data).partition(b"\n")
    return json.loads(line), data[len(line) + 1 :].toreadonly()


class Datasets:
    """The datasets below one folder.

    Args:
        home: the cache's own folder, absolute.
        durable: have objects on disk before their entry counts as stored.

    Attributes:
        storage: in which they lie.
        swept: whether those that nobody needs were removed, by this user of the cache.
    """

    def __init__(self, home: str, *, durable: bool) -> None:
        self.storage = LocalStorage(base_path=f"{home}/{FOLDER}", fsync=durable)
        self.swept = False
        self._home = home
        self._durable = durable

    def place(self, key: str, shard: str, now: float) -> Dataset:
        """A place that nobody was given before."""
        moment = min(max(int(now), 0), _LARGEST)
        return Dataset(self.storage, f"{shard}/{key}-{moment:08x}{token_hex(4)}")

    def parse(self, dataset: Dataset) -> tuple[str, str]:
        """The key that a dataset was given for, and what the name of its entry's file ends in.

        Raises:
            ValueError: it is not one of ours.
        """
        match = _PLACE.fullmatch(dataset.path)
        if match is None or dataset.storage != self.storage:
            raise ValueError(f"{dataset.path!r} is not a dataset of this cache")
        return match[2], f"{match[3]}{_SUFFIX}"

    def at(self, key: str, shard: str, file: str) -> Dataset:
        """The dataset of an entry."""
        return Dataset(self.storage, f"{shard}/{key}-{file.removesuffix(_SUFFIX)}")

    def objects(self, dataset: Dataset) -> Objects:
        """What there is in a dataset.

        Raises:
            StorageError: it cannot be looked at.
        """
        start = len(dataset.path) + 1
        return [[stat.path[start:], stat.size, stat.etag] for stat in self.storage.list(dataset.path)]

    def finished(self, dataset: Dataset, file: str, now: float) -> Objects:
        """What there is in a dataset that is about to become an entry, on disk where that was asked for.

        Raises:
            StorageError: it cannot be, or it took so long that it may have been taken for abandoned.
        """
        if self._durable:
            with mapped(dataset.path):
                self._sync(f"{self._home}/{FOLDER}/{dataset.path}")
        objects = self.objects(dataset)
        if self._age(file, now) >= _LATE:
            raise StorageError(
                "the dataset took too long to be written, and may have been taken for abandoned",
                where=dataset.path,
                remedy=f"Write it within {_LATE / 3600:.0f} hours.",
            )
        return objects

    def is_abandoned(self, file: str, now: float) -> bool:
        """Whether a dataset that is no entry will not become one."""
        return self._age(file, now) >= ABANDONED

    def is_there(self, dataset: Dataset) -> bool:
        """Whether it has a folder."""
        return os.path.lexists(f"{self._home}/{FOLDER}/{dataset.path}")

    def remove(self, dataset: Dataset) -> None:
        """Remove the folder with all there is in it, whatever wrote it. What cannot be removed stays."""
        if _PLACE.fullmatch(dataset.path):
            shutil.rmtree(f"{self._home}/{FOLDER}/{dataset.path}", ignore_errors=True)

    def all(self) -> Iterator[list[tuple[str, str, Dataset]]]:
        """Every dataset that there is, entry or not, with its key and what the name of its entry's file ends in.

        Some at a time.
        """
        rest = self._all()
        while some := list(islice(rest, _BATCH)):
            yield some

    def _all(self) -> Iterator[tuple[str, str, Dataset]]:
        top = f"{self._home}/{FOLDER}"
        for shard in _names(top):
            for name in _names(f"{top}/{shard}"):
                match = _PLACE.fullmatch(f"{shard}/{name}")
                if match is not None:
                    yield match[2], f"{match[3]}{_SUFFIX}", Dataset(self.storage, match[0])

    def _age(self, file: str, now: float) -> float:
        return now - int(file[:8], 16)

    def _sync(self, top: str) -> None:
        for folder, _, names in os.walk(top):
            for path in (*(f"{folder}/{name}" for name in names), folder):
                handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return []
