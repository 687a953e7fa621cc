"""Digests of plain values: the same for equal values in any process, on any machine, with any version of Python.

The encoding behind them is injective: no two values that differ share one. Every value is written as text, tagged with
its type and led by its length, as in bencoding. Text counts in code points; floats go by their bits; mappings and sets
by the encodings of their keys, whatever their order. It is part of every fingerprint ever stored, so it must not
change; a table in the tests holds it.
"""

from __future__ import annotations

import hashlib
import re
import sys
from enum import Enum, Flag
from operator import itemgetter
from struct import Struct
from typing import TYPE_CHECKING, Any, Protocol

from odibi.errors import OdibiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "Other",
    "Undigestible",
    "digest",
    "encode",
    "encode_text",
    "is_plain",
    "is_scalar",
    "qualified_name",
    "update",
]

MAX_DEPTH = 100
"""How deep values may lie within one another; no definition of a node comes near it."""

_TOO_DEEP = f"it lies more than {MAX_DEPTH} levels deep"

PROJECT_MODULE = re.compile(r"\bodibi_project_[0-9a-f]{16}_")
"""What :mod:`odibi.config.functions` puts before the name of a project's own file: it holds the file's path, which
differs from machine to machine."""

_MOVED = {"pathlib._local": "pathlib"}
"""Modules of the standard library that some versions of Python hold their classes in."""

_SCALARS = frozenset({str, bool, int, float, complex, bytes, type(None), type(...)})
_TEXT_ALONE = {str}
_second = itemgetter(1)
_bits = Struct(">d").pack
_NAN = "f7ff8000000000000"


class Undigestible(OdibiError):
    """A value has no content that could be digested.

    Attributes:
        kind: the qualified name of the value's type.
        path: leads to it from the value that was to be digested: ``params.model['x']``; empty for that value itself.
    """

    def __init__(self, kind: str, path: str = "", why: str = "its content cannot be digested") -> None:
        super().__init__(f"{path or 'the value'} is a {kind.removeprefix('builtins.')}: {why}")
        self.kind = kind.removeprefix("builtins.")
        self.path = path
        self.why = why


class Other(Protocol):
    """Encodes what is not plain; see :func:`encode_text`."""

    def __call__(self, value: Any) -> str | None:
        """The encoding of a value, in text that holds its own end; ``None`` leaves the value to this module."""
        ...

    @property
    def unordered(self) -> Other:
        """The same for items of sets and for keys of mappings, which are met in no order in particular."""
        ...


class _Unfit(Exception):
    """Carries the way to an undigestible value up through the values that hold it."""

    def __init__(self, value: Any, why: str = "its content cannot be digested") -> None:
        super().__init__(why)
        self.value = value
        self.why = why
        self.steps: list[tuple[Any, str]] = []


def digest(value: Any, size: int = 64, *, name: str = "") -> str:
    """The SHA-256 digest of a plain value.

    Args:
        value: see :func:`encode`.
        size: how many hexadecimal digits of it.
        name: what an error calls the value.

    Raises:
        Undigestible: the value holds something that is not plain, or holds itself.
    """
    return hashlib.sha256(encode(value, name=name)).hexdigest()[:size]


def update(hasher: Any, value: Any) -> None:
    """Feed a plain value to an object of :mod:`hashlib`.

    Raises:
        Undigestible: as :func:`encode`; the hasher is then as it was.
    """
    hasher.update(encode(value))


def encode(value: Any, *, name: str = "") -> bytes:
    """The canonical encoding of a plain value.

    Plain are ``None``, ``bool``, ``int``, ``float``, ``complex``, ``str``, ``bytes``, ``bytearray``, ``...``; dates,
    times, their differences and zones; ``Decimal``, ``Fraction``, ``UUID``, ``range``, ``slice``, paths, compiled
    patterns; members of enumerations; types, by their names; and lists, tuples, named tuples, sets, dicts, and objects
    of attrs and dataclasses that hold nothing but plain values. Values of different types differ: ``1``, ``1.0`` and
    ``True`` are three, and so are ``0.0`` and ``-0.0``; all NaNs are one. Fields that do not count for equality do not
    count here.

    Args:
        value: the value.
        name: what an error calls it.

    Raises:
        Undigestible: the value holds something else, is more than a hundred levels deep, or holds itself.
    """
    return encode_text(value, name=name).encode("utf-8", "surrogatepass")


