"""Digests of functions' code."""

from __future__ import annotations

import copy
import dis
import functools
import importlib
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odibi.code import CodeDigest, CodeDigests, differences, version_of_distribution
from odibi.code.bytecode import PYTHON, read_code
from odibi.config.functions import load_functions

TRANSFORMS = '''
"""The steps of a shop."""

import shared
from shared import Rates, scaled, tidy

FEE = 2
LIMITS = {"low": 1, "high": [10, 20]}
STEPS = {"tidy": tidy, "plain": lambda value: value + 1}


def outer(share):
    def inner(value):
        return value * share

    return inner


half = outer(0.5)


@scaled(3)
def clean(frame, floor: int = 0, *, ceiling: int = 100):
    """Clean a frame."""
    total = half(frame) + FEE - LIMITS["low"]
    if total < floor or total > ceiling:
        return shared.rounded(total)
    return STEPS["tidy"](total) * Rates.euro + Rates().convert(total) + STEPS["plain"](total)


def other(frame):
    return frame
'''
SHARED = '''
import functools

import tables

DIGITS = 2
UNUSED = 1


class Rates:
    """The rates."""

    euro = 1.25

    def convert(self, value):
        """Convert."""
        return value * self.euro


def scaled(factor):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*given, **named):
            return function(*given, **named) * factor

        return wrapper

    return decorate


def tidy(value):
    return tables.looked_up(value)


def rounded(value):
    return round(value, DIGITS)


def unused(value):
    return value
'''
TABLES = """
TABLE = {"a": 1, "b": (2, 3)}


def looked_up(value):
    return TABLE.get(value, value)
"""
PROJECT = {"transforms": TRANSFORMS, "shared": SHARED, "tables": TABLES}


