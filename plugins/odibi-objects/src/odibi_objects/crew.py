"""Threads for calls that need many requests: a round trip to a storage far away costs more than anything else here."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

A = TypeVar("A")
B = TypeVar("B")


class Crew:
    """Does many things at once, at most ``size``; starts its threads when it first has to."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def map(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """The results in order, lazily: no more is begun ahead than there are threads.

        Raises:
            Exception: what ``work`` raised first, in this order.
        """
        rest = iter(items)
        head = list(islice(rest, 2))
        if len(head) < 2 or self._size == 1:
            for item in chain(head, rest):
                yield work(item)
            return
        ahead: deque[Future[B]] = deque()
        try:
            for item in chain(head, rest):
                ahead.append(self._start(work, item))
                if len(ahead) >= self._size:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    def do(self, work: Callable[[A], object], items: Iterable[A]) -> None:
        """As :meth:`map`, for what gives nothing back."""
        deque(self.map(work, items), maxlen=0)

    def close(self) -> None:
        """Let the threads go; they come back if there is more to do."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def _start(self, work: Callable[[A], B], item: A) -> Future[B]:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._size, thread_name_prefix="odibi-objects")
            return self._pool.submit(work, item)
