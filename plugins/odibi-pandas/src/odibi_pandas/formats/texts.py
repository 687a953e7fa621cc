"""Files of text: compression, encodings, lines."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, Any, BinaryIO

from odibi.errors import DataError
from odibi_pandas.formats.base import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
"""Endings of names to how such files are compressed."""

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""The mark of UTF-32 begins as that of UTF-16 does, and so comes before it."""

_CHUNK = 1 << 18


def compression_of(path: str) -> str | None:
    """How the object at ``path`` is to be compressed, by its name."""
    return next((codec for ending, codec in CODECS.items() if path.lower().endswith(ending)), None)


def compressed(file: BinaryIO, codec: str | None) -> Any:
    """Where to write what goes to ``file`` compressed; to be closed at the end, which leaves ``file`` open."""
    import pyarrow as pa

    return pa.CompressedOutputStream(_Kept(file), codec) if codec else _Kept(file)


class _Kept(io.RawIOBase):
    """Passes all on to a file but that it be closed, which libraries do with what they are given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)

    def write(self, data: Any, /) -> int:
        return self._file.write(data)


def is_compressed(file: BinaryIO) -> bool:
    """Whether :class:`RawText` would take a compression off."""
    file.seek(0)
    return file.read(4).startswith(tuple(_MAGIC))


class RawText:
    """The bytes of a text, without its compression and its byte order mark; both are found by themselves.

    Args:
        file: the whole object.
        encoding: if no byte order mark says otherwise.
        name: what to call it in an error.
        title: what it is said to be.

    Attributes:
        encoding: of the text.
    """

    def __init__(self, file: BinaryIO, encoding: str, name: str, title: str) -> None:
        self._name = name
        self._title = title
        file.seek(0)
        start = file.read(4)
        file.seek(0)
        codec = next((codec for magic, codec in _MAGIC.items() if start.startswith(magic)), None)
        self._file: Any = file
        if codec is not None:
            import pyarrow as pa

            self._file = pa.CompressedInputStream(_Kept(file), codec)
        self._start = self._pull(_CHUNK)
        marked = next((item for item in _BOMS.items() if self._start.startswith(item[0])), None)
        if marked is not None:
            self._start = self._start[len(marked[0]) :]
            encoding = marked[1]
        self.encoding = codecs.lookup(encoding).name

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end alone."""
        if self._start:
            data, self._start = self._start[:size], self._start[size:]
            return data
        return self._pull(size)

    def _pull(self, size: int) -> bytes:
        with reading(self._title, self._name, "Its compression is damaged or cut off: fetch the file again."):
            return bytes(self._file.read(size))


class Utf8Stream(io.RawIOBase):
    """A text in UTF-8, from front to back.

    What is said to be UTF-8 is passed on as it is; whoever reads it finds out if it is not.

    Raises:
        UnicodeDecodeError: while reading, if the text is not in its encoding.
    """

    def __init__(self, raw: RawText) -> None:
        self._raw = raw
        self._decoder = None
        if raw.encoding not in ("utf-8", "ascii"):
            self._decoder = codecs.getincrementaldecoder(raw.encoding)()
        self._ahead = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def unread(self, data: bytes) -> None:
        """Have ``data`` read again, before anything else."""
        self._ahead = data + self._ahead

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; none at the end alone."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        while not self._ahead:
            raw = self._raw.read(size)
            self._ahead = raw if self._decoder is None else self._decoder.decode(raw, not raw).encode()
            if not raw and not self._ahead:
                return b""
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data


def lines(stream: Utf8Stream) -> Iterator[bytes]:
    """The lines of a text, with their ends, which may be LF, CR LF, or CR alone."""
    rest = b""
    while True:
        block = stream.read(_CHUNK)
        found = (rest + block).splitlines(keepends=True)
        # The last one may go on in the next block, or have the other half of its end there.
        rest = found.pop() if found and block else b""
        yield from found
        if not block:
            return


def undecodable(file: BinaryIO, encoding: str, name: str, title: str) -> DataError | None:
    """The error that says in which line a text is not in its encoding; ``None`` if it is."""
    raw = RawText(file, encoding, name, title)
    decoder = codecs.getincrementaldecoder(raw.encoding)()
    line = 1
    ended_in_cr = False
    while True:
        block = raw.read(_CHUNK)
        try:
            text, fault = decoder.decode(block, not block), None
        except UnicodeDecodeError as error:
            text, fault = error.object[: error.start].decode(raw.encoding, "replace"), error
        line += text.count("\n") + text.count("\r") - text.count("\r\n")
        line -= ended_in_cr and text.startswith("\n")
        ended_in_cr = text.endswith("\r")
        if fault is not None:
            return DataError(
                f"the text is not {raw.encoding}: the byte 0x{fault.object[fault.start]:02x} has no meaning there",
                where=f"{name}:{line}",
                remedy="Set encoding to the file's own (often cp1252 or latin-1), or encoding_fallback to try it next.",
            )
        if not block:
            return None