def load(folder: Path, **files: str) -> Mapping[str, Callable[..., Any]]:
    """Write a project's files, and load the functions of its ``transforms.py``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return load_functions(folder)


def digest_of(folder: Path, name: str = "clean", **files: str) -> CodeDigest:
    return CodeDigests().of(load(folder, **files)[name])


def edited(file: str, old: str, new: str) -> dict[str, str]:
    assert PROJECT[file].count(old) == 1
    return {**PROJECT, file: PROJECT[file].replace(old, new)}


# --- what counts, and what does not -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("transforms", "    total = half", "    # A comment.\n\n    total = half"),
        ("transforms", "FEE = 2\n", "FEE = 2  # per order\n\n\n\n"),
        ("transforms", '"""Clean a frame."""', '"""Clean a frame, thoroughly.\n\n    In two lines.\n    """'),
        ("transforms", '    """Clean a frame."""\n', ""),
        ("transforms", "half(frame) + FEE", "half( frame )+FEE"),
        ("transforms", "floor: int = 0", "floor: float = 0"),
        ("transforms", "ceiling: int", "ceiling"),
        ("transforms", "def outer(share):", "def outer(share) -> object:"),
        ("transforms", "def other(frame):\n    return frame\n", ""),
        ("transforms", '"""The steps of a shop."""', ""),
        ("transforms", "FEE = 2\nLIMITS", "import json\nMORE = 1\nFEE = 2\nLIMITS"),
        ("transforms", '{"low": 1, "high": [10, 20]}', '{"high": [10, 20], "low": 1}'),
        ("transforms", "import shared\nfrom shared import", "import shared as shared\nfrom shared import"),
        ("shared", '    """The rates."""\n', ""),
        ("shared", '        """Convert."""\n', '\n\n        """Convert a value."""\n'),
        ("shared", "UNUSED = 1", "UNUSED = 2"),
        ("shared", "def unused(value):\n    return value", "def unused(value):\n    return -value"),
        ("shared", "def tidy(value):\n", "def tidy(value):\n    'What it does.'\n"),
        ("tables", "def looked_up", "\n\n\n\ndef looked_up"),
    ],
)
def test_what_changes_nothing_a_function_does(tmp_path: Path, file: str, old: str, new: str) -> None:
    # The two also lie in different folders.
    assert digest_of(tmp_path / "a", **PROJECT) == digest_of(tmp_path / "b" / "c", **edited(file, old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("transforms", "+ FEE -", "- FEE -", {"code of `transforms.clean` changed"}),
        ("transforms", "total < floor", "total <= floor", {"code of `transforms.clean` changed"}),
        ("transforms", "floor: int = 0", "floor: int = 1", {"code of `transforms.clean` changed"}),
        ("transforms", "floor: int = 0", "floor: int = 0.0", {"code of `transforms.clean` changed"}),
        ("transforms", "floor: int = 0", "floor: int = False", {"code of `transforms.clean` changed"}),
        ("transforms", "ceiling: int = 100", "ceiling: int = 101", {"code of `transforms.clean` changed"}),
        ("transforms", "value + 1", "value + 2", {"code of `transforms.<lambda>` changed"}),
        ("transforms", "FEE = 2", "FEE = 3", {"the constant `transforms.FEE` changed"}),
        ("transforms", "FEE = 2", "FEE = 2.0", {"the constant `transforms.FEE` changed"}),
        ("transforms", "[10, 20]", "[10, 30]", {"the constant `transforms.LIMITS` changed"}),
        ("transforms", "FEE = 2\n", "", {"it no longer uses constant `transforms.FEE`"}),
        (
            "transforms",
            "FEE = 2\n",
            "FEE = 2\ndef round(*_): return 0\n",
            set(),
        ),
        (
            "transforms",
            '{"tidy": tidy, "plain": lambda value: value + 1}',
            '{"tidy": len, "plain": lambda value: value + 1}',
            {"the constant `transforms.STEPS` changed", "it no longer uses `shared.tidy`",
             "it no longer uses `tables.looked_up`", "it no longer uses constant `tables.TABLE`"},
        ),
        (
            "transforms",
            '{"tidy": tidy, "plain": lambda value: value + 1}',
            '{"plain": tidy, "tidy": lambda value: value + 1}',
            {"the constant `transforms.STEPS` changed"},
        ),
        (
            "transforms",
            "half = outer(0.5)",
            "half = outer(0.25)",
            {"the constant `transforms.outer.<locals>.inner.share` changed"},
        ),
        (
            "transforms",
            "@scaled(3)",
            "@scaled(4)",
            {"the constant `shared.scaled.<locals>.decorate.<locals>.wrapper.factor` changed"},
        ),
        (
            "transforms", "return value * share", "return share * value",
            {"code of `transforms.outer.<locals>.inner` changed"},
        ),
        (
            "shared", "named) * factor", "named) + factor",
            {"code of `shared.scaled.<locals>.decorate.<locals>.wrapper` changed"},
        ),
        ("shared", "DIGITS = 2", "DIGITS = 3", {"the constant `shared.DIGITS` changed"}),
        (
            "shared", "euro = 1.25", "euro = 1.5",
            {"the class `shared.Rates` changed", "the constant `shared.Rates.euro` changed"},
        ),
        ("shared", "value * self.euro", "value / self.euro", {"code of `shared.Rates.convert` changed"}),
        (
            "shared",
            "    euro = 1.25\n",
            "    euro = 1.25\n    dollar = 1.1\n",
            {"the class `shared.Rates` changed", "it now uses constant `shared.Rates.dollar`"},
        ),
        ("shared", "class Rates:", "class Rates(dict):", {"the class `shared.Rates` changed"}),
        ("tables", '"a": 1', '"a": 2', {"the constant `tables.TABLE` changed"}),
        ("tables", '"a": 1', '"a": True', {"the constant `tables.TABLE` changed"}),
        ("tables", "(2, 3)", "[2, 3]", {"the constant `tables.TABLE` changed"}),
        ("tables", "TABLE.get(value, value)", "TABLE.get(value, 0)", {"code of `tables.looked_up` changed"}),
    ],
)  # fmt: skip
def test_what_changes_something_is_named(tmp_path: Path, file: str, old: str, new: str, words: set[str]) -> None:
    before = digest_of(tmp_path / "a", **PROJECT)
    now = digest_of(tmp_path / "b", **edited(file, old, new))
    assert (before.digest != now.digest) == bool(words)
    assert set(differences(before.parts, now.parts)) == words
    assert not before.unknown + now.unknown


def test_the_projects_own_code_is_named_first() -> None:
    before = {"z.f": "function a", "C": "class a", "b.T": "constant a", "numpy": "package 1", "python": "python 1"}
    now = {"z.f": "function b", "C": "class b", "b.T": "constant b", "numpy": "package 2", "python": "python 2"}
    assert list(differences(before, now)) == [
        "code of `z.f` changed",
        "the class `C` changed",
        "the constant `b.T` changed",
        "the version of numpy changed from 1 to 2",
        "the version of python changed from 1 to 2",
    ]
    assert list(differences(before, before)) == []
    assert list(differences({}, {"numpy": "package"})) == ["it now uses package `numpy`"]
    assert list(differences({"numpy": "package"}, {"numpy": "package 2"})) == [
        "the version of numpy changed from none to 2"
    ]


RECORD = "import attrs\ndef clean(x): return S\n@attrs.frozen\nclass A:\n    a: int\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def clean(x, *a): return a", "def clean(x, **a): return a"),
        ("def clean(x, a): return a", "def clean(x, b): return b"),
        ("def clean(x, a): return a", "def clean(x, /, a): return a"),
        ("def clean(x, a): return a", "def clean(x, *, a): return a"),
        ("def clean(x): return x.lower()", "def clean(x): return x.upper()"),
        ("def clean(x): return 0.0", "def clean(x): return -0.0"),
        ("def clean(x): return 1", "def clean(x): return True"),
        ("def clean(x): return x in {1, 2}", "def clean(x): return x in {1, 3}"),
        ("def clean(x): return [y for y in x if y]", "def clean(x): return (y for y in x if y)"),
        ("def clean(x): return x", "async def clean(x): return x"),
        ("def clean(x): return x", "def clean(x): yield x"),
        ("def clean(x): return x", "clean = lambda x: x\nclean.__module__ = __name__"),
        (
            "import functools\ndef g(x): return 1\nclean = functools.wraps(g)(lambda x: x)",
            "import functools\ndef g(x): return 2\nclean = functools.wraps(g)(lambda x: x)",
        ),
        (
            "class Key(tuple):\n    def key(self): return 1\nKEYS = {Key([1])}\ndef clean(x): return KEYS",
            "class Key(tuple):\n    def key(self): return 2\nKEYS = {Key([1])}\ndef clean(x): return KEYS",
        ),
        (f"{RECORD}    def m(self): return 1\nS = {{A(1)}}", f"{RECORD}    def m(self): return 2\nS = {{A(1)}}"),
        (
            "def clean(x):\n    try:\n        a()\n        b()\n    except E:\n        c()",
            "def clean(x):\n    try:\n        a()\n    except E:\n        c()\n    else:\n        b()",
        ),
    ],
)
def test_code_that_differs(tmp_path: Path, one: str, other: str) -> None:
    digests = [digest_of(tmp_path / name, transforms=source + "\n") for name, source in (("a", one), ("b", other))]
    assert digests[0].digest != digests[1].digest


def test_a_docstring_counts_where_one_is_asked_for(tmp_path: Path) -> None:
    files = {
        "transforms": 'def clean(frame):\n    """One."""\n    return helper.__doc__\ndef helper():\n    """Two."""\n'
    }
    one = digest_of(tmp_path / "a", **files)
    other = digest_of(tmp_path / "b", transforms=files["transforms"].replace("Two", "Three"))
    assert one.digest != other.digest


def test_a_docstring_that_is_also_a_constant_counts(tmp_path: Path) -> None:
    source = "def clean(frame):\n    'text'\n    return 'text'\n"
    one = digest_of(tmp_path / "a", transforms=source)
    assert one.digest != digest_of(tmp_path / "b", transforms=source.replace("text", "words")).digest
    assert one.digest == digest_of(tmp_path / "c", transforms=source.replace("'text'\n    return", "return")).digest


def test_classes_inside_functions_do_not_know_their_lines(tmp_path: Path) -> None:
    source = """
        def clean(frame):
            class Local:
                'A class.'
                def set(self):
                    self.a, self.c, self.b = 1, 2, 3
            return Local
    """
    moved = "\n\n\n" + source.replace("'A class.'", "'A class indeed.'")
    assert digest_of(tmp_path / "a", transforms=source) == digest_of(tmp_path / "b", transforms=moved)
    changed = source.replace("self.b = 1, 2, 3", "self.b = 1, 2, 4")
    assert digest_of(tmp_path / "a").digest != digest_of(tmp_path / "c", transforms=changed).digest


def test_python_counts(tmp_path: Path) -> None:
    assert digest_of(tmp_path, **PROJECT).parts["python"] == f"python {PYTHON}"
    assert PYTHON.split() == [sys.implementation.name, f"{sys.version_info[0]}.{sys.version_info[1]}"]


# --- the same everywhere ----------------------------------------------------------------------------------------------

EVERYTHING = {
    **PROJECT,
    "kinds": """
        import abc, collections, contextlib, contextvars, dataclasses, enum, functools, logging, operator, re, threading
        import typing
        from pathlib import Path
        import attrs

        log = logging.getLogger(__name__)
        LOCK, VARIABLE = threading.Lock(), contextvars.ContextVar("v")
        PATTERN, HERE, NAME = re.compile("a+"), Path(__file__).parent, __name__
        WORDS = {"one", "two", "three", "four", "five"}
        FROZEN = frozenset({("a", 1), ("b", 2), "c", None, 1.5})
        COUNTS = collections.Counter("abracadabra")
        GROUPS = collections.defaultdict(list, {"b": [1], "a": [2]})
        pick = operator.itemgetter("a", "b")

        class Colour(enum.Enum):
            RED = 1
            BLUE = (2, "x")
            def shade(self):
                return self.value

        class Rights(enum.IntFlag):
            READ = 1
            WRITE = 2

        @dataclasses.dataclass(order=True)
        class Point:
            x: int
            y: float = 1.5
            tags: list = dataclasses.field(default_factory=list)
            def norm(self):
                return helper(self.x)

        @attrs.define
        class Settings:
            name: str
            size: int = attrs.field(default=3, validator=attrs.validators.instance_of(int), converter=int)
            more: dict = attrs.field(factory=dict)
            @functools.cached_property
            def both(self):
                return self.name, self.size

        class Pair(typing.NamedTuple):
            a: int
            b: str = "q"

        class Base(abc.ABC):
            @abc.abstractmethod
            def run(self): ...

        class Model(Base):
            weights = {"a": 1.0, "b": 2.0}
            def __init__(self, size):
                self.size = size
                self.parent = self
            def run(self):
                return super().run(), type(self).weights
            def __call__(self, value):
                return value * self.size
            @property
            def double(self):
                return self.size * 2
            @staticmethod
            def plain(value):
                return value
            @classmethod
            def make(cls, size):
                return cls(size)

        Alias = typing.Optional[Model]
        KINDS = {Model, Base, Point, Settings, Pair, Colour, Rights, len, int}
        MODEL = Model(3)
        SETTINGS, POINT = Settings("a"), Point(1)
        BY_TYPE = {int: lambda value: value + 1, Model: len, Colour.RED: 1, "all": [MODEL.run, str.lower, Model.make]}

        def helper(value):
            return value + 1

        twice = functools.partial(helper, 2)

        @functools.lru_cache
        def remembered(value):
            return helper(value)

        @functools.singledispatch
        def shown(value):
            return str(value)

        @shown.register
        def _(value: int):
            return value

        @contextlib.contextmanager
        def opened(value):
            yield helper(value)
    """,
    "transforms": TRANSFORMS
    + """
