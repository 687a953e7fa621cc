"""Who has sent a request: HMAC-SHA256 of its body, as Odibi's senders sign it and as GitHub does.

The form of ``X-Odibi-Signature`` is that of Stripe's webhooks (https://docs.stripe.com/webhooks#verify-manually): the
time is signed with the body, so that a request that somebody has recorded is of no use later. GitHub's is described at
https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries; it has no time.
"""

from __future__ import annotations

import hmac
import re
import time
from hashlib import sha256
from typing import TYPE_CHECKING

from odibi.errors import AccessDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from odibi import Secret

_ODIBI = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")
_GITHUB = re.compile(r"sha256=([0-9a-f]{64})")


def check_odibi(secret: Secret, body: bytes, headers: Mapping[str, str], tolerance: float) -> None:
    """Check ``X-Odibi-Signature: t=SECONDS,v1=HEX``, where HEX is the HMAC of ``SECONDS.BODY``.

    Args:
        secret: the key.
        body: as it came.
        headers: names in lower case.
        tolerance: seconds by which the time, which is in seconds since the epoch, may differ from this machine's.

    Raises:
        AccessDenied: it is missing, cannot be read, is not right, or its time is too far from now.
    """
    found = _ODIBI.fullmatch(headers.get("x-odibi-signature", "").strip())
    if found is None:
        raise AccessDenied(
            "the signature is missing, or is none",
            remedy="Send 'X-Odibi-Signature: t=SECONDS,v1=HEX', the HMAC-SHA256 of 'SECONDS.BODY' by the secret.",
        )
    wanted = hmac.new(secret.reveal().encode(), found[1].encode() + b"." + body, sha256).hexdigest()
    if not hmac.compare_digest(wanted, found[2]):
        raise _wrong()
    if abs(time.time() - int(found[1])) > tolerance:
        raise AccessDenied(
            f"the signature's time is more than {tolerance:g} s away from this machine's",
            remedy="Sign each request anew when it is sent, and set the clocks of both machines.",
        )


def check_github(secret: Secret, body: bytes, headers: Mapping[str, str]) -> None:
    """Check ``X-Hub-Signature-256: sha256=HEX``, where HEX is the HMAC of the body.

    Raises:
        AccessDenied: it is missing, cannot be read, or is not right.
    """
    found = _GITHUB.fullmatch(headers.get("x-hub-signature-256", "").strip())
    if found is None:
        raise AccessDenied(
            "the signature is missing, or is none",
            remedy="Send 'X-Hub-Signature-256: sha256=HEX', the HMAC-SHA256 of the body by the secret.",
        )
    if not hmac.compare_digest(hmac.new(secret.reveal().encode(), body, sha256).hexdigest(), found[1]):
        raise _wrong()


def _wrong() -> AccessDenied:
    return AccessDenied(
        "the signature is not right", remedy="Sign the bytes of the body as they are sent, with the trigger's secret."
    )
