"""What a SQL node costs over DuckDB itself, and that many at once give the right answers."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from time import perf_counter
from typing import Any

import odibi
from benchmarks.figures import Report, Samples, Table, number
from benchmarks.settings import Settings, progress

FLOOR, ARROW, SHORT, LONG = "DuckDB, pandas", "DuckDB, Arrow", "short chain", "long chain"
QUERY = "SELECT * FROM {} WHERE x >= 0"
TOGETHER = 32


def measure(settings: Settings) -> Report:
    """A chain of SQL nodes over frames of two sizes; then many nodes of equal names at once."""
    table = Table(
        "sql: milliseconds a query, median (minimum)",
        ["rows", FLOOR, ARROW, "odibi", "odibi - floor", "odibi/floor", "odibi/Arrow", "once a run"],
    )
    report = Report("sql", [table])
    for needed in ("duckdb", "odibi_pandas"):
        try:
            import_module(needed)
        except ImportError as error:
            table.note(f"nothing is measured: {error}")
            return report
    rounds = 2 if settings.quick else 25
    for rows in (10, 100_000):
        progress(f"sql: {rows:,} rows")
        _compare(report, rows, lengths=(5, 45) if rows == 10 else (2, 12), rounds=rounds)
    table.note(f"{FLOOR}: one connection; for each query a cursor, register(frame), execute(), df(), close()")
    table.note(f"{ARROW}: the same with an Arrow table in and out, which is what the engine hands over")
    table.note("odibi: Pipeline.run() of chains of nodes with one SQL step each, one worker: what a node more costs")
    table.note("once a run: what the number of nodes does not change; mostly DuckDB's start and end")
    table.note("DuckDB alone has its default threads, the engine one a query, so the larger frame compares both")
    report.tables.append(_together(report, rounds=3 if settings.quick else 9))
    return report


def arrow_table(rows: int) -> Any:
    """Some columns of different types."""
    import pyarrow as pa

    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "x": pa.array([float(at) for at in range(rows)]),
            "word": pa.array([f"word {at % 1000}" for at in range(rows)]),
        }
    )


def frame_of(table: Any) -> Any:
    """A pandas frame of the engine's kind, made by the engine."""
    engine = odibi.Host().build("engine", "pandas", {})
    try:
        return engine.from_arrow(table)
    finally:
        engine.close()


def sql_node(name: str, inputs: Sequence[str], query: str) -> odibi.Node:
    """A node with one SQL step."""
    return odibi.Node(name, depends_on=tuple(inputs), transform=odibi.Transform((odibi.Sql(query),)))


def _compare(report: Report, rows: int, *, lengths: tuple[int, int], rounds: int) -> None:
    import duckdb

    table = arrow_table(rows)
    frame = frame_of(table)
    connection = duckdb.connect(":memory:")
    short, long = lengths
    query = QUERY.format("t")
    found = _in_turns(
        {
            FLOOR: partial(_floor, connection, frame, query, long),
            ARROW: partial(_arrow_floor, connection, table, query, long),
            SHORT: _chain_runner(frame, short),
            LONG: _chain_runner(frame, long),
        },
        rounds,
    )
    connection.close()
    floor, arrow = found[FLOOR].median / long, found[ARROW].median / long
    ours = (found[LONG].median - found[SHORT].median) / (long - short)
    least = (found[LONG].least - found[SHORT].least) / (long - short)
    report.tables[0].rows.append(
        [
            f"{rows:,}",
            *(
                f"{number(it.median / long * 1e3)} ({number(it.least / long * 1e3)})"
                for it in (found[FLOOR], found[ARROW])
            ),
            f"{number(ours * 1e3)} ({number(least * 1e3)})",
            number((ours - floor) * 1e3),
            number(ours / floor),
            number(ours / arrow),
            number((found[SHORT].median - short * ours) * 1e3),
        ]
    )
    for who, samples in found.items():
        queries = short if who == SHORT else long
        report.raw.append({"rows": rows, "queries": queries, "who": who, "seconds": samples.seconds})


def _chain_runner(frame: Any, nodes: int) -> Callable[[], None]:
    names = ["t", *(f"s{at}" for at in range(nodes))]
    pipeline = odibi.Pipeline(
        "benchmark", [sql_node(names[at + 1], [names[at]], QUERY.format(names[at])) for at in range(nodes)]
    )

    def run() -> None:
        result = pipeline.run(inputs={"t": frame}, workers=1)
        if len(result[names[-1]]) != len(frame):
            raise AssertionError(f"{len(result[names[-1]])} rows came of {len(frame)}")

    return run


def _floor(connection: Any, frame: Any, query: str, times: int) -> None:
    for _ in range(times):
        cursor = connection.cursor()
        cursor.register("t", frame)
        cursor.execute(query).df()
        cursor.close()


def _arrow_floor(connection: Any, table: Any, query: str, times: int) -> None:
    for _ in range(times):
        cursor = connection.cursor()
        cursor.register("t", table)
        cursor.sql(query).to_arrow_table()
        cursor.close()


def _in_turns(contenders: dict[str, Callable[[], None]], rounds: int) -> dict[str, Samples]:
    """Run all of them as many times, in turns; the first time is not counted."""
    found = {who: Samples() for who in contenders}
    for count in range(rounds + 1):
        for who, run in contenders.items():
            gc.collect()
            begin = perf_counter()
            run()
            took = perf_counter() - begin
            if count:
                found[who].seconds.append(took)
    return found


def _together(report: Report, *, rounds: int) -> Table:
    """Nodes that all call their input ``t``, and must each see their own."""
    progress(f"sql: {TOGETHER} nodes at once")
    rows = 50_000
    table = arrow_table(rows)
    frames = {f"f{at}": frame_of(table.slice(at)) for at in range(TOGETHER)}
    nodes = [
        odibi.Node(
            f"s{at}",
            depends_on=(f"f{at}",),
            arguments={"t": f"f{at}"},
            transform=odibi.Transform((odibi.Sql("SELECT count(*) AS n, sum(id) AS s FROM t"),)),
        )
        for at in range(TOGETHER)
    ]
    pipeline = odibi.Pipeline("benchmark", nodes)
    right = {f"s{at}": (rows - at, sum(range(at, rows))) for at in range(TOGETHER)}
    wrong: list[str] = []

    def run(workers: int) -> None:
        result = pipeline.run(inputs=frames, workers=workers)
        for name, answer in right.items():
            given = tuple(int(value) for value in result[name].iloc[0])
            if given != answer:
                wrong.append(f"{workers} workers, {name}: {given} instead of {answer}")

    found = _in_turns({"1 worker": partial(run, 1), "8 workers": partial(run, 8)}, rounds)
    one, eight = found.values()
    shown = Table(
        f"sql: {TOGETHER} nodes at once, each over {rows:,} rows of its own called 't'; ms a run, median (minimum)",
        ["1 worker", "8 workers", "1/8", "wrong answers"],
    )
    shown.rows.append(
        [
            *(f"{number(it.median * 1e3)} ({number(it.least * 1e3)})" for it in (one, eight)),
            number(one.median / eight.median),
            f"{len(wrong)} of {2 * (rounds + 1) * TOGETHER}",
        ]
    )
    for error in wrong[:5]:
        shown.note(error)
    shown.note(f"this machine has {os.cpu_count()} cores")
    for who, samples in found.items():
        report.raw.append({"together": TOGETHER, "who": who, "seconds": samples.seconds, "wrong": wrong})
    return shown
