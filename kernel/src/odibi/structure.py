"""Plain data to attrs classes, with every mistake found at once.

cattrs decides which hook fits a type; the hooks here differ from its own in three ways that a project file needs:
they go on after a mistake, they say where it is as a path into the data, and they take a scalar for what it plainly
means (``"8080"`` for a whole number), since environment variables are always text.
"""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, cast

import attrs
from cattrs import BaseConverter, Converter
from cattrs.errors import StructureHandlerNotFoundError

from odibi.contracts.secret import Secret
from odibi.errors import ComponentError, OdibiError, OptionError, sentence

__all__ = [
    "NO_DEFAULT",
    "OptionField",
    "StructureError",
    "Trouble",
    "class_hook",
    "describe",
    "did_you_mean",
    "new_converter",
    "option_fields",
    "option_problems",
    "plain",
    "refuse",
    "structure",
    "structure_options",
    "take_options",
    "type_words",
]

T = TypeVar("T")
Where = tuple[str | int, ...]
Trouble = tuple[Where, str, str]
"""One mistake: the path from the data's root to it, what is wrong, and what to do."""
Hook = Callable[[Any, Any], Any]

NO_DEFAULT: Any = attrs.NOTHING
"""The default of an option that must be given."""

_FACTORY: Any = attrs.Factory  # typed as a function, but a class

_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class StructureError(OdibiError):
    """The data does not fit the class.

    Args:
        problems: every mistake that was found, with its path.
    """

    exit_code = 2

    def __init__(self, problems: Iterable[Trouble]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "; ".join(sentence(what, ".".join(map(str, path)), remedy) for path, what, remedy in self.problems)
        )


def refuse(what: str, remedy: str = "", path: Where = ()) -> NoReturn:
    """Raise a :class:`StructureError` with one mistake."""
    raise StructureError([(path, what, remedy)])


def did_you_mean(word: str, known: Iterable[str], *, otherwise: bool = True) -> str:
    """``"Did you mean 'x'?"``, or else the known words, or nothing.

    Args:
        word: what was written.
        known: what could have been.
        otherwise: list the known words where none is near.
    """
    names = sorted(set(known))
    near = get_close_matches(word, names, n=1, cutoff=0.7 if len(word) > 4 else 0.6)
    if not near:  # letter case is the commonest slip, and difflib counts it as a difference
        near = [name for name in names if name.casefold() == word.casefold()]
    if near:
        return f"Did you mean {near[0]!r}?"
    if not names or not otherwise:
        return ""
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"Known: {shown}."


def describe(value: Any) -> str:
    """A value as an error shows it: short, and never a secret."""
    match value:
        case None:
            return "nothing"
        case Secret():
            return "a secret"
        case Mapping():
            return "a mapping"
        case str():
            return repr(value if len(value) <= 40 else value[:37] + "...")
        case bool():
            return str(value).lower()
        case list() | tuple():
            return "a list"
        case _:
            text = str(value)
            return text if len(text) <= 40 else text[:37] + "..."


