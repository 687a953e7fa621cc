"""ODIBI CORE step tables as a project: the rows become the same tree that a project file gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from odibi.config.steprows import DATABASES, Row, read_rows
from odibi.config.tree import Items, Table, from_plain
from odibi.errors import ConfigError, Position, Problem
from odibi.structure import describe, did_you_mean

FILES = "files"
"""The connection at the table's own folder, for paths of steps that name no connection."""

_READS, _WRITES = ("ingest",), ("store", "publish")
_TYPES = ("sql", "function", "config_op", "api")
_URL_TYPES = {"abfs": "azure_adls", "abfss": "azure_adls", "wasbs": "azure_blob", "s3": "s3"}


def is_step_table(path: Path) -> bool:
    """Whether a file is a step table by its shape: a database, a CSV file, or a JSON list."""
    suffix = path.suffix.lower()
    if suffix in (*DATABASES, ".csv"):
        return True
    if suffix != ".json" or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    except OSError:
        return False


def read_steps(
    path: Path,
    name: str,
    *,
    project: str | None = None,
    layer: str | None = None,
    enabled_only: bool = True,
    engine: str | None = None,
) -> Table:
    """The tree of the project that a step table stands for.

    Args:
        path: the file.
        name: what to call it in messages.
        project, layer, enabled_only, engine: as for :func:`odibi.config.load.load_steps`.
    """
    rows = read_rows(path, name)
    projects = sorted({row.project for row in rows if row.project})
    if project is None and len(projects) > 1:
        what = f"the table holds several projects: {', '.join(projects)}"
        raise ConfigError([Problem(what, Position(name), "Choose one.")])
    if project is not None and project not in projects:
        remedy = did_you_mean(project, projects)
        raise ConfigError([Problem(f"the table holds no steps of project {project!r}", Position(name), remedy)])
    left_out: dict[str, str] = {}
    taken = []
    for row in rows:
        reason = _left_out(row, project, layer, enabled_only)
        if reason is None:
            taken.append(row)
        else:
            left_out |= {str(key): f"step {row.name!r} makes it, but {reason}" for key in row.outputs.values()}
    if not taken:
        raise ConfigError([Problem("no step is left to run", Position(name), "Enable some, or choose another layer.")])
    return _Tables(taken, left_out, engine).project(project or (projects or [path.stem])[0], path, Position(name))


def _left_out(row: Row, project: str | None, layer: str | None, enabled_only: bool) -> str | None:
    if project is not None and row.project not in (project, None):
        return f"belongs to project {row.project!r}"
    if layer is not None and row.layer != layer.lower():
        return f"is in layer {row.layer!r}"
    return "is disabled" if enabled_only and not row.enabled else None


