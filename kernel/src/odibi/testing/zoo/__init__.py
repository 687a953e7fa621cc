"""Components with one defect each: what the conformance suites are worth is how many of these they refuse.

A module a family holds a :class:`Zoo`: a suite on a sound component, which passes, and classes that each break one
promise of the contract::

    zoo = Zoo(SoundStorage)


    @zoo.defect
    class KeepsTheBeginning(MemoryStorage):
        \"\"\"A write keeps the first 64 KiB and says that it kept all.\"\"\"

        def write(self, path, data, *, when=ALWAYS): ...

``python -m odibi.testing.zoo`` runs the suite of each family on each of its defects, and prints how many it refused.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

import attrs

if TYPE_CHECKING:
    from odibi.testing.component import ComponentSuite

C = TypeVar("C", bound=type)

SOUND = "sound"
"""The name of the specimen without a defect."""


@attrs.frozen
class Defect:
    """One way to break a contract.

    Attributes:
        name: the class's.
        what: what it does wrong, in a sentence.
        suite: the family's suite on the component that has it.
        argued: why no test can see it; empty if one should.
    """

    name: str
    what: str
    suite: type[ComponentSuite]
    argued: str = ""


class Zoo:
    """The defects of one family.

    Args:
        sound: the family's suite on a component without any.
    """

    def __init__(self, sound: type[ComponentSuite]) -> None:
        self.sound = sound
        self.defects: dict[str, Defect] = {}

    def defect(self, component: C) -> C:
        """Add a component; the first line of its docstring says what is wrong with it."""
        return self._add(component, "")

    def argued(self, component: C, why: str) -> C:
        """Add a component of which no test can know, and say why."""
        return self._add(component, why)

    def _add(self, component: C, why: str) -> C:
        name, what = component.__name__, (component.__doc__ or "").strip().partition("\n")[0]
        if not what:
            raise ValueError(f"{name} does not say in its docstring what is wrong with it")
        if name in self.defects:
            raise ValueError(f"there are two defects {name}")
        suite = type(f"Test{name}", (self.sound,), {"component": component, "__module__": component.__module__})
        self.defects[name] = Defect(name, what, suite, why)
        return component


def families() -> list[str]:
    """The families that have a zoo."""
    return sorted(each.name for each in pkgutil.iter_modules(__path__) if not each.name.startswith("_"))


def zoo_of(family: str) -> Zoo:
    """The zoo of a family.

    Raises:
        ValueError: it has none.
    """
    if family not in families():
        raise ValueError(f"there is no zoo for {family!r}; there are: {', '.join(families())}")
    found = import_module(f"{__name__}.{family}").zoo
    assert isinstance(found, Zoo)
    return found


def suite_of(specimen: str) -> type[ComponentSuite]:
    """The suite on one specimen.

    Args:
        specimen: ``"family.Defect"``, or ``"family.sound"``.
    """
    family, _, name = specimen.partition(".")
    zoo = zoo_of(family)
    return zoo.sound if name == SOUND else zoo.defects[name].suite