import kinds
from kinds import *

MINE = __name__

def every(frame):
    with LOCK, opened(1):
        log.info("%s %s", VARIABLE, PATTERN)
        return (HERE, NAME, WORDS, FROZEN, COUNTS, GROUPS, pick, Colour.RED, Rights.READ, Point, Settings, Pair, MODEL,
                SETTINGS, POINT, BY_TYPE, KINDS, MINE, twice, remembered, shown, Alias, __name__, __file__,
                kinds.Model.plain)

def whole(frame):
    return kinds

async def later(frame):
    return [each async for each in frame if each not in {"x", "y", "z"}]

def odd(n):
    return even(n - 1)

def even(n):
    return n == 0 or odd(n - 1)

def lazily(frame):
    import late
    from json import dumps
    return late.looked(frame), dumps
""",
    "late": "import later\ndef looked(value):\n    return later.K\n",
    "later": "K = 3\n",
}

PROGRAM = """
import json, random, sys
from pathlib import Path
from odibi.code import CodeDigests
from odibi.config.functions import load_functions
functions = load_functions(Path(sys.argv[1]))
names = sorted(functions)
random.Random(int(sys.argv[2])).shuffle(names)
digests = CodeDigests()
for name in names:
    assert digests.of(functions[name]) is digests.of(functions[name]), name
