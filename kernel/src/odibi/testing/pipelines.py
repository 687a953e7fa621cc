"""What people test their pipelines with: a host that finds nothing by itself, runs with events, plugins for a while.

::

    from odibi.testing.pipelines import host_with, run
    from odibi.testing.reference.storage import MemoryStorage


    def test_my_pipeline():
        host = host_with({"storage.memory": MemoryStorage})
        pipeline = odibi.Pipeline("p", [orders, totals], engine=None, host=host)
        ran = run(pipeline, inputs={"orders": [1, 2]})
        assert ran.value("totals") == 3
        assert ran.states == {"totals": "succeeded"}

Needs nothing beyond the kernel. Frames that look alike, and frames to try things on, are in
:mod:`odibi.testing.frames`; a clock to turn is in :mod:`odibi.testing.clock`.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import invalidate_caches
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from odibi.api import LoadedProject, Pipeline, load
from odibi.contracts import FAMILIES
from odibi.hookspecs import REGISTERING, hookimpl
from odibi.host import Host

if TYPE_CHECKING:
    from odibi.contracts.executor import Outcome
    from odibi.events import Event
    from odibi.run.result import RunResult

E = TypeVar("E", bound="Event")

_numbers = count(1)


def host_with(components: Mapping[str, type] | None = None, *, plugins: Sequence[object | str] = ()) -> Host:
    """A host with the kernel's own components, those given, and no others, whatever is installed.

    Args:
        components: ``"family.name"`` (``"format.engine.name"`` for those of an engine) to the class; it may be one that
            a test has just defined.
        plugins: modules, objects with hooks, or ``"module"``.

    Raises:
        ValueError: there is no such family.
    """
    module = ModuleType(f"odibi_components_by_hand_{next(_numbers)}")
    tables: dict[str, dict[str, str]] = {}
    for full, component in (components or {}).items():
        family, _, name = full.partition(".")
        if family not in FAMILIES or not name:
            raise ValueError(f"{full!r} is not like 'storage.memory'; the families are: {', '.join(FAMILIES)}")
        attribute = f"component_{len(vars(module))}"
        setattr(module, attribute, component)
        tables.setdefault(family, {})[name] = f"{module.__name__}:{attribute}"
    for family, table in tables.items():
        setattr(module, REGISTERING[family], hookimpl(_giving(REGISTERING[family], table)))
    sys.modules[module.__name__] = module
    return Host([module, *plugins], discover=False)


def _giving(hook: str, table: Mapping[str, str]) -> Any:
    def give() -> Mapping[str, str]:
        return table

    give.__name__ = hook
    return give


@attrs.frozen
class Ran:
    """A run with all that was told of it.

    Attributes:
        result: as the run gave it; a run that failed is a result like any other.
        events: all of them, in order.
    """

    result: RunResult
    events: tuple[Event, ...]

    @property
    def states(self) -> dict[str, str]:
        """Node to what became of it."""
        return {name: outcome.state.value for name, outcome in self.result.outcomes.items()}

    def outcome(self, node: str) -> Outcome:
        """What became of a node.

        Raises:
            KeyError: it was no part of the run.
        """
        return self.result.outcomes[node]

    def value(self, node: str) -> Any:
        """The value that a node made.

        Raises:
            AssertionError: it made none; says why.
        """
        outcome = self.outcome(node)
        assert outcome.state.good, f"{node} {outcome.state.value}: {outcome.error or outcome.reason}"
        return self.result[node]

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


class _Log:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def handle(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass


def run(what: Pipeline | LoadedProject | str | Path, pipeline: str | None = None, **choices: Any) -> Ran:
    """Run a pipeline, and keep what was told of it.

    Args:
        what: a pipeline, a project, or the path of a project file.
        pipeline: of a project with several, which one.
        choices: as :meth:`odibi.Pipeline.run` takes them; a failure is not raised unless ``check`` says so.

    Raises:
        ConfigError: the project has mistakes, or several pipelines and none was named.
    """
    log = _Log()
    given = {"check": False, **choices, "observers": [*choices.get("observers", ()), log]}
    if isinstance(what, Pipeline):
        return Ran(what.run(**given), tuple(log.events))
    project = what if isinstance(what, LoadedProject) else load(what)
    try:
        (result,) = project.run(pipeline, **given).runs
        return Ran(result, tuple(log.events))
    finally:
        if project is not what:
            project.close()


@contextmanager
def installed(folder: Path, distribution: str, *, version: str = "1.0", **modules: str) -> Iterator[None]:
    """Let a plugin be installed for the time of the ``with`` block: its metadata and its modules are on ``sys.path``.

    Args:
        folder: where they are written; it should be the block's own.
        distribution, version: whose they are.
        modules: name to source; the first is the plugin.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    (info / "METADATA").write_text(head, encoding="utf-8")
    first = next(iter(modules))
    (info / "entry_points.txt").write_text(f"[odibi]\n{first} = {first}\n", encoding="utf-8")
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]
        invalidate_caches()
