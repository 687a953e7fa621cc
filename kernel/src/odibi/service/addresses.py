"""Where a server listens, and whether others than this machine can come there."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Any

import attrs

from odibi.errors import OdibiError

_ADDRESS = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^:\[\]\s]+)):(?P<port>[0-9]{1,5})", re.ASCII)

_HOST = re.compile(r"(?P<name>localhost|[0-9.]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


@attrs.frozen
class Address:
    """An address to listen on, found out.

    Attributes:
        text: as it was given.
        family: of its socket.
        sockaddr: what a socket is bound to: no name that could be looked up again, with another answer.
        loopback: whether it is reached from this machine alone.
    """

    text: str
    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]
    loopback: bool


def listening(text: str) -> Address:
    """The address that a text means.

    Args:
        text: ``HOST:PORT``; an IPv6 address in brackets; port 0 for any that is free.

    Raises:
        OdibiError: it is no such text, or the name is not known.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise OdibiError(
            "this is no address to listen on",
            where=repr(text),
            remedy="Give a host and a port, as in '127.0.0.1:8080' or '[::1]:8080'.",
        )
    host, port = found["six"] or found["host"], int(found["port"])
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OdibiError(
            f"the host is not known: {error}", where=repr(text), remedy="Give an address of this machine."
        ) from error
    family, _, _, _, sockaddr = answers[0]
    # A name of several addresses is loopback only if each of them is, as the next look-up may prefer another.
    loopback = all(is_loopback(str(answer[4][0])) for answer in answers)
    return Address(text, family, tuple(sockaddr), loopback)


def is_loopback(host: str) -> bool:
    """Whether a text is an IP address that is reached from this machine alone; those that mean all are not."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_loopback(header: str) -> bool:
    """Whether a ``Host`` header names this machine by what no name server can answer for.

    A page of some site may have its own name point here; the browser then sends that name.
    """
    found = _HOST.fullmatch(header)
    if found is None:
        return False
    name = found["name"].lower()
    return name == "localhost" or is_loopback(name.strip("[]"))
