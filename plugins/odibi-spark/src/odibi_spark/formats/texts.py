"""Files of text, as far as they are looked at without Spark: how they are compressed and encoded, and where what is."""

from __future__ import annotations

import bz2
import codecs
import gzip
import re
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import DataError, OdibiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.contracts.finding import Part
    from odibi.contracts.format import Source

LINE_END = re.compile(r"\r\n|\r|\n")
"""What Hadoop ends lines at, and so Spark."""

_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The mark of UTF-32 begins as that of UTF-16 does, and so comes before it."""

_WIDE = {
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16LE",
    "utf-16-be": "UTF-16BE",
    "utf-32": "UTF-32",
    "utf-32-le": "UTF-32LE",
    "utf-32-be": "UTF-32BE",
}
"""Encodings in which a line does not end in the byte that ends it elsewhere, and Spark's names for them."""

_PACKED = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst"}
_CHUNK = 1 << 18


def check_encoding(_: Any, __: Any, value: str | None) -> None:
    """Refuse the name of an encoding that there is not."""
    if value is None:
        return
    try:
        codecs.lookup(value)
    except LookupError:
        raise ValueError(f"there is no encoding {value!r}; write utf-8, cp1252, latin-1, utf-16 or another") from None


@attrs.frozen
class Encoding:
    """How the bytes of a file stand for text, and how Spark is to read them.

    Attributes:
        name: Python's.
        marked: whether the file begins with a byte order mark.
        wide: Spark's name, if it has to decode the file as a whole; otherwise lines are decoded one by one.
        table: of an encoding of single bytes, the characters that stand for 128 to 255; U+FFFD for none.
    """

    name: str
    marked: bool = False
    wide: str | None = None
    table: str | None = None

    @property
    def is_utf8(self) -> bool:
        """Whether it is UTF-8, or ASCII."""
        return self.wide is None and self.table is None


def encoding_of(start: bytes, stated: str, where: str) -> Encoding:
    """The encoding of a file that begins with ``start`` and is said to be in ``stated``.

    Raises:
        DataError: Spark cannot read it.
    """
    for mark, name in _BOMS.items():
        if start.startswith(mark):
            return Encoding(name, marked=True, wide=_WIDE.get(name))
    name = codecs.lookup(stated).name
    if name in ("utf-8", "ascii"):
        return Encoding(name)
    if name in _WIDE:
        return Encoding(name, wide=_WIDE[name])
    table = _table(name)
    if table is None:
        raise DataError(
            f"Spark does not read the encoding {stated!r}",
            where=where,
            remedy="Read the file on another engine, or make it UTF-8 before.",
        )
    return Encoding(name, table=table)


@cache
def _table(name: str) -> str | None:
    """What the bytes from 128 on mean, if each stands for itself and those below are ASCII."""
    found = []
    for byte in range(256):
        try:
            text = bytes([byte]).decode(name)
        except UnicodeError:
            text = "\ufffd"
            if any(_means_something(name, byte, next_byte) for next_byte in range(32, 256)):
                return None
        if len(text) != 1 or (byte < 128 and text != chr(byte)):
            return None
        found.append(text)
    return "".join(found[128:])


def _means_something(name: str, first: int, second: int) -> bool:
    try:
        bytes([first, second]).decode(name)
    except UnicodeError:
        return False
    return True


def where_of(source: Source, part: Part, line: int | None = None) -> str:
    """What to call a part, or a line of it, in an error."""
    return f"{source.connection}:{part.path}" + (f":{line}" if line is not None else "")


@contextmanager
def opened(source: Source, part: Part, title: str) -> Iterator[Any]:
    """The bytes of a part without its compression.

    Raises:
        DataError: it is compressed, but its name does not say so to Spark, or the other way round; or it is damaged.
    """
    where = where_of(source, part)
    with source.storage.open(part.path) as file:
        start = file.read(4)
        file.seek(0)
        packed = next((ending for mark, ending in _PACKED.items() if start.startswith(mark)), None)
        named = next((ending for ending in _PACKED.values() if part.path.lower().endswith(ending)), None)
        if packed != named and start:
            said = f"its name ends in {named}" if named else f"its name does not end in {packed}"
            raise DataError(
                f"the file is {'' if packed else 'not '}compressed, but {said}, by which Spark goes",
                where=where,
                remedy="Rename the file.",
            )
        if named is not None and not start:
            raise DataError(
                f"this is not valid {title}: the file is empty", where=where, remedy="Fetch the file again."
            )
        try:
            yield _unpacked(file, packed)
        except (EOFError, OSError, ValueError) as error:
            if packed is None or isinstance(error, (OdibiError, UnicodeError)):
                raise
            raise damaged(title, where, error) from error
        except Exception as error:
            if isinstance(error, OdibiError) or type(error).__module__ != "zlib":
                raise
            raise damaged(title, where, error) from error


def damaged(title: str, where: str, error: BaseException) -> DataError:
    """The error of a file whose compression cannot be undone."""
    return DataError(
        f"this is not valid {title}: {str(error).strip().rstrip('.') or 'it is cut off'}",
        where=where,
        remedy="Its compression is damaged or cut off: fetch the file again.",
    )


def _unpacked(file: Any, ending: str | None) -> Any:
    if ending == ".gz":
        return gzip.GzipFile(fileobj=file)
    if ending == ".bz2":
        return bz2.BZ2File(file)
    if ending == ".zst":
        import pyarrow as pa

        return pa.CompressedInputStream(file, "zstd")
    return file


def lines_of(source: Source, part: Part, encoding: Encoding, title: str) -> Iterator[tuple[int, str]]:
    """The lines of a part with their numbers, from 1, and without their ends; to find out what is wrong with it.

    Raises:
        DataError: the text is not in its encoding.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding.is_utf8 else encoding.name)()
    rest, number = "", 0
    with opened(source, part, title) as file:
        while True:
            block = file.read(_CHUNK)
            try:
                rest += decoder.decode(block, not block)
            except UnicodeDecodeError as error:
                before = rest + error.object[: error.start].decode(encoding.name, "replace")
                line = number + 1 + len(LINE_END.findall(before))
                raise undecodable(encoding, error.object[error.start], where_of(source, part, line)) from error
            # A line end of two characters may be cut in two.
            held = rest[-1:] if block and rest.endswith("\r") else ""
            found = LINE_END.split(rest[: len(rest) - len(held)])
            rest = found.pop() + held
            for line_text in found:
                number += 1
                yield number, line_text
            if not block:
                break
        if rest:
            yield number + 1, rest


def undecodable(encoding: Encoding, byte: int, where: str) -> DataError:
    """The error of a text that is not in its encoding."""
    return DataError(
        f"the text is not {encoding.name}: the byte 0x{byte:02x} has no meaning there",
        where=where,
        remedy="Set encoding to the file's own (often cp1252 or latin-1), or encoding_fallback to try it next.",
    )
