"""Engine: reads, writes and queries frames of one kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from odibi.contracts.format import Source, Target, WriteReport

Frame = Any
"""A table value of some engine. The kernel never looks inside one."""


@attrs.frozen
class Column:
    """One column of a frame.

    Attributes:
        name: its name.
        type: its type in Arrow's words (``int64``, ``string``, ``timestamp[us, tz=UTC]``, ``decimal128(10, 2)``).
        nullable: whether it may hold nulls.
    """

    name: str
    type: str
    nullable: bool = True


@attrs.frozen
class FrameInfo:
    """What an engine knows of a frame without computing it.

    Attributes:
        rows: the number of rows; ``None`` where finding out would mean computing.
        schema: the columns in order.
        bytes: memory the frame takes; ``None`` where not known.
    """

    rows: int | None
    schema: tuple[Column, ...]
    bytes: int | None = None


class Session(Protocol):
    """A namespace for SQL that belongs to one attempt of one node.

    Nothing registered in one session shows in another, however many run at once and whatever names they use.
    """

    def sql(self, query: str, frames: Mapping[str, Frame]) -> Frame:
        """The result of a single ``SELECT`` that sees ``frames`` under their names, and nothing else.

        Raises:
            TransformError: the query cannot be parsed, names what is not there, is not a query, or fails.
        """
        ...

    def interrupt(self) -> None:
        """Ask a query that runs in another thread to stop; called when a node times out or a run is cancelled."""
        ...

    def close(self) -> None:
        """Drop everything the session registered; may be called twice."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Works on frames of one type.

    Promises:
        * A frame handed to two nodes is not changed by either (:meth:`share`).
        * Results do not depend on which worker ran the node, or on what ran beside it.
        * All methods may be called from many threads at once.
    """

    frame_type: ClassVar[str]
    """The type of its frames as ``"module:Class"``; known without importing the module."""

    dialect: ClassVar[str]
    """The SQL it speaks, by sqlglot's name (``"duckdb"``, ``"spark"``)."""

    def read(self, source: Source) -> Frame:
        """The data at ``source`` (an object, a glob, a folder of parts, a table) as one frame.

        Raises:
            DataError: what is there cannot be read as the source's format.
            StorageError: as the storage raised it.
        """
        ...

    def read_chunks(self, source: Source, rows: int) -> Iterator[Frame]:
        """The same data in order, in frames of about ``rows`` rows, with memory bound by one of them."""
        ...

    def write(self, frame: Frame, target: Target) -> WriteReport:
        """Write ``frame`` as ``target`` says; what readers see changes at once or not at all."""
        ...

    def write_chunks(self, frames: Iterator[Frame], target: Target) -> WriteReport:
        """Write frames of one schema one after another as one target, with memory bound by one of them."""
        ...

    def sql(self, query: str, frames: Mapping[str, Frame]) -> Frame:
        """:meth:`Session.sql` in a session of its own."""
        ...

    def session(self, node: str) -> Session:
        """A new namespace for one attempt of ``node``."""
        ...

    def share(self, frame: Frame) -> Frame:
        """A handle on the same data for one more reader; changing it in place never shows in another handle."""
        ...

    def to_arrow(self, frame: Frame) -> Any:
        """An object with ``__arrow_c_stream__``; without a copy where that is possible."""
        ...

    def from_arrow(self, stream: Any) -> Frame:
        """A frame from any object with ``__arrow_c_stream__``."""
        ...

    def write_arrow(self, frame: Frame, file: BinaryIO) -> None:
        """Write the frame to ``file`` as one Arrow IPC file (not a stream), so that :meth:`read_arrow` gives it back.

        It must come back as it was: columns, types of columns, index, and whatever else of it a step can see.

        Raises:
            DataError: this frame would not; says why.
        """
        ...

    def read_arrow(self, data: memoryview) -> Frame:
        """The frame that :meth:`write_arrow` wrote, from memory that stays as it is, without a copy where possible.

        Raises:
            DataError: it is none.
        """
        ...

    def inspect(self, frame: Frame) -> FrameInfo:
        """Rows and schema, without computing anything."""
        ...

    def sample(self, frame: Frame, n: int) -> Sequence[Mapping[str, Any]]:
        """Up to ``n`` rows as plain Python values, for people to look at."""
        ...

    def close(self) -> None:
        """Let go of what the engine holds; may be called twice."""
        ...
