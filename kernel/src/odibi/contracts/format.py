"""Format: reads and writes one format for one engine."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from odibi.contracts.bounds import Bound
    from odibi.contracts.engine import Engine, Frame
    from odibi.contracts.storage import Storage
    from odibi.contracts.trigger import FileVersion


class WriteMode(str, Enum):
    """What a write does with what is there."""

    OVERWRITE = "overwrite"
    """Readers see the old data or the new, whole."""
    APPEND = "append"
    """One more part beside those there; the same part twice changes nothing."""
    APPEND_ONCE = "append_once"
    """Only rows whose keys are not there yet. Keys that are null, that come twice, or that are no columns are a
    :class:`~odibi.errors.DataError`, before anything is written."""
    UPSERT = "upsert"
    """Rows whose keys are there replace them; the others are added. Keys as for ``APPEND_ONCE``."""
    ERROR = "error"
    """Fail if anything is there."""
    IGNORE = "ignore"
    """Do nothing if anything is there."""


@attrs.frozen
class Source:
    """What a node reads.

    Attributes:
        storage: the built connection.
        connection: its name in the project.
        path: an object, a folder, or a glob (``*``, ``?``, ``[...]``, ``**``); ``None`` for a table or a query.
        table: the name of a table, for connections that have them.
        query: a query, for connections that answer them.
        format: the built format; a :class:`Format` or a :class:`TableFormat`.
        format_name: its name in the project (``csv``).
        columns: the columns wanted, in order; ``None`` for all. Formats that can, read no others.
        only: the objects that are meant out of those that ``path`` means, each in this one version, in the order in
            which they are to be read; ``None`` for all. :func:`odibi.contracts.finding.parts_of` heeds it, and so must
            an engine that finds objects otherwise: one that is gone, or is there in another version, is a
            :class:`~odibi.errors.Conflict`; one that ``path`` does not mean, a :class:`~odibi.errors.DataError`; no
            object at all, :class:`~odibi.errors.NotFound`, as it is without ``only``. Where a frame is computed when it
            is read, the kernel looks at the versions once more after that. With an engine that reads later (``lazy``),
            an object that is replaced between the two is read as it is then, and nobody can tell.
        after: the rows that are meant, by the values of one column, which is among ``columns``; ``None`` for all. An
            engine with the capability ``bounds`` heeds it whatever the format; others are never given one. A column
            that is not there, or whose values cannot be compared with the bounds, is a
            :class:`~odibi.errors.DataError`. That no row is meant is a frame without rows, of the same columns.
    """

    storage: Storage
    connection: str
    format: Format | TableFormat
    format_name: str
    path: str | None = None
    table: str | None = None
    query: str | None = None
    columns: tuple[str, ...] | None = None
    only: tuple[FileVersion, ...] | None = None
    after: Bound | None = None

    def __str__(self) -> str:
        return f"{self.connection}:{self.path or self.table or self.query}"


@attrs.frozen
class Target:
    """What a node writes.

    Attributes:
        storage, connection, path, table, format, format_name: as in :class:`Source`.
        mode: what happens to what is there.
        partition_by: columns whose values become folders (``year=2013/``).
        keys: the key columns of ``append_once`` and ``upsert``.
        part: names the parts of an append: the same for each attempt at the same work, different for other work.
    """

    storage: Storage
    connection: str
    format: Format | TableFormat
    format_name: str
    part: str
    path: str | None = None
    table: str | None = None
    mode: WriteMode = WriteMode.OVERWRITE
    partition_by: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.connection}:{self.path or self.table}"


@attrs.frozen
class WriteReport:
    """What a write did.

    Attributes:
        rows: written: of ``append_once`` those added, of ``upsert`` those that came; ``None`` where the engine cannot
            know without computing.
        bytes: of the objects written; ``None`` where not known.
        paths: the objects written, relative to the storage.
        skipped: the mode was ``ignore`` (or the part was there) and nothing was written.
        etags: path to etag, where the storage gave one.
        exact: whether what was written gives back the frame just as it was: all of it is there and nothing else, in a
            format that is exact for it.
        version: of the table after the write, as :meth:`TableFormat.version` tells it; empty where there is none.
    """

    rows: int | None
    bytes: int | None = None
    paths: tuple[str, ...] = ()
    skipped: bool = False
    etags: Mapping[str, str] = attrs.field(factory=dict)
    exact: bool = False
    version: str = ""


@runtime_checkable
class Format(Protocol):
    """One object, one frame: CSV, Parquet and their like.

    Its engine finds the objects (globs, folders, partitions), opens and publishes them, and asks the format for the
    middle part alone. Registered as ``"<engine>.<format>"``, such as ``"pandas.csv"``. Its fields are its options; an
    option that it does not know is refused by the kernel before anything runs.
    """

    extensions: ClassVar[tuple[str, ...]]
    """File name endings that mean this format (``(".csv", ".csv.gz")``); the first is given to new parts."""

    exact: ClassVar[bool]
    """Whether a frame of the engine's own kind that was written whole comes back as it was, types of columns included.
    Then what a node wrote can stand for its result (:attr:`WriteReport.exact`). Taken as false where a format does not
    say."""

    def read_object(self, file: BinaryIO, *, name: str, columns: Sequence[str] | None = None) -> Frame:
        """The frame in ``file``.

        Args:
            file: seekable, at its start.
            name: what to call it in an error.
            columns: the columns wanted; ``None`` for all.

        Raises:
            DataError: it is not what it should be, or lacks a wanted column; says where (line, column) as far as that
                can be known.
            StorageError: as the file raised it: one that passes must not look like damage.
        """
        ...

    def write_object(self, frame: Frame, file: BinaryIO) -> None:
        """Write all of ``frame`` to ``file``, which need not be seekable and stays open; the caller publishes it."""
        ...

    def read_object_chunks(
        self, file: BinaryIO, rows: int, *, name: str, columns: Sequence[str] | None = None
    ) -> Iterator[Frame]:
        """As :meth:`read_object`, in order, about ``rows`` rows at a time."""
        ...

    def write_object_chunks(self, frames: Iterator[Frame], file: BinaryIO) -> int:
        """Write frames of one schema one after another as one object; returns the number of rows."""
        ...


@runtime_checkable
class TableFormat(Protocol):
    """A format that looks after its own objects: a table format, a database, a message queue.

    One with the capability ``version`` has a method ``version(source: Source) -> str | None``: a text that changes
    whenever the data that would be read does, found without reading data; ``None`` if there is no table. Without it, a
    table is known by the objects below its path.

    An engine that works elsewhere may offer more to the formats made for it; they ask for it by
    ``getattr(engine, "native")``: for Spark, the ``SparkSession``. A format whose engine needs something before it
    starts says so in a class attribute, in words that the engine defines (``spark_packages``).
    """

    def read(self, source: Source, engine: Engine) -> Frame:
        """The data at ``source``."""
        ...

    def write(self, frame: Frame, target: Target, engine: Engine) -> WriteReport:
        """Write ``frame`` as ``target.mode`` says, or refuse a mode that it does not offer with ``DataError``."""
        ...
