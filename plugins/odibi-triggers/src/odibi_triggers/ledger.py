"""Which versions of files were consumed: exact, and small in each commit.

No watermark will do. ``mv``, ``rsync -t`` and ``cp -p`` let files arrive with old times, S3 gives an upload in parts
the time of its beginning, and listings are in the order of names; so a file that arrives late looks like one that was
consumed. What is needed is the set of consumed versions itself, and 100,000 paths and etags would be megabytes in
each commit. So:

* A version is a BLAKE2b digest of 12 bytes of its path and etag. Of a million versions, two share one with a
  probability below 1e-16.
* The offset holds the youngest versions, up to :data:`TAIL`, and the names of *segments*, which hold the others. A
  segment is written once, under the digest of its content, and is durable before an offset names it. Segments are
  merged when :data:`FAN` of about one size have gathered, as in a log-structured merge tree (O'Neil and others, 1996):
  there are O(log n) of them, and each version is written O(log n) times. A trigger that sees few files has none.
* What decides is the offset alone, which the checkpoint store commits with the run. Segments that no offset names are
  waste, and are removed after :data:`GRACE`.
* Versions that are gone are forgotten, so that the ledger stays as large as the folder: those that listings did not
  show for :data:`FORGET` hours. One that comes back after that, with the same etag, counts as new.
"""

from __future__ import annotations

import json
import struct
import time
from base64 import b64decode, b64encode
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from odibi.errors import OdibiError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from odibi_triggers.shelves import Shelf

KEY: Final = 12
"""Bytes of a version's digest."""

TAIL: Final = 256
"""Versions that an offset holds itself: 4 kB of it."""

FAN: Final = 4
"""Segments of about one size that are merged into one."""

FORGET: Final = 72
"""Hours for which a version is remembered that listings do not show any more."""

GRACE: Final = 7 * 86400.0
"""Seconds for which a segment is kept that is needed no more: for offsets that were committed before."""

WASTE: Final = 1024
"""Versions that must be gone, at least, before the ledger is written anew without them."""

_MAGIC = b"odibi consumed files 1\n"
_RECORD = struct.Struct(f">{KEY}sI")
_VERSION = 1
_START = "start"


class LedgerDamaged(OdibiError):
    """What was consumed cannot be known: a segment that the offset names is gone or damaged, or it is no offset."""


def key_of(path: str, etag: str) -> bytes:
    """What stands for one version of a file."""
    return blake2b(f"{path}\0{etag}".encode("utf-8", "surrogateescape"), digest_size=KEY).digest()