found = {name: digests.of(functions[name]) for name in sorted(names)}
print(json.dumps({name: [each.digest, each.parts, each.unknown] for name, each in found.items()}))
"""


def in_a_process(root: Path, seed: int, cwd: Path, *flags: str, **environment: str) -> Any:
    variables = {**os.environ, "PYTHONHASHSEED": str(seed), **environment}
    done = subprocess.run(
        [sys.executable, *flags, "-c", PROGRAM, str(root), str(seed)],
        env=variables,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_the_same_in_any_process_and_any_folder(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "deep" / "down" / "other"
    here = {name: CodeDigests().of(each) for name, each in load(one, **EVERYTHING).items()}
    load(other, **EVERYTHING)
    expected = {name: [each.digest, each.parts, each.unknown] for name, each in here.items()}
    assert set(expected) >= {"clean", "every", "whole", "later", "odd", "even", "lazily", "half"}
    assert all(not unknown for _, _, unknown in expected.values())
    assert in_a_process(one, 0, tmp_path, "-B") == expected  # without compiled files
    assert in_a_process(other, 1, one) == expected  # they are written
    assert in_a_process(other, 2, other) == expected  # and read
    assert in_a_process(Path("other"), 3, other.parent) == expected  # by a relative path


def test_asserts_that_do_not_run_do_not_count(tmp_path: Path) -> None:
    load(tmp_path, transforms="def clean(frame):\n    assert frame\n    return frame\n")
    careful, fast = in_a_process(tmp_path, 0, tmp_path), in_a_process(tmp_path, 0, tmp_path, "-O")
    assert careful["clean"][0] != fast["clean"][0]


def test_running_a_function_does_not_change_its_digest(tmp_path: Path) -> None:
    functions = load(tmp_path, **PROJECT)
    before = CodeDigests().of(functions["clean"])
    for number in range(5000):  # enough for the interpreter to specialise it
        functions["clean"](number % 7)
    assert CodeDigests().of(functions["clean"]) == before

    def trace(*_: Any) -> Any:
        return trace

    tracing = sys.gettrace()
    sys.settrace(trace)
    try:
        functions["clean"](1)
        assert CodeDigests().of(functions["clean"]) == before
    finally:
        sys.settrace(tracing)


def everything_in(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from everything_in(each)


@pytest.mark.parametrize("name", ["argparse", "asyncio.base_events", "dataclasses", "enum", "inspect", "typing"])
def test_bytecode_is_read_as_the_standard_library_reads_it(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    whole = spec.loader.get_code(name)  # type: ignore[union-attr]
    for code in everything_in(whole):
        loads, imports = set(), set()
        for each in everything_in(code):
            instructions = list(dis.get_instructions(each))
            for at, instruction in enumerate(instructions):
                if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
                    following = itertools.takewhile(
                        lambda it: it.opname in ("LOAD_ATTR", "LOAD_METHOD", "EXTENDED_ARG"), instructions[at + 1 :]
                    )
                    names = [it.argval for it in following if it.opname != "EXTENDED_ARG"]
                    loads.add((instruction.argval, *names))
                elif instruction.opname == "IMPORT_NAME":
                    level, wanted = (it.argval for it in instructions[at - 2 : at])
                    imports.add((instruction.argval, tuple(wanted or ()), level))
        read = read_code(code)
        assert {(load.name, *load.attributes) for load in read.loads} == loads
        assert set(read.imports) == imports


# --- graphs of functions ----------------------------------------------------------------------------------------------


def program(calls: list[set[int]], constants: list[int]) -> str:
    return "\n".join(
        f"def f{at}(x):\n    return {constants[at]}{''.join(f' + f{each}(x)' for each in sorted(called))}"
        for at, called in enumerate(calls)
    )


def namespace(source: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "graph", "__file__": "graph.py"}
    exec(source, space)
    return space


def reaching(calls: list[set[int]], changed: int) -> set[int]:
    found = {changed}
    while more := {at for at, called in enumerate(calls) if called & found} - found:
        found |= more
    return found


graphs = st.integers(1, 7).flatmap(
    lambda n: st.lists(st.sets(st.integers(0, n - 1), max_size=3), min_size=n, max_size=n)
)


@given(graphs, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_a_change_is_seen_by_those_who_reach_it_and_by_nobody_else(calls: list[set[int]], random: Any) -> None:
    size = len(calls)
    constants = list(range(100, 100 + size))
    space = namespace(program(calls, constants))
    kept = CodeDigests()
    order = random.sample(range(size), size)
    before = {at: kept.of(space[f"f{at}"]) for at in order}
    assert before == {at: CodeDigests().of(space[f"f{at}"]) for at in range(size)}

    changed = random.randrange(size)
    constants[changed] += 1000
    space[f"f{changed}"] = new = namespace(program(calls, constants))[f"f{changed}"]
    new.__globals__.update({name: value for name, value in space.items() if name.startswith("f")})
    now = {at: kept.of(space[f"f{at}"]) for at in random.sample(range(size), size)}
    assert {at for at in range(size) if now[at].digest != before[at].digest} == reaching(calls, changed)
    assert now == {at: CodeDigests().of(space[f"f{at}"]) for at in range(size)}


@given(graphs, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_who_calls_whom_counts(calls: list[set[int]], random: Any) -> None:
    constants = [7] * len(calls)
    space, at = namespace(program(calls, constants)), random.randrange(len(calls))
    other = [set(called) for called in calls]
    other[at] ^= {random.randrange(len(calls))}
    changed = namespace(program(other, constants))
    assert CodeDigests().of(space[f"f{at}"]).digest != CodeDigests().of(changed[f"f{at}"]).digest


def test_which_of_two_alike_is_called_counts() -> None:
    source = """
        def make(n):
            def made(x):
                return x * n
            return made
        {one}, {other} = make(1), make(2)
        table = {{"a": {one}, "b": {other}}}
        def clean(x):
            return table["a"](x)
    """
    spaces = [namespace(textwrap.dedent(source.format(one=one, other=other))) for one, other in ("pq", "qp")]
    swapped = [{"a": spaces[0]["q"], "b": spaces[0]["p"]}, {"b": spaces[0]["q"], "a": spaces[0]["p"]}]
    digests = [CodeDigests().of(space["clean"]).digest for space in spaces]
    for table in swapped:
        spaces[0]["table"] = table
        digests.append(CodeDigests().of(spaces[0]["clean"]).digest)
    first, second, third, fourth = digests
    assert first == second == fourth != third
    parts = CodeDigests().of(spaces[0]["clean"]).parts
    assert {"graph.make.<locals>.made", "graph.make.<locals>.made.n", "graph.make.<locals>.made.n (2)"} <= set(parts)


def test_who_is_shared_by_whom_counts() -> None:
    source = """
        def one(x): return 1
        def two(x): return 2
        def make(function):
            def made(x):
                return function(x)
            return made
        table = [{0}, {1}, one]
        def clean(x):
            return table
    """
    digests = [
        CodeDigests().of(namespace(textwrap.dedent(source.format(*order)))["clean"]).digest
        for order in itertools.product(["make(one)", "make(two)"], repeat=2)
    ]
    assert len(set(digests)) == 4


def test_a_long_chain_of_functions() -> None:
    count = 3000
    space = namespace(program([{at + 1} for at in range(count - 1)] + [set()], [1] * count))
    before = CodeDigests().of(space["f0"]).digest
    space[f"f{count - 1}"] = lambda x: 2
    assert CodeDigests().of(space["f0"]).digest != before


# --- the same object, changed -----------------------------------------------------------------------------------------

CHANGING = """
    import functools
    RATE, ROWS, NESTED, PAIR = 1000, {"a": [1]}, (1, [2]), (1, 2)
    def cell():
        share = 1
        def inner(x):
            return x * share
        def put(value):
            nonlocal share
            share = value
        return inner, put
    inner, put = cell()
    class Model:
        size = 1
        def __init__(self):
            self.weights = [1, 2]
        def apply(self, x):
            return x * self.size
    model = Model()
    def helper(x):
        return x + 1
    part = functools.partial(helper, x=[1])
    def clean(x, given=[1], *, key=1):
        return RATE, ROWS, NESTED, PAIR, inner(x), model.apply(x), helper(x), part, maybe
