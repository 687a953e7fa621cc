"""The rows of ODIBI CORE step tables, from SQLite, CSV or JSON.

No row is ever dropped for what it holds: a cell that cannot be understood is a problem with the row's position.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from odibi.config.json_text import read_json
from odibi.config.text import read_text
from odibi.config.tree import Items, Table, stop
from odibi.errors import ConfigError, Position, Problem
from odibi.structure import describe, did_you_mean, plain

if TYPE_CHECKING:
    import sqlite3

STEPS, SOURCES = "transformation_config", "ingestion_source_config"
DATABASES = (".db", ".sqlite", ".sqlite3")

_KEYS = {key: key for key in ("layer", "name", "type", "engine", "value", "params", "inputs", "outputs", "metadata")}
_COLUMNS = {
    "project": "project", "enabled": "enabled", "execution_order": "order", "Layer": "layer", "StepName": "name",
    "StepType": "type", "Engine": "engine", "Value": "value", "Params": "params", "Inputs": "inputs",
    "Outputs": "outputs", "Metadata": "metadata",
}  # fmt: skip
_SOURCE_COLUMNS = {
    "source_id": "name", "SourceID": "name", "project": "project", "enabled": "enabled", "engine": "engine",
    "source_type": "format", "source_path_or_query": "value", "SourcePath": "value", "target_id": "target",
    "TargetID": "target",
}  # fmt: skip
_MAPPINGS = ("params", "inputs", "outputs", "metadata")
_TRUE, _FALSE = {"1", "true", "yes", "on", "y", "t"}, {"0", "false", "no", "off", "n", "f"}


@attrs.define
class Row:
    """One step as it was written.

    Attributes:
        at: where the row is.
        places: where its cells are, if that is known more exactly.
        type: ``""`` if the row does not say.
        order: ``execution_order``; 0 if the row does not say.
    """

    at: Position
    name: str
    layer: str = "transform"
    type: str = ""
    engine: str = "pandas"
    value: str = ""
    params: Mapping[str, Any] = attrs.field(factory=dict)
    inputs: Mapping[str, Any] = attrs.field(factory=dict)
    outputs: Mapping[str, Any] = attrs.field(factory=dict)
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    project: str | None = None
    enabled: bool = True
    order: float = 0
    places: Mapping[str, Position] = attrs.field(factory=dict)

    def where(self, field: str) -> Position:
        """The position of a cell, or of the row."""
        return self.places.get(field, self.at)


class _Cells:
    """Turns the cells of one row into fields, and keeps what is wrong with them."""

    def __init__(self, problems: list[Problem], at: Position, places: Mapping[str, Position]) -> None:
        self.problems = problems
        self.at = at
        self.places = places

    def bad(self, field: str, what: str, remedy: str = "") -> None:
        self.problems.append(Problem(what, self.places.get(field, self.at), remedy))

    def text(self, field: str, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(getattr(value, "text", value))
        self.bad(field, f"{field!r}: expected text, found {describe(value)}")
        return ""

    def flag(self, field: str, value: Any) -> bool:
        text = str(value).strip().lower()
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        self.bad(field, f"{field!r}: expected 1 or 0, found {describe(value)}", "Say whether the step is enabled.")
        return False

    def order(self, field: str, value: Any) -> float:
        if value is None or value == "":
            return 0
        try:
            return float(value)
        except (TypeError, ValueError):
            self.bad(field, f"'execution_order': expected a number, found {describe(value)}")
            return 0

    def mapping(self, field: str, value: Any) -> Mapping[str, Any]:
        found = value
        if isinstance(value, str) and value.strip():
            try:
                found = json.loads(value, object_pairs_hook=self._pairs(field))
            except (ValueError, RecursionError) as error:
                said = f": {error}" if isinstance(error, json.JSONDecodeError) else ""
                self.bad(field, f"{field!r} is not JSON{said}", 'Write a JSON mapping such as {"key": "value"}.')
                return {}
        if found is None or found == "":
            return {}
        if not isinstance(found, Mapping):
            self.bad(field, f"{field!r}: expected a JSON mapping, found {describe(found)}")
            return {}
        return found

    def _pairs(self, field: str) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
        def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            built = dict(pairs)
            if len(built) < len(pairs):
                self.bad(field, f"{field!r} gives a key twice", "Remove one of them.")
            return built

        return build

    def row(self, cells: Mapping[str, Any]) -> Row:
        name = self.text("name", cells.get("name")).strip()
        if "name" in cells and not name:
            self.bad("name", "the row has no step name", "Name the step.")
        row = Row(self.at, name, places=self.places)
        for field in ("layer", "type", "engine"):
            given = self.text(field, cells.get(field)).strip().lower()
            if given:
                setattr(row, field, given)
        row.value = self.text("value", cells.get("value")).strip()
        for field in _MAPPINGS:
            setattr(row, field, self.mapping(field, cells.get(field)))
        if cells.get("project") is not None:
            row.project = self.text("project", cells["project"]).strip() or None
        if "enabled" in cells:
            row.enabled = self.flag("enabled", cells["enabled"])
        row.order = self.order("order", cells.get("order"))
        return row


def read_rows(path: Path, name: str) -> list[Row]:
    """Every row of a step table, disabled ones too, in the order in which they count.

    Raises:
        ConfigError: the file or a row of it cannot be understood; all such rows.
    """
    problems: list[Problem] = []
    suffix = path.suffix.lower()
    reader = _json_rows if suffix == ".json" else _csv_rows if suffix == ".csv" else _database_rows
    rows = list(reader(path, name, problems))
    if not rows and not problems:
        problems.append(Problem("the step table holds no rows", Position(name), "Add steps, or give another file."))
    if problems:
        raise ConfigError(problems)
    return rows


class _Columns:
    """Column position to field.

    A column of another name is a mistake if it looks like one of ours, or if none other is allowed.
    """

    def __init__(self, names: list[str], known: Mapping[str, str], noun: str, *, strict: bool = False) -> None:
        self.fields: dict[int, str] = {}
        self.mistakes: list[tuple[int, str, str]] = []
        folded = {name.lower(): field for name, field in known.items()}
        for place, name in enumerate(names):
            field = folded.get(name.strip().lower())
            if field is None:
                near = did_you_mean(name.strip(), known, otherwise=strict)
                if near:
                    self.mistakes.append((place, f"unknown {noun} {name!r}", near))
            elif field in self.fields.values():
                self.mistakes.append((place, f"the {noun} {name!r} is there twice", "Remove one of them."))
            else:
                self.fields[place] = field
        if "name" not in self.fields.values():
            missing = next(name for name, field in known.items() if field == "name")
            self.mistakes.append((-1, f"there is no {noun} {missing!r}", "It names the step."))

    def cells(self, record: Sequence[Any]) -> dict[str, Any]:
        return {field: record[place] for place, field in self.fields.items()}


def _json_rows(path: Path, name: str, problems: list[Problem]) -> Iterator[Row]:
    tree = read_json(read_text(path, name), name)
    if not isinstance(tree, Items):
        raise stop(f"expected a list of steps, found {describe(tree)}", Position(name, 1, 1))
    for item, at in zip(tree, tree.value_at, strict=True):
        if not isinstance(item, Table):
            problems.append(Problem(f"expected a step, found {describe(item)}", at))
            continue
        keys = list(item)
        columns = _Columns(keys, {**_KEYS, **_COLUMNS}, "key", strict=True)
        for place, what, remedy in columns.mistakes:
            problems.append(Problem(what, item.key_at[keys[place]] if place >= 0 else at, remedy))
        places = columns.cells(list(item.value_at.values()))
        yield _Cells(problems, at, places).row(columns.cells(list(item.values())))


def _csv_rows(path: Path, name: str, problems: list[Problem]) -> Iterator[Row]:
    import csv

    reader = csv.reader(io.StringIO(read_text(path, name), newline=""), strict=True)
    rows: list[Row] = []
    header: list[str] | None = None
    columns = _Columns([], _COLUMNS, "column")
    line = 1
    try:
        for record in reader:
            at = Position(name, line, 1)
            line = reader.line_num + 1
            if not any(cell.strip() for cell in record):
                continue
            if header is None:
                header = record
                columns = _Columns(record, _COLUMNS, "column")
                problems += [Problem(what, at, remedy) for _, what, remedy in columns.mistakes]
            elif len(record) != len(header):
                what = f"the row has {len(record)} cells, the header {len(header)}"
                problems.append(Problem(what, at, "Put double quotes around a cell with commas or line breaks in it."))
            else:
                rows.append(_Cells(problems, at, {}).row(columns.cells(record)))
    except csv.Error as error:
        problems.append(Problem(f"this is not CSV: {error}", Position(name, line, 1), "Close the quotes of this row."))
    yield from sorted(rows, key=lambda row: row.order)


def _database_rows(path: Path, name: str, problems: list[Problem]) -> Iterator[Row]:
    import sqlite3

    if not path.is_file():
        read_text(path, name)  # says what is the matter
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            found = [
                each[0] for each in database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            ]
            tables = {table.lower(): table for table in found}
            if STEPS not in tables and SOURCES not in tables:
                held = f"it holds {', '.join(sorted(found)[:10])}" if found else "it is empty"
                what = f"there is no table {STEPS!r} or {SOURCES!r}; {held}"
                raise stop(what, Position(name), "Give a database with ODIBI CORE steps.")
            if SOURCES in tables:
                yield from _table_rows(database, tables[SOURCES], name, problems)
            if STEPS in tables:
                yield from _table_rows(database, tables[STEPS], name, problems)
    except sqlite3.Error as error:
        raise stop(f"the database cannot be read: {error}", Position(name), "Give an SQLite file.") from error


def _table_rows(database: sqlite3.Connection, table: str, name: str, problems: list[Problem]) -> Iterator[Row]:
    sources = table.lower() == SOURCES
    quoted = '"' + table.replace('"', '""') + '"'
    cursor = database.execute(f"SELECT * FROM {quoted}")  # noqa: S608 - quoted
    names = [each[0] for each in cursor.description]
    columns = _Columns(names, _SOURCE_COLUMNS if sources else _COLUMNS, "column")
    problems += [Problem(what, Position(f"{name} ({table})"), remedy) for _, what, remedy in columns.mistakes]
    rows = []
    for count, record in enumerate(cursor, start=1):
        at = Position(f"{name} ({table}, row {count})")
        cells = columns.cells(record)
        cells = _source_cells(cells) if sources else {**cells, "type": cells.get("type") or "sql"}
        rows.append(_Cells(problems, at, {}).row(cells))
    yield from sorted(rows, key=lambda row: (row.order, row.name))


def _source_cells(cells: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table of sources as an ingest step."""
    kept = {field: value for field, value in cells.items() if field not in ("format", "target")}
    params = {"format": cells["format"]} if cells.get("format") else {}
    target = cells.get("target") or cells.get("name")
    return {**kept, "layer": "ingest", "type": "config_op", "params": params, "outputs": {"data": plain(target)}}
