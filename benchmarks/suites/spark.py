"""What a pipeline on Spark costs over the same by hand: in time, and in the jobs that Spark starts."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import odibi
from benchmarks.figures import Report, Samples, Table, number, ratio, spread
from benchmarks.settings import Settings, progress

HAND, ONE, MANY = "by hand", "odibi, 1 worker", "odibi, 4 workers"

READS = {"sales": 2_000_000, "shops": 500, "goods": 2_000, "days": 365}
"""The tables that are read, and how many rows they have; fewer of the first in a quick run."""

QUERIES = {
    "sold": "SELECT sale, shop, good, day, amount, price, amount * price AS total FROM sales WHERE amount > 0",
    "open_shops": "SELECT shop, region, size FROM shops WHERE size > 1",
    "kinds": "SELECT good, kind, weight FROM goods",
    "weeks": "SELECT day, CAST(day / 7 AS INT) AS week FROM days",
    "placed": "SELECT s.*, o.region FROM sold s JOIN open_shops o USING (shop)",
    "wide": "SELECT p.*, k.kind, k.weight, w.week FROM placed p JOIN kinds k USING (good) JOIN weeks w USING (day)",
    "heavy": "SELECT * FROM wide WHERE weight > 50",
    "light": "SELECT * FROM wide WHERE weight <= 50",
    "by_region": "SELECT region, week, sum(total) AS total, count(*) AS n FROM wide GROUP BY region, week",
    "by_kind": "SELECT kind, sum(total) AS total, avg(price) AS price FROM wide GROUP BY kind",
    "heavy_regions": "SELECT region, sum(weight * amount) AS weight FROM heavy GROUP BY region",
    "light_regions": "SELECT region, sum(weight * amount) AS weight FROM light GROUP BY region",
    "ranked": "SELECT *, rank() OVER (PARTITION BY week ORDER BY total DESC) AS place FROM by_region",
    "weights": "SELECT h.region, h.weight AS heavy, l.weight AS light"
    " FROM heavy_regions h JOIN light_regions l USING (region)",
    "best": "SELECT region, count(*) AS weeks FROM ranked WHERE place = 1 GROUP BY region",
    "summary": "SELECT b.region, b.weeks, w.heavy, w.light FROM best b JOIN weights w USING (region)",
}
"""Node to its query; with the reads, twenty nodes."""

WRITES = ("by_kind", "ranked", "weights", "summary")


def measure(settings: Settings) -> Report:
    """Twenty nodes of SQL, four of which write; again and again, in turns, in one session."""
    table = Table(
        "spark: seconds a run of 20 nodes, median (minimum to maximum)",
        ["who", "seconds", "of by hand", "jobs", "of by hand"],
    )
    report = Report("spark", [table])
    for needed in ("pyspark", "odibi_spark", "odibi_local"):
        try:
            import_module(needed)
        except ImportError as error:
            table.note(f"nothing is measured: {error}")
            return report
    folder = Path(tempfile.mkdtemp(prefix="odibi-benchmark-"))
    spark = _session(folder)
    try:
        progress("spark: making the tables")
        _make_tables(spark, folder, 20_000 if settings.quick else READS["sales"])
        contenders = {HAND: _by_hand(spark, folder), ONE: _ours(folder, 1), MANY: _ours(folder, 4)}
        found, jobs = _in_turns(spark, contenders, rounds=2 if settings.quick else 11)
        _check_same(spark, folder, contenders)
    finally:
        spark.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for who, samples in found.items():
        cells = [spread(samples, 1), ratio(samples, found[HAND]), number(jobs[who]), number(jobs[who] / jobs[HAND])]
        table.rows.append([who, *cells])
        report.raw.append({"who": who, "seconds": samples.seconds, "jobs": jobs[who]})
    table.note(f"{HAND}: spark.sql over temporary views, what is used more than once persisted, and four writes")
    table.note("odibi: LoadedProject.run() of the same queries, in the same session; nothing is reused from run to run")
    return report


def _session(folder: Path) -> Any:
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder: Any = SparkSession.builder
    settings = {
        "spark.driver.memory": "3g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "local"),
    }
    builder = builder.master("local[2]").appName("odibi-benchmark")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session


def _make_tables(spark: Any, folder: Path, sales: int) -> None:
    queries = {
        "sales": f"SELECT id AS sale, id % 500 AS shop, id % 2000 AS good, id % 365 AS day, id % 7 AS amount,"
        f" CAST(id % 9973 AS DOUBLE) / 100 AS price FROM range({sales})",
        "shops": f"SELECT id AS shop, concat('region ', id % 12) AS region, id % 5 AS size "
        f" FROM range({READS['shops']})",
        "goods": f"SELECT id AS good, concat('kind ', id % 40) AS kind, id % 100 AS weight "
        f" FROM range({READS['goods']})",
        "days": f"SELECT id AS day FROM range({READS['days']})",
    }
    for name, query in queries.items():
        spark.sql(query).coalesce(2).write.parquet(str(folder / "in" / f"{name}.parquet"))


def _by_hand(spark: Any, folder: Path) -> Callable[[], None]:
    used = {name: sum(name in query.replace(",", " ").split() for query in QUERIES.values()) for name in QUERIES}

    def run() -> None:
        kept = []
        for name in READS:
            spark.read.parquet(str(folder / "in" / f"{name}.parquet")).createOrReplaceTempView(name)
        for name, query in QUERIES.items():
            frame = spark.sql(query)
            if used[name] + (name in WRITES) > 1:
                frame = frame.persist()
                kept.append(frame)
            frame.createOrReplaceTempView(name)
            if name in WRITES:
                frame.write.mode("overwrite").parquet(str(folder / "by hand" / f"{name}.parquet"))
        for frame in kept:
            frame.unpersist()
        for name in (*READS, *QUERIES):
            spark.catalog.dropTempView(name)

    return run


def _ours(folder: Path, workers: int) -> Callable[[], None]:
    nodes = [{"name": name, "read": {"connection": "in", "path": f"{name}.parquet"}} for name in READS]
    for name, query in QUERIES.items():
        words = query.replace(",", " ").split()
        node: dict[str, Any] = {
            "name": name,
            "depends_on": [each for each in (*READS, *QUERIES) if each in words and each != name],
            "transform": {"steps": [{"sql": query}]},
        }
        if name in WRITES:
            node["write"] = {"connection": "out", "path": f"{name}.parquet", "format": "parquet"}
        nodes.append(node)
    project = {
        "project": "benchmark",
        "engine": "spark",
        "connections": {
            "in": {"type": "local", "base_path": str(folder / "in")},
            "out": {"type": "local", "base_path": str(folder / f"odibi {workers}")},
        },
        "pipelines": [{"pipeline": "sales", "nodes": nodes}],
    }
    import json

    file = folder / f"odibi-{workers}.json"
    file.write_text(json.dumps(project), "utf-8")
    (folder / f"odibi {workers}").mkdir()
    loaded = odibi.load(file)

    def run() -> None:
        (result,) = loaded.run(workers=workers)
        if not result.ok:
            raise AssertionError(result)

    return run


def _in_turns(
    spark: Any, contenders: Mapping[str, Callable[[], None]], rounds: int
) -> tuple[dict[str, Samples], dict[str, float]]:
    found = {who: Samples() for who in contenders}
    jobs = dict.fromkeys(contenders, 0.0)
    for turn in range(rounds):
        for who, run in contenders.items():
            progress(f"spark: {who}, {turn + 1} of {rounds}")
            before, begin = _jobs(spark), perf_counter()
            run()
            seconds = perf_counter() - begin
            jobs[who] = _jobs(spark) - before
            if turn:
                found[who].seconds.append(seconds)
            else:
                found[who].first = seconds  # Java compiles as it goes
    return found, jobs


def _jobs(spark: Any) -> int:
    """How many jobs Spark has been asked for."""
    return int(spark.sparkContext._jsc.sc().dagScheduler().nextJobId())


def _check_same(spark: Any, folder: Path, contenders: Mapping[str, Any]) -> None:
    """Fail unless all have written the same."""
    for name in WRITES:
        tables = []
        for who in ("by hand", "odibi 1", "odibi 4"):
            rows = spark.read.parquet(str(folder / who / f"{name}.parquet")).collect()
            rounded = [tuple(round(cell, 3) if isinstance(cell, float) else cell for cell in row) for row in rows]
            tables.append(sorted(rounded))
        if not tables[0] == tables[1] == tables[2]:
            raise AssertionError(f"{name}: {len(contenders)} contenders, and not one answer")