"""


@pytest.mark.parametrize(
    "change",
    [
        "RATE = 2000",
        "ROWS['a'].append(2)",
        "ROWS['b'] = 1",
        "NESTED[1].append(3)",
        "PAIR = (1, 3)",
        "put(2)",
        "Model.size = 2",
        "Model.more = 2",
        "Model.apply = lambda self, x: x",
        "del Model.size",
        "model.weights.append(3)",
        "model.more = 1",
        "model = Model(); model.weights = []",
        "helper = lambda x: x",
        "helper.__code__ = (lambda x: x + 2).__code__",
        "helper.__defaults__ = (1,)",
        "part.keywords['x'].append(2)",
        "clean.__defaults__[0].append(2)",
        "clean.__kwdefaults__['key'] = 2",
        "clean.__kwdefaults__ = None",
        "clean.__code__ = (lambda x, given=1: RATE).__code__",
        "maybe = 1",
        "del RATE",
        "def len(x): return 1\ndef helper(x): return len(x)",
    ],
)
def test_what_is_changed_in_place_is_seen(change: str) -> None:
    space = namespace(textwrap.dedent(CHANGING))
    kept = CodeDigests()
    before = kept.of(space["clean"])
    assert kept.of(space["clean"]) is before
    exec(change, space)
    now = kept.of(space["clean"])
    assert now.digest != before.digest
    assert now == CodeDigests().of(space["clean"])
    assert kept.of(space["clean"]) is now


def test_what_functions_share_is_looked_at_once(tmp_path: Path) -> None:
    space = namespace(textwrap.dedent(CHANGING) + "\ndef other(x):\n    return ROWS, helper(x)\n")
    kept, looked_at = CodeDigests(), set[Any]()
    before = [kept.of(space[name], looked_at) for name in ("clean", "other")]
    space["ROWS"]["a"].append(2)
    assert [kept.of(space[name], looked_at) for name in ("clean", "other")] == before
    now = [kept.of(space[name], set()) for name in ("clean", "other")]
    assert now == [CodeDigests().of(space[name]) for name in ("clean", "other")]
    assert all(one.digest != other.digest for one, other in zip(now, before, strict=True))


def test_an_equal_value_in_the_place_of_another_changes_nothing() -> None:
    space = namespace(textwrap.dedent(CHANGING))
    kept = CodeDigests()
    before = kept.of(space["clean"])
    exec("RATE = int('1000'); ROWS = {'a': [1]}; model = Model()", space)
    assert kept.of(space["clean"]) == before


def test_what_python_notes_in_a_class_changes_nothing() -> None:
    space = namespace("class Model:\n    size = 1\ndef clean(x):\n    return Model\n")
    before = CodeDigests().of(space["clean"])
    noted = set(vars(space["Model"]))
    copy.copy(space["Model"]())
    assert set(vars(space["Model"])) > noted
    assert CodeDigests().of(space["clean"]) == before


def test_what_is_no_longer_used_is_let_go() -> None:
    class Witness:
        pass

    space = namespace("def clean(x):\n    return held\n")
    space["Witness"], kept = Witness, CodeDigests()
    for _ in range(5000):
        space["held"] = Witness()
        kept.of(space["clean"])
    assert len(kept._pieces) < 3000


# --- all that can be called -------------------------------------------------------------------------------------------


def each_kind(space: dict[str, Any]) -> Iterator[Callable[..., Any]]:
    yield space["model"].apply
    yield space["model"]
    yield space["Model"]
    yield space["Model"].apply
    yield space["part"]
    yield functools.partial(space["model"].apply, 1)
    yield functools.lru_cache(space["helper"])
    yield [1, 2].append
    yield len
    yield str.lower
    yield json.dumps
    yield functools.singledispatch(space["helper"])


def test_every_kind_of_callable_has_a_digest_of_its_own() -> None:
    spaces = [namespace(textwrap.dedent(CHANGING)) for _ in range(2)]
    one, other = ([CodeDigests().of(each) for each in each_kind(space)] for space in spaces)
    assert one == other
    assert len({each.digest for each in one}) == len(one)
    assert not any(each.unknown for each in one)


def test_a_method_is_known_by_its_object() -> None:
    space = namespace(textwrap.dedent(CHANGING))
    kept, model = CodeDigests(), space["model"]
    before = kept.of(model.apply)
    assert kept.of(model.apply) is before
    assert len(kept._known) == 1
    model.weights.append(5)
    assert kept.of(model.apply).digest != before.digest
    assert kept.of(space["Model"]().apply).digest == before.digest


def test_threads_may_ask_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    functions = load(tmp_path, **EVERYTHING)
    kept = CodeDigests()
    names = sorted(functions) * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: kept.of(functions[name]).digest, names))
    assert found == [CodeDigests().of(functions[name]).digest for name in names]


# --- what cannot be known ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "import pluggy\nMANAGER = pluggy.PluginManager('x')\ndef clean(x): return MANAGER\n",
            "it uses `MANAGER`, a pluggy._manager.PluginManager, whose content cannot be digested",
        ),
        (
            "ROWS = {'a': [1, (each for each in ())]}\ndef clean(x): return helper()\ndef helper(): return ROWS\n",
            "`transforms.helper` uses `ROWS['a'][1]`, a generator, whose content cannot be digested",
        ),
        (
            "ROWS = []\nROWS.append(ROWS)\ndef clean(x): return ROWS\n",
            "it uses `ROWS[0]`, a list: it holds itself",
        ),
        (
            "def clean(x, rows=(each for each in ())): return rows\n",
            "it uses `defaults[0]`, a generator, whose content cannot be digested",
        ),
        (
            "class Model:\n    rows = (each for each in ())\ndef clean(x): return Model\n",
            "`transforms.Model` uses `rows`, a generator, whose content cannot be digested",
        ),
        (
            "class Model:\n    def __init__(self): self.it = (x for x in ())\nM = Model()\ndef clean(x): return M",
            "`transforms.Model object` uses `['state']['it']`, a generator, whose content cannot be digested",
        ),
        (
            "class Model:\n    def __reduce__(self): raise ValueError\nMODEL = Model()\ndef clean(x): return MODEL\n",
            "it uses `MODEL`, a transforms.Model, whose content cannot be digested",
        ),
        ("def clean(x): return eval(x)\n", "it uses `eval`, and what that runs cannot be known"),
        (
            "import importlib\ndef clean(x): return importlib.import_module(x)\n",
            "it uses `importlib.import_module`, and what that runs cannot be known",
        ),
        (
            "def clean(x):\n    from importlib import import_module\n    return import_module(x)\n",
            "it uses `importlib`, and what that imports cannot be known",
        ),
        (
            "HANDLERS = {lambda: 1, lambda: 2}\ndef clean(x): return HANDLERS\n",
            "it uses a function: there are several `transforms.<lambda>` in no order",
        ),
    ],
)
def test_what_cannot_be_known_is_named(tmp_path: Path, source: str, words: str) -> None:
    one, other = (digest_of(tmp_path / name, transforms=source) for name in "ab")
    assert one == other
    assert one.unknown == words


def test_what_lies_beside_the_unknown_counts_all_the_same(tmp_path: Path) -> None:
    source = "def f(x): return 1\nROWS = {'a': (x for x in ()), 'f': f}\ndef clean(x): return ROWS\n"
    one = digest_of(tmp_path / "a", transforms=source)
    other = digest_of(tmp_path / "b", transforms=source.replace("return 1", "return 2"))
    assert one.unknown
    assert one.digest != other.digest


@pytest.mark.parametrize(
    "value",
    [
        "logging.getLogger('x')",
        "threading.Lock()",
        "threading.RLock()",
        "threading.local()",
        "contextvars.ContextVar('x')",
        "weakref.WeakKeyDictionary()",
        "object()",
        "typing.Optional[int]",
        "typing.TypeVar('T')",
        "list[int]",
        "int | None",
        "re.compile('a')",
        "types.SimpleNamespace(a=1)",
        "collections.OrderedDict(b=1, a=2)",
        "collections.deque([1], maxlen=2)",
        "random.Random(1)",
        "decimal.Decimal('1.0')",
        "datetime.timezone.utc",
        "operator.itemgetter(1)",
        "ipaddress.ip_network('10.0.0.0/8')",
        "string.Template('$a')",
        "fractions.Fraction(1, 3)",
        "json",
        "json.dumps",
        "attrs.validators.in_([1, 2])",
    ],
)
def test_common_constants_are_known(tmp_path: Path, value: str) -> None:
    names = "attrs collections contextvars datetime decimal fractions ipaddress json logging operator random re string"
    source = (
        f"import {', '.join(names.split())}, threading, types, typing, weakref\nX = {value}\ndef clean(x): return X\n"
    )
    one, other = (digest_of(tmp_path / name, transforms=source) for name in "ab")
    assert one == other
    assert not one.unknown


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("collections.defaultdict(list, a=1, b=2)", "collections.defaultdict(list, b=2, a=1)"),
        ("collections.Counter('aab')", "collections.Counter('baa')"),
        ("types.SimpleNamespace(a=1, b=2)", "types.SimpleNamespace(b=2, a=1)"),
        ("pathlib.Path(__file__).parent / 'rates.csv'", "pathlib.Path(__file__).with_name('rates.csv')"),
        ("logging.getLogger(__name__)", "logging.getLogger('x')"),
    ],
)
def test_constants_that_are_the_same(tmp_path: Path, one: str, other: str) -> None:
    source = "import collections, logging, pathlib, types\nX = {}\ndef clean(x): return X\n"
    found = [digest_of(tmp_path / name, transforms=source.format(it)) for name, it in (("a", one), ("b", other))]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("types.SimpleNamespace(a=1)", "types.SimpleNamespace(a=2)"),
        ("collections.OrderedDict(b=1, a=2)", "collections.OrderedDict(a=2, b=1)"),
        ("collections.deque([1], maxlen=2)", "collections.deque([1], maxlen=3)"),
        ("random.Random(1)", "random.Random(2)"),
        ("operator.itemgetter(1)", "operator.itemgetter(2)"),
        ("operator.itemgetter(1)", "operator.attrgetter('a')"),
        ("attrs.validators.in_([1, 2])", "attrs.validators.in_([1, 3])"),
        ("functools.partial(max, 1)", "functools.partial(max, 2)"),
        ("functools.partial(max, 1)", "functools.partial(min, 1)"),
        ("[1].append", "[2].append"),
        ("json.dumps", "json.loads"),
        ("json", "re"),
        ("typing.Optional[int]", "typing.Optional[str]"),
        ("int", "float"),
        ("staticmethod(len)", "classmethod(len)"),
        ("property(len)", "property(None, len)"),
        ("{Pair(1, 2): 1, Pair(1, 3): 2}", "{Pair(1, 2): 2, Pair(1, 3): 1}"),
        ("{Pair(1, 2), Pair(1, 3)}", "{Pair(1, 2), Pair(1, 4)}"),
    ],
)
def test_constants_that_differ(tmp_path: Path, one: str, other: str) -> None:
    source = "import attrs, collections, functools, json, operator, random, re, types, typing\n"
    source += "@attrs.frozen\nclass Pair:\n    a: int\n    b: int\nX = {}\n"
    source += "def clean(x): return X\n"
    found = [
        digest_of(tmp_path / name, transforms=source.replace("X = {}", f"X = {it}"))
        for name, it in (("a", one), ("b", other))
    ]
    assert found[0].digest != found[1].digest
    assert not found[0].unknown + found[1].unknown


# --- packages ---------------------------------------------------------------------------------------------------------


def install(folder: Path, name: str, version: str, top_level: str, source: str) -> Path:
    """Lay a distribution down as pip would."""
    site = folder / "site-packages"
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "top_level.txt").write_text(f"{top_level}\n")
    (site / f"{top_level}.py").write_text(source)
    return site


USING = {
    "transforms": """
        import shopkit
        from shopkit import LIMIT, Basket, total
        def by_module(x): return shopkit.total(x)
        def by_function(x): return total(x)
        def by_class(x): return Basket(x)
        def by_constant(x): return LIMIT
        @shopkit.wrapped
        def decorated(x): return x
        def lazily(x):
            from shopkit import total
            return total(x)
        class Own(Basket): pass
        def by_base(x): return Own
        def without(x): return x
    """
}
SHOPKIT = """
import functools
LIMIT = 1
class Basket: pass
def total(x): return x
def wrapped(function):
    @functools.wraps(function)
    def wrapper(*given): return function(*given)
    return wrapper
