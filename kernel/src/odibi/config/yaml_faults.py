"""What a YAML syntax error means to the person who made it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import yaml

from odibi.errors import Position, Problem

Place = tuple[int, int]


class _Fault(NamedTuple):
    """What the parser said: its complaint and where, what it was doing and since where. Places count from 0."""

    said: str
    about: str
    lines: list[str]
    place: Place
    start: Place


_Found = tuple[str, Place, str] | None


def syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """The error with a position and a plain remedy."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        at = Position(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        char = error.character if isinstance(error.character, int) else ord(str(error.character)[0])
        return Problem(f"the character U+{char:04X} is not allowed here", at, "Remove it, or write it as an escape.")
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(f"this is not YAML: {error}", Position(file))
    mark, since = error.problem_mark, error.context_mark
    start = (since.line, since.column) if since else None
    place = (mark.line, mark.column) if mark else start or (0, 0)
    fault = _Fault(error.problem or "", error.context or "", text.split("\n"), place, start or place)
    what = f"this is not YAML: {fault.said}{', ' + fault.about if fault.about else ''}"
    found = (what, place, "Check the indentation and the quotes here.")
    hints: tuple[Callable[[_Fault], _Found], ...] = (_tab, _quote, _bracket, _colon, _anchor, _block)
    for hint in hints:
        told = hint(fault)
        if told is not None:
            found = told
            break
    what, (line, column), remedy = found
    return Problem(what, Position(file, line + 1, column + 1), remedy)


def _tab(fault: _Fault) -> _Found:
    line = fault.place[0]
    for near in (line, line - 1, line + 1):
        if 0 <= near < len(fault.lines):
            indent = fault.lines[near][: len(fault.lines[near]) - len(fault.lines[near].lstrip())]
            if "\t" in indent:
                return "a tab indents this line", (near, indent.index("\t")), "YAML wants spaces: replace the tab."
    return None


def _quote(fault: _Fault) -> _Found:
    if "quoted scalar" not in fault.about:
        return None
    if "escape" in fault.said:
        remedy = "In double quotes a backslash begins an escape: use single quotes, or double the backslash."
        line, column = fault.place
        if fault.lines[line][column - 1 : column] == "\\" and fault.lines[line][column : column + 1] != "\\":
            column -= 1  # PyYAML's own parser points behind the backslash, libyaml at it
        return "a backslash in double quotes that begins no escape", (line, column), remedy
    return "a quote is opened here and never closed", fault.start, "Close the quote."


def _bracket(fault: _Fault) -> _Found:
    if "flow" not in fault.about:
        return None
    if "flow node" in fault.about:
        return "a '[' or '{' before this is not closed, or a value is missing here", fault.place, "Close it."
    kind, close = ("list", "]") if "sequence" in fault.about else ("mapping", "}")
    remedy = f"Close it with {close!r}, and separate its entries with commas."
    return f"the {kind} that begins here is not closed, or lacks a comma", fault.start, remedy


def _colon(fault: _Fault) -> _Found:
    if "mapping values are not allowed" in fault.said:
        remedy = "Put quotes around a value with ': ' in it, and check the indentation."
        return "a colon where no key can be", fault.place, remedy
    if "could not find expected ':'" in fault.said:
        return "a key without a colon", fault.start, "Write 'key: value', with a space after the colon."
    if "cannot start any token" in fault.said:
        line, column = fault.place
        char = fault.lines[line][column : column + 1] if line < len(fault.lines) else ""
        return f"a value cannot begin with {char!r}", fault.place, "Put quotes around the value."
    return None


def _anchor(fault: _Fault) -> _Found:
    for word, char in (("alias", "*"), ("anchor", "&")):
        if word in fault.about:
            return f"'{char}' begins an {word} without a name", fault.start, "Put quotes around the value."
    return None


def _block(fault: _Fault) -> _Found:
    if "block" not in fault.about:
        return None
    remedy = "Check its indentation, and whether a '- ' is missing or too many."
    return "this line does not fit the block that it stands in", fault.place, remedy
