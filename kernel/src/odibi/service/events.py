"""Events that wait to be consumed: what a trigger was fired with, in the order in which it was taken.

All of it are offsets in the checkpoint store:

``!event/TRIGGER/NUMBER``
    An event, until each stream of the trigger has consumed it. Numbers have 16 digits, so that names sort as they do.
``!event/TRIGGER!last``
    The number of the last one. It moves in one transaction with the event, under a lock: so numbers have no gap and
    no event ever gets a smaller one than any that a stream may have consumed, whatever clocks show.
``!event/TRIGGER!first``
    The number of the first one that is still there.
``!event/TRIGGER!key/DIGEST``
    The number of the event that was put with a key, while its slot is its own.
``!event/TRIGGER!slot/NUMBER``
    The digest of the key of the last event whose number has this remainder; so keys are forgotten in the order in
    which they came, and a put costs the same however many there are.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

from odibi.errors import Conflict, DataError, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.contracts.checkpoint import CheckpointStore, RunLock

EVENTS = "!event/"
"""What the names begin with under which events are kept."""

REMEMBERED = 1000
"""Among so many events, the last ones, a key is known again."""

LONGEST_KEY = 255
"""Characters of a key."""

DEEPEST = 64
"""Levels of lists and objects in a payload: stores and runs walk through it level by level."""

LOOK = 0.5
"""Seconds between looks for what other processes have put."""

PATIENCE = 10.0
"""Seconds to wait for others who put events for the same trigger; each of them takes milliseconds."""

_STOP = 0.25
"""Seconds after which one who waits sees that it is to stop."""

_AT_ONCE = 200
"""So many events are removed in one transaction."""


class Bell:
    """Tells those who wait for the events of a trigger that one was put, within this process."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        """Held by the thread that puts one: others would ask the store for its lock over and over."""
        self._rung = threading.Condition()
        self._count = 0

    def ring(self) -> None:
        """An event was put."""
        with self._rung:
            self._count += 1
            self._rung.notify_all()

    @property
    def count(self) -> int:
        """How often it rang."""
        return self._count

    def wait(self, count: int, seconds: float) -> bool:
        """Wait until it has rung more than ``count`` times; whether it has."""
        with self._rung:
            return self._rung.wait_for(lambda: self._count != count, seconds)


class StoreQueue:
    """The events of a trigger, as one who consumes or puts them sees them.

    Args:
        store: where they are kept.
        trigger: its name.
        bell: shared by those in this process who are to know of each other's events at once.
    """

    def __init__(self, store: CheckpointStore, trigger: str, bell: Bell | None = None) -> None:
        self._store = store
        self._trigger = trigger
        self._name = f"{EVENTS}{trigger}"
        self._bell = bell or Bell()
        self._heard = -1
        self._seen = 0

    def after(self, offset: int | None, limit: int) -> list[tuple[int, Any]]:
        """Events behind an offset, in order; see :class:`~odibi.contracts.trigger.EventQueue`.

        Raises:
            DataError: the offset is none of this queue's.
        """
        if offset is not None and (not isinstance(offset, int) or isinstance(offset, bool)):
            raise DataError(
                f"the stream stands at {offset!r}, which is not the number of an event",
                where=f"trigger '{self._trigger}'",
                remedy="Stop the service, and give it one with: odibi streams reset STREAM --to NUMBER",
            )
        self._heard = self._bell.count  # before looking: what rings from now on may not be seen
        self._seen = last = self.last()
        if last <= (offset or 0):
            return []
        begin = self.first() if offset is None else max(self.first(), offset + 1)
        return list(self._between(begin, min(last, begin + limit - 1)))

    def _between(self, first: int, last: int) -> Iterator[tuple[int, Any]]:
        for number in range(first, last + 1):
            found = self._store.offset(self._event(number))
            if found is not None:  # all streams have consumed it since
                yield number, found["payload"]

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return when something may have come, ``stop`` is set, or the time has passed."""
        until = time.monotonic() + seconds
        look = time.monotonic() + LOOK
        while not stop.is_set():
            now = time.monotonic()
            if now >= until or self._bell.wait(self._heard, max(0.0, min(_STOP, until - now, look - now))):
                return
            if time.monotonic() >= look:
                if self.last() != self._seen:
                    return
                look = time.monotonic() + LOOK

    def first(self) -> int:
        """The number of the first event that is still there, or of the next one if there is none."""
        return int(self._store.offset(f"{self._name}!first") or 1)

    def last(self) -> int:
        """The number of the last event; 0 if there was none ever."""
        return int(self._store.offset(f"{self._name}!last") or 0)

    def put(self, payload: Any, key: str | None = None, *, max_bytes: int | None = None) -> int:
        """Add an event; it is durable when this returns.

        Args:
            payload: JSON values.
            key: of an event that may be put more than once, by one who does not know whether it was. While it is among
                the last :data:`REMEMBERED` events, nothing is added for the same key.
            max_bytes: of the payload as JSON.

        Returns:
            Its number; for a key that is known, that of the first.

        Raises:
            DataError: the payload is no JSON, too large or too deep, or the key too long.
            Transient: others kept the trigger's lock for too long.
            StorageError: the store fails; whether the event is there is not known then.
        """
        value = {"payload": _plain(payload, max_bytes, f"trigger '{self._trigger}'")}
        digest = None if key is None else self._digest(key)
        with self._bell.turn:
            try:
                lock = self._store.lock(self._name, wait=PATIENCE)
            except Conflict as error:
                raise Transient(
                    f"others are putting events: {error.what}", where=f"trigger '{self._trigger}'",
                    remedy="Send it again, with the same key.") from error  # fmt: skip
            try:
                number, new = self._add(value, digest, lock)
            finally:
                lock.release()
        if new:
            self._bell.ring()
        return number

    def _add(self, value: dict[str, Any], digest: str | None, lock: RunLock) -> tuple[int, bool]:
        if digest is not None:
            known = self._store.offset(self._key(digest))
            if known is not None:
                return int(known), False
        number = self.last() + 1
        slot = f"{self._name}!slot/{number % REMEMBERED:04}"
        oldest = self._store.offset(slot)
        moved: dict[str, Any] = {self._event(number): value, f"{self._name}!last": number}
        if oldest is not None or digest is not None:
            moved[slot] = digest
        if oldest is not None:
            moved[self._key(oldest)] = None
        if digest is not None:
            moved[self._key(digest)] = number
        try:
            self._store.move(moved, lock=lock)
        except Conflict as error:
            raise Transient(
                f"the right to put events was lost: {error.what}", where=f"trigger '{self._trigger}'",
                remedy="Send it again, with the same key.") from error  # fmt: skip
        return number, True

    def forget(self, upto: int, lock: RunLock | None = None) -> None:
        """Remove events that each stream has consumed.

        Args:
            upto: the number of the last of them.
            lock: the right to serve the project, which one needs who knows all of its streams.

        Raises:
            Conflict: the lock was lost.
        """
        first, upto = self.first(), min(upto, self.last())
        while first <= upto:
            behind = min(first + _AT_ONCE, upto + 1)
            gone: dict[str, Any] = {self._event(number): None for number in range(first, behind)}
            self._store.move({**gone, f"{self._name}!first": behind}, lock=lock)
            first = behind

    def _event(self, number: int) -> str:
        return f"{self._name}/{number:016}"

    def _key(self, digest: str) -> str:
        return f"{self._name}!key/{digest}"

    def _digest(self, key: str) -> str:
        if not 0 < len(key) <= LONGEST_KEY:
            raise DataError(
                f"the key has {len(key)} characters",
                where=f"trigger '{self._trigger}'",
                remedy=f"Give 1 to {LONGEST_KEY}.",
            )
        return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(payload: Any, max_bytes: int | None, where: str) -> Any:
    """The payload as JSON gives it back."""
    try:
        text = json.dumps(payload, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"the payload is no JSON: {error}",
            where=where,
            remedy="Give objects, lists, texts, finite numbers, true, false and null alone.",
        ) from None
    size = len(text.encode("utf-8", "surrogatepass"))
    if max_bytes is not None and size > max_bytes:
        raise DataError(
            f"the payload has {size} bytes, and {max_bytes} are allowed",
            where=where,
            remedy="Put the data where the pipeline can read it, and say in the event where that is; or raise "
            "'max_bytes'.",
        )
    found = json.loads(text)
    if _deeper(found, DEEPEST):
        raise DataError(
            f"the payload has more than {DEEPEST} levels", where=where, remedy="Give one that is less nested."
        )
    return found


def _deeper(value: Any, levels: int) -> bool:
    """Whether there are more levels in a JSON value."""
    level = [value]
    for _ in range(levels + 1):
        inner = [each for each in level if isinstance(each, dict | list)]
        if not inner:
            return False
        level = [item for each in inner for item in (each.values() if isinstance(each, dict) else each)]
    return True
