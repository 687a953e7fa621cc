"""Every hook the host calls, on one page.

A plugin is a light module (or object), named by an entry point in the group ``odibi``, with functions marked
:data:`odibi.hookimpl`. It implements the hooks it needs and may ask for fewer arguments than a hook offers.

The registering hooks, one a family, return ``{name: "module:Class"}``; the class is imported when a project first
needs it. The behavioural hooks may be wrapped as in pytest (``@odibi.hookimpl(wrapper=True)``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from odibi.contracts.executor import Outcome, Task
    from odibi.events import Event
    from odibi.model import Project

hookspec = pluggy.HookspecMarker("odibi")
hookimpl = pluggy.HookimplMarker("odibi")

REGISTERING = {
    "engine": "odibi_engines",
    "storage": "odibi_storages",
    "format": "odibi_formats",
    "transform": "odibi_transforms",
    "cache": "odibi_caches",
    "checkpoint": "odibi_checkpoints",
    "trigger": "odibi_triggers",
    "metric": "odibi_metrics",
    "executor": "odibi_executors",
    "secret": "odibi_secrets",
    "observer": "odibi_observers",
}
"""Family to the hook that registers its components."""


@hookspec
def odibi_engines() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Engines by name: ``{"pandas": "odibi_pandas.engine:PandasEngine"}``."""


@hookspec
def odibi_storages() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Storages by the ``type`` of a connection: ``{"local": "odibi_local.storage:LocalStorage"}``."""


@hookspec
def odibi_formats() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Formats by engine and name: ``{"pandas.csv": "odibi_pandas.formats.csv:CsvFormat"}``."""


@hookspec
def odibi_transforms() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Operations by engine and name (``"pandas.pivot"``), or by name alone if they work on any engine."""


@hookspec
def odibi_caches() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Caches by the ``type`` in a project's ``cache`` section."""


@hookspec
def odibi_checkpoints() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Checkpoint stores by the ``type`` in a project's ``checkpoints`` section."""


@hookspec
def odibi_triggers() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Triggers by the ``type`` in a project's ``triggers`` section."""


@hookspec
def odibi_metrics() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Metric sinks by the ``type`` in a project's ``metrics`` section."""


@hookspec
def odibi_executors() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Executors by the ``type`` in a project's ``executor`` section."""


@hookspec
def odibi_secrets() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Secret stores by the ``type`` in a project's ``secrets`` section."""


@hookspec
def odibi_observers() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Observers by the ``type`` in a project's ``observers`` section."""


@hookspec
def odibi_suites() -> Mapping[str, str]:  # type: ignore[empty-body]
    """The conformance suites that a plugin brings for its components, by family and name.

    ``{"storage.local": "odibi_local.conformance:LocalStorageSuite"}``: ``pytest --odibi-conformance`` runs them on
    what is installed. The module may need ``odibi-kernel[testing]``; nothing else imports it.
    """


@hookspec
def odibi_configure(project: Project) -> None:
    """Called once for a project, when its configuration was read and checked and before anything is built.

    Args:
        project: all of it; not to be changed.
    """


@hookspec(firstresult=True)
def odibi_run_node(task: Task) -> Outcome | None:
    """Run one attempt of a node; the first plugin that returns an outcome has run it.

    The kernel's own implementation, ``task.run()``, comes last. Wrap this hook to do something around each node;
    costs a few microseconds a node as soon as any plugin implements it, and nothing otherwise.

    Args:
        task: the attempt, ready to be run; it knows its node, its number and its inputs.
    """


@hookspec
def odibi_event(event: Event) -> None:
    """Told every event of every run, off the nodes' threads; see :class:`odibi.contracts.observer.Observer`.

    Args:
        event: what happened; one of the classes of :mod:`odibi.events`, or a later one that is not known yet.
    """


@hookspec
def odibi_commands() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """More commands for the CLI, by name: ``{"azure": "odibi_azure.cli:command"}`` (click commands)."""
