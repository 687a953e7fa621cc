"""Whatever events bring, as values that may be stored and shown: JSON, of bounded size, without secrets."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence, Set
from datetime import date, time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MASK = "***"

CELL, TEXT, LONG = 200, 4_000, 12_000
"""Characters of a cell of a sample, of a message, and of SQL or a traceback."""

ITEMS, DEPTH = 200, 8
"""Items of a list or mapping that are told, and how deep they may lie in one another."""

SAFE_INTEGER = 2**53
"""From here on, readers of JSON that know only floats would tell another number."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*://[^\s/:@'\"]*:)([^\s@]+)(@)")
_ASSIGNED = re.compile(
    r"""(?ix) \b ( (?:\w*[_-])? (?:password|passwd|pwd|secret|token|sig|signature|api_?key|access_?key|account_?key
    |sharedaccesskey|accountkey|client_?secret|sas) ['"]? \s* [=:] \s* (?:Bearer\s+)? ['"]? ) ([^\s&;,'")}\]]+)"""
)
_SECRET_KEY = re.compile(
    r"(?i)(^|[_\-.])(password|passwd|passphrase|pwd|secret|token|credentials?|sas|api_?key|access_?key|account_?key"
    r"|private_?key|connection_?string|webhook(_?url)?)$"
)


class Clean:
    """Makes values fit to be shown.

    Args:
        scrub: masks the secrets that are known, see :class:`odibi.contracts.observer.RunFacts`. Passwords in addresses
            and what is assigned to a word such as ``token`` are masked besides, known or not.
    """

    def __init__(self, scrub: Callable[[Any], Any] | None = None) -> None:
        self._scrub = scrub

    def text(self, value: object, longest: int = TEXT, *, end: bool = False) -> str:
        """A text that can be encoded, without secrets, cut with a mark.

        Args:
            value: its ``str`` is taken.
            longest: characters.
            end: cut it at its beginning, as its end says more.
        """
        try:
            said = value if type(value) is str else str(value)
        except Exception:  # of a number too long to print, or an object that cannot say what it is
            said = f"<{type(value).__name__}>"
        # Cut before it is searched, so that a text of any length costs the same; after it too, as a mask may lengthen.
        room = 4 * longest + 1_000
        over = len(said) - room
        if over > 0:
            said = said[-room:] if end else said[:room]
        said = self._masked(said)
        if not said.isascii():
            said = said.encode("utf-8", "backslashreplace").decode("utf-8")
        return cut(said, longest, end=end, more=max(0, over))

    def value(self, value: Any, longest: int = TEXT, depth: int = 0) -> Any:
        """A JSON value: dates, decimals, bytes and what else JSON does not have as text.

        Args:
            value: anything.
            longest: characters of each text in it.
            depth: of what holds it.
        """
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value, longest)
        if isinstance(value, int):
            exact = -SAFE_INTEGER <= value <= SAFE_INTEGER
            return (value if self._shown(value) else MASK) if exact else self.text(value, longest)
        if isinstance(value, float):
            return round(value, 12) if math.isfinite(value) and abs(value) < SAFE_INTEGER else _odd_float(value)
        if isinstance(value, date | time):
            return value.isoformat()
        if isinstance(value, bytes | bytearray | memoryview):
            return self._bytes(bytes(value[: longest // 2]), len(value), longest)
        if depth >= DEPTH:
            return "…"
        if isinstance(value, Mapping):
            return self._mapping(value, longest, depth)
        if isinstance(value, Sequence | Set) and not isinstance(value, range):
            return self._items(value, longest, depth)
        return self.text(value, longest)

    def _mapping(self, value: Mapping[Any, Any], longest: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for at, (key, item) in enumerate(value.items()):
            if at >= ITEMS:
                found["…"] = f"{len(value) - ITEMS:,} more"
                break
            name = self.text(key, CELL)
            found[name] = MASK if _holds_a_secret(name, item) else self.value(item, longest, depth + 1)
        return found

    def _items(self, value: Sequence[Any] | Set[Any], longest: int, depth: int) -> list[Any]:
        found = []
        for at, item in enumerate(value):
            if at >= ITEMS:
                found.append(f"… ({len(value) - ITEMS:,} more)")
                break
            found.append(self.value(item, longest, depth + 1))
        return found

    def _bytes(self, head: bytes, size: int, longest: int) -> str:
        try:
            readable = head.decode("utf-8")
        except UnicodeDecodeError:
            readable = ""
        if readable and self._masked(readable) != readable:
            return MASK
        return cut("0x" + head.hex(), longest, more=2 * (size - len(head)))

    def _shown(self, value: int) -> bool:
        return self._scrub is None or self._scrub(value) == value

    def _masked(self, text: str) -> str:
        if self._scrub is not None:
            text = str(self._scrub(text))
        if "://" in text:
            text = _ADDRESS.sub(rf"\1{MASK}\3", text)
        if "=" in text or ":" in text:
            text = _ASSIGNED.sub(_mask_assigned, text)
        return text


def cut(text: str, longest: int, *, end: bool = False, more: int = 0) -> str:
    """A text of at most ``longest`` characters, and a mark that says how many are not shown.

    Args:
        text: any.
        longest: characters.
        end: keep its end instead of its beginning.
        more: characters that were left out already.
    """
    over = len(text) - longest + more
    if over <= 0:
        return text
    mark = f"… ({over:,} more characters)"
    return f"{mark} {text[-longest:]}" if end else f"{text[:longest]}{mark}"


def _odd_float(value: float) -> Any:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _mask_assigned(found: re.Match[str]) -> str:
    held = found.group(2)
    return found.group(0) if held.startswith(("$", MASK)) else found.group(1) + MASK


def _holds_a_secret(key: str, value: Any) -> bool:
    """Whether what stands under a key is a secret itself: not a reference to one, and not what tells of one."""
    if value is None or isinstance(value, bool | Mapping) or (isinstance(value, str) and value.startswith("${")):
        return False
    return _SECRET_KEY.search(key) is not None
