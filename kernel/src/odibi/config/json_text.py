"""JSON to a tree with positions: the standard library says whether it is JSON, a scan of it says where things are."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable
from json import decoder
from typing import Any

from odibi.config.tree import Items, Table, number, stop
from odibi.errors import ConfigError, Position, Problem

MAX_DEPTH = 100

_string: Callable[[str, int, bool], tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]

_SKIP = re.compile(r"[ \t\n\r,:]*")
_BARE = re.compile(r"[^ \t\n\r,:\]}]+")
_WORDS = {"true": True, "false": False, "null": None}

_REMEDIES = {
    "Expecting property name enclosed in double quotes": "Keys need double quotes, and the last entry no comma.",
    "Expecting ',' delimiter": "Separate entries with commas, and close every bracket.",
    "Expecting ':' delimiter": "Put a colon between the key and its value.",
    "Expecting value": "JSON values are text in double quotes, numbers, true, false, null, lists and mappings.",
    "Unterminated string starting at": "Close the quote.",
    "Invalid control character at": "Write a line break in text as \\n and a tab as \\t.",
    "Extra data": "A JSON file holds one value: remove what follows it.",
}


class Lines:
    """Offsets of a text as positions."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def at(self, offset: int) -> Position:
        """The position of a character."""
        line = bisect_right(self._starts, offset)
        return Position(self._file, line, offset - self._starts[line - 1] + 1)


def read_json(text: str, file: str) -> Any:
    """The value in ``text``.

    Raises:
        ConfigError: it is not JSON, or gives a key twice.
    """
    lines = Lines(text, file)

    def refuse(word: str) -> Any:
        at = re.search(rf"(?<![\w\"])-?{re.escape(word.lstrip('-'))}(?![\w\"])", text)
        raise stop(f"{word} is not JSON", lines.at(at.start() if at else 0), "Give a number, or null.")

    try:
        json.loads(text, parse_constant=refuse, parse_int=_whole)
    except json.JSONDecodeError as error:
        # Python says it in so many words, and at the comma, since 3.13 alone.
        before = (
            text[: error.pos + 1].rstrip() if text[error.pos : error.pos + 1] == "," else text[: error.pos].rstrip()
        )
        if before.endswith(",") and text[len(before) :].lstrip()[:1] in ("}", "]"):
            raise stop(
                "this is not JSON: there is a comma after the last entry",
                lines.at(len(before) - 1),
                "Remove the comma.",
            ) from error
        what = f"this is not JSON: {error.msg[0].lower()}{error.msg[1:]}"
        raise stop(
            what, lines.at(error.pos), _REMEDIES.get(error.msg, "Check the quotes, commas and brackets.")
        ) from error
    except RecursionError:
        raise stop(f"nested more than {MAX_DEPTH} levels deep", Position(file), "Flatten it.") from None
    scan = _Scan(text, lines)
    value, _ = scan.value(_SKIP.match(text, 0).end(), 0)  # type: ignore[union-attr]
    if scan.problems:
        raise ConfigError(scan.problems)
    return value


def _whole(digits: str) -> int | float:
    # Python refuses to turn thousands of digits into a number.
    return int(digits) if len(digits) < 4000 else float(digits)


class _Scan:
    """Walks over text that is known to be JSON."""

    def __init__(self, text: str, lines: Lines) -> None:
        self.text = text
        self.lines = lines
        self.problems: list[Problem] = []

    def skip(self, offset: int) -> int:
        return _SKIP.match(self.text, offset).end()  # type: ignore[union-attr]

    def value(self, start: int, depth: int) -> tuple[Any, int]:
        char = self.text[start]
        if char == '"':
            return _string(self.text, start + 1, True)
        if char in "{[" and depth >= MAX_DEPTH:
            raise stop(f"nested more than {MAX_DEPTH} levels deep", self.lines.at(start), "Flatten it.")
        if char == "{":
            return self.table(start, depth + 1)
        if char == "[":
            return self.items(start, depth + 1)
        word = _BARE.match(self.text, start).group()  # type: ignore[union-attr]
        end = start + len(word)
        if word in _WORDS:
            return _WORDS[word], end
        if re.fullmatch(r"-?[0-9]+", word):
            return _whole(word), end
        return number(float, float(word), word), end

    def table(self, start: int, depth: int) -> tuple[Table, int]:
        table = Table(self.lines.at(start))
        here = self.skip(start + 1)
        while self.text[here] != "}":
            key, end = _string(self.text, here + 1, True)
            value_start = self.skip(end)
            value, end = self.value(value_start, depth)
            if key in table:
                what = f"the key {key!r} is given twice; the first is at {table.key_at[key]}"
                self.problems.append(Problem(what, self.lines.at(here), "Remove one of them."))
            else:
                table.put(key, value, self.lines.at(here), self.lines.at(value_start))
            here = self.skip(end)
        return table, here + 1

    def items(self, start: int, depth: int) -> tuple[Items, int]:
        items = Items(self.lines.at(start))
        here = self.skip(start + 1)
        while self.text[here] != "]":
            value, end = self.value(here, depth)
            items.put(value, self.lines.at(here))
            here = self.skip(end)
        return items, here + 1
