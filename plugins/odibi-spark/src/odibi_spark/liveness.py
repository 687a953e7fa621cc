"""Whether a server of Spark Connect still answers.

Its client by itself asks one that is gone for ten minutes, and waits for one that is stuck for ever.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_EVERY = 10.0
"""Seconds between two questions."""
_DEADLINE = 60.0
"""Seconds in which the server has to answer one: longer than its longest pause for garbage."""


def be_patient(spark: Any, retries: int = 9) -> None:
    """Have the client of a session ask a server that is not there for about half a minute, and no longer.

    Args:
        spark: the session.
        retries: how often; with 5 of them for three seconds.
    """
    from pyspark.sql.connect.client.retries import DefaultPolicy

    policy = DefaultPolicy(max_retries=retries, backoff_multiplier=2.0, initial_backoff=100, max_backoff=8000)
    spark.client.set_retry_policies([policy])
    # It is also raised.
    warnings.filterwarnings("ignore", r"\[RETRIES_EXCEEDED\]", UserWarning)


def be_brief(spark: Any) -> None:
    """Have the client ask no more than once, as what it says now is a farewell."""
    spark.client.set_retry_policies([])


class Pulse:
    """Asks the server something simple now and then, while there is work; hangs up when there is no answer.

    Whoever waits for the server gets an error then, instead of waiting for ever: one that has run out of memory still
    has its port open, and says nothing.

    Args:
        spark: gives the session.
    """

    def __init__(self, spark: Callable[[], Any]) -> None:
        self._spark = spark
        self._open = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._done = threading.Event()

    def begin(self) -> None:
        """There is work from now on, or more of it."""
        with self._lock:
            self._open += 1
            if self._thread is None:
                self._done = threading.Event()
                check = (self._spark(), self._done)
                self._thread = threading.Thread(target=_watch, args=check, name="odibi-spark-pulse", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """A piece of work is done."""
        with self._lock:
            self._open -= 1
            if not self._open:
                self._done.set()
                self._thread = None


def _watch(spark: Any, done: threading.Event) -> None:
    while not done.wait(_EVERY):
        if not _answers(spark):
            with suppress(Exception):
                # Not client.close(), which waits for answers.
                spark.client._channel.close()
            return


def _answers(spark: Any) -> bool:
    """Whether the server answers in time; that it cannot be reached is told to those who ask it for more."""
    from pyspark.sql.connect.proto import ConfigRequest

    client = spark.client
    request = ConfigRequest(session_id=client._session_id, client_type="odibi")
    request.user_context.user_id = client._user_id or ""
    request.operation.get_all.prefix = "spark.app."
    try:
        client._stub.Config(request, metadata=client._builder.metadata(), timeout=_DEADLINE)
    except Exception as error:  # also of a client that was closed
        code = getattr(error, "code", None)
        return getattr(code() if code is not None else None, "name", "") != "DEADLINE_EXCEEDED"
    return True
