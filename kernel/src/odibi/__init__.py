"""Odibi: a host for data pipelines.

The public names, imported when they are first used: ``import odibi`` itself loads nothing else.
"""

from __future__ import annotations

__version__ = "0.1.0"

API_VERSION = (1, 0)
"""Of the contracts and hooks. A plugin's module may say which it works with: ``ODIBI_API = ">=1.0,<2"``."""

TYPE_CHECKING = False  # importing it would cost more than everything else here

if TYPE_CHECKING:
    from odibi.api import Pipeline, load, node, run
    from odibi.contracts.format import WriteMode
    from odibi.contracts.options import option
    from odibi.contracts.secret import Secret
    from odibi.errors import ConfigError, OdibiError, RunFailed
    from odibi.functions import transform
    from odibi.hookspecs import hookimpl
    from odibi.host import Host
    from odibi.model import (
        Connection,
        Function,
        Node,
        Operation,
        Project,
        Read,
        Retry,
        Sql,
        Transform,
        Validation,
        Write,
    )
    from odibi.run.handle import RunHandle
    from odibi.run.result import RunResult

_HOMES = {
    "api": ("Pipeline", "load", "node", "run"),
    "functions": ("transform",),
    "contracts.format": ("WriteMode",),
    "contracts.options": ("option",),
    "contracts.secret": ("Secret",),
    "errors": ("ConfigError", "OdibiError", "RunFailed"),
    "hookspecs": ("hookimpl",),
    "host": ("Host",),
    "model": (
        "Connection",
        "Function",
        "Node",
        "Operation",
        "Project",
        "Read",
        "Retry",
        "Sql",
        "Transform",
        "Validation",
        "Write",
    ),
    "run.handle": ("RunHandle",),
    "run.result": ("RunResult",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "API_VERSION",
    "ConfigError",
    "Connection",
    "Function",
    "Host",
    "Node",
    "OdibiError",
    "Operation",
    "Pipeline",
    "Project",
    "Read",
    "Retry",
    "RunFailed",
    "RunHandle",
    "RunResult",
    "Secret",
    "Sql",
    "Transform",
    "Validation",
    "Write",
    "WriteMode",
    "__version__",
    "hookimpl",
    "load",
    "node",
    "option",
    "run",
    "transform",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
