"""Write the reference pages from the code, so that they cannot say anything else than the code does.

``python docs/generate.py`` writes ``docs/reference``; ``--check`` writes nothing and fails if a page is not as it
would be written. Every package of this repository has to be installed.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_origin

import attrs

REFERENCE = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- Written by docs/generate.py; change the code instead. -->"


# --- docstrings to Markdown -----------------------------------------------------------------------------------------

_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Promises|Promises made to it|Promises it makes):$")


def prose(text: str) -> str:
    """A docstring's text in Markdown: no roles, single backquotes."""
    text = _ROLE.sub(lambda match: f"`{match[1].removeprefix('odibi.')}`", text)
    return text.replace("``", "`")


def docstring(thing: object) -> str:
    """The docstring of ``thing`` in Markdown; its sections become lists under a bold word."""
    lines: list[str] = []
    text = prose(inspect.getdoc(thing) or "")
    section = False
    for line in text.splitlines():
        if match := _SECTION.match(line):
            lines += [f"**{match[1]}**", ""]
            section = True
        elif section and line.startswith("    ") and not line.startswith("     "):
            lines.append(_entry(line.strip()))
        elif section and line.startswith("     "):
            lines.append(f"  {line.strip()}")
        else:
            section = section and not line
            lines.append(line)
    return "\n".join(lines).strip()


def _entry(line: str) -> str:
    """One entry of a section: ``name: what it is`` as a list item."""
    if line.startswith("* "):
        return f"- {line[2:]}"
    name, colon, rest = line.partition(": ")
    if colon and re.fullmatch(r"[\w.*, ]+", name):
        return f"- `{name}`: {rest}"
    return f"- {line}"


