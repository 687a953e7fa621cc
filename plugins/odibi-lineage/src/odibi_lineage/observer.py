"""``openlineage``: tells of runs and of their nodes as jobs, and of what they read and write as datasets."""

from __future__ import annotations

from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import attrs

from odibi.contracts.amounts import duration
from odibi.contracts.options import option
from odibi.contracts.secret import Secret
from odibi.events import RunFinished, RunStarted
from odibi_lineage.outbox import Outbox, outbox_for
from odibi_lineage.told import Teller, Told
from odibi_lineage.transports import Http, Lines, Transport

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

    from odibi.events import Event


def _url(it: OpenLineage, _: object, value: str | None) -> None:
    if it.transport != "http":
        return
    if value is None:
        raise ValueError("url: transport http needs the address of a server, such as http://localhost:5000")
    try:
        parts = urlsplit(value)
        _port = parts.port
    except ValueError:
        raise ValueError("url: it is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url: it does not begin with https:// or http:// and a host")
    if parts.username is not None or parts.password is not None or parts.query:
        raise ValueError("url: it holds a user, a password or a query; give an 'api_key' instead")


def _path(it: OpenLineage, _: object, value: str | None) -> None:
    if it.transport == "file" and value is None:
        raise ValueError("path: transport file needs the name of a file")


def _key(given: Secret | str | None) -> Secret | None:
    return Secret(given) if isinstance(given, str) else given


@attrs.define(eq=False)
class OpenLineage:
    """Tells an OpenLineage server, such as Marquez, which datasets runs read and write, and with which columns.

    Each run of a pipeline is a run of a job, and each node that is executed one that has it for its parent.
    """

    transport: Literal["http", "file", "console"] = option(
        "http",
        help="Where events go: to a server, to a file, a line each, or to standard error.",
        validator=attrs.validators.in_(("http", "file", "console")),
    )
    url: str | None = option(None, help="For http: the server, such as http://localhost:5000.", validator=_url)
    endpoint: str = option("api/v1/lineage", help="For http: the path that takes events.")
    api_key: Secret | None = option(  # noqa: RUF009 - what it makes is a field
        None, help="For http: sent as a bearer token.", secret=True, converter=_key
    )
    ca_file: str | None = option(
        None, help="For http: certificates, in PEM, that are trusted instead of the usual ones.", is_path=True
    )
    path: str | None = option(None, help="For file: its name.", is_path=True, validator=_path)
    namespace: str | None = option(None, help="Of the jobs; by default the name of the project.")
    timeout: float | str = option(
        5.0, help="For http: how long one attempt may take; seconds, or with a unit.", converter=duration
    )
    deadline: float | str = option(
        20.0, help="How long all attempts at one event may take together; likewise.", converter=duration
    )

    _teller: Teller | None = attrs.field(default=None, init=False, repr=False)

    def handle(self, event: Event) -> None:
        """Take one event; what it leads to is sent by another thread."""
        if isinstance(event, RunStarted):
            self._teller = Teller(event)
            self._tell(self._teller.begin())
        elif self._teller is not None and event.run_id == self._teller.run_id:
            told = self._teller.take(event)
            if isinstance(event, RunFinished):
                self._teller = None
            if told is not None:
                self._tell(told)

    def close(self) -> None:
        """Forget the run; may be called twice.

        What is still to be sent is sent in the background, and the end of the process waits for it: a run's end waits
        for this call, and not for a server.
        """
        self._teller = None
        self._outbox().report()

    def _tell(self, told: Told) -> None:
        self._outbox().put(partial(_event, told, self.namespace))

    def _outbox(self) -> Outbox:
        api_key = self.api_key.reveal() if self.api_key is not None else ""
        options = (self.transport, self.url, self.endpoint, api_key, self.ca_file, self.path, self.timeout)
        key = blake2b(repr((options, self.deadline)).encode("utf-8", "replace"), digest_size=16).digest()
        return outbox_for(key, partial(_connect, *options), float(self.deadline))


def _event(told: Told, namespace: str | None) -> RunEvent:
    from odibi_lineage.events import event_of

    return event_of(told, namespace)


def _connect(
    transport: str,
    url: str | None,
    endpoint: str,
    api_key: str,
    ca_file: str | None,
    path: str | None,
    timeout: float | str,
) -> Transport:
    if transport == "http":
        return Http(url or "", endpoint, api_key, float(timeout), ca_file)
    return Lines(path if transport == "file" else None)
