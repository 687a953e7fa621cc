"""Names of any text as parts of paths, and run ids as parts that sort newest first."""

from __future__ import annotations

import hashlib
import re

_CHUNK = 200
"""A file system takes names of up to 255 bytes."""

_END = "z"
"""Ends a run id. Sorts after each hexadecimal digit: of two ids, the one that goes on is the greater."""


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
