"""The files of a project: reads them, follows their imports, and joins them to one tree."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from odibi.config.references import References
from odibi.config.text import parse, read_text
from odibi.config.tree import Items, Table, copied, overlay, stop
from odibi.errors import ConfigError, Position, Problem
from odibi.structure import describe, did_you_mean

_NAMED = {"connections": 1, "engines": 1, "secrets": 1, "triggers": 1, "vars": 1, "environments": 3}
"""Sections that several files may add to, with the depth at which their names stand."""

_LISTS = ("pipelines", "alerts", "metrics", "observers")
"""Lists that several files may add to."""

NOT_IN_ENVIRONMENT = ("project", "imports", "environments", "pipelines")


class Sources:
    """Reads a project file and everything it imports.

    Attributes:
        paths: every file read, in the order in which they count.
        problems: what is wrong with the files themselves.
    """

    def __init__(self, references: References) -> None:
        self.paths: list[Path] = []
        self.problems: list[Problem] = []
        self._references = references
        self._open: list[tuple[Path, str]] = []

    def read(self, path: Path, name: str) -> Table | None:
        """The joined tree of a file and its imports; ``None`` if it could not be read (see :attr:`problems`)."""
        try:
            tree = parse(read_text(path, name), name, path.suffix)
            if tree is None:
                raise stop("the file is empty", Position(name), "Begin it with 'project: NAME'.")
            if not isinstance(tree, Table):
                at = tree.at if isinstance(tree, Items) else Position(name, 1, 1)
                raise stop(f"expected a mapping, found {describe(tree)}", at, "Begin it with 'project: NAME'.")
        except ConfigError as error:
            self.problems += error.problems
            return None
        return self.join_imports(tree, path, name)

    def join_imports(self, tree: Table, path: Path, name: str) -> Table:
        """The tree with what its ``imports`` bring before its own, each file once."""
        self._open.append((path.resolve(), name))
        joined = Table(tree.at)
        for imported, imported_name, at in self._imports(tree, path, name):
            cycle = self._cycle(imported)
            if cycle:
                what = f"the imports go round in a circle: {' -> '.join([*cycle, imported_name])}"
                self.problems.append(Problem(what, at, "Remove one of them."))
            elif imported.resolve() not in {each.resolve() for each in self.paths}:
                found = self.read(imported, imported_name)
                if found is not None:
                    self._join(joined, found)
        self._join(joined, tree)
        self.paths.append(path)
        self._open.pop()
        return joined

    def _cycle(self, path: Path) -> list[str]:
        resolved = path.resolve()
        places = [place for place, (each, _) in enumerate(self._open) if each == resolved]
        return [name for _, name in self._open[places[0] :]] if places else []

    def _imports(self, tree: Table, path: Path, name: str) -> Iterable[tuple[Path, str, Position]]:
        at = tree.value_at.get("imports", tree.at)
        given = tree.drop("imports")
        if isinstance(given, str):
            items = Items(at)
            items.put(given, at)
            given = items
        if given is not None and not isinstance(given, Items):
            self.problems.append(Problem(f"expected a list of files, found {describe(given)}", at))
            return
        for item, item_at in zip(given or (), given.value_at if given else (), strict=True):
            if not isinstance(item, str) or not item:
                self.problems.append(Problem(f"expected the path of a file, found {describe(item)}", item_at))
                continue
            text = self._references.text(item, item_at)
            if text is not None:
                yield from self._matches(text, path, name, item_at)

    def _matches(self, text: str, path: Path, name: str, at: Position) -> Iterable[tuple[Path, str, Position]]:
        folder = os.path.dirname(name)  # noqa: PTH120 - a name for people, not a path
        if not glob.has_magic(text):
            target = path.parent / text
            if target.is_file():
                yield target, os.path.normpath(os.path.join(folder, text)), at  # noqa: PTH118
            else:
                near = did_you_mean(target.name, _file_names(target.parent), otherwise=False)
                remedy = near or "Paths of imports count from the file that imports."
                self.problems.append(Problem(f"there is no file {text!r} to import", at, remedy))
            return
        found = sorted(glob.glob(text, root_dir=path.parent, recursive=True))  # noqa: PTH207 - may be absolute
        for each in found:
            target = path.parent / each
            if target.is_file() and target.resolve() != path.resolve():
                yield target, os.path.normpath(os.path.join(folder, each)), at  # noqa: PTH118
        if not found:
            what = f"no file matches {text!r}"
            self.problems.append(Problem(what, at, "Paths of imports count from the file that imports."))

    def _join(self, joined: Table, tree: Table) -> None:
        for key, value in tree.items():
            held = joined.get(key)
            if key not in joined:
                joined.take(tree, key)
            elif key in _LISTS and isinstance(held, Items) and isinstance(value, Items):
                for item, at in zip(value, value.value_at, strict=True):
                    held.put(item, at)
            else:
                self._join_named(joined, tree, key, _NAMED.get(key, 0), key)

    def _join_named(self, joined: Table, tree: Table, key: str, depth: int, label: str) -> None:
        held, value = joined[key], tree[key]
        if depth and isinstance(held, Table) and isinstance(value, Table):
            for name in value:
                if name in held:
                    self._join_named(held, value, name, depth - 1, f"{label}.{name}")
                else:
                    held.take(value, name)
            return
        what = f"{label!r} is defined twice; the first is at {joined.key_at[key]}"
        self.problems.append(Problem(what, tree.key_at[key], "Define it in one file only."))


def _file_names(folder: Path) -> list[str]:
    try:
        return [each.name for each in folder.iterdir()]
    except OSError:
        return []


def apply_environment(tree: Table, env: str | None) -> list[Problem]:
    """Put the chosen environment on the tree, in place, and take ``environments`` out of it.

    Args:
        tree: a project's joined tree.
        env: the environment's name; ``None`` for none.

    Returns:
        What is wrong with it.
    """
    at = tree.value_at.get("environments", tree.at)
    environments = tree.drop("environments")
    if environments is not None and not isinstance(environments, Table):
        return [Problem(f"expected a mapping of environments, found {describe(environments)}", at)]
    known = environments if isinstance(environments, Table) else Table(at)
    problems = []
    for name, over in known.items():
        if over is None:
            continue
        if not isinstance(over, Table):
            what = f"expected a mapping, found {describe(over)}"
            problems.append(Problem(what, known.value_at[name], f"Write under {name!r} what it changes."))
            continue
        for key in over:
            if key in NOT_IN_ENVIRONMENT:
                what = f"an environment cannot change {key!r}"
                problems.append(Problem(what, over.key_at[key], "Change connections and settings only."))
    if env is not None and env not in known:
        remedy = did_you_mean(env, known) or "The project has no 'environments'."
        problems.append(Problem(f"there is no environment {env!r}", at, remedy))
    if env is not None and not problems and known[env] is not None:
        overlay(tree, copied(known[env]))
    return problems
