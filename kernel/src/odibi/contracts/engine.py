"""Engine: reads, writes and queries frames of one kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from odibi.contracts.bounds import Bound, Value
    from odibi.contracts.format import Source, Target, WriteReport
    from odibi.contracts.storage import Storage

Frame = Any
"""A table value of some engine. The kernel never looks inside one."""

Mark = Mapping[str, Any]
"""How far an engine read a source: JSON values, which the kernel keeps and never looks at."""


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


@attrs.frozen
class Progress:
    """How far an engine is with what a node asked of it.

    Attributes:
        done, total: of the parts that are known so far; ``total`` may grow.
        unit: what the parts are (``"tasks"``).
        detail: what is done just now, in a few words.
    """

    done: int
    total: int
    unit: str = "tasks"
    detail: str = ""


class Session(Protocol):
    """A namespace for SQL that belongs to one attempt of one node.

    Nothing registered in one session shows in another, however many run at once and whatever names they use.

    A session of a :class:`LazyEngine` may have a method ``watch(tell)``: from then on, and until it is closed, it calls
    ``tell`` with a :class:`Progress` whenever the engine gets on with the node's work, from any thread.
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


@runtime_checkable
class LazyEngine(Engine, Protocol):
    """An engine whose frames are recipes: nothing is computed until somebody needs rows. Has the capability ``lazy``.

    The session of a node is opened before anything else is done for the node, on the thread that does it, and closed
    when the node is done, so that the engine can tell by its thread which node its work belongs to.
    :meth:`Session.interrupt` then stops all of that, and not queries alone.
    """

    def retain(self, frame: Frame, *, uses: int, inputs: Sequence[Frame]) -> Frame:
        """The result of a node, or a stage of it, to be used from now on in the place of ``frame``.

        Nothing is computed here. If it will be used more than once, what is computed first is kept for the others; for
        as long as somebody holds the frame that is returned, or one whose ``inputs`` it is among.

        Args:
            frame: what the node made.
            uses: how many will want its rows: the checks and the write of its own node, and the nodes that read it.
            inputs: the frames that it was made from.
        """
        ...

    def expect(self, formats: Collection[type], storages: Collection[Storage]) -> None:
        """Told once, before anything else, what the project will have the engine read and write.

        Args:
            formats: the classes of the formats, as far as they are known.
            storages: the connections.
        """
        ...


@runtime_checkable
class DatasetEngine(Engine, Protocol):
    """An engine that keeps results as objects in a storage, past this process. Has the capability ``datasets``.

    What it writes there is its own affair, as nobody else reads it.
    """

    def write_dataset(self, frame: Frame, storage: Storage, path: str) -> Mapping[str, Any]:
        """Write the frame below ``path``, where nothing is yet.

        Returns:
            What :meth:`read_dataset` needs to know, as values that JSON has.

        Raises:
            DataError: the frame would not come back as it is; says why.
            StorageError: the storage cannot be written to.
        """
        ...

    def read_dataset(self, storage: Storage, path: str, known: Mapping[str, Any]) -> Frame:
        """The frame that :meth:`write_dataset` wrote; columns and types as they were.

        The objects are those that were written, as the cache has checked by their sizes and etags. Their content is
        checked when it is read: damage is a :class:`~odibi.errors.DataError` then, and the damaged object is deleted,
        so that the cache does not offer it again.
        """
        ...


@runtime_checkable
class CallingEngine(Engine, Protocol):
    """An engine that can have a function work on frames of another kind, such as pandas frames, part by part."""

    def call(
        self, function: Callable[[Any], Any], frame: Frame, *, kind: str, rowwise: bool, schema: str | None
    ) -> Frame:
        """What ``function`` makes of the frame.

        Args:
            function: takes one frame of ``kind`` and returns one.
            frame: of this engine.
            kind: what the function declares to work on (``@transform(frame="pandas")``).
            rowwise: whether the function may be called with a part of the rows at a time.
            schema: the columns of the result, as the function declares them, in the engine's words.

        Raises:
            TransformError: the engine has no frames of this kind, or not for this function; says what to do.
        """
        ...


@runtime_checkable
class BoundedEngine(Engine, Protocol):
    """An engine that reads some rows of a source by the values of a column. Has the capability ``bounds``.

    Its :meth:`Engine.read` and :meth:`Engine.read_chunks` heed :attr:`odibi.contracts.format.Source.after`, whatever
    the format.
    """

    def newest(self, frame: Frame, column: str) -> Value | None:
        """The greatest value of a column; ``None`` if it has none. Nulls, and not-a-number, are no values.

        Args:
            frame: as it was read.
            column: its name.

        Raises:
            DataError: there is no such column, its type has no order to go by (truth values, lists), or the value is a
                moment finer than a microsecond, which Python, and so a bound, cannot hold.
        """
        ...


@runtime_checkable
class TailedEngine(BoundedEngine, Protocol):
    """An engine that may read of a source that only grew what was appended alone. Has the capability ``tails``."""

    def read_from(self, source: Source, mark: Mark | None) -> tuple[Frame, Mark | None]:
        """What :meth:`Engine.read` gives, rows, order and types, at whatever cost that takes.

        A mark is used where it is sure to change nothing in the result, and else it is as if there were none: also one
        of another source or version, and any other JSON value. That the beginning of a source is as it was has to be
        known, and not to be guessed from some of it.

        Args:
            source: with bounds.
            mark: from a read of a source whose rows, all that are not null, have values up to ``source.after.above``;
                it may have gone through JSON. ``None`` if there is none.

        Returns:
            The frame, and the mark of what was read for it. ``None`` if there is no use in one. Only that mark goes
            with the values of this frame, as the source may have grown before or since.

        Raises:
            DataError: as :meth:`Engine.read`.
        """
        ...


@runtime_checkable
class KeyedEngine(BoundedEngine, Protocol):
    """An engine that tells the rows of a frame by their keys. Has the capability ``keys``.

    A row without a key (null in one of its columns), and a key of a kind that is not among
    :data:`odibi.contracts.bounds.KEY_KINDS` or whose column is not there, is a :class:`~odibi.errors.DataError`. Rows
    are counted from 0, in the order of the frame, which no method changes.
    """

    def digests(self, frame: Frame, key: Sequence[str], bound: Bound) -> Iterator[tuple[int, bytes, Value]]:
        """Of each row that ``bound`` means: where it is, :func:`odibi.contracts.bounds.key_digest` of its key, and its
        value in the column of ``bound``.

        Raises:
            DataError: as above; or the column cannot be bound so, see :meth:`BoundedEngine.newest`.
        """
        ...

    def newest_of_each(self, frame: Frame, key: Sequence[str], column: str) -> Frame:
        """Of the rows that have one key, the one with the greatest value in a column; of several such, the first.

        Args:
            frame: as it was read; each row has a value in the column.
            key: the names of its columns.
            column: the name of the other.
        """
        ...

    def without(self, frame: Frame, rows: Collection[int]) -> Frame:
        """The frame without these rows; the columns and the order of the others stay."""
        ...
