"""Entries of the cache as objects: what their names say, and the seal at the end of each.

An entry is one object, ``<shard>/<key>!/<version>.<created>.<expires>.<nonce>``, with the bytes of its dataset after
one more point if it has one (see :mod:`odibi_objects.datasets`). Each put makes a new object under a
name of its own and then removes those it replaces, so that removing one never hits another that took its place (a
storage cannot delete under a condition), and a listing alone tells what is there, how large, and until when. The
exclamation mark sorts before every character that a key may have: a listing goes by key.

The content comes first, as it is written without knowing how much there will be; the seal of :data:`SEAL` bytes after
it says what it was, with a checksum of the content and one of itself.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
from itertools import groupby
from typing import IO, TYPE_CHECKING
from uuid import uuid4

import attrs

from odibi.contracts.cache import CacheEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed import ReadableBuffer

    from odibi.contracts.storage import Stat

SEAL = 1024
"""Bytes of a seal."""

MAX_LABEL = 512
"""Bytes of a label, in UTF-8."""

SHARDS = "0123456789abcdef"
"""Folders over which entries are spread evenly, so that they can be listed side by side."""

FOREVER = float("inf")

_FIELDS = struct.Struct(f"<8sB128sddQ32sH{MAX_LABEL}s")
_MAGIC = b"odibi-c1"
_NAME = re.compile(
    r"([0-9a-f])/([a-z0-9_-]{1,128})!/([0-9a-f]{8})\.([0-9a-f]{16})\.([0-9a-f]{16})\.([0-9a-f]{16})(?:\.([0-9a-f]{16}))?"
)
_KEY = re.compile(r"[a-z0-9_-]{1,128}")


@attrs.frozen
class Version:
    """An entry as its name tells it.

    Attributes:
        key: the fingerprint.
        number: counts the puts; the greatest is the entry, the others are on their way out.
        created: seconds since the epoch, UTC.
        expires: likewise; :data:`FOREVER` for never.
        nonce: makes the name unique.
        size: of all that belongs to it, in bytes.
        beside: of which are objects of its dataset; ``None`` if it has none.
    """

    key: str
    number: int
    created: float
    expires: float
    nonce: str
    size: int = 0
    beside: int | None = None

    @property
    def name(self) -> str:
        """The path below the folder of the entries."""
        times = f"{text_of(self.created)}.{text_of(self.expires)}"
        beside = "" if self.beside is None else f".{self.beside:016x}"
        return f"{folder_of(self.key)}/{self.number:08x}.{times}.{self.nonce}{beside}"

    @property
    def sealed(self) -> int:
        """Where in the object the seal begins."""
        return self.size - (self.beside or 0)


@attrs.frozen
class Seal:
    """What stands at the end of an entry."""

    key: str
    created: float
    expires: float
    size: int
    checksum: bytes
    label: str

    def entry(self, used: float, beside: int | None = None) -> CacheEntry:
        """As the contract has it; ``beside`` are the bytes of its dataset."""
        expires = None if self.expires == FOREVER else self.expires
        checksum = f"sha256:{self.checksum.hex()}"
        return CacheEntry(self.key, self.size + (beside or 0), self.created, used, checksum, self.label, expires)

    def fits(self, version: Version) -> bool:
        """Whether it is the seal of this object, and not of another under its name."""
        return (self.key, self.created, self.expires) == (version.key, version.created, version.expires)


def check_key(key: str) -> str:
    """The key, if it is one.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(f"a key of a cache is 1 to 128 of the characters a-z, 0-9, '-' and '_', not {key!r}")
    return key


def shard_of(key: str) -> str:
    """The folder of :data:`SHARDS` that holds a key."""
    return hashlib.sha256(key.encode("ascii")).hexdigest()[0]


def folder_of(key: str) -> str:
    """The folder of a key, below that of the entries."""
    return f"{shard_of(key)}/{key}!"


