"""Frames that are kept, and let go of."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

from odibi_spark.shelf import Shelf

_LIMIT = 60.0


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold; what is let go is let go by a thread of its own."""
    deadline = time.monotonic() + _LIMIT
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kept(spark: Any) -> set[int]:
    return set(spark.sparkContext._jsc.getPersistentRDDs())


def store_of(frame: Any) -> Any:
    """Where Spark has the rows of a kept frame."""
    manager = frame.sparkSession._jsparkSession.sharedState().cacheManager()
    return manager.lookupCachedData(frame._jdf).get().cachedRepresentation().cacheBuilder()


def test_a_frame_is_kept_until_it_is_garbage(spark: Any) -> None:
    shelf, before = Shelf(), kept(spark)
    frame = shelf.retain(spark.range(0, 77, 1, 2), uses=2, inputs=(), level="memory")
    assert frame.count() == 77
    assert len(kept(spark) - before) == 1
    del frame
    gc.collect()
    assert eventually(lambda: kept(spark) == before)
    shelf.clear()


def test_what_spark_fills_after_it_was_let_go_is_emptied_again(spark: Any) -> None:
    shelf, before = Shelf(), kept(spark)
    frame = shelf.retain(spark.range(0, 78, 1, 2), uses=2, inputs=(), level="memory")
    frame.count()
    store = store_of(frame)
    del frame
    gc.collect()
    assert eventually(lambda: kept(spark) == before)
    store.cachedColumnBuffers()  # what a stage of adaptive execution does that comes late
    assert kept(spark) != before
    assert eventually(lambda: kept(spark) == before)
    shelf.clear()


def test_so_it_is_after_the_end(spark: Any) -> None:
    shelf, before = Shelf(), kept(spark)
    frame = shelf.retain(spark.range(0, 79, 1, 2), uses=2, inputs=(), level="memory")
    frame.count()
    store = store_of(frame)
    shelf.clear()
    assert kept(spark) == before
    store.cachedColumnBuffers()
    assert kept(spark) != before
    assert eventually(lambda: kept(spark) == before)


def test_the_thread_ends(spark: Any) -> None:
    shelf = Shelf()
    before = {each.ident for each in threading.enumerate()}
    frame = shelf.retain(spark.range(0, 80, 1, 2), uses=2, inputs=(), level="memory")
    [thread] = [each for each in threading.enumerate() if each.ident not in before and "shelf" in each.name]
    shelf.clear()
    thread.join(_LIMIT)
    assert not thread.is_alive()
    assert not frame.storageLevel.useMemory
