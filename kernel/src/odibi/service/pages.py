"""What the service answers to requests; of how they come and go, :mod:`odibi.service.http` knows."""

from __future__ import annotations

import json
import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs

from odibi.errors import AccessDenied, Conflict, DataError, NotFound, OdibiError
from odibi.service.exposition import CONTENT_TYPE, exposition

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

    from odibi.service.firing import Entrance
    from odibi.service.service import Service, StreamStatus

_log = logging.getLogger("odibi.service")

_LEVERS = re.compile(r"/streams/(?P<name>.+)/(?P<action>pause|resume|fire)")

_EVENTS = re.compile(r"/events/(?:(?P<project>[^/]+)/)?(?P<trigger>[^/]+)")


@attrs.frozen
class Answer:
    """What is sent back.

    Attributes:
        status: of HTTP.
        body: the bytes.
        content_type: what they are.
        headers: further ones.
    """

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def says(status: HTTPStatus, data: Any, *headers: tuple[str, str]) -> Answer:
    """JSON values as an answer."""
    return Answer(status, json.dumps(data).encode() + b"\n", headers=headers)


def refuses(status: HTTPStatus, what: str, remedy: str = "", *headers: tuple[str, str]) -> Answer:
    """What is wrong as an answer, and what to do about it."""
    return says(status, {"error": what, "remedy": remedy}, *headers)


def page(service: Service, command: str, path: str, *, meant: bool) -> Answer:
    """The answer to a request.

    Args:
        service: is asked.
        command: the request's method.
        path: without the query.
        meant: whether whoever asks has said that a lever is to be pulled. A page in a browser can send a POST to any
            address, but not with a header of its own.
    """
    asked = _PAGES.get(path)
    if asked is not None:
        return asked(service) if command in ("GET", "HEAD") else _not_allowed("GET, HEAD")
    lever = _LEVERS.fullmatch(path)
    if lever is None:
        return refuses(HTTPStatus.NOT_FOUND, "there is no such page", f"There are: {', '.join(_PAGES)}.")
    if command != "POST":
        return _not_allowed("POST")
    if not meant:
        return refuses(
            HTTPStatus.FORBIDDEN, "this could be a page in somebody's browser", "Send the header 'X-Odibi: 1'."
        )
    try:
        name = unquote(lever["name"], errors="strict")
    except UnicodeDecodeError:
        return refuses(HTTPStatus.BAD_REQUEST, "the stream's name is not UTF-8", "Encode it as a URL.")
    return _pulled(service, name, lever["action"])


def _not_allowed(methods: str) -> Answer:
    return refuses(HTTPStatus.METHOD_NOT_ALLOWED, "not with this method", f"Use {methods}.", ("Allow", methods))


def _health(service: Service) -> Answer:
    if service.alive:
        return says(HTTPStatus.OK, {"status": "alive"})
    return refuses(HTTPStatus.SERVICE_UNAVAILABLE, "the service does not run", "Start it again.")


def _ready(service: Service) -> Answer:
    if service.stopping or not service.alive:
        return refuses(HTTPStatus.SERVICE_UNAVAILABLE, "the service is stopping, or does not run", "Start it again.")
    if not service.leading:
        return _standing_by()
    return says(HTTPStatus.OK, {"status": "leading"})


def _standing_by() -> Answer:
    return refuses(
        HTTPStatus.SERVICE_UNAVAILABLE, "this service stands by for another one", "Ask the one that serves the project."
    )


def _streams(service: Service) -> Answer:
    return says(HTTPStatus.OK, {"streams": [_told(service, status) for status in service.status()]})


def _told(service: Service, status: StreamStatus) -> dict[str, Any]:
    """How a stream is doing, without what a store or a source may have said of their credentials."""
    return {**attrs.asdict(status), "error": service.scrub(status.error)}


def _metrics(service: Service) -> Answer:
    return Answer(HTTPStatus.OK, exposition(service).encode("utf-8", "replace"), CONTENT_TYPE)


_PAGES: dict[str, Callable[[Service], Answer]] = {
    "/health": _health,
    "/ready": _ready,
    "/streams": _streams,
    "/metrics": _metrics,
}