def encode_text(value: Any, other: Other | None = None, *, name: str = "") -> str:
    """The encoding as text.

    Args:
        value: see :func:`encode`.
        other: is asked first for everything but scalars, dicts, lists, tuples and sets.
        name: what an error calls the value.

    Raises:
        Undigestible: as :func:`encode`.
    """
    try:
        return _text(value, other, 0)
    except _Unfit as unfit:
        raise _explained(unfit, name) from None
    except RecursionError:
        raise Undigestible(qualified_name(type(value)), name, "it is nested too deeply for the stack") from None
    except (RuntimeError, KeyError):
        # What dicts and sets do when another thread changes them.
        raise Undigestible(qualified_name(type(value)), name, "it changed while it was read") from None


def qualified_name(kind: type) -> str:
    """``module.Class``, without what would differ between machines or versions of Python."""
    module = kind.__module__
    module = _MOVED.get(module, module) if isinstance(module, str) else ""
    return f"{PROJECT_MODULE.sub('', module)}.{kind.__qualname__}"


def _text(value: Any, other: Other | None, depth: int) -> str:
    written: list[str] = []
    _put(value, written.append, other, depth)
    return "".join(written)


def _put(value: Any, out: Callable[[str], None], other: Other | None, depth: int) -> None:
    # Strings, the commonest by far, are written where they are met: a call for each would double the time.
    kind = type(value)
    if kind is str:
        out(f"s{len(value)}:{value}")
    elif kind is dict:
        if depth == MAX_DEPTH:
            raise _Unfit(value, _TOO_DEEP)
        out(f"d{len(value)}:")
        key: Any = None
        if set(map(type, value)) == _TEXT_ALONE:
            keys = None
        else:
            keys = sorted(zip(value, _each(value, other, depth), strict=True), key=_second)
        try:
            if keys is None:
                for key in sorted(value):
                    item = value[key]
                    if type(item) is str:
                        out(f"s{len(key)}:{key}s{len(item)}:{item}")
                    else:
                        out(f"s{len(key)}:{key}")
                        _put(item, out, other, depth + 1)
            else:
                for key, written in keys:
                    out(written)
                    _put(value[key], out, other, depth + 1)
        except _Unfit as unfit:
            unfit.steps.append((value, _step(key)))
            raise
    elif kind is list or kind is tuple:
        if depth == MAX_DEPTH:
            raise _Unfit(value, _TOO_DEEP)
        out(f"{'l' if kind is list else 't'}{len(value)}:")
        at = 0
        try:
            for item in value:
                if type(item) is str:
                    out(f"s{len(item)}:{item}")
                else:
                    _put(item, out, other, depth + 1)
                at += 1
        except _Unfit as unfit:
            unfit.steps.append((value, f"[{at}]"))
            raise
    elif value is None:
        out("n")
    elif kind is bool:
        out("T" if value else "F")
    elif kind is int:
        # In base 16, because Python refuses to write long numbers in base 10.
        out(f"i{value:x};")
    elif kind is float:
        out(f"f{_bits(value).hex()}" if value == value else _NAN)
    elif kind is bytes:
        out(f"b{len(value)}:{value.decode('latin-1')}")
    elif kind is set or kind is frozenset:
        if depth == MAX_DEPTH:
            raise _Unfit(value, _TOO_DEEP)
        written_items = sorted(_each(value, other, depth))
        out(f"{'e' if kind is set else 'z'}{len(written_items)}:")
        for written in written_items:
            out(written)
    else:
        encoded = other(value) if other is not None else None
        if encoded is not None:
            out(encoded)
        else:
            _put_rare(value, kind, out, other, depth)


def _each(values: Iterable[Any], other: Other | None, depth: int) -> list[str]:
    """The encodings of the items of a set, or of the keys of a dict."""
    unordered = other.unordered if other is not None else None
    written = []
    for value in values:
        try:
            written.append(_text(value, unordered, depth + 1))
        except _Unfit as unfit:
            unfit.steps.append((values, f"{{{_brief(value)}}}"))
            raise
    return written


def is_plain(value: Any) -> bool:
    """Whether a value is of a type that :func:`encode` knows; what it holds may still not be."""
    kind = type(value)
    return (
        kind in _SCALARS
        or kind in (dict, list, tuple, set, frozenset)
        or _standard(kind) is not None
        or isinstance(value, Enum | type)
        or _field_names(kind) is not None
        or _is_named_tuple(value)
    )


def is_scalar(value: Any) -> bool:
    """Whether a value is of a type that :func:`encode` knows, holds no other value, and never changes."""
    return type(value) in _SCALARS


def _standard(kind: type) -> tuple[str, Callable[[Any], Any]] | None:
    module = _MOVED.get(kind.__module__, kind.__module__)
    found = _STANDARD.get(f"{module}.{kind.__qualname__}")
    if found is None or getattr(sys.modules.get(module), kind.__qualname__, kind) is not kind:
        return None
    return found


def _is_named_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and isinstance(getattr(value, "_fields", None), tuple)


