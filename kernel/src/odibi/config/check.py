"""Everything that can be said of a project without running it."""

from __future__ import annotations

import fnmatch
import json
from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from odibi.config.check_node import NodeChecker
from odibi.config.check_triggers import check_triggers
from odibi.config.checker import Checker
from odibi.config.load import in_order
from odibi.contracts.format import WriteMode
from odibi.errors import Position, Problem
from odibi.graph import find_problems
from odibi.host.packages import package_of
from odibi.model import ComponentConfig, Continuous, Node, Pipeline, Read, Write
from odibi.structure import plain

if TYPE_CHECKING:
    from odibi.config.load import Loaded
    from odibi.config.tree import Path
    from odibi.host import Host


def check_project(loaded: Loaded, host: Host) -> list[Problem]:
    """Every mistake in a project, in the order of their positions; nothing is run or opened.

    Args:
        loaded: the project.
        host: knows which components there are.

    Raises:
        PluginError: a plugin that the project needs is broken, or two of them claim what it needs.
    """
    checker = Checker(loaded, host)
    _settings(checker)
    _components(checker)
    if not checker.project.pipelines and not loaded.problems:  # else they may stand under a misspelt key
        checker.say("the project has no pipelines", (), "Add one under 'pipelines'.")
    names: set[str] = set()
    for index, pipeline in enumerate(checker.project.pipelines):
        at: Path = ("pipelines", index)
        if pipeline.name in names:
            what = f"two pipelines are called {pipeline.name!r}"
            checker.say(what, (*at, "pipeline"), "Rename one of them.")
        names.add(pipeline.name)
        _pipeline(checker, pipeline, at)
    _double_writes(checker)
    redact = loaded.redactor.redact
    found = [Problem(redact(each.what), each.where, redact(each.remedy)) for each in checker.problems]
    return in_order(dict.fromkeys([*loaded.problems, *_apart(found, loaded)]))


def _apart(found: list[Problem], loaded: Loaded) -> list[Problem]:
    """The problems in parts whose text is right: what else is wrong with the others may only follow from that."""
    if not loaded.problems:
        return found
    starts: dict[str, list[Position]] = {}
    for at in sorted(set(loaded.positions.parts())):
        starts.setdefault(at.file, []).append(at)

    def part(problem: Problem) -> tuple[str, int]:
        at = problem.where
        return (at.file, bisect_right(starts.get(at.file, ()), at)) if at else ("", 0)

    wrong = {part(problem) for problem in loaded.problems}
    return [problem for problem in found if part(problem) not in wrong]


def _settings(checker: Checker) -> None:
    project = checker.project
    checker.retry(project.retry, ("retry",))
    checker.level(project.logging.level, ("logging", "level"))
    story = project.story
    if story is not None:
        if story.connection is not None:
            checker.connection(story.connection, ("story", "connection"))
        checker.path(story.path, ("story", "path"))
        if not 0 <= story.max_sample_rows <= 100:
            what = f"max_sample_rows is {story.max_sample_rows}"
            checker.say(what, ("story", "max_sample_rows"), "Give 0 to 100.")
        for key in ("retention_days", "retention_count"):
            value = getattr(story, key)
            if value is not None and value < 1:
                checker.say(f"{key} is {value}", ("story", key), "Give 1 or more, or leave it out.")


def _components(checker: Checker) -> None:
    project = checker.project
    for name, connection in project.connections.items():
        at: Path = ("connections", name)
        checker.component("storage", connection.type, connection.options, (*at, "type"), at)
    single: Iterable[tuple[str, str, ComponentConfig | None]] = (
        ("cache", "cache", project.cache),
        ("executor", "executor", project.executor),
    )
    for family, key, config in single:
        if config is not None:
            _component(checker, family, config, (key,))
    store = project.checkpoints
    if store is not None:
        checker.component("checkpoint", store.type, store.options, ("checkpoints", "type"), ("checkpoints",))
        if store.keep_last is not None and store.keep_last < 1:
            checker.say(f"keep_last is {store.keep_last}", ("checkpoints", "keep_last"), "Give 1 or more.")
        if not 0 <= store.wait < float("inf"):
            checker.say(f"wait is {store.wait:g} seconds", ("checkpoints", "wait"), "Give 0 or more.")
    for name, config in project.secrets.items():
        _component(checker, "secret", config, ("secrets", name))
    check_triggers(checker)
    for family, key, listed in (("metric", "metrics", project.metrics), ("observer", "observers", project.observers)):
        for index, config in enumerate(listed):
            _component(checker, family, config, (key, index))
    for index, alert in enumerate(project.alerts):
        _component(checker, "observer", alert.observer, ("alerts", index))
    used = {project.engine} | {pipeline.engine for pipeline in project.pipelines}
    used |= {node.engine for pipeline in project.pipelines for node in pipeline.nodes}
    for name, options in project.engines.items():
        # Those in use are checked where they are used. One that is to be had, but is not here, may be for others who
        # run the project on it.
        if name not in used and (name in checker.host.names("engine") or package_of("engine", name) is None):
            checker.component("engine", name, options, ("engines", name), ("engines", name))


def _component(checker: Checker, family: str, config: ComponentConfig, at: Path) -> None:
    checker.component(family, config.type, config.options, (*at, "type"), at)


