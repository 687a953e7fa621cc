"""Digests of plain values."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
import struct
import subprocess
import sys
import zoneinfo
from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, auto
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odibi.contracts import Secret
from odibi.digest import Undigestible, digest, encode, qualified_name, update
from odibi.errors import OdibiError


class Colour(Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 - an alias
    BLUE = 2


class Other(Enum):
    RED = 1


class Rank(IntEnum):
    ONE = 1


class Rights(Flag):
    READ = auto()
    WRITE = auto()


@attrs.frozen
class Point:
    x: Any
    y: Any = 0
    seen_at: Any = attrs.field(default=None, eq=False)


@attrs.frozen
class Spot:
    x: Any
    y: Any = 0


@attrs.define
class Half:
    given: int
    made: int = attrs.field(init=False)


@dataclasses.dataclass
class Size:
    width: Any
    note: Any = dataclasses.field(default=None, compare=False)


class WiderPoint(Point):
    def __init__(self, x: int, z: int) -> None:
        super().__init__(x)
        object.__setattr__(self, "z", z)


class Pair(NamedTuple):
    a: Any
    b: Any


Twin = namedtuple("Twin", "a b")


class Text(str):
    pass


class Plain:
    pass


for each in (Colour, Other, Rank, Rights, Point, Spot, Half, Size, WiderPoint, Pair, Twin, Text, Plain):
    each.__module__ = "shop.model"  # wherever this file lies


VALUES: dict[str, Any] = {
    "nothing": None,
    "yes": True,
    "no": False,
    "zero": 0,
    "one": 1,
    "minus one": -1,
    "a long number": 10**5000,
    "1.0": 1.0,
    "0.0": 0.0,
    "-0.0": -0.0,
    "not a number": math.nan,
    "infinity": math.inf,
    "a complex number": 1 - 2j,
    "no text": "",
    "text": "aé漢😀",
    "half a character": "\ud83d",
    "a NUL": "\0",
    "bytes": b"a\xff\0",
    "a bytearray": bytearray(b"a"),
    "an ellipsis": ...,
    "a date": date(2024, 2, 29),
    "a time": time(1, 2, 3, 4),
    "a moment": datetime(2024, 2, 29, 1, 2, 3, 4),
    "a moment twice": datetime(2024, 10, 27, 2, 30, fold=1),
    "a moment in UTC": datetime(2024, 2, 29, tzinfo=UTC),
    "a moment in a zone": datetime(2024, 2, 29, tzinfo=zoneinfo.ZoneInfo("UTC")),
    "a while": timedelta(days=-1, microseconds=5),
    "an offset": timezone(timedelta(hours=1)),
    "a named offset": timezone(timedelta(hours=1), "CET"),
    "1.10": Decimal("1.10"),
    "1.1": Decimal("1.1"),
    "a decimal that is none": Decimal("NaN"),
    "a third": Fraction(1, 3),
    "a uuid": UUID(int=7),
    "a member": Colour.RED,
    "another member": Colour.BLUE,
    "a member of another class": Other.RED,
    "a member that is a number": Rank.ONE,
    "rights": Rights.READ | Rights.WRITE,
    "a path": PurePosixPath("a/b"),
    "a pattern": re.compile("a+", re.IGNORECASE),
    "a pattern of bytes": re.compile(b"a+"),
    "a range": range(0, 10, 3),
    "a slice": slice(None, 10, 3),
    "no tuple": (),
    "a tuple": (1, "a"),
    "no list": [],
    "a list": [1, "a"],
    "a list in a list": [[1], "a"],
    "no dict": {},
    "a dict": {"b": 1, "a": [2, {"c": None}]},
    "a dict of pairs": {(1, "x"): 1, 1: 2, "1": 3, None: 4, 2.5: 5, True + 0.5: 6},
    "a set": {1, "a", (2, 3)},
    "a frozen set": frozenset({1, "a", (2, 3)}),
    "a read-only dict": MappingProxyType({"a": 1}),
    "an object": Point(1, [2]),
    "an object of another class": Spot(1, [2]),
    "half an object": Half(1),
    "a size": Size(1),
    "a pair": Pair(1, 2),
    "a twin": Twin(1, 2),
    "a type": int,
    "a type of ours": Point,
    "a path's type": Path,
}

EXPECTED = Path(__file__).with_name("digests_expected.json")
"""The digests of :data:`VALUES`. A digest that changes makes every fingerprint stored anywhere worthless."""


def test_the_encoding_is_what_it_was() -> None:
    assert {name: digest(value, 16) for name, value in VALUES.items()} == json.loads(EXPECTED.read_text())


def test_no_two_of_them_have_one_digest() -> None:
    assert len({digest(value) for value in VALUES.values()}) == len(VALUES)


def test_a_digest_is_the_sha256_of_the_encoding() -> None:
    value = {"a": [1, 2.5, None]}
    whole = hashlib.sha256(encode(value)).hexdigest()
    hasher = hashlib.sha256()
    update(hasher, value)
    assert digest(value) == whole == hasher.hexdigest()
    assert digest(value, 12) == whole[:12]


def test_what_is_the_same_to_python_on_any_machine() -> None:
    assert digest(Colour.RED) == digest(Colour.CRIMSON)
    assert digest(PurePosixPath("a/b")) == digest(PureWindowsPath("a\\b"))
    assert digest(math.nan) == digest(-math.nan) == digest(struct.unpack("<d", b"\1\0\0\0\0\0\xf8\x7f")[0])
    assert digest(Point(1, seen_at=5)) == digest(Point(1, seen_at=6))
    assert digest(Size(1, "a")) == digest(Size(1, "b"))
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({1: "a", "b": 2}) == digest({"b": 2, 1: "a"})


def test_classes_are_named_without_the_path_of_their_project() -> None:
    here = type("Rate", (), {"__module__": "odibi_project_0123456789abcdef_transforms"})
    assert qualified_name(here) == "transforms.Rate"
    assert digest(here) == digest(type("Rate", (), {"__module__": "odibi_project_fedcba9876543210_transforms"}))
    assert digest(here) != digest(type("Rate", (), {"__module__": "odibi_project_fedcba9876543210_plugins"}))


def test_it_is_the_same_in_any_process() -> None:
    program = (
        "import importlib.util, json, sys\n"
        "spec = importlib.util.spec_from_file_location('tests.kernel.test_digest', sys.argv[1])\n"
        "module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print(json.dumps({name: module.digest(value, 16) for name, value in module.VALUES.items()}))\n"
    )
    for seed in ("0", "1", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program, __file__], env=environment, capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout) == json.loads(EXPECTED.read_text())


# --- laws -------------------------------------------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=5)
    | st.binary(max_size=5)
    | st.sampled_from([Colour.RED, Other.RED, Decimal("1.0"), Decimal(1), Fraction(1), date(2024, 1, 1)])
)
keys = st.one_of(scalars, st.tuples(scalars, scalars)).filter(lambda key: key == key)  # no NaN
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(keys, max_size=4)
        | st.frozensets(keys, max_size=4)
        | st.builds(Point, inner, inner)
        | st.builds(Size, inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=12,
)


def picture(value: Any) -> Any:
    """A value that equals another one's picture just if the two should have one digest; said in another way."""
    kind = type(value).__name__
    if isinstance(value, float):
        return (kind, "nan" if math.isnan(value) else value.hex())
    if isinstance(value, dict):
        return (kind, frozenset((picture(key), picture(item)) for key, item in value.items()))
    if isinstance(value, set | frozenset):
        return (kind, frozenset(map(picture, value)))
    if isinstance(value, list | tuple):
        return (kind, *map(picture, value))
    if isinstance(value, Point):
        return (kind, picture(value.x), picture(value.y))
    if isinstance(value, Size):
        return (kind, picture(value.width))
    return (kind, repr(value))


