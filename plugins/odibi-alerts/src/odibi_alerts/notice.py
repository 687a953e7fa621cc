"""What there is to tell of a run, in words and plain values; nothing of it hangs on the run any more."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENTS = ("on_start", "on_success", "on_failure", "on_cancel", "on_retry", "on_sla", "on_quarantine")
"""What an alert may be sent for. The first three are Odibi 2's."""

LONGEST = 1000
"""Characters of an error's words, or of anything else that a run brings along."""

MOST_FAILURES = 10
"""Failed nodes that are told with their errors; the others are counted."""

_TURNED = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: object, longest: int = LONGEST) -> str:
    """Text that any service takes: no control characters, nothing that turns its direction, not too long."""
    words = str(text)[: 4 * longest].encode("utf-8", "replace").decode("utf-8")
    words = "".join(
        char if char == "\n" else " " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char
        for char in words
        if char not in _TURNED
    )
    return words if len(words) <= longest else f"{words[: longest - 3]}..."


def one_line(text: object, longest: int = 200) -> str:
    """Such text on one line."""
    return " ".join(clean(text, longest).split())


def took(seconds: float) -> str:
    """A duration for people: ``4.2 s``, ``3 min 5 s``, ``2 h 1 min``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@attrs.frozen
class Failure:
    """A node that failed.

    Attributes:
        node: its name.
        kind: the name of the error's class.
        words: the error's words, scrubbed.
        foreign: whether it is none of Odibi's, whose words say little without the name of their class.
    """

    node: str
    kind: str
    words: str
    foreign: bool = False

    @property
    def line(self) -> str:
        """What happened, in words."""
        if not self.words:
            return self.kind
        return f"{self.kind}: {self.words}" if self.foreign else self.words


@attrs.frozen
class Notice:
    """One thing to tell of a run. All text in it is scrubbed.

    Attributes:
        event: one of :data:`EVENTS`.
        project, pipeline, run: which run.
        at: when it happened, in seconds since the epoch.
        started: when the run began, likewise.
        state: of the run: ``running`` until it is over.
        duration: of the run so far, in seconds.
        nodes: how many the plan holds.
        counts: how many nodes had each outcome, where the run is over.
        failures: of nodes, the first :data:`MOST_FAILURES`.
        failed: how many nodes failed.
        node: which it is about, for ``on_retry`` and ``on_quarantine``.
        attempt: the one that failed, for ``on_retry``.
        quarantined: rows set aside: of the node for ``on_quarantine``, else of the run so far.
        sla: seconds after which it is late, for ``on_sla``.
        command: what runs the same again; empty where no command does.
        metadata: the alert's own, as text.
        held_back: notices of the same kind that were not sent, as the last one was sent so shortly before.
    """

    event: str
    project: str
    pipeline: str
    run: str
    at: float
    started: float
    state: str
    duration: float
    nodes: int
    counts: Mapping[str, int]
    failures: Sequence[Failure] = ()
    failed: int = 0
    node: str = ""
    attempt: int = 0
    quarantined: int = 0
    sla: float = 0.0
    command: str = ""
    metadata: Mapping[str, str] = attrs.field(factory=dict)
    held_back: int = 0

    @property
    def urgent(self) -> bool:
        """Whether something is wrong."""
        return self.event in ("on_failure", "on_sla")

    @property
    def title(self) -> str:
        """What happened, on one line."""
        return one_line(f"{self.pipeline} of {self.project} {self._happened()}", 150)

    def _happened(self) -> str:
        match self.event:
            case "on_start":
                return "started"
            case "on_success":
                return f"succeeded after {took(self.duration)}"
            case "on_failure":
                return f"failed after {took(self.duration)}"
            case "on_cancel":
                return f"was cancelled after {took(self.duration)}"
            case "on_sla":
                return f"takes longer than {took(self.sla)}"
            case "on_retry":
                return f"tries {self.node} again"
        return f"has set {self.quarantined} rows of {self.node} aside"

    @property
    def counted(self) -> str:
        """The outcomes of the nodes in words."""
        found = ", ".join(f"{count} {state}" for state, count in self.counts.items() if count)
        return found or str(self.nodes)

    @property
    def errors(self) -> str:
        """The errors of the nodes, a line or more each."""
        lines = [f"{each.node}: {each.line}" for each in self.failures]
        if self.failed > len(self.failures):
            lines.append(f"and {self.failed - len(self.failures)} more")
        return "\n".join(lines)

    def facts(self) -> list[tuple[str, str]]:
        """What a reader may want to know, as pairs of a label and a text."""
        found = [
            ("Project", self.project),
            ("Pipeline", self.pipeline),
            ("Run", self.run),
            ("Started", moment(self.started)),
            ("State", self.state),
            ("Nodes", self.counted),
            ("Node", self.node),
            ("Attempt", str(self.attempt or "")),
            ("Rows set aside", str(self.quarantined or "")),
            ("Held back", str(self.held_back or "")),
            ("Again", self.command),
        ]
        return [(label, text) for label, text in found if text] + list(self.metadata.items())

    def texts(self) -> dict[str, str]:
        """The fields of a template, by their names."""
        return {
            "event": self.event,
            "title": self.title,
            "project": self.project,
            "pipeline": self.pipeline,
            "run": self.run,
            "state": self.state,
            "started": moment(self.started),
            "duration": took(self.duration),
            "nodes": str(self.nodes),
            "counts": self.counted,
            "failed": ", ".join(each.node for each in self.failures),
            "error": self.errors,
            "node": self.node,
            "attempt": str(self.attempt or ""),
            "quarantined": str(self.quarantined),
            "sla": took(self.sla) if self.sla else "",
            "held_back": str(self.held_back),
            "command": self.command,
        }

    def data(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {
            "event": self.event,
            "title": self.title,
            "at": moment(self.at),
            "project": self.project,
            "pipeline": self.pipeline,
            "run": self.run,
            "state": self.state,
            "started": moment(self.started),
            "duration": round(self.duration, 3),
            "nodes": self.nodes,
            "counts": dict(self.counts),
            "failed": self.failed,
            "failures": [{"node": each.node, "error": each.kind, "message": each.words} for each in self.failures],
            "node": self.node or None,
            "attempt": self.attempt or None,
            "quarantined": self.quarantined,
            "sla": self.sla or None,
            "command": self.command or None,
            "metadata": dict(self.metadata),
            "held_back": self.held_back,
        }


def moment(wall: float) -> str:
    """Seconds since the epoch as ISO 8601, in UTC."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds")


FIELDS = tuple(sorted(Notice("", "", "", "", 0.0, 0.0, "", 0.0, 0, {}).texts()))
"""The fields that a template may name."""


def as_text(metadata: Mapping[str, Any], known: Sequence[str], scrub: Any) -> dict[str, str]:
    """An alert's metadata for people: without what the alert itself goes by."""
    shown = [(key, value) for key, value in metadata.items() if key not in known]
    return {one_line(key, 50): one_line(scrub(str(value))) for key, value in shown[:10]}
