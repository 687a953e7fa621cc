"""What of a page became another since a reader saw it last.

A page that is followed says in comments where its parts begin and end: ``<!--[KEY-->`` and ``<!--]-->``. They may lie
in one another. Text of a story cannot look like that, as templates escape it.
"""

from __future__ import annotations

import html
import re
import secrets
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

_MARK = re.compile(r"<!--(?:\[(?P<key>[\w.-]+)|\])-->", re.ASCII)
_TITLE = re.compile(r"<title>([^<]*)</title>")

TOP = ""
"""The part that all others lie in."""


@attrs.frozen
class Part:
    """A part of a page.

    Attributes:
        parent: the key of the part that it lies in.
        text: its HTML, without the parts in it.
    """

    parent: str
    text: str


def split(page: str) -> dict[str, Part]:
    """The parts of a page by their keys, in its order.

    Raises:
        ValueError: the marks of the page do not match.
    """
    texts: dict[str, list[str]] = {TOP: []}
    parents: dict[str, str] = {}
    inside = [TOP]
    at = 0
    for mark in _MARK.finditer(page):
        texts[inside[-1]].append(page[at : mark.start()])
        at = mark.end()
        key = mark["key"]
        if key is None:
            inside.pop()
            if not inside:
                raise ValueError("a part of the page ends that did not begin")
        elif key in texts:
            raise ValueError(f"there are two parts {key!r}")
        else:
            parents[key] = inside[-1]
            texts[key] = []
            inside.append(key)
    if inside != [TOP]:
        raise ValueError(f"the part {inside[-1]!r} does not end")
    return {key: Part(parent, "".join(texts[key]).strip()) for key, parent in parents.items()}


def title_of(page: str) -> str:
    """What the page calls itself."""
    found = _TITLE.search(page)
    return html.unescape(found[1]) if found is not None else ""


class Changes:
    """The parts of one page through its versions.

    What is outside of all parts counts for nothing.
    """

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        self._number = 0
        self._title = ""
        self._parts: Mapping[str, Part] = {}
        self._since: dict[str, int] = {}
        self._orders: dict[str, list[str]] = {}
        self._ordered: dict[str, int] = {}

    @property
    def version(self) -> str:
        """Of the page, as it was taken last."""
        return f"{self._epoch}.{self._number}"

    def take(self, page: str) -> bool:
        """Compare a page with the one before; returns whether anything is another.

        Raises:
            ValueError: the marks of the page do not match.
        """
        parts, title = split(page), title_of(page)
        orders: dict[str, list[str]] = {parent: [] for parent in self._orders}  # those that are empty now, too
        for key, part in parts.items():
            orders.setdefault(part.parent, []).append(key)
        changed = {key for key, part in parts.items() if self._parts.get(key) != part}
        moved = {parent for parent, keys in orders.items() if self._orders.get(parent) != keys}
        if not changed and not moved and title == self._title:
            return False
        self._number += 1
        self._parts, self._orders, self._title = parts, orders, title
        for key in changed:
            self._since[key] = self._number
        for parent in moved:
            self._ordered[parent] = self._number
        return True

    def after(self, version: str) -> dict[str, Any] | None:
        """What a reader of a version has to change, as JSON values; ``None`` if nothing.

        ``put`` are ``[parent, key, html]`` in the page's order, ``orders`` the keys in a part where these are others
        now, ``title`` the page's.

        Args:
            version: as :attr:`version` was; of one that is not known, everything is another.
        """
        epoch, _, number = version.partition(".")
        known = int(number) if epoch == self._epoch and number.isdecimal() and number.isascii() else 0
        if known >= self._number:
            return None
        return {
            "title": self._title,
            "put": [[part.parent, key, part.text] for key, part in self._parts.items() if self._since[key] > known],
            "orders": {parent: keys for parent, keys in self._orders.items() if self._ordered[parent] > known},
        }
