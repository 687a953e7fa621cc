"""The suite for a plugin as a whole: what it does when it is loaded, and whether its manifest is true.

A plugin's tests derive from it, and name the plugin's entry point::

    from odibi.testing.plugin import PluginSuite


    class TestMyPlugin(PluginSuite):
        plugin = "my-plugin"
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from odibi.contracts import FAMILIES
from odibi.contracts.capability import capabilities_of
from odibi.host import Host
from odibi.host.discovery import Found, discover
from odibi.manifest import difference
from odibi.structure import option_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIGHT = """
import json, sys
import importlib
import odibi, odibi.hookspecs
before = set(sys.modules)
importlib.import_module(sys.argv[1])
tops = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
foreign = [
    name
    for name in tops
    if name not in sys.stdlib_module_names and name not in ("odibi", "pluggy", sys.argv[1].partition(".")[0])
    and getattr(sys.modules.get(name), "__file__", None) is not None
]
json.dump(foreign, sys.stderr)
"""
"""Imports a plugin's module, and tells which packages of others came along."""


class PluginSuite:
    """What holds for every plugin that is installed."""

    plugin: ClassVar[str]
    """The name of its entry point in the group ``odibi``."""

    @pytest.fixture(autouse=True)
    def found(self) -> Found:
        """Its metadata."""
        for each in discover():
            if each.name == self.plugin:
                return each
        there = ", ".join(each.name for each in discover()) or "none"
        pytest.fail(f"no plugin {self.plugin!r} is installed (pip install -e .); there are: {there}", pytrace=False)

    def test_its_module_imports_nothing_heavy(self, found: Found) -> None:
        """Only the standard library, the kernel and itself; and it prints nothing."""
        module = found.value.partition(":")[0]
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _LIGHT, module],
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        foreign = json.loads(done.stderr)
        assert foreign == [], f"importing {module} imports {', '.join(foreign)}; do that where it is first used"

    def test_it_says_which_versions_of_the_interface_it_works_with(self, found: Found) -> None:
        """In ``ODIBI_API``, so that another kernel refuses it with a remedy, instead of failing in it."""
        module = import_module(found.value.partition(":")[0])
        assert isinstance(getattr(module, "ODIBI_API", None), str), "its module has no ODIBI_API"

    def test_the_host_loads_it(self) -> None:
        """Without a remark."""
        (info,) = [each for each in Host().plugins() if each.name == self.plugin]
        assert (info.cause, info.printed, info.remarks) == ("", "", ())
        assert info.status in ("loaded", "declared")

    def test_its_manifest_is_as_its_code_says(self, found: Found) -> None:
        """So the host can list it, check projects and draw up the JSON Schema without importing it."""
        assert difference(found) == ""

    def test_its_code_loads_as_its_manifest_says(self, found: Found) -> None:
        """Imported, it offers just what it declares."""
        (declared,) = [each for each in Host().plugins() if each.name == self.plugin]
        by_hand = Host([found.value], discover=False)
        (loaded,) = [each for each in by_hand.plugins() if each.module == found.value]
        assert (loaded.status, loaded.families) == ("loaded", declared.families)

    def test_its_components_can_be_imported_and_document_their_options(self) -> None:
        """Each is an attrs class; its options have a sentence of help, its capabilities are ones of its family."""
        for family, names in self._offers().items():
            for name in names:
                component = Host().component(family, name)
                assert attrs.has(component), f"{family} {name!r} is no attrs class"
                helpless = [field.key for field in option_fields(component) if not field.help.strip()]
                assert helpless == [], f"{family} {name!r} has options without help"
                capabilities_of(family, component)

    def test_it_brings_suites_for_what_it_offers_alone(self) -> None:
        """A suite is for a component that the plugin offers, and tests that one."""
        host, offered = Host(), self._offers()
        for full in self._info().families.get("suite", ()):
            family, _, name = full.partition(".")
            assert name in offered.get(family, ()), f"there is a suite for {full!r}, which the plugin does not offer"
            suite = host.component("suite", full)
            assert getattr(suite, "component", None) is host.component(family, name), f"{suite!r} tests something else"

    def _info(self) -> Any:
        (info,) = [each for each in Host().plugins() if each.name == self.plugin]
        return info

    def _offers(self) -> Mapping[str, tuple[str, ...]]:
        return {family: names for family, names in self._info().families.items() if family in FAMILIES}
