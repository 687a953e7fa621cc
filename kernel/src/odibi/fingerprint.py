"""Fingerprints: the digests that stand for nodes' results.

A fingerprint is a Merkle digest. It covers the definition of the node, the code of the functions it calls, the plugins
it uses with what they need, the versions of its sources, and the fingerprints of its inputs. Names, retries, timeouts
and descriptions do not count: they do not change a result.

There are two to a node. ``value`` stands for its result, and is what the cache and the nodes downstream go by;
``whole`` also covers where the result is written and how it is validated, and is what must be the same for nothing to
be left to do.
"""

from __future__ import annotations

import hashlib
import re
import sys
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from odibi.code import CodeDigests, differences
from odibi.digest import Undigestible, digest
from odibi.errors import OdibiError, StorageError
from odibi.model import CachePolicy, Function, OnFail, Operation, Sql
from odibi.references import SecretRef, Template
from odibi.sources import MADE_HERE, batch_version, matches, table_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from odibi.contracts.storage import Storage
    from odibi.contracts.trigger import FileVersion
    from odibi.graph import Graph
    from odibi.host import Host
    from odibi.model import Node, Pipeline, Project, Read, Validation, Write
    from odibi.sources import SourceVersion, SourceVersions

LAYOUT = "odibi-1"
"""Goes into every fingerprint; changed when what goes into one changes."""

_GIVEN = "given:"
_NONE: tuple[Any, ...] = ()

_MOMENT = re.compile(
    r"(?<![\w.\"'])(?:now|today|get_current_timestamp|get_current_time|transaction_timestamp|random|uuid|uuidv4|uuidv7"
    r"|gen_random_uuid|nextval|setseed|currval|txid_current|rand|unix_timestamp)\s*\(|"
    r"(?<![\w.\"'])(?:current_timestamp|current_date|current_time|localtimestamp|localtime)\b(?!\s*\.)",
    re.IGNORECASE,
)
_NO_SQL = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", re.DOTALL)


class Surroundings(Protocol):
    """What fingerprints are made from, beside the nodes."""

    project: Project
    host: Host

    def storage(self, connection: str) -> Storage:
        """The connection called ``connection``, built."""
        ...

    def function(self, function: str | Callable[..., Any]) -> Callable[..., Any]:
        """A function by its name in the project."""
        ...

    def format_of(self, path: str | None, engine: str) -> str:
        """The format that the ending of ``path`` means to ``engine``."""
        ...

    def knows_version(self, read: Read, engine: str) -> bool:
        """Whether what a node reads is a table that knows its version."""
        ...

    def table_version(self, read: Read, engine: str) -> str:
        """The version of such a table."""
        ...


@attrs.frozen(eq=False)
class Fingerprint:
    """The fingerprints of one node.

    Attributes:
        base: the digest of everything but the nonce.
        value: of its result.
        whole: of its result, and of where that goes.
        inputs: the ``value`` of each input, in order.
        parts: what went in, by name, each with a short digest: for saying in words what changed.
        code: what its functions do, as :attr:`odibi.code.CodeDigest.parts` has it.
        source: the version of what it reads; ``None`` if it reads nothing that has one.
        without: paths below that source that nodes of the same run write.
        volatile: why its result cannot be known from all this, in words; empty if it can.
        timed: why it has to run although its result is known; empty if it has not.
        nonce: what tells results of a volatile node apart; empty if it is not volatile.
    """

    base: str
    value: str
    whole: str
    inputs: tuple[str, ...]
    parts: Mapping[str, str]
    code: Mapping[str, str]
    source: SourceVersion | None = None
    without: tuple[str, ...] = ()
    volatile: str = ""
    timed: str = ""
    nonce: str = ""


@attrs.frozen
class Definition:
    """What the definition of a node gives to its fingerprints, whatever its inputs and sources are."""

    result: str
    whole: str
    parts: Mapping[str, str]
    volatile: str
    timed: str
    functions: tuple[Callable[..., Any], ...]


