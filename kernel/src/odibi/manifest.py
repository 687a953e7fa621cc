"""Makes the manifest of a plugin from its code, and tells where the two differ."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odibi.config.schema import DIALECT, component_schema
from odibi.contracts import FAMILIES
from odibi.contracts.capability import capabilities_of
from odibi.described import KEY
from odibi.errors import PluginBroken, PluginError
from odibi.host import Host, manifest
from odibi.host.admission import COLLECTED, HOOKS
from odibi.host.discovery import discover, normal

if TYPE_CHECKING:
    from odibi.host.discovery import Found

EFFECTS = ("files", "network", "subprocess")
"""What a component may do beyond its own memory; it says so in a class attribute ``effects``."""

_CONSTANTS: Mapping[str, tuple[str, ...]] = {
    "engine": ("frame_type", "dialect"),
    "format": ("extensions", "exact"),
    "storage": ("etag_resolution",),
    "transform": ("rowwise",),
}


def found_plugin(name: str) -> Found:
    """The installed plugin that is meant: by the name of its entry point, or of its distribution.

    Raises:
        PluginError: there is none, or there are several.
    """
    plugins = discover()
    meant = [each for each in plugins if each.name == name] or [
        each for each in plugins if normal(each.distribution) == normal(name)
    ]
    if len(meant) == 1:
        return meant[0]
    known = ", ".join(each.name for each in plugins) or "none"
    what = "several installed plugins are called that" if meant else "no installed plugin is called that"
    raise PluginError(f"{what}.", where=repr(name), remedy=f"There are: {known}.")


def manifest_text(found: Found) -> str:
    """The manifest of an installed plugin, from its code; the same code gives the same text.

    Raises:
        PluginError: the plugin cannot be loaded, or says something of itself that cannot be.
    """
    return json.dumps(_manifest(found), indent=1, ensure_ascii=False, sort_keys=False) + "\n"


def difference(found: Found) -> str:
    """How the manifest of a plugin differs from its code, in words; empty if it does not.

    Raises:
        PluginError: as for :func:`manifest_text`.
    """
    file = manifest_file(found)
    remedy = f"odibi plugin manifest {found.name} --write"
    if not file.is_file():
        return f"{file} is not there: {remedy}"
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return f"{file} cannot be read ({error}): {remedy}"
    places = list(_differences("", there, json.loads(manifest_text(found))))
    return f"{file} differs from the code at {', '.join(places[:5])}: {remedy}" if places else ""


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of manifests."""
    text, texts = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    target = {"type": "string", "pattern": r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"}
    said = {
        "type": "object",
        "description": "What JSON Schema has no word for.",
        "properties": {
            "type": {**text, "description": "In the words of Python: 'int | str | None', 'Sequence[str]'."},
            "key": {**text, "description": "The option's own name, of which this may be an alias."},
            "required": {"type": "boolean"},
            "only": {"enum": ["read", "write"], "description": "The way in which alone it has a meaning."},
            "secret": {"type": "boolean"},
            "path": {"type": "boolean", "description": "Relative to the project's folder."},
            "connection": {"type": "boolean", "description": "The name of a connection."},
            "code": {"type": "boolean", "description": "Some values are refused by the component's code alone."},
        },
    }
    component = {
        "type": "object",
        "properties": {
            "class": {**target, "description": "'module:Class'."},
            "about": {**text, "description": "One sentence."},
            "capabilities": {"type": "object", "additionalProperties": text},
            "effects": {"type": "array", "items": {"enum": list(EFFECTS)}},
            "constants": {"type": "object", "description": "Class attributes that the contract asks for."},
            "options": {
                "type": "object",
                "description": "A JSON Schema.",
                "properties": {
                    "properties": {
                        "type": "object",
                        "additionalProperties": {"type": "object", "properties": {KEY: said}},
                    }
                },
                "required": ["properties"],
            },
        },
    }
    component["required"] = list(component["properties"])
    named = {"type": "object", "additionalProperties": {"$ref": "#/$defs/component"}}
    properties: dict[str, Any] = {
        "manifest": {"const": manifest.LAYOUT, "description": "The layout of this file."},
        "plugin": {**text, "description": "The name of the entry point."},
        "api": {"type": ["string", "null"], "description": "Versions of the interface, such as '>=1.0,<2'."},
        "components": {"type": "object", "properties": dict.fromkeys(FAMILIES, named), "additionalProperties": False},
        "hooks": {**texts, "description": "The behavioural hooks, for which the plugin is imported."},
        "commands": {"type": "object", "additionalProperties": target},
        "suites": {"type": "object", "additionalProperties": target},
    }
    required = list(properties)
    head = {"$schema": DIALECT, "title": "The manifest of an Odibi plugin"}
    return {
        **head,
        "type": "object",
        "properties": properties,
        "required": required,
        "$defs": {"component": component},
    }


def manifest_file(found: Found) -> Path:
    """Where the manifest of a plugin is, or should be.

    Raises:
        PluginError: its module is no package, so that there is no place for one.
    """
    file = manifest.find(found.value.partition(":")[0])
    if file is None:
        what = f"{found.value!r} is a module without a package, so there is no place for a manifest."
        raise PluginError(what, where=found.name, remedy="Make it a package: a folder with an __init__.py.")
    return Path(file)


def write_manifest(found: Found) -> bool:
    """Write the manifest of a plugin into its package; returns whether that changed anything.

    Raises:
        PluginError: as for :func:`manifest_text`; or it cannot be written.
    """
    file, text = manifest_file(found), manifest_text(found)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            return False
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        what = f"the manifest cannot be written: {error.strerror or error}."
        raise PluginError(what, where=str(file), remedy="Install the plugin in editable mode to work on it.") from error
    finally:
        draft.unlink(missing_ok=True)
    return True


def _manifest(found: Found) -> dict[str, Any]:
    # By hand, so that its code is asked and not the manifest that is there already.
    try:
        host = Host([found.value], discover=False)
    except PluginBroken as error:
        what = error.what.replace("it was given by hand, but ", "its code cannot be loaded: ")
        raise PluginError(what, where=found.name, remedy=error.remedy) from error
    (info,) = [each for each in host.plugins() if each.module == found.value]
    families, hooks = info.families, host.hooks_of(info.label)
    return {
        "manifest": manifest.LAYOUT,
        "plugin": found.name,
        "api": info.api,
        "components": {
            family: {name: _component(host, family, name) for name in families[family]}
            for family in FAMILIES
            if family in families
        },
        "hooks": [hook for hook in HOOKS if hook in hooks and hook not in COLLECTED],
        "commands": {name: host.target("command", name) for name in families.get("command", ())},
        "suites": {name: host.target("suite", name) for name in families.get("suite", ())},
    }


def _component(host: Host, family: str, name: str) -> dict[str, Any]:
    cls = host.component(family, name)
    effects = tuple(getattr(cls, "effects", ()))
    if unknown := sorted(set(effects) - set(EFFECTS)):
        what = f"{cls.__qualname__} declares the effects {', '.join(unknown)}."
        raise PluginError(what, where=f"{family} {name!r}", remedy=f"There are: {', '.join(EFFECTS)}.")
    try:
        capabilities = {each: str(level) for each, level in capabilities_of(family, cls).items()}
    except ValueError as error:
        raise PluginError(f"{error}.", where=f"{family} {name!r}", remedy="Correct its capabilities.") from error
    schema = component_schema(cls)
    about = schema.pop("description", "")
    return {
        "class": host.target(family, name),
        "about": about,
        "capabilities": capabilities,
        "effects": sorted(effects),
        "constants": {each: getattr(cls, each) for each in _CONSTANTS.get(family, ()) if hasattr(cls, each)},
        "options": schema,
    }


def _differences(place: str, one: Any, other: Any) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        return [each for key in keys for each in _differences(f"{place}/{key}", one.get(key), other.get(key))]
    return [] if one == other else [place or "/"]
