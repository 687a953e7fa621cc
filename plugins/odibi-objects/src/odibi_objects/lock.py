"""The lock of a pipeline: a lease that a thread renews for as long as its process lives."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from odibi.errors import StorageError

if TYPE_CHECKING:
    from odibi_objects.clock import Clock, Stamps
    from odibi_objects.leases import Claim, Leases

_log = logging.getLogger("odibi.checkpoint")

_MARGIN = 0.2
"""The part of a lease at its end during which the lock does not count as held any more: whoever asked may need a
moment for what it asked for."""


class StorageLock:
    """The right to run one pipeline; see :class:`odibi.contracts.RunLock`.

    It is renewed in time unless the storage cannot be reached; it counts as lost before anybody else may take it.

    Args:
        pipeline: its name.
        path: of the lease object.
        claim: what was taken.
        leases: renews it.
        clock, stamps: of the store.
    """

    def __init__(self, pipeline: str, path: str, claim: Claim, *, leases: Leases, clock: Clock, stamps: Stamps) -> None:
        self.pipeline = pipeline
        self.token = claim.token
        self._path = path
        self._claim = claim
        self._leases = leases
        self._clock = clock
        self._stamps = stamps
        self._over = threading.Event()
        self._renewing = threading.Lock()
        self._told = False
        self._given_back = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._beat, name=f"odibi-lock-{claim.token}", daemon=True)
        self._thread.start()

    def held(self) -> bool:
        """Whether it is still ours; never so in a child that was forked. Costs no request.

        The monotonic clock of this machine tells: whoever else may take it has to let the whole lease pass first.
        """
        if self._over.is_set() or self._pid != os.getpid():
            return False
        claim = self._claim
        return self._clock.monotonic() < claim.ticks + claim.ttl * (1 - _MARGIN)

    def renew(self) -> bool:
        """Make it last anew; whether it is ours.

        Raises:
            StorageError: the storage cannot be reached.
        """
        with self._renewing:
            if self._over.is_set():
                return False
            claim = self._leases.renew(self._path, self.token, stamp=self._stamps.last)
            if claim is None:
                self._over.set()
                _log.warning("another process took over the lock of pipeline %r", self.pipeline)
                return False
            self._claim = claim
            return True

    def release(self) -> None:
        """Give it back; may be called twice. Should the storage not be reached, it ends by itself, with its lease."""
        with self._renewing:
            if self._given_back or self._pid != os.getpid():
                return
            self._over.set()
            try:
                self._leases.release(self._path, self.token, stamp=self._stamps.last)
                self._given_back = True
            except StorageError as error:
                _log.warning(
                    "the lock of pipeline %r could not be given back, and ends in %g s: %s",
                    self.pipeline,
                    self._claim.ttl,
                    error,
                )

    def _beat(self) -> None:
        pause = self._claim.ttl / 3
        while not self._over.wait(pause):
            pause = self._claim.ttl / 3
            try:
                self.renew()
            except StorageError as error:
                pause = self._claim.ttl / 10
                if not self._told:
                    self._told = True
                    _log.warning("the lock of pipeline %r could not be renewed yet: %s", self.pipeline, error)
