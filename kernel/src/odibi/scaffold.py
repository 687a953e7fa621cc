"""A project inferred from a folder of data: what ``odibi init --from`` writes."""

from __future__ import annotations

import os
import re
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from odibi.contracts.format import Source
from odibi.errors import ConfigError, OdibiError, Problem
from odibi.formats import format_of
from odibi.model import Connection, OnFail, Project, Read, Validation
from odibi.redact import Redactor
from odibi.run.resources import Resources
from odibi.run.sql import dialect_of, identifier
from odibi.run.validation import validate

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence
    from pathlib import Path

    from odibi.contracts.engine import Engine, Frame, Session
    from odibi.host import Host

LARGEST = 256 << 20
"""Bytes; of a larger file only the beginning is looked at, which says nothing about all of its rows."""

MOST_TABLES = 200
MOST_VALUES = 8
"""Different texts that a column may have for them to look like a closed list, each in many rows."""

_LAKE = "out"
_TEXT = ("string", "large_string", "string_view")  # Arrow's types

_HEAD = """\
# Made by `odibi init` from the files that it found: change it as you like.
# `odibi validate` finds mistakes in this file, `odibi graph` draws it, `odibi run` runs it.

project: {name}

connections:
  source:
    type: local
    base_path: {source}
  lake:
    type: local
    base_path: ./out

pipelines:
"""


class Inferred(NamedTuple):
    """A project made from a folder.

    Attributes:
        files: path to content.
        tables: how many files became nodes.
        left_out: the others, with why.
    """

    files: dict[str, str]
    tables: int
    left_out: Sequence[str]


class _Table(NamedTuple):
    """A data file, looked at.

    Attributes:
        name: of its nodes.
        path, format, options: how it is read.
        columns: as they are called in the file, to what they are called from silver on.
        rules: key of ``validation`` to its value, as YAML.
    """

    name: str
    path: str
    format: str
    options: Mapping[str, str]
    columns: Mapping[str, str]
    rules: Mapping[str, str]


def infer(folder: Path, name: str, target: Path, host: Host) -> Inferred:
    """Make a project that reads every data file of a folder.

    Args:
        folder: of the data; looked at with all that is below it.
        name: of the project.
        target: where the project will be.
        host: reads the data, with the engine that is the default of projects.

    Raises:
        ConfigError: there is no such folder, it holds no data, or too many files.
        PluginError: what is needed for reading is not installed.
    """
    if not folder.is_dir():
        raise ConfigError([Problem(f"there is no folder '{folder}'.", None, "Name one that holds data files.")])
    base, home = folder.resolve(), target.resolve()
    project = Project(name, root=base, connections={"source": Connection("source", "local", {"base_path": str(base)})})
    resources = Resources(project, host, Redactor())
    try:
        left_out: list[str] = []
        tables = _tables(resources, project.engine or "", left_out, skip=_LAKE if base == home else "")
    finally:
        resources.close()
    if not tables:
        said = f" Left out: {'; '.join(left_out[:5])}." if left_out else ""
        raise ConfigError([Problem(f"there are no data files in '{folder}'.{said}", None, "Name another folder.")])
    near = base.is_relative_to(home.parent)
    source = os.path.relpath(base, home) if near else str(base)
    source = source if source.startswith((".", "/")) else f"./{source}"
    return Inferred({"odibi.yaml": _project_text(name, source, tables, left_out)}, len(tables), left_out)


def _tables(resources: Resources, engine_name: str, left_out: list[str], skip: str) -> list[_Table]:
    engine = resources.engine(engine_name)
    names: set[str] = set()
    tables: list[_Table] = []
    for stat in resources.storage("source").list(""):
        parts = stat.path.split("/")
        found = format_of(resources.host, stat.path, engine_name)
        if found is None or any(part.startswith((".", "_")) for part in parts) or (skip and parts[0] == skip):
            continue
        if len(tables) == MOST_TABLES:
            raise ConfigError([Problem(f"there are more than {MOST_TABLES} data files.", None, "Name a folder in it.")])
        try:
            if stat.path.endswith(".txt"):
                raise OdibiError("a text file may be anything; add it by hand if it is a table")
            source, options, frame = _read(resources, engine, engine_name, stat.path, found, stat.size)
            columns = clean_names([column.name for column in engine.inspect(frame).schema])
            rules = _rules(engine, frame, columns, whole=stat.size <= LARGEST)
        except OdibiError as error:
            left_out.append(f"{stat.path}: {' '.join(error.what.split())}")
            continue
        stem = parts[-1].split(".")[0] if len(parts) == 1 else "_".join([*parts[:-1], parts[-1].split(".")[0]])
        tables.append(_Table(_free(clean_name(stem), names), stat.path, source.format_name, options, columns, rules))
    return tables


