"""What alerts share that are sent to an address over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.options import option
from odibi.contracts.secret import Secret
from odibi_alerts.addresses import check_url
from odibi_alerts.alert import Alert

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


def as_secret(value: Secret | str) -> Secret:
    """The value, so that it shows nowhere."""
    return value if isinstance(value, Secret) else Secret(value)


@attrs.define(eq=False)
class HookAlert(Alert):
    """Sends messages to an address, which is a secret: whoever has it can send there."""

    url: Secret = option(  # noqa: RUF009 - what it makes is a field
        help="The address to send to, which is a secret; https:// or http://.",
        secret=True,
        converter=as_secret,
        validator=lambda _, __, value: check_url(value.reveal()),
    )
    ca_file: str | None = option(
        None, help="Certificates, in PEM, that are trusted instead of the system's.", is_path=True
    )

    _context: Any = attrs.field(default=None, init=False, repr=False)

    def posting(self, body: bytes, headers: Mapping[str, str], method: str = "POST") -> Callable[[float], None]:
        """What sends these bytes within the seconds it is given."""
        return partial(self._post, body, headers, method)

    def posting_json(self, payload: Any) -> Callable[[float], None]:
        """What sends this as JSON."""
        return self.posting(json.dumps(payload).encode("ascii"), {"Content-Type": "application/json"})

    def _post(self, body: bytes, headers: Mapping[str, str], method: str, seconds: float) -> None:
        from odibi_alerts.posting import post

        post(self.url.reveal(), body, headers, method=method, seconds=seconds, context=self._verifier())

    def _verifier(self) -> ssl.SSLContext | None:
        from odibi_alerts.posting import tls_context

        # Loading the system's certificates takes milliseconds, and is for the thread that sends.
        if self._context is None and self.url.reveal().startswith("https:"):
            self._context = tls_context(self.ca_file)
        context: ssl.SSLContext | None = self._context
        return context


def mentioned(given: Sequence[str], metadata: Mapping[str, Any]) -> list[str]:
    """Whom a message calls, by the option or the metadata."""
    found = given or metadata.get("mentions") or ()
    return [str(each) for each in ((found,) if isinstance(found, str) else found)][:20]
