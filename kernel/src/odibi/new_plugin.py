"""A new plugin: a package that is green from the first minute on. What ``odibi new plugin`` writes."""

from __future__ import annotations

import datetime
import keyword
import os
import re
import subprocess
import sys
import tempfile
from importlib.resources import files as resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import attrs

from odibi import API_VERSION, __version__
from odibi.contracts import FAMILIES
from odibi.errors import ConfigError, OdibiError, Problem
from odibi.hookspecs import REGISTERING
from odibi.structure import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 100
"""Characters of a name; what stands around it in file names has to fit, too."""

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_COMPONENT = re.compile(r"[a-z][a-z0-9_]*")
_HOLDER = "YOUR NAME"

_PACKAGE: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "LICENSE": "LICENSE",
    "tox.ini": "tox.ini",
    "ci.yml": ".github/workflows/ci.yml",
    "gitignore.txt": ".gitignore",
    "init.py.txt": "src/@MODULE@/__init__.py",
    "test_conformance.py.txt": "tests/test_conformance.py",
    "test_plugin.py.txt": "tests/test_plugin.py",
}
"""Template to path, of what every plugin has."""

_MANIFEST = """
import sys
from odibi.host.discovery import Found
from odibi.manifest import write_manifest
write_manifest(Found(*sys.argv[1:]))
"""

_MORE_HOOKS = {
    "engine": '''

@hookimpl
def odibi_formats() -> dict[str, str]:
    """The formats of the engine; others may be plugins of their own."""
    return {"@COMPONENT@.json": "@MODULE@.json_tables:JsonTables"}
'''
}
"""Family to what its plugins register beside the component."""

_MORE_SUITES = {
    "engine": """\
        "format.@COMPONENT@.json": "@MODULE@.conformance:JsonTablesSuite",
"""
}
"""Family to the suites on that."""


class _Family(NamedTuple):
    """What the templates need to know of a family.

    Attributes:
        what: a component of it, with its article.
        suffix: of the class.
        use: what a project says to use it, as YAML.
        registered: the name under which it is registered.
    """

    what: str
    suffix: str
    use: str
    registered: str = "@COMPONENT@"


_FAMILIES: Mapping[str, _Family] = {
    "engine": _Family("An engine", "Engine", "engine: @COMPONENT@"),
    "storage": _Family("A storage", "Storage", "connections:\n  @COMPONENT@: {type: @COMPONENT@, bucket: sales}"),
    "format": _Family(
        "A format",
        "Format",
        "# with the engine whose frames it makes; the engine 'rows' is the kit's, and of use in tests alone\n"
        "nodes:\n  - name: orders\n    read: {connection: lake, path: orders.@COMPONENT@, format: @COMPONENT@}",
        "rows.@COMPONENT@",
    ),
    "transform": _Family(
        "An operation",
        "Transform",
        "transform:\n  steps:\n    - {operation: @COMPONENT@, params: {column: price}}",
    ),
    "cache": _Family("A cache", "Cache", "cache: {type: @COMPONENT@}"),
    "checkpoint": _Family("A checkpoint store", "Checkpoints", "checkpoints: {type: @COMPONENT@}"),
    "trigger": _Family("A trigger", "Schedule", "triggers:\n  often: {type: @COMPONENT@, every: 90}"),
    "metric": _Family("A metric sink", "Metrics", "metrics:\n  - {type: @COMPONENT@, file: metrics.json}"),
    "executor": _Family("An executor", "Executor", "executor: {type: @COMPONENT@}"),
    "secret": _Family("A secret store", "Secrets", "secrets:\n  mine: {type: @COMPONENT@, prefix: APP_}"),
    "observer": _Family("An observer", "Observer", "observers:\n  - {type: @COMPONENT@, file: nodes.jsonl}"),
}


@attrs.frozen
class Names:
    """What a new plugin and its parts are called.

    Attributes:
        distribution: what people install (``odibi-shelf``).
        module: what Python imports (``odibi_shelf``).
        plugin: its entry point (``shelf``).
        family: of its component.
        component: what a project calls it; also the module in which it is (``shelf``).
        cls: its class (``ShelfStorage``).
    """

    distribution: str
    module: str
    plugin: str
    family: str
    component: str
    cls: str

    @property
    def registered(self) -> str:
        """The name under which the component is registered (``rows.shelf`` for a format)."""
        return _FAMILIES[self.family].registered.replace("@COMPONENT@", self.component)


def names_of(distribution: str, family: str, component: str | None = None) -> Names:
    """The names of a new plugin, from that of its distribution.

    Args:
        distribution: such as ``odibi-shelf``; the ``odibi-`` is a custom, not a rule.
        family: of the component, one of :data:`odibi.contracts.FAMILIES`.
        component: what a project calls it; by default the distribution's name without ``odibi-``.

    Raises:
        ConfigError: one of them cannot be, or there is no such family; all mistakes at once.
    """
    problems: list[Problem] = []
    if family not in _FAMILIES:
        problems.append(Problem(f"there is no family {family!r}", None, _family_remedy(family)))
    plain = re.sub(r"[-_.]+", "-", distribution).lower()
    module, plugin = plain.replace("-", "_"), plain.removeprefix("odibi-")
    if wrong := _wrong_distribution(distribution, module):
        remedy = "Give letters, digits and '-', as in 'odibi-shelf'."
        problems.append(Problem(f"the plugin cannot be called {distribution!r}: {wrong}", None, remedy))
    elif wrong := _wrong_component(family, component or plugin.replace("-", "_")):
        remedy = "Give small letters, digits and '_' with --component, as in 'shelf'."
        what = f"the component cannot be called {component or plugin.replace('-', '_')!r}: {wrong}"
        problems.append(Problem(what, None, remedy))
    if problems:
        raise ConfigError(problems)
    component = component or plugin.replace("-", "_")
    stem, suffix = "".join(word.capitalize() for word in component.split("_")), _FAMILIES[family].suffix
    cls = stem.removesuffix(suffix) + suffix
    return Names(distribution, module, plugin, family, component, cls)


