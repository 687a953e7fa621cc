"""Manifests: what is said of a plugin as data, and what is then never imported."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi import option
from odibi.cli.main import main
from odibi.config.schema import component_schema, project_schema
from odibi.contracts.capability import Level
from odibi.described import described_problems, fields_of, type_of, type_text
from odibi.errors import ComponentNotFound, PluginBroken, PluginError
from odibi.host import Host
from odibi.host.manifest import Damaged, Description, read
from odibi.manifest import difference, found_plugin, manifest_text, write_manifest
from odibi.structure import option_fields, option_problems

ENTRY = """
from odibi import hookimpl
import pandas_that_is_not_there_unless_imported_late{late}

ODIBI_API = "{api}"

@hookimpl
def odibi_storages():
    return {{"shelf": "shelf.storage:Shelf"}}

{more}
"""

STORAGE = """
import attrs
from odibi import option

@attrs.define
class Shelf:
    '''Objects on a shelf.'''

    capabilities = {"durable": "none", "ranged_read": "partial: a megabyte at least", "compare_and_set": "none"}
    effects = ("files",)

    size: int = option(help="How long it is, in metres.")
    wood: str = option("oak", help="What it is made of.", aliases=("timber",))
    key: str = option("", help="Its key.", secret=True)
    depth: int = option(1, help="In metres.", validator=attrs.validators.lt(3))
"""


@pytest.fixture
def shelf(zoo: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Installs a plugin, with the manifest that its code gives, and then makes its code impossible to import."""
    # Of a source that is changed within a second, and keeps its length, Python would run the old byte code.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def install(*, api: str = ">=1.0,<2", more: str = "", spoil: bool = True) -> Path:
        package: Path = zoo.folder / "shelf"
        package.mkdir()
        entry = ENTRY.format(api=api, more=textwrap.dedent(more), late="")
        sound = "\n".join(line for line in entry.splitlines() if "pandas" not in line)
        (package / "__init__.py").write_text(sound)
        (package / "storage.py").write_text(STORAGE)
        zoo.raw("odibi-shelf", "0.3", "[odibi]\nshelf = shelf")
        write_manifest(found_plugin("shelf"))
        for name in [name for name in sys.modules if name.partition(".")[0] == "shelf"]:
            del sys.modules[name]
        if spoil:
            (package / "__init__.py").write_text(entry)
        return package

    return install


def test_what_is_declared_is_not_imported(shelf: Callable[..., Path]) -> None:
    package = shelf()
    host = Host()
    (info,) = [each for each in host.plugins() if each.name == "shelf"]
    assert (info.status, info.families, info.version) == ("declared", {"storage": ("shelf",)}, "0.3")
    assert info.location == str(package / "odibi-plugin.json")
    assert "shelf" in host.names("storage")
    assert str(host.capability("storage", "shelf", "ranged_read")) == "partial: a megabyte at least"
    assert host.capability("storage", "shelf", "durable").level is Level.NONE
    assert host.capability("storage", "shelf", "atomic_write").level is Level.FULL
    described = host.description("storage", "shelf")
    assert described is not None
    assert (described.about, described.effects) == ("Objects on a shelf.", ("files",))
    schema = json.dumps(project_schema(host))
    assert "How long it is, in metres." in schema
    assert "x-odibi" not in schema
    assert "shelf" not in sys.modules
    with pytest.raises(PluginBroken, match="pandas_that_is_not_there"):
        host.component("storage", "shelf")


