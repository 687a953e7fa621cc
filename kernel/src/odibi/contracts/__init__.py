"""The eleven contracts: what a plugin may offer, one Protocol a family, and the values that cross the seam.

A plugin talks to the kernel through this package, :mod:`odibi.hookspecs`, :mod:`odibi.errors` and
:mod:`odibi.testing` alone. A component is an attrs class whose fields are its options (see :func:`option`); it need
not inherit from anything here.

Signatures bind in names and order; the sentences in the docstrings bind in meaning.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from odibi.contracts.bounds import Bound
    from odibi.contracts.cache import Cache, Cached, CacheEntry, CacheStats, Dataset, DatasetCache, Lease
    from odibi.contracts.capability import CAPABILITIES, Capability, Level, capabilities_of
    from odibi.contracts.checkpoint import CheckpointStore, RunLock, RunRecord
    from odibi.contracts.engine import (
        BoundedEngine,
        CallingEngine,
        Column,
        DatasetEngine,
        Engine,
        FrameInfo,
        KeyedEngine,
        LazyEngine,
        Progress,
        Session,
        TailedEngine,
    )
    from odibi.contracts.executor import Executor, Outcome, State, Task, Usage, Work
    from odibi.contracts.format import Format, Source, TableFormat, Target, WriteMode, WriteReport
    from odibi.contracts.metric import Kind, Measurement, MetricSink, ScrapedSink
    from odibi.contracts.observer import NOTICE, Observer, PlannedNode, RunFacts
    from odibi.contracts.options import option
    from odibi.contracts.secret import Secret, SecretStore
    from odibi.contracts.storage import ABSENT, ALWAYS, FolderStorage, Match, Stat, Storage, check_path
    from odibi.contracts.transform import Transform, TransformContext
    from odibi.contracts.trigger import Batch, EventQueue, EventSource, Schedule, TriggerSource

FAMILIES: tuple[str, ...] = (
    "engine",
    "storage",
    "format",
    "transform",
    "cache",
    "checkpoint",
    "trigger",
    "metric",
    "executor",
    "secret",
    "observer",
)
"""The families of components, in the order in which they are listed."""

_HOMES = {
    "options": ("option",),
    "bounds": ("Bound",),
    "engine": (
        "BoundedEngine",
        "CallingEngine",
        "Column",
        "DatasetEngine",
        "Engine",
        "FrameInfo",
        "KeyedEngine",
        "LazyEngine",
        "Progress",
        "Session",
        "TailedEngine",
    ),
    "storage": ("ABSENT", "ALWAYS", "FolderStorage", "Match", "Stat", "Storage", "check_path"),
    "format": ("Format", "Source", "TableFormat", "Target", "WriteMode", "WriteReport"),
    "transform": ("Transform", "TransformContext"),
    "cache": ("Cache", "Cached", "CacheEntry", "CacheStats", "Dataset", "DatasetCache", "Lease"),
    "capability": ("CAPABILITIES", "Capability", "Level", "capabilities_of"),
    "checkpoint": ("CheckpointStore", "RunLock", "RunRecord"),
    "trigger": (
        "Batch",
        "EventQueue",
        "EventSource",
        "FileVersion",
        "Schedule",
        "TriggerSource",
        "files_of",
        "payload_of",
    ),
    "metric": ("Kind", "Measurement", "MetricSink", "ScrapedSink"),
    "executor": ("Executor", "Outcome", "State", "Task", "Usage", "Work"),
    "secret": ("Secret", "SecretStore"),
    "observer": ("NOTICE", "Observer", "PlannedNode", "RunFacts"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ABSENT",
    "ALWAYS",
    "CAPABILITIES",
    "FAMILIES",
    "NOTICE",
    "Batch",
    "Bound",
    "BoundedEngine",
    "Cache",
    "CacheEntry",
    "CacheStats",
    "Cached",
    "CallingEngine",
    "Capability",
    "CheckpointStore",
    "Column",
    "Dataset",
    "DatasetCache",
    "DatasetEngine",
    "Engine",
    "EventQueue",
    "EventSource",
    "Executor",
    "FileVersion",
    "FolderStorage",
    "Format",
    "FrameInfo",
    "KeyedEngine",
    "Kind",
    "LazyEngine",
    "Lease",
    "Level",
    "Match",
    "Measurement",
    "MetricSink",
    "Observer",
    "Outcome",
    "PlannedNode",
    "Progress",
    "RunFacts",
    "RunLock",
    "RunRecord",
    "Schedule",
    "ScrapedSink",
    "Secret",
    "SecretStore",
    "Session",
    "Source",
    "Stat",
    "State",
    "Storage",
    "TableFormat",
    "TailedEngine",
    "Target",
    "Task",
    "Transform",
    "TransformContext",
    "TriggerSource",
    "Usage",
    "Work",
    "WriteMode",
    "WriteReport",
    "capabilities_of",
    "check_path",
    "files_of",
    "option",
    "payload_of",
]


def __getattr__(name: str) -> object:
    """Import a contract when it is first named: listing plugins must not pay for eleven modules."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