"""


def test_a_package_goes_by_its_version(tmp_path: Path) -> None:
    load_folder = tmp_path / "project"
    load_folder.mkdir()
    (load_folder / "transforms.py").write_text(textwrap.dedent(USING["transforms"]))
    found = {}
    for key, version, source in [
        ("1", "1.0", SHOPKIT),
        ("same", "1.0", SHOPKIT + "\ndef more(): return 1\n"),
        ("2", "2.0", SHOPKIT),
        ("limit", "1.0", SHOPKIT.replace("LIMIT = 1", "LIMIT = 2")),
    ]:
        site = install(tmp_path / key, "shop-kit", version, "shopkit", source)
        places = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
        found[key] = in_a_process(load_folder, 0, tmp_path, PYTHONPATH=places)
    assert found["same"] == found["1"]
    changed = {name for name in found["1"] if found["1"][name][0] != found["2"][name][0]}
    assert changed == {"by_module", "by_function", "by_class", "decorated", "lazily", "by_base"}
    for name in changed:
        assert list(differences(found["1"][name][1], found["2"][name][1])) == [
            "the version of shopkit changed from shop-kit 1.0 to shop-kit 2.0"
        ]
    assert {name for name in found["1"] if found["1"][name][0] != found["limit"][name][0]} == {"by_constant"}


def test_the_version_of_a_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    version_of_distribution.cache_clear()
    pluggy = importlib.metadata.version("pluggy")
    assert version_of_distribution("pluggy") == pluggy
    assert version_of_distribution("attr") == f"attrs {importlib.metadata.version('attrs')}"
    assert version_of_distribution("no_such_thing_at_all") == ""
    assert version_of_distribution("") == ""
    module = ModuleType("versioned_by_itself")
    module.__version__ = "7.8"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "versioned_by_itself", module)
    assert version_of_distribution("versioned_by_itself") == "7.8"
    version_of_distribution.cache_clear()


# --- imports while running --------------------------------------------------------------------------------------------

LAZY = {
    "transforms": "def clean(x):\n    import late\n    return late.looked(x)\n",
    "late": "import later\ndef looked(x):\n    return later.K\n",
    "later": "def far():\n    from package import inner\nK = 3\n",
    "package/__init__": "",
    "package/inner": "from . import beside\nfrom .beside import L\n",
    "package/beside": "from ..nowhere import x\nimport json, late\nL = 1\n",
}


def test_modules_that_are_imported_while_running_go_by_their_files(tmp_path: Path) -> None:
    before = digest_of(tmp_path / "a", **LAZY)
    assert set(before.parts) == {
        "python", "transforms.clean", "late", "later", "package", "package.inner", "package.beside"
    }  # fmt: skip
    assert not before.unknown
    assert "late" not in sys.modules
    for file, old, new in [
        ("late", "later.K", "-later.K"),
        ("later", "K = 3", "K = 4"),
        ("package/beside", "L = 1", "L = 2"),
        ("package/__init__", "", "M = 1"),
    ]:
        changed = {**LAZY, file: LAZY[file].replace(old, new) if old else new}
        now = digest_of(tmp_path / file, **changed)
        assert now.digest != before.digest
        name = file.removesuffix("/__init__").replace("/", ".")
        assert list(differences(before.parts, now.parts)) == [f"the module `{name}` changed"]
    same = {**LAZY, "later": "# A comment.\n\n" + LAZY["later"]}
    assert digest_of(tmp_path / "same", **same) == before


def test_a_file_that_changes_is_seen(tmp_path: Path) -> None:
    function, kept = load(tmp_path, **LAZY)["clean"], CodeDigests()
    before = kept.of(function)
    assert kept.of(function) is before
    (tmp_path / "later.py").write_text("K = 55\n")
    now = kept.of(function)
    assert now.digest != before.digest
    (tmp_path / "later.py").unlink()
    assert kept.of(function).digest not in (now.digest, before.digest)


@pytest.mark.parametrize("source", ["def f(:\n", "x = '\\d'\n", "\0", "\ud800"])
def test_a_file_that_python_cannot_read_goes_by_its_bytes(tmp_path: Path, source: str) -> None:
    function = load(tmp_path, **LAZY)["clean"]
    (tmp_path / "late.py").write_bytes(source.encode("utf-8", "surrogatepass"))
    one = CodeDigests().of(function)
    (tmp_path / "late.py").write_bytes(source.encode("utf-8", "surrogatepass") + b"#x")
    assert (CodeDigests().of(function).digest != one.digest) == (not source.startswith("x"))


@pytest.fixture(name="importable")
def _importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on ``sys.path``, whose modules are gone afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("old", "new", "is_stale"),
    [
        ("later.K", "-later.K", True),
        ("RATE = 1", "RATE = 2", True),
        ("self.x", "-self.x", True),
        ("def looked", "# A comment.\ndef looked", False),
        ("FILLED = {}", "FILLED = {}\nMORE = 1", False),
    ],
)
def test_a_module_that_was_loaded_before_its_file_changed(importable: Path, old: str, new: str, is_stale: bool) -> None:
    late = (
        "import later\nRATE = 1\nFILLED = {}\nFILLED['a'] = 1\nclass C:\n    def m(self): return self.x\n"
        "def looked(x):\n    return later.K\n"
    )
    function = load(importable, **{**LAZY, "late": late})["clean"]
    before = CodeDigests().of(function)
    importlib.import_module("late")
    assert CodeDigests().of(function) == before
    (importable / "late.py").write_text(late.replace(old, new) + "#\n")
    words = "it imports `late`, which was loaded before its file changed" if is_stale else ""
    assert CodeDigests().of(function).unknown == words


def test_own_modules_elsewhere_on_the_path(importable: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (importable / "elsewhere_lib").mkdir()
    (importable / "elsewhere_lib" / "__init__.py").write_text("")
    (importable / "elsewhere_lib" / "part.py").write_text("def f(x):\n    return x\n")
    project = tmp_path_factory.mktemp("project")
    source = "from elsewhere_lib.part import f\ndef eager(x): return f(x)\n"
    source += "def lazy(x):\n    from elsewhere_lib import part\n"
    functions = load(project, transforms=source)
    assert set(CodeDigests().of(functions["eager"]).parts) == {"python", "transforms.eager", "elsewhere_lib.part.f"}
    assert set(CodeDigests().of(functions["lazy"]).parts) == {
        "python", "transforms.lazy", "elsewhere_lib", "elsewhere_lib.part"
    }  # fmt: skip
    missing = load(project, transforms="def gone(x):\n    import no_such_module_anywhere\n")["gone"]
    before = CodeDigests().of(missing)
    (project / "no_such_module_anywhere.py").write_text("")
    assert list(differences(before.parts, CodeDigests().of(missing).parts)) == [
        "it now uses module `no_such_module_anywhere`"
    ]


def test_two_projects_with_neighbours_of_one_name(tmp_path: Path) -> None:
    shared = "import enum\nclass Colour(enum.Enum):\n    RED = {0}\n"
    transforms = "from shared import Colour\ndef clean(x): return Colour.RED\n"
    one, other = (
        digest_of(tmp_path / name, transforms=transforms, shared=shared.format(value))
        for name, value in (("a", 1), ("b", 2))
    )
    assert list(differences(one.parts, other.parts)) == [
        "the class `shared.Colour` changed",
        "the constant `shared.Colour.RED` changed",
    ]
    assert one.digest != other.digest


def test_a_neighbour_with_the_name_of_an_installed_module_that_is_loaded(importable: Path, tmp_path: Path) -> None:
    site = install(tmp_path, "shared-words", "1.0", "shared_words", "class Colour: pass\n")
    sys.path.insert(0, str(site))
    importlib.import_module("shared_words")
    shared = "import enum\nclass Colour(enum.Enum):\n    RED = 1\n"
    transforms = "from shared_words import Colour\ndef clean(x): return Colour.RED\n"
    found = digest_of(tmp_path / "project", transforms=transforms, shared_words=shared)
    assert set(found.parts) == {"python", "transforms.clean", "shared_words.Colour", "shared_words.Colour.RED"}
