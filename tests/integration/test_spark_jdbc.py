"""The format jdbc against a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from glob import glob
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pyarrow as pa
import pytest

import odibi

pytest.importorskip("pyspark")
sys.path.insert(0, str(Path(__file__).parent))

from spark_sessions import local_session

from odibi.contracts import Bound
from odibi.contracts.format import Source, Target, WriteMode
from odibi.errors import DataError, NotFound, OdibiError
from odibi.host import Host
from odibi.model import Incremental, Node, Read, Write

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

DRIVER = "org.postgresql:postgresql:42.7.4"
PASSWORD = "s3cr3t/pass+word"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


def driver_jar() -> Path:
    """The JDBC driver of PostgreSQL, fetched by Maven once."""
    base = os.environ.get("ODIBI_TEST_JARS") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "odibi-tests", "jars"
    )
    folder = Path(base, "postgresql-42.7.4")
    jar = folder / "postgresql-42.7.4.jar"
    if not jar.exists():
        maven = shutil.which("mvn")
        if maven is None:
            pytest.skip("there is no Maven")
        command = [maven, "-B", "-q", COPY, f"-Dartifact={DRIVER}", f"-DoutputDirectory={folder}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        if not jar.exists():
            pytest.skip(f"Maven does not get {DRIVER}: {done.stdout[-300:]}")
    return jar


class Postgres:
    """A server of its own on this machine, as a connection."""

    def __init__(self, port: int, *, password: str = PASSWORD, in_url: bool = False) -> None:
        self._port = port
        self._password = password
        self._in_url = in_url

    def native_options(self, for_: str) -> Mapping[str, Any]:
        if for_ != "jdbc":
            return {"packages": [DRIVER]}
        known = {"url": f"jdbc:postgresql://127.0.0.1:{self._port}/shop", "driver": "org.postgresql.Driver"}
        if self._in_url:
            return {**known, "url": f"{known['url']}?user=shopkeeper&password={self._password}"}
        return {**known, "user": "shopkeeper", "password": self._password}

    def uri(self, path: str) -> str:
        return f"postgresql://127.0.0.1:{self._port}/shop"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A running PostgreSQL whose users need their passwords."""
    found = sorted(glob("/usr/lib/postgresql/*/bin"))
    if not found:
        pytest.skip("there is no PostgreSQL")
    home = Path(tempfile.mkdtemp(prefix="odibi-pg-", dir="/tmp"))
    data, secret = home / "data", home / "secret"
    secret.write_text(PASSWORD)
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(home, "postgres")
        shutil.chown(secret, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]

    def run(*command: str) -> None:
        subprocess.run(
            [*as_user, *command], check=True, capture_output=True, timeout=120, cwd=home, stdin=subprocess.DEVNULL
        )

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    binaries = Path(found[-1])
    run(
        *(str(binaries / "initdb"), "-D", str(data), "-U", "shopkeeper", "-A", "scram-sha-256"),
        *("--pwfile", str(secret), "-E", "UTF8", "--locale=C"),
    )
    options = f"-h 127.0.0.1 -p {number} -k {home}"
    run(str(binaries / "pg_ctl"), "-w", "-D", str(data), "-l", str(home / "log"), "-o", options, "start")
    try:
        login = f"host=127.0.0.1 port={number} user=shopkeeper password={PASSWORD}"
        run(str(binaries / "psql"), f"{login} dbname=postgres", "-c", "create database shop")
        statements = """
            create table orders (id bigint primary key, day date, at timestamp, seen timestamptz, price numeric(10, 2),
                                 name text not null default 'none', paid boolean);
            insert into orders select n, date '2013-01-01' + n::int, timestamp '2013-01-02 03:04:05.000006',
                timestamptz '2013-01-02 03:04:05+02', n + 0.25, 'name ' || n, n % 2 = 0
                from generate_series(1, 100) as n;
        """
        run(str(binaries / "psql"), f"{login} dbname=shop", "-v", "ON_ERROR_STOP=1", "-c", statements)
        yield number
    finally:
        run(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from odibi_spark.engine import SparkEngine

    with local_session(tmp_path_factory.mktemp("spark"), {"spark.jars": str(driver_jar())}) as session:
        made = SparkEngine(spark_session=session)
        yield made
        made.close()


@pytest.fixture
def read(engine: Any, port: int) -> Callable[..., Any]:
    from odibi_spark.formats.jdbc import JdbcFormat

    def done(
        storage: Any = None, *, columns: tuple[str, ...] | None = None, after: Bound | None = None, **more: Any
    ) -> Any:
        place = {name: more.pop(name, None) for name in ("table", "query", "path")}
        source = Source(
            storage=storage or Postgres(port),
            connection="shop",
            format=JdbcFormat(**more),
            format_name="jdbc",
            columns=columns,
            after=after,
            **place,
        )
        return engine.read(source)

    return done


@pytest.fixture
def write(engine: Any, port: int) -> Callable[..., Any]:
    from odibi_spark.formats.jdbc import JdbcFormat

    def done(rows: pa.Table, table: str, mode: str = "overwrite", storage: Any = None, **options: Any) -> Any:
        target = Target(
            storage=storage or Postgres(port),
            connection="shop",
            format=JdbcFormat(**options),
            format_name="jdbc",
            part="p1",
            table=table,
            mode=WriteMode(mode),
        )
        return engine.write(engine.from_arrow(rows), target)

    return done


ROWS = pa.table(
    {
        "id": pa.array([1, 2], pa.int64()),
        "name": ["x", None],
        "day": [dt.date(2013, 1, 2), None],
        "at": pa.array([dt.datetime(2013, 1, 2, 3, 4, 5, 6), None], pa.timestamp("us")),
        "seen": pa.array([dt.datetime(2013, 1, 2, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
        "price": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(10, 2)),
        "paid": [True, None],
    }
)


def values(frame: Any) -> list[Any]:
    table: pa.Table = frame.toArrow()
    return table.sort_by("id").to_pylist()


def test_tables_and_queries(read: Callable[..., Any]) -> None:
    orders = read(table="orders")
    assert {it.name: it.dataType.simpleString() for it in orders.schema.fields} == {
        "id": "bigint",
        "day": "date",
        "at": "timestamp_ntz",
        "seen": "timestamp",
        "price": "decimal(10,2)",
        "name": "string",
        "paid": "boolean",
    }
    first = values(orders)[0]
    assert first["at"] == dt.datetime(2013, 1, 2, 3, 4, 5, 6)
    assert first["seen"] == dt.datetime(2013, 1, 2, 1, 4, 5, tzinfo=dt.UTC)
    assert orders.count() == 100
    asked = read(query="select id, name from public.orders where name like '%7';", columns=("name",))
    assert sorted(row[0] for row in asked.collect()) == sorted(f"name {at}7" for at in ["", *range(1, 10)])


@pytest.mark.parametrize(
    ("column", "low", "high"),
    [("id", 10, 90), ("day", "2013-01-10", "2013-03-01"), ("seen", "2013-01-01", "2014-01-01")],
)
def test_a_table_in_parts_is_whole(read: Callable[..., Any], column: str, low: Any, high: Any) -> None:
    more = {"partition_column": column, "lower_bound": low, "upper_bound": high, "num_partitions": 4}
    for place in ({"table": "orders"}, {"query": "select * from orders"}):
        frame = read(**place, **more)
        assert frame.rdd.getNumPartitions() == 4
        assert [row["id"] for row in values(frame)] == list(range(1, 101))


def test_modes(read: Callable[..., Any], write: Callable[..., Any]) -> None:
    assert write(ROWS, "modes").rows == 2
    assert values(read(table="modes")) == ROWS.to_pylist()
    assert write(ROWS.slice(0, 1), "modes", "append").rows == 1
    assert read(table="modes").count() == 3
    write(ROWS.slice(0, 1), "modes")
    assert values(read(table="modes")) == ROWS.slice(0, 1).to_pylist()
    with pytest.raises(DataError, match="shop:modes: there is a table already"):
        write(ROWS, "modes", "error")
    assert write(ROWS, "modes", "ignore").skipped
    assert read(table="modes").count() == 1
    assert write(ROWS, "made_by_error", "error").rows == 2
    assert write(ROWS, "made_by_ignore", "ignore", isolation_level="serializable", batch_size=1).rows == 2


def test_overwrite_keeps_the_table(read: Callable[..., Any], write: Callable[..., Any]) -> None:
    write(ROWS, "kept", column_types="name varchar(7)")
    query = "select data_type, character_maximum_length as n from information_schema.columns where table_name='kept'"
    assert ("character varying", 7) in {tuple(row) for row in read(query=query).collect()}
    write(ROWS, "kept")
    assert ("character varying", 7) in {tuple(row) for row in read(query=query).collect()}


@pytest.mark.parametrize("mode", ["upsert", "append_once"])
def test_merging_is_refused(write: Callable[..., Any], mode: str) -> None:
    with pytest.raises(DataError, match=r"no merge for databases.*merge the two in the database"):
        write(ROWS, "orders", mode)


def test_mistakes(read: Callable[..., Any], write: Callable[..., Any]) -> None:
    with pytest.raises(NotFound, match="shop:nothing: there is no such table"):
        read(table="nothing")
    with pytest.raises(DataError, match="syntax error"):
        read(query="selec 1")
    with pytest.raises(DataError, match="lower_bound, upper_bound and num_partitions"):
        read(table="orders", partition_column="id")
    with pytest.raises(DataError, match="neither a number, a date nor a moment with a zone"):
        read(
            table="orders", partition_column="at", lower_bound="2013-01-01", upper_bound="2014-01-01", num_partitions=2
        )
    with pytest.raises(DataError, match="no column that they are of"):
        read(table="orders", lower_bound=1)
    with pytest.raises(DataError, match="reads a table or a query"):
        read(path="x.csv")
    with pytest.raises(DataError, match="there is no column 'nme'"):
        read(table="orders", columns=("nme",))
    with pytest.raises(
        OdibiError, match=r'shop:orders: .*duplicate key value violates unique constraint "orders_pkey"'
    ):
        write(pa.table({"id": [1], "name": ["x"]}), "orders", "append")
    for options in ({"num_partitions": 0}, {"batch_size": 0}, {"fetch_size": 0}):
        with pytest.raises(ValueError, match="1 or more"):
            read(table="orders", **options)


@pytest.mark.parametrize("in_url", [False, True])
def test_no_password_is_told(read: Callable[..., Any], write: Callable[..., Any], port: int, in_url: bool) -> None:
    right = (
        Postgres(port, in_url=in_url) if not in_url else Postgres(port, password="s3cr3t%2Fpass%2Bword", in_url=True)
    )
    assert read(right, table="orders").count() == 100
    for storage in (right, Postgres(port, password="wr0ng-one", in_url=in_url)):
        for attempt in (
            lambda storage=storage: read(storage, query="select 's3cr3t/pass+word' frm t"),
            lambda storage=storage: read(storage, table="nothing"),
            lambda storage=storage: write(ROWS, "no_schema.t", storage=storage),
        ):
            with pytest.raises(OdibiError) as caught:
                attempt()  # type: ignore[no-untyped-call]
            told = f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
            assert "wr0ng-one" not in told
            assert "s3cr3t" not in told or storage is not right
            assert "SQLSTATE" not in told


def test_a_connection_that_is_no_database(read: Callable[..., Any], port: int) -> None:
    class Elsewhere(Postgres):
        def native_options(self, for_: str) -> Mapping[str, Any]:
            return {}

    with pytest.raises(DataError, match="the connection is no database over JDBC"):
        read(Elsewhere(port), table="orders")

    class Undriven(Postgres):
        def native_options(self, for_: str) -> Mapping[str, Any]:
            return {**super().native_options(for_), "driver": "org.example.Driver"}

    with pytest.raises(OdibiError, match="Name its package in the engine's option packages"):
        read(Undriven(port), table="orders")


# --- the rows above and up to a value -------------------------------------------------------------------------------


def pushed(frame: Any) -> str:
    """The plan, as Spark tells it."""
    return str(frame._jdf.queryExecution().executedPlan().toString())


@pytest.mark.parametrize(
    ("column", "above", "upto"),
    [
        ("id", 40, 60),
        ("price", decimal.Decimal("40.25"), decimal.Decimal("60.250")),
        ("day", dt.date(2013, 2, 10), dt.date(2013, 3, 2)),
        ("at", dt.datetime(2013, 1, 2, 3, 44, 5, 6), dt.datetime(2013, 1, 2, 4, 4, 5, 6)),
        (
            "seen",
            dt.datetime(2013, 1, 2, 1, 44, 5, tzinfo=dt.UTC),
            dt.datetime(2013, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        ),
    ],
)
def test_the_database_leaves_out_what_is_not_meant(
    read: Callable[..., Any], engine: Any, column: str, above: Any, upto: Any
) -> None:
    """In the types of its columns; what is in between is the same as if Spark had looked at all."""
    query = """
        select id, price, day, at + id * interval '1 minute' as at, seen + id * interval '1 minute' as seen from orders
    """
    found = read(query=query, after=Bound(column, above, upto))
    assert [row["id"] for row in values(found)] == list(range(41, 61))
    plan = pushed(found).replace(" ", "")
    assert f"GreaterThan({column}," in plan
    assert f"LessThanOrEqual({column}," in plan
    newest = engine.newest(found, column)
    assert (newest, type(newest)) == (upto, type(upto))
    assert engine.newest(read(query=query, after=Bound(column, upto, above)), column) is None


def test_texts_have_our_order_whatever_that_of_the_database_is(read: Callable[..., Any]) -> None:
    words = "select word as id from unnest(array['b', 'a', 'B', 'ab', 'é', 'z']) as word"
    for collation in ("C", "und-x-icu"):
        query = f'select id collate "{collation}" as id from ({words}) as words'
        assert [row["id"] for row in values(read(query=query, after=Bound("id", "a", "z")))] == ["ab", "b", "z"]
        assert [row["id"] for row in values(read(query=query, after=Bound("id", "z")))] == ["é"]


@attrs.frozen
class Shop:
    """The server, as a component."""

    port: int

    def native_options(self, for_: str) -> Mapping[str, Any]:
        return Postgres(self.port).native_options(for_)

    def uri(self, path: str) -> str:
        return Postgres(self.port).uri(path)

    def close(self) -> None:
        """It holds nothing."""


@pytest.mark.parametrize("place", [{"table": "events"}, {"query": "select id, at from events"}])
def test_runs_read_what_is_new(
    write: Callable[..., Any], engine: Any, port: int, tmp_path: Path, place: dict[str, Any]
) -> None:
    storages = SimpleNamespace(odibi_storages=odibi.hookimpl(lambda: {"shop": f"{__name__}:Shop"}))
    read = Read("shop", format="jdbc", incremental=Incremental("at"), **place)
    sales = odibi.Pipeline(
        "sales",
        [Node("events", read=read, write=Write("lake", "out", format="parquet", mode=WriteMode.APPEND))],
        engine="spark",
        connections={
            "shop": {"type": "shop", "port": port},
            "lake": {"type": "local", "base_path": str(tmp_path / "lake")},
        },
        checkpoints={"type": "sqlite", "path": str(tmp_path / "runs.db")},
        host=Host(plugins=[storages]),
    )
    (tmp_path / "lake").mkdir()

    def put(*ids: int, mode: str = "append") -> None:
        moments = pa.array([dt.datetime(2024, 1, it) for it in ids], pa.timestamp("us"))
        write(pa.table({"id": pa.array(ids, pa.int64()), "at": moments}), "events", mode)

    put(1, 2, mode="overwrite")
    sales.run()
    put(3)
    (reason,) = sales.plan().reasons
    assert reason.startswith("rows after 2024-01-02 00:00:00 of ")
    sales.run()
    sales.run(force=True)
    out = engine.native.read.parquet(str(tmp_path / "lake/out")).toArrow()
    assert sorted(out["id"].to_pylist()) == [1, 2, 3]
