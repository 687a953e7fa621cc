"""References to secrets inside options: text that is not known until a component is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from odibi.contracts.secret import Secret

Lookup = Callable[[str, str], Secret]
"""Store and name to the secret."""


@attrs.frozen
class SecretRef:
    """``${secret:store/name}``."""

    store: str
    name: str

    def __str__(self) -> str:
        return f"${{secret:{self.store}/{self.name}}}"


@attrs.frozen
class Template:
    """Text with secrets in it, such as a connection string.

    Attributes:
        parts: text and references, in order.
    """

    parts: tuple[str | SecretRef, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.parts))


def references(value: Any) -> list[SecretRef]:
    """Every reference in a tree of options."""
    if isinstance(value, SecretRef):
        return [value]
    if isinstance(value, Template):
        return [part for part in value.parts if isinstance(part, SecretRef)]
    if isinstance(value, Mapping):
        return [ref for item in value.values() for ref in references(item)]
    if isinstance(value, list | tuple):
        return [ref for item in value for ref in references(item)]
    return []


def resolve(value: Any, lookup: Lookup) -> Any:
    """The tree with each reference replaced by its :class:`~odibi.contracts.secret.Secret`."""
    if isinstance(value, SecretRef):
        return lookup(value.store, value.name)
    if isinstance(value, Template):
        texts = (
            lookup(part.store, part.name).reveal() if isinstance(part, SecretRef) else part for part in value.parts
        )
        return Secret("".join(texts))
    if isinstance(value, Mapping):
        return {key: resolve(item, lookup) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(resolve(item, lookup) for item in value)
    return value
