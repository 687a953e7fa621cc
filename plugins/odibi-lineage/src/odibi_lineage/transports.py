"""Where events go: to a server, by the transport of OpenLineage's own client, to a file, or to standard error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from odibi.errors import OdibiError

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent


class NotSent(OdibiError):
    """An event did not get through.

    Attributes:
        again: whether it may, later.
    """

    def __init__(self, words: str, *, again: bool) -> None:
        super().__init__(words)
        self.again = again


class Transport(Protocol):
    """Takes events."""

    def emit(self, event: RunEvent) -> None:
        """Send one.

        Raises:
            NotSent: why not.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Http:
    """To a server, such as Marquez.

    Args:
        url: of the server.
        endpoint: the path that takes events.
        api_key: sent as a bearer token; none if it is empty.
        timeout: seconds for each read and write of a socket.
        ca_file: certificates that are trusted instead of the usual ones.
    """

    def __init__(self, url: str, endpoint: str, api_key: str, timeout: float, ca_file: str | None) -> None:
        import requests
        from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

        session = requests.Session()
        session.max_redirects = 0  # a redirect could take the key elsewhere
        self._transport = HttpTransport(
            HttpConfig(
                url=url,
                endpoint=endpoint,
                timeout=timeout,
                verify=ca_file or True,  # type: ignore[arg-type]  # requests takes the name of a file as well
                auth=ApiKeyTokenProvider({"api_key": api_key}) if api_key else TokenProvider({}),
                session=session,
                # Whether to try again is said here, with a bound and without a line in the log for each attempt.
                retry={"total": 0, "redirect": 0, "status_forcelist": []},
            )
        )

    def emit(self, event: RunEvent) -> None:
        """See :class:`Transport`."""
        import requests

        try:
            self._transport.emit(event)
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            again = status >= 500 or status in (408, 425, 429)
            raise NotSent(f"it answered {status}", again=again) from None
        except requests.TooManyRedirects:
            raise NotSent(
                "it redirects, which is not followed: give the address that it leads to", again=False
            ) from None
        except requests.exceptions.SSLError:
            raise NotSent("its certificate is not trusted, or it knows no TLS", again=False) from None
        except (requests.RequestException, OSError) as error:
            raise NotSent(f"it cannot be reached ({type(error).__name__})", again=True) from None

    def close(self) -> None:
        """See :class:`Transport`."""
        self._transport.close()


class Lines:
    """To a file, a line of JSON an event; or to standard error.

    Args:
        path: of the file; ``None`` for standard error.
    """

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path is not None else None

    def emit(self, event: RunEvent) -> None:
        """See :class:`Transport`."""
        from openlineage.client.serde import Serde

        line = Serde.to_json(event) + "\n"
        try:
            if self._path is None:
                sys.stderr.write(line)
                sys.stderr.flush()
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise NotSent(f"the file cannot be written: {error.strerror}", again=False) from None

    def close(self) -> None:
        """Nothing is held."""
