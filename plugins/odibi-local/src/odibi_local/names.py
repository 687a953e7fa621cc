"""Names that the storage uses itself, which no object has."""

from __future__ import annotations

LOCKS = ".odibi-lock"
"""The folder of lock files, in the base."""

DRAFT = ".odibi-tmp-"
"""How the name of a file begins that is an object being written."""

STAGE = ".odibi-stage-"
"""How the name of a folder begins that is to take another one's place; see :mod:`odibi_local.staging`."""


def is_draft(name: str) -> bool:
    """Whether a file is a draft."""
    return name.startswith(DRAFT)


def is_stage(name: str) -> bool:
    """Whether a folder is staged."""
    return name.startswith(STAGE)


def is_reserved(path: str) -> bool:
    """Whether no object may have this path: below a staged folder objects may be, as that is how it is filled."""
    if ".odibi-" not in path:
        return False
    parts = path.split("/")
    return is_stage(parts[-1]) or any(part == LOCKS or is_draft(part) for part in parts)


def stage_of(path: str) -> str | None:
    """The staged folder that the path leads through, if any."""
    if STAGE not in path:
        return None
    parts = path.split("/")
    return next(("/".join(parts[: at + 1]) for at, part in enumerate(parts[:-1]) if is_stage(part)), None)