@given(values, values)
@settings(max_examples=400, deadline=None)
def test_two_values_have_one_digest_just_if_they_are_the_same(one: Any, other: Any) -> None:
    assert (encode(one) == encode(other)) == (picture(one) == picture(other))


def near(value: Any) -> Iterator[Any]:
    """Values that a careless encoding takes for this one."""
    yield [value]
    yield (value,)
    yield {"a": value}
    yield {"a": value, "b": None}
    yield ["a", value]
    yield ["a", value, None]
    yield [["a"], value]
    yield [["a", value]]
    yield [["a", value], []]
    yield str(value)
    yield repr(value)
    yield encode(value)
    yield encode(value).decode("utf-8", "surrogatepass")
    yield Pair("a", value)
    yield Twin("a", value)
    yield Point("a", value)
    yield Point(value, "a")


@given(values)
@settings(max_examples=100, deadline=None)
def test_where_a_value_ends_is_never_in_doubt(value: Any) -> None:
    found = [encode(each) for each in near(value)]
    pictures = [picture(each) for each in near(value)]
    assert len(set(found)) == len(set(pictures))


@given(st.dictionaries(keys, values, max_size=6), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_a_dict_does_not_count(value: dict[Any, Any], random: Any) -> None:
    pairs = list(value.items())
    random.shuffle(pairs)
    assert encode(dict(pairs)) == encode(value)


@given(values)
@settings(deadline=None)
def test_an_encoding_is_text_and_ends_where_it_says(value: Any) -> None:
    # If the encoding of one value could begin that of another, two in a row could be read in two ways.
    whole = encode((value, value)).decode("utf-8", "surrogatepass")
    one = encode(value).decode("utf-8", "surrogatepass")
    assert whole == f"t2:{one}{one}"


# --- what cannot be digested ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "path", "kind"),
    [
        (object(), "", "object"),
        (Plain(), "", "shop.model.Plain"),
        ({"model": {"x": [1, Plain()]}}, "params['model']['x'][1]", "shop.model.Plain"),
        (Point(1, {"x": Plain()}), "params.y['x']", "shop.model.Plain"),
        (Size([Plain()]), "params.width[0]", "shop.model.Plain"),
        (Pair(1, Plain()), "params[1]", "shop.model.Plain"),
        (MappingProxyType({"a": Plain()}), "params['a']", "shop.model.Plain"),
        ({Plain: 1, 2: Plain()}, "params[2]", "shop.model.Plain"),
        ({(1, "a" * 50): Plain()}, "params[tuple]", "shop.model.Plain"),
        ({"a" * 50: Plain()}, f"params['{'a' * 40}'...]", "shop.model.Plain"),
        ({10**5000: Plain()}, "params[int]", "shop.model.Plain"),
        ({frozenset({len})}, "params{frozenset}{builtin_function_or_method}", "builtin_function_or_method"),
        ({len: 1}, "params{builtin_function_or_method}", "builtin_function_or_method"),
        (lambda: 0, "", "function"),
        (Text("a"), "", "shop.model.Text"),
        (OrderedDict(a=1), "", "collections.OrderedDict"),
        (WiderPoint(1, 2), "", "shop.model.WiderPoint"),
        (list[int], "", "types.GenericAlias"),
        (iter([1]), "", "list_iterator"),
        (Secret("s3cret"), "", "odibi.contracts.secret.Secret"),
    ],
)
def test_what_cannot_be_digested_is_named_with_the_way_to_it(value: Any, path: str, kind: str) -> None:
    with pytest.raises(Undigestible) as caught:
        digest(value, name="params")
    error = caught.value
    assert (error.path, error.kind) == (path or "params", kind)
    assert str(error) == f"{path or 'params'} is a {kind}: its content cannot be digested"
    assert isinstance(error, OdibiError)
    with pytest.raises(Undigestible) as caught:
        encode(value)
    assert caught.value.path == path.removeprefix("params").removeprefix(".")


