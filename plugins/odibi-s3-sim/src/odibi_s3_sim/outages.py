"""Hours in which nothing answers: for tests of what a pipeline does then."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_DARK: Counter[str] = Counter()
_LOCK = threading.Lock()


@contextmanager
def outage(label: str) -> Iterator[None]:
    """For the time of the block, no request of this process to a bucket is answered, nor does it have an effect.

    Args:
        label: of the bucket, as its ledger has it: ``storage.connection.ledger.label``.
    """
    with _LOCK:
        _DARK[label] += 1
    try:
        yield
    finally:
        with _LOCK:
            _DARK[label] -= 1


def is_dark(label: str) -> bool:
    """Whether there is an outage of that bucket."""
    return _DARK[label] > 0 if _DARK else False
