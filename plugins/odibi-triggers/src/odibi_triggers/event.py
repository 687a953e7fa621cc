"""``event``: runs for what is sent, by hand, from Python, or signed over HTTP."""

from __future__ import annotations

import json
import threading
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs

from odibi import Secret, option
from odibi.contracts import amounts
from odibi.contracts.trigger import Batch, EventQueue
from odibi.errors import AccessDenied, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from threading import Event

MOST_BYTES = 16 * 1024 * 1024
"""What ``max_bytes`` may be at most: checkpoint stores are not made for large values, and a request is read whole."""

LONGEST_WAIT = 1.0
"""Seconds after which the queue is asked again, whether it told of something or not."""


def _secret(value: Secret | str | None) -> Secret | None:
    if value is None:
        return None
    found = value if isinstance(value, Secret) else Secret(value)
    if not found:
        raise ValueError("secret: it is empty, so that anybody could sign; give one, or leave it out")
    return found


def _bytes(given: int | str) -> int:
    found = amounts.size(given)
    if found > MOST_BYTES:
        raise ValueError(f"max_bytes: {given!r} is more than 16MiB; put the data elsewhere and say in the event where")
    return found


def _positive(_: object, field: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise ValueError(f"{field.name}: {value} is too few; give 1 or more")


@attrs.define(eq=False)
class EventTrigger:
    """Batches of events that were fired: with ``odibi fire``, from Python, or over HTTP.

    The payload of a batch is that of the event; where a batch may have several, ``{"events": [...]}`` of them.
    """

    secret: Secret | None = option(  # noqa: RUF009 - what it makes is a field
        None,
        help="Signs events that are sent over HTTP; without one, none is taken there.",
        secret=True,
        converter=_secret,
    )
    signature: Literal["odibi", "github", "none"] = option(
        "odibi",
        help="How events over HTTP are signed: by X-Odibi-Signature, as GitHub does, or not at all, so that none is "
        "taken.",
        validator=attrs.validators.in_(("odibi", "github", "none")),
    )
    tolerance: float | str = option(
        300.0,
        help="For 'odibi': by how long the time of a signature may differ from ours; seconds, or with a unit.",
        converter=amounts.duration,
    )
    max_bytes: int | str = option(
        1024 * 1024,
        help="The largest payload, as JSON; bytes, or with a unit.",
        converter=_bytes,
    )
    max_events: int = option(1, help="How many events a batch has at most.", validator=_positive)

    _queue: EventQueue | None = attrs.field(default=None, init=False, repr=False)
    _closed: threading.Event = attrs.field(factory=threading.Event, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.signature == "none" and self.secret is not None:
            raise ValueError("signature: a secret signs nothing with 'none'; leave out one of them")

    @property
    def signed(self) -> bool:
        """Whether it can tell who sends an event over HTTP."""
        return self.secret is not None

    def attach(self, queue: EventQueue) -> None:
        """Take events from this queue."""
        self._queue = queue

    def accept(self, body: bytes, headers: Mapping[str, str]) -> Any:
        """The payload that a signed request brings.

        Args:
            body: of the request.
            headers: likewise; their names in lower case.

        Raises:
            AccessDenied: there is no secret; or the signature is missing, wrong, or too old.
            DataError: the body is larger than ``max_bytes``, or no JSON.
        """
        from odibi_triggers.signatures import check_github, check_odibi

        if self.secret is None:
            raise AccessDenied(
                "no event is taken over HTTP, as there is nothing to check who sends it",
                remedy="Give the trigger a 'secret'.",
            )
        size, most = len(body), cast(int, self.max_bytes)
        if size > most:
            raise DataError(f"the event has {size} bytes, and {most} are allowed", remedy="Raise 'max_bytes'.")
        if self.signature == "github":
            check_github(self.secret, body, headers)
        else:
            check_odibi(self.secret, body, headers, cast(float, self.tolerance))
        try:
            return json.loads(body.decode("utf-8"), parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise DataError(f"the event is no JSON: {error}", remedy="Send one JSON value, in UTF-8.") from None

    def poll(self, offset: Any | None, stop: Event) -> Iterator[Batch]:
        """Batches of the events behind ``offset``, which is the number of one.

        Raises:
            DataError: the offset is no number of an event.
            StorageError: the queue cannot be read.
        """
        queue = self._queue
        if queue is None:
            raise RuntimeError("nobody has attached a queue")
        while not stop.is_set() and not self._closed.is_set():
            found = queue.after(offset, self.max_events)
            if not found:
                queue.wait(LONGEST_WAIT, stop)
                continue
            offset = found[-1][0]
            payloads = [payload for _, payload in found]
            payload = payloads[0] if self.max_events == 1 else {"events": payloads}
            yield Batch(_id_of(found), offset, payload)

    def close(self) -> None:
        """A poll that goes on comes to its end."""
        self._closed.set()


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is none of its values")


def _id_of(events: Any) -> str:
    """The id of a batch: the number of its last event, and a digest of all of it."""
    told = json.dumps([list(event) for event in events], separators=(",", ":"))
    return f"{events[-1][0]}-{blake2b(told.encode('ascii'), digest_size=8).hexdigest()}"
