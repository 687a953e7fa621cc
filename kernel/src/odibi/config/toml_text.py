"""TOML to a tree with positions: the standard library gives the values, a scan of what it accepted says where.

Dates and times become text, as they are in YAML and JSON.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from typing import Any

from odibi.config.json_text import Lines
from odibi.config.tree import Items, Path, Table, stop
from odibi.errors import Position

MAX_DEPTH = 100

_TOKEN = re.compile(
    r'(?P<space>[ \t\r]+|\#[^\n]*)|(?P<line>\n)|(?P<text>"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}'
    r'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\')|(?P<mark>[\[\]{},=.])|(?P<bare>[^\s\[\]{},=."\'#]+)',
    re.DOTALL,
)
_AT = re.compile(r"(.*?) ?\(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)


def read_toml(text: str, file: str) -> Table:
    """The table in ``text``.

    Raises:
        ConfigError: it is not TOML.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(error, text, file) from error
    except (RecursionError, ValueError) as error:  # the latter: a number of thousands of digits
        what = "nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
        raise stop(f"this is not TOML: {what}", Position(file), "Simplify it.") from error
    # tomllib takes \r\n for \n; so must the scan, and columns stay what they were.
    places = _Scan(text, file).places
    root = Position(file, 1, 1)
    return _placed(data, (), places, root, root)  # type: ignore[no-any-return]


def _syntax_error(error: tomllib.TOMLDecodeError, text: str, file: str) -> Exception:
    match = _AT.match(str(error))
    message = match.group(1) if match else str(error)
    if match and match.group(2):
        at = Position(file, int(match.group(2)), int(match.group(3)))
    else:
        at = Lines(text, file).at(len(text.rstrip()))
    remedy = "Write 'key = value'; text needs quotes; a key or table may be given once."
    return stop(f"this is not TOML: {message[:1].lower()}{message[1:]}", at, remedy)


def _placed(value: Any, path: Path, places: dict[Path, tuple[Position, Position]], key: Position, at: Position) -> Any:
    if len(path) > MAX_DEPTH:
        raise stop(f"nested more than {MAX_DEPTH} levels deep", at, "Flatten it.")
    if isinstance(value, dict):
        table = Table(at)
        for name, item in value.items():
            key_at, value_at = places.get((*path, name), (key, at))
            table.put(name, _placed(item, (*path, name), places, key_at, value_at), key_at, value_at)
        return table
    if isinstance(value, list):
        items = Items(at)
        for index, item in enumerate(value):
            _, value_at = places.get((*path, index), (key, at))
            items.put(_placed(item, (*path, index), places, key, value_at), value_at)
        return items
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value


class _Scan:
    """Finds the keys and values of text that is known to be TOML."""

    def __init__(self, text: str, file: str) -> None:
        self.lines = Lines(text, file)
        self.tokens = [
            (match.lastgroup or "", match.group(), match.start())
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "space"
        ]
        self.tokens.append(("end", "", len(text)))
        self.next = 0
        self.places: dict[Path, tuple[Position, Position]] = {}
        self.counts: dict[Path, int] = {}
        self.document()

    def peek(self) -> str:
        kind, text, _ = self.tokens[self.next]
        return text if kind == "mark" else kind

    def here(self) -> Position:
        return self.lines.at(self.tokens[self.next][2])

    def lines_over(self) -> None:
        while self.peek() in ("line", ","):
            self.next += 1

    def document(self) -> None:
        table: Path = ()
        while self.peek() != "end":
            if self.peek() == "[":
                table = self.header()
            elif self.peek() in ("text", "bare"):
                self.pair(table)
            else:
                self.next += 1

    def header(self) -> Path:
        """``[a.b]`` or ``[[a.b]]``: the table that follows."""
        at = self.here()
        self.next += 1
        array = self.peek() == "["
        self.next += array
        names = self.names()
        path: Path = ()
        for depth, (name, name_at) in enumerate(names):
            path = (*path, name)
            self.places.setdefault(path, (name_at, at))
            if array and depth == len(names) - 1:
                self.counts[path] = self.counts.get(path, -1) + 1
            if path in self.counts:
                path = (*path, self.counts[path])
                self.places.setdefault(path, (at, at))
        while self.peek() == "]":
            self.next += 1
        return path

    def names(self) -> list[tuple[str, Position]]:
        """A key with its dots."""
        names = []
        while self.peek() in ("text", "bare", "."):
            kind, text, _ = self.tokens[self.next]
            if kind != "mark":
                names.append((next(iter(tomllib.loads(f"{text}=0"))) if kind == "text" else text, self.here()))
            self.next += 1
        return names

    def pair(self, table: Path) -> None:
        names = self.names()
        self.next += 1  # the equals sign
        at = self.here()
        path = table
        for name, name_at in names:
            path = (*path, name)
            self.places.setdefault(path, (name_at, at))
        self.value(path)

    def value(self, path: Path) -> None:
        opening = self.peek()
        self.next += 1
        if opening == "[":
            self.lines_over()
            index = 0
            while self.peek() not in ("]", "end"):
                self.places[(*path, index)] = (self.here(), self.here())
                self.value((*path, index))
                index += 1
                self.lines_over()
            self.next += 1
        elif opening == "{":
            self.lines_over()
            while self.peek() not in ("}", "end"):
                self.pair(path)
                self.lines_over()
            self.next += 1
        else:  # a number such as 1.5, or a date with a space in it, is several tokens
            while self.peek() in ("bare", "."):
                self.next += 1