def _family_remedy(family: str) -> str:
    near = did_you_mean(family, FAMILIES, otherwise=False)
    return f"{near} There are: {', '.join(FAMILIES)}.".strip()


def _wrong_distribution(name: str, module: str) -> str:
    """Why a distribution cannot be called that; empty if it can."""
    if not _DISTRIBUTION.fullmatch(name):
        return "it is no name of a distribution"
    if len(name) > LONGEST:
        return f"it has more than {LONGEST} characters"
    if not module.isidentifier() or keyword.iskeyword(module):
        return f"its module {module!r} could not be imported"
    if module in sys.stdlib_module_names or module in ("odibi", "tests"):
        return f"there is a module {module!r} already"
    return "" if module != "odibi_kernel" else "that is the kernel"


def _wrong_component(family: str, name: str) -> str:
    """Why a component cannot be called that; empty if it can."""
    if not _COMPONENT.fullmatch(name) or keyword.iskeyword(name):
        return "it is the name of its module, too, and Python has none like that"
    if len(name) > LONGEST:
        return f"it has more than {LONGEST} characters"
    taken = {path.rpartition("/")[2] for path in _templates(family).values()} if family in _FAMILIES else set()
    return "the package has a module of that name already" if f"{name}.py" in taken else ""


def _templates(family: str) -> dict[str, str]:
    """Template to path, of what the plugins of a family have; the component itself left out."""
    names = [each.name for each in (resources("odibi") / "plugin_templates" / family).iterdir()]
    return {
        name: ("tests/" if name.startswith("test_") else "src/@MODULE@/") + name.removesuffix(".txt")
        for name in names
        if name != "component.py.txt"
    }


def plugin_files(names: Names) -> dict[str, str]:
    """Path to content of the files of a new plugin; the manifest, which is made from the code, is not among them."""
    home = resources("odibi") / "plugin_templates"
    common = {home / "package" / name: path for name, path in _PACKAGE.items()}
    special = {home / names.family / name: path for name, path in _templates(names.family).items()}
    places = {**common, home / names.family / "component.py.txt": "src/@MODULE@/@COMPONENT@.py", **special}
    found = {
        _filled(path, names): _ordered(_filled(place.read_text("utf-8"), names), names.module)
        for place, path in places.items()
    }
    return {**found, f"src/{names.module}/py.typed": ""}


def _filled(text: str, names: Names) -> str:
    family = _FAMILIES[names.family]
    major, minor = (int(part) for part in __version__.split(".")[:2])
    api = API_VERSION[0]
    values = {
        "USE": family.use,
        "MORE_HOOKS": _MORE_HOOKS.get(names.family, ""),
        "MORE_SUITES": _MORE_SUITES.get(names.family, ""),
        "A_FAMILY": family.what,
        "REGISTERED": names.registered,
        "KERNEL": f">={major}.{minor},<" + (f"{major + 1}" if major else f"0.{minor + 1}"),
        "API": f">={api}.{API_VERSION[1]},<{api + 1}",
        "HOOK": REGISTERING[names.family],
        "HOLDER": _HOLDER,
        "YEAR": str(datetime.datetime.now(datetime.UTC).year),
        "FAMILY": names.family,
        "NAME": names.distribution,
        "PLUGIN": names.plugin,
        "MODULE": names.module,
        "COMPONENT": names.component,
        "CLASS": names.cls,
    }
    for name, value in values.items():  # in this order: the first ones hold others
        text = text.replace(f"@{name}@", value)
    return text


def _ordered(text: str, module: str) -> str:
    """Put the imports from the package's own modules in order, which depends on what the component is called."""
    block = rf"(?:^from {re.escape(module)}\.[^\n]*\n)+"
    return re.sub(block, lambda found: "".join(sorted(found[0].splitlines(keepends=True))), text, flags=re.MULTILINE)


def write_plugin(folder: Path, names: Names) -> list[str]:
    """Write a new plugin, whole or not at all.

    Args:
        folder: which must not be there yet.
        names: what it is called.

    Returns:
        The paths of its files in the folder, in order.

    Raises:
        ConfigError: the folder is there already, or cannot be written.
        OdibiError: the manifest cannot be made.
    """
    if os.path.lexists(folder):
        raise ConfigError([Problem(f"{folder} is there already.", None, "Give another name, or another --path.")])
    try:
        with tempfile.TemporaryDirectory(prefix=f".{names.distribution}.", dir=folder.parent) as staged:
            draft = Path(staged) / "plugin"
            for path, content in plugin_files(names).items():
                place = draft / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(content, encoding="utf-8")
            _write_manifest(draft / "src", names)
            paths = sorted(str(each.relative_to(draft)) for each in draft.rglob("*") if each.is_file())
            draft.rename(folder)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder} cannot be written: {error.strerror or error}.") from error
    return paths


def _write_manifest(source: Path, names: Names) -> None:
    # In a process of its own: this one must not have imported a package that will be elsewhere in a moment.
    path = os.pathsep.join([str(source), *filter(None, sys.path)])
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-P", "-c", _MANIFEST, names.plugin, names.module, names.distribution, "0.1.0"],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise OdibiError(f"the manifest of the new plugin cannot be made: {last}", where=names.distribution)