class Fingerprints:
    """Makes the fingerprints of one pipeline's nodes; keeps what does not change from run to run.

    Args:
        pipeline: whose nodes they are.
        around: knows the project, its plugins and its functions.
    """

    def __init__(self, pipeline: Pipeline, around: Surroundings) -> None:
        self._pipeline = pipeline
        self._around = around
        self._code = CodeDigests()
        self._definitions: dict[int, tuple[Node, Definition]] = {}
        self._last: dict[int, tuple[tuple[Any, ...], Fingerprint]] = {}
        self._connections: dict[str, Any] = {}
        self._packages: dict[tuple[str, str], str] = {}

    def of(
        self,
        graph: Graph,
        sources: SourceVersions,
        nonce: Callable[[str, str, float | None], str],
        given: Mapping[str, Any] | None = None,
        files: Mapping[str, Sequence[FileVersion]] | None = None,
        increment: Callable[[str, SourceVersion | None], SourceVersion] | None = None,
    ) -> list[Fingerprint]:
        """The fingerprints of all nodes of a graph, in its order of positions.

        Args:
            graph: nodes of the pipeline.
            sources: versions of what is read.
            nonce: a node's name, its ``base`` and its ttl to what tells its results apart; asked for volatile nodes
                and for those with a ttl.
            given: values handed to the run, by name.
            files: stream to the files of its batch; they stand for all that the reads of that stream mean.
            increment: a node's name and the version of its source to what stands for it where the read is incremental.
        """
        count = len(graph.nodes)
        values = [""] * count + [self._given(name, (given or {}).get(name)) for name in graph.given]
        found: list[Any] = [None] * count
        makers = _makers(graph, self._connection)
        nodes, slots_of = graph.nodes, graph.inputs
        batches = {stream: batch_version(each) for stream, each in files.items()} if files else {}
        looked_at: set[Any] = set()  # what many functions use is looked at once
        for at in graph.order:
            slots = slots_of[at]
            inputs = tuple([values[slot] for slot in slots]) if slots else _NONE
            before = [(path, found[maker].whole) for maker, path in makers[at]] if at in makers else ()
            found[at] = made = self._node(nodes[at], inputs, sources, batches, nonce, looked_at, before, increment)
            values[at] = made.value
        return found

    # --- one node ---------------------------------------------------------------------------------------------------

    def _node(
        self,
        node: Node,
        inputs: tuple[str, ...],
        sources: SourceVersions,
        batches: Mapping[str, SourceVersion],
        nonce: Callable[[str, str, float | None], str],
        looked_at: set[Any],
        made_before: Sequence[tuple[str, str]],
        increment: Callable[[str, SourceVersion | None], SourceVersion] | None,
    ) -> Fingerprint:
        known = self._definitions.get(id(node))
        if known is None:
            known = self._definitions[id(node)] = (node, self._definition(node))
        definition = known[1]
        code_of = self._code.of
        functions = definition.functions
        codes = tuple([code_of(function, looked_at) for function in functions]) if functions else _NONE
        source, trouble = None, ""
        without: tuple[str, ...] = ()
        if node.read is not None and node.read.path is not None:
            try:
                without = tuple([path.strip("/") for path, _ in made_before])
                batch = batches.get(node.read.stream) if node.read.stream is not None else None
                source = (
                    batch
                    or self._table(node, node.read, made_before)
                    or sources.of(node.read.connection, node.read.path, without)
                )
                if made_before:
                    # What a node of this run writes is known by that node, before it is there.
                    whole = _join(source.digest, *(fingerprint for _, fingerprint in made_before))
                    source = attrs.evolve(source, digest=whole)
            except StorageError as error:
                trouble = f"what it reads cannot be looked at: {error.what}"
        if increment is not None and node.read is not None and node.read.incremental is not None:
            source, trouble = increment(node.name, source), ""
        # What has not changed since the last time is the very same object, and comparing these costs next to nothing.
        key = (inputs, codes, source, trouble)
        last = self._last.get(id(node))
        if last is not None and last[0] == key:
            made = last[1]
        else:
            made = self._make(definition, inputs, codes, source, without, trouble, unversioned=not node.version)
            self._last[id(node)] = (key, made)
        ttl = node.cache.ttl if type(node.cache) is CachePolicy else None
        if ttl is None and not made.volatile:
            return made
        each = nonce(node.name, made.base, ttl)
        value = _join(made.base, each)
        return attrs.evolve(made, nonce=each, value=value, whole=_join(value, definition.whole))

    def _make(
        self,
        definition: Definition,
        inputs: tuple[str, ...],
        codes: tuple[Any, ...],
        source: SourceVersion | None,
        without: tuple[str, ...],
        trouble: str,
        *,
        unversioned: bool,
    ) -> Fingerprint:
        unknown = next((code.unknown for code in codes if code.unknown), "") if unversioned else ""
        base = _join(
            definition.result, *(code.digest for code in codes), source.digest if source else "", "inputs", *inputs
        )
        parts = dict(definition.parts)
        functions: dict[str, str] = {}
        for code in codes:
            functions.update(code.parts)
        if source is not None:
            parts["source"] = source.digest[:16]
        return Fingerprint(
            base,
            base,
            _join(base, definition.whole),
            inputs,
            parts,
            functions,
            source,
            without,
            definition.volatile or unknown or trouble or _unknown_input(inputs),
            definition.timed,
        )

    def _table(self, node: Node, read: Read, made_before: Sequence[tuple[str, str]]) -> SourceVersion | None:
        """The version of a table that knows its own; ``None`` where its objects have to be looked at."""
        engine = node.engine or self._pipeline.engine or self._around.project.engine or ""
        if not self._around.knows_version(read, engine):
            return None
        if made_before:
            return MADE_HERE
        return table_version(self._around.table_version(read, engine))

    # --- definitions ------------------------------------------------------------------------------------------------

    def _definition(self, node: Node) -> Definition:
        """What does not depend on inputs, sources and code."""
        engine = node.engine or self._pipeline.engine or self._around.project.engine or ""
        volatile = "its cache is false" if _never(node) else ""
        functions: list[Callable[..., Any]] = []
        if node.function is not None:
            functions.append(self._around.function(node.function))
        described: dict[str, Any] = {
            "inputs": [list(node.depends_on), dict(node.arguments)],
            "params": _told(node.params),
            "version": node.version,
            "python": list(sys.version_info[:2]),
        }
        used: list[tuple[str, str]] = []
        if node.read is not None:
            described["read"] = self._read(node.read, engine, used)
            if node.read.path is None and node.read.incremental is None:  # an increment has a version of its own
                what = "a table" if node.read.table else "a query"
                volatile = volatile or ("" if node.version else f"it reads {what}, which has no version to go by")
        steps: list[Any] = []
        for step in node.transform.steps if node.transform is not None else ():
            steps.append(self._step(step, engine, functions, used))
            if isinstance(step, Sql) and not node.version:
                volatile = volatile or _moment(step.sql)
        described["steps"] = steps
        engined = bool(node.read or node.transform or node.write or node.validation)
        if engined:
            used.append(("engine", engine))
            described["engine"] = [engine, _told(self._around.project.engines.get(engine, {}))]
        whole: dict[str, Any] = {}
        if node.validation is not None:
            rules = self._validation(node.validation, engine, used)
            whole["validation"] = rules
            if _sets_aside(node.validation):
                described["validation"] = rules
        if node.write is not None:
            whole["write"] = self._write(node.write, engine, used)
        described["plugins"] = self._versions(used)
        parts: dict[str, str] = {}
        try:
            for name, value in [*described.items(), *whole.items()]:
                parts[name] = digest(value, name=name)[:16]
            result, rest = digest([LAYOUT, described]), digest([LAYOUT, whole])
        except Undigestible as error:
            # Without a version nobody can tell whether it is the same; with one, its author says so.
            volatile = volatile or ("" if node.version else f"{error.what}; give the node a 'version'")
            result, rest = digest([LAYOUT, node.name, node.version]), digest([LAYOUT, node.name])
        return Definition(result, rest, parts, volatile, _timed(node.validation), tuple(functions))

    def _step(
        self,
        step: Any,
        engine: str,
        functions: list[Callable[..., Any]],
        used: list[tuple[str, str]],
    ) -> list[Any]:
        if isinstance(step, Sql):
            return ["sql", step.sql]
        if isinstance(step, Operation):
            used.append(("transform", self._resolved("transform", engine, step.operation)))
            return ["operation", step.operation, _told(step.params)]
        assert isinstance(step, Function)
        functions.append(self._around.function(step.function))
        return ["function", len(functions), _told(step.params)]

    def _read(self, read: Read, engine: str, used: list[tuple[str, str]]) -> dict[str, Any]:
        described = {
            **self._place(read, engine, used),
            "query": read.query,
            "columns": None if read.columns is None else list(read.columns),
        }
        if read.incremental is not None:
            described["incremental"] = read.incremental.column
        return described

    def _write(self, write: Write, engine: str, used: list[tuple[str, str]]) -> dict[str, Any]:
        return {
            **self._place(write, engine, used),
            "mode": write.mode.value,
            "partition_by": list(write.partition_by),
            "keys": list(write.keys),
        }

    def _place(self, place: Any, engine: str, used: list[tuple[str, str]]) -> dict[str, Any]:
        name = place.format
        if name is None and place.path is not None:
            try:
                name = self._around.format_of(place.path, engine)
            except OdibiError:
                name = ""  # the node will say it better
        if name:
            used.append(("format", self._resolved("format", engine, name)))
        return {
            "connection": self._connection(place.connection),
            "path": place.path,
            "table": getattr(place, "table", None),
            "format": name,
            "options": _told(place.options),
        }

    def _validation(self, validation: Validation, engine: str, used: list[tuple[str, str]]) -> Any:
        rules = attrs.asdict(validation, recurse=True, value_serializer=_enum_text)
        if validation.quarantine is not None:
            rules["quarantine"] = self._place(validation.quarantine, engine, used)
        return rules

    def _connection(self, name: str) -> Any:
        """What a connection is, without its secrets: where they are kept may change, the data does not."""
        found = self._connections.get(name)
        if found is None:
            connection = self._around.project.connections.get(name)
            found = [name] if connection is None else [connection.type, _told(connection.options)]
            self._connections[name] = found
        return found

    def _resolved(self, family: str, engine: str, name: str) -> str:
        try:
            return self._around.host.resolve(family, engine, name)
        except OdibiError:
            return name

    def _versions(self, used: Sequence[tuple[str, str]]) -> list[str]:
        """The packages behind the components that a node uses, with what those need, each with its version."""
        found = set()
        for family, name in used:
            if (family, name) not in self._packages:
                self._packages[family, name] = " ".join(self._around.host.versions_behind(family, name))
            found.add(self._packages[family, name])
        return sorted(found)

    def _given(self, name: str, value: Any) -> str:
        try:
            return digest([LAYOUT, "given", value])
        except Undigestible:
            return f"{_GIVEN}{name}"


