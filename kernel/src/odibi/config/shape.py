"""The shape of a project file: how its keys become the model's classes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

import attrs
from cattrs import Converter

from odibi.config.tree import Path
from odibi.contracts.amounts import seconds
from odibi.model import (
    Alert,
    CachePolicy,
    Checkpoints,
    ComponentConfig,
    Connection,
    Function,
    Incremental,
    Node,
    Operation,
    Pipeline,
    Project,
    Quarantine,
    Read,
    Sql,
    Step,
    Trigger,
    Validation,
    Write,
)
from odibi.references import SecretRef, Template, references
from odibi.structure import StructureError, Trouble, class_hook, describe, did_you_mean, new_converter, plain, refuse

PROJECT_KEYS = {"name": "project"}
PIPELINE_KEYS = {"name": "pipeline"}
PROJECT_OMIT = ("root", "functions")
CHECKPOINTS_KEYS = ("type", "resume", "keep_last", "wait")
TRIGGER_KEYS = tuple(field.name for field in attrs.fields(Trigger) if field.name != "options")
_PARTS = ("read", "transform", "validation", "write")

STEP_KINDS = ("sql", "function", "operation")

# What people who come from Odibi 3 write.
_PROJECT_HINTS = {
    "system": "Odibi needs no system connection: remove it.",
    "name": "The name of a project is its 'project' key.",
    "performance": "Set 'executor' and the engine's options in 'engines' instead.",
}
_PIPELINE_HINTS = {"name": "The name of a pipeline is its 'pipeline' key."}
_NODE_HINTS = {
    "transformer": "Write a step: transform: {steps: [{operation: NAME, params: {...}}]}.",
    "pattern": "Write a step: transform: {steps: [{operation: NAME, params: {...}}]}.",
    "inputs": "Name the inputs in 'depends_on'.",
    "contracts": "Write the rules in 'validation' of the node that makes the data.",
    "enabled": "Select nodes with --select instead.",
    "privacy": "Name the columns in 'sensitive'.",
    "columns": "Write it as 'columns' of 'read'.",
}
_VALIDATION_HINTS = {
    "tests": "Each kind of rule is a key of its own: no_nulls, unique, ranges, allowed_values, regex, rules, ...",
    "not_null": "Did you mean 'no_nulls'?",
    "accepted_values": "Did you mean 'allowed_values'?",
    "mode": "Use 'on_fail': error, warn or quarantine.",
}


def is_component_option(path: Path) -> bool:
    """Whether a path into a project leads to an option of a component, where a secret may stand."""
    match path:
        case ("connections" | "engines", _, key, *_):
            return key != "type"
        case ("triggers", _, key, *_):
            return key not in TRIGGER_KEYS
        case ("cache" | "executor", key, *_):
            return key != "type"
        case ("checkpoints", key, *_):
            return key not in CHECKPOINTS_KEYS
        case ("metrics" | "observers", int(), key, *_):
            return key != "type"
        case ("alerts", int(), key, *_):
            return key not in ("type", "on_events")
        case ("pipelines", int(), "nodes", int(), "read" | "write", "options", *_):
            return True
        case ("pipelines", int(), "nodes", int(), "transform", "steps", int(), "params", *_):
            return True
    return False


def is_address_of_an_alert(path: Path) -> bool:
    """Whether a path leads to the address of an alert: whoever has it can send there, so it is a secret."""
    return len(path) == 3 and (path[0], path[2]) == ("alerts", "url")


def _options(data: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """The other keys of a mapping; numbers keep how they were written until an option's type is known."""
    return {key: plain(value, written=True) for key, value in data.items() if key not in known}


def _type_of(data: Any, what: str) -> str:
    if not isinstance(data, Mapping):
        refuse(f"expected a mapping with 'type', found {describe(data)}")
    if "type" not in data:
        near = did_you_mean("type", data, otherwise=False)
        remedy = f"Its options are: {', '.join(data)}." if data and not near else ""
        refuse(f"missing key 'type' of {what}", near.replace("mean", "write 'type' as") if near else remedy)
    name = data["type"]
    if not isinstance(name, str) or not name:
        refuse(f"expected the name of a component, found {describe(name)}", path=("type",))
    return str(name)


def _connection(data: Any, _: Any) -> Connection:
    return Connection("", _type_of(data, "the connection"), _options(data, "type"))