def plain(value: Any, *, written: bool = False) -> Any:
    """The value with plain dicts, lists, numbers and text: whatever bookkeeping the reader attached is left behind.

    Args:
        value: data as a reader gives it.
        written: leave numbers the memory of how they were written, for whoever wants them as text.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool or kind is int or kind is float:
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item, written=written) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, written=written) for item in value]
    for base in (str,) if written else (str, int, float):
        if isinstance(value, base) and not isinstance(value, Enum):
            return base(value)
    return value


# --- scalars --------------------------------------------------------------------------------------------------------


def _text(value: Any, _: Any = None) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        # A reader keeps how a number was written where that differs: version 1.10 is not 1.1.
        return str(getattr(value, "text", value))
    if isinstance(value, Path):
        return str(value)
    refuse(f"expected text, found {describe(value)}")


def _flag(value: Any, _: Any = None) -> bool:
    if isinstance(value, bool):
        return value
    text = value.reveal() if isinstance(value, Secret) else value
    if isinstance(text, str) and text.strip().casefold() in _FLAGS:
        return _FLAGS[text.strip().casefold()]
    refuse(f"expected true or false, found {describe(value)}")


def _whole(value: Any, _: Any = None) -> int:
    given = value.reveal() if isinstance(value, Secret) else value
    if isinstance(given, int) and not isinstance(given, bool):
        return int(given)
    if isinstance(given, float) and given.is_integer():
        return int(given)
    if isinstance(given, str):
        try:
            return int(given.strip())
        except ValueError:
            pass  # said below, with what was found
    refuse(f"expected a whole number, found {describe(value)}")


def _number(value: Any, _: Any = None) -> float:
    given = value.reveal() if isinstance(value, Secret) else value
    if isinstance(given, int | float | str) and not isinstance(given, bool):
        try:
            number = float(given)
        except (ValueError, OverflowError):
            pass  # said below, with what was found
        else:
            if number == number:  # not a number is no number
                return number
    refuse(f"expected a number, found {describe(value)}")


def _secret(value: Any, _: Any = None) -> Secret:
    return value if isinstance(value, Secret) else Secret(_text(value))


def _path(value: Any, _: Any = None) -> Path:
    text = _text(value)
    if "\0" in text:
        refuse("the path holds a NUL character")
    return Path(text)


def _nothing(value: Any, _: Any = None) -> None:
    if value is not None:
        refuse(f"expected nothing, found {describe(value)}")


def _choice_hook(members: Mapping[str, Any]) -> Hook:
    folded = {text.casefold(): member for text, member in members.items()}

    def choose(value: Any, _: Any = None) -> Any:
        if not isinstance(value, str | bool | int | float | Secret):
            refuse(f"expected one of {', '.join(members)}, found {describe(value)}")
        text = _text(value)
        if text in members:
            return members[text]
        if text.casefold() in folded:
            return folded[text.casefold()]
        near = get_close_matches(text.casefold(), folded, n=1, cutoff=0.6)
        remedy = f"Did you mean {next(m for m in members if m.casefold() == near[0])!r}?" if near else ""
        refuse(f"expected one of {', '.join(members)}, found {describe(value)}", remedy)

    return choose


@cache
def _enum_choice(kind: Any) -> Hook:
    choose = _choice_hook({str(member.value): member for member in kind})
    return lambda value, _: value if isinstance(value, kind) else choose(value, _)


def _enum_hook(kind: Any, _: BaseConverter) -> Hook:
    return _enum_choice(kind)


def _of_scalar(take: Hook) -> Hook:
    # cattrs goes by class hierarchy first, so the hook of str is also asked for an enum of text.
    return lambda value, kind: _enum_choice(kind)(value, kind) if _is_enum(kind) else take(value, kind)


def _literal_hook(kind: Any, _: BaseConverter) -> Hook:
    return _choice_hook({_text(member): member for member in typing.get_args(kind)})


# --- collections ----------------------------------------------------------------------------------------------------

_SEQUENCES = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
    Iterable: tuple,
    AbstractSet: frozenset,
}
_MAPPINGS = (dict, Mapping, typing.get_origin(typing.MutableMapping))
_SCALARS = (str, int, float, bool, Secret, Path)


def _origin(kind: Any) -> Any:
    return typing.get_origin(kind) or kind


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _is_sequence(kind: Any) -> bool:
    return _origin(kind) in _SEQUENCES


def _is_mapping(kind: Any) -> bool:
    return _origin(kind) in _MAPPINGS


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _is_literal(kind: Any) -> bool:
    return bool(typing.get_origin(kind) == Literal)


def _is_scalar(kind: Any) -> bool:
    return kind in _SCALARS or _is_enum(kind) or _is_literal(kind)


def gather(
    pairs: Iterable[tuple[str | int, Any]], take: Callable[[Any], T]
) -> tuple[dict[str | int, T], list[Trouble]]:
    """Apply ``take`` to each value; mistakes get the value's key in front of their path."""
    done: dict[str | int, T] = {}
    problems: list[Trouble] = []
    for key, value in pairs:
        try:
            done[key] = take(value)
        except StructureError as error:
            problems += [((key, *path), what, remedy) for path, what, remedy in error.problems]
    return done, problems


