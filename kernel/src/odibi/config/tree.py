"""What the readers of YAML, JSON and TOML give: plain values that remember where they were written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from odibi.errors import ConfigError, Position, Problem

Path = tuple[str | int, ...]


class Table(dict[str, Any]):
    """A mapping that knows the position of each key and each value, and its own."""

    __slots__ = ("at", "key_at", "value_at")

    def __init__(self, at: Position) -> None:
        super().__init__()
        self.at = at
        self.key_at: dict[str, Position] = {}
        self.value_at: dict[str, Position] = {}

    def put(self, key: str, value: Any, key_at: Position, value_at: Position) -> None:
        """Set a key with its positions."""
        self[key] = value
        self.key_at[key] = key_at
        self.value_at[key] = value_at

    def take(self, other: Table, key: str) -> None:
        """Set a key as another table has it."""
        self.put(key, other[key], other.key_at[key], other.value_at[key])

    def drop(self, key: str) -> Any:
        """Remove a key; gives its value, or ``None``."""
        self.key_at.pop(key, None)
        self.value_at.pop(key, None)
        return self.pop(key, None)


class Items(list[Any]):
    """A list that knows the position of each item, and its own."""

    __slots__ = ("at", "value_at")

    def __init__(self, at: Position) -> None:
        super().__init__()
        self.at = at
        self.value_at: list[Position] = []

    def put(self, value: Any, at: Position) -> None:
        """Add an item."""
        self.append(value)
        self.value_at.append(at)


class Plain(str):
    """Text that was written without quotes, so that what a ``${...}`` in it stands for may be a number."""

    __slots__ = ()


class WrittenInt(int):
    """A whole number that was not written as Python would (``0x1F``)."""

    text: str


class WrittenFloat(float):
    """A number that was not written as Python would (``1.10``); as text it is what was written."""

    text: str


def number(kind: type[int] | type[float], value: float, text: str) -> int | float:
    """A number that remembers how it was written, where that cannot be told from its value."""
    if str(value) == text:
        return value
    written = WrittenInt(value) if kind is int else WrittenFloat(value)
    written.text = text
    return written


_ABOUT_KEYS = (" are the same ", " is for reading", " is for writing")
"""What :mod:`odibi.structure` says of keys, besides that they are unknown."""


class Positions:
    """Where each part of a project was written, by its path from the project's root."""

    def __init__(self, root: Table) -> None:
        self._root = root

    def __call__(self, *path: str | int, key: bool = False) -> Position:
        """The position of the value at ``path``, or of the deepest part of it that was written.

        Args:
            path: keys and list positions, such as ``("pipelines", 0, "nodes", 3, "read", "path")``.
            key: the position of the last key instead of its value's.
        """
        value: Any = self._root
        at = self._root.at
        for depth, step in enumerate(path):
            if isinstance(value, Table) and step in value.value_at:
                wanted = value.key_at if key and depth == len(path) - 1 else value.value_at
                at = wanted[str(step)]
                value = value[str(step)]
            elif isinstance(value, Items) and isinstance(step, int) and step < len(value):
                at = value.value_at[step]
                value = value[step]
            else:
                break
        return at

    def parts(self) -> list[Position]:
        """Where each part that can be judged by itself begins: nodes, pipelines, connections, top-level keys."""
        found: list[Position] = []
        for key, value in self._root.items():
            found.append(self._root.key_at[key])
            if isinstance(value, Table):
                found += value.key_at.values()
            elif isinstance(value, Items):
                for item, at in zip(value, value.value_at, strict=True):
                    nodes = item.get("nodes") if isinstance(item, Table) else None
                    found += [at, *(nodes.value_at if isinstance(nodes, Items) else ())]
        return found

    def of_problem(self, path: Sequence[str | int], what: str) -> Position:
        """Where to point at for a mistake: at the key, if it is the key that is wrong, else at the value."""
        wrong_key = what.startswith("unknown ") or any(words in what for words in _ABOUT_KEYS)
        return self(*path, key=wrong_key)


def walk(value: Any, visit: Callable[[Path, Any, Position], Any], path: Path = (), at: Position | None = None) -> Any:
    """Replace every scalar of a tree by what ``visit(path, value, position)`` gives, in place."""
    if isinstance(value, Table):
        for key in value:
            value[key] = walk(value[key], visit, (*path, key), value.value_at[key])
    elif isinstance(value, Items):
        for index, item in enumerate(value):
            value[index] = walk(item, visit, (*path, index), value.value_at[index])
    else:
        return visit(path, value, at or Position("?"))
    return value


def copied(value: Any) -> Any:
    """A copy of a tree, so that changing it does not show where an alias shares it."""
    if isinstance(value, Table):
        table = Table(value.at)
        for key in value:
            table.put(key, copied(value[key]), value.key_at[key], value.value_at[key])
        return table
    if isinstance(value, Items):
        items = Items(value.at)
        for item, at in zip(value, value.value_at, strict=True):
            items.put(copied(item), at)
        return items
    return value


def overlay(base: Table, over: Table) -> None:
    """Put ``over`` on ``base``, in place: mappings merge, everything else is replaced."""
    for key, value in over.items():
        below = base.get(key)
        if isinstance(value, Table) and isinstance(below, Table):
            overlay(below, value)
        else:
            base.take(over, key)


def from_plain(value: Any, at: Position) -> Any:
    """A tree of plain data whose every part has one position."""
    if isinstance(value, Mapping):
        table = Table(at)
        for key, item in value.items():
            table.put(str(key), from_plain(item, at), at, at)
        return table
    if isinstance(value, list | tuple):
        items = Items(at)
        for item in value:
            items.put(from_plain(item, at), at)
        return items
    return value


def stop(what: str, where: Position | None, remedy: str = "") -> ConfigError:
    """An error with one problem."""
    return ConfigError([Problem(what, where, remedy)])
