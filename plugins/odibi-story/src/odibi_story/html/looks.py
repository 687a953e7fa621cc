"""How each state is marked: by a word and a shape, and by a colour that says nothing the two do not."""

from __future__ import annotations

import attrs

from odibi_story.record import INTERRUPTED, RUNNING


@attrs.frozen
class Look:
    """How a state is shown.

    Attributes:
        word: what it is called.
        mark: the id of its shape among the page's symbols, without ``i-``.
        tone: the class that gives its colours.
    """

    word: str
    mark: str
    tone: str


_LOOKS = {
    "failed": Look("failed", "cross", "bad"),
    "cancelled": Look("cancelled", "slash", "halted"),
    "skipped": Look("skipped", "dash", "quiet"),
    RUNNING: Look("running", "play", "busy"),
    "waiting": Look("waiting", "ring", "quiet"),
    INTERRUPTED: Look("interrupted", "bolt", "bad"),
    "succeeded": Look("succeeded", "tick", "good"),
    "reused": Look("reused", "loop", "kept"),
    "restored": Look("restored", "back", "kept"),
}

STATES = tuple(_LOOKS)
"""Every state that has a look, those that want attention first."""


def look(state: str) -> Look:
    """How ``state`` is shown; one that this version does not know by its own word."""
    return _LOOKS.get(state) or Look(state or "unknown", "ring", "quiet")


def rank(state: str) -> int:
    """Where ``state`` stands among :data:`STATES`; those not known come last."""
    return STATES.index(state) if state in _LOOKS else len(STATES)