def _sequence_hook(kind: Any, converter: BaseConverter) -> Hook:
    arguments = typing.get_args(kind)
    make: Callable[[Iterable[Any]], Any] = _SEQUENCES[_origin(kind)]
    if make is tuple and arguments and arguments[-1] is not Ellipsis and _origin(kind) is tuple:
        return _fixed_tuple_hook(arguments, converter)
    item = arguments[0] if arguments else Any
    hook = converter.get_structure_hook(item)

    def collect(value: Any, _: Any = None) -> Any:
        if isinstance(value, list | tuple | set | frozenset):
            done, problems = gather(enumerate(value), lambda each: hook(each, item))
            if problems:
                raise StructureError(problems)
            return make(done.values())
        if _is_scalar(item) and isinstance(value, str | int | float | Secret):
            return make([hook(value, item)])
        refuse(f"expected a list, found {describe(value)}")

    return collect


def _fixed_tuple_hook(members: Sequence[Any], converter: BaseConverter) -> Hook:
    hooks = [(converter.get_structure_hook(member), member) for member in members]

    def collect(value: Any, _: Any = None) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(hooks):
            refuse(f"expected a list of {len(hooks)}, found {describe(value)}")
        pairs = list(zip(value, hooks, strict=True))
        done, problems = gather(enumerate(pairs), lambda pair: pair[1][0](pair[0], pair[1][1]))
        if problems:
            raise StructureError(problems)
        return tuple(done.values())

    return collect


def _mapping_hook(kind: Any, converter: BaseConverter) -> Hook:
    key_kind, item = typing.get_args(kind) or (str, Any)
    hook = converter.get_structure_hook(item)
    key_hook = None if key_kind in (str, Any) else converter.get_structure_hook(key_kind)

    def collect(value: Any, _: Any = None) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            refuse(f"expected a mapping, found {describe(value)}")
        done, problems = gather(value.items(), lambda each: hook(each, item))
        if key_hook is not None:
            keys, wrong = gather(((key, key) for key in value), lambda key: key_hook(key, key_kind))
            problems = wrong + problems
            done = {keys.get(key, key): each for key, each in done.items()}
        if problems:
            raise StructureError(problems)
        return done

    return collect


def _fits(kind: Any, value: Any) -> bool:
    """Whether a value has the outer shape of a type, so that a mistake inside it is worth telling."""
    if isinstance(value, Mapping):
        return _is_mapping(kind) or attrs.has(kind)
    if isinstance(value, list | tuple):
        return _is_sequence(kind)
    return _is_scalar(kind)


def _union_hook(kind: Any, converter: BaseConverter) -> Hook:
    # A callable cannot stand in a text file, so it is left out of what can be given there.
    members = [m for m in typing.get_args(kind) if _origin(m) is not Callable and m is not types.NoneType]
    optional = types.NoneType in typing.get_args(kind)
    hooks = {member: converter.get_structure_hook(member) for member in members}

    def choose(value: Any, _: Any = None) -> Any:
        if value is None and optional:
            return None
        if Any in members:
            return plain(value)
        if Secret in members and isinstance(value, str):
            return Secret(value)
        fitting = [m for m in members if _fits(m, value)]
        if len(fitting) == 1 and (len(members) == 1 or not _is_scalar(fitting[0])):
            return hooks[fitting[0]](value, fitting[0])
        exact = [m for m in members if m is type(value) or (m is str and isinstance(value, str))]
        for member in exact + members:
            try:
                return hooks[member](value, member)
            except StructureError:
                if len(members) == 1:
                    raise
        refuse(f"expected {' or '.join(map(type_words, members))}, found {describe(value)}")

    return choose


def type_words(kind: Any) -> str:
    """A type in the words of a project's author."""
    if kind in (Any, object):
        return "anything"
    if _is_union(kind):
        return " or ".join(type_words(m) for m in typing.get_args(kind) if m is not types.NoneType)
    if _is_enum(kind):
        return "one of " + ", ".join(str(m.value) for m in kind)
    if _is_literal(kind):
        return "one of " + ", ".join(map(_text, typing.get_args(kind)))
    if _is_sequence(kind):
        item = (typing.get_args(kind) or (Any,))[0]
        return "a list" if item in (Any, object) else f"a list of {type_words(item)}"
    if _is_mapping(kind) or attrs.has(kind):
        return "a mapping"
    words = {
        str: "text",
        Secret: "text",
        Path: "a path",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
    }
    return words.get(kind, getattr(kind, "__name__", str(kind)))


