"""Who may read: on this machine whoever has an account; from elsewhere only who knows the token."""

from __future__ import annotations

import hmac
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import unquote

from odibi.errors import OdibiError
from odibi_story.live.addresses import names_loopback

if TYPE_CHECKING:
    from email.message import Message

    from odibi_story.live.addresses import Address

TOKEN = "ODIBI_UI_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable that holds the token."""


class Gate:
    """Decides about requests.

    A browser shows the token once, as ``?token=``, and has a cookie from then on. The cookie is not the token, and is
    worth nothing once this process has ended.

    Args:
        address: where requests come in.
        token: what a request has to have; ``None`` if nothing.

    Raises:
        OdibiError: others than this machine reach the address, and there is no token; or it cannot be sent.
    """

    def __init__(self, address: Address, token: str | None) -> None:
        if token is not None and re.fullmatch(r"[!-~]+", token) is None:
            raise OdibiError(
                "the token is empty, or has spaces, line ends or letters beyond ASCII",
                where=TOKEN,
                remedy="Make one with: python -c 'import secrets; print(secrets.token_urlsafe())'",
            )
        if token is None and not address.loopback:
            raise OdibiError(
                "other machines reach this address, and could read what the stories tell",
                where=repr(address.text),
                remedy=f"Set {TOKEN} to a token that readers need, or listen on 127.0.0.1.",
            )
        self._loopback = address.loopback
        self._token = token
        self._pass = secrets.token_urlsafe()

    @property
    def asks(self) -> bool:
        """Whether requests need a token."""
        return self._token is not None

    def knows_host(self, headers: Message) -> bool:
        """Whether the request is for this machine, and not for a name that some site has pointed here.

        Where others reach it, the token tells: a page of another name has not got the cookie.
        """
        hosts = headers.get_all("Host", [])
        return not self._loopback or (len(hosts) == 1 and names_loopback(hosts[0].strip()))

    def lets_in(self, headers: Message, port: int) -> bool:
        """Whether the request has the token, or the cookie for it."""
        if self._token is None:
            return True
        given = headers.get_all("Authorization", [])
        kind, _, value = given[0].strip().partition(" ") if len(given) == 1 else ("", "", "")
        if kind.lower() == "bearer" and self.is_token(value.strip()):
            return True
        # By hand: what other servers of this host have set need not be what the standard library reads on behind.
        cookies = [cookie.strip().partition("=") for cookie in ";".join(headers.get_all("Cookie", [])).split(";")]
        return any(
            name == _cookie(port) and hmac.compare_digest(value.encode("utf-8", "replace"), self._pass.encode())
            for name, _, value in cookies
        )

    def is_token(self, text: str) -> bool:
        """Whether a text is the token; takes as long either way."""
        token = self._token
        return token is not None and hmac.compare_digest(text.encode("utf-8", "replace"), token.encode())

    def cookie(self, port: int) -> str:
        """The header ``Set-Cookie`` for who has shown the token.

        Args:
            port: where the page is; browsers keep cookies by host alone.
        """
        return f"{_cookie(port)}={self._pass}; HttpOnly; SameSite=Lax; Path=/"


def _cookie(port: int) -> str:
    return f"odibi-ui-{port}"


def token_in(query: str) -> str | None:
    """What a query gives as ``token``; ``None`` if nothing."""
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        if name == "token" and equals:
            return unquote(value)
    return None


def without_token(query: str) -> str:
    """The query without it."""
    return "&".join(pair for pair in query.split("&") if pair.partition("=")[0] != "token")
