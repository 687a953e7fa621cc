"""How Prometheus gets at measurements: on a port, or from a Pushgateway."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from odibi.errors import OdibiError, Transient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

    from odibi.contracts.secret import Secret


class Listening:
    """A server that shows a registry, on a thread of its own."""

    def __init__(self, server: Any, thread: Any) -> None:
        self._server, self._thread = server, thread

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def listen(registry: CollectorRegistry, host: str, port: int) -> Listening:
    """Show a registry on a port.

    Args:
        registry: what is shown.
        host, port: the address; port 0 is any that is free.

    Raises:
        OdibiError: it cannot listen there.
    """
    from prometheus_client import start_http_server

    try:
        return Listening(*start_http_server(port, host, registry))
    except OSError as error:
        raise OdibiError(
            f"cannot listen there for Prometheus: {error.strerror or error}",
            where=f"{host}:{port}",
            remedy="Give another 'port', or none: 'odibi serve' shows the same on its own page /metrics.",
        ) from error


def push(
    registry: CollectorRegistry,
    url: str,
    job: str,
    grouping: Mapping[str, str],
    timeout: float,
    auth: tuple[str, Secret] | None,
) -> None:
    """Push a registry to a Pushgateway; metrics that are there and not in the registry stay.

    Args:
        registry: what is pushed.
        url: of the Pushgateway, without a path of its own.
        job, grouping: the group that it is pushed to.
        timeout: seconds that it may take to connect, and to answer.
        auth: user and password, if it wants them.

    Raises:
        Transient: it cannot be reached, or refuses.
    """
    from prometheus_client import pushadd_to_gateway
    from prometheus_client.exposition import basic_auth_handler, default_handler

    def handler(url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes) -> Any:
        if auth is None:
            return default_handler(url, method, timeout, headers, data)
        return basic_auth_handler(url, method, timeout, headers, data, auth[0], auth[1].reveal())

    try:
        pushadd_to_gateway(url, job, registry, dict(grouping), timeout, handler)
    except OSError as error:
        code = ""
        with suppress(AttributeError):
            code = f" with {error.code}"  # type: ignore[attr-defined]
            error.close()  # type: ignore[attr-defined]  # an answer holds its connection
        what = f"the Pushgateway refused{code}" if code else f"the Pushgateway cannot be reached: {_reason(error)}"
        raise Transient(what, where=url, remedy="Look whether it runs there, and wants a password.") from None


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return str(getattr(reason, "strerror", None) or reason)