_ATTEMPTS: Mapping[str, Sequence[Mapping[str, str]]] = {
    "csv": ({}, {"delimiter": "auto"}, {"encoding_fallback": "cp1252"},
            {"delimiter": "auto", "encoding_fallback": "cp1252"})
}  # fmt: skip
"""Options to try, by format, the plainest first."""


def _read(
    resources: Resources, engine: Engine, engine_name: str, path: str, format_name: str, size: int
) -> tuple[Source, Mapping[str, str], Frame]:
    """The frame of a file, and the options with which it makes sense.

    Raises:
        OdibiError: it makes none.
    """
    first: OdibiError | None = None
    for options in _ATTEMPTS.get(format_name, ({},)):
        try:
            source = resources.source(Read("source", path=path, format=format_name, options=options), engine_name)
            frame = engine.read(source) if size <= LARGEST else next(iter(engine.read_chunks(source, 100_000)))
            schema = engine.inspect(frame).schema
        except OdibiError as error:
            first = first or error
            continue
        # One column with a separator in its name was parsed with the wrong one.
        if len(schema) == 1 and re.search(r"[;\t|]", schema[0].name) and "delimiter" not in options:
            continue
        if not schema:
            raise OdibiError("it has no columns")
        return source, options, frame
    raise first or OdibiError("its columns cannot be told apart")


def _rules(engine: Engine, frame: Frame, columns: Mapping[str, str], *, whole: bool) -> dict[str, str]:
    """Rules that the data keep, and that data of this kind can be expected to go on keeping."""
    info = engine.inspect(frame)
    if info.rows == 0:
        return {}
    rules = {"not_empty": "true"}
    if not whole:
        return rules
    plain = [column.name for column in info.schema if column.type in _TEXT or column.type.startswith(("int", "uint"))]
    ids = _ids(plain, columns, info.rows or 0)
    asked = Validation(no_nulls=tuple(columns), unique=tuple((name,) for name in ids), on_fail=OnFail.WARN)
    session = engine.session("init")
    try:
        report = validate(frame, asked, session=session, engine=engine, sensitive=True)
        kept = {result.name for result in report.results if result.passed}
        full = [name for name in columns if f"no_nulls({name})" in kept]
        keys = [name for name in ids if f"unique({name})" in kept and name in full]
        closed = {}
        for column in info.schema:
            if column.type in _TEXT and column.name in full and column.name not in ids:
                values = _closed_list(engine, session, frame, column.name)
                if values and "${" not in columns[column.name]:
                    closed[columns[column.name]] = values
    finally:
        session.close()
    if full:
        rules["no_nulls"] = _flow(columns[name] for name in full)
    if keys and (info.rows or 0) > 1:
        rules["unique"] = _flow([columns[keys[0]]])
    if closed:
        rules["allowed_values"] = "".join(f"\n  {scalar(name)}: {_flow(values)}" for name, values in closed.items())
    return rules


def _closed_list(engine: Engine, session: Session, frame: Frame, name: str) -> list[str]:
    """The values of a column if they look like all that there can be: few, short, and each in many rows."""
    column = identifier(name, dialect_of(engine.dialect))
    query = (
        f"SELECT {column} AS value, count(*) AS n FROM df GROUP BY {column} ORDER BY {column} LIMIT {MOST_VALUES + 1}"  # noqa: S608 - quoted
    )
    found = engine.sample(session.sql(query, {"df": frame}), MOST_VALUES + 1)
    values = [str(row["value"]) for row in found]
    often = all(row["n"] >= 10 for row in found)
    return values if 2 <= len(values) <= MOST_VALUES and often and all(0 < len(each) <= 40 for each in values) else []