def _pulled(service: Service, name: str, action: str) -> Answer:
    """Do something to a stream; says how it is doing then."""
    if service.stopping:
        return refuses(HTTPStatus.SERVICE_UNAVAILABLE, "the service is stopping", "Start it again.")
    try:
        found = service.fire(name) if action == "fire" else service.pause(name, paused=action == "pause")
    except KeyError:
        if not service.leading:
            return _standing_by()
        return refuses(HTTPStatus.NOT_FOUND, f"there is no stream '{name}'", "GET /streams lists them.")
    except Conflict as error:
        return refuses(HTTPStatus.CONFLICT, service.scrub(error.what), service.scrub(error.remedy))
    except OdibiError as error:  # the store, as a rule
        status = HTTPStatus.SERVICE_UNAVAILABLE if error.retryable else HTTPStatus.INTERNAL_SERVER_ERROR
        return refuses(status, service.scrub(error.what), service.scrub(error.remedy))
    _log.info("%s: %s, over HTTP", name, action)
    return says(HTTPStatus.ACCEPTED if action == "fire" else HTTPStatus.OK, _told(service, found))


def takes_event(path: str) -> bool:
    """Whether this is where events are sent to."""
    return _EVENTS.fullmatch(path) is not None


def entrance(service: Service, command: str, path: str, headers: Message) -> Entrance | Answer:
    """Where an event goes that is sent, or why none of it is read. It is asked for no token: its signature counts.

    Args:
        service: is asked.
        command: the request's method.
        path: without the query; see :func:`takes_event`.
        headers: the request's.
    """
    found = _EVENTS.fullmatch(path)
    if found is None or command != "POST":
        return _not_allowed("POST")
    if service.stopping:
        return refuses(HTTPStatus.SERVICE_UNAVAILABLE, "the service is stopping", "Send it again, with the same key.")
    try:
        trigger, project = (None if it is None else unquote(it, errors="strict") for it in found.group(2, 1))
        assert trigger is not None
        there = service.entrance(trigger, project)
    except UnicodeDecodeError:
        return refuses(HTTPStatus.BAD_REQUEST, "the trigger's name is not UTF-8", "Encode it as a URL.")
    except (KeyError, NotFound):
        return refuses(HTTPStatus.NOT_FOUND, "there is no such trigger of events", "See 'triggers' in the project.")
    except Conflict as error:
        return refuses(HTTPStatus.CONFLICT, error.what, error.remedy)
    except OdibiError as error:
        _log.warning("an event was sent that cannot be taken: %s", service.scrub(str(error)))
        status = HTTPStatus.SERVICE_UNAVAILABLE if error.retryable else HTTPStatus.INTERNAL_SERVER_ERROR
        return refuses(status, "the trigger cannot be built at present", "See the log of the service.")
    if not there.source.signed:
        return refuses(
            HTTPStatus.FORBIDDEN,
            "this trigger takes no events over HTTP, as it cannot tell who sends them",
            "Give it a 'secret' in the project file, and sign what is sent.",
        )
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return refuses(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "an event is JSON", "Send the header 'Content-Type: application/json'."
        )
    if len(headers.get_all("Idempotency-Key", [])) > 1:
        return refuses(HTTPStatus.BAD_REQUEST, "there are several keys", "Send one 'Idempotency-Key', or none.")
    return there


def taken(service: Service, there: Entrance, body: bytes, headers: Message) -> Answer:
    """Check an event and keep it; what is answered once that is done.

    Args:
        service: knows what must not be said.
        there: where it goes.
        body: the request's.
        headers: likewise.
    """
    said: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        said[key] = f"{said[key]},{value}" if key in said else value
    key_given = said.get("idempotency-key")
    try:
        number = there.take(body, said, None if key_given is None else key_given.strip())
    except AccessDenied as error:
        return refuses(HTTPStatus.UNAUTHORIZED, service.scrub(error.what), service.scrub(error.remedy))
    except DataError as error:
        return refuses(HTTPStatus.BAD_REQUEST, service.scrub(error.what), service.scrub(error.remedy))
    except OdibiError as error:  # the store
        status = HTTPStatus.SERVICE_UNAVAILABLE if error.retryable else HTTPStatus.INTERNAL_SERVER_ERROR
        return refuses(status, service.scrub(error.what), service.scrub(error.remedy) or "Send it again, with its key.")
    _log.info("%s: event %d, over HTTP", there.trigger, number)
    return says(HTTPStatus.ACCEPTED, {"event": number})