def _makers(graph: Graph, connection: Callable[[str], Any]) -> dict[int, list[tuple[int, str]]]:
    """For each node that reads what nodes before it write: these nodes, and where they write."""
    writers = [
        (at, node.write.path.strip("/"), node.write.connection)
        for at, node in enumerate(graph.nodes)
        if node.write is not None and node.write.path is not None
    ]
    found: dict[int, list[tuple[int, str]]] = {}
    if not writers:
        return found
    for at, node in enumerate(graph.nodes):
        read = node.read
        if read is None or read.path is None:
            continue
        place = read.path.strip("/")
        same = [
            (maker, path)
            for maker, path, where in writers
            if maker != at
            and (matches(path, place) or place.startswith(f"{path}/"))
            and connection(where) == connection(read.connection)
        ]
        before = graph.ancestors([at]) if same else ()
        if makers := [each for each in same if each[0] in before]:
            found[at] = makers
    return found


def _unknown_input(inputs: Sequence[str]) -> str:
    names = [value.removeprefix(_GIVEN) for value in inputs if value.startswith(_GIVEN)]
    return f"nothing is known of the value given for '{names[0]}'" if names else ""


def _never(node: Node) -> bool:
    return node.cache is False or (isinstance(node.cache, CachePolicy) and not node.cache.enabled)


