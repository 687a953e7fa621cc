"""From the events of a run to what there is to tell of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.executor import State
from odibi.errors import OdibiError
from odibi.events import NodeFinished, NodeRetried, RunFinished, RunStarted
from odibi_alerts.notice import MOST_FAILURES, Failure, Notice, as_text, clean, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi.contracts.observer import RunFacts
    from odibi.events import Event

WITHHELD = "its words are withheld, as they may quote values that are sensitive"

DEEPEST = 50
"""Causes of an error that are looked at."""

_OVER = {"succeeded": "on_success", "failed": "on_failure", "cancelled": "on_cancel"}


class RunWatch:
    """Keeps of one run what notices are made of.

    Args:
        started: how it began.
        metadata: the alert's.
        understood: keys of it that say how an alert is sent, and are not shown in it.
    """

    def __init__(self, started: RunStarted, metadata: Mapping[str, Any], understood: Sequence[str] = ()) -> None:
        facts = started.facts
        self.run_id = started.run_id
        self.began = started.monotonic
        self._facts = facts
        self._scrub: Callable[[Any], Any] = facts.scrub if facts is not None else _itself
        self._sensitive: frozenset[str] | None = None
        self._failures: list[Failure] = []
        self._failed = 0
        self._quarantined = 0
        self._about = Notice(
            event="on_start",
            project=self._line(started.project),
            pipeline=self._line(started.pipeline),
            run=self._line(started.run_id),
            at=started.wall,
            started=started.wall,
            state="running",
            duration=0.0,
            nodes=started.nodes,
            counts={},
            command=_command(facts),
            metadata=as_text(metadata, understood, self._scrub),
        )

    def begin(self) -> Notice:
        """That the run began."""
        return self._about

    def late(self, sla: float, duration: float, wall: float) -> Notice:
        """That the run takes longer than it may."""
        return attrs.evolve(self._now("on_sla", wall, duration), sla=sla)

    def take(self, event: Event) -> Notice | None:
        """What there is to tell after an event of the run."""
        duration = (event.monotonic - self.began) / 1e9
        if isinstance(event, NodeFinished):
            return self._finished(event, duration)
        if isinstance(event, NodeRetried):
            again = self._now("on_retry", event.wall, duration)
            failure = self._failure(event.node, event.error)
            return attrs.evolve(
                again, node=self._line(event.node), attempt=event.attempt, failures=(failure,), failed=1
            )
        if isinstance(event, RunFinished):
            over = _OVER.get(event.state)
            if over is not None:
                counts = {str(state): count for state, count in event.counts.items()}
                now = self._now(over, event.wall, event.duration)
                return attrs.evolve(now, state=event.state, counts=counts)
        return None

    def _finished(self, event: NodeFinished, duration: float) -> Notice | None:
        outcome = event.outcome
        if outcome.state is State.FAILED:
            self._failed += 1
            if len(self._failures) < MOST_FAILURES:
                self._failures.append(self._failure(event.node, outcome.error))
        if not outcome.quarantined:
            return None
        self._quarantined += outcome.quarantined
        aside = self._now("on_quarantine", event.wall, duration)
        return attrs.evolve(aside, node=self._line(event.node), quarantined=outcome.quarantined)

    def _now(self, event: str, wall: float, duration: float) -> Notice:
        return attrs.evolve(
            self._about,
            event=event,
            at=wall,
            duration=max(0.0, duration),
            failures=tuple(self._failures),
            failed=self._failed,
            quarantined=self._quarantined,
        )

    def _failure(self, node: str, error: BaseException | None) -> Failure:
        kind = type(error).__name__ if error is not None else "it failed"
        # The kernel withholds such words of the sensitive node itself. A message leaves the house, so what others have
        # from it counts too.
        if error is None:
            return Failure(self._line(node), kind, "")
        if node in self._sensitive_nodes() and _may_quote(error):
            return Failure(self._line(node), kind, WITHHELD)
        try:
            said = clean(self._scrub(str(error)))
        except Exception:  # an error of anybody's, which cannot even say what it is
            said = ""
        return Failure(self._line(node), kind, said.strip(), foreign=not isinstance(error, OdibiError))

    def _sensitive_nodes(self) -> frozenset[str]:
        """Those that are sensitive, and those that have their data from one."""
        if self._sensitive is None:
            found: set[str] = set()
            for node in self._facts.nodes() if self._facts is not None else ():  # in the order of the graph
                if node.sensitive or found.intersection(node.depends_on):
                    found.add(node.name)
            self._sensitive = frozenset(found)
        return self._sensitive

    def _line(self, text: str) -> str:
        return one_line(self._scrub(text))


def _may_quote(error: BaseException | None) -> bool:
    """Whether an error's words may hold values of frames: any but Odibi's own may, also where they are passed on."""
    for _ in range(DEEPEST):
        if error is None:
            return False
        if not isinstance(error, OdibiError) or getattr(error, "quotes_data", False):
            return True
        error = error.__cause__
    return True


def _command(facts: RunFacts | None) -> str:
    if facts is None or not facts.command:
        return ""
    return one_line(facts.scrub(shlex.join(facts.command)), 500)


def _itself(value: Any) -> Any:
    return value