def test_a_zone_without_a_name_has_no_content() -> None:
    zones = [zoneinfo.ZoneInfo("UTC")]
    with (Path(zoneinfo.TZPATH[0]) / "UTC").open("rb") as file:
        zones.append(zoneinfo.ZoneInfo.from_file(file))
    assert digest(zones[0])
    with pytest.raises(Undigestible, match=r"params\[0\] is a zoneinfo.ZoneInfo"):
        digest([datetime(2024, 1, 1, tzinfo=zones[1])], name="params")


def test_a_class_that_only_claims_to_be_a_known_one() -> None:
    forged = type("Decimal", (), {"__module__": "decimal"})
    with pytest.raises(Undigestible):
        digest(forged())


def looped() -> Iterator[tuple[Any, str]]:
    a: list[Any] = [1]
    a.append(a)
    yield a, "[1] is a list: it holds itself"
    b: dict[str, Any] = {"x": {"y": [0]}}
    b["x"]["y"].append(b["x"])
    yield b, "['x']['y'][1] is a dict: it holds itself"
    c = Point([], None)
    c.x.append({"p": c})
    yield c, "x[0]['p'] is a shop.model.Point: it holds itself"


@pytest.mark.parametrize(("value", "words"), list(looped()), ids=["list", "dict", "object"])
def test_what_holds_itself(value: Any, words: str) -> None:
    with pytest.raises(Undigestible) as caught:
        digest(value)
    assert str(caught.value) == words


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth() -> None:
    assert digest(nested(100)) != digest(nested(99))
    for depth in (101, 5000):
        with pytest.raises(Undigestible, match="more than 100 levels deep"):
            digest(nested(depth))
    wrapped: Any = 1
    for _ in range(101):
        wrapped = Point(wrapped)
    with pytest.raises(Undigestible, match="more than 100 levels deep"):
        digest(wrapped)
    frozen: Any = frozenset()
    for _ in range(150):
        frozen = frozenset({frozen})
    with pytest.raises(Undigestible, match="more than 100 levels deep"):
        digest(frozen)


def test_a_stack_that_is_nearly_used_up() -> None:
    def dig(depth: int) -> None:
        if depth:
            dig(depth - 1)
        else:
            digest(nested(90))

    def dig_deeper() -> None:
        for depth in range(sys.getrecursionlimit()):
            dig(depth)

    with pytest.raises(Undigestible, match="nested too deeply for the stack"):
        dig_deeper()
