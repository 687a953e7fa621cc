"""Options as a manifest describes them: into its words, and back, so that they can be checked without the class."""

from __future__ import annotations

import ast
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from odibi.contracts.secret import Secret
from odibi.structure import NO_DEFAULT, OptionField, Trouble, take_options

if TYPE_CHECKING:
    from odibi.host.manifest import Description

KEY = "x-odibi"
"""Under which a property of an option's schema keeps what JSON Schema has no word for."""

_WORDS: Mapping[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "None": None,
    "Secret": Secret,
    "Path": Path,
    "Any": Any,
}
_NAMES = {kind: word for word, kind in _WORDS.items()}


def type_text(kind: Any) -> str:
    """A type in the words of a manifest: ``"int | str | None"``, ``"Sequence[str]"``, ``"Literal['a', 'b']"``.

    What has no word, such as a class of the plugin's own, is ``"Any"``.
    """
    if kind in (types.NoneType, None):
        return "None"
    if isinstance(kind, type) and kind in _NAMES:
        return _NAMES[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"Literal[{', '.join(repr(member.value) for member in kind)}]"
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(type_text, arguments))
    if origin is not None and issubclass(origin, Mapping):
        return f"Mapping[{type_text(arguments[0])}, {type_text(arguments[1])}]"
    if origin in (tuple, list, set, frozenset) or (origin is not None and issubclass(origin, Sequence)):
        return f"Sequence[{type_text(arguments[0]) if arguments else 'Any'}]"
    return "Any"


def type_of(text: str) -> Any:
    """The type that :func:`type_text` put into words.

    Raises:
        ValueError: it is not in these words.
    """
    try:
        return _type(ast.parse(text, mode="eval").body)
    except (SyntaxError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{text!r} is no type of an option") from error


def _type(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=word):
            return _WORDS[word]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return typing.Union[_type(left), _type(right)]  # noqa: UP007 - made while running
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            return Literal[tuple(ast.literal_eval(each) for each in _several(inner))]
        case ast.Subscript(value=ast.Name(id="Sequence"), slice=inner):
            return Sequence[_type(inner)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="Mapping"), slice=ast.Tuple(elts=[key, value])):
            return Mapping[_type(key), _type(value)]  # type: ignore[misc]
    raise KeyError(ast.dump(node))


def _several(node: ast.expr) -> Sequence[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def said_of(field: OptionField) -> dict[str, Any]:
    """What a manifest keeps of an option beside its schema; what is as usual is left out."""
    attribute = field.attribute
    if attribute is None:
        raise ValueError(f"the option {field.key!r} is not of a class")
    converter, validator = attribute.converter, attribute.validator
    text = type_text(field.type)
    by_code = validator is not None or (converter is not None and not field.is_path)
    said = {
        "type": text,
        "key": field.key,
        "required": field.required,
        "only": field.only,
        "secret": field.secret,
        "path": field.is_path,
        "connection": field.connection,
        # Some values are refused by the component's code alone.
        "code": not field.connection and (by_code or _has_class(field.type)),
    }
    return {key: value for key, value in said.items() if value}


def _has_class(kind: Any) -> bool:
    return attrs.has(kind) or any(map(_has_class, typing.get_args(kind)))


def fields_of(description: Description) -> tuple[OptionField, ...]:
    """The options of a component, from its manifest.

    Raises:
        ValueError: the manifest is damaged.
    """
    fields: dict[str, OptionField] = {}
    aliases: dict[str, list[str]] = {}
    for given, schema in description.schema["properties"].items():
        said = schema.get(KEY, {})
        key = said.get("key", given)
        if key != given:
            aliases.setdefault(key, []).append(given)
            continue
        fields[key] = OptionField(
            key=key,
            name=key,
            type=type_of(said.get("type", "Any")),
            default=NO_DEFAULT if said.get("required") else schema.get("default"),
            help=schema.get("description", ""),
            aliases=(),
            only=said.get("only"),
            secret=bool(said.get("secret")),
            is_path=bool(said.get("path")),
            connection=bool(said.get("connection")),
            attribute=None,
        )
    return tuple(attrs.evolve(field, aliases=tuple(aliases.get(key, ()))) for key, field in fields.items())


def described_problems(
    description: Description, options: Mapping[str, Any], *, purpose: str | None = None
) -> list[Trouble] | None:
    """What is wrong with options, as far as the manifest tells.

    Args:
        description: of the component.
        options: as a project gives them.
        purpose: refuse the options that have no meaning this way.

    Returns:
        ``None`` if only the component's code can tell: nothing else is wrong, and an option is given whose values it
        checks itself.
    """
    fields = fields_of(description)
    _values, problems, given = take_options(fields, options, purpose, None)
    if problems:
        return problems
    properties = description.schema["properties"]
    return None if any(properties[key].get(KEY, {}).get("code") for key in given) else []