def _moment(sql: str) -> str:
    found = _MOMENT.search(_NO_SQL.sub(" ", sql))
    return "" if found is None else f"its SQL asks for {found.group().rstrip('( ').lower()}"


def _timed(validation: Validation | None) -> str:
    if validation is None:
        return ""
    if validation.freshness is not None:
        return "its freshness rule depends on the time"
    for rule in validation.rules:
        if _moment(rule.expression or rule.sql or ""):
            return f"its rule '{rule.name}' depends on the time"
    return ""


def _sets_aside(validation: Validation) -> bool:
    """Whether broken rules take rows out of the result."""
    return validation.on_fail is OnFail.QUARANTINE or any(it.on_fail is OnFail.QUARANTINE for it in validation.rules)


def _told(value: Any) -> Any:
    """Options as they were written, secrets by their names."""
    if isinstance(value, SecretRef | Template):
        return f"secret {value}"
    if isinstance(value, dict):
        return {key: _told(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_told(item) for item in value]
    return value


def _enum_text(_: Any, __: Any, value: Any) -> Any:
    return value.value if isinstance(value, OnFail) else value


def _join(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What of a node changed between two results of it, in words; its code first.

    Args:
        before, now: their ``code``, ``parts`` and ``inputs``, as the journal has them.
    """
    yield from differences(before.get("code", {}), now.get("code", {}))
    old, new = before.get("parts", {}), now.get("parts", {})
    for name in dict.fromkeys([*new, *old]):
        if old.get(name) != new.get(name):
            yield _WORDS.get(name, f"its {name} changed")
    old, new = before.get("inputs", {}), now.get("inputs", {})
    for name, value in new.items():
        if name in old and old[name] != value:
            yield f"its input '{name}' changed"


def recorded(fingerprint: Fingerprint, inputs: Sequence[str]) -> dict[str, Any]:
    """What the journal keeps of a fingerprint; ``inputs`` are the names of the node's inputs."""
    kept: dict[str, Any] = {
        "fingerprint": fingerprint.whole,
        "value": fingerprint.value,
        "base": fingerprint.base,
        "parts": dict(fingerprint.parts),
        "inputs": {name: value[:16] for name, value in zip(inputs, fingerprint.inputs, strict=True)},
    }
    if fingerprint.code:
        kept["code"] = dict(fingerprint.code)
    if fingerprint.nonce:
        kept["nonce"] = fingerprint.nonce
    if fingerprint.source is not None and fingerprint.source.checked:
        kept["checked"] = dict(fingerprint.source.checked)
    return kept


_WORDS = {
    "source": "what it reads changed",
    "steps": "its transform changed",
    "plugins": "the version of its engine, or of a plugin it uses, changed",
    "python": "the version of Python changed",
    "inputs": "the list of its inputs changed",
}
