"""Names of any text as parts of paths, run ids as parts that sort newest first, and names in folders."""

from __future__ import annotations

import hashlib
import re

_CHUNK = 200
"""A file system takes names of up to 255 bytes."""

_END = "z"
"""Ends a run id. Sorts after each hexadecimal digit: of two ids, the one that goes on is the greater."""


_LONGEST_PART = 150
_LONGEST_FOLDER = 450
"""Object stores take paths of up to 1024 bytes, the connection's own among them."""


def below(prefix: str, path: str) -> str:
    """``path`` in the folder ``prefix``."""
    return f"{prefix}/{path}" if prefix else path


def key_of(name: str) -> str:
    """A part of a path that stands for ``name``: what of it is plain, for people, and a digest of the whole of it."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{plain}.{digest}" if plain else digest


def backwards(run_id: str) -> str:
    """A run id such that listings, which go up, give the greatest first.

    Each byte of its UTF-8 (which sorts as the text does) is taken from 255; what is too long for one name is folded
    into several.
    """
    turned = bytes(255 - byte for byte in run_id.encode("utf-8", "surrogatepass")).hex() + _END
    return "/".join(turned[at : at + _CHUNK] for at in range(0, len(turned), _CHUNK))


def forwards(turned: str) -> str | None:
    """The run id that :func:`backwards` was given; ``None`` for a path that it never gives."""
    digits = turned.replace("/", "")
    if not digits.endswith(_END):
        return None
    try:
        run_id = bytes(255 - byte for byte in bytes.fromhex(digits[: -len(_END)])).decode("utf-8", "surrogatepass")
    except ValueError:
        return None
    return run_id if backwards(run_id) == turned else None


def folder_of(name: str) -> str:
    """The folder for a name: one below the other for each of its parts that ends in a slash.

    Names that begin with some text up to a slash are below the folder of that text, and no others, as long as it is of
    the usual length: what is longer goes no further down.

    Folders begin with a letter of their own, so that the name of one is never empty, nor what some system keeps for
    itself; and never with that of an object beside them.
    """
    path = ""
    for part in name.split("/")[:-1]:
        longer = below(path, f"f{_escaped(part)}")
        if len(longer) > _LONGEST_FOLDER or len(_escaped(part)) > _LONGEST_PART:
            break
        path = longer
    return path


def placed(name: str) -> str:
    """A path for a name, in its folder; see :func:`name_at`."""
    folder = folder_of(name)
    last = _escaped(name.removeprefix(_unfolded(folder)))
    last = f"n{last}" if len(last) <= _LONGEST_PART else f"k{key_of(name)}"
    return below(folder, last)


def name_at(path: str) -> str | None:
    """The name that :func:`placed` was given; ``None`` if it was too long, and the path has its :func:`key_of`.

    Raises:
        ValueError: the path is none that it gives.
    """
    folder, _, last = path.rpartition("/")
    if last.startswith("k"):
        return None
    if last.startswith("n"):
        name = _unfolded(folder) + _plain(last[1:])
        if placed(name) == path:
            return name
    raise ValueError(f"{path} is no place of a name")


def _unfolded(folder: str) -> str:
    return "".join(f"{_plain(part[1:])}/" for part in folder.split("/")) if folder else ""


def _escaped(text: str) -> str:
    """Letters and digits as they are, and of the rest the bytes, as there are systems that do not tell cases apart."""
    return re.sub(rb"[^a-z0-9]", lambda found: b"-%02x" % found[0][0], text.encode()).decode()


def _plain(escaped: str) -> str:
    return re.sub(rb"-([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), escaped.encode()).decode()
