"""Frames that are kept for those who will read them again, until nobody can."""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_INPUTS = "_odibi_inputs"
_LATE = 10.0
"""For so many seconds Spark may still fill what it was told to let go."""
_LOOK = 0.5


class Shelf:
    """Persists frames that are used more than once, and lets go of each when it is garbage.

    A frame is needed for as long as one that was made from it is, as that may not be computed yet: so every frame holds
    those that it was made from. When Python has dropped them all, Spark is told; by a thread of its own, as garbage is
    found at moments when nothing may be asked of Spark.

    Spark's adaptive execution fills a kept frame in a thread that a query does not wait for if another query has filled
    it meanwhile. Such a thread may come after the frame was let go, and then keeps it for good. So the stores of frames
    that were let go are emptied again for a while.
    """

    def __init__(self) -> None:
        self._kept: dict[int, weakref.finalize[Any, Any]] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._gone: SimpleQueue[Any] = SimpleQueue()
        self._cleaner: threading.Thread | None = None

    def retain(self, frame: Any, *, uses: int, inputs: Sequence[Any], level: str) -> Any:
        """The frame, to be used in place of the one given.

        Args:
            frame: what a node made.
            uses: how many will want its rows.
            inputs: what it was made from.
            level: of the engine's option ``persist``.
        """
        others = [each for each in inputs if each is not frame]
        if others:
            frame.__dict__[_INPUTS] = [*frame.__dict__.get(_INPUTS, ()), *others]
        if uses < 2 or level == "none" or _is_kept(frame):
            return frame
        kept = frame.persist(_level(level))
        if others and kept is not frame:
            kept.__dict__[_INPUTS] = others
        with self._lock:
            if self._cleaner is None:
                self._cleaner = threading.Thread(target=self._clean, name="odibi-spark-shelf", daemon=True)
                self._cleaner.start()
            key = self._count = self._count + 1
            # A second object of the same plan, which is no garbage as long as this is waited for.
            self._kept[key] = weakref.finalize(kept, self._gone.put, (key, _twin(kept)))
            self._kept[key].atexit = False
        return kept

    def clear(self) -> None:
        """Let go of all, and wait until that is done."""
        with self._lock:
            left, self._kept = list(self._kept.values()), {}
            cleaner, self._cleaner = self._cleaner, None
        for each in left:
            each()
        if cleaner is not None:
            done = threading.Event()
            self._gone.put(done)
            done.wait()

    def _clean(self) -> None:
        stores: list[tuple[float, Any]] = []
        closing = False
        while not closing or stores:
            try:
                gone = self._gone.get(timeout=_LOOK if stores else None)
            except Empty:
                stores = [each for each in stores if _emptied(*each)]
                continue
            if isinstance(gone, threading.Event):
                closing = True
                gone.set()
                continue
            key, frame = gone
            with self._lock:
                self._kept.pop(key, None)
            store = _store(frame)
            with suppress(Exception):  # the session is gone, and all that it kept
                frame.unpersist()
                if store is not None:
                    stores.append((monotonic() + _LATE, store))


def _is_kept(frame: Any) -> bool:
    level = frame.storageLevel
    return bool(level.useMemory or level.useDisk)


def _store(frame: Any) -> Any:
    """Where Spark keeps the rows of a frame, by a way that has no place in Spark's API; or None."""
    if not hasattr(frame, "_jdf"):
        return None
    try:
        found = frame.sparkSession._jsparkSession.sharedState().cacheManager().lookupCachedData(frame._jdf)
        return found.get().cachedRepresentation().cacheBuilder() if found.isDefined() else None
    except Exception:  # another version of Spark, or none any more
        return None


def _emptied(until: float, store: Any) -> bool:
    """Empty the store of a frame that nobody has any more; says whether to look again."""
    try:
        store.clearCache(False)
    except Exception:  # the session is gone, and all that it kept
        return False
    return monotonic() < until


def _twin(frame: Any) -> Any:
    """Another Python object for the same frame."""
    from pyspark.sql import DataFrame

    if hasattr(frame, "_jdf"):
        return DataFrame(frame._jdf, frame.sparkSession)
    return type(frame)(frame._plan, frame.sparkSession)


def _level(name: str) -> Any:
    from pyspark import StorageLevel

    return {
        "memory_and_disk": StorageLevel.MEMORY_AND_DISK_DESER,
        "memory": StorageLevel.MEMORY_ONLY,
        "disk": StorageLevel.DISK_ONLY,
    }[name]