def first_sentence(thing: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(prose(inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def signature(function: Callable[..., Any], name: str) -> str:
    """The signature as it is written, without ``self`` and module names."""
    found = inspect.signature(function)
    kept = [parameter for parameter in found.parameters.values() if parameter.name != "self"]
    text = str(found.replace(parameters=kept))
    text = re.sub(r"'([^']*)'", r"\1", text)
    return name + re.sub(r"\b(?:odibi|typing|collections)(?:\.[a-z_]+)*\.", "", text)


def own(module: ModuleType, names: Iterable[str] | None = None) -> Iterator[tuple[str, Any]]:
    """The public classes and functions that a module defines itself, in the order in which they are written."""
    found = [
        (name, thing)
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__ and callable(thing)
    ]
    return iter([pair for pair in found if names is None or pair[0] in names])


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class defines itself."""
    for name, thing in vars(kind).items():
        if not name.startswith("_") and (inspect.isfunction(thing) or isinstance(thing, property | classmethod)):
            yield name, thing


def page(title: str, intro: str, *parts: str) -> str:
    """One page."""
    return "\n\n".join([f"# {title}", NOTE, textwrap.dedent(intro).strip(), *(part for part in parts if part)]) + "\n"


# --- the pages ------------------------------------------------------------------------------------------------------


_LIFE = """
a command begins       registering hooks       what each plugin offers; read from its manifest, if it has one
                       odibi_commands          more commands
a project is loaded    odibi_configure         once, when all is read and checked
a node is tried        odibi_run_node          around each attempt, on the node's own thread
anything happens       odibi_event             each event of each run, on a thread of its own
pytest --odibi-conformance
                       odibi_suites            the tests of what is installed
"""


def _hook_names() -> list[str]:
    from odibi import hookspecs

    return [name for name, _ in own(hookspecs) if name.startswith("odibi_")]


def hooks() -> str:
    """Every hook, in a line each, and when it is called."""
    from odibi import hookspecs

    rows = [f"| [`{name}`](hooks/{name}.md) | {first_sentence(getattr(hookspecs, name))} |" for name in _hook_names()]
    intro = """
        What the host calls in a plugin. A plugin is a light module, named by an entry point in the group `odibi`,
        with functions of these names marked `@odibi.hookimpl`; it implements those it needs, and each takes those of
        the arguments that it needs. [Writing a plugin](../how-to/write-a-plugin.md) shows one.
    """
    life = f"## When they are called\n\n```text{_LIFE}```"
    return page("Hooks", intro, life, "\n".join(["## All of them", "", "| hook | |", "| --- | --- |", *rows]))


def hook(name: str) -> str:
    """One hook: its signature, when it is called, and who implements it."""
    from odibi import hookspecs
    from odibi.host import Host

    function = getattr(hookspecs, name)
    options = getattr(function, "odibi_spec", {}) or {}
    family = next((family for family, each in hookspecs.REGISTERING.items() if each == name), None)
    text = f"```python\n@odibi.hookimpl\ndef {signature(function, name)}: ...\n```\n\n{docstring(function)}"
    marked = [f"{'->' if name in line or (family and 'registering' in line) else '  '} {line}".rstrip()
              for line in _LIFE.strip().splitlines()]  # fmt: skip
    facts = ["Every implementation is called, and one that raises does not keep the others from being called."]
    if options.get("firstresult"):
        facts = ["The first implementation that returns something ends it; the later ones are not called."]
    if family or name in ("odibi_commands", "odibi_suites"):
        facts = [
            "It is called once, when the plugin is loaded; for one with a manifest that is when something of it is",
            "needed. The names are its own: two plugins that offer one name are an error that names both.",
        ]
    parts = [text, "## When it is called", "```text\n" + "\n".join(marked) + "\n```", " ".join(facts)]
    if family:
        parts.append(
            f"What is registered fulfils the contract [{family}](../contracts.md#{family}), and "
            f"`odibi.testing.{family}` tests it."
        )
        host = Host()
        known = [f"- `{each}`: `{host.target(family, each)}`" for each in host.names(family)]
        if known:
            parts.append("\n".join(["## What this repository registers", "", *known]))
    return page(f"`{name}`", "One of the [hooks](../hooks.md).", *parts)


def capabilities() -> str:
    """What components of each family may be able to do or not."""
    from odibi.contracts.capability import CAPABILITIES, Level

    parts = []
    for family, known in CAPABILITIES.items():
        rows = [f"| `{name}` | {default} | {about} |" for name, (default, about) in known.items()]
        table = "\n".join(["| capability | taken for granted | what it means |", "| --- | --- | --- |", *rows])
        parts.append(f"## {family}\n\n{table if rows else 'None: its contract leaves nothing open.'}")
    levels = "\n".join(f"- `{level.value}`" for level in Level)
    intro = """
        What a component of a family may be able to do or not. It says so in a class attribute, as far as that differs
        from what is taken for granted: `capabilities = {"durable": "none", "ranged_read": "partial: 1 MB at least"}`.
        A project that asks for what is `none` is refused before anything runs, and the conformance suites leave out the
        tests of it, and list that they did.
    """
    return page("Capabilities", intro, f"The levels:\n\n{levels}\n\nA partial one needs a note.", *parts)


def manifest() -> str:
    """The manifest of a plugin, and its JSON Schema."""
    import json

    from odibi.host.manifest import NAME
    from odibi.manifest import manifest_schema

    intro = f"""
        `{NAME}`, at the root of a plugin's top-level package, says what the plugin offers, as data: with it, commands
        list plugins, check projects and print schemas without importing any of them. It is made from the code, by
        `odibi plugin manifest NAME --write`, and never written by hand; `odibi plugin manifest NAME --check` and the
        conformance kit tell where the two differ.

        A plugin without a manifest works; it is imported where its manifest would have been read.
    """
    text = json.dumps(manifest_schema(), indent=2)
    return page("The manifest", intro, f"## Its JSON Schema\n\n```json\n{text}\n```")


_SUITES = {
    "engine": ("EngineSuite",),
    "storage": ("StorageSuite",),
    "format": ("FormatSuite",),
    "transform": ("TransformSuite",),
    "cache": ("CacheSuite",),
    "checkpoint": ("CheckpointSuite",),
    "trigger": ("ScheduleSuite", "SourceSuite"),
    "metric": ("MetricSuite",),
    "executor": ("ExecutorSuite",),
    "secret": ("SecretSuite",),
    "observer": ("ObserverSuite",),
    "plugin": ("PluginSuite",),
}


def suite(family: str) -> str:
    """The suites of one family: how to use them, what an author says, and which promise each test holds."""
    from importlib import import_module

    module = import_module(f"odibi.testing.{family}")
    parts = []
    for name in _SUITES[family]:
        cls = getattr(module, name)
        said, tests = [], []
        for attribute in sorted(dir(cls)):
            thing = inspect.getattr_static(cls, attribute)
            if attribute.startswith("_") or not inspect.isfunction(thing):
                continue
            if attribute.startswith("test_"):
                about = prose((inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " "))
                tests.append(f"| `{attribute}` | {about.replace('|', chr(92) + '|')} |")
            else:
                said.append(f"- `{signature(thing, attribute)}`: {first_sentence(thing)}")
        parts.append(f"## `{name}`\n\n{docstring(cls).partition('**')[0].strip()}")
        listed = [
            each for base in cls.__mro__ if base.__module__.startswith("odibi.") for each in said_attributes(base)
        ]
        parts.append("Class attributes:\n\n" + "\n".join(dict.fromkeys(listed)))
        parts.append("What a subclass may say:\n\n" + "\n".join(said) if said else "It needs nothing but a name.")
        parts.append("\n".join(["### The promises it holds", "", "| test | promise |", "| --- | --- |", *tests]))
    how = docstring(module)
    return page(f"The suite for {family}", "One of the [suites](../kit.md).", how, *parts)


def kit() -> str:
    """What ``odibi.testing`` has."""
    from importlib import import_module

    rows = []
    for family, names in _SUITES.items():
        tests = sum(name.startswith("test_") for each in names for name in dir(getattr(
            import_module(f"odibi.testing.{family}"), each)))  # fmt: skip
        listed = ", ".join(f"`{name}`" for name in names)
        rows.append(f"| [{family}](suites/{family}.md) | `odibi.testing.{family}` | {listed} | {tests} |")
    table = "\n".join(["| for | module | suites | tests |", "| --- | --- | --- | --- |", *rows])
    others = []
    for name in ("component", "frames", "clock", "pipelines"):
        module = import_module(f"odibi.testing.{name}")
        things = [f"- `{each}`: {first_sentence(thing)}" for each, thing in own(module) if inspect.getdoc(thing)]
        others.append(f"### `odibi.testing.{name}`\n\n{first_sentence(module)}\n\n" + "\n".join(things))
    intro = """
        `odibi.testing`, with `pip install odibi-kernel[testing]`: suites for people who write plugins, and what people
        need who test their pipelines. [Test a plugin](../how-to/test-a-plugin.md) shows how to use it, and
        [conformance](../explanation/conformance.md) says what it means when a suite passes.

        pytest loads the kit by itself. `pytest --odibi-conformance` tests every plugin that is installed, with the
        suites that they bring; `--odibi-known-failures FILE` names the tests that are known to fail, a line each.
    """
    return page("The kit", intro, "## Suites", table, "## What else there is", *others)


def said_attributes(kind: type) -> list[str]:
    """The public class attributes that a class writes down with a docstring below each, as list items."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found = []
    for node, after in pairwise([*tree.body, ast.Pass()]):
        target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
        if not isinstance(target, ast.Name) or target.id.startswith("_"):
            continue
        about = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        type_ = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
        value = f" = {ast.unparse(node.value)}" if getattr(node, "value", None) is not None else ""
        value = value if len(value) < 60 else ""
        text = " ".join(prose(inspect.cleandoc(str(about))).split())
        found.append(f"- `{target.id}{type_}{value}`" + (f": {text}" if text else ""))
    return found


def contracts() -> str:
    """Every family's Protocol and the values that cross it."""
    from importlib import import_module

    from odibi.contracts import FAMILIES

    parts = []
    for family in FAMILIES:
        module = import_module(f"odibi.contracts.{family}")
        parts.append(f"## {family}\n\n{first_sentence(module)}")
        for name, thing in own(module):
            if not inspect.isclass(thing):
                parts.append(f"### `{signature(thing, name)}`\n\n{docstring(thing)}")
                continue
            parts.append(f"### `{name}`\n\n{docstring(thing)}")
            listed = said_attributes(thing)
            plain = attrs.has(thing) and "**Attributes**" in docstring(thing)
            if listed and not plain:
                parts.append("**Members**\n\n" + "\n".join(listed))
            if not attrs.has(thing) and not getattr(thing, "_is_protocol", False) and "__init__" in vars(thing):
                parts.append(f"Made by `{signature(thing, name)}`.")
                for method, function in methods(thing):
                    if inspect.isfunction(function) and not method.startswith("_"):
                        parts.append(f"#### `{name}.{signature(function, method)}`\n\n{docstring(function)}")
            if getattr(thing, "_is_protocol", False):
                for method, function in methods(thing):
                    if inspect.isfunction(function):
                        parts.append(f"#### `{name}.{signature(function, method)}`\n\n{docstring(function)}")
    intro = """
        What a plugin may offer, a family at a time. A component is an attrs class with these methods, whose fields
        are its options; it need not inherit from anything. The sentences bind: they are what an implementation is
        tested for.
    """
    return page("Contracts", intro, *parts)


def errors() -> str:
    """The tree of error classes, with exit codes."""
    from odibi import errors as module

    rows = []

    def walk(kind: type[Any], depth: int) -> None:
        indent = "&nbsp;&nbsp;" * depth
        again = "yes" if kind.retryable else ""
        rows.append(f"| {indent}`{kind.__name__}` | {kind.exit_code} | {again} | {first_sentence(kind)} |")
        for child in kind.__subclasses__():
            if child.__module__ == module.__name__:
                walk(child, depth + 1)

    walk(module.OdibiError, 0)
    table = "\n".join(["| class | exit code | retried | what it says |", "| --- | --- | --- | --- |", *rows])
    intro = """
        Every error that Odibi raises on purpose derives from `OdibiError` and says what happened, where, and what to
        do. The exit code is that of a command which the error ends; 0 is success. An error that is "retried" can pass
        by itself, so a node's `retry` counts for it.
    """
    return page("Errors and exit codes", intro, table)


def events() -> str:
    """Every event of a run."""
    from odibi import events as module

    parts = []
    for name, kind in own(module):
        base = kind.__mro__[1].__name__
        above = f"It is one of the `{base}`s, and has their attributes. " if base != "object" else ""
        rows = [f"- `{field.name}: {_plain_type(field.type)}`" for field in attrs.fields(kind) if not field.inherited]
        lead = above + ("Its own, with their types:" if rows else "It has no more.")
        parts.append(f"## `{name}`\n\n{docstring(kind)}\n\n{lead}\n\n" + "\n".join(rows))
    return page("Events", docstring(module), *parts)


def _plain_type(kind: Any) -> str:
    return re.sub(r"\b(?:odibi|typing|collections)(?:\.[a-z_]+)*\.", "", kind if isinstance(kind, str) else str(kind))


def option() -> str:
    """How a component declares its options."""
    from odibi.contracts.options import option as declare

    intro = f"""
        A component is an attrs class; its fields are its options, each declared with `odibi.option`, which every field
        that can be given has. A field that cannot be given is a plain `attrs.field(init=False)`: state of its own.

        ```python
        {signature(declare, "odibi.option")}
        ```
    """
    types = """
        The types that an option may have: `str`, `int`, `float`, `bool`, `None`, `pathlib.Path`,
        `odibi.Secret`, `Literal[...]`, enumerations, unions of these, sequences and mappings of them, and other attrs
        classes. What the annotations name has to be importable at run time, not only under `TYPE_CHECKING`.

        An option that is a folder or a file has `is_path=True`: a relative value then counts from the folder of the
        project file. An option that is a secret has `secret=True`: it shows nowhere.

        Beside its options, a component may say in class attributes `capabilities` (see
        [capabilities](capabilities.md)) and `effects`: a tuple of `"files"`, `"network"`, `"subprocess"`.
    """
    return page("Options", intro, docstring(declare), "## Types", textwrap.dedent(types).strip())


def _default(default: Any) -> str:
    """A default as a reader would write it; nothing where it means "not given"."""
    import attrs

    from odibi.structure import NO_DEFAULT

    if default is NO_DEFAULT:
        return "**required**"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return ""
    value = getattr(default, "value", default)
    if value is None or value in ("", (), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{value!r}`" if isinstance(value, str) else f"`{value}`"


def _options(kind: type) -> str:
    """A component's options as a table."""
    from odibi.structure import option_fields, type_words

    rows = []
    for field in option_fields(kind):
        also = f" Also called {', '.join(f'`{alias}`' for alias in field.aliases)}." if field.aliases else ""
        only = {"read": " Reading only.", "write": " Writing only."}.get(field.only or "", "")
        kind_words = "a secret" if field.secret else type_words(field.type)
        help_ = prose(field.help).replace("|", "\\|")
        rows.append(f"| `{field.key}` | {kind_words} | {_default(field.default)} | {help_}{also}{only} |")
    return "\n".join(["| option | takes | default | |", "| --- | --- | --- | --- |", *rows]) if rows else "No options."


def components() -> str:
    """Every component of the packages of this repository, with its options."""
    from odibi.contracts import FAMILIES
    from odibi.host import Host

    host = Host()
    wrong = [*host.problems(), *host.conflicts()]
    if wrong:
        raise SystemExit("\n".join(wrong))
    parts = []
    for family in FAMILIES:
        names = host.names(family)
        if not names:
            continue
        parts.append(f"## {family}")
        for name in names:
            kind = host.component(family, name)
            title = f"### `{name.rpartition('.')[2]}`" + (f" ({name.partition('.')[0]})" if "." in name else "")
            parts.append(f"{title}\n\n{docstring(kind)}\n\n{_options(kind)}")
    intro = """
        What the packages of this repository offer, and the options that each takes. `odibi plugins` lists what is
        installed where you are.
    """
    return page("Components", intro, *parts)


def _takes(kind: Any, titles: Mapping[type, str]) -> str:
    """A type of the model in words, with links to the sections about its classes."""
    from odibi.structure import type_words

    if kind in titles:
        title = titles[kind].replace("`", "")
        return f"[{title[0].lower()}{title[1:]}](#{_anchor(titles[kind])})"
    members = [member for member in get_args(kind) if member not in (type(None), ...)]
    if get_origin(kind) in (Union, UnionType):
        words = [_takes(member, titles) for member in members if get_origin(member) is not Callable]
        return " or ".join(words)
    if get_origin(kind) is tuple:
        return f"a list of {_takes(members[0], titles)}"
    if get_origin(kind) is Mapping and members[-1] is not Any:
        return f"names to {_takes(members[-1], titles)}"
    return type_words(kind)


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _keys(kind: type, titles: Mapping[type, str], renamed: Mapping[str, str], omitted: Iterable[str] = ()) -> str:
    """The keys that make an object of the model, from its fields and its docstring."""
    from odibi.structure import option_fields

    said = _attributes(kind)
    rows = []
    for field in option_fields(kind):
        if field.name not in omitted:
            key = renamed.get(field.name, field.key)
            text = said.get(field.name, "").replace("see there.", "") or _said_elsewhere(key, field.type, titles)
            rows.append(f"| `{key}` | {_takes(field.type, titles)} | {_default(field.default)} | {text} |")
    return "\n".join(["| key | takes | default | |", "| --- | --- | --- | --- |", *rows])


def _said_elsewhere(key: str, kind: Any, titles: Mapping[type, str]) -> str:
    """What there is to say of a key that its class does not describe."""
    from odibi import model
    from odibi.contracts import FAMILIES

    members = [kind, *get_args(kind)]
    family = key.removesuffix("s")
    if model.ComponentConfig in members and family in FAMILIES:
        return f"of the family [{family}](contracts.md#{family})."
    for member in members:
        if member in titles:
            return first_sentence(member)
    return _attributes(model.Node).get(key, "")


def _attributes(kind: type) -> dict[str, str]:
    """What a docstring says of each attribute."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in (inspect.getdoc(kind) or "").partition("Attributes:\n")[2].splitlines():
        if re.match(r" {4}[\w, ]+: ", line):
            head, _, text = line.strip().partition(": ")
            names = head.split(", ")
            found.update(dict.fromkeys(names, prose(text)))
        elif line.startswith("     "):
            found.update({name: f"{found[name]} {prose(line.strip())}" for name in names})
    return found


def project_file() -> str:
    """Every key of a project file."""
    from odibi import model
    from odibi.config.shape import PIPELINE_KEYS, PROJECT_KEYS, PROJECT_OMIT

    renamed: dict[type, Mapping[str, str]] = {model.Project: PROJECT_KEYS, model.Pipeline: PIPELINE_KEYS}
    omitted = {
        model.Project: PROJECT_OMIT,
        model.Connection: ("name", "options"),
        model.ComponentConfig: ("options",),
    }
    titles = {
        model.Project: "The project",
        model.Connection: "A connection",
        model.Pipeline: "A pipeline",
        model.Node: "A node",
        model.Read: "`read`",
        model.Transform: "`transform`",
        model.Sql: "A step in SQL",
        model.Function: "A step that calls a function",
        model.Operation: "A step that is an operation",
        model.Validation: "`validation`",
        model.SchemaRule: "`validation.schema`",
        model.Range: "Bounds",
        model.Freshness: "`validation.freshness`",
        model.Rule: "A rule in `validation.rules`",
        model.Quarantine: "`validation.quarantine`",
        model.Write: "`write`",
        model.Retry: "`retry`",
        model.Logging: "`logging`",
        model.Story: "`story`",
        model.Alert: "An alert",
        model.ComponentConfig: "A component",
        model.Plugins: "`plugins`",
    }
    parts = []
    for kind, title in titles.items():
        lead = docstring(kind).partition("**Attributes**")[0].strip()
        keys = _keys(kind, titles, renamed.get(kind, {}), omitted.get(kind, ()))
        parts.append(f"## {title}\n\n{lead}\n\n{keys}")
    intro = """
        The keys of `odibi.yaml`. The same keys make a project in JSON or TOML. A key that is not listed is an error,
        which says where it stands and which key is nearest.

        Three more keys stand at the top and are gone when the file is read: `imports` (a list of further files whose
        content is joined in), `environments` (see [how to](../how-to/environments.md)) and `vars` (values for
        `${vars.name}`).

        Beside `type`, a connection takes the options of its storage, and a component those of its own; see
        [components](components.md). A step may also be SQL alone, without the key `sql`.
    """
    return page("The project file", intro, *parts)


def _parameter(parameter: Any) -> str:
    """One option or argument of a command as a row of a table."""
    import click

    kind = parameter.type
    if isinstance(parameter, click.Argument):
        name, help_ = f"`{(parameter.metavar or parameter.name).upper().strip('[]')}`", "Said above."
        return f"| {name} | {'needed' if parameter.required else 'may be left out'} | {help_} |"
    takes = "nothing"
    if isinstance(kind, click.Choice):
        takes = "one of " + ", ".join(f"`{choice}`" for choice in kind.choices)
    elif not parameter.is_flag:
        bound = f", {kind.min} or more" if isinstance(kind, click.IntRange) else ""
        takes = f"`{parameter.metavar or kind.name.upper()}`{bound}"
    if parameter.multiple:
        takes += "; may be given again"
    names = ", ".join(f"`{name}`" for name in parameter.opts)
    help_ = prose(parameter.help or "").replace("|", "\\|")
    return f"| {names} | {takes} | {help_} |"


def _command(heading: str, command: Any) -> str:
    """One command under its heading: what it does, and a table of its options and arguments."""
    text = prose(inspect.cleandoc(command.help or "")).replace("\b\n", "")
    if not command.params:
        return f"{heading}\n\n{text}"
    rows = [_parameter(parameter) for parameter in command.params]
    return "\n\n".join([heading, text, "\n".join(["| | takes | |", "| --- | --- | --- |", *rows])])


def commands() -> str:
    """Every command, from what its help is made of."""
    import click

    from odibi.cli.commands import COMMANDS
    from odibi.cli.root import root

    parts = []
    context = click.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        parts.append(_command(f"## `odibi {name}`", command))
        if isinstance(command, click.Group):
            parts += [_command(f"### `odibi {name} {each}`", it) for each, it in command.commands.items()]
    intro = """
        `odibi COMMAND --help` says the same on the terminal. `odibi --version` says which version is installed.

        Results go to stdout, and what went wrong to stderr. The exit codes: 0 if all went well, 1 if a run
        failed, 2 for a mistake in a project or on the command line, 3 for a broken or missing plugin, 130 after Ctrl-C,
        141 if whoever read the output is gone. With `NO_COLOR` set, nothing is coloured; in a pipe, nothing is drawn.
    """
    return page("Commands", intro, *parts)


def schema() -> str:
    """What `odibi schema` prints, in short, and how an editor gets to know it."""
    from odibi.config.schema import project_schema
    from odibi.host import Host

    found = project_schema(Host())
    rows = [_part("the file", found), *(_part(name, part) for name, part in found["$defs"].items())]
    table = "\n".join(["| part | keys | needed |", "| --- | --- | --- |", *rows])
    intro = f"""
        `odibi schema --out odibi.schema.json` writes the JSON Schema (`{found["$schema"]}`) of project files, with the
        options of every component that is installed: write it anew after installing a plugin. Editors that know it
        complete keys, show what they mean, and mark mistakes while you type. With the YAML language server, one line
        at the top of a project file is enough:

        ```yaml
        # yaml-language-server: $schema=./odibi.schema.json
        ```

        `odibi validate` finds more than a schema can say: names that nothing has, cycles, queries that name what is no
        input, two nodes that write one path.
    """
    return page("JSON Schema", intro, "## Its parts", table)


def _part(name: str, part: Mapping[str, Any]) -> str:
    """One object of a schema as a row of a table."""
    needed = ", ".join(f"`{key}`" for key in part.get("required", ()))
    keys = ", ".join(f"`{key}`" for key in part.get("properties", ()))
    return f"| {name} | {keys or 'see [the project file](project-file.md)'} | {needed} |"


def metrics() -> str:
    """All that is measured of runs."""
    from odibi.contracts import measured

    rows = [
        f"| `{each.name}` | {each.kind.value} | {each.unit} | {', '.join(f'`{it}`' for it in each.labels)} "
        f"| {each.meaning} |"
        for each in measured.METRICS
    ]
    table = "\n".join(["| name | kind | unit | labels | |", "| --- | --- | --- | --- | --- |", *rows])
    intro = f"""
        What a project with a section `metrics` measures of its runs, whatever the sinks. A timer is a duration; in
        Prometheus and OpenTelemetry it is a histogram. [Measuring runs](../how-to/measure-runs.md) says how to get at
        it.

        Labels are bounded: of a project, {measured.MOST_NODES} nodes, those that are met first, and
        {measured.MOST_NAMES} pipelines and plugins each are told apart, and all further ones are
        `{measured.OTHERS}`. Nodes with a processor time and memory are those of projects with a sink that asks for it
        (`usage: true`).
    """
    return page("Metrics", intro, table)


def index() -> str:
    """The list of the pages."""
    rows = [
        f"- [{re.match('# (.+)', make())[1]}]({name})"  # type: ignore[index]
        for name, make in PAGES.items()
        if make is not index and "/" not in name
    ]
    return page("Reference", "Written from the code, and checked against it by a test.", "\n".join(rows))


PAGES: dict[str, Callable[[], str]] = {
    "index.md": index,
    "project-file.md": project_file,
    "commands.md": commands,
    "json-schema.md": schema,
    "components.md": components,
    "contracts.md": contracts,
    "hooks.md": hooks,
    **{f"hooks/{name}.md": partial(hook, name) for name in _hook_names()},
    "option.md": option,
    "capabilities.md": capabilities,
    "manifest.md": manifest,
    "kit.md": kit,
    **{f"suites/{family}.md": partial(suite, family) for family in _SUITES},
    "events.md": events,
    "metrics.md": metrics,
    "errors.md": errors,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; exit code 1 if a check finds a stale one."""
    stale = 0
    for name, make in PAGES.items():
        path, text = REFERENCE / name, make()
        path.parent.mkdir(exist_ok=True)
        before = path.read_text("utf-8") if path.is_file() else ""
        if before == text:
            continue
        stale += 1
        if "--check" in arguments:
            difference = difflib.unified_diff(
                before.splitlines(), text.splitlines(), str(path), "as generated", "", "", 1
            )
            print("\n".join(list(difference)[:20]))
        else:
            path.write_text(text, "utf-8")
            print(f"written: {path}")
    if stale and "--check" in arguments:
        print("The reference is stale. Write it anew: python docs/generate.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
