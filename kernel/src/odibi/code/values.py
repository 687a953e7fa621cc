"""What is told of the values that code uses.

Plain values are told by their content; what other people made, by its name and version. The project's own functions,
classes, modules and objects are not told here but referred to: they are looked into one by one.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import sys
import types
from enum import Enum
from pathlib import PurePath
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from odibi.code.origins import Origin, label_of, named, place_of, version_of_distribution
from odibi.digest import PROJECT_MODULE, Other, Undigestible, encode_text, is_plain, qualified_name

_UNKNOWN = "its content cannot be digested"


class Told(NamedTuple):
    """What is told of a value.

    Attributes:
        text: its encoding, which ends where it says; other objects stand in it by their places in ``refers``.
        refers: what has to be looked into.
        packages: top-level names with versions.
        trouble: what in it cannot be known, and why; empty if all can.
    """

    text: str
    refers: tuple[Any, ...] = ()
    packages: tuple[tuple[str, str], ...] = ()
    trouble: str = ""

    @property
    def is_name(self) -> bool:
        """Whether the value goes by its name alone, or is nothing but a reference: it cannot change unnoticed."""
        return self.text.startswith("x") or self.text == "r0;"

    def is_same(self, other: Told) -> bool:
        """Whether the same is told, of the same objects."""
        return (
            self.text == other.text
            and len(self.refers) == len(other.refers)
            and all(mine is theirs for mine, theirs in zip(self.refers, other.refers, strict=True))
        )


def tell(value: Any, folder: str = "", name: str = "") -> Told:
    """Say what a value is.

    Args:
        value: anything at all.
        folder: paths below it count from there: the project may lie elsewhere on another machine.
        name: what trouble calls the value.
    """
    teller = _Teller(folder)
    try:
        return teller.told(encode_text(value, teller, name=name))
    except Undigestible as error:
        why = ", whose content cannot be digested" if error.why == _UNKNOWN else f": {error.why}"
        trouble = f"`{error.path}`, a {error.kind}{why}" if error.path else f"a {error.kind}{why}"
    teller = _Teller(folder, is_lenient=True)
    try:
        return teller.told(encode_text(value, teller), trouble)
    except Undigestible as error:
        return Told(f"?{error.kind};", trouble=trouble)


class _Teller:
    """Encodes what is not plain, and gathers what one value refers to."""

    def __init__(self, folder: str, *, is_lenient: bool = False) -> None:
        self._folder = folder
        self._is_lenient = is_lenient
        self._refers: list[Any] = []
        self._places: dict[int, int] = {}
        self._loose: dict[str, Any] = {}
        self._packages: dict[str, str] = {}

    def __call__(self, value: Any) -> str | None:
        return self.encoding(value, self._refer)

    @property
    def unordered(self) -> Other:
        return _Unordered(self)

    def told(self, text: str, trouble: str = "") -> Told:
        """All that was gathered."""
        loose = [self._loose[label] for label in sorted(self._loose)]
        return Told(text, (*self._refers, *loose), tuple(sorted(self._packages.items())), trouble)

    def encoding(self, value: Any, refer: Any) -> str | None:
        """The encoding; ``None`` for what is plain, and for what cannot be encoded."""
        name = _outside(value)
        if name is not None:
            self._package(value)
            return f"x{len(name)}:{name}"
        if isinstance(value, Enum) and place_of(value).origin is Origin.OWN:
            return f"m{encode_text(value)}{refer(type(value))}"
        if isinstance(value, PurePath) and is_plain(value) and self._folder and value.is_relative_to(self._folder):
            return f"p{encode_text(value.relative_to(self._folder))}"
        if (array := _array(value)) is not None:
            return f"y{encode_text(array)}"
        if is_looked_into(value):
            return str(refer(value))
        if is_plain(value):
            if hasattr(value, "__module__"):
                self._package(value)
            return None
        return f"?{qualified_name(type(value))};" if self._is_lenient else None

    def _refer(self, value: Any) -> str:
        place = self._places.get(id(value))
        if place is None:
            place = self._places[id(value)] = len(self._refers)
            self._refers.append(value)
        return f"r{place};"

    def refer_loosely(self, value: Any) -> str:
        """Refer to an item of a set, or a key, by its label: it has no place."""
        label = label_of(value)
        if self._loose.setdefault(label, value) is not value:
            raise Undigestible(qualified_name(type(value)), why=f"there are several `{label}` in no order")
        return f"k{len(label)}:{label}"

    def _package(self, value: Any) -> None:
        module = value if isinstance(value, ModuleType) else sys.modules.get(str(getattr(value, "__module__", "")))
        place = place_of(value if module is None else module)
        if place.origin is Origin.PACKAGE:
            self._packages[place.top_level] = version_of_distribution(place.top_level)


class _Unordered:
    def __init__(self, teller: _Teller) -> None:
        self._teller = teller

    def __call__(self, value: Any) -> str | None:
        if is_plain(value) and not isinstance(value, type | Enum) and place_of(value).origin is Origin.OWN:
            # There may be many objects of one class, which only their fields tell apart.
            self._teller.refer_loosely(type(value))
            return None
        return self._teller.encoding(value, self._teller.refer_loosely)

    @property
    def unordered(self) -> Other:
        return self


# --- what is told by its name -----------------------------------------------------------------------------------------

_COMPILED = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)

_WITHOUT_CONTENT = frozenset(
    {
        # They write what happened, and have no say in it.
        "logging.Logger",
        "logging.LoggerAdapter",
        "structlog._config.BoundLoggerLazyProxy",
        "loguru._logger.Logger",
        # They order who comes first.
        "_thread.lock",
        "_thread.RLock",
        "threading.Condition",
        "threading.Event",
        "threading.Semaphore",
        "threading.Barrier",
        # What they hold belongs to a thread, a task or a garbage collector.
        "_thread._local",
        "_contextvars.ContextVar",
        "weakref.ReferenceType",
        "weakref.WeakKeyDictionary",
        "weakref.WeakValueDictionary",
        "weakref.WeakSet",
    }
)
"""Types whose objects change no result, whatever is in them."""

_TYPE_EXPRESSIONS = (types.GenericAlias, types.UnionType)


def _outside(value: Any) -> str | None:
    """The name of what goes by its name; ``None`` for the project's own, and for what has content."""
    kind = type(value)
    if kind is FunctionType:
        if place_of(value).origin is Origin.OWN:
            return None
        is_made = value.__closure__ is not None or "__wrapped__" in vars(value)
        return label_of(value) if not is_made or _importable_name(value) else None
    if isinstance(value, type):
        return qualified_name(value) if place_of(value).origin is not Origin.OWN else None
    if isinstance(value, ModuleType):
        return value.__name__ if place_of(value).origin is not Origin.OWN else None
    if isinstance(value, _COMPILED):
        return _compiled(value)
    if isinstance(value, _TYPE_EXPRESSIONS) or kind.__module__ in ("typing", "typing_extensions"):
        return PROJECT_MODULE.sub("", repr(value))
    if kind.__module__ != "builtins":
        if any(f"{each.__module__}.{each.__qualname__}" in _WITHOUT_CONTENT for each in kind.__mro__):
            return qualified_name(kind)
        if place_of(kind).origin is not Origin.OWN:
            return _importable_name(value)
    return None