def _continuous(checker: Checker, continuous: Continuous, at: Path) -> None:
    for key in ("max_iterations", "checkpoint_interval"):
        value = getattr(continuous, key)
        if value is not None and value < 1:
            checker.say(f"{key} is {value}", (*at, key), "Give 1 or more.")
    if not 0 <= continuous.sleep_seconds < float("inf"):
        checker.say(f"sleep_seconds is {continuous.sleep_seconds:g}", (*at, "sleep_seconds"), "Give 0 or more.")


def _pipeline(checker: Checker, pipeline: Pipeline, at: Path) -> None:
    if not pipeline.nodes:
        checker.say(f"the pipeline {pipeline.name!r} has no nodes", at, "Add them under 'nodes'.")
    checker.retry(pipeline.retry, (*at, "retry"))
    checker.timeout(pipeline.timeout, at)
    _continuous(checker, pipeline.continuous, (*at, "continuous"))
    # The name of a trigger stands for what it brings, where no node makes something of that name.
    broken = find_problems(pipeline.nodes, checker.project.triggers)
    for problem in broken:
        where: Path = (*at, "nodes", problem.node, problem.field)
        if problem.item >= 0:
            where = (*where, problem.item)
        name = pipeline.nodes[problem.node].name
        checker.say(f"node {name!r}: {problem.what}", where, problem.remedy)
    nodes = NodeChecker(checker, pipeline)
    for index, node in enumerate(pipeline.nodes):
        nodes.check(node, (*at, "nodes", index))
    if not broken:
        _unordered_reads(checker, pipeline, at)


# --- places that several nodes use ----------------------------------------------------------------------------------


class _Writing(NamedTuple):
    node: Node
    write: Write


def _place(checker: Checker, connection: str, path: str | None, table: str | None) -> tuple[str, ...]:
    """What two nodes must not both write: connections that are the same under two names count as one."""
    found = checker.project.connections.get(connection)
    # Options may hold references to secrets, which have a text of their own.
    base = json.dumps([found.type, plain(found.options)], sort_keys=True, default=str) if found else connection
    if path is not None:
        return (base, "path", _normal(path))
    return (base, "table", (table or "").lower())


def _normal(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _double_writes(checker: Checker) -> None:
    first: dict[tuple[str, ...], tuple[str, Write]] = {}
    for index, pipeline in enumerate(checker.project.pipelines):
        for place, node in enumerate(pipeline.nodes):
            write = node.write
            if write is None or (write.path is None and write.table is None):
                continue
            target = _place(checker, write.connection, write.path, write.table)
            if target not in first:
                first[target] = (f"node {node.name!r} of pipeline {pipeline.name!r}", write)
                continue
            other, other_write = first[target]
            if write.mode is WriteMode.APPEND and other_write.mode is WriteMode.APPEND:
                continue  # each adds parts of its own
            key = "path" if write.path is not None else "table"
            what = f"{other} writes {getattr(write, key)!r} too"
            where: Path = ("pipelines", index, "nodes", place, "write", key)
            checker.say(what, where, "Give one of them another place, or let both append.")


def _unordered_reads(checker: Checker, pipeline: Pipeline, at: Path) -> None:
    """A node that reads what another node of its pipeline writes, in no order: it reads the old or the new."""
    writes = [_Writing(node, node.write) for node in pipeline.nodes if node.write]
    by_place: dict[tuple[str, ...], _Writing] = {}
    by_base: dict[str, list[_Writing]] = {}
    for each in writes:
        place = _place(checker, each.write.connection, each.write.path, each.write.table)
        by_place[place] = each
        by_base.setdefault(place[0], []).append(each)
    inputs = {node.name: node.depends_on for node in pipeline.nodes}
    for index, node in enumerate(pipeline.nodes):
        read = node.read
        if read is None or (read.path is None and read.table is None):
            continue
        place = _place(checker, read.connection, read.path, read.table)
        for each in _written(read, by_place.get(place), by_base.get(place[0], [])):
            if (
                each.node is node
                or _needs(inputs, node.name, each.node.name)
                or _needs(inputs, each.node.name, node.name)
            ):
                continue
            what = f"{node.name!r} reads what {each.node.name!r} writes, without depending on it"
            where: Path = (*at, "nodes", index, "read", "path" if read.path is not None else "table")
            checker.say(what, where, f"Add {each.node.name!r} to its depends_on.")


def _written(read: Read, exact: _Writing | None, near: list[_Writing]) -> list[_Writing]:
    if read.path is None:
        return [exact] if exact else []
    path = _normal(read.path)
    pattern = any(char in path for char in "*?[")
    if not pattern and "." in path.rpartition("/")[2]:  # a single object
        return [exact] if exact else []
    found = [exact] if exact else []
    for each in near:
        if each.write.path is not None and each is not exact:
            target = _normal(each.write.path)
            if fnmatch.fnmatchcase(target, path) if pattern else target.startswith(f"{path}/"):
                found.append(each)
    return found


def _needs(inputs: dict[str, tuple[str, ...]], node: str, other: str) -> bool:
    """Whether a node needs another, directly or not."""
    todo, seen = [node], {node}
    while todo:
        for name in inputs.get(todo.pop(), ()):
            if name == other:
                return True
            if name not in seen:
                seen.add(name)
                todo.append(name)
    return False
