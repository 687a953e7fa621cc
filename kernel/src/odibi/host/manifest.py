"""Reads ``odibi-plugin.json``: what a plugin offers, as data, so that nothing of it need be imported to know.

The file lies at the root of the plugin's top-level package. It is made from the code (``odibi plugin manifest``), and
the conformance kit fails where the two differ.
"""
# As discovery: a command that lists plugins has no time for pathlib.
# ruff: noqa: PTH118, PTH123

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

NAME = "odibi-plugin.json"
LAYOUT = 1

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class Description(NamedTuple):
    """A component, as its plugin's manifest describes it.

    Attributes:
        target: ``"module:Class"``.
        about: the first line of its docstring.
        schema: the JSON Schema of its options; what else the kernel knows of an option is under its ``x-odibi``.
        capabilities: name to level, with the note: ``"partial: up to 5 GB"``.
        effects: what it does beyond its own memory, as far as it says: ``network``, ``files``, ``subprocess``.
        constants: class attributes that its contract asks for, such as ``extensions``.
    """

    target: str
    about: str
    schema: Mapping[str, Any]
    capabilities: Mapping[str, str]
    effects: tuple[str, ...]
    constants: Mapping[str, Any]


class Manifest(NamedTuple):
    """What a plugin's manifest says.

    Attributes:
        api: the versions of the interface that it works with; ``None`` for any.
        components: family to name to description.
        hooks: the behavioural hooks that it implements; for these its module has to be imported.
        commands, suites: name to ``"module:attribute"``.
        file: where it was read.
    """

    api: str | None
    components: Mapping[str, Mapping[str, Description]]
    hooks: tuple[str, ...]
    commands: Mapping[str, str]
    suites: Mapping[str, str]
    file: str

    def tables(self) -> dict[str, dict[str, str]]:
        """Family to name to target, as the registering hooks would give them."""
        tables = {
            family: {name: each.target for name, each in named.items()} for family, named in self.components.items()
        }
        return {family: table for family, table in (*tables.items(), ("command", dict(self.commands)),
                                                    ("suite", dict(self.suites))) if table}  # fmt: skip


class Damaged(Exception):
    """A manifest is there, and cannot be used; says why."""


def find(module: str) -> str | None:
    """The file of the manifest of the plugin in ``module``, whether it is there or not.

    Nothing is imported: for a top-level package the finders only look.

    Args:
        module: as the entry point names it; its top-level package is looked at.
    """
    from importlib.util import find_spec

    try:
        spec = find_spec(module.partition(".")[0])
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return os.path.join(next(iter(spec.submodule_search_locations)), NAME)


def read(module: str) -> Manifest | None:
    """The manifest of the plugin in ``module``; ``None`` if it has none.

    Raises:
        Damaged: there is one, and it is not what it should be.
    """
    file = find(module)
    if file is None:
        return None
    try:
        with open(file, "rb") as stream:
            data = json.loads(stream.read())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(f"its manifest {file} cannot be read ({type(error).__name__})") from error
    try:
        return _manifest(data, file)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"its manifest {file} is damaged ({type(error).__name__}: {error})") from error


def _manifest(data: Any, file: str) -> Manifest:
    if data["manifest"] != LAYOUT:
        raise ValueError(f"its layout is {data['manifest']!r}, and this kernel reads {LAYOUT}")
    api = data["api"]
    if api is not None and not isinstance(api, str):
        raise TypeError("'api' is no text")
    return Manifest(
        api=api,
        components={
            str(family): {str(name): _description(each) for name, each in named.items()}
            for family, named in data["components"].items()
        },
        hooks=tuple(map(str, data["hooks"])),
        commands=_targets(data["commands"]),
        suites=_targets(data["suites"]),
        file=file,
    )


def _description(data: Any) -> Description:
    schema, constants = data["options"], data["constants"]
    if not isinstance(schema, dict) or not isinstance(schema["properties"], dict) or not isinstance(constants, dict):
        raise TypeError("'options' and 'constants' are not what they should be")
    return Description(
        target=_target(data["class"]),
        about=str(data["about"]),
        schema=schema,
        capabilities={str(name): str(level) for name, level in data["capabilities"].items()},
        effects=tuple(map(str, data["effects"])),
        constants=constants,
    )


def _targets(table: Any) -> dict[str, str]:
    return {str(name): _target(target) for name, target in table.items()}


def _target(text: Any) -> str:
    if not isinstance(text, str) or not _TARGET.fullmatch(text):
        raise ValueError(f"{text!r} is not like 'package.module:Class'")
    return text
