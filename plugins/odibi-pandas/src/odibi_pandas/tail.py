"""Objects that only grew: what was appended to one since it was read, without the rows before.

A mark says how far an object was read: how many bytes, the digest of all of them, and which types its columns were
found to have. The tail alone stands for the whole if these bytes are still there, byte for byte, and if its rows leave
the types as they were. Both are checked, and else the whole is read. To check the first, the old bytes are read and
hashed, which is many times cheaper than parsing them twice; looking at some of them would miss a row that was changed
in its place, and whose new version is to be read.

Types are found from all values of a column, as the first kind that fits each (:mod:`odibi_pandas.inference`). Kinds
before the one that was found were refused by a value that is still there. So it stays if it fits the new values, too.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs

from odibi.contracts.storage import check_path
from odibi.errors import DataError
from odibi_pandas.formats.base import FileFormat
from odibi_pandas.frames import from_table
from odibi_pandas.inference import Kind
from odibi_pandas.reading import CHUNK, Reader, own, persistently
from odibi_pandas.snapshot import Snapshot, snapshot

if TYPE_CHECKING:
    from odibi.contracts.engine import Mark
    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source
    from odibi_pandas.survey import Survey

_log = logging.getLogger("odibi_pandas")

_BLOCK = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@attrs.frozen
class _Place:
    """How far an object was read.

    Attributes:
        path: of the object.
        size: bytes of it that were read.
        digest: SHA-256 of them, in hex; of the algorithms at hand the fastest on processors that have it built in.
        way: the digest of all else that the meaning of a row depends on, see :func:`_way`.
        types: of the columns, as :meth:`odibi_pandas.survey.Survey.found` tells them.
    """

    path: str
    size: int
    digest: str
    way: str
    types: Mapping[str, str | None]

    def told(self) -> dict[str, Any]:
        """The mark; JSON values."""
        return attrs.asdict(self)

    @classmethod
    def of(cls, mark: Any) -> _Place | None:
        """What :meth:`told` told; ``None`` if it did not, such as another version of this package."""
        if not isinstance(mark, Mapping) or set(mark) != {field.name for field in attrs.fields(cls)}:
            return None
        texts = all(isinstance(mark[name], str) for name in ("path", "digest", "way"))
        if not texts or type(mark["size"]) is not int or mark["size"] < 0 or not isinstance(mark["types"], Mapping):
            return None
        if not all(word is None or isinstance(word, str) for word in mark["types"].values()):
            return None
        return cls(**mark)


def read_from(source: Source, mark: Mark | None) -> tuple[Any, Mark | None]:
    """See :meth:`odibi.contracts.TailedEngine.read_from`; for a source whose format reads objects one by one."""
    format_ = own(source.format)  # type: ignore[arg-type]
    place = _Place.of(mark)
    if place is not None and source.after is not None and source.after.above is not None:
        try:
            found = persistently(lambda: _tail(source, format_, place))
        except DataError as error:
            # Whoever reads the whole can say which line it is.
            _log.debug("%s: what was appended cannot be read alone: %s", source, error)
            found = None
        if found is not None:
            return found
        _log.debug("%s did not only grow since it was read, so all of it is read", source)
    return persistently(lambda: _whole(source, format_))


def _whole(source: Source, format_: FileFormat) -> tuple[Any, Mark | None]:
    with snapshot(source, partitioned=format_.partition_columns) as found:
        part = _alone(source, found)
        if part is None:
            reader = Reader(source, format_, found)
            return _settled(reader, reader.surveyed(CHUNK)), None
        with found.open(part) as file:
            size = file.seek(0, os.SEEK_END)
            lead = _lead(source, format_, part, file)
            view = _View(file, 0, size, b"", hashlib.sha256())
            reader = Reader(source, format_, found if lead is None else _Held(part, view))
            survey = reader.surveyed(CHUNK)
            frame = _settled(reader, survey)
            return frame, None if lead is None else _marked(source, format_, view, survey.found())


def _tail(source: Source, format_: FileFormat, place: _Place) -> tuple[Any, Mark | None] | None:
    """The rows after ``place``; ``None`` if only the whole tells them."""
    with snapshot(source, partitioned=format_.partition_columns) as found:
        part = _alone(source, found)
        if part is None or part.path != place.path or _way(source, format_) != place.way:
            return None
        with found.open(part) as file:
            size = file.seek(0, os.SEEK_END)
            lead = _lead(source, format_, part, file) if size >= place.size else None
            if lead is None:
                return None
            old = _hashed(file, place.size)
            # The parser takes off a byte order mark at the start of what it is given, which is not the start here.
            if old.hexdigest() != place.digest or file.read(3) == _BYTE_ORDER_MARK:
                return None
            view = _View(file, place.size, size, lead, old)
            reader = Reader(source, format_, _Held(part, view))
            survey = reader.surveyed(CHUNK, _kinds(place.types))
            types = survey.found()
            if any(name not in place.types or place.types[name] != word for name, word in types.items()):
                return None
            frame = _settled(reader, survey)
            _log.debug("%s only grew since it was read: %d of its %d bytes are new", source, size - place.size, size)
            return frame, _marked(source, format_, view, types)


def _settled(reader: Reader, survey: Survey) -> Any:
    import pyarrow as pa

    return from_table(pa.concat_tables(reader.settled(CHUNK, survey.layout())))


def _kinds(types: Mapping[str, str | None]) -> dict[str, str | None]:
    """Those that are the name of a kind; the others are compared as they are."""
    return {name: word for name, word in types.items() if word in Kind.__members__}


def _alone(source: Source, found: Snapshot) -> Part | None:
    """The one object that the source names, if it does: what a pattern or a folder means may be another each time."""
    if source.only is not None or len(found.parts) != 1:
        return None
    part = found.parts[0]
    return part if part.path == check_path(source.path or "") and not part.partition else None


def _lead(source: Source, format_: FileFormat, part: Part, file: BinaryIO) -> bytes | None:
    try:
        return format_.lead(file, name=f"{source.connection}:{part.path}")
    except DataError:
        return None  # reading the whole fails as well, and says it as it always does


def _way(source: Source, format_: FileFormat) -> str:
    """What stands for the options and the versions by which bytes become rows.

    By others, old rows may mean something else: one that had no value may have one that is new.
    """
    import pyarrow as pa

    said = [type(format_).__name__, attrs.asdict(format_), source.format_name, _version(), pa.__version__]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _version() -> str:
    from importlib.metadata import version

    return version("odibi-pandas")


def _hashed(file: BinaryIO, size: int) -> Any:
    """The hash of the first ``size`` bytes, after which ``file`` stands then."""
    hasher = hashlib.sha256()
    file.seek(0)
    while size:
        block = file.read(min(size, _BLOCK))
        if not block:
            break
        hasher.update(block)
        size -= len(block)
    return hasher


def _marked(source: Source, format_: FileFormat, view: _View, types: Mapping[str, str | None]) -> Mark | None:
    """The mark of what was read through ``view``; ``None`` if rows that follow could not be told from it."""
    digest = view.digest()
    if digest is None:
        return None
    path = check_path(source.path or "")
    return _Place(path, view.end, digest, _way(source, format_), types).told()


class _View(io.RawIOBase):
    """Some bytes of a file as a file, whose end stays where it is while the file grows.

    Args:
        file: the whole.
        begin, end: of the bytes.
        lead: what comes before them.
        before: the hash of the bytes before ``begin``.
    """

    def __init__(self, file: BinaryIO, begin: int, end: int, lead: bytes, before: Any) -> None:
        self.end = end
        self._file = file
        self._begin = begin
        self._lead = lead
        self._before = before
        self._hasher = before.copy()
        self._at = 0
        self._passes: list[tuple[str, bytes]] = []

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """To the start."""
        return True

    def tell(self) -> int:
        """Bytes that were read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Begin another pass."""
        if offset or whence != os.SEEK_SET:
            raise io.UnsupportedOperation("what is read here is read from its start")
        self._hasher = self._before.copy()
        self._at = 0
        return 0

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; none at the end alone."""
        if self._at < len(self._lead):
            data = self._lead[self._at :][: size if size >= 0 else None]
            self._at += len(data)
            return data
        place = self._begin + self._at - len(self._lead)
        left = self.end - place
        wanted = left if size < 0 else min(size, left)
        if not wanted:
            return b""
        self._file.seek(place)
        data = self._file.read(wanted)
        self._hasher.update(data)
        self._at += len(data)
        if len(data) == left:
            self._passes.append((self._hasher.hexdigest(), data[-1:]))
        return data

    def digest(self) -> str | None:
        """Of all bytes up to the end; ``None`` if passes differed or were cut short, or the last line has no end."""
        if self._begin == self.end:
            return str(self._before.hexdigest())
        is_whole = self._at - len(self._lead) == self.end - self._begin
        if not is_whole or len(set(self._passes)) != 1 or self._passes[0][1] != b"\n":
            return None
        return self._passes[0][0]


class _Held:
    """One part, of which a view is read."""

    def __init__(self, part: Part, view: _View) -> None:
        self.parts = [part]
        self._view = view

    @contextmanager
    def open(self, part: Part) -> Iterator[BinaryIO]:  # noqa: ARG002
        """The view at its start."""
        self._view.seek(0)
        yield self._view  # type: ignore[misc]