# --- classes --------------------------------------------------------------------------------------------------------


@attrs.frozen
class OptionField:
    """One field of a class as something that can be given.

    Attributes:
        key: under which it is given.
        name: the attribute's name.
        type: resolved.
        default: :data:`NO_DEFAULT` if it must be given.
        help, aliases, only, secret, is_path, connection: as :func:`odibi.contracts.options.option` was told.
        attribute: as attrs knows it; ``None`` if the option is known from a manifest.
    """

    key: str
    name: str
    type: Any
    default: Any
    help: str
    aliases: tuple[str, ...]
    only: str | None
    secret: bool
    is_path: bool
    connection: bool
    attribute: attrs.Attribute[Any] | None

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is NO_DEFAULT


@cache
def option_fields(cls: type) -> tuple[OptionField, ...]:
    """The fields of an attrs class that can be given, in order.

    Raises:
        ComponentError: it is not an attrs class, or names types that cannot be found at run time.
    """
    where = f"{cls.__module__}:{cls.__qualname__}"
    if not attrs.has(cls):
        raise ComponentError("is not an attrs class", where=where, remedy="Its fields are its options: decorate it.")
    try:
        hints = typing.get_type_hints(cls)
    except (NameError, TypeError, SyntaxError) as error:
        remedy = "Import at run time what the types of its fields name."
        raise ComponentError(
            f"the types of its options cannot be resolved: {error}", where=where, remedy=remedy
        ) from error
    return tuple(_option_field(field, hints) for field in attrs.fields(cls) if field.init)


def _option_field(field: attrs.Attribute[Any], hints: Mapping[str, Any]) -> OptionField:
    said = field.metadata.get("odibi", {})
    return OptionField(
        key=field.alias or field.name,
        name=field.name,
        type=hints.get(field.name, Any),
        default=field.default,
        help=said.get("help", ""),
        aliases=tuple(said.get("aliases", ())),
        only=said.get("only"),
        secret=bool(said.get("secret")),
        is_path=bool(said.get("is_path")),
        connection=bool(said.get("connection")),
        attribute=field,
    )


def _add(about: str) -> str:
    return f"Add it: {about[0].lower()}{about[1:]}" if about else ""


def _admits_none(kind: Any) -> bool:
    return kind in (Any, object, types.NoneType) or (_is_union(kind) and types.NoneType in typing.get_args(kind))


def _take_fields(
    data: Mapping[str, Any],
    fields: Mapping[str, OptionField],
    hook_of: Callable[[OptionField], Hook],
    noun: str,
    hints: Mapping[str, str],
) -> tuple[dict[str, Any], list[Trouble], dict[str, str]]:
    """Values by attribute key, the mistakes, and under which key each value was given."""
    known = dict(fields) | {alias: field for field in fields.values() for alias in field.aliases}
    values: dict[str, Any] = {}
    given: dict[str, str] = {}
    problems: list[Trouble] = []
    for key, value in data.items():
        field = known.get(key)
        if field is None:
            remedy = hints.get(key) or did_you_mean(key, fields)
            problems.append(((key,), f"unknown {noun} {key!r}", remedy))
            continue
        if field.key in given:
            what = f"{key!r} and {given[field.key]!r} are the same {noun}"
            problems.append(((key,), what, "Give one of them."))
            continue
        given[field.key] = key
        if value is None and not field.required and not _admits_none(field.type):
            continue  # an empty value is a value not given
        try:
            values[field.key] = hook_of(field)(value, field.type)
        except StructureError as error:
            problems += [((key, *path), what, remedy) for path, what, remedy in error.problems]
    for key, field in fields.items():
        if field.required and field.key not in given:
            problems.append(((), f"missing {noun} {key!r}", _add(field.help)))
    return values, problems, given