def _put_rare(value: Any, kind: type, out: Callable[[str], None], other: Other | None, depth: int) -> None:
    """What is not worth a look on the fast way: ``o``, a name, and a plain value that says the rest."""
    if depth >= MAX_DEPTH:
        raise _Unfit(value, _TOO_DEEP)
    if (standard := _standard(kind)) is not None:
        name, parts = standard
        given = parts(value)
        if given is None:
            raise _Unfit(value)
        _put_named(name, given, value, out, other, depth)
    elif isinstance(value, Enum):
        what = value.value if isinstance(value, Flag) else value.name
        _put_named("enum", (qualified_name(kind), what), value, out, other, depth)
    elif isinstance(value, type):
        _put_named("type", qualified_name(value), value, out, other, depth)
    elif (names := _field_names(kind)) is not None:
        out(f"a{len(names)}:")
        _put(qualified_name(kind), out, other, depth)
        for name in names:
            out(f"s{len(name)}:{name}")
            try:
                field = getattr(value, name)
            except AttributeError:
                out("u")
                continue
            try:
                _put(field, out, other, depth + 1)
            except _Unfit as unfit:
                unfit.steps.append((value, f".{name}"))
                raise
    elif _is_named_tuple(value):
        _put_named("namedtuple", (qualified_name(kind), value._fields, tuple(value)), value, out, other, depth)
    else:
        raise _Unfit(value)


def _put_named(name: str, given: Any, value: Any, out: Callable[[str], None], other: Other | None, depth: int) -> None:
    out(f"o{len(name)}:{name}")
    try:
        _put(given, out, other, depth + 1)
    except _Unfit as unfit:
        if type(given) is tuple:
            # Where in it is nothing that anybody outside of this module knows.
            unfit.steps = [step for step in unfit.steps if step[0] is not given]
        unfit.steps.append((value, ""))
        raise


def _field_names(kind: type) -> list[str] | None:
    """The fields of a class of attrs or dataclasses that count for equality."""
    # A class that inherits its fields, without being decorated itself, may hold more than them.
    own = vars(kind)
    if "__attrs_attrs__" in own:
        return [field.name for field in own["__attrs_attrs__"] if field.eq]
    if "__dataclass_fields__" in own:
        return [field.name for field in sys.modules["dataclasses"].fields(kind) if field.compare]
    return None


_STANDARD: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "builtins.complex": ("complex", lambda it: (it.real, it.imag)),
    "builtins.bytearray": ("bytearray", bytes),
    "builtins.ellipsis": ("ellipsis", lambda _: ()),
    "builtins.range": ("range", lambda it: (it.start, it.stop, it.step)),
    "builtins.slice": ("slice", lambda it: (it.start, it.stop, it.step)),
    "builtins.mappingproxy": ("mappingproxy", dict),
    "datetime.date": ("date", lambda it: it.isoformat()),
    "datetime.time": ("time", lambda it: (it.replace(tzinfo=None).isoformat(), it.fold, it.tzinfo)),
    "datetime.datetime": ("datetime", lambda it: (it.replace(tzinfo=None).isoformat(), it.fold, it.tzinfo)),
    "datetime.timedelta": ("timedelta", lambda it: (it.days, it.seconds, it.microseconds)),
    "datetime.timezone": ("timezone", lambda it: (it.utcoffset(None), it.tzname(None))),
    "zoneinfo.ZoneInfo": ("zoneinfo", lambda it: it.key),
    "decimal.Decimal": ("decimal", lambda it: tuple(it.as_tuple())),
    "fractions.Fraction": ("fraction", lambda it: (it.numerator, it.denominator)),
    "uuid.UUID": ("uuid", lambda it: it.int),
    "re.Pattern": ("pattern", lambda it: (it.pattern, it.flags)),
    **{
        f"pathlib.{name}": ("path", lambda it: it.as_posix())
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    },
}
"""Types of the standard library, by name so that none of these modules has to be imported: how they are called here,
and what they are made of; ``None`` if that cannot be told."""


def _explained(unfit: _Unfit, path: str) -> Undigestible:
    seen = set()
    for holder, step in reversed(unfit.steps):
        if id(holder) in seen:
            return Undigestible(qualified_name(type(holder)), path.removeprefix("."), "it holds itself")
        seen.add(id(holder))
        path += step
    return Undigestible(qualified_name(type(unfit.value)), path.removeprefix("."), unfit.why)


def _step(key: Any) -> str:
    return f"[{_brief(key)}]"


def _brief(value: Any) -> str:
    if isinstance(value, str | bytes):
        return repr(value[:40]) if len(value) <= 40 else f"{value[:40]!r}..."
    if value is None or isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 64):
        return repr(value)
    return qualified_name(type(value)).removeprefix("builtins.")