class Ledger:
    """The versions that were consumed up to an offset, and those that are added.

    Args:
        shelf_of: the shelf of a ledger's name.
        name: of the ledger, which its offsets then hold, so that another name later on means another ledger only to a
            stream that begins anew.
        offset: as :meth:`offset` gave it; ``None`` for nothing consumed.

    Raises:
        LedgerDamaged: the offset, or what it names, is not what this wrote.
        StorageError: the shelf cannot be read.
    """

    def __init__(self, shelf_of: Callable[[str], Shelf], name: str, offset: object | None = None) -> None:
        self._name = name
        self._segments: list[tuple[str, int]] = []
        self._tail: list[bytes] = []
        self._hours: dict[bytes, int] = {}
        """Each version to the hour since when it is gone; 0 while it is there."""
        self._replaced: list[tuple[float, str]] = []
        if offset is not None:
            self._name, self._segments, self._tail = _parsed(offset)
        self._shelf = shelf_of(self._name)
        for segment, _ in self._segments:
            self._hours.update(self._read(segment))
        self._hours.update(dict.fromkeys(self._tail, 0))

    def __contains__(self, key: object) -> bool:
        return key in self._hours

    def __len__(self) -> int:
        return len(self._hours)

    def offset(self) -> dict[str, Any]:
        """JSON that stands for what is consumed by now."""
        return {
            "version": _VERSION,
            "ledger": self._name,
            "segments": [[name, count] for name, count in self._segments],
            "recent": b64encode(b"".join(self._tail)).decode("ascii"),
        }

    def add(self, keys: Iterable[bytes]) -> None:
        """These are consumed now; what :meth:`offset` then names is durable.

        Raises:
            StorageError: the shelf cannot be written.
        """
        new = [key for key in keys if key not in self._hours]
        self._tail += new
        self._hours.update(dict.fromkeys(new, 0))
        if len(self._tail) > TAIL:
            self._segments.append(self._write(dict.fromkeys(self._tail, 0)))
            self._tail = []
            self._merge()

    def forget(self, present: Collection[bytes], *, hour: int | None = None) -> bool:
        """Write the ledger anew if much of it is gone.

        Args:
            present: those of its versions that a whole listing has shown.
            hour: since the epoch; now, if it is not said.

        Returns:
            Whether it was.

        Raises:
            StorageError: the shelf cannot be written.
        """
        now = int(time.time() // 3600) if hour is None else hour
        waste = sum(1 for key, since in self._hours.items() if key not in present and _is_news(since, now))
        if waste <= max(WASTE, len(self._hours) // 2):
            return False
        kept: dict[bytes, int] = {}
        for key, since in self._hours.items():
            if key in present:
                kept[key] = 0
            elif since == 0 or now - since < FORGET:
                kept[key] = since or now
        written = [self._write(kept)] if kept else []
        self._replace(self._segments, written)
        self._segments, self._tail, self._hours = written, [], kept
        return True

    def begin_at(self, keys: Iterable[bytes]) -> None:
        """These were there at the very beginning, once and for all: :meth:`beginning` will know it after a restart."""
        self.add(keys)
        self._shelf.add(_START, json.dumps(self.offset()).encode("ascii"))

    @classmethod
    def beginning(cls, shelf_of: Callable[[str], Shelf], name: str) -> Ledger | None:
        """What was there at the very beginning; ``None`` if that was not said."""
        offset = _start_on(shelf_of(name))
        return None if offset is None else cls(shelf_of, name, offset)

    def sweep(self) -> None:
        """Remove what the last poll, or a killed process, has left on the shelf, and nobody can need any more."""
        start = _start_on(self._shelf)
        segments = self._segments + ([] if start is None else _parsed(start)[1])
        needed = {_START} | {name for name, _ in segments}
        for name in [name for name, age in self._shelf.ages() if age > GRACE and name not in needed]:
            self._shelf.remove(name)

    def tidy(self) -> None:
        """Remove segments that this process has replaced, once :data:`GRACE` is over."""
        while self._replaced and time.monotonic() - self._replaced[0][0] > GRACE:
            name = self._replaced.pop(0)[1]
            if all(name != used for used, _ in self._segments):
                self._shelf.remove(name)

    def _merge(self) -> None:
        while True:
            least = _level(self._segments[-1][1])
            first = len(self._segments)
            while first and _level(self._segments[first - 1][1]) <= least:
                first -= 1
            small = self._segments[first:]
            if len(small) < FAN:
                return
            records: dict[bytes, int] = {}
            for name, _ in small:
                records.update(self._read(name))
            merged = self._write(records)
            self._replace(small, [merged])
            self._segments[first:] = [merged]

    def _replace(self, old: Iterable[tuple[str, int]], new: Collection[tuple[str, int]]) -> None:
        now = time.monotonic()
        self._replaced += [(now, name) for name, count in old if (name, count) not in new]

    def _write(self, records: Mapping[bytes, int]) -> tuple[str, int]:
        content = _MAGIC + b"".join(_RECORD.pack(key, records[key]) for key in sorted(records))
        name = _digest(content)
        self._shelf.add(name, content)
        return name, len(records)

    def _read(self, name: str) -> dict[bytes, int]:
        content = self._shelf.read(name)
        if content is None:
            raise _damaged(f"the segment {name} is gone")
        if _digest(content) != name or not content.startswith(_MAGIC):
            raise _damaged(f"the segment {name} is damaged")
        return dict(_RECORD.iter_unpack(content[len(_MAGIC) :]))


def _start_on(shelf: Shelf) -> Any:
    content = shelf.read(_START)
    try:
        return None if content is None else json.loads(content)
    except ValueError as error:
        raise _damaged(f"{_START!r} is damaged") from error


def _is_news(since: int, now: int) -> bool:
    return since == 0 or now - since >= FORGET


def _level(count: int) -> int:
    level = 0
    while count > TAIL * FAN:
        count //= FAN
        level += 1
    return level


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _parsed(offset: Any) -> tuple[str, list[tuple[str, int]], list[bytes]]:
    try:
        if offset["version"] != _VERSION:
            raise _damaged(f"the offset is of version {offset['version']!r}, which this release does not know")
        recent = b64decode(offset["recent"], validate=True)
        ledger, segments = str(offset["ledger"]), [(str(name), int(count)) for name, count in offset["segments"]]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged("the offset is not one of a file watch") from error
    if len(recent) % KEY or not all(name.isalnum() for name in (ledger, *(name for name, _ in segments))):
        raise _damaged("the offset is not one of a file watch")
    return ledger, segments, [recent[at : at + KEY] for at in range(0, len(recent), KEY)]


def _damaged(what: str) -> LedgerDamaged:
    return LedgerDamaged(
        f"what was consumed is not known any more: {what}",
        where="the ledger of a file watch",
        remedy="Bring the folder of its 'ledger' back from a backup, or let the stream begin anew, "
        "which gives every file again.",
    )
