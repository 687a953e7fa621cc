"""``webhook``: what there is to tell as JSON, to any address, signed if one asks for it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import attrs

from odibi.contracts.options import option
from odibi.contracts.secret import Secret
from odibi_alerts.hook import HookAlert, as_secret
from odibi_alerts.templates import filled_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi_alerts.notice import Notice

_OWN = ("content-length", "content-type", "host", "transfer-encoding", "idempotency-key", "x-odibi-signature")
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def _secrets(given: Mapping[str, Secret | str]) -> dict[str, Secret]:
    return {str(name): as_secret(value) for name, value in given.items()}


def _headers(_: object, __: object, value: Mapping[str, Secret]) -> None:
    for name, held in value.items():
        if not name or not _TOKEN.issuperset(name.lower()):
            raise ValueError(f"headers: {name!r} is no name of a header")
        if name.lower() in _OWN:
            raise ValueError(f"headers: {name!r} is set by the alert itself")
        text = held.reveal()
        if not text.isascii() or not text.isprintable():
            raise ValueError(f"headers: the value of {name!r} holds signs that no header takes")


def _key(given: Secret | str | None) -> Secret | None:
    found = as_secret(given) if given is not None else None
    if found is not None and not found:
        raise ValueError("secret: it is empty, so that anybody could sign; give one, or leave it out")
    return found


@attrs.define(eq=False)
class WebhookAlert(HookAlert):
    """Sends JSON to any address.

    With a ``secret`` it is signed in the way in which the trigger ``event`` checks it, anew for each attempt. Attempts
    of one message have the same ``Idempotency-Key``.
    """

    method: Literal["POST", "PUT", "PATCH"] = option(
        "POST", help="The method of HTTP.", validator=attrs.validators.in_(("POST", "PUT", "PATCH"))
    )
    headers: Mapping[str, Secret | str] = option(
        factory=dict,
        help="Headers to send along, such as Authorization; their values are secrets.",
        secret=True,
        converter=_secrets,
        validator=_headers,
    )
    secret: Secret | None = option(  # noqa: RUF009 - what it makes is a field
        None,
        help="Signs the body: X-Odibi-Signature: t=SECONDS,v1=HEX, the HMAC-SHA256 of SECONDS.BODY.",
        secret=True,
        converter=_key,
    )

    name = "webhook"

    def message(self, notice: Notice) -> Callable[[float], None]:
        """A request with the notice as JSON; a template makes its ``text``."""
        text = notice.title if self.template is None else filled_in(self.template, notice)
        body = json.dumps({**notice.data(), "text": text}).encode("ascii")
        return partial(self._send, body, secrets.token_hex(16))

    def _send(self, body: bytes, key: str, seconds: float) -> None:
        own = {name: as_secret(value).reveal() for name, value in self.headers.items()}
        headers: dict[str, Any] = {**own, "Content-Type": "application/json", "Idempotency-Key": key}
        if self.secret is not None:
            headers["X-Odibi-Signature"] = signature(self.secret, body, int(time.time()))
        self.posting(body, headers, self.method)(seconds)


def signature(secret: Secret, body: bytes, now: int) -> str:
    """``t=SECONDS,v1=HEX``, the HMAC-SHA256 of ``SECONDS.BODY``.

    Args:
        secret: the key.
        body: as it is sent.
        now: seconds since the epoch.
    """
    import hmac
    from hashlib import sha256

    return f"t={now},v1={hmac.new(secret.reveal().encode(), b'%d.' % now + body, sha256).hexdigest()}"