def _component(data: Any, _: Any) -> ComponentConfig:
    if isinstance(data, str) and data:
        return ComponentConfig(str(data))
    return ComponentConfig(_type_of(data, "the component"), _options(data, "type"))


def _checkpoints(converter: Converter) -> Any:
    hook = class_hook(Checkpoints, converter, hooks={"options": _raw_options, "wait": duration, "type": _name})

    def build(data: Any, kind: Any) -> Checkpoints:
        if isinstance(data, str) and data:
            return Checkpoints(str(data))
        _type_of(data, "the checkpoint store")
        known = {key: value for key, value in data.items() if key in CHECKPOINTS_KEYS}
        return hook({**known, "options": _options(data, *CHECKPOINTS_KEYS)}, kind)

    return build


def _trigger(converter: Converter) -> Any:
    own: dict[str, Any] = {"options": _raw_options, "type": _name, "grace": duration, "retry_delay": duration}
    hook = class_hook(Trigger, converter, hooks=own)

    def build(data: Any, kind: Any) -> Trigger:
        _type_of(data, "the trigger")
        known = {key: value for key, value in data.items() if key in TRIGGER_KEYS}
        return hook({**known, "options": _options(data, *TRIGGER_KEYS)}, kind)

    return build


def _name(data: Any, _: Any) -> str:
    return str(data)


def duration(data: Any, _: Any = None) -> float | None:
    """Seconds: a number, or a duration such as ``7d``."""
    if data is None:
        return None
    try:
        return float(data) if isinstance(data, int | float) and not isinstance(data, bool) else seconds(str(data))
    except ValueError:
        refuse(f"{describe(data)} is no duration", "Write a number of seconds, or one with a unit, such as 36h or 7d.")


def _lateness(data: Any, _: Any) -> float | timedelta | None:
    """A number as it is, or a duration: which of them it has to be, only the column tells."""
    if data is None or (isinstance(data, int | float) and not isinstance(data, bool)):
        return plain(data)  # type: ignore[no-any-return]
    try:
        return timedelta(seconds=duration(data) or 0.0)
    except OverflowError:
        refuse(f"{describe(data)} is longer than any calendar", "Write a shorter duration, such as 36h or 7d.")


def _cache_policy(converter: Converter) -> Any:
    hook = class_hook(CachePolicy, converter, hooks={"ttl": duration})
    flag = converter.get_structure_hook(bool)

    def build(data: Any, _: Any) -> CachePolicy | bool | None:
        """``false``, ``true``, a duration, or a mapping."""
        if data is None:
            return None
        if isinstance(data, Mapping):
            return hook(data, CachePolicy)
        if isinstance(data, str) and any(char.isdigit() for char in data):
            return CachePolicy(ttl=duration(data))
        return bool(flag(data, bool))

    return build


def _connections(converter: Converter) -> Any:
    hook = converter.get_structure_hook(Mapping[str, Connection])

    def build(data: Any, _: Any) -> dict[str, Connection]:
        built = hook(data, Mapping[str, Connection])
        return {name: attrs.evolve(connection, name=str(name)) for name, connection in built.items()}

    return build


