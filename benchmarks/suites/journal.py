"""What it costs to record what became of each node, and to go on after a run that failed."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import odibi
from benchmarks.contenders.ours import nodes_of
from benchmarks.figures import Report, Samples, Table, number, ratio, spread
from benchmarks.settings import Settings, progress
from benchmarks.shapes import Shape, chain, layered, ragged, wide
from benchmarks.turns import in_turns, timed
from odibi.model import OnError

NODE = 0.002  # seconds
OFF, ON, FLOOR, SQLITE = "nothing recorded", "recorded", "append and fsync", "SQLite"
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


# --- one outcome after another ----------------------------------------------------------------------------------------


def _outcomes(report: Report, folder: Path, *, nodes: int, rounds: int) -> Table:
    progress(f"journal: a chain of {nodes}")
    table = Table(
        f"journal: a chain of {nodes} nodes of {NODE * 1e3:g} ms each; µs, median (10 % to 90 %)",
        ["what", "time", "/ append and fsync"],
    )
    shape = ragged(chain(nodes), NODE, NODE)
    size = _record_size(shape, folder / "size")
    names = shape.names()
    kept = _pipeline(shape, folder / "kept")
    bare = odibi.Pipeline("benchmark", nodes_of(shape), engine=None)
    append, insert = _appender(folder / "log", size), _inserter(folder / "plain.db", size)
    parts: dict[str, list[float]] = {OFF: [], ON: [], FLOOR: [], SQLITE: []}
    whole = in_turns(
        {
            OFF: lambda: parts[OFF].extend(_gaps(bare.run(workers=1), names)),
            FLOOR: lambda: parts[FLOOR].extend(_spaced(append, nodes)),
            ON: lambda: parts[ON].extend(_gaps(kept.run(workers=1, force=True), names)),
            SQLITE: lambda: parts[SQLITE].extend(_spaced(insert, nodes)),
        },
        rounds,
    )
    floor = median(parts[FLOOR])
    for who, what in (
        (FLOOR, f"append and fsync of {size} bytes, {NODE * 1e3:g} ms after the last"),
        (SQLITE, "SQLite, an insert of them in a transaction of its own"),
        (OFF, "from the end of a node to the start of the next, nothing recorded"),
        (ON, "the same, recorded"),
    ):
        table.rows.append([what, _tenths(parts[who]), number(median(parts[who]) / floor)])
        report.raw.append({"what": what, "nodes": nodes, "seconds": parts[who], "runs": whole[who].seconds})
    more = median(parts[ON]) - median(parts[OFF])
    table.rows.append(["an outcome: recorded - not recorded", number(more * 1e6), number(more / floor)])
    total = whole[ON].median - whole[OFF].median
    table.note(f"recording a run of {nodes} nodes takes {number(total * 1e3)} ms in all: lock, begin and end among it")
    table.note("the bytes are those of a node's record in the journal; the store also changes the node's newest result")
    table.note("to be: an outcome at most 1.5 times an append and fsync")
    return table


def _gaps(result: odibi.RunResult, names: Sequence[str]) -> Iterator[float]:
    """Seconds from the end of each node to the start of the next."""
    for before, after in pairwise(names):
        yield (result.outcomes[after].started - result.outcomes[before].finished) / 1e9


def _spaced(work: Callable[[], None], times: int) -> Iterator[float]:
    """Seconds that ``work`` takes, as often as asked, with a pause as long as a node before each."""
    for _ in range(times):
        time.sleep(NODE)
        yield timed(work)[0]


def _tenths(seconds: Sequence[float]) -> str:
    cuts = quantiles(seconds, n=10)
    return f"{number(median(seconds) * 1e6)} ({number(cuts[0] * 1e6)} to {number(cuts[-1] * 1e6)})"


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


def _appender(path: Path, size: int) -> Callable[[], None]:
    """Appends to a file, with a sync: what making something durable costs at least."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = b"x" * (size - 1) + b"\n"
    file = path.open("ab", buffering=0)

    def run() -> None:
        file.write(content)
        os.fsync(file.fileno())

    return run


def _inserter(path: Path, size: int) -> Callable[[], None]:
    """Inserts a row into an SQLite database with a write-ahead log, in a transaction that is synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE journal (place INTEGER PRIMARY KEY, record TEXT)")
    content = "x" * size
    return lambda: (connection.execute("INSERT INTO journal (record) VALUES (?)", (content,)), None)[1]


# --- many at once -----------------------------------------------------------------------------------------------------


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

        found = in_turns({OFF: partial(bare.run, workers=WORKERS), ON: recorded}, rounds)
        more = found[ON].median - found[OFF].median
        table.rows.append(
            [
                f"{shape.name} ({len(shape):,})",
                spread(found[OFF]),
                spread(found[ON]),
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


# --- a run that is resumed --------------------------------------------------------------------------------------------


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


# --- the store alone --------------------------------------------------------------------------------------------------


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
        FLOOR: (1, _appender(folder / "log", len(json.dumps(record)))),
        "append of 1 record": (1, lambda: store.append("small", [record])),
        "append of 100 records": (100, lambda: store.append("small", [_a_record(f"n{at}") for at in range(100)])),
        f"load a run of {many:,}": (many, lambda: _expect(many, len(store.load("large").outcomes))),
        f"newest results of {many:,} nodes": (many, lambda: _expect(many, len(store.results("large")))),
    }
    found = in_turns({what: call for what, (_, call) in calls.items()}, rounds)
    floor = found[FLOOR]
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
