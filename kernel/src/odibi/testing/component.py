"""What the suites of all families share: how a component under test is made, and what holds for every component.

A family's suite derives from :class:`ComponentSuite`; a plugin derives from the family's suite, names its class, and
says which options give a component for an empty place::

    from odibi.testing.storage import StorageSuite


    class MyStorageSuite(StorageSuite):
        component = MyStorage

        def options(self, place):
            return {"base_path": str(place)}

Tests of what a component declares that it cannot do (``capabilities``) are left out, and listed at the end of the run.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import attrs
import pytest

from odibi.contracts import (
    Cache,
    CheckpointStore,
    Engine,
    Executor,
    Format,
    MetricSink,
    Observer,
    Schedule,
    SecretStore,
    Storage,
    TableFormat,
    Transform,
    TriggerSource,
)
from odibi.contracts.capability import Capability, capabilities_of
from odibi.contracts.secret import Secret
from odibi.structure import option_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from odibi.structure import OptionField

T = TypeVar("T")

CONTRACTS: Mapping[str, tuple[type, ...]] = {
    "engine": (Engine,),
    "storage": (Storage,),
    "format": (Format, TableFormat),
    "transform": (Transform,),
    "cache": (Cache,),
    "checkpoint": (CheckpointStore,),
    "trigger": (Schedule, TriggerSource),
    "metric": (MetricSink,),
    "executor": (Executor,),
    "secret": (SecretStore,),
    "observer": (Observer,),
}
"""Family to its contracts, of which a component fulfils one."""

PLANTED = "pl4nted-s3cret"
"""What stands for a secret in tests of secrecy; it must not be found anywhere."""

TOGETHER = 60.0
"""Seconds that threads of a test may take."""

_IN_ANOTHER_PROCESS = """
import importlib, json, sys
home, name, options = json.loads(sys.argv[1])
component = importlib.import_module(home)
for part in name.split("."):
    component = getattr(component, part)
made = component(**options)
getattr(made, "close", lambda: None)()
"""


def needs(*capabilities: str) -> pytest.MarkDecorator:
    """Mark a test of what only components with these capabilities do; it is left out for those that declare ``none``.

    Args:
        capabilities: names from :data:`odibi.contracts.CAPABILITIES`.
    """
    return pytest.mark.odibi_needs(*capabilities)


def together(*works: Callable[[], T]) -> list[T | BaseException]:
    """Do all this at once, on a thread each that waits for the others to be ready.

    Returns:
        For each what it returned or raised.

    Raises:
        AssertionError: one does not come to an end.
    """
    barrier = threading.Barrier(len(works))
    results: list[T | BaseException] = [AssertionError("it does not come to an end")] * len(works)

    def run(at: int, work: Callable[[], T]) -> None:
        barrier.wait(TOGETHER)
        try:
            results[at] = work()
        except BaseException as error:  # what was raised is the result, whatever it is
            results[at] = error

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TOGETHER)
    assert not any(thread.is_alive() for thread in threads), "the threads wait for each other, or for ever"
    return results


@contextmanager
def no_secret_in(*values: str) -> Iterator[Callable[[object], None]]:
    """Check that what is handed to the function it yields shows none of ``values``, in whatever way it is looked at.

    An exception is looked at with its notes, causes and contexts.
    """

    def look(thing: object) -> None:
        texts = [repr(thing), str(thing), f"{thing}"]
        error, seen = thing, set()
        while isinstance(error, BaseException) and id(error) not in seen:
            seen.add(id(error))
            texts += [repr(error), str(error), *map(str, error.args), *getattr(error, "__notes__", ())]
            error = error.__cause__ or error.__context__
        for text in texts:
            for value in values:
                assert value not in text, f"a secret shows in {type(thing).__name__}"

    yield look


class ComponentSuite:
    """What holds for the components of every family."""

    family: ClassVar[str]
    """Said by the family's suite."""

    component: ClassVar[type]
    """The component's class, which can be imported by its module and name."""

    # --- what a subclass says ---------------------------------------------------------------------------------------

    def options(self, place: Path) -> Mapping[str, Any]:  # noqa: ARG002 - for those that keep data
        """The options of a component whose data, if it has any, is in ``place``, as a project file would give them.

        Args:
            place: a folder that exists and is empty; a component on a server can take it for a name of its own.
        """
        return {}

    def make(self, place: Path) -> Any:
        """A component for ``place``; a second one for the same place is another handle on the same data."""
        return self.component(**self.options(place))

    # --- what the tests use -----------------------------------------------------------------------------------------

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """Where the data of a test is."""
        place = tmp_path / "place"
        place.mkdir()
        return place

    @pytest.fixture
    def subject(self, place: Path) -> Iterator[Any]:
        """A component, closed in the end."""
        made = self.make(place)
        try:
            yield made
        finally:
            close(made)

    @pytest.fixture(autouse=True)
    def _only_what_it_can(self, request: pytest.FixtureRequest) -> None:
        for mark in request.node.iter_markers("odibi_needs"):
            for name in mark.args:
                declared = self.capability(name)
                if not declared.is_there:
                    pytest.skip(f"declared: {self.family} {self.component.__qualname__} has {name!r}: {declared}")

    def capability(self, name: str) -> Capability:
        """What the component says of itself, or what is taken for granted in its family."""
        return capabilities_of(self.family, self.component)[name]

    # --- tests ------------------------------------------------------------------------------------------------------

    def test_it_fulfils_a_contract_of_its_family(self, subject: Any) -> None:
        """It has all methods and attributes of the contract, and the methods take what the contract says, by name."""
        contracts = CONTRACTS[self.family]
        wrong = [deviations(contract, subject) for contract in contracts]
        assert any(not each for each in wrong), min(wrong, key=len)

    def test_its_capabilities_are_ones_that_its_family_has(self) -> None:
        """With a level for each, and a note for those that are partial."""
        assert capabilities_of(self.family, self.component) is not None

    def test_it_is_an_attrs_class_whose_fields_are_options_with_help(self) -> None:
        """The reference page and the JSON Schema are made of them, and ``host.build`` gives them."""
        assert attrs.has(self.component), "it is no attrs class"
        for field in option_fields(self.component):
            assert field.help.strip(), f"the option {field.key!r} has no help"

    def test_its_options_are_plain_values(self, place: Path) -> None:
        """A project file can give them: text, numbers, true, false, lists and mappings."""
        options = dict(self.options(place))
        assert json.loads(json.dumps(options)) == options

    def test_it_can_be_closed_twice(self, place: Path) -> None:
        """And also if it was never used."""
        made = self.make(place)
        close(made)
        close(made)

    def test_no_option_that_is_secret_shows(self, place: Path) -> None:
        """Nor does its value show in the ``repr``, whichever of the options are given."""
        secrets = [field for field in option_fields(self.component) if field.secret]
        given = {**self.options(place), **{field.name: _planted(field) for field in secrets}}
        values = [PLANTED, *_texts_of_secrets(self.options(place), secrets)]
        with no_secret_in(*values) as look:
            for options in (given, self.options(place)):
                try:
                    made = self.component(**options)
                except Exception as error:  # it may refuse the planted one, and must not quote it
                    look(error)
                else:
                    look(made)
                    close(made)

    def test_it_can_be_made_in_another_process(self, place: Path) -> None:
        """From the name of its class and its options alone, and without printing anything."""
        what = json.dumps([self.component.__module__, self.component.__qualname__, dict(self.options(place))])
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _IN_ANOTHER_PROCESS, what],
            capture_output=True,
            check=False,
            text=True,
            timeout=TOGETHER,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


