"""Addresses that can be sent to, checked where a project is read; what sends is imported by the thread that does."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_MAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


def check_url(text: str) -> None:
    """Refuse what is no address to send to; the error does not quote it.

    Raises:
        ValueError: why.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("url: it is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url: it does not begin with https:// or http:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("url: it holds a user or a password; give them as a header, where the service takes one")
    if not text.isascii() or any(char <= " " or char == "\x7f" for char in text):
        raise ValueError("url: it holds a space, or a sign that has to be written as %XX")


def check_mail_address(name: str, text: str) -> None:
    """Refuse what is no address of somebody's mail: one ``local@domain``, in ASCII, without quotes or comments.

    Args:
        name: of the option.
        text: the address.

    Raises:
        ValueError: it is none.
    """
    if not _MAIL.fullmatch(text):
        raise ValueError(f"{name}: {text!r} is no address; write it as name@example.com")