def _engines(data: Any, _: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(data, Mapping):
        refuse(f"expected a mapping of engines, found {describe(data)}")
    wrong = [((key,), f"expected a mapping of options, found {describe(value)}", "")
             for key, value in data.items() if not isinstance(value, Mapping)]  # fmt: skip
    if wrong:
        raise StructureError(wrong)
    return {str(key): _options(value) for key, value in data.items()}


def _alert(converter: Converter) -> Any:
    known = ("type", "url", "on_events", "metadata", "options")
    hook = class_hook(Alert, converter, hooks={"url": _address})

    def build(data: Any, kind: Any) -> Alert:
        _type_of(data, "the alert")
        alert = hook({key: value for key, value in data.items() if key in known}, kind)
        return attrs.evolve(alert, options={**alert.options, **_options(data, *known)})

    return build


def _address(data: Any, _: Any) -> Any:
    """Text, or what stands for a secret until the alert is built."""
    if data is None or isinstance(data, SecretRef | Template):
        return data
    if not isinstance(data, str):
        refuse(f"expected text, found {describe(data)}")
    return str(data)


def _step(data: Any, _: Any) -> Step:
    if isinstance(data, str):
        return Sql(str(data))
    if not isinstance(data, Mapping):
        refuse(f"expected SQL, or a mapping with one of sql, function, operation, found {describe(data)}")
    allowed = (*STEP_KINDS, "params")
    problems: list[Trouble] = [
        ((key,), f"unknown key {key!r}", did_you_mean(key, allowed)) for key in data if key not in allowed
    ]
    kinds = [key for key in STEP_KINDS if key in data]
    params = data.get("params")
    if params is None:
        params = {}
    if not isinstance(params, Mapping):
        problems.append((("params",), f"expected a mapping, found {describe(params)}", ""))
    if len(kinds) != 1:
        said = f"this one has {' and '.join(kinds)}" if kinds else "this one has none"
        problems.append(((), f"a step is exactly one of sql, function and operation; {said}", "Make it one step each."))
    elif not isinstance(data[kinds[0]], str) or not data[kinds[0]].strip():
        problems.append(((kinds[0],), f"expected text, found {describe(data[kinds[0]])}", ""))
    elif kinds[0] == "function" and references(params):
        remedy = "A function could print it: give it to a connection, or use an environment variable."
        problems.append((("params",), "a secret cannot be given to a function", remedy))
    elif kinds[0] == "sql" and params:
        problems.append((("params",), "a SQL step takes no params", "Write the values into the query."))
    if problems:
        raise StructureError(problems)
    if kinds[0] == "sql":
        return Sql(str(data["sql"]))
    if kinds[0] == "function":
        return Function(str(data["function"]), plain(params))
    return Operation(str(data["operation"]), _options(params))


def _unique(converter: Converter) -> Any:
    names = tuple[str, ...]
    hook = converter.get_structure_hook(names)
    many = converter.get_structure_hook(tuple[names, ...])

    def build(data: Any, _: Any) -> tuple[tuple[str, ...], ...]:
        """``[a, b]`` is one key of two columns; a list of lists is several keys."""
        if isinstance(data, list) and any(isinstance(item, list) for item in data):
            return many(data, tuple[names, ...])  # type: ignore[no-any-return]
        key = hook(data, names)
        return (key,) if key else ()

    return build


def _node(converter: Converter) -> Any:
    hook = class_hook(Node, converter, hooks={"cache": _cache_policy(converter)}, hints=_NODE_HINTS)

    def build(data: Any, kind: Any) -> Node:
        # Nothing below "write:" is nearly always a wrong indentation, and a node that writes nothing is no error.
        parts = [part for part in _PARTS if isinstance(data, Mapping) and part in data and data[part] is None]
        empty: list[Trouble] = [
            ((part,), f"'{part}' is empty", "Indent what belongs to it, or remove the line.") for part in parts
        ]
        try:
            node = hook(data, kind)
        except StructureError as error:
            raise StructureError([*empty, *error.problems]) from None
        if empty:
            raise StructureError(empty)
        return node

    return build


def _optional(hook: Any) -> Any:
    return lambda data, kind: None if data is None else hook(data, kind)


def _raw_options(data: Any, _: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        refuse(f"expected a mapping, found {describe(data)}")
    return _options(data)


@cache
def project_converter() -> Converter:
    """A converter that builds a :class:`~odibi.model.Project` from a project file's tree."""
    converter = new_converter()
    converter.register_structure_hook(Connection, _connection)
    converter.register_structure_hook(ComponentConfig, _component)
    converter.register_structure_hook(Trigger, _trigger(converter))
    converter.register_structure_hook_func(lambda kind: bool(kind == Step), _step)
    converter.register_structure_hook(Incremental, class_hook(Incremental, converter, hooks={"lateness": _lateness}))
    for cls in (Read, Write, Quarantine):
        converter.register_structure_hook(cls, class_hook(cls, converter, hooks={"options": _raw_options}))
    converter.register_structure_hook(Alert, _alert(converter))
    unique = {"unique": _unique(converter)}
    converter.register_structure_hook(
        Validation, class_hook(Validation, converter, hooks=unique, hints=_VALIDATION_HINTS)
    )
    converter.register_structure_hook(Node, _node(converter))
    converter.register_structure_hook(
        Pipeline, class_hook(Pipeline, converter, keys=PIPELINE_KEYS, hints=_PIPELINE_HINTS)
    )
    project = class_hook(
        Project,
        converter,
        keys=PROJECT_KEYS,
        hooks={
            "connections": _connections(converter),
            "engines": _engines,
            "checkpoints": _optional(_checkpoints(converter)),
        },
        omit=PROJECT_OMIT,
        hints=_PROJECT_HINTS,
    )
    converter.register_structure_hook(Project, project)
    return converter