def test_commands_about_it_import_it_only_where_its_code_alone_can_tell(
    shelf: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf()
    project = tmp_path / "odibi.yaml"

    def validate(options: str, code: int = 2) -> str:
        project.write_text(f"project: p\nconnections:\n  it: {{type: shelf, {options}}}\npipelines: []\n")
        assert main(("validate", str(project))) == code
        return capsys.readouterr().err

    def mistakes(options: str) -> list[str]:
        """What validate says, save that there are no pipelines."""
        lines = validate(options).splitlines()[:-1]
        return [line.partition("odibi.yaml:")[2] for line in lines if "no pipelines" not in line]

    known = "Known: depth, key, size, wood."
    assert mistakes("size: 3, timber: elm, colour: red") == [f"3:43: unknown option 'colour'. {known}"]
    assert mistakes("size: long") == ["3:27: expected a whole number, found 'long'"]
    assert mistakes("timber: elm")[0].startswith("3:7: missing option 'size'")
    assert mistakes("size: 3, timber: elm") == []
    for arguments in (("plugins",), ("schema",)):
        assert main(arguments) == 0, capsys.readouterr()
    assert main(("doctor", str(project))) == 0
    assert "shelf" not in sys.modules
    assert "pandas_that_is_not_there" in validate("size: 3, depth: 2", code=3)


def test_another_interface_is_refused_before_anything_is_imported(shelf: Callable[..., Path]) -> None:
    package = shelf()
    file = package / "odibi-plugin.json"
    file.write_text(file.read_text().replace(">=1.0,<2", "<1"))
    host = Host()
    (info,) = [each for each in host.plugins() if each.name == "shelf"]
    assert info.status == "incompatible"
    assert info.cause == "it works with versions <1 of the plugin interface, and this kernel has 1.0"
    assert "pip install -U odibi-shelf" in info.remedy
    with pytest.raises((ComponentNotFound, PluginBroken), match="pip install -U odibi-shelf"):
        host.component("storage", "shelf")
    assert "shelf" not in sys.modules


DAMAGES: dict[str, Callable[[str], str]] = {
    "cut short": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a list": lambda text: f"[{text}]",
    "another layout": lambda text: text.replace('"manifest": 1', '"manifest": 2'),
    "no components": lambda text: text.replace('"components"', '"parts"'),
    "a target that is none": lambda text: text.replace("shelf.storage:Shelf", "shelf.storage"),
    "options that are none": lambda text: text.replace('"properties"', '"proper"'),
    "deep": lambda text: "[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_manifest_is_as_good_as_none(shelf: Callable[..., Path], damage: Callable[[str], str]) -> None:
    package = shelf(spoil=False)
    file = package / "odibi-plugin.json"
    file.write_text(damage(file.read_text()))
    with pytest.raises(Damaged, match="manifest"):
        read("shelf")
    host = Host()
    (info,) = [each for each in host.plugins() if each.name == "shelf"]
    assert (info.status, info.families) == ("loaded", {"storage": ("shelf",)})
    assert difference(found_plugin("shelf")) != ""


def test_a_plugin_with_behaviour_is_imported_when_a_hook_is_called(shelf: Callable[..., Path]) -> None:
    shelf(
        spoil=False,
        more="""
        told = []

        @hookimpl
        def odibi_event(event):
            told.append(event)
        """,
    )
    host = Host()
    assert "shelf" not in sys.modules
    (listener,) = [tell for label, tell in host.event_listeners() if "shelf" in label]
    assert "shelf" in sys.modules
    listener("it happened")  # type: ignore[arg-type]
    assert sys.modules["shelf"].told == ["it happened"]
    (info,) = [each for each in host.plugins() if each.name == "shelf"]
    assert info.status == "loaded"
    assert [len(host._claims[key]) for key in host._claims if key == ("storage", "shelf")] == [1]


def test_one_with_behaviour_that_cannot_be_imported_is_told_and_does_no_harm(
    shelf: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    shelf(more="@hookimpl\ndef odibi_event(event): pass\n")
    host = Host()
    assert not [label for label, _ in host.event_listeners() if "shelf" in label]
    assert "pandas_that_is_not_there" in caplog.text
    (info,) = [each for each in host.plugins() if each.name == "shelf"]
    assert info.status == "quarantined"
    assert host.node_runner() is None
    assert len(caplog.records) == 1, "it is told once"


def test_the_command_writes_and_checks(shelf: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    package = shelf(spoil=False)
    file = package / "odibi-plugin.json"
    assert main(("plugin", "manifest", "odibi-shelf", "--check")) == 0
    storage = package / "storage.py"
    storage.write_text(storage.read_text().replace('"oak"', '"ash"'))
    del sys.modules["shelf.storage"]
    assert main(("plugin", "manifest", "shelf", "--check")) == 1
    assert "/components/storage/shelf/options/properties/wood/default" in capsys.readouterr().out
    before = file.read_text()
    assert main(("plugin", "manifest", "shelf")) == 0
    assert capsys.readouterr().out == manifest_text(found_plugin("shelf")) != before
    assert file.read_text() == before
    assert main(("plugin", "manifest", "shelf", "--write")) == 0
    assert main(("plugin", "manifest", "shelf", "--check")) == 0
    assert main(("plugin", "manifest", "shelff")) != 0
    assert "no installed plugin is called that" in capsys.readouterr().err
    assert [each.name for each in package.iterdir() if each.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"durable": "none"', '"durabel": "none"', "durabel"),
        ('"durable": "none"', '"durable": "some"', "some"),
        ('("files",)', '("mining",)', "mining"),
    ],
)
def test_what_cannot_be_is_not_written(shelf: Callable[..., Path], old: str, new: str, said: str) -> None:
    storage = shelf(spoil=False) / "storage.py"
    storage.write_text(storage.read_text().replace(old, new))
    sys.modules.pop("shelf.storage", None)
    with pytest.raises(PluginError, match=said):
        manifest_text(found_plugin("shelf"))


# --- options in words -----------------------------------------------------------------------------------------------

SIMPLE = st.sampled_from([str, int, float, bool, None, Any])
TYPES = st.recursive(
    SIMPLE | st.lists(st.sampled_from(["a", "b", 1, "it's"]), min_size=1, unique=True).map(lambda x: Literal[tuple(x)]),
    lambda inner: st.one_of(
        inner.map(lambda kind: list[kind]),  # type: ignore[valid-type]
        inner.map(lambda kind: dict[str, kind]),  # type: ignore[valid-type]
        st.tuples(inner, st.just(None)).map(lambda pair: pair[0] | None if isinstance(pair[0], type) else pair[0]),
    ),
    max_leaves=4,
)


@given(TYPES)
def test_types_come_back_from_their_words(kind: Any) -> None:
    words = type_text(kind)
    assert type_text(type_of(words)) == words


@pytest.mark.parametrize("text", ["__import__('os')", "int()", "str.x", "lambda: 1", "Foo", "int |", "Sequence", "1"])
def test_nothing_else_is_a_type(text: str) -> None:
    with pytest.raises(ValueError, match="no type of an option"):
        type_of(text)


@attrs.define
class Shape:
    """Has an option of every kind."""

    count: int = option(help="How many.")
    names: tuple[str, ...] = option((), help="What they are called.")
    mode: Literal["fast", "safe"] = option("fast", help="How.")
    more: dict[str, int] | None = option(None, help="More.")  # noqa: RUF009
    reading: bool = option(False, help="For reading.", only="read")
    token: str = option("", help="Secret.", secret=True, aliases=("password",))
    folder: str = option(".", help="Where.", is_path=True)


@given(
    st.dictionaries(
        st.sampled_from(["count", "names", "mode", "more", "reading", "token", "password", "folder", "cuont"]),
        st.sampled_from([1, "1", "x", None, True, 2.5, ["a"], [1], {"a": 1}, {"a": "b"}, "fast", "faast", ""]),
    ),
    st.sampled_from([None, "read", "write"]),
)
def test_the_manifest_finds_the_same_mistakes_as_the_class(options: dict[str, Any], purpose: str | None) -> None:
    schema = json.loads(json.dumps(component_schema(Shape)))
    described = Description("m:C", "", schema, {}, (), {})
    assert described_problems(described, options, purpose=purpose) == option_problems(Shape, options, purpose=purpose)


def test_what_a_manifest_keeps_of_an_option() -> None:
    described = Description("m:C", "", json.loads(json.dumps(component_schema(Shape))), {}, (), {})
    for one, other in zip(option_fields(Shape), fields_of(described), strict=True):
        for name in ("key", "help", "aliases", "only", "secret", "is_path", "connection", "required"):
            assert getattr(one, name) == getattr(other, name), name


# --- what is declared steers the checks -----------------------------------------------------------------------------

WEAK = """
from typing import ClassVar

import attrs


@attrs.define
class Engine:
    capabilities = {"sql": "none: it knows no language", "chunks": "none"}
    frame_type = "builtins:list"
    dialect = ""


@attrs.define
class Format:
    capabilities = {"write": "none"}
    extensions = (".weak",)
"""


def test_what_a_component_cannot_do_is_a_mistake_in_the_project(
    shelf: Callable[..., Path], zoo: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf()
    more = """
    from odibi import hookimpl

    @hookimpl
    def odibi_engines():
        return {"weak": "weak_parts:Engine"}

    @hookimpl
    def odibi_formats():
        return {"weak.weak": "weak_parts:Format"}
    """
    zoo.add("odibi-weak", weak=more, weak_parts=WEAK, points={"weak": "weak"})
    project = tmp_path / "odibi.yaml"
    project.write_text(
        textwrap.dedent("""
        project: p
        engine: weak
        connections: {it: {type: shelf, size: 1}}
        pipelines:
          - pipeline: one
            nodes:
              - name: a
                read: {connection: it, path: a.weak, chunk_rows: 10}
                transform: {steps: ["SELECT 1 FROM df"]}
                write: {connection: it, path: b.weak, mode: upsert, keys: [id]}
        """)
    )
    assert main(("validate", str(project))) == 2
    said = capsys.readouterr().err
    assert "engine 'weak' declares that this does not hold of it: Answers queries. (it knows no language)" in said
    assert "format 'weak' declares that this does not hold of it: Objects can be written." in said
    assert "storage 'shelf' declares that this does not hold of it: ABSENT and Match" in said
    assert "engine 'weak' declares that this does not hold of it: Reads and writes in chunks" in said
    assert "shelf" not in sys.modules