def next_version(
    key: str, before: Iterable[Version], created: float, expires: float, nonce: str = "", beside: int | None = None
) -> Version:
    """The version that replaces those that are there; without a ``nonce``, it gets a new one."""
    number = max((version.number for version in before), default=0) + 1
    return Version(key, number, created, expires, nonce or uuid4().hex[:16], beside or 0, beside)


def version_of(stat: Stat, root: str) -> Version | None:
    """What the name of an object below ``root`` tells; ``None`` for one that is no entry."""
    match = _NAME.fullmatch(stat.path.removeprefix(f"{root}/"))
    if match is None:
        return None
    _, key, number, created, expires, nonce, more = match.groups()
    beside = None if more is None else int(more, 16)
    size = max(0, stat.size - SEAL) + (beside or 0)
    return Version(key, int(number, 16), moment_of(created), moment_of(expires), nonce, size, beside)


def by_key(versions: Iterable[Version]) -> Iterator[tuple[Version, list[Version]]]:
    """For each key the entry, and the versions that it replaces, of versions in the order of their keys."""
    for _, several in groupby(versions, key=lambda version: version.key):
        *older, newest = sorted(several, key=lambda version: (version.number, version.nonce))
        yield newest, older


def seal(key: str, created: float, expires: float, size: int, checksum: bytes, label: str) -> bytes:
    """The bytes that go after the content."""
    name, text = key.encode("ascii"), label.encode("utf-8")
    fields = _FIELDS.pack(_MAGIC, len(name), name, created, expires, size, checksum, len(text), text)
    body = fields.ljust(SEAL - 32, b"\0")
    return body + hashlib.sha256(body).digest()


def read_seal(data: bytes | memoryview) -> Seal | None:
    """What a seal says; ``None`` for one that is damaged."""
    if len(data) != SEAL or hashlib.sha256(data[:-32]).digest() != data[-32:]:
        return None
    magic, length, name, created, expires, size, checksum, text_length, text = _FIELDS.unpack_from(data)
    if magic != _MAGIC:
        return None
    return Seal(
        name[:length].decode("ascii"), created, expires, size, checksum, text[:text_length].decode("utf-8", "replace")
    )


def opened(data: bytes, version: Version) -> tuple[Seal, memoryview] | None:
    """Seal and content of a whole object, checked; ``None`` for one that is damaged."""
    whole = memoryview(data)
    found = read_seal(whole[-SEAL:])
    content = whole[:-SEAL]
    if found is None or not found.fits(version) or found.size != len(content):
        return None
    return (found, content.toreadonly()) if hashlib.sha256(content).digest() == found.checksum else None


class Sealing(io.BufferedIOBase):
    """Takes the content on its way into a file, and adds the seal.

    Closing it does not close the file, as libraries like to close what they have written to.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._size = 0

    def writable(self) -> bool:
        """That is what it is for."""
        return True

    def tell(self) -> int:
        """How much was written."""
        return self._size

    def write(self, data: ReadableBuffer, /) -> int:
        """Write the next part of the content."""
        if self.closed:
            raise ValueError("the content is complete: nothing can be written to it any more")
        view = memoryview(data).cast("B")
        self._digest.update(view)
        self._file.write(view)
        self._size += len(view)
        return len(view)

    def finish(self, version: Version, label: str) -> Seal:
        """Write the seal; nothing can be written after it."""
        self.close()
        digest = self._digest.digest()
        self._file.write(seal(version.key, version.created, version.expires, self._size, digest, label))
        return Seal(version.key, version.created, version.expires, self._size, digest, label)


def text_of(moment: float) -> str:
    """A moment, not before the epoch, as a part of a name; such sort as the moments do."""
    return struct.pack(">d", moment).hex()


def moment_of(digits: str) -> float:
    """The moment that :func:`text_of` was given."""
    return float(struct.unpack(">d", bytes.fromhex(digits))[0])