class _Tables:
    """Turns rows into the tree of a project."""

    def __init__(self, rows: Sequence[Row], left_out: Mapping[str, str], engine: str | None) -> None:
        self.rows = rows
        self.left_out = left_out
        self.engine = engine
        self.problems: list[Problem] = []
        self.makers: dict[str, Row] = {}
        self.connections: dict[str, Row] = {}

    def bad(self, row: Row, field: str, what: str, remedy: str = "") -> None:
        self.problems.append(Problem(f"step {row.name!r}: {what}", row.where(field), remedy))

    def project(self, name: str, path: Path, at: Position) -> Table:
        for row in self.rows:
            self._outputs(row)
        connections = Table(at)
        files = {"type": "local", "base_path": str(path.resolve().parent)}
        connections.put(FILES, from_plain(files, at), at, at)
        nodes = Items(at)
        for row in self.rows:
            if row.layer == "connect":
                self._connect(row, connections)
            else:
                nodes.put(self._node(row), row.at)
        if self.problems:
            raise ConfigError(self.problems)
        pipeline = Table(at)
        pipeline.put("pipeline", name, at, at)
        pipeline.put("nodes", nodes, at, at)
        pipelines = Items(at)
        pipelines.put(pipeline, at)
        tree = Table(at)
        for key, value in (("project", name), ("connections", connections), ("pipelines", pipelines)):
            tree.put(key, value, at, at)
        return tree

    def _outputs(self, row: Row) -> None:
        if len(row.outputs) > 1:
            keys = ", ".join(map(str, row.outputs.values()))
            self.bad(row, "outputs", f"it has several outputs: {keys}", "Make it one step for each.")
        for key in row.outputs.values():
            if not isinstance(key, str) or not key:
                self.bad(row, "outputs", f"expected the key of a dataset, found {describe(key)}")
            elif key in self.makers:
                other = self.makers[key]
                what = (
                    f"the dataset {key!r} is made twice; the other step is {other.name!r} at {other.where('outputs')}"
                )
                self.bad(row, "outputs", what, "Give each step's output a key of its own.")
            else:
                self.makers[key] = row
        if row.layer == "connect":
            self.connections[row.name] = row

    def _connect(self, row: Row, connections: Table) -> None:
        options = dict(row.params)
        kind = options.pop("type", options.pop("connection_type", None))
        if row.value:
            scheme, separator, _ = row.value.partition("://")
            local = kind == "local" or (kind is None and not separator and "=" not in row.value)
            kind = kind or ("local" if local else _URL_TYPES.get(scheme, "sql"))
            options.setdefault("base_path" if local else "connection_string", row.value)
        if not isinstance(kind, str):
            self.bad(row, "params", "it does not say what kind of connection it is", "Give 'type' in its params.")
            return
        for key, value in options.items():
            if key.endswith(("_secret", "_key")) and not (isinstance(value, str) and "${" in value):
                remedy = f"Write an environment variable, such as ${{{row.name.upper()}_{key.upper()}}}."
                self.bad(row, "params", f"{key!r} holds or names a secret in plain text", remedy)
        table = self._table(row, {"type": kind, **options}, "params")
        connections.put(row.name, table, row.where("name"), row.at)

    def _node(self, row: Row) -> Table:
        node: dict[str, Any] = {"name": row.name, "layer": row.layer}
        engine = self.engine or row.engine
        if engine != "pandas":
            node["engine"] = engine
        about = row.metadata.get("description")
        if isinstance(about, str):
            node["description"] = about
        node |= self._body(row)
        return self._table(row, node)

    def _body(self, row: Row) -> dict[str, Any]:
        kind = row.type or "config_op"
        if kind not in _TYPES or kind == "api":
            remedy = did_you_mean(kind, _TYPES[:-1])
            self.bad(row, "type", f"a step of type {kind!r} cannot be run", remedy)
            return {}
        inputs = self._inputs(row)
        if not row.value:
            self.bad(row, "value", "its value is empty", "Give the SQL, the function, or the path.")
            return {}
        if kind == "config_op":
            return self._read_or_write(row, inputs)
        if row.layer in _WRITES:
            remedy = "Make it a 'transform' step, and a 'config_op' step that stores its output."
            self.bad(row, "type", f"a {row.layer} step of type {kind!r} has no place to write to", remedy)
            return {}
        edges = self._edges(inputs)
        if kind == "sql":
            if row.params:
                self.bad(row, "params", f"a SQL step takes no params: {', '.join(row.params)}", "Remove them.")
            return {**edges, "transform": {"steps": [{"sql": row.value}]}}
        if len(inputs) == 1:
            return {**edges, "transform": {"steps": [{"function": row.value, "params": row.params}]}}
        return {**edges, "function": row.value, "params": row.params}

    def _inputs(self, row: Row) -> dict[str, str]:
        """Logical name to the step that makes the dataset; connections are left out."""
        inputs = {}
        for logical, key in row.inputs.items():
            maker = self.makers.get(key) if isinstance(key, str) else None
            if maker is None:
                remedy = self.left_out.get(str(key)) or did_you_mean(str(key), self.makers)
                self.bad(row, "inputs", f"no step makes the dataset {key!r}", remedy)
            elif maker.layer != "connect":
                inputs[logical] = maker.name
        return inputs

    def _edges(self, inputs: Mapping[str, str]) -> dict[str, Any]:
        arguments = {logical: maker for logical, maker in inputs.items() if logical != maker}
        return {"depends_on": list(dict.fromkeys(inputs.values())), "arguments": arguments}

    def _read_or_write(self, row: Row, inputs: Mapping[str, str]) -> dict[str, Any]:
        writes = row.layer in _WRITES or (row.layer not in _READS and bool(inputs))
        if row.layer == "transform":
            remedy = "Use the types sql and function to transform, and the layers ingest and store to read and write."
            self.bad(row, "type", "a transform step of type 'config_op' does nothing", remedy)
            return {}
        if writes and len(inputs) != 1:
            self.bad(row, "inputs", f"it stores one dataset, and has {len(inputs)} inputs", "Name one.")
            return {}
        if not writes and inputs:
            self.bad(row, "inputs", f"it reads a source, and has inputs: {', '.join(inputs)}", "Remove them.")
            return {}
        options = dict(row.params)
        place: dict[str, Any] = {"connection": self._connection(row, options)}
        for key in ("format", "source_type", "target_type"):
            if key in options:
                place["format"] = options.pop(key)
        if place.get("format") == "sql" or (not writes and _is_query(row.value)):
            place["table" if not _is_query(row.value) else "query"] = row.value
        else:
            place["path"] = row.value
        for key in ("mode", "partition_by", "keys") if writes else ("columns", "chunk_rows"):
            if key in options:
                place[key] = options.pop(key)
        place["options"] = options
        if writes:
            return {"depends_on": list(inputs.values()), "write": place}
        return {"read": place}

    def _connection(self, row: Row, options: dict[str, Any]) -> str:
        given = options.pop("connection", None)
        made = [self.makers[key].name for key in row.inputs.values()
                if isinstance(key, str) and key in self.makers and self.makers[key].layer == "connect"]  # fmt: skip
        name = given or (made[0] if made else FILES)
        if name != FILES and name not in self.connections:
            self.bad(row, "params", f"there is no connect step {name!r}", did_you_mean(str(name), self.connections))
        return str(name)

    def _table(self, row: Row, data: Mapping[str, Any], field: str = "") -> Table:
        """A tree whose parts point at the cells they come from."""
        table = from_plain(data, row.where(field))
        for key in table:
            at = row.where(_CELLS.get(key, field))
            table.value_at[key] = at
            table[key] = from_plain(data[key], at)
        return table  # type: ignore[no-any-return]


_CELLS = {"name": "name", "layer": "layer", "engine": "engine", "depends_on": "inputs", "arguments": "inputs",
          "read": "value", "write": "value", "transform": "value", "function": "value", "params": "params"}  # fmt: skip


def _is_query(value: str) -> bool:
    words: Iterable[str] = value.split(None, 1)[:1]
    return any(word.lower() in ("select", "with") for word in words)
