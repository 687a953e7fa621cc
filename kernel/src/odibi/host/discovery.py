"""Finds the installed plugins: the entry points of the group ``odibi``.

``importlib_metadata`` does the finding, and is imported for nothing else, here alone: it costs as much as the rest of
a short command. So the answer is kept, in memory and in a file of the user's cache folder, for as long as the folders
of ``sys.path`` do not change.
"""
# A command that lists plugins needs no pathlib, and importing that would take longer than all that is done here.
# ruff: noqa: PTH100, PTH103, PTH105, PTH108, PTH111, PTH116, PTH117, PTH118, PTH120, PTH123

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUP = "odibi"
_KERNEL = "odibi-kernel"

_LAYOUT = 2  # of the cache file
_RACY = 2.0  # seconds; a folder that changed this recently may change again without its time showing it
_KEPT_FILES = 20

Stamps = list[list[Any]]
_memory: dict[str, tuple[Found, ...]] = {}


class Found(NamedTuple):
    """A plugin that is installed, as its metadata tells.

    Attributes:
        name: of the entry point.
        value: ``"module"`` or ``"module:object"``.
        distribution, version: whose it is.
        location: the folder it is installed in.
        requires: the names of the distributions it needs.
        trouble: why the metadata cannot be used; empty if they can.
        behind: ``"name==version"`` of the distributions it needs, as far as they are installed; the kernel left out.
    """

    name: str
    value: str
    distribution: str
    version: str
    location: str = ""
    requires: tuple[str, ...] = ()
    trouble: str = ""
    behind: tuple[str, ...] = ()


def normal(name: str) -> str:
    """A distribution's name in the one spelling in which names are compared."""
    return re.sub(r"[-_.]+", "-", name).casefold()


def discover() -> tuple[Found, ...]:
    """The plugins that can be imported from ``sys.path``, in the order of their distributions' names."""
    stamps = _stamps(map(_absolute, sys.path))
    key = json.dumps(stamps)
    found = _memory.get(key)
    if found is not None:
        return found
    file = _cache_file(stamps)
    found = _read(file, stamps) if file else None
    if found is None:
        found, watched = _search()
        if file and not _just_changed(stamps + watched):
            _write(file, stamps, watched, found)
    _memory.clear()  # one at a time: the old state of the folders is of no use any more
    _memory[key] = found
    return found


def _absolute(entry: str) -> str:
    try:
        return os.path.abspath(entry)
    except OSError:  # the working folder is gone
        return entry


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of the distributions among ``names`` that are installed."""
    import importlib_metadata

    versions = {}
    for name in names:
        try:
            versions[name] = importlib_metadata.version(name)
        except Exception:  # not installed, or its metadata are damaged: no version can be told  # noqa: S112
            continue
    return versions


def cache_folder() -> str | None:
    """Where the answer is kept; ``None`` if the user has no folder for such things."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "odibi") if os.path.isabs(base) and hasattr(os, "geteuid") else None


# --- searching ------------------------------------------------------------------------------------------------------


def _search() -> tuple[tuple[Found, ...], Stamps]:
    """All plugins, and the files whose change would change the answer."""
    import importlib_metadata

    found: list[Found] = []
    watched: list[str] = []
    seen: set[str] = set()
    for distribution in importlib_metadata.distributions():
        try:
            text = distribution.read_text("entry_points.txt")
        except (OSError, ValueError):  # damaged, and nothing tells that it is a plugin
            continue
        if not text or not re.search(rf"^\s*\[\s*{GROUP}\s*\]", text, re.MULTILINE):
            continue
        name, location = "", str(distribution.locate_file(""))
        try:
            name = str(distribution.metadata["Name"] or "")
            if normal(name) in seen or _shadowed(name, location):
                continue
            seen.add(normal(name))
            version = str(distribution.metadata["Version"] or "")
            requires = tuple(_requirement(line) for line in distribution.requires or ())
            behind = tuple(f"{each}=={it}" for each, it in sorted(installed_versions({*requires} - {_KERNEL}).items()))
            watched += [
                str(file.locate())
                for file in distribution.files or ()
                if str(file).endswith(("entry_points.txt", "METADATA"))
            ]
            found += [
                Found(point.name, point.value, name, version, location, requires, "", behind)
                for point in distribution.entry_points
                if point.group == GROUP
            ]
        except Exception as error:  # one damaged distribution must not hide the others
            trouble = f"its metadata are damaged ({type(error).__name__}: {error})"
            found.append(Found(name or "?", "", name or location, "", location, (), trouble))
    found.sort(key=lambda plugin: (normal(plugin.distribution), plugin.name))
    return tuple(found), _stamps(watched)