def class_hook(
    cls: type[T],
    converter: BaseConverter,
    *,
    keys: Mapping[str, str] | None = None,
    hooks: Mapping[str, Hook] | None = None,
    omit: Iterable[str] = (),
    hints: Mapping[str, str] | None = None,
) -> Callable[[Any, Any], T]:
    """A cattrs hook that builds ``cls`` from a mapping.

    Args:
        cls: an attrs class.
        converter: structures the fields.
        keys: field name to the key it has in the data, where that differs.
        hooks: field name to a hook of its own.
        omit: fields that cannot be given.
        hints: unknown key to a remedy that says more than the nearest key.
    """
    left_out, own, renamed = set(omit), hooks or {}, keys or {}
    fields = {renamed.get(f.name, f.key): f for f in option_fields(cast(type, cls)) if f.name not in left_out}
    made: dict[str, Hook] = {}

    def hook_of(field: OptionField) -> Hook:
        # Found when first needed: a class may contain itself.
        if field.name not in made:
            made[field.name] = own.get(field.name) or converter.get_structure_hook(field.type)
        return made[field.name]

    def build(data: Any, _: Any = None) -> T:
        if isinstance(data, cls):
            return data
        if not isinstance(data, Mapping):
            refuse(f"expected a mapping with {_some(fields)}, found {describe(data)}")
        values, problems, _given = _take_fields(data, fields, hook_of, "key", hints or {})
        if problems:
            raise StructureError(problems)
        try:
            return cls(**values)
        except (ValueError, TypeError) as error:
            refuse(_words(error))

    return build


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:6]) + (", ..." if len(listed) > 6 else "")


def _words(error: Exception) -> str:
    # The validators of attrs put the attribute and the options after the sentence.
    return str(error.args[0]) if error.args else type(error).__name__


def new_converter() -> Converter:
    """A cattrs converter with the hooks of this module, to which more may be added."""
    converter = Converter(detailed_validation=False)
    # cattrs asks the newest predicate first.
    factories: list[tuple[Callable[[Any], bool], Callable[[Any, BaseConverter], Hook]]] = [
        (attrs.has, class_hook),
        (_is_mapping, _mapping_hook),
        (_is_sequence, _sequence_hook),
        (_is_literal, _literal_hook),
        (_is_enum, _enum_hook),
        (_is_union, _union_hook),
    ]
    for fits, make in factories:
        converter.register_structure_hook_factory(fits, make)
    converter.register_structure_hook_func(lambda kind: kind in (Any, object), lambda value, _: plain(value))
    scalars: dict[Any, Hook] = {str: _text, bool: _flag, int: _whole, float: _number, Secret: _secret, Path: _path}
    for kind, take in scalars.items():
        converter.register_structure_hook(kind, _of_scalar(take))
    converter.register_structure_hook_func(lambda kind: kind in (None, types.NoneType), _nothing)
    return converter


@cache
def _converter() -> Converter:
    return new_converter()


def structure(data: Any, kind: type[T], *, converter: BaseConverter | None = None) -> T:
    """Build a value of ``kind`` from plain data.

    Args:
        data: dicts, lists, text, numbers, booleans.
        kind: an attrs class, or any type that its fields may have.
        converter: one with more hooks, from :func:`new_converter`.

    Raises:
        StructureError: the data does not fit; holds every mistake.
        ComponentError: ``kind`` itself is not of a type that can be built from plain data.
    """
    use = converter or _converter()
    try:
        return cast(T, use.get_structure_hook(kind)(data, kind))
    except StructureHandlerNotFoundError as error:
        raise ComponentError(f"a value of type {error.type_!r} cannot be given in a project file") from error


# --- options of components ------------------------------------------------------------------------------------------


