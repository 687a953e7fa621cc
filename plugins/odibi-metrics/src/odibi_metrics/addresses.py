"""Addresses that options give, checked before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import attrs


def plain_url(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    """An address over HTTP without a user or password in it, which would show wherever it is told.

    Raises:
        ValueError: it is none.
    """
    if not value:
        return
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"'{attribute.name}' is no address; one is such as http://127.0.0.1:9091")
    if parts.username or parts.password or parts.query:
        raise ValueError(f"'{attribute.name}' holds a user, password or query; give those as options of their own")


def seconds(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """A time to wait.

    Raises:
        ValueError: it is none.
    """
    if not 0 < value < float("inf"):
        raise ValueError(f"'{attribute.name}' is a number of seconds above 0")


def port(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    """A port, 0 for any that is free, or none.

    Raises:
        ValueError: it is none of these.
    """
    if value is not None and not 0 <= value <= 65535:
        raise ValueError(f"'{attribute.name}' is a number from 0, which means any that is free, to 65535")