def _compiled(value: Any) -> str | None:
    holder = getattr(value, "__self__", None)
    if holder is None or isinstance(holder, ModuleType):
        holder = getattr(value, "__objclass__", None)
    if isinstance(holder, type):
        return f"{qualified_name(holder)}.{value.__name__}"
    return None if holder is not None else f"{value.__module__}.{value.__qualname__}"


def _importable_name(value: Any) -> str | None:
    """The name under which a package offers this very object, as numpy does its universal functions."""
    name = _attribute(value, "__qualname__") or _attribute(value, "__name__")
    module = sys.modules.get(str(_attribute(value, "__module__")))
    if not isinstance(name, str) or module is None or place_of(module).origin is Origin.OWN:
        return None
    return f"{module.__name__}.{name}" if named(module, name) is value else None


def _attribute(value: Any, name: str) -> Any:
    """An attribute that an object or its class has by itself: ``__getattr__`` of a proxy might do anything."""
    try:
        space = object.__getattribute__(value, "__dict__")
        if name in space:
            return space[name]
    except (AttributeError, TypeError):
        pass
    try:
        return getattr(value, name, None) if any(name in vars(each) for each in type(value).__mro__) else None
    except Exception:
        # A property of somebody else's.
        return None


# --- what is looked into ----------------------------------------------------------------------------------------------


