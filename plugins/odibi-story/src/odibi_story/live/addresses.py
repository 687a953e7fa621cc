"""Where the pages are served, and whether others than this machine can come there."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Any

import attrs

from odibi.errors import OdibiError

_NAMED = re.compile(r"(?P<name>localhost|[0-9.]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


@attrs.frozen
class Address:
    """An address to listen on, found out.

    Attributes:
        family: of its socket.
        sockaddr: what a socket is bound to: no name, as another look-up might have another answer.
        loopback: whether it is reached from this machine alone.
        text: for people.
    """

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]
    loopback: bool
    text: str


def address_of(host: str, port: int) -> Address:
    """The address that a host and a port mean.

    Args:
        host: a name or an IP address of this machine.
        port: 0 for any that is free.

    Raises:
        OdibiError: the host is not known.
    """
    text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        answers = socket.getaddrinfo(host or "-", port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OdibiError(
            f"the host is not known: {error}", where=repr(text), remedy="Give an address of this machine to --host."
        ) from error
    family, _, _, _, sockaddr = answers[0]
    # A name of several addresses is loopback only if each of them is.
    return Address(family, tuple(sockaddr), all(_is_loopback(str(answer[4][0])) for answer in answers), text)


def names_loopback(header: str) -> bool:
    """Whether a ``Host`` header names this machine by what no name server can answer for.

    A page of some site may have its own name point here, and would then be read from as if it were this one; the
    browser sends that name.
    """
    found = _NAMED.fullmatch(header)
    if found is None:
        return False
    name = found["name"].lower()
    return name == "localhost" or _is_loopback(name.strip("[]"))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
