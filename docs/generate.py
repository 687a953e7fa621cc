"""Write the reference pages from the code, so that they cannot say anything else than the code does.

``python docs/generate.py`` writes ``docs/reference``; ``--check`` writes nothing and fails if a page is not as it
would be written. Every package of this repository has to be installed.
"""

from __future__ import annotations

import difflib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

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


def hooks() -> str:
    """Every hook, with its arguments."""
    from odibi import hookspecs

    parts = []
    for name, function in own(hookspecs):
        if name.startswith("odibi_"):
            parts.append(f"## `{signature(function, name).partition(' -> ')[0]}`\n\n{docstring(function)}")
    intro = """
        What the host calls in a plugin. A plugin is a light module, named by an entry point in the group `odibi`,
        with functions of these names marked `@odibi.hookimpl`; it implements those it needs.
        [Writing a plugin](../how-to/write-a-plugin.md) shows one.
    """
    return page("Hooks", intro, *parts)


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

    parts = [f"## `{name}`\n\n{docstring(kind)}" for name, kind in own(module)]
    return page("Events", docstring(module), *parts)


PAGES: dict[str, Callable[[], str]] = {
    "contracts.md": contracts,
    "errors.md": errors,
    "events.md": events,
    "hooks.md": hooks,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; exit code 1 if a check finds a stale one."""
    stale = 0
    for name, make in PAGES.items():
        path, text = REFERENCE / name, make()
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