def _shadowed(name: str, location: str) -> bool:
    """Whether another version stands before this one on ``sys.path``, and is the one that would be imported."""
    import importlib_metadata

    return str(importlib_metadata.distribution(name).locate_file("")) != location


def _requirement(line: str) -> str:
    match = re.match(r"[\w.-]+", line)
    return match.group() if match else line


# --- the cache ------------------------------------------------------------------------------------------------------


def _stamps(paths: Iterable[str]) -> Stamps:
    """Each path with its time of change, in nanoseconds; -1 for what is not there."""
    stamps: Stamps = []
    for path in paths:
        try:
            stamps.append([path, os.stat(path).st_mtime_ns])
        except (OSError, ValueError):
            stamps.append([path, -1])
    return stamps


def _just_changed(stamps: Stamps) -> bool:
    limit = (time.time() - _RACY) * 1e9
    return any(changed > limit for _, changed in stamps)


def _cache_file(stamps: Stamps) -> str | None:
    folder = cache_folder()
    if folder is None:
        return None
    paths = "\0".join(path for path, _ in stamps)
    return os.path.join(folder, f"plugins-{zlib.crc32(paths.encode('utf-8', 'surrogateescape')):08x}.json")


def private(status: os.stat_result) -> bool:
    """Whether nobody but this user can have written it: the file decides which modules are imported."""
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read(file: str, stamps: Stamps) -> tuple[Found, ...] | None:
    """What the cache file says; ``None`` if it is not there, out of date, damaged or somebody else's."""
    try:
        if not private(os.stat(os.path.dirname(file))):
            return None
        with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            if not private(os.fstat(stream.fileno())):
                return None
            kept = json.loads(stream.read())
        if kept["layout"] != _LAYOUT or kept["stamps"] != stamps:
            return None
        if _stamps(path for path, _ in kept["watched"]) != kept["watched"]:
            return None
        return tuple(_found(row) for row in kept["found"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _found(row: Any) -> Found:
    name, value, distribution, version, location, requires, trouble, behind = row
    texts = (name, value, distribution, version, location, *requires, trouble, *behind)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("not what was written")
    return Found(name, value, distribution, version, location, tuple(requires), trouble, tuple(behind))


def _write(file: str, stamps: Stamps, watched: Stamps, found: tuple[Found, ...]) -> None:
    """Keep the answer, whole or not at all. A folder that cannot be written costs time, not an error."""
    from contextlib import suppress
    from tempfile import NamedTemporaryFile

    folder = os.path.dirname(file)
    with suppress(OSError):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if not private(os.stat(folder)):
            return
        content = json.dumps({"layout": _LAYOUT, "stamps": stamps, "watched": watched, "found": found})
        with NamedTemporaryFile("w", dir=folder, prefix="plugins-", suffix=".tmp", delete=False) as stream:
            try:
                stream.write(content)
                stream.close()
                os.replace(stream.name, file)
            except OSError:
                os.unlink(stream.name)
                raise
        kept = sorted(os.scandir(folder), key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
        for entry in kept[_KEPT_FILES:]:
            if entry.name.startswith("plugins-"):
                os.unlink(entry.path)
