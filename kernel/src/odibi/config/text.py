"""A project's file to a tree: finds the file, decodes it, and picks the reader by its ending."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from odibi.config.tree import stop
from odibi.errors import Position

MAX_BYTES = 64 * 1024 * 1024
"""Of a project file; whatever is larger is not one."""


def _yaml(text: str, file: str) -> Any:
    from odibi.config.yaml_text import read_yaml

    return read_yaml(text, file)


def _json(text: str, file: str) -> Any:
    from odibi.config.json_text import read_json

    return read_json(text, file)


def _toml(text: str, file: str) -> Any:
    from odibi.config.toml_text import read_toml

    return read_toml(text, file)


READERS: dict[str, Callable[[str, str], Any]] = {".yaml": _yaml, ".yml": _yaml, ".json": _json, ".toml": _toml}
"""File name ending to reader."""


def read_text(path: Path, name: str) -> str:
    """The text of a file.

    Args:
        path: the file.
        name: what to call it in an error.

    Raises:
        ConfigError: there is no such file, it cannot be read, or it is not UTF-8.
    """
    at = Position(name)
    try:
        if path.is_dir():
            raise stop("this is a folder, not a file", at, "Give the project file in it, such as odibi.yaml.")
        if path.stat().st_size > MAX_BYTES:
            raise stop(f"the file is larger than {MAX_BYTES >> 20} MiB", at, "Give a project file.")
        data = path.read_bytes()
    except FileNotFoundError:
        raise stop("there is no such file", at, f"Check the path; {_nearby(path)}") from None
    except (OSError, ValueError) as error:
        raise stop(f"the file cannot be read: {error}", at, "Check the path and your rights.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        what = f"the byte 0x{data[error.start]:02X} is not UTF-8"
        raise stop(what, Position(name, line, column), "Save the file as UTF-8.") from None


def _nearby(path: Path) -> str:
    try:
        found = sorted(each.name for each in path.parent.iterdir() if each.suffix in READERS and each.is_file())
    except OSError:
        return f"the folder {str(path.parent)!r} is not there either."
    if not found:
        return "its folder holds no YAML, JSON or TOML file."
    return f"its folder holds {', '.join(found[:5])}{', ...' if len(found) > 5 else ''}."


def parse(text: str, name: str, suffix: str) -> Any:
    """The tree in ``text``, by the reader of a file name's ending; ``None`` for an empty file.

    Raises:
        ConfigError: no reader takes that ending, or the text is not what the ending says.
    """
    reader = READERS.get(suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        raise stop(f"a project file cannot end in {suffix!r}", Position(name), f"Name it with one of {known}.")
    text = text.replace("\r\n", "\n")
    return reader(text, name) if text.strip() else None
