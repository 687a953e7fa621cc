"""What the body of a class says, apart from what attrs, dataclasses and enumerations make of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from types import FunctionType
from typing import Any

_HIDDEN = frozenset(
    {
        # What describes the source, and what is told in another way.
        "__module__", "__qualname__", "__doc__", "__firstlineno__", "__static_attributes__", "__annotations__",
        "__annotations_cache__", "__attrs_attrs__", "__attrs_props__", "__attrs_own_setattr__",
        "__attrs_base_of_slotted__", "__dataclass_fields__", "__dataclass_params__", "__match_args__",
        # What Python keeps for itself.
        "__dict__", "__weakref__", "__slotnames__", "__abstractmethods__", "_abc_impl", "_member_names_",
        "_member_map_", "_value2member_map_", "_hashable_values_", "_unhashable_values_", "_unhashable_values_map_",
        "_new_member_", "_use_args_", "_member_type_", "_value_repr_", "_generate_next_value_",
    }
)  # fmt: skip


def attribute_names(kind: type) -> list[str]:
    """The names that the body of a class defines, save those that say nothing that :func:`fields_of` does not."""
    hidden = _HIDDEN.union(kind.__members__) if issubclass(kind, Enum) else _HIDDEN
    return sorted(name for name, value in vars(kind).items() if name not in hidden and not _is_made(kind, value))


def _is_made(kind: type, value: Any) -> bool:
    """Whether an attribute of a class was made from the fields, by attrs, dataclasses or namedtuple."""
    function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    if isinstance(function, FunctionType):
        file, module = function.__code__.co_filename, str(function.__globals__.get("__name__"))
        is_record = "__dataclass_fields__" in vars(kind) or "_fields" in vars(kind)
        return (
            file.startswith("<attrs generated")
            or module.partition(".")[0] == "attr"
            or (is_record and (file == "<string>" or module in ("collections", "dataclasses", "reprlib")))
        )
    return type(value).__qualname__ in ("_tuplegetter", "member_descriptor", "getset_descriptor")


def fields_of(kind: type) -> Iterator[tuple[str, Any]]:
    """The fields of records, and the members of enumerations, with all that is known of them."""
    space = vars(kind)
    for field in space.get("__attrs_attrs__", ()):
        known = (
            field.init,
            field.kw_only,
            field.eq,
            field.order,
            field.hash,
            field.repr,
            getattr(field, "alias", None),
        )
        yield field.name, (known, *map(_plainly, (field.default, field.converter)), field.validator)
    if "__dataclass_fields__" in space:
        yield "__dataclass_params__", repr(space["__dataclass_params__"])
        missing = sys.modules["dataclasses"].MISSING
        for field in space["__dataclass_fields__"].values():
            settings = (field.init, field.kw_only, field.compare, field.hash, field.repr, repr(field._field_type))
            given = [None if each is missing else (each,) for each in (field.default, field.default_factory)]
            yield field.name, (settings, given)
    if issubclass(kind, Enum):
        for name, member in kind.__members__.items():
            yield name, member.value


def _plainly(value: Any) -> Any:
    """What attrs wraps a function in that makes a default, or converts a value."""
    if type(value).__module__ == "attr._make" and hasattr(value, "takes_self"):
        given = getattr(value, "factory", None) or getattr(value, "converter", None)
        return given, value.takes_self, getattr(value, "takes_field", None)
    return value
