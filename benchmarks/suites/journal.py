"""What it costs to record what became of each node, and to go on after a run that failed."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import odibi
from benchmarks.contenders.ours import nodes_of
from benchmarks.figures import Report, Samples, Table, number, ratio, spread
from benchmarks.settings import Settings, progress
from benchmarks.shapes import Shape, chain, layered, ragged, wide
from benchmarks.turns import in_turns, timed
from odibi.model import OnError

NODE = 0.002  # seconds
WORKERS = 8

Records = Sequence[Mapping[str, Any]]


def measure(settings: Settings) -> Report:
    """Chains, wide graphs, a resumed run, and the store alone."""
    report = Report("journal")
    try:
        import_module("odibi_local.checkpoints")
    except ImportError as error:
        table = Table("journal", ["what"])
        table.note(f"nothing is measured: {error}")
        report.tables.append(table)
        return report
    quick = settings.quick
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        report.tables += [
            _outcomes(report, place / "outcomes", nodes=10 if quick else 100, rounds=1 if quick else 15),
            _together(report, place / "together", nodes=50 if quick else 1_000, rounds=1 if quick else 9),
            _resumed(report, place / "resumed", nodes=50 if quick else 10_000, rounds=1 if quick else 5),
            _store(report, place / "store", many=100 if quick else 10_000, rounds=2 if quick else 40),
        ]
    return report


# --- one outcome after another ------------------------------------------------------------------------------------------


def _outcomes(report: Report, folder: Path, *, nodes: int, rounds: int) -> Table:
    progress(f"journal: a chain of {nodes}")
    table = Table(
        f"journal: a chain of {nodes} nodes of {NODE * 1e3:g} ms each; µs an outcome, median (minimum to maximum)",
        ["what", "time", "/ append and fsync"],
    )
    shape = ragged(chain(nodes), NODE, NODE)
    size = _record_size(shape, folder / "size")
    kept = _pipeline(shape, folder / "kept")
    bare = odibi.Pipeline("benchmark", nodes_of(shape), engine=None)
    found = in_turns(
        {
            "without": lambda: bare.run(workers=1),
            "append and fsync": _appender(folder / "log", size, nodes),
            "with": lambda: kept.run(workers=1, force=True),
            "SQLite": _inserter(folder / "plain.db", size, nodes),
        },
        rounds,
    )
    # What a run takes beside its nodes' outcomes (lock, begin, end) counts too: whoever records has to pay it.
    more = Samples(
        seconds=[(on - off) / nodes for on, off in zip(found["with"].seconds, found["without"].seconds, strict=True)]
    )
    per = {who: Samples(seconds=[each / nodes for each in samples.seconds]) for who, samples in found.items()}
    floor = per["append and fsync"]
    for who, samples in (
        (f"append and fsync of {size} bytes", floor),
        ("SQLite, one insert of them a transaction", per["SQLite"]),
        ("a node, nothing recorded", per["without"]),
        ("a node, recorded", per["with"]),
        ("recorded - not recorded: an outcome", more),
    ):
        table.rows.append([who, spread(samples, 1e6), ratio(samples, floor)])
        report.raw.append({"what": who, "nodes": nodes, "seconds": samples.seconds})
    total = Samples(seconds=[each * nodes for each in more.seconds])
    table.note(f"recording a run of {nodes} nodes takes {spread(total)} ms in all")
    table.note("the bytes are those of a node's record in the journal; the store also changes the node's newest result")
    table.note("to be: an outcome at most 1.5 times an append and fsync")
    return table


def _record_size(shape: Shape, folder: Path) -> int:
    """The bytes of a record as JSON."""
    with _appends() as appended:
        _pipeline(shape, folder).run(workers=1)
    sizes = [len(json.dumps(record)) for records in appended for record in records if "node" in record]
    return int(median(sizes))


@contextmanager
def _appends() -> Iterator[list[Records]]:
    """What is handed to the store's ``append`` meanwhile, one item a call."""
    store: Any = import_module("odibi_local.checkpoints").SqliteCheckpoints
    real, calls = store.append, []

    def append(self: Any, run_id: str, records: Records) -> None:
        calls.append(records)
        real(self, run_id, records)

    store.append = append
    try:
        yield calls
    finally:
        store.append = real


def _pipeline(shape: Shape, folder: Path) -> odibi.Pipeline:
    folder.mkdir(parents=True)
    checkpoints = {"type": "sqlite", "path": str(folder / "runs.db")}
    return odibi.Pipeline("benchmark", nodes_of(shape), engine=None, checkpoints=checkpoints)


def _appender(path: Path, size: int, times: int) -> Callable[[], None]:
    """Appends to a file, each time with a sync: what making something durable costs at least."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = b"x" * (size - 1) + b"\n"

    def run() -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for _ in range(times):
                os.write(handle, content)
                os.fsync(handle)
        finally:
            os.close(handle)

    return run


def _inserter(path: Path, size: int, times: int) -> Callable[[], None]:
    """Inserts rows into an SQLite database with a write-ahead log, each in a transaction that is synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE journal (place INTEGER PRIMARY KEY, record TEXT)")
    content = "x" * size

    def run() -> None:
        for _ in range(times):
            connection.execute("INSERT INTO journal (record) VALUES (?)", (content,))

    return run


# --- many at once -------------------------------------------------------------------------------------------------------


