"""What a component of a family may be able to do or not, and how it says so.

Beside ``capabilities``, a component may declare in a class attribute ``effects`` what it does beyond its own memory:
``("files", "network", "subprocess")``, those that hold. Both go into its plugin's manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import attrs


class Level(str, Enum):
    """How far a capability goes."""

    FULL = "full"
    PARTIAL = "partial"
    """With a limit, which the note names."""
    NONE = "none"
    UNKNOWN = "unknown"
    """It depends on what the component talks to; it is found out when it is used."""


@attrs.frozen
class Capability:
    """One capability of one component.

    Attributes:
        level: how far it goes.
        note: the limit, in words; given for ``PARTIAL``, and allowed with the others.
    """

    level: Level
    note: str = ""

    def __str__(self) -> str:
        return f"{self.level.value}: {self.note}" if self.note else self.level.value

    @property
    def is_there(self) -> bool:
        """Whether it can be relied upon, within the limit that the note names."""
        return self.level in (Level.FULL, Level.PARTIAL)


CAPABILITIES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "engine": {
        "sql": ("full", "Answers queries."),
        "chunks": ("full", "Reads and writes in chunks, with memory bound by one of them."),
        "arrow": ("full", "Hands frames over and takes them as Arrow streams."),
        "keep": (
            "full",
            "Writes frames as Arrow files that give them back just as they were, so that they can be kept.",
        ),
        "lazy": ("none", "Computes frames when somebody needs their rows (LazyEngine)."),
        "datasets": ("none", "Keeps results as objects in the storage of a cache (DatasetEngine)."),
        "bounds": ("none", "Reads the rows above and up to a value of a column (BoundedEngine)."),
        "tails": ("none", "Reads of a source that only grew what was appended, and no more (TailedEngine)."),
        "keys": ("none", "Tells the rows of a frame by their keys, so that late ones can be read once (KeyedEngine)."),
    },
    "storage": {
        "compare_and_set": ("full", "ABSENT and Match hold among all writers, wherever they are."),
        "atomic_write": ("full", "A reader sees the old object or the new one, whole."),
        "durable": ("full", "A write that returned survives a crash of the machine."),
        "shared": ("full", "Several processes see the same objects."),
        "ranged_read": ("full", "Reading a range of an opened object does not fetch the whole."),
        "streaming_write": ("full", "What is written to a created object need not fit in memory."),
        "replace_folder": ("none", "Folders can be replaced in one step."),
    },
    "format": {
        "read": ("full", "Objects can be read."),
        "write": ("full", "Objects can be written."),
        "chunks": ("full", "Reads and writes in chunks, with memory bound by one of them."),
        "columns": ("full", "Reads the columns that are asked for, and no others."),
        "merge": ("full", "Can be written to by key: append_once and upsert."),
        "version": ("none", "Knows which version of the data is there without reading any (TableFormat.version)."),
    },
    "transform": {},
    "cache": {
        "shared": ("full", "Several processes use it at once."),
        "bound": ("full", "Keeps itself below a size."),
        "datasets": ("none", "Has room for what engines write past this process (DatasetCache)."),
    },
    "checkpoint": {
        "shared": ("full", "Several processes use it at once."),
    },
    "trigger": {},
    "metric": {
        "export": ("full", "Holds what it was told, and can show it."),
    },
    "executor": {
        "parallel": ("full", "Runs several tasks at once."),
        "in_process": ("full", "Runs tasks in this process."),
    },
    "secret": {},
    "observer": {},
}
"""Family to capability to its level where a component says nothing, and to what it means.

A component says what differs in a class attribute: ``capabilities = {"replace_folder": "full", "durable": "none",
"ranged_read": "partial: 1 MB at least"}``. The kernel refuses a project that asks for what is ``none``, and the
conformance suites leave out what is ``none`` and say that they did. The methods for it are there all the same; what
they do is up to the component, as nobody calls them.
"""


def parse_capability(text: str) -> Capability:
    """A capability from the way in which components write it: ``"full"``, ``"none"``, ``"partial: up to 5 GB"``.

    Raises:
        ValueError: there is no such level, or a partial one without a note.
    """
    word, _, note = text.partition(":")
    try:
        level = Level(word.strip())
    except ValueError:
        levels = ", ".join(level.value for level in Level)
        raise ValueError(f"{text!r} begins with none of the levels {levels}") from None
    if level is Level.PARTIAL and not note.strip():
        raise ValueError("a partial capability needs a note, as in 'partial: up to 5 GB'")
    return Capability(level, note.strip())


def capabilities_of(family: str, component: type) -> dict[str, Capability]:
    """All capabilities of a component of this family, those it says nothing of included.

    Args:
        family: such as ``"storage"``.
        component: its class.

    Raises:
        ValueError: it claims one that the family does not have, or at a level that there is not.
    """
    known = CAPABILITIES[family]
    said: Mapping[str, str] = getattr(component, "capabilities", {})
    for name in said:
        if name not in known:
            raise ValueError(f"{component.__qualname__} claims {name!r}; a {family} may have: {', '.join(known)}")
    return {name: parse_capability(said.get(name, default)) for name, (default, _) in known.items()}
