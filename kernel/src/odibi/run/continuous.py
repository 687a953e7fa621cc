"""A pipeline that runs again and again."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from odibi.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from odibi.contracts.checkpoint import CheckpointStore
    from odibi.model import Continuous
    from odibi.run.result import RunResult

_log = logging.getLogger("odibi.run")


def iterations(
    run: Callable[[], RunResult],
    how: Continuous,
    store: CheckpointStore | None,
    stop: threading.Event,
    wait: Callable[[threading.Event, float], object] = threading.Event.wait,
) -> Iterator[RunResult]:
    """The results of one run after another; a run that fails does not end them.

    Args:
        run: runs it once.
        how: how often, and how long it waits in between.
        store: where the runs are recorded, if they are.
        stop: ends them after the run that goes on.
        wait: waits for the event, for so many seconds.
    """
    number = 0
    while not stop.is_set():
        number += 1
        result = run()
        if store is not None:
            thin_out(store, result, number, how)
        yield result
        if how.max_iterations is not None and number >= how.max_iterations:
            return
        wait(stop, how.sleep_seconds)


def thin_out(store: CheckpointStore, result: RunResult, number: int, how: Continuous) -> None:
    """Take a run that succeeded from the record, unless it is one of those that stay."""
    if result.ok and number % how.checkpoint_interval:
        try:
            store.remove(result.run_id)
        except StorageError as error:
            _log.warning("run %s stays on record: %s", result.run_id, error)