def _together(report: Report, folder: Path, *, nodes: int, rounds: int) -> Table:
    progress(f"journal: {nodes:,} nodes at once")
    table = Table(
        f"journal: {nodes:,} nodes that do nothing, {WORKERS} workers; ms a run, median (minimum to maximum)",
        ["graph", "nothing recorded", "recorded", "more, µs a node", "outcomes a sync, median", "minimum"],
    )
    for shape in (wide(nodes), chain(min(nodes, 100))):
        kept = _pipeline(shape, folder / shape.name)
        bare = odibi.Pipeline("benchmark", nodes_of(shape), engine=None)
        shares: list[float] = []

        def recorded(kept: odibi.Pipeline = kept, shares: list[float] = shares, count: int = len(shape)) -> None:
            with _appends() as appended:
                kept.run(workers=WORKERS, force=True)
            if (told := sum(map(len, appended))) != count:
                raise AssertionError(f"{told} outcomes of {count} nodes")
            shares.append(count / len(appended))

        found = in_turns({"without": partial(bare.run, workers=WORKERS), "with": recorded}, rounds)
        more = found["with"].median - found["without"].median
        table.rows.append(
            [
                f"{shape.name} ({len(shape):,})",
                spread(found["without"]),
                spread(found["with"]),
                number(more / len(shape) * 1e6),
                number(median(shares)),
                number(min(shares)),
            ]
        )
        for who, samples in found.items():
            report.raw.append(
                {"graph": shape.name, "nodes": len(shape), "what": who, "seconds": samples.seconds, "shares": shares}
            )
    table.note("a sync: one call of the store's append(), which returns when its records are durable")
    table.note("to be: at least 20 outcomes a sync in the wide graph")
    return table


# --- a run that is resumed ----------------------------------------------------------------------------------------------


def _resumed(report: Report, folder: Path, *, nodes: int, rounds: int) -> Table:
    progress(f"journal: a run of {nodes:,} nodes that is resumed")
    table = Table(
        f"journal: a run of {nodes:,} nodes that failed at the last one, resumed; s, median (minimum to maximum)",
        ["what", "time", "µs a node"],
    )
    folder.mkdir(parents=True)
    # The last node fails each time, so that the run can be resumed again and again.
    members = [*nodes_of(layered(nodes - 1), own=True), odibi.Node("last", function=_fail, on_error=OnError.FAIL_LATER)]
    stores = {
        "cache": {"type": "disk", "path": str(folder / "cache")},
        "checkpoints": {"type": "sqlite", "path": str(folder / "runs.db")},
    }
    counts = {"restored": nodes - 1, "failed": 1}

    def made() -> odibi.Pipeline:
        return odibi.Pipeline("benchmark", members, engine=None, **stores)

    def resume(pipeline: odibi.Pipeline) -> None:
        if (found := pipeline.run(workers=1, resume=True, check=False).counts()) != counts:
            raise AssertionError(f"{found} instead of {counts}")

    kept = made()
    cold = Samples(seconds=[timed(lambda: kept.run(workers=WORKERS, check=False))[0]])
    found = in_turns({"anew": lambda: resume(made()), "again": lambda: resume(kept)}, rounds)
    for what, samples in (
        ("the run that failed", cold),
        ("resumed by a new Pipeline: stores opened, code looked at", found["anew"]),
        ("resumed by the same Pipeline", found["again"]),
    ):
        table.rows.append([what, spread(samples, 1), number(samples.median / nodes * 1e6)])
        report.raw.append({"what": what, "nodes": nodes, "seconds": samples.seconds})
    table.note("a layered graph in which each node has a function of its own; a cache holds the results")
    return table


def _fail() -> None:
    raise ValueError("as it should")


# --- the store alone ----------------------------------------------------------------------------------------------------


def _store(report: Report, folder: Path, *, many: int, rounds: int) -> Table:
    progress("journal: the store alone")
    table = Table(
        "journal: the store alone, ms, median (minimum to maximum)",
        ["what", "time", "µs a record", "/ append and fsync"],
    )
    store = odibi.Host().build("checkpoint", "sqlite", {"path": str(folder / "runs.db")})
    record = _a_record("n0")
    store.begin("large", "large", {"nodes": many})
    for at in range(0, many, 500):
        store.append("large", [_a_record(f"n{each}") for each in range(at, min(at + 500, many))])
    store.finish("large", "succeeded")
    store.begin("small", "small", {})
    calls = {
        "append and fsync": (1, _appender(folder / "log", len(json.dumps(record)), 1)),
        "append of 1 record": (1, lambda: store.append("small", [record])),
        "append of 100 records": (100, lambda: store.append("small", [_a_record(f"n{at}") for at in range(100)])),
        f"load a run of {many:,}": (many, lambda: _expect(many, len(store.load("large").outcomes))),
        f"newest results of {many:,} nodes": (many, lambda: _expect(many, len(store.results("large")))),
    }
    found = in_turns({what: call for what, (_, call) in calls.items()}, rounds)
    floor = found["append and fsync"]
    for what, (records, _) in calls.items():
        samples = found[what]
        durable = what.startswith("append")
        over = ratio(samples, floor) if durable else ""
        table.rows.append([what, spread(samples), number(samples.median / records * 1e6), over])
        report.raw.append({"what": what, "records": records, "seconds": samples.seconds})
    store.close()
    return table


def _a_record(name: str) -> dict[str, Any]:
    """As a run writes it."""
    digest = f"{hash(name) & (1 << 64) - 1:016x}"
    return {
        "node": name,
        "state": "succeeded",
        "attempts": 1,
        "started": 1_795_000_000.123,
        "finished": 1_795_000_000.456,
        "seconds": 0.333,
        "worker": "worker-1",
        "fingerprint": digest * 4,
        "value": digest * 4,
        "base": digest * 4,
        "root": "20261121T125330.000000-00000000",
        "parts": {"inputs": digest, "params": digest, "version": digest, "python": digest, "steps": digest},
        "inputs": {"before": digest},
    }


def _expect(wanted: int, found: int) -> None:
    if found != wanted:
        raise AssertionError(f"{found} instead of {wanted}")