def _ids(names: Sequence[str], columns: Mapping[str, str], rows: int) -> list[str]:
    """The columns that look as if they identified a row, the likeliest first."""
    found = [name for name in names if re.search(r"(^|_)(id|key|code|uuid|guid|number|no|nr)$|num$", columns[name])]
    found.sort(key=lambda name: columns[name] != "id")
    # A table's first column is most often its key; of few rows it may be unique by chance.
    first = [name for name in names[:1] if name not in found and name == next(iter(columns)) and rows >= 10]
    return found + first


# --- names ----------------------------------------------------------------------------------------------------------

_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
    all and any as asc both case cast check collate column constraint create cross default desc distinct do else end
    except false fetch for foreign from full grant group having in inner intersect into is join leading left like
    limit natural not null offset on only or order outer primary references right select some table then to trailing
    true union unique using when where window with df
    """,
    )
)


def clean_name(name: str) -> str:
    """A name that SQL takes without quotes: ``Order ID`` and ``orderId`` become ``order_id``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    clean = re.sub(r"\W+", "_", words).strip("_").lower()
    clean = re.sub(r"_+", "_", clean) or "unnamed"
    return f"_{clean}" if clean[0].isdigit() else f"{clean}_" if clean in _RESERVED else clean


def clean_names(names: Sequence[str]) -> dict[str, str]:
    """Each name with its clean one; no two of those are equal. A name that cannot be a key in YAML stays."""
    taken: set[str] = set()
    return {name: name if "${" in name else _free(clean_name(name), taken) for name in names}


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken; is taken afterwards."""
    free = next(each for each in (name if n == 1 else f"{name}_{n}" for n in count(1)) if each not in taken)
    taken.add(free)
    return free


# --- text -----------------------------------------------------------------------------------------------------------

_WORDS: Container[str] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf"}


def scalar(text: str) -> str:
    """The text as a YAML scalar that means exactly it, references (``${``) included."""
    if re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.ASCII) and text.lower() not in _WORDS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${")
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped) + '"'


def _flow(items: Iterable[str]) -> str:
    return f"[{', '.join(map(scalar, items))}]"


def _mapping(items: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{scalar(key)}: {scalar(value)}' for key, value in items.items())}}}"


def _project_text(name: str, source: str, tables: Sequence[_Table], left_out: Sequence[str]) -> str:
    lines = [_HEAD.format(name=scalar(name), source=scalar(source))]
    lines += ["  - pipeline: bronze", "    layer: bronze", "    description: The files as they were delivered."]
    lines += ["    nodes:", *(_indented(_bronze(table)) for table in tables)]
    lines += ["", "  - pipeline: silver", "    layer: silver", "    description: The same, with rules that they keep."]
    lines += ["    nodes:", *(_indented(_silver(table)) for table in tables)]
    if left_out:
        lines += [
            "",
            "# Left out:",
            *(f"#   {''.join(c if c.isprintable() else '?' for c in each)}" for each in left_out),
        ]
    return "\n".join(lines) + "\n"


def _indented(node: Sequence[Any]) -> str:
    head, *rest = "\n".join(node).splitlines()
    return "\n".join([f"      - {head}", *(f"        {line}" for line in rest)])


def _bronze(table: _Table) -> list[str]:
    read = {"connection": "source", "path": table.path, "format": table.format}
    options = f", options: {_mapping(table.options)}" if table.options else ""
    return [
        f"name: bronze_{table.name}",
        f"read: {_mapping(read)[:-1]}{options}}}",
        f"write: {{connection: lake, path: bronze/{table.name}.parquet, format: parquet}}",
    ]


def _silver(table: _Table) -> list[str]:
    lines = [
        f"name: silver_{table.name}",
        f"read: {{connection: lake, path: bronze/{table.name}.parquet, format: parquet}}",
    ]
    renamed = {name: clean for name, clean in table.columns.items() if name != clean}
    if renamed:
        lines += ["transform:", "  steps:", "    - operation: rename", "      params:", "        columns:"]
        lines += [f"          {scalar(name)}: {scalar(clean)}" for name, clean in renamed.items()]
    if table.rules:
        rules = "\n".join(
            f"{key}: {value}" if value[0] != "\n" else f"{key}:{value}" for key, value in table.rules.items()
        )
        lines += ["validation:", *(f"  {line}" for line in rules.splitlines())]
    return [*lines, f"write: {{connection: lake, path: silver/{table.name}.parquet, format: parquet}}"]
