"""At most one notice of a kind in so long, across the runs of this process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from time import monotonic

MOST = 1000
"""Kinds of notices that are remembered; the one that was sent longest ago is forgotten first."""

_lock = threading.Lock()
_sent: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()


def admit(kind: Hashable, seconds: float) -> int | None:
    """Whether a notice may be sent now.

    Args:
        kind: what counts as the same.
        seconds: how long after one the next is held back.

    Returns:
        How many were held back since the last one; ``None`` if this one is held back too.
    """
    now = monotonic()
    with _lock:
        last, held = _sent.get(kind, (None, 0))
        if last is not None and now - last < seconds:
            _sent[kind] = last, held + 1
            return None
        _sent[kind] = now, 0
        _sent.move_to_end(kind)
        while len(_sent) > MOST:
            _sent.popitem(last=False)
        return held