def close(component: Any) -> None:
    """Close what can be closed: formats and transforms hold nothing."""
    getattr(component, "close", lambda: None)()


def deviations(contract: type, component: Any) -> list[str]:
    """In what a component differs from a contract, in words.

    Args:
        contract: a Protocol.
        component: an instance.
    """
    found: list[str] = []
    for name in sorted(_members(contract)):
        if not hasattr(component, name):
            found.append(f"it has no {name!r}")
            continue
        wanted = inspect.getattr_static(contract, name, None)
        if inspect.isfunction(wanted):
            found += _other_parameters(name, wanted, getattr(component, name))
    return found


def _members(contract: type) -> set[str]:
    optional = {"exact"} if contract is Format else set()  # taken as false where it is not said
    names: set[str] = set()
    for base in contract.__mro__:
        if getattr(base, "_is_protocol", False) and base.__module__.startswith("odibi."):
            names |= {name for name in vars(base) if not name.startswith("_")}
            names |= {name for name in getattr(base, "__annotations__", {}) if not name.startswith("_")}
    return names - optional


def _other_parameters(name: str, wanted: Callable[..., Any], found: Any) -> list[str]:
    """What a call that the contract allows would trip over."""
    if not callable(found):
        return [f"its {name!r} cannot be called"]
    ours = list(inspect.signature(wanted).parameters.values())[1:]
    theirs = list(inspect.signature(found).parameters.values())
    kinds = {each.kind for each in theirs}
    by_name = {each.name for each in theirs}
    if inspect.Parameter.VAR_KEYWORD in kinds:
        by_name |= {each.name for each in ours}
    wrong = [f"its {name!r} takes no {each.name!r}" for each in ours if each.name not in by_name]
    positional = [each.name for each in theirs if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    expected = [each.name for each in ours if each.kind is each.POSITIONAL_OR_KEYWORD]
    if not wrong and inspect.Parameter.VAR_POSITIONAL not in kinds and positional[: len(expected)] != expected:
        wrong.append(f"its {name!r} takes {positional} in order, and not {expected}")
    known = {each.name for each in ours}
    for each in theirs:
        must = each.default is each.empty and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
        if must and each.name not in known:
            wrong.append(f"its {name!r} asks for {each.name!r}, which nobody gives")
    return wrong


def _planted(field: OptionField) -> object:
    return Secret(PLANTED) if "Secret" in str(field.type) else PLANTED


def _texts_of_secrets(options: Mapping[str, Any], secrets: Sequence[OptionField]) -> list[str]:
    values = [options[field.name] for field in secrets if field.name in options]
    return [value.reveal() if isinstance(value, Secret) else str(value) for value in values if value]
