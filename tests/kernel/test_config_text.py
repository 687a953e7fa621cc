"""YAML, JSON and TOML to trees: values, positions, and never anything but a ConfigError."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from odibi.config.load import load_project
from odibi.config.text import parse, read_text
from odibi.config.tree import Positions, Table
from odibi.errors import ConfigError, Problem
from odibi.structure import plain

GOOD = Path(__file__).parent / "corpus_config" / "good"


def tree(text: str, ending: str = ".yaml") -> Any:
    return parse(text, f"f{ending}", ending)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("1e5", 100000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", "017"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2013-01-01", "2013-01-01"),
        ("+7", 7),
        ("-0.0", -0.0),
        (".inf", float("inf")),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("!!int 5", 5),
        ("!!float 5", 5.0),
        ("9" * 5000, "9" * 5000),
        ("${A:-x, y}", "${A:-x, y}"),
    ],
)
def test_scalars_mean_what_yaml_12_says(text: str, value: Any) -> None:
    found = tree(f"a: {text}\n")["a"]
    assert found == value
    assert isinstance(found, type(value))


def test_keys_are_text() -> None:
    assert list(tree("on: 1\n1: 2\nnull: 3\n1.5: 4\ntrue: 5\n")) == ["on", "1", "null", "1.5", "true"]


def test_references_survive_flow_style() -> None:
    assert tree("a: {b: ${X}, c: [${env:Y:-1, 2}, '${Z}']} # ${X\n") == {
        "a": {"b": "${X}", "c": ["${env:Y:-1, 2}", "${Z}"]}
    }


def test_text_with_private_characters_is_left_alone() -> None:
    assert tree("a: \ue100${X}\n") == {"a": "\ue100${X}"}


DOCUMENT = {
    ".yaml": "a:\n  b: [1, {c: x}]\n  'd': |\n    text\n",
    ".json": '{"a": {\n\t"b": [1, {"c": "x"}],\n  "d": "text\\n"}}',
    ".toml": '[a]\nb = [1, { c = "x" }] # [z]\nd = """\ntext\n"""\n',
}


@pytest.mark.parametrize(
    ("ending", "c_key", "c_value", "d_key"),
    [(".yaml", (2, 11), (2, 14), (3, 3)), (".json", (2, 12), (2, 17), (3, 3)), (".toml", (2, 11), (2, 15), (3, 1))],
)
def test_positions(ending: str, c_key: tuple[int, int], c_value: tuple[int, int], d_key: tuple[int, int]) -> None:
    found = tree(DOCUMENT[ending], ending)
    at = Positions(found)
    assert found == {"a": {"b": [1, {"c": "x"}], "d": "text\n"}}
    assert at("a", "b", 1, "c", key=True)[1:] == c_key
    assert at("a", "b", 1, "c")[1:] == c_value
    assert at("a", "d", key=True)[1:] == d_key
    assert at("a", "d", "not", "there") == at("a", "d")


def test_toml_positions_of_tables_in_lists() -> None:
    text = '[[n]]\nq.r = 1\n[[n]]\nd = 2013-01-01 00:00:00\n"k x" = 1.5\n[n.sub]\n[[n.m]]\nu = 1\n[[n.m]]\nu = 2\n'
    found = tree(text, ".toml")
    at = Positions(found)
    assert found["n"][1]["d"] == "2013-01-01T00:00:00"
    assert at("n", 0, "q", "r", key=True)[1:] == (2, 3)
    assert at("n", 1, "k x")[1:] == (5, 9)
    assert at("n", 1, "m", 1, "u")[1:] == (10, 5)


def test_crlf_and_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "odibi.yaml"
    file.write_bytes(b"\xef\xbb\xbfproject: p\r\nbad: 1\r\n")
    with pytest.raises(ConfigError, match=r"odibi\.yaml:2:1: unknown key 'bad'"):
        load_project(file)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "odibi2.yaml").write_text("project: p\n")
    for path, words in [
        (tmp_path, "this folder holds no odibi.yaml"),
        (tmp_path / "odibi.yaml", r"there is no such file\. .*its folder holds odibi2\.yaml"),
        (tmp_path / "no" / "odibi.yaml", r"there is no such file\. .*is not there either"),
        (tmp_path / "a\0b.yaml", "cannot be read"),
    ]:
        with pytest.raises(ConfigError, match=words):
            load_project(path)
    with pytest.raises(ConfigError, match="this is a folder"):
        read_text(tmp_path, "x")


def test_a_folder_stands_for_the_project_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "odibi.toml").write_text('project = "in a folder"\n')
    assert load_project(tmp_path).project.name == "in a folder"


@pytest.mark.parametrize("ending", [".yaml", ".json", ".toml"])
@pytest.mark.parametrize("depth", [150, 20_000])
def test_depth_is_limited(ending: str, depth: int) -> None:
    prefix = {".yaml": "a: ", ".json": '{"a": ', ".toml": "a = "}[ending]
    with pytest.raises(ConfigError, match=r"deep|not TOML"):
        tree(prefix + "[" * depth + "]" * depth + ("}" if ending == ".json" else ""), ending)


def test_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="the aliases stand for too many values"):
        tree("\n".join(lines))


def test_aliases_are_copies() -> None:
    found = tree("a: &x {b: 1}\nc: *x\n")
    found["a"]["b"] = 2
    assert found["c"]["b"] == 1


def test_every_mistake_of_a_file_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        tree("a: 1\na: 2\nb: !x 1\nc: {d: 1, d: 2}\n")
    assert [str(problem.where) for problem in caught.value.problems] == ["f.yaml:2:1", "f.yaml:3:4", "f.yaml:4:11"]


# --- laws -----------------------------------------------------------------------------------------------------------

TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\u2028\u2029\ufeff"), max_size=12
)
SCALARS = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
DATA = st.dictionaries(
    TEXT,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=12
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(DATA)
def test_json_reads_what_the_standard_library_reads(data: dict[str, Any]) -> None:
    text = json.dumps(data, indent=1)
    assert (plain(tree(text, ".json")) or {}) == json.loads(text)


@settings(max_examples=150, deadline=None)
@given(DATA)
def test_toml_reads_what_the_standard_library_reads(data: dict[str, Any]) -> None:
    text = tomli_w.dumps(data)
    found = tree(text, ".toml") or {}
    assert plain(found) == tomllib.loads(text)
    assert _all_placed(found)


def _all_placed(value: Any) -> bool:
    return not isinstance(value, Table) or all(value.key_at[key].line > 0 and _all_placed(value[key]) for key in value)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        TEXT.filter(lambda key: key != "<<"), st.lists(TEXT | st.integers() | st.booleans(), max_size=3), max_size=4
    )
)
def test_yaml_reads_back_what_was_written(data: dict[str, Any]) -> None:
    text = yaml.safe_dump(data, allow_unicode=True, default_style='"')
    assert (tree(text) or {}) == data


def problems_of(file: Path, env: str | None = None) -> tuple[Problem, ...]:
    """What is wrong with a project; anything but a ConfigError fails the test."""
    try:
        load_project(file, env=env, environ={"A": "1", "PASSWORD": "x y"})
    except ConfigError as error:
        return error.problems or (Problem(""),)
    return ()


def survives(text: str, ending: str, folder: Path) -> None:
    file = folder / f"fuzz{ending}"
    file.write_bytes(text.encode("utf-8", "replace"))
    assert all(problem.what and problem.where for problem in problems_of(file))


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(max_size=80) | st.text("{}[]:,-&*!|>'\"%@#\n\t $<?ab01", max_size=60),
    ending=st.sampled_from([".yaml", ".json", ".toml"]),
)
@example(text="? ", ending=".yaml")
@example(text="<<: 1", ending=".yaml")
@example(text="&a *a", ending=".yaml")
@example(text="1", ending=".json")
@example(text='""""""', ending=".toml")
def test_any_text_gives_a_project_or_a_config_error(text: str, ending: str, folder: Path) -> None:
    survives(text, ending, folder)


SEEDS = {
    name: (GOOD / name).read_text(encoding="utf-8")
    for name in ("odibi2_long.yaml", "anchors.yaml", "parts.toml", "project.json")
}
PIECES = st.sampled_from(
    [
        "\t",
        "\n",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        "&a ",
        "*a ",
        "<<: ",
        "${",
        "}",
        "${A}",
        "#",
        "!!x ",
        "0",
        "~",
        ",",
        "\0",
        "é",
        "null",
        "..",
        "|",
    ]
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_mutation_of_a_good_project_gives_a_project_or_a_config_error(data: st.DataObject, folder: Path) -> None:
    name = data.draw(st.sampled_from(sorted(SEEDS)))
    text = SEEDS[name]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(PIECES | st.just(text[end : end + 20])) + text[end:]
    survives(text, Path(name).suffix, folder)


KEYS = st.sampled_from(
    [
        "project",
        "connections",
        "pipelines",
        "pipeline",
        "nodes",
        "name",
        "read",
        "write",
        "transform",
        "steps",
        "validation",
        "type",
        "options",
        "retry",
        "vars",
        "imports",
        "environments",
        "alerts",
        "story",
        "cache",
        "metrics",
        "x",
        "sql",
        "function",
        "params",
        "unique",
        "ranges",
        "rules",
        "path",
        "connection",
        "depends_on",
        "sensitive",
        "engines",
        "triggers",
        "columns",
    ]
)
WORDS = ["", "a", "${A}", "${B}", "${vars.x}", "${secret:s/n}", "x ${secret:s/n}", "yes", "1"]
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(data=st.dictionaries(KEYS, SHAPES, max_size=6), env=st.none() | KEYS)
def test_any_shape_gives_a_project_or_a_config_error(data: dict[str, Any], env: str | None, folder: Path) -> None:
    file = folder / "shape.yaml"
    file.write_text(yaml.safe_dump({"project": "p", **data}))
    assert all(problem.what and problem.where for problem in problems_of(file, env))
