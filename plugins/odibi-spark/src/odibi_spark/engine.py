"""The Spark engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import attrs

from odibi import option
from odibi.contracts.amounts import size
from odibi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from odibi.contracts.bounds import Value
    from odibi.contracts.engine import FrameInfo, Session
    from odibi.contracts.format import Source, Target, WriteReport
    from odibi.contracts.storage import Storage

# pyspark and pyarrow are imported where they are used: this module is also read to learn the engine's options.


class _Settings(dict[str, str]):
    """Settings that do not show: there may be keys among them."""

    def __repr__(self) -> str:
        return f"<{len(self)} settings>"


class _Dialect:
    """The SQL that an engine is asked in: Spark's own, unless its option says another."""

    def __get__(self, engine: SparkEngine | None, kind: type) -> str:
        return "spark" if engine is None else engine.sql_dialect


def _amount(_: Any, __: Any, value: str) -> None:
    size(value)


@attrs.frozen(eq=False)
class SparkEngine:
    """Frames are Spark DataFrames: recipes that Spark computes, on this machine or on a cluster, when rows are needed.

    The session is started when a node first needs it; one that the application has started is used, and left running.
    """

    frame_type: ClassVar[str] = "pyspark.sql:DataFrame"
    dialect: ClassVar[Any] = _Dialect()
    capabilities: ClassVar[Mapping[str, str]] = {
        "lazy": "full",
        "datasets": "full",
        "bounds": "full",
        "chunks": "none: Spark itself cuts the data into parts",
    }
    effects: ClassVar[tuple[str, ...]] = ("files", "network", "subprocess")

    master: str | None = option(
        None, help="Where Spark runs: local[4], spark://host:7077, yarn, k8s://...; by default local[*]."
    )
    remote: str | None = option(
        None, help="A Spark Connect server (sc://host:15002/;token=...), instead of master.", secret=True
    )
    spark_session: Any = option(  # noqa: RUF009 - an option like the others
        None, help="A SparkSession of the application's own, given from Python, instead of master and remote."
    )
    app_name: str = option("odibi", help="What Spark calls the application.")
    conf: Mapping[str, str] = option(
        factory=dict,
        help="Settings for a session that is started here, such as spark.executor.memory.",
        converter=_Settings,
    )
    packages: tuple[str, ...] = option(
        (), help="Maven coordinates of more jars; those that formats and connections need are added."
    )
    jars: tuple[str, ...] = option((), help="Paths of more jars. Packages that they hold are not looked for elsewhere.")
    sql_dialect: Literal["spark", "duckdb"] = option(
        "spark", help="The dialect that the project's SQL is written in; duckdb is translated, or refused."
    )
    driver_limit: str = option(
        "1 GB",
        help="How much data of one frame may come to this process, for another engine or a pandas function.",
        validator=_amount,
    )
    persist: Literal["memory_and_disk", "memory", "disk", "none"] = option(
        "memory_and_disk", help="Where frames are kept that are used more than once."
    )
    keep_session: bool = option(
        True, help="Leave a session that was started here running for later runs, until this process ends."
    )
    cluster: Any = attrs.field(init=False, repr=False)

    @cluster.default
    def _make_cluster(self) -> Any:
        from odibi_spark.cluster import Cluster

        return Cluster(
            master=self.master,
            remote=self.remote,
            session=self.spark_session,
            app_name=self.app_name,
            conf=self.conf,
            packages=self.packages,
            jars=self.jars,
            keep=self.keep_session,
            limit=size(self.driver_limit),
        )

    @property
    def native(self) -> Any:
        """The ``SparkSession``; started if there is none."""
        return self.cluster.spark

    def expect(self, formats: Collection[type], storages: Collection[Storage]) -> None:
        """Remember what the session has to be able to do before it is started."""
        self.cluster.expect(formats, storages)

    def read(self, source: Source) -> Any:
        """The data at ``source``, not read yet but for its schema."""
        frame = source.format.read(source, self)  # type: ignore[union-attr]
        if source.after is None:
            return frame
        from odibi_spark.bounds import within

        foreign = bool(getattr(source.format, "foreign_order", False))
        return within(frame, source.after, str(source), foreign=foreign)

    def read_chunks(self, source: Source, rows: int) -> Iterator[Any]:  # noqa: ARG002 - Spark decides
        """All of it, as one frame."""
        return iter([self.read(source)])

    def write(self, frame: Any, target: Target) -> WriteReport:
        """Write ``frame`` as ``target`` says."""
        return target.format.write(frame, target, self)  # type: ignore[union-attr]

    def write_chunks(self, frames: Iterator[Any], target: Target) -> WriteReport:  # noqa: ARG002 - refused
        """Refused: a frame of Spark is no chunk.

        Raises:
            DataError: always.
        """
        raise DataError(
            "Spark does not write in chunks: it cuts the data into parts by itself",
            where=str(target),
            remedy="Leave out chunk_rows in the node's 'read'.",
        )

    def sql(self, query: str, frames: Mapping[str, Any]) -> Any:
        """The result of a single query that sees ``frames`` under their names, and nothing else."""
        session = self.session("sql")
        try:
            return session.sql(query, frames)
        finally:
            session.close()

    def session(self, node: str) -> Session:
        """A new namespace for one attempt of ``node``."""
        from odibi_spark.sql import SqlSession

        return SqlSession(self.cluster, node, self.sql_dialect)

    def retain(self, frame: Any, *, uses: int, inputs: Sequence[Any]) -> Any:
        """The frame, persisted once it is computed if it is used more than once, until nobody holds it."""
        return self.cluster.shelf.retain(frame, uses=uses, inputs=inputs, level=self.persist)

    def call(self, function: Callable[[Any], Any], frame: Any, *, kind: str, rowwise: bool, schema: str | None) -> Any:
        """What a function on pandas frames makes of the frame."""
        from odibi_spark.pandas_functions import call

        return call(function, frame, kind=kind, rowwise=rowwise, schema=schema, limit=size(self.driver_limit))

    def share(self, frame: Any) -> Any:
        """The frame itself: nothing changes one in place."""
        return frame

    def to_arrow(self, frame: Any) -> Any:
        """The rows as an Arrow table, in this process.

        Raises:
            DataError: there is more of it than ``driver_limit``.
        """
        from odibi_spark.arrow import collect

        return collect(frame, size(self.driver_limit))

    def from_arrow(self, stream: Any) -> Any:
        """A frame of the rows of any object with ``__arrow_c_stream__``."""
        from odibi_spark.arrow import distribute

        return distribute(self.native, stream)

    def write_arrow(self, frame: Any, file: BinaryIO) -> None:
        """Write the rows, which have to come to this process for it, as one Arrow IPC file."""
        from odibi_spark.arrow import write_file

        write_file(frame, file, size(self.driver_limit))

    def read_arrow(self, data: memoryview) -> Any:
        """The frame that :meth:`write_arrow` wrote."""
        from odibi_spark.arrow import read_file

        return read_file(self.native, data)

    def write_dataset(self, frame: Any, storage: Storage, path: str) -> Mapping[str, Any]:
        """Write the frame as Parquet below ``path``."""
        from odibi_spark.datasets import write

        return write(frame, storage, path)

    def read_dataset(self, storage: Storage, path: str, known: Mapping[str, Any]) -> Any:
        """The frame that :meth:`write_dataset` wrote, read by its address."""
        from odibi_spark.datasets import read

        return read(self.native, storage, path, known)

    def newest(self, frame: Any, column: str) -> Value | None:
        """The greatest value of a column; ``None`` if it has none. A Spark job."""
        from odibi_spark.bounds import newest

        return newest(frame, column)

    def inspect(self, frame: Any) -> FrameInfo:
        """The schema; how many rows there are is not known without computing them."""
        from odibi_spark.arrow import info

        return info(frame)

    def sample(self, frame: Any, n: int) -> Sequence[Mapping[str, Any]]:
        """Up to ``n`` rows as values that JSON has; a Spark job."""
        from odibi_spark.arrow import rows

        return rows(frame, n)

    def close(self) -> None:
        """Let go of frames that are kept, and of a session that was started here, unless it is to be kept."""
        self.cluster.close()