def take_options(
    fields: Iterable[OptionField], options: Mapping[str, Any], purpose: str | None, base_dir: Path | None
) -> tuple[dict[str, Any], list[Trouble], dict[str, str]]:
    """Values by attribute key, the mistakes, and under which key each value was given; nothing of a component is run.

    Args:
        fields: the options that there are.
        options: as given in a project.
        purpose: refuse the options that have no meaning this way.
        base_dir: relative values of ``is_path`` options are resolved against it.

    Raises:
        StructureHandlerNotFoundError: an option is of a type that cannot be given.
    """
    known = {field.key: field for field in fields}
    wrong_way = {f.key: f for f in known.values() if purpose and f.only and f.only != purpose}
    problems: list[Trouble] = []
    wanted: dict[str, Any] = {}
    for key, value in options.items():
        field = next((f for f in wrong_way.values() if key == f.key or key in f.aliases), None)
        if field is None:
            wanted[key] = value
        else:
            what = f"option {key!r} is for {'reading' if field.only == 'read' else 'writing'}; this is a {purpose}"
            problems.append(((key,), what, "Remove it."))
    allowed = {key: field for key, field in known.items() if key not in wrong_way}
    values, wrong, given = _take_fields(
        wanted,
        allowed,
        lambda field: _as_built if field.connection else _converter().get_structure_hook(field.type),
        "option",
        {},
    )
    for field in allowed.values():
        if field.is_path and base_dir is not None:
            value = values.get(field.key, field.default)
            if isinstance(value, str | Path):
                values[field.key] = _resolve(value, base_dir)
    return values, problems + wrong, given


def _take_options(
    cls: type, options: Mapping[str, Any], purpose: str | None, base_dir: Path | None
) -> tuple[dict[str, Any], list[Trouble]]:
    try:
        values, problems, given = take_options(option_fields(cls), options, purpose, base_dir)
    except StructureHandlerNotFoundError as error:
        where = f"{cls.__module__}:{cls.__qualname__}"
        raise ComponentError(
            f"an option of type {error.type_!r} cannot be given in a project file", where=where
        ) from error
    if not problems:  # a validator may look at other options, so these must be right first
        problems = _invalid_values(cls, values, given)
    return values, problems


def _as_built(value: Any, _: Any) -> Any:
    """The value of an option that is a connection: its storage, once built, and until then its name."""
    return value


def _resolve(value: str | Path, base_dir: Path) -> str | Path:
    resolved = os.path.normpath(base_dir / Path(value).expanduser())
    return Path(resolved) if isinstance(value, Path) else resolved


def _invalid_values(cls: type, values: Mapping[str, Any], given: Mapping[str, str]) -> list[Trouble]:
    """What the fields' converters and validators say, without building the component: building may open things."""
    shell: Any = object.__new__(cls)
    checked: list[OptionField] = []
    problems: list[Trouble] = []
    for field in option_fields(cls):
        attribute = cast("attrs.Attribute[Any]", field.attribute)  # of a class, so it is there
        value, converter = values.get(field.key, field.default), cast(Any, attribute.converter)
        try:
            if isinstance(value, _FACTORY):
                value = value.factory(shell) if value.takes_self else value.factory()
            if converter is not None and not isinstance(converter, attrs.Converter):
                value = converter(value)
            object.__setattr__(shell, field.name, value)
            checked.append(field)
        except (ValueError, TypeError) as error:
            problems.append(((given.get(field.key, field.key),), _words(error), ""))
    for field in checked:
        if field.attribute is not None and field.attribute.validator is not None:
            try:
                field.attribute.validator(shell, field.attribute, getattr(shell, field.name))
            except (ValueError, TypeError) as error:
                what = f"the secret given as {field.key!r} is not valid" if field.secret else _words(error)
                problems.append(((given.get(field.key, field.key),), what, ""))
    return problems


def option_problems(
    cls: type, options: Mapping[str, Any], *, purpose: str | None = None, base_dir: Path | None = None
) -> list[Trouble]:
    """What is wrong with the options of a component that is not built now; see :func:`structure_options`."""
    return _take_options(cls, options, purpose, base_dir)[1]


def structure_options(
    cls: type[T],
    options: Mapping[str, Any],
    *,
    component: str,
    purpose: Literal["read", "write"] | None = None,
    base_dir: Path | None = None,
) -> T:
    """Build a component from its options.

    Args:
        cls: an attrs class whose fields are its options.
        options: as given in a project.
        component: what to call it in an error (``"storage 'local'"``).
        purpose: refuse the options that have no meaning this way.
        base_dir: relative values of ``is_path`` options are resolved against it.

    Raises:
        OptionError: unknown, missing or wrong options; all of them.
        ComponentError: the class is not one that can be built from options.
    """
    values, problems = _take_options(cls, options, purpose, base_dir)
    if problems:
        raise OptionError(component, problems)
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        raise OptionError(component, [((), _words(error), "")]) from error
