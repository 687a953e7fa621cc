"""Keeps secrets out of everything that people and files get to see.

A project has one :class:`Redactor`. Whoever learns a secret tells it; whoever writes a line asks it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, MutableMapping
from threading import Lock
from typing import Any
from urllib.parse import quote, quote_plus

from odibi.contracts.secret import Secret

MASK = "***"

SHORTEST = 4
"""Characters; a shorter value is masked only where it is the whole text, since it is a part of many words."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = {
    "credential", "credentials", "password", "passwd", "passphrase", "pwd", "pat", "sas", "secret", "token", "webhook",
}  # fmt: skip
_SECRET_PAIRS = {("connection", "string"), ("conn", "str"), ("webhook", "url"), ("sas", "url"), ("private", "key")}
_DATA_KEYS = {"primary", "foreign", "partition", "sort", "unique", "business", "surrogate", "natural", "join", "group"}
_ABOUT = {"name", "id", "scope", "vault", "path", "file", "url", "uri", "column", "columns", "type", "mode", "ttl"}


def looks_secret(name: str) -> bool:
    """Whether an option or an environment variable of this name holds a secret (``account_key``, ``DB_PASSWORD``)."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or name in ("PWD", "OLDPWD"):  # the shell's working folders
        return False
    if tuple(words[-2:]) in _SECRET_PAIRS or words[-1] == "connectionstring":
        return True
    if words[-1] in _ABOUT:  # secret_name and token_url say where it is, not what it is
        return False
    if words[-1] in ("key", "apikey", "accountkey"):
        return not _DATA_KEYS & set(words)
    return bool(_SECRET_WORDS & set(words))


class Redactor:
    """Masks the values it was told of. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._whole: frozenset[str] = frozenset()
        self._inside: re.Pattern[str] | None = None
        self._forms: set[str] = set()

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._whole)} values>"

    def register(self, value: str | Secret) -> None:
        """Mask this value from now on, also where it is escaped for JSON, Python, HTML or a URL."""
        text = value.reveal() if isinstance(value, Secret) else value
        if not text.strip():
            return
        with self._lock:
            if text in self._whole:
                return
            self._whole |= {text}
            if len(text) < SHORTEST:
                return
            self._forms |= _forms(text)
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._inside = re.compile("|".join(map(re.escape, longest_first)))

    def redact(self, text: str) -> str:
        """The text with every registered value masked."""
        if text in self._whole:
            return MASK
        return self._inside.sub(MASK, text) if self._inside is not None else text

    def scrub(self, value: Any) -> Any:
        """The value with all text in it masked: mappings (keys too), lists, tuples, sets and exceptions."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, Secret):
            return MASK
        if isinstance(value, Mapping):
            return {self.scrub(key): self.scrub(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            items = [self.scrub(item) for item in value]
            return items if isinstance(value, list) else tuple(items)
        if isinstance(value, bytes):
            return self.redact(value.decode("utf-8", "backslashreplace"))
        if isinstance(value, BaseException):
            self.scrub_exception(value)
            return value
        if value is None or isinstance(value, bool | int | float):
            return MASK if str(value) in self._whole else value
        return value if self.redact(str(value)) == str(value) else self.redact(str(value))

    def scrub_exception(self, error: BaseException) -> None:
        """Mask the text of an exception, of its notes and of everything chained to it, in place."""
        todo, seen = [error], set()
        while todo:
            each = todo.pop()
            if id(each) in seen:
                continue
            seen.add(id(each))
            each.args = tuple(map(self._held, each.args))
            for name, held in vars(each).items():
                if name in ("__notes__", "problems"):
                    vars(each)[name] = type(held)(self._problem(item) for item in held)
                else:
                    vars(each)[name] = self._held(held)
            todo += [other for other in (each.__cause__, each.__context__) if other is not None]
            todo += getattr(each, "exceptions", ())

    def _held(self, value: Any) -> Any:
        """What an exception holds; itself if it shows no secret, as whoever catches it may need it as it is."""
        if isinstance(value, BaseException) or not self._shows(value):
            return value
        return self.scrub(value)

    def _shows(self, value: Any) -> bool:
        """Whether a secret is in the text of a value."""
        if isinstance(value, Mapping):
            return any(self._shows(key) or self._shows(item) for key, item in value.items())
        if isinstance(value, list | tuple | set | frozenset):
            return any(map(self._shows, value))
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        try:
            texts = (value,) if isinstance(value, str) else (str(value), repr(value))
        except Exception:  # what cannot be shown shows nothing
            return False
        return any(self.redact(text) != text for text in texts)

    def _problem(self, item: Any) -> Any:
        if isinstance(item, str):
            return self.redact(item)
        parts = [self.redact(part) if isinstance(part, str) else part for part in item]
        return type(item)(*parts) if hasattr(item, "_fields") else type(item)(parts)

    def processor(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """A structlog processor; put it before the renderer."""
        for key, value in event.items():
            event[key] = self.scrub(value)
        return event


def _forms(text: str) -> set[str]:
    """The ways in which a value may stand in some output."""
    forms = {text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    forms |= {html.escape(text), quote(text), quote(text, safe=""), quote_plus(text)}
    # A key of many lines is often shown a line at a time.
    forms |= {line for line in text.splitlines() if len(line) >= 16}
    return {form for form in forms if len(form) >= SHORTEST}
