"""Transform: a named operation on frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from odibi.contracts.engine import Engine, Frame


class TransformContext(Protocol):
    """What a step may know of the node it runs in.

    Functions get it by naming a parameter ``context``; operations get it as an argument.
    """

    node: str
    """The node's name."""

    engine: Engine
    """The engine the node runs on."""

    params: Mapping[str, Any]
    """The step's parameters."""

    sensitive: bool | Collection[str]
    """The node's sensitive columns, or ``True`` for all: an error must not quote their values."""

    def get(self, name: str) -> Frame:
        """The frame of a declared input.

        Raises:
            TransformError: it is not one; says which ``depends_on`` to add.
        """
        ...

    def has(self, name: str) -> bool:
        """Whether ``name`` is a declared input."""
        ...

    def names(self) -> tuple[str, ...]:
        """The declared inputs, in order."""
        ...

    def sql(self, query: str, frames: Mapping[str, Frame] | None = None) -> Frame:
        """Run a query in the node's own namespace: its inputs, the current frame as ``df``, and ``frames``."""
        ...

    def cancelled(self) -> bool:
        """Whether the run wants this node to stop (cancelled, or out of time); long loops should ask."""
        ...


@runtime_checkable
class Transform(Protocol):
    """What ``operation:`` in a node names. Its fields are its parameters.

    Registered as ``"<engine>.<name>"`` when it works on the frames of one engine, or as ``"<name>"`` when it works on
    any (through SQL or Arrow).
    """

    rowwise: ClassVar[bool]
    """Whether each row of the result depends on one row of the current frame alone, so that the operation gives the
    same result chunk by chunk."""

    def apply(self, frame: Frame, context: TransformContext) -> Frame:
        """The new current frame. ``frame`` is the step's own: it may be changed in place.

        Raises:
            TransformError: the frame lacks a column, or a value cannot be treated; says which.
        """
        ...
