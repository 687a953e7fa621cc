"""A source that is listened to: one thread, one batch at a time."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from odibi.errors import OdibiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi.contracts.trigger import Batch, TriggerSource
    from odibi.service.streams import Stream

_log = logging.getLogger("odibi.service")

_LOOK = 0.5
"""Seconds between looks whether to stop, while the batch in flight is dealt with."""

_FIRST, _LONGEST = 1.0, 60.0
"""Seconds to wait after a source failed, and after it failed again and again."""


class Watch:
    """Takes batches from a source and hands each over, once the one before it is dealt with.

    Args:
        stream: whose batches.
        settled: set while no batch of the stream is in flight; listening begins with that.
        open_source: builds the source.
        deal: deals with a batch, and returns when the stream stands behind it; false if that will not come to be.
        scrub: takes secrets out of what is logged.
    """

    def __init__(
        self,
        stream: Stream,
        settled: threading.Event,
        open_source: Callable[[], TriggerSource],
        deal: Callable[[Batch], bool],
        scrub: Callable[[str], str],
    ) -> None:
        self._stream = stream
        self._settled = settled
        self._open = open_source
        self._deal = deal
        self._scrub = scrub
        self._stop = threading.Event()
        self.error = ""
        """Why it does not listen at the moment."""
        self._source: TriggerSource | None = None
        self._thread = threading.Thread(target=self._listen, name=f"odibi-watch-{stream.name}", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; the thread ends by itself."""
        self._stop.set()

    @property
    def at_rest(self) -> bool:
        """Whether its source has looked and has nothing more to give, or cannot look."""
        source = self._source
        return bool(self.error) or (source is not None and bool(getattr(source, "at_rest", True)))

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread's end; whether it came."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        pause = _FIRST
        while not self._stop.is_set():
            if not self._settled.wait(_LOOK):
                continue
            try:
                source = self._source = self._open()
                try:
                    for batch in source.poll(self._stream.offset(), self._stop):
                        self.error, pause = "", _FIRST
                        if self._stop.is_set() or not self._deal(batch):
                            return
                finally:
                    self._source = None
                    source.close()
            except OdibiError as error:
                self.error = self._scrub(str(error))
                _log.warning("%s: %s; listening again in %g s", self._stream.name, self.error, pause)
            except Exception as error:
                self.error = self._scrub(f"{type(error).__name__}: {error}")
                _log.exception("%s: the source failed; listening again in %g s", self._stream.name, pause)
            else:
                if not self._stop.is_set():
                    self.error = "the source has ended"
            self._stop.wait(pause)
            pause = min(2 * pause, _LONGEST)
