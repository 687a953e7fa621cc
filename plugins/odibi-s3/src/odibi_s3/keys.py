"""From paths to the keys of objects and back."""

from __future__ import annotations

from odibi.contracts.storage import check_path
from odibi.errors import InvalidPath

PROBE = ".odibi-probe-"
"""How the names of objects begin that are written to find out what the server heeds. No listing shows them."""

_LONGEST = 1024
"""Bytes of a key, as S3 allows them."""


def key_of(prefix: str, path: str) -> str:
    """The key of the object at ``path``.

    Args:
        prefix: of the connection; clean.
        path: as the storage is given it.

    Raises:
        InvalidPath: it names no object, or none that can be.
    """
    clean = check_path(path)
    if not clean:
        raise InvalidPath("the path is empty", where=repr(path), remedy="Name an object below the connection's prefix.")
    if is_hidden(clean):
        raise InvalidPath("the name is one that the storage uses itself", where=display(path), remedy="Use another.")
    return joined(prefix, clean)


def joined(prefix: str, clean: str) -> str:
    """A clean path, or that of a folder, below the prefix.

    Raises:
        InvalidPath: S3, or what reads its listings, cannot do with such a key.
    """
    key = f"{prefix}/{clean}" if prefix and clean else prefix or clean
    try:
        length = len(key.encode("utf-8"))
    except UnicodeEncodeError:
        raise _invalid("the path holds half of a surrogate pair", clean, "Use other characters.") from None
    if length > _LONGEST:
        raise _invalid(f"the key would be {length} bytes long; S3 takes {_LONGEST}", clean, "Shorten the path.")
    if any(character < " " or character == "\x7f" for character in key):
        raise _invalid("the path holds a control character", clean, "Use other characters.")
    return key


def path_of(prefix: str, key: str) -> str:
    """The path of the object with a key that is below the prefix."""
    return key[len(prefix) + 1 :] if prefix else key


def is_hidden(path: str) -> bool:
    """Whether it is an object of the storage's own."""
    return path.rpartition("/")[2].startswith(PROBE)


def display(path: str) -> str:
    """``path`` for a message; quoted where it could not be printed as it is."""
    return path if path.isprintable() and path else ascii(path)


def _invalid(what: str, path: str, remedy: str) -> InvalidPath:
    shown = path if len(path) <= 80 else f"{path[:80]}..."
    return InvalidPath(what, where=display(shown), remedy=remedy)
