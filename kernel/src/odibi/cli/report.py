"""What came of a run, as data that every display shows in its own way."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import attrs

from odibi.cli.main import notes_of
from odibi.contracts.executor import Outcome, State
from odibi.draw import place_of
from odibi.errors import OdibiError
from odibi.host.firewall import words
from odibi.run.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from odibi.api import LoadedProject, Pipeline
    from odibi.run.result import RunResult


class Failure(NamedTuple):
    """Why a node failed.

    Attributes:
        kind: the class of the error.
        step: what the node was doing; empty if that is not known.
        cause: what went wrong.
        remedy: what to do about it; may be empty.
        notes: more about where it comes from.
        ignored: whether the run goes on and succeeds all the same.
    """

    kind: str
    step: str
    cause: str
    remedy: str
    notes: tuple[str, ...]
    ignored: bool


class NodeRow(NamedTuple):
    """A node and what became of it.

    Attributes:
        pipeline, node: names.
        state: of :class:`odibi.contracts.executor.State`.
        rows: of its result; ``None`` where that is not known.
        duration: seconds.
        attempts: how often it was tried.
        target: what it wrote, as ``connection:path``; empty if it wrote nothing.
        written: the address of that.
        quarantined: rows that validation set aside.
        quarantine: where they are.
        warnings: sentences.
        reason: why it never started.
        failure: why it failed.
    """

    pipeline: str
    node: str
    state: str
    rows: int | None
    duration: float
    attempts: int
    target: str
    written: str
    quarantined: int
    quarantine: str
    warnings: tuple[str, ...]
    reason: str
    failure: Failure | None

    @property
    def name(self) -> str:
        """``pipeline.node``."""
        return f"{self.pipeline}.{self.node}"


class Places:
    """Finds out where the things are that a project's connections hold."""

    def __init__(self, loaded: LoadedProject) -> None:
        self._resources = Resources(loaded.project, loaded.host, loaded.redactor)

    def address(self, connection: str, path: str | None) -> str:
        """A path on this machine, a URI, or ``connection:path`` where the storage cannot say."""
        try:
            uri = self._resources.storage(connection).uri(path or "")
        except Exception:  # it says where something is, after the fact, and must not fail a run
            return f"{connection}:{path or ''}"
        parts = urlsplit(uri)
        return unquote(parts.path) if parts.scheme == "file" and not parts.netloc else uri

    def close(self) -> None:
        """Let go of the connections."""
        self._resources.close()


def rows_of(pipeline: Pipeline, result: RunResult, failed_in: Mapping[str, str], places: Places) -> list[NodeRow]:
    """A row a node of a run, in the order of the graph."""
    nodes = {node.name: node for node in pipeline.model.nodes}
    rows = []
    for name, outcome in result.outcomes.items():
        node = nodes[name]
        target = written = ""
        if outcome.write is not None and not outcome.write.skipped and node.write is not None:
            target = str(place_of(node.write))
            written = places.address(node.write.connection, node.write.path) if node.write.path else target
        quarantine = node.validation.quarantine if node.validation is not None else None
        rows.append(
            NodeRow(
                pipeline=result.pipeline,
                node=name,
                state=outcome.state.value,
                rows=row_count(outcome),
                duration=outcome.duration,
                attempts=outcome.attempts,
                target=target,
                written=written,
                quarantined=outcome.quarantined,
                quarantine=places.address(quarantine.connection, quarantine.path)
                if quarantine is not None and outcome.quarantined
                else "",
                warnings=tuple(outcome.warnings),
                reason=outcome.reason,
                failure=_failure(outcome, failed_in.get(name, ""), name in result.ignored),
            )
        )
    return rows


def row_count(outcome: Outcome) -> int | None:
    """The rows of a node's result, or of what it wrote."""
    if outcome.info is not None and outcome.info.rows is not None:
        return outcome.info.rows
    return outcome.write.rows if outcome.write is not None else None


def cause_of(error: BaseException) -> str:
    """What went wrong, without the remedy."""
    if isinstance(error, OdibiError):
        return f"{error.where}: {error.what}" if error.where and "node '" not in str(error.where) else error.what
    return words(error, place=True)


def _failure(outcome: Outcome, step: str, ignored: bool) -> Failure | None:
    error = outcome.error
    if error is None or outcome.state is not State.FAILED:
        return None
    remedy = error.remedy if isinstance(error, OdibiError) else ""
    return Failure(type(error).__name__, step, cause_of(error), remedy, tuple(notes_of(error)), ignored)


def folders(rows: Iterable[NodeRow], pipelines: Iterable[Pipeline], places: Places) -> dict[str, int]:
    """Where everything is: the root of each connection that was written to, with how many nodes wrote there."""
    nodes = {(pipeline.name, node.name): node for pipeline in pipelines for node in pipeline.model.nodes}
    found: dict[str, int] = {}
    for row in rows:
        node = nodes[row.pipeline, row.node]
        connections = [node.write.connection] if row.written and node.write is not None else []
        if row.quarantine and node.validation is not None and node.validation.quarantine is not None:
            connections.append(node.validation.quarantine.connection)
        for connection in connections:
            root = places.address(connection, None)
            found[root] = found.get(root, 0) + 1
    return found


def plain(value: Any) -> Any:
    """A value of an event as JSON values; what a node computed is left out."""
    if value is None or isinstance(value, bool | int | float | str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, BaseException):
        data = {"type": type(value).__name__, "message": cause_of(value)}
        return {**data, "remedy": value.remedy} if isinstance(value, OdibiError) and value.remedy else data
    if attrs.has(type(value)):
        names = [field.name for field in attrs.fields(type(value)) if field.name != "value"]
        return {name.lstrip("_"): plain(getattr(value, name)) for name in names}
    if hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)
