"""JSON Schema (2020-12) of project files, for editors; made from the model and from the options of components.

A schema is a little stricter than the loader, which takes ``"8080"`` for a number: an editor should say so.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from odibi.config.shape import PIPELINE_KEYS, PROJECT_KEYS, PROJECT_OMIT
from odibi.config.sources import NOT_IN_ENVIRONMENT
from odibi.contracts.secret import Secret
from odibi.described import KEY, said_of
from odibi.errors import OdibiError
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
from odibi.structure import OptionField, option_fields

if TYPE_CHECKING:
    from odibi.host import Host

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{", "description": "A reference such as ${NAME}."}
_TEXT: Schema = {"type": ["string", "number", "boolean"]}
_SCALARS: dict[Any, Schema] = {
    str: _TEXT,
    Secret: _TEXT,
    Path: {"type": "string"},
    bool: {"anyOf": [{"type": "boolean"}, _REFERENCE]},
    int: {"anyOf": [{"type": "integer"}, _REFERENCE]},
    float: {"anyOf": [{"type": "number"}, _REFERENCE]},
    types.NoneType: {"type": "null"},
    Any: {},
    object: {},
}
_OPTIONS: Schema = {"type": "object"}
_NAME: Schema = {"type": "string"}
_DURATIONS = (
    (CachePolicy, "ttl"),
    (Checkpoints, "wait"),
    (Incremental, "lateness"),
    (Trigger, "grace"),
    (Trigger, "retry_delay"),
)
_DURATION: Schema = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"\d"}]}


def json_schema(cls: type, *, purpose: Literal["read", "write"] | None = None) -> Schema:
    """The schema of an attrs class: its fields with their help, defaults and aliases.

    Args:
        cls: a class of the model, or a component.
        purpose: leave out the options that have no meaning this way.
    """
    return _Maker().of_class(cls, purpose=purpose)


def project_schema(host: Host | None = None) -> Schema:
    """The schema of a project file.

    Args:
        host: if given, the connections, formats, operations and other components that it has, with their options.
    """
    maker = _Maker(host)
    schema = maker.of_class(Project, keys=PROJECT_KEYS, omit=PROJECT_OMIT)
    properties = schema["properties"]
    properties["imports"] = maker.list_of(_TEXT) | {"description": "Further files, or globs; relative to this one."}
    properties["vars"] = {"type": "object", "description": "Simple values, for ${vars.name}."}
    loose: Schema = {key: {} for key in properties if key not in NOT_IN_ENVIRONMENT}
    properties["environments"] = {
        "type": ["object", "null"],
        "description": "What changes when an environment is chosen.",
        "additionalProperties": {
            "type": ["object", "null"],
            "properties": {**loose, "vars": {}},
            "additionalProperties": False,
        },
    }
    return {"$schema": DIALECT, "title": "Odibi project", **schema, "$defs": maker.definitions}


class _Maker:
    """Makes schemas; classes of the model become definitions that refer to one another."""

    def __init__(self, host: Host | None = None) -> None:
        self.host = host
        self.definitions: dict[str, Schema] = {}
        self._names: dict[Any, str] = {}
        self._special: dict[Any, Callable[[], Schema]] = {
            Connection: lambda: self._components("storage", text=False),
            ComponentConfig: lambda: self._components(None, text=True),
            Step: self._step,
            Pipeline: lambda: self.of_class(Pipeline, keys=PIPELINE_KEYS),
            Node: lambda: self.of_class(Node),
            Read: lambda: self._place(Read, "read"),
            Write: lambda: self._place(Write, "write"),
            Quarantine: lambda: self._place(Quarantine, "write"),
            Validation: self._validation,
            Alert: lambda: self.of_class(Alert) | {"additionalProperties": True},
        }

    # --- types ------------------------------------------------------------------------------------------------------

    def of(self, kind: Any) -> Schema:
        """The schema of values of a type."""
        if kind is Any or (isinstance(kind, type) and kind in _SCALARS):
            return dict(_SCALARS[kind])
        if kind in self._special or attrs.has(kind):
            return self._reference(kind)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {"anyOf": [{"enum": [member.value for member in kind]}, _REFERENCE]}
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (typing.Union, types.UnionType):
            members = [
                self.of(m) for m in arguments if typing.get_origin(m) is not typing.get_origin(Callable[..., Any])
            ]
            return members[0] if len(members) == 1 else {"anyOf": members}
        if origin in (tuple, list, set, frozenset) or (origin and issubclass(origin, typing.Sequence)):
            return self.list_of(self.of(arguments[0]) if arguments else {})
        if origin and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1]) if arguments else {}}
        return {}

    def list_of(self, item: Schema) -> Schema:
        """A list, or for text a single value."""
        listed: Schema = {"type": "array", "items": item}
        return {"anyOf": [listed, {"type": "string"}]} if item == _TEXT else listed

    def _reference(self, kind: Any) -> Schema:
        if kind not in self._names:
            short = "Step" if kind == Step else kind.__name__
            taken = sum(name.rstrip("0123456789") == short for name in self._names.values())
            name = self._names[kind] = (
                f"{short}{taken + 1}" if taken else short
            )  # two plugins may have a class "Column"
            self.definitions[name] = self._special.get(kind, lambda: self.of_class(kind))()
        return {"$ref": f"#/$defs/{self._names[kind]}"}

    def of_class(
        self,
        cls: type,
        *,
        keys: Mapping[str, str] | None = None,
        omit: tuple[str, ...] = (),
        purpose: str | None = None,
    ) -> Schema:
        """The schema of an attrs class, written out."""
        said = _attribute_docs(cls)
        fields = [f for f in option_fields(cls) if f.name not in omit and (not purpose or f.only in (None, purpose))]
        properties: dict[str, Schema] = {}
        renamed = keys or {}
        for field in fields:
            schema = self._field(cls, field, said)
            for key in (renamed.get(field.name, field.key), *field.aliases):
                properties[key] = schema
        required = [renamed.get(f.name, f.key) for f in fields if f.required and not f.aliases]
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        about = (cls.__doc__ or "").strip().split("\n")[0]
        # attrs writes a docstring of its own for classes that have none.
        return {"description": about, **schema} if about and not about.startswith("Method") else schema

    def _field(self, cls: type, field: OptionField, said: Mapping[str, str]) -> Schema:
        schema = self._component_field(cls, field) or (dict(_NAME) if field.connection else self.of(field.type))
        about = field.help or said.get(field.name, "")
        if about:
            schema = {**schema, "description": about}
        default = field.default.value if isinstance(field.default, Enum) else field.default
        if isinstance(default, str | bool | int | float) and not (field.required or field.secret):
            schema = {**schema, "default": default}
        return schema

    # --- shapes that are not their class's --------------------------------------------------------------------------

    def _component_field(self, cls: type, field: OptionField) -> Schema | None:
        if (cls, field.name) in _DURATIONS:
            return {"anyOf": [*_DURATION["anyOf"], {"type": "null"}]}
        if cls is Node and field.name == "cache":
            return {"anyOf": [*_DURATION["anyOf"], {"type": "boolean"}, self.of(CachePolicy), {"type": "null"}]}
        if cls is not Project:
            return None
        if field.name == "checkpoints":
            return self._with_own("checkpoint", Checkpoints, text=True)
        if field.name == "triggers":
            return {"type": "object", "additionalProperties": self._with_own("trigger", Trigger, text=False)}
        single = {"cache": "cache", "executor": "executor"}
        named = {"secrets": "secret"}
        listed = {"metrics": "metric", "observers": "observer"}
        if field.name in single:
            return self._components(single[field.name], text=True)
        if field.name in named:
            return {"type": "object", "additionalProperties": self._components(named[field.name], text=True)}
        if field.name in listed:
            return {"type": "array", "items": self._components(listed[field.name], text=True)}
        return None

    def _components(self, family: str | None, *, text: bool) -> Schema:
        """``{type: NAME, ...options}``, or the name alone."""
        known = self._schemas(family) if family else {}
        shape: Schema = {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}}
        if known:
            shape = {"oneOf": [_typed(name, schema) for name, schema in known.items()]}
        return {"anyOf": [{"type": "string"}, shape]} if text else shape

    def _with_own(self, family: str, cls: type, *, text: bool) -> Schema:
        """The shape of a component with the kernel's own keys, the fields of ``cls``, beside its options."""
        own = self.of_class(cls, omit=("options", "type"))["properties"]
        schema = self._components(family, text=text)
        shape = schema["anyOf"][1] if text else schema
        for each in shape.get("oneOf", [shape]):
            each["properties"] = {**each["properties"], **own}
        return schema

    def _schemas(self, family: str, purpose: str | None = None) -> dict[str, Schema | None]:
        """The schemas of a family's components; ``None`` for one that is broken, whose options are not known.

        Where a plugin has a manifest, they are taken from that.
        """
        found: dict[str, Schema | None] = {}
        if self.host is None:
            return found
        for name in self.host.names(family):
            described = self.host.description(family, name)
            if described is not None:
                found[name] = _plain_schema(described.schema, purpose)
                continue
            try:
                found[name] = self.of_class(self.host.component(family, name), purpose=purpose)
            except OdibiError:
                found[name] = None
        return found

    def _place(self, cls: type, purpose: Literal["read", "write"]) -> Schema:
        schema = self.of_class(cls)
        schema["properties"]["options"] = {**_OPTIONS, "description": "The format's options."}
        choices = self._by_name("format", "format", "options", purpose)
        return {**schema, "allOf": choices} if choices else schema

    def _by_name(self, family: str, key: str, options: str, purpose: Literal["read", "write"] | None) -> list[Schema]:
        """For each component: if ``key`` names it, then ``options`` are its own. Engines' namesakes count together."""
        by_name: dict[str, list[Schema]] = {}
        for full, schema in self._schemas(family, purpose).items():
            by_name.setdefault(full.rpartition(".")[2], []).append(_OPTIONS if schema is None else schema)
        return [
            {
                "if": {"properties": {key: {"const": name}}, "required": [key]},
                "then": {"properties": {options: schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}},
            }
            for name, schemas in by_name.items()
        ]

    def _step(self) -> Schema:
        shapes: list[Schema] = [{"type": "string", "description": "SQL over the node's inputs."}]
        for cls, key in ((Sql, "sql"), (Function, "function"), (Operation, "operation")):
            properties: Schema = {key: {"type": "string"}}
            properties["params"] = {"type": ["object", "null"], **({"maxProperties": 0} if cls is Sql else {})}
            about = (cls.__doc__ or "").split("\n")[0].removeprefix("A step: ")
            shapes.append({"type": "object", "description": about, "properties": properties, "required": [key],
                           "additionalProperties": False})  # fmt: skip
        choices = self._by_name("transform", "operation", "params", None)
        if choices:
            shapes[-1]["allOf"] = choices
        return {"anyOf": shapes}

    def _validation(self) -> Schema:
        schema = self.of_class(Validation)
        names = self.list_of(_TEXT)
        about = schema["properties"]["unique"].get("description", "")
        schema["properties"]["unique"] = {
            "anyOf": [*names["anyOf"], {"type": "array", "items": names}], "description": about,
        }  # fmt: skip
        return schema


