"""One request over HTTP, by the standard library: it takes no more than a POST, and a dependency would be the heaviest
part of this package.

Certificates are verified; no redirect is followed, as the address is a secret and the body is meant for it alone; the
proxies of the environment are heeded. A server that sends a byte now and then keeps the request no longer than its
time, since the connection is shut down then.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from odibi_alerts.refusals import Refused, TryAgain

if TYPE_CHECKING:
    from collections.abc import Callable

_AGAIN = (408, 425, 429)


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """What verifies servers: by the system's authorities, or by those of a file."""
    return ssl.create_default_context(cafile=ca_file)


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    method: str = "POST",
    seconds: float,
    context: ssl.SSLContext | None = None,
) -> None:
    """Send one request.

    Args:
        url: where to.
        body: what.
        headers: with it.
        method: of HTTP.
        seconds: after which it is given up.
        context: verifies the server; without one, nothing is sent over TLS.

    Raises:
        TryAgain: it did not get through, or the server has no time now.
        Refused: the server does not take it.
    """
    request = Request(url, data=body, headers={"User-Agent": "odibi-alerts", **headers}, method=method)  # noqa: S310 - checked by check_url
    connections: list[http.client.HTTPConnection] = []
    opener = OpenerDirector()
    opener.add_handler(ProxyHandler())
    opener.add_handler(_Http(connections))
    if context is not None:
        opener.add_handler(_Https(connections, context))
    watchdog = threading.Timer(seconds, _shut, (connections,))
    watchdog.daemon = True
    watchdog.start()
    try:
        response = opener.open(request, timeout=seconds)
        if response is None:
            raise Refused("its address is of no kind that can be sent to")
        with response:
            status, after = response.status, response.headers.get("Retry-After")
    except ssl.SSLCertVerificationError as error:
        raise Refused(f"its certificate is not trusted: {error.verify_message}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise Refused(f"its certificate is not trusted: {reason.verify_message}") from None
        words = getattr(reason, "strerror", None) or type(reason).__name__
        raise TryAgain(f"it cannot be reached: {words}") from None
    finally:
        watchdog.cancel()
        watchdog.join()
    _check_status(status, after)


def _check_status(status: int, after: str | None) -> None:
    if 200 <= status < 300:
        return
    try:
        words = f"it answered {status} {HTTPStatus(status).phrase}"
    except ValueError:
        words = f"it answered {status}"
    if status in _AGAIN or status >= 500:
        raise TryAgain(words, seconds_of(after))
    if 300 <= status < 400:
        raise Refused(f"{words}; redirects are not followed: give the address that it leads to")
    raise Refused(words)


def seconds_of(after: str | None) -> float:
    """Seconds of a ``Retry-After`` header, a number of them or a date (RFC 9110, 10.2.3); 0 if there is none."""
    if after is None:
        return 0.0
    if after.strip().isdecimal():
        return float(after)
    try:
        return max(0.0, parsedate_to_datetime(after).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _shut(connections: list[http.client.HTTPConnection]) -> None:
    for each in connections:
        opened = each.sock
        if opened is not None:
            with suppress(OSError):
                # That of a socket with TLS would first forget the TLS that another thread reads by.
                socket.socket.shutdown(opened, socket.SHUT_RDWR)


class _Http(HTTPHandler):
    def __init__(self, connections: list[http.client.HTTPConnection]) -> None:
        super().__init__()
        self._connections = connections

    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_keeping(http.client.HTTPConnection, self._connections), req)


class _Https(HTTPSHandler):
    def __init__(self, connections: list[http.client.HTTPConnection], context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._connections = connections
        self._verifies = context

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        made = _keeping(http.client.HTTPSConnection, self._connections)
        return self.do_open(made, req, context=self._verifies)


def _keeping(kind: type[http.client.HTTPConnection], made: list[http.client.HTTPConnection]) -> Callable[..., Any]:
    """Makes connections, and keeps them for whoever has to shut them."""

    def make(*args: Any, **options: Any) -> http.client.HTTPConnection:
        made.append(kind(*args, **options))
        return made[-1]

    return make
