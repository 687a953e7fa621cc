"""SecretStore: values that must not show."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol, runtime_checkable


class Secret:
    """A value that prints as ``***`` everywhere. :meth:`reveal` is the only way to it.

    It does not pickle, does not compare by value in a way that could be logged, and has no length.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_Secret__value", value)

    def reveal(self) -> str:
        """The value itself; hand it straight to what needs it."""
        return str(object.__getattribute__(self, "_Secret__value"))

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret does not travel: send its name and look it up where it is needed")


@runtime_checkable
class SecretStore(Protocol):
    """Secrets by name.

    Promises:
        * A missing secret is :class:`~odibi.errors.NotFound`, missing rights are
          :class:`~odibi.errors.AccessDenied`; neither message holds any part of a value.
        * :meth:`get` gives up after the store's own timeout with :class:`~odibi.errors.Transient`.
    """

    def get(self, name: str) -> Secret:
        """The secret's current value."""
        ...

    def close(self) -> None:
        """Let go of connections; may be called twice."""
        ...