def _typed(name: str, schema: Schema | None) -> Schema:
    if schema is None:
        return {"type": "object", "required": ["type"], "properties": {"type": {"const": name}}}
    properties = {"type": {"const": name}, **schema["properties"]}
    return {**schema, "properties": properties, "required": ["type", *schema["required"]]}


def _plain_schema(schema: Mapping[str, Any], purpose: str | None) -> Schema:
    """A manifest's schema without what is meant for the kernel, and without what has no meaning this way."""
    kept = {
        key: {word: value for word, value in each.items() if word != KEY}
        for key, each in schema["properties"].items()
        if not purpose or each.get(KEY, {}).get("only") in (None, purpose)
    }
    return {**schema, "properties": kept, "required": [key for key in schema["required"] if key in kept]}


def component_schema(cls: type) -> Schema:
    """The schema of a component's options for a manifest: complete in itself, with the kernel's notes on each.

    Args:
        cls: the component's class.
    """
    maker = _Maker()
    schema = maker.of_class(cls)
    for field in option_fields(cls):
        said = said_of(field)
        for key in (field.key, *field.aliases):
            schema["properties"][key] = {**schema["properties"][key], KEY: said}
    inlined = _inlined(schema, maker.definitions, ())
    assert isinstance(inlined, dict)
    return inlined


def _inlined(schema: Any, definitions: Mapping[str, Schema], inside: tuple[str, ...]) -> Any:
    """The schema with its definitions in place; one that contains itself is any mapping the second time."""
    if isinstance(schema, dict):
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        if not name:
            return {key: _inlined(each, definitions, inside) for key, each in schema.items()}
        rest = {key: each for key, each in schema.items() if key != "$ref"}
        found = _OPTIONS if name in inside else _inlined(definitions[name], definitions, (*inside, name))
        return {**found, **rest}
    return [_inlined(each, definitions, inside) for each in schema] if isinstance(schema, list) else schema


def _attribute_docs(cls: type) -> dict[str, str]:
    """What the ``Attributes:`` section of a docstring says of each attribute."""
    section = re.search(r"^ *Attributes:\n(.*?)(?:\n\s*\n(?=\S)|\Z)", cls.__doc__ or "", re.DOTALL | re.MULTILINE)
    if section is None:
        return {}
    found: dict[str, str] = {}
    for names, about in re.findall(r"^ {8}([\w, ]+): (.*(?:\n {12,}.*)*)", section.group(1), re.MULTILINE):
        for name in names.split(","):
            text = " ".join(about.split())
            found[name.strip()] = text[:1].upper() + text[1:]
    return found
