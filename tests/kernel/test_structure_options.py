"""Plain data to attrs classes, and options to components."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi import option
from odibi.config.schema import json_schema
from odibi.contracts import Secret
from odibi.errors import ComponentError, OptionError
from odibi.model import Node, Retry
from odibi.structure import StructureError, did_you_mean, option_problems, structure, structure_options


class Colour(str, Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Inner:
    name: str
    size: int = 1


@attrs.frozen
class Outer:
    inner: Inner
    many: tuple[Inner, ...] = ()
    by_name: Mapping[str, Inner] = attrs.field(factory=dict)


def problems(data: Any, kind: Any) -> list[tuple[tuple[str | int, ...], str, str]]:
    with pytest.raises(StructureError) as caught:
        structure(data, kind)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (bool, "Yes", True),
        (bool, "off", False),
        (int, "42", 42),
        (int, 1e6, 1000000),
        (float, "1.5", 1.5),
        (float, 2, 2.0),
        (str, 5, "5"),
        (str, True, "true"),
        (Path, "a/b", Path("a/b")),
        (Secret, "x", Secret("x")),
        (Colour, "RED", Colour.RED),
        (Literal["a", "b"], "b", "b"),
        (int | None, None, None),
        (bool | tuple[str, ...], ["a"], ("a",)),
        (bool | tuple[str, ...], "yes", True),
        (bool | tuple[str, ...], "a", ("a",)),
        (str | Secret, "x", Secret("x")),
        (int | str, "5", "5"),
        (int | float, "1.5", 1.5),
        (tuple[str, ...], "a", ("a",)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (list[int], ["1", 2], [1, 2]),
        (frozenset[str], ["a", "a"], frozenset({"a"})),
        (dict[str, float], {"a": "1"}, {"a": 1.0}),
        (Mapping[int, str], {"1": "a"}, {1: "a"}),
        (str | Callable[..., Any], "f", "f"),
        (Any, {"a": (1, 2)}, {"a": [1, 2]}),
        (Inner | None, {"name": "a"}, Inner("a")),
    ],
)
def test_values_that_are_taken(kind: Any, given: Any, value: Any) -> None:
    found = structure(given, kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "given", "what"),
    [
        (bool, "maybe", "expected true or false, found 'maybe'"),
        (bool, 1, "expected true or false, found 1"),
        (int, True, "expected a whole number, found true"),
        (int, 1.5, "expected a whole number, found 1.5"),
        (int, "", "expected a whole number, found ''"),
        (float, "nan", "expected a number, found 'nan'"),
        (float, 10**400, "expected a number, found 1000000000000000000000000000000000000..."),
        (str, [1], "expected text, found a list"),
        (str, None, "expected text, found nothing"),
        (Path, "a\0", "the path holds a NUL character"),
        (Colour, "rde", "expected one of red, blue, found 'rde'"),
        (Literal["a", "b"], {}, "expected one of a, b, found a mapping"),
        (int | None, "x", "expected a whole number, found 'x'"),
        (bool | tuple[str, ...], {}, "expected true or false or a list of text, found a mapping"),
        (tuple[int, str], [1], "expected a list of 2, found a list"),
        (tuple[Inner, ...], "a", "expected a list, found 'a'"),
        (Inner, 5, "expected a mapping with name, size, found 5"),
    ],
)
def test_values_that_are_refused(kind: Any, given: Any, what: str) -> None:
    assert [problem[1] for problem in problems(given, kind)] == [what]


def test_every_problem_at_once_with_its_path() -> None:
    data = {"inner": {"nam": 1}, "many": [{"name": "a", "size": "x"}, 5], "by_name": {"k": {"name": []}}, "x": 1}
    assert [(path, what) for path, what, _ in problems(data, Outer)] == [
        (("inner", "nam"), "unknown key 'nam'"),
        (("inner",), "missing key 'name'"),
        (("many", 0, "size"), "expected a whole number, found 'x'"),
        (("many", 1), "expected a mapping with name, size, found 5"),
        (("by_name", "k", "name"), "expected text, found a list"),
        (("x",), "unknown key 'x'"),
    ]


def test_nearest_key_is_proposed() -> None:
    data = {"name": "n", "retry": {"max_atempts": 3}}
    assert problems(data, Node) == [
        (("retry", "max_atempts"), "unknown key 'max_atempts'", "Did you mean 'max_attempts'?")
    ]
    assert did_you_mean("MODE", ["mode", "x"]) == "Did you mean 'mode'?"
    assert did_you_mean("zzz", ["a", "b"]) == "Known: a, b."
    assert did_you_mean("zzz", ["a"], otherwise=False) == ""


def test_empty_value_is_a_value_not_given() -> None:
    assert structure({"delay": None}, Retry).delay == 1.0


@attrs.frozen
class Component:
    base: str = option(help="Where.", is_path=True)
    key: Secret = option(help="The key.", secret=True, aliases=["account_key"])  # noqa: RUF009 - an attrs field
    port: int = option(80, help="The port.", validator=attrs.validators.in_(range(100)))
    chunk: int | None = option(None, help="Rows at a time.", only="read")
    level: int = option(1, help="How hard.", only="write", converter=lambda value: value + 1)


def errors(options: Mapping[str, Any], purpose: Any = None) -> list[tuple[tuple[str | int, ...], str, str]]:
    with pytest.raises(OptionError) as caught:
        structure_options(Component, options, component="thing", purpose=purpose)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def test_options_become_a_component(tmp_path: Path) -> None:
    options = {"base": "../x", "account_key": "k", "port": "8", "level": 3}
    built = structure_options(Component, options, component="thing", purpose="write", base_dir=tmp_path / "p")
    assert built == Component(base=str(tmp_path / "x"), key=Secret("k"), port=8, level=3)
    assert built.level == 4
    assert "k" not in repr(built).replace("chunk", "")


def test_absolute_paths_stay(tmp_path: Path) -> None:
    options = {"base": str(tmp_path), "key": "k"}
    assert structure_options(Component, options, component="thing", base_dir=Path("/elsewhere")).base == str(tmp_path)


ONE = {"base": "x", "key": "k"}


@pytest.mark.parametrize(
    ("options", "purpose", "path", "what", "remedy"),
    [
        ({"bas": "x", **ONE}, None, ("bas",), "unknown option 'bas'", "Did you mean 'base'?"),
        ({"key": "k"}, None, (), "missing option 'base'", "Add it: where."),
        ({**ONE, "account_key": "j"}, None, ("account_key",), "'account_key' and 'key' are the same option",
         "Give one of them."),
        ({**ONE, "chunk": 5}, "write", ("chunk",), "option 'chunk' is for reading; this is a write", "Remove it."),
        ({**ONE, "level": 5}, "read", ("level",), "option 'level' is for writing; this is a read", "Remove it."),
    ],
)  # fmt: skip
def test_options_that_are_refused(
    options: Mapping[str, Any], purpose: Any, path: tuple[str, ...], what: str, remedy: str
) -> None:
    assert errors(options, purpose) == [(path, what, remedy)]


def test_validators_speak_without_building() -> None:
    ((path, what, _),) = option_problems(Component, {"base": "x", "key": "k", "port": 200})
    assert path == ("port",)
    assert "port" in what


def test_secret_never_shows_in_an_error() -> None:
    @attrs.frozen
    class Keyed:
        pin: int = option(help="The pin.", secret=True)
        key: str = option("", help="The key.", secret=True, validator=attrs.validators.matches_re("[a-z]+"))

    for options in ({"pin": Secret("hunter2")}, {"pin": 1, "key": Secret("HUNTER2")}):
        with pytest.raises(OptionError) as caught:
            structure_options(Keyed, options, component="thing")
        assert "hunter2" not in str(caught.value).lower()


def test_class_that_is_no_component() -> None:
    with pytest.raises(ComponentError, match="is not an attrs class"):
        structure_options(dict, {}, component="thing")


def test_schema_of_a_component() -> None:
    schema = json_schema(Component, purpose="read")
    assert schema["required"] == ["base"]  # the other one may be given under its alias
    assert set(schema["properties"]) == {"base", "key", "account_key", "port", "chunk"}
    assert schema["properties"]["port"]["default"] == 80
    assert schema["properties"]["base"]["description"] == "Where."


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    ANYTHING,
    st.sampled_from([Node, Retry, Outer, bool, int, float, str, Colour, tuple[int, ...], bool | tuple[str, ...]]),
)
def test_structuring_anything_gives_a_value_or_problems(data: Any, kind: Any) -> None:
    with contextlib.suppress(StructureError):  # anything else that it raises fails the test
        structure(data, kind)