HOLDERS = (
    MethodType,
    property,
    staticmethod,
    classmethod,
    types.BuiltinFunctionType,
    functools.cached_property,
    type(functools.lru_cache(maxsize=None)(len)),
)
"""Types whose objects hold other things, and nothing of their own."""


def is_looked_into(value: Any) -> bool:
    """Whether :func:`inside` can say what a value holds."""
    if isinstance(value, FunctionType | MethodType | type | ModuleType | types.BuiltinFunctionType):
        return True
    origin = place_of(value).origin
    if origin is Origin.PACKAGE:
        return isinstance(_attribute(value, "__wrapped__"), FunctionType | MethodType)
    if origin is Origin.STANDARD and is_plain(value):
        return False
    try:
        return bool(inside(value))
    except Undigestible:
        return False


def inside(value: Any) -> dict[str, Any]:
    """What an object that is neither function, class nor module is made of.

    Raises:
        Undigestible: it cannot say.
    """
    kind = type(value)
    if isinstance(value, MethodType):
        return {"function": value.__func__, "self": value.__self__}
    if isinstance(value, types.BuiltinFunctionType):
        return {"name": value.__name__, "self": value.__self__}
    if kind is property:
        return {"get": value.fget, "set": value.fset, "delete": value.fdel}
    if kind is staticmethod or kind is classmethod:
        return {"kind": kind, "function": value.__func__}
    if kind is functools.partial:
        return {"function": value.func, "arguments": value.args, "keywords": value.keywords}
    if kind is functools.cached_property:
        return {"cached": value.func}
    wrapped = _attribute(value, "__wrapped__")
    if wrapped is not None and place_of(kind).origin is not Origin.OWN:
        return {"kind": kind, "wrapped": wrapped}
    return _reduced(value)


def _reduced(value: Any) -> dict[str, Any]:
    """What an object says of itself to those who copy it; its class, its state and its items."""
    try:
        reduced = value.__reduce_ex__(4)
        if isinstance(reduced, str):
            return {"class": type(value), "name": reduced}
        made, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        listed = list(items) if items is not None else None
        mapped: Any = None
        if pairs is not None:
            mapped = list(pairs) if isinstance(value, collections.OrderedDict) else dict(pairs)
    except Exception:
        raise Undigestible(qualified_name(type(value))) from None
    return {
        "class": type(value),
        "made": made,
        "arguments": arguments,
        "state": state,
        "items": listed,
        "pairs": mapped,
    }


def _array(value: Any) -> tuple[Any, ...] | None:
    """The content of an array of numbers, whatever library made it."""
    if not hasattr(type(value), "__array_interface__"):
        return None
    try:
        kind = value.dtype
        if kind.hasobject:
            return None
        content = hashlib.sha256(value.tobytes()).hexdigest()
        return (qualified_name(type(value)), str(kind.descr), tuple(map(int, value.shape)), content)
    except Exception:
        # Something that only looks like an array.
        return None
