"""What a single node may get wrong."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from odibi.chunking import chunk_faults
from odibi.config.checker import Checker
from odibi.config.functions import resolve_function
from odibi.config.sqlnames import table_names
from odibi.contracts.amounts import seconds
from odibi.contracts.format import WriteMode
from odibi.errors import ConfigError, OdibiError
from odibi.formats import format_of
from odibi.functions import is_rowwise
from odibi.model import (
    CachePolicy,
    Function,
    Incremental,
    Node,
    OnFail,
    Operation,
    Pipeline,
    Range,
    Read,
    Sql,
    Validation,
    Write,
)
from odibi.structure import did_you_mean

if TYPE_CHECKING:
    from odibi.config.tree import Path

CURRENT = "df"
"""The name of the current frame in SQL."""

_BAD_NAME = re.compile(r"[\x00-\x1f\x7f+,*?\[\]:\"'`/\\]|^\s|\s$")
_KEYED = (WriteMode.APPEND_ONCE, WriteMode.UPSERT)


class NodeChecker:
    """Checks the nodes of one pipeline."""

    def __init__(self, checker: Checker, pipeline: Pipeline) -> None:
        self.checker = checker
        self.say = checker.say
        self.pipeline = pipeline
        self.nodes = {node.name.lower(): node.name for node in pipeline.nodes}
        self._read_names = {name for node in pipeline.nodes for name in node.depends_on}
        self._engines: dict[tuple[str, Path], bool] = {}
        self._signatures: dict[Callable[..., Any], inspect.Signature | None] = {}

    def check(self, node: Node, at: Path) -> None:
        """Note everything that is wrong with a node by itself."""
        checker = self.checker
        if _BAD_NAME.search(node.name):
            self.say(f"{node.name!r} cannot be a node's name", (*at, "name"), "Use letters, digits, '_', '-' and '.'.")
        if node.name.lower() == CURRENT:
            self.say(f"{node.name!r} is what SQL calls the current frame", (*at, "name"), "Give the node another name.")
        self._purpose(node, at)
        for parameter, name in node.arguments.items():
            if name not in node.depends_on:
                remedy = f"Add it to depends_on, which has: {', '.join(node.depends_on) or 'nothing'}."
                self.say(f"{name!r} is not an input of {node.name!r}", (*at, "arguments", parameter), remedy)
        engine = self._engine(node, at)
        if node.read is not None:
            self._read(node.read, engine, (*at, "read"))
            if node.read.chunk_rows is not None and engine:
                self._chunks(node, engine, (*at, "read", "chunk_rows"))
        if node.function is not None:
            self._node_function(node, at)
        if node.transform is not None:
            self._steps(node, engine, (*at, "transform", "steps"))
        if node.validation is not None:
            self._validation(node.validation, engine, (*at, "validation"))
        if node.write is not None:
            self._write(node.write, engine, (*at, "write"))
        checker.retry(node.retry, (*at, "retry"))
        checker.timeout(node.timeout, at)
        if isinstance(node.cache, CachePolicy) and node.cache.ttl is not None and node.cache.ttl <= 0:
            self.say(f"ttl is {node.cache.ttl:g} seconds", (*at, "cache"), "Give a time above 0, or cache: false.")
        checker.level(node.log_level, (*at, "log_level"))

    def _purpose(self, node: Node, at: Path) -> None:
        steps = node.transform.steps if node.transform else ()
        if not (node.read or node.function or node.transform or node.write):
            remedy = "Give it a read, a function, a transform or a write."
            self.say(f"node {node.name!r} does nothing", at, remedy)
        elif node.transform is not None and not steps:
            self.say("the transform has no steps", (*at, "transform"), "Give 'steps', or remove the transform.")
        if node.read and node.function:
            self.say(f"node {node.name!r} has both a read and a function", (*at, "function"), "Make it two nodes.")
        has_input = bool(node.read or node.function or node.depends_on)
        if has_input:
            return
        if steps and not _starts_by_itself(steps[0]):
            what = f"the transform of {node.name!r} has no input"
            self.say(what, (*at, "transform"), "Give the node a read, or name its inputs in depends_on.")
        elif not steps and node.write:
            what = f"node {node.name!r} writes, but has nothing to write"
            self.say(what, (*at, "write"), "Give the node a read, or name its input in depends_on.")

    def _engine(self, node: Node, at: Path) -> str:
        """The engine of a node, ``""`` if it needs none or has none that works."""
        if not (node.read or node.transform or node.write or node.validation):
            return ""
        engine = node.engine or self.pipeline.engine or self.checker.project.engine
        if engine is None:
            self.say(f"node {node.name!r} has no engine", at, "Give 'engine' to the node, pipeline or project.")
            return ""
        where: Path = ("engine",)
        if node.engine or self.pipeline.engine:
            where = (*(at if node.engine else at[:2]), "engine")
        if (engine, where) not in self._engines:
            options = self.checker.project.engines.get(engine, {})
            found = self.checker.component("engine", engine, options, where, ("engines", engine))
            self._engines[(engine, where)] = found
        return engine if self._engines[(engine, where)] else ""

    # --- reading and writing ----------------------------------------------------------------------------------------

    def _read(self, read: Read, engine: str, at: Path) -> None:
        given = [key for key in ("path", "table", "query") if getattr(read, key) is not None]
        if len(given) != 1:
            said = f"it has {' and '.join(given)}" if given else "it has none"
            self.say(f"a read has one of path, table and query; {said}", at, "Give exactly one.")
        if read.chunk_rows is not None and read.chunk_rows < 1:
            self.say(f"chunk_rows is {read.chunk_rows}", (*at, "chunk_rows"), "Give a number of rows above 0.")
        self._place(read, engine, at, "read", one_place=len(given) == 1)
        if read.stream is not None:
            self._stream(read, read.stream, engine, (*at, "stream"))
        if read.incremental is not None:
            self._incremental(read, read.incremental, engine, (*at, "incremental"))

    def _incremental(self, read: Read, incremental: Incremental, engine: str, at: Path) -> None:
        if self.checker.project.checkpoints is None:
            what = "a read that gives only what is new needs a checkpoint store, to know what that is"
            self.say(what, at, "Add 'checkpoints: sqlite' to the project.")
        if read.chunk_rows is not None:
            self.say("what is read incrementally cannot be read in chunks", at, "Remove 'chunk_rows'.")
        if read.stream is not None:
            what = "a batch says what is new by itself, so that nothing is left to 'incremental'"
            self.say(what, at, "Remove 'incremental', or 'stream'.")
        if not incremental.column:
            self.say("the column has no name", (*at, "column"), "Give the name of a column that grows.")
        elif read.columns is not None and incremental.column not in read.columns:
            what = f"what is new shows in column {incremental.column!r}, which is not among the columns that are read"
            self.say(what, (*at, "column"), f"Add {incremental.column!r} to 'columns'.")
        if engine:
            remedy = "Remove 'incremental', or use an engine with the capability 'bounds', such as pandas."
            self.checker.able("engine", engine, "bounds", at, remedy)
        if incremental.lateness is not None:
            self._late(read, incremental, incremental.lateness, engine, at)
        elif incremental.key:
            what = "a key tells late rows from others, and no row is late without 'lateness'"
            self.say(what, (*at, "key"), "Give 'lateness', or remove 'key'.")

    def _late(self, read: Read, incremental: Incremental, lateness: float | timedelta, engine: str, at: Path) -> None:
        length = lateness.total_seconds() if isinstance(lateness, timedelta) else lateness
        if not 0 < length < float("inf"):
            self.say(f"lateness is {lateness}", (*at, "lateness"), "Give a duration or a number above 0, or remove it.")
        if not incremental.key:
            what = "only a key tells which of the rows that are looked at again were read before"
            self.say(what, (*at, "lateness"), "Give 'key': the columns that no two rows share.")
        for name in incremental.key if read.columns is not None else ():
            if name not in read.columns:  # type: ignore[operator]
                what = f"column {name!r} of the key is not among the columns that are read"
                self.say(what, (*at, "key"), f"Add {name!r} to 'columns'.")
        if engine:
            remedy = "Remove 'lateness' and 'key', or use an engine with the capability 'keys', such as pandas."
            self.checker.able("engine", engine, "keys", at, remedy)

    def _stream(self, read: Read, stream: str, engine: str, at: Path) -> None:
        checker = self.checker
        known = checker.project.triggers
        if stream not in known:
            remedy = did_you_mean(stream, known) or "Add it under 'triggers'."
            self.say(f"there is no trigger {stream!r}", at, remedy)
            return
        if read.path is None:
            self.say("only files come in batches, and this reads no path", at, "Remove 'stream', or give 'path'.")
            return
        name = read.format or format_of(checker.host, read.path, engine)
        if name is not None and checker.has("format", name, "version", engine=engine):
            what = f"only files come in batches, and {name} reads a table as a whole"
            self.say(what, at, "Remove 'stream', or read the files themselves.")
        watched = known[stream].options.get("connection")
        if isinstance(watched, str) and not self._same_connection(watched, read.connection):
            # The files of a batch are looked for where the node reads, and would seem to be gone.
            what = (
                f"the batches of {stream!r} are files of the connection {watched!r}, and this reads {read.connection!r}"
            )
            self.say(what, at, f"Read from {watched!r}, or let the trigger watch {read.connection!r}.")

    def _same_connection(self, one: str, other: str) -> bool:
        """Whether two names mean one place; those that are not there are told of elsewhere."""
        connections = self.checker.project.connections
        first, second = connections.get(one), connections.get(other)
        if one == other or first is None or second is None:
            return True
        return (first.type, first.options) == (second.type, second.options)

    def _chunks(self, node: Node, engine: str, at: Path) -> None:
        if engine:
            self.checker.able("engine", engine, "chunks", at, "Remove chunk_rows, or use another engine.")

        def rowwise(step: Function | Operation) -> bool:
            try:
                if isinstance(step, Function):
                    project = self.checker.project
                    return is_rowwise(resolve_function(str(step.function), project.functions, project.root))
                full = self.checker.host.resolve("transform", engine, step.operation)
                return bool(self.checker.host.build("transform", full, step.params).rowwise)
            except OdibiError:
                return True  # that the step itself is wrong is said where it stands

        for fault in chunk_faults(node, node.name in self._read_names, rowwise):
            what = f"node {node.name!r} cannot work in chunks: {fault}"
            self.say(what, at, "Remove chunk_rows, or move that part to another node.")

    def _write(self, write: Write, engine: str, at: Path) -> None:
        given = [key for key in ("path", "table") if getattr(write, key) is not None]
        if len(given) != 1:
            said = "it has both" if given else "it has neither"
            self.say(f"a write has either a path or a table; {said}", at, "Give exactly one.")
        if write.mode in _KEYED and not write.keys:
            remedy = "Give 'keys': the columns that together identify a row."
            self.say(f"the mode {write.mode.value!r} needs keys", (*at, "mode"), remedy)
        if write.keys and write.mode not in _KEYED:
            remedy = f"Use the mode {_KEYED[0].value} or {_KEYED[1].value}, or remove the keys."
            self.say(f"keys mean nothing to the mode {write.mode.value!r}", (*at, "keys"), remedy)
        if write.mode in _KEYED and engine and write.format is not None:
            remedy = "Use the mode overwrite or append, or a format that has a merge, such as delta."
            self.checker.able("format", write.format, "merge", (*at, "mode"), remedy, engine=engine)
        connection = self.checker.project.connections.get(write.connection)
        if write.mode in _KEYED and write.path is not None and connection is not None:
            remedy = "Use the mode overwrite or append, or another connection."
            self.checker.able("storage", connection.type, "compare_and_set", (*at, "mode"), remedy)
        self._place(write, engine, at, "write", one_place=len(given) == 1)

    def _place(self, place: Read | Write, engine: str, at: Path, purpose: str, *, one_place: bool) -> None:
        self.checker.connection(place.connection, (*at, "connection"))
        if place.path is not None:
            self.checker.path(place.path, (*at, "path"))
        if engine and one_place:
            self.checker.format(place.format, place.path, place.options, engine, at, purpose)

    # --- steps ------------------------------------------------------------------------------------------------------

    def _steps(self, node: Node, engine: str, at: Path) -> None:
        assert node.transform is not None
        for index, step in enumerate(node.transform.steps):
            here = (*at, index)
            if isinstance(step, Sql):
                self._sql(node, step.sql, here)
                if engine:
                    remedy = "Use an operation or a function, or another engine."
                    self.checker.able("engine", engine, "sql", (*here, "sql"), remedy)
            elif isinstance(step, Operation):
                where, options_at = (*here, "operation"), (*here, "params")
                if engine:
                    self.checker.component("transform", step.operation, step.params, where, options_at, engine=engine)
            else:
                framed = index > 0 or bool(node.read or node.function or node.depends_on)
                self._function(step, here, framed=framed)

    def _sql(self, node: Node, sql: str, at: Path) -> None:
        if not sql.strip():
            self.say("the SQL is empty", at, "Write a query.")
            return
        visible = {name.lower() for name in (*node.depends_on, *node.arguments, CURRENT)}
        for name in sorted(table_names(sql)):
            if name in self.nodes and name not in visible:
                known = self.nodes[name]
                if known == node.name:
                    what, remedy = f"{known!r} is this node itself", f"The current frame is called {CURRENT!r}."
                else:
                    what = f"{known!r} is a node but not an input of {node.name!r}"
                    remedy = f"Add it to depends_on: [{', '.join((*node.depends_on, known))}]."
                self.say(what, (*at, "sql"), remedy)

    def _node_function(self, node: Node, at: Path) -> None:
        function = self._resolve(node.function, (*at, "function"))
        signature = self._signature(function)
        if signature is None:
            return
        inputs = {name: name for name in node.depends_on} | {alias: alias for alias in node.arguments}
        known = _keywords(signature)
        self._unknown_params(node.params, known, signature, (*at, "params"))
        for parameter in node.arguments:
            if parameter not in known and not _takes_any(signature):
                remedy = did_you_mean(parameter, known) or "It has no parameters."
                self.say(
                    f"the function has no parameter {parameter!r}", (*at, "arguments", parameter), remedy, key=True
                )
        missing = [name for name in _required(signature) if name not in inputs and name not in node.params]
        for name in missing:
            remedy = "Name it in depends_on if it is an input, else give it in params."
            self.say(f"the function needs {name!r}", (*at, "function"), remedy)

    def _function(self, step: Function, at: Path, *, framed: bool) -> None:
        function = self._resolve(step.function, (*at, "function"))
        signature = self._signature(function)
        if signature is None:
            return
        first = next((name for name in signature.parameters if name != "context"), None)
        first = None if first in step.params or not framed else first
        known = [name for name in _keywords(signature) if name not in ("context", first)]
        self._unknown_params(step.params, known, signature, (*at, "params"))
        for name in _required(signature):
            if name not in step.params and name != first:
                remedy = "Give it in params." if framed else "Give it in params, or give the node an input."
                self.say(f"the function needs the parameter {name!r}", (*at, "function"), remedy)

    def _unknown_params(
        self, params: Mapping[str, Any], known: Iterable[str], signature: inspect.Signature, at: Path
    ) -> None:
        if _takes_any(signature):
            return
        for name in params:
            if name not in known:
                remedy = did_you_mean(name, known) or "It takes no params."
                self.say(f"the function has no parameter {name!r}", (*at, name), remedy, key=True)

    def _resolve(self, function: Any, at: Path) -> Callable[..., Any] | None:
        if callable(function):
            return function  # type: ignore[no-any-return]
        project = self.checker.project
        try:
            return resolve_function(str(function), project.functions, project.root)
        except ConfigError as error:
            for problem in error.problems:
                self.say(problem.what, at, problem.remedy)
            return None

    def _signature(self, function: Callable[..., Any] | None) -> inspect.Signature | None:
        if function is None:
            return None
        if function not in self._signatures:
            try:
                self._signatures[function] = inspect.signature(function)
            except (TypeError, ValueError):  # some functions written in C do not say
                self._signatures[function] = None
        return self._signatures[function]

    # --- validation -------------------------------------------------------------------------------------------------

    def _validation(self, validation: Validation, engine: str, at: Path) -> None:
        ranges: list[tuple[Range, Path]] = [
            (each, (*at, "ranges", column)) for column, each in validation.ranges.items()
        ]
        if validation.row_count is not None:
            ranges.append((validation.row_count, (*at, "row_count")))
        for each, where in ranges:
            self._range(each, where)
        for column, pattern in validation.regex.items():
            try:
                re.compile(pattern)
            except re.error as error:
                what = f"{pattern!r} is not a regular expression: {error}"
                self.say(what, (*at, "regex", column), "Correct it; in YAML, single quotes leave backslashes alone.")
        for column, values in validation.allowed_values.items():
            if not values:
                self.say(f"no value is allowed in {column!r}", (*at, "allowed_values", column), "Name the values.")
        if validation.freshness is not None:
            try:
                seconds(validation.freshness.max_age)
            except ValueError as error:
                self.say(str(error), (*at, "freshness", "max_age"))
        if validation.max_rows < 0:
            self.say(f"max_rows is {validation.max_rows}", (*at, "max_rows"), "Give 0 or more.")
        self._rules(validation, at)
        self._quarantine(validation, engine, at)

    def _range(self, each: Range, at: Path) -> None:
        if each.min is None and each.max is None:
            self.say("a range needs min or max", at, "Give at least one of them.")
        elif each.min is not None and each.max is not None:
            try:
                turned = each.min > each.max
            except TypeError:
                what = f"min {each.min!r} and max {each.max!r} cannot be compared"
                self.say(what, at, "Give two numbers, or two dates.")
            else:
                if turned:
                    self.say(f"min {each.min!r} is above max {each.max!r}", at, "Exchange them.")

    def _rules(self, validation: Validation, at: Path) -> None:
        seen: set[str] = set()
        for index, rule in enumerate(validation.rules):
            here = (*at, "rules", index)
            if (rule.expression is None) == (rule.sql is None):
                said = "has both" if rule.sql else "has neither"
                what = f"the rule {rule.name!r} needs either an expression or sql, and {said}"
                self.say(what, here, "Give exactly one.")
            if rule.name in seen:
                self.say(f"two rules are called {rule.name!r}", (*here, "name"), "Rename one of them.")
            seen.add(rule.name)

    def _quarantine(self, validation: Validation, engine: str, at: Path) -> None:
        wanted = [validation.on_fail, *(rule.on_fail for rule in validation.rules)]
        quarantine = validation.quarantine
        if quarantine is None:
            if OnFail.QUARANTINE in wanted:
                remedy = "Give 'quarantine' with a connection and a path."
                self.say("on_fail is quarantine, but there is no place for the bad rows", (*at, "on_fail"), remedy)
            return
        here = (*at, "quarantine")
        self.checker.connection(quarantine.connection, (*here, "connection"))
        self.checker.path(quarantine.path, (*here, "path"))
        if engine:
            self.checker.format(quarantine.format, quarantine.path, quarantine.options, engine, here, "write")


def _starts_by_itself(step: Any) -> bool:
    """Whether a first step may make a frame from nothing: a function, or a query that names no table."""
    return isinstance(step, Function) or (isinstance(step, Sql) and not table_names(step.sql))


def _keywords(signature: inspect.Signature) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, parameter in signature.parameters.items() if parameter.kind in kinds]


def _takes_any(signature: inspect.Signature) -> bool:
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())


def _required(signature: inspect.Signature) -> list[str]:
    return [
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and name != "context"
    ]
