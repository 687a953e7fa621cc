"""What runs measure: that it is right, that it is bounded, and that no sink can fail or hold up a run."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from odibi import model
from odibi.api import LoadedProject
from odibi.contracts import Kind, Measurement, option
from odibi.contracts import measured as names
from odibi.contracts.measured import BY_NAME, MOST_NODES, OTHERS
from odibi.errors import Transient
from odibi.redact import Redactor
from odibi.run.dispatch import HANGS
from odibi.run.meter_sinks import BACKLOG, LEFT_ALONE, SinkThread
from odibi.run.meter_tally import Names
from odibi.service.scraped import merged
from odibi.service.service import Service
from odibi.testing.pipelines import host_with
from odibi.testing.reference.cache import MemoryCache
from odibi.testing.reference.checkpoint import MemoryCheckpoints
from odibi.testing.reference.engine import RowsEngine
from odibi.testing.reference.format import JsonLines
from odibi.testing.reference.metric import MemoryMetrics
from odibi.testing.reference.storage import MemoryStorage

LONG = 30.0
SECRET = "hunter2hunter2"


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about that {what}"
        time.sleep(0.005)


@attrs.define(eq=False)
class Kept(MemoryMetrics):
    """What every sink of a test was told, by the sink's name."""

    name: str = option("", help="To find it by.")
    usage: bool = option(False, help="Whether it asks what nodes take.")
    made: ClassVar[dict[str, Kept]] = {}
    closed: bool = attrs.field(default=False, init=False)
    threads: set[int] = attrs.field(factory=set, init=False)
    batches: list[list[Measurement]] = attrs.field(factory=list, init=False)
    flushes: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.made[self.name] = self

    def record(self, measurements: Sequence[Measurement]) -> None:
        self.threads.add(threading.get_ident())
        self.batches.append(list(measurements))
        super().record(measurements)

    def flush(self) -> None:
        self.flushes += 1
        super().flush()

    def close(self) -> None:
        self.closed = True
        super().close()

    def scrape(self) -> str:
        return "".join(f"# TYPE {row['name']} gauge\n{row['name']} {row['value']}\n"
                       for row in self.export() if row["name"] == names.LAST_DURATION.name)  # fmt: skip

    def value(self, metric: names.Metric, **labels: str) -> Any:
        """Of one series; ``None`` if there is none."""
        found = [row for row in self.export() if row["name"] == metric.name and row["labels"] == labels]
        return found[0].get("value", (found[0].get("count"), found[0].get("sum"))) if found else None


class Raising(Kept):
    """One that cannot take anything."""

    def record(self, measurements: Sequence[Measurement]) -> None:
        self.batches.append(list(measurements))
        raise Transient(f"no room for {SECRET}")


class Hanging(Kept):
    """One whose first batch takes until it is let go."""

    free: ClassVar[threading.Event] = threading.Event()

    def record(self, measurements: Sequence[Measurement]) -> None:
        self.free.wait(LONG)
        super().record(measurements)


class Refused(Kept):
    """One that cannot be built as long as the test says so."""

    there: ClassVar[bool] = False

    def __attrs_post_init__(self) -> None:
        if not self.there:
            raise Transient(f"the port is taken by {SECRET}")
        super().__attrs_post_init__()


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    Kept.made.clear()
    Hanging.free.clear()
    Refused.there = False
    yield
    Hanging.free.set()


def project(
    *nodes: model.Node, sinks: Sequence[tuple[str, Mapping[str, Any]]] = (("kept", {"name": "a"}),), **settings: Any
) -> LoadedProject:
    own = settings.pop("pipeline", {})
    return LoadedProject(
        model.Project(
            "shop",
            **{"engine": None, **settings},
            pipelines=(model.Pipeline("etl", nodes or (model.Node("one", function=lambda: 1),), **own),),
            metrics=tuple(model.ComponentConfig(kind, dict(options)) for kind, options in sinks),
        ),
        redactor=redactor(),
        host=host_with(
            {
                "metric.kept": Kept,
                "metric.raising": Raising,
                "metric.hanging": Hanging,
                "metric.refused": Refused,
                "cache.memory": MemoryCache,
                "checkpoint.memory": MemoryCheckpoints,
                "engine.rows": RowsEngine,
                "storage.memory": MemoryStorage,
                "format.rows.jsonl": JsonLines,
            }
        ),
    )


def redactor() -> Redactor:
    made = Redactor()
    made.register(SECRET)
    return made


def failing(**_: Any) -> None:
    raise ValueError(f"the password is {SECRET}")


class Flaky:
    """Fails once."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.calls == 1:
            raise Transient("not yet")
        return 1


ETL = {"project": "shop", "pipeline": "etl"}


def test_runs_and_nodes_are_counted() -> None:
    flaky = Flaky()
    retry = model.Retry(max_attempts=3, backoff=model.Backoff.CONSTANT, delay=0.0)
    loaded = project(
        model.Node("good", function=lambda: 1),
        model.Node("flaky", function=lambda: flaky(), retry=retry),
        model.Node("bad", function=failing, depends_on=("good",), arguments={"good": "good"}),
        model.Node("never", function=failing, depends_on=("bad",), arguments={"bad": "bad"}),
        pipeline={"on_error": model.OnError.FAIL_LATER},
    )
    with loaded:
        loaded["etl"].run(check=False)
        loaded["etl"].run(check=False)
    sink = Kept.made["a"]
    assert sink.value(names.RUNS, **ETL, state="failed") == 2
    assert sink.value(names.RUNS, **ETL, state="succeeded") == 0
    assert sink.value(names.RUN_DURATION, **ETL)[0] == 2
    assert sink.value(names.RUNS_RUNNING, **ETL) == 0
    assert sink.value(names.LAST_SUCCESS, **ETL) is None
    assert sink.value(names.LAST_SUCCEEDED, **ETL) == 0
    assert sink.value(names.LAST_START, **ETL) == pytest.approx(time.time(), abs=600)
    outcomes = {"succeeded": 4, "failed": 2, "skipped": 2, "reused": 0, "restored": 0, "cancelled": 0}
    assert {each: sink.value(names.NODES, **ETL, outcome=each) for each in outcomes} == outcomes
    assert sink.value(names.NODE_DURATION, **ETL)[0] == 6
    assert sink.value(names.NODE_WAIT, **ETL)[0] == 6
    assert sink.value(names.ATTEMPTS, **ETL) == 7
    assert sink.value(names.RETRIES, **ETL, node="flaky") == 1
    assert sink.value(names.FAILURES, **ETL, node="bad") == 2
    assert sink.value(names.FAILURES, **ETL, node="good") is None
    assert sink.value(names.NODE_LAST_DURATION, **ETL, node="good") >= 0
    assert sink.value(names.CACHE_LOOKUPS, **ETL, result="miss") is None  # there is no cache
    assert sink.closed
    assert len(sink.threads) == 1


def test_waits_are_counted_from_the_end_of_the_last_input() -> None:
    """Three nodes in a row, of which the second takes long: the third did not wait for it."""
    pause = 0.2
    loaded = project(
        model.Node("first", function=lambda: 1),
        model.Node("second", function=lambda first: time.sleep(pause), depends_on=("first",)),
        model.Node("third", function=lambda second: 1, depends_on=("second",)),
        model.Node("beside", function=lambda: 1),
    )
    with loaded:
        result = loaded["etl"].run(workers=1)
    ends = {name: outcome.finished for name, outcome in result.outcomes.items()}
    starts = {name: outcome.started for name, outcome in result.outcomes.items()}
    count, total = Kept.made["a"].value(names.NODE_WAIT, **ETL)
    assert count == 4
    known = (starts["second"] - ends["first"]) + (starts["third"] - ends["second"])
    # The other two were ready when the run began, which is before the first of them started.
    assert total >= (known + max(starts["first"], starts["beside"]) - min(starts["first"], starts["beside"])) / 1e9
    assert total < result.duration * 2


def test_the_cache_is_measured() -> None:
    loaded = project(
        model.Node("kept", function=lambda: 1, cache=True),
        cache=model.ComponentConfig("memory", {"name": "meter"}),
        checkpoints=model.Checkpoints("memory", options={"name": "meter"}),
    )
    with loaded:
        for _ in range(3):
            loaded["etl"].run()
    sink = Kept.made["a"]
    found = {each: sink.value(names.CACHE_LOOKUPS, **ETL, result=each) for each in ("hit", "miss", "restored")}
    assert found == {"hit": 2, "miss": 1, "restored": 0}
    assert sink.value(names.CACHE_ENTRIES, project="shop") == 1
    assert sink.value(names.CACHE_BYTES, project="shop") > 0
    assert sink.value(names.CACHE_EVICTIONS, project="shop") == 0


def frames(tmp_path: Path, **more: Any) -> LoadedProject:
    """A run in which everything is measured."""
    MemoryStorage(name=str(tmp_path)).write("in.jsonl", b'{"id": 1}\n{"id": 2}\n{"id": 3}\n')
    flaky = Flaky()
    return project(
        model.Node("source", read=model.Read("files", path="in.jsonl"), cache=True),
        model.Node(
            "sink",
            depends_on=("source",),
            function=lambda source: source,
            write=model.Write("files", path="out.jsonl"),
        ),
        model.Node("flaky", function=lambda: flaky(), retry=model.Retry(max_attempts=3, delay=0.0)),
        model.Node("bad", function=failing, on_error=model.OnError.IGNORE),
        sinks=[("kept", {"name": "a", "usage": True}), ("raising", {"name": "b"})],
        engine="rows",
        connections={"files": model.Connection("files", "memory", {"name": str(tmp_path)})},
        cache=model.ComponentConfig("memory", {"name": f"meter {tmp_path}"}),
        checkpoints=model.Checkpoints("memory", options={"name": f"meter {tmp_path}"}),
        **more,
    )


def test_rows_bytes_and_usage_of_nodes(tmp_path: Path) -> None:
    with frames(tmp_path) as loaded:
        result = loaded["etl"].run(check=False)
    assert result.ok, result.outcomes
    sink = Kept.made["a"]
    assert sink.value(names.ROWS_IN, **ETL, node="source") == 3
    assert sink.value(names.ROWS_OUT, **ETL, node="source") == 3
    assert sink.value(names.ROWS_IN, **ETL, node="sink") == 3
    assert sink.value(names.BYTES_WRITTEN, **ETL, node="sink") == 30
    assert sink.value(names.STEP_DURATION, **ETL, step="read")[0] == 1
    assert sink.value(names.STEP_DURATION, **ETL, step="write")[0] == 1
    assert sink.value(names.CPU, **ETL, node="source") > 0
    appends = sink.value(names.CHECKPOINT_APPENDS, project="shop", result="done")
    assert 1 <= appends <= 4
    assert sink.value(names.CHECKPOINT_DURATION, project="shop")[0] == appends
    assert sink.value(names.CHECKPOINT_APPENDS, project="shop", result="failed") is None
    assert sink.value(names.PLUGIN_FAILURES, project="shop", plugin="raising", hook="record") >= 1


def test_nothing_is_measured_that_is_not_in_the_table(tmp_path: Path) -> None:
    with frames(tmp_path) as loaded:
        for _ in range(2):
            loaded["etl"].run(check=False)
    seen = {each.name: each for batch in Kept.made["a"].batches for each in batch}
    assert set(seen) <= set(BY_NAME)
    for batch in Kept.made["a"].batches:
        for each in batch:
            assert each.kind is BY_NAME[each.name].kind
            assert tuple(each.labels) == BY_NAME[each.name].labels
    missing = set(BY_NAME) - set(seen)
    # No rule fails here, no node is warned about, and no sink hangs for long enough.
    rare = {names.QUARANTINED, names.WARNINGS, names.DROPPED}
    assert missing <= {each.name for each in rare}


@pytest.mark.parametrize("metric", names.METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: names.Metric) -> None:
    assert metric.name.startswith("odibi_")
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    if metric.unit in ("seconds", "bytes"):
        assert metric.name.removesuffix("_total").endswith(f"_{metric.unit}")
    assert metric.labels[0] == "project"
    assert metric.meaning.endswith(".")


def test_counters_do_not_fall_from_one_run_to_the_next() -> None:
    with project() as loaded:
        seen: list[float] = []
        for _ in range(5):
            loaded["etl"].run()
            until(lambda: Kept.made["a"].value(names.RUNS, **ETL, state="succeeded") == len(seen) + 1, "it was told")
            seen.append(Kept.made["a"].value(names.NODES, **ETL, outcome="succeeded"))
    assert seen == [1, 2, 3, 4, 5]
    assert list(Kept.made) == ["a"]


def test_the_last_success_is_known_from_before_the_process_began() -> None:
    """Or nobody would be told that a pipeline which fails since a restart gives nothing fresh."""
    kept = model.Checkpoints("memory", options={"name": "meter history"})
    fails = threading.Event()
    node = model.Node("one", function=lambda: failing() if fails.is_set() else 1)
    with project(node, checkpoints=kept) as loaded:
        loaded["etl"].run()
    at = Kept.made["a"].value(names.LAST_SUCCESS, **ETL)
    fails.set()
    with project(node, checkpoints=kept) as loaded:
        assert not loaded["etl"].run(check=False).ok
    assert Kept.made["a"].value(names.LAST_SUCCEEDED, **ETL) == 0
    assert Kept.made["a"].value(names.LAST_SUCCESS, **ETL) == pytest.approx(at, abs=1.0)


def test_the_end_of_a_run_waits_until_sinks_have_sent_it() -> None:
    with project() as loaded:
        loaded["etl"].run()
        sink = Kept.made["a"]
        assert sink.value(names.RUNS, **ETL, state="succeeded") == 1
        assert sink.flushes >= 1
        assert not sink.closed


def test_a_project_may_be_used_again_after_it_was_closed() -> None:
    loaded = project()
    for _ in range(2):
        with loaded:
            loaded["etl"].run()
        sink = Kept.made["a"]
        assert sink.closed
        assert sink.value(names.RUNS, **ETL, state="succeeded") == 1
        assert sink.value(names.RUNS, **ETL, state="failed") == 0
    loaded.close()


def test_several_runs_at_once_share_the_sinks() -> None:
    pipelines = tuple(model.Pipeline(f"p{n}", (model.Node("one", function=lambda: 1),)) for n in range(4))
    loaded = project()
    loaded.project = attrs.evolve(loaded.project, pipelines=pipelines)
    with loaded:
        handles = [pipeline.start() for pipeline in loaded.pipelines for _ in range(3)]
        for handle in handles:
            handle.result()
    sink = Kept.made["a"]
    for each in pipelines:
        assert sink.value(names.RUNS, project="shop", pipeline=each.name, state="succeeded") == 3
        assert sink.value(names.RUNS_RUNNING, project="shop", pipeline=each.name) == 0
    assert len(sink.threads) == 1


def test_series_are_bounded_whatever_the_pipelines_hold() -> None:
    nodes = [model.Node(f"n{n}", function=failing) for n in range(MOST_NODES * 3)]
    with project(*nodes, pipeline={"on_error": model.OnError.FAIL_LATER}) as loaded:
        for _ in range(2):
            loaded["etl"].run(check=False)
    rows = Kept.made["a"].export()
    failures = {row["labels"]["node"]: row["value"] for row in rows if row["name"] == names.FAILURES.name}
    assert len(failures) == MOST_NODES + 1
    assert failures.pop(OTHERS) == MOST_NODES * 4
    assert set(failures.values()) == {2}
    last = {row["labels"]["node"] for row in rows if row["name"] == names.NODE_LAST_DURATION.name}
    assert last == set(failures)


def test_nodes_are_told_apart_in_all_pipelines_together() -> None:
    known = Names(lambda text: text)
    told = {known.node(f"p{n % 7}", f"n{n}") for n in range(MOST_NODES * 2)}
    assert len(told - {OTHERS}) == MOST_NODES
    assert known.node("p0", "n0") == "n0"
    assert known.node("p0", "new") == OTHERS


def test_no_secret_is_measured(caplog: pytest.LogCaptureFixture) -> None:
    loaded = project(
        model.Node(f"of {SECRET}", function=failing),
        sinks=[("kept", {"name": "a"}), ("raising", {"name": "b"}), ("refused", {"name": "c"})],
    )
    with caplog.at_level(logging.DEBUG), loaded:
        for _ in range(3):
            loaded["etl"].run(check=False)
    sink = Kept.made["a"]
    assert sink.value(names.FAILURES, **ETL, node=f"of {SECRET}") is None
    assert SECRET not in json.dumps(sink.export())
    assert "no room for" in caplog.text
    assert "the port is taken" in caplog.text
    assert SECRET not in caplog.text


def test_a_sink_that_raises_fails_no_run_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with project(sinks=[("raising", {"name": "b"}), ("kept", {"name": "a"})]) as loaded:
        for _ in range(6):
            assert loaded["etl"].run().ok
    lines = [each.getMessage() for each in caplog.records if "raising" in each.getMessage()]
    assert len(lines) == 2  # the first, and that it is left alone
    assert f"it is not asked to for {LEFT_ALONE:g} s" in lines[1]
    assert Kept.made["a"].value(names.RUNS, **ETL, state="succeeded") == 6
    assert Kept.made["a"].value(names.DROPPED, project="shop", sink="raising") > 0


def test_a_sink_that_hangs_keeps_neither_runs_nor_other_sinks() -> None:
    with project(sinks=[("hanging", {"name": "b"}), ("kept", {"name": "a"})]) as loaded:
        for _ in range(3):
            assert loaded["etl"].run().ok
        until(lambda: Kept.made["a"].value(names.RUNS, **ETL, state="succeeded") == 3, "the other was told")
        assert not Kept.made["b"].batches
        Hanging.free.set()
    assert Kept.made["b"].value(names.RUNS, **ETL, state="succeeded") == 3


def test_a_sink_that_cannot_be_built_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    with project(sinks=[("refused", {"name": "c"})]) as loaded:
        for _ in range(3):
            assert loaded["etl"].run().ok
        assert [each.levelname for each in caplog.records] == ["WARNING"]
        Refused.there = True
        assert loaded["etl"].run().ok
        assert Kept.made["c"].value(names.RUNS, **ETL, state="succeeded") == 1


class Turned:
    """A clock that a test turns."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def thread(sink: Any, now: Callable[[], float] = time.monotonic) -> tuple[SinkThread, list[str], list[int]]:
    failed: list[str] = []
    dropped: list[int] = []
    return SinkThread("it", sink, failed=failed.append, dropped=dropped.append, redact=str, now=now), failed, dropped


def one(value: float = 1) -> list[Measurement]:
    return [Measurement("odibi_a_total", Kind.COUNTER, value)]


def test_a_sink_that_is_left_alone_is_told_again_after_a_while() -> None:
    clock, sink = Turned(), Raising(name="b")
    threads, failed, dropped = thread(sink, clock)
    for _ in range(5):
        threads.put(one())
    assert threads.flush().wait(LONG)
    assert (len(sink.batches), failed, dropped) == (3, ["record"] * 3, [1, 1])
    clock.now = LEFT_ALONE
    threads.put(one())
    assert threads.flush().wait(LONG)
    assert (len(sink.batches), len(dropped)) == (4, 2)
    threads.close()
    assert threads.join(LONG)
    assert sink.closed


def test_runs_that_end_while_a_sink_is_busy_share_a_flush() -> None:
    """And each is told when what it measured was sent."""
    sink = Hanging(name="b")
    threads, _, _ = thread(sink)
    done = []
    for _ in range(10):
        threads.put(one())
        done.append(threads.flush())
    Hanging.free.set()
    for each in done:
        assert each.wait(LONG)
    assert 1 <= sink.flushes <= 2
    assert sink.export()[0]["value"] == 10
    threads.close()
    assert threads.join(LONG)


def test_nobody_waits_for_a_sink_that_has_been_busy_for_long() -> None:
    clock, sink = Turned(), Hanging(name="b")
    threads, _, _ = thread(sink, clock)
    threads.put(one())
    first = threads.flush()
    clock.now += HANGS / 2
    second = threads.flush()
    assert not first.is_set()
    assert not second.is_set()
    clock.now += HANGS
    assert threads.flush().is_set()
    Hanging.free.set()
    assert first.wait(LONG)
    assert second.wait(LONG)
    threads.close()
    assert threads.join(LONG)


def test_what_waits_for_a_sink_that_hangs_is_bounded() -> None:
    sink = Hanging(name="b")
    threads, _, dropped = thread(sink)
    for _ in range(BACKLOG * 2):
        threads.put(one())
    assert BACKLOG - 1 <= len(dropped) <= BACKLOG
    assert threads.flush().wait(LONG)  # it does not wait in line behind them
    Hanging.free.set()
    threads.close()
    assert threads.join(LONG)
    assert sink.export()[0]["value"] == BACKLOG * 2 - len(dropped)
    threads.put(one())
    threads.close()


def test_the_service_shows_what_sinks_hold() -> None:
    loaded = project(checkpoints=model.Checkpoints("memory", options={"name": "meter service"}))
    with loaded:
        loaded["etl"].run()
        service = Service([loaded])
        try:
            (text,) = service.scrapes()
            assert text.startswith(f"# TYPE {names.LAST_DURATION.name} gauge\n")
        finally:
            service.stop(drain=0)


def test_a_project_without_sinks_has_nothing_to_show() -> None:
    with project(sinks=()) as loaded:
        assert loaded["etl"].run().ok
        assert loaded.scrapes() == []


def test_texts_are_merged_by_metric() -> None:
    first = '# HELP a_total What.\n# TYPE a_total counter\na_total{x="1"} 1\n# TYPE h histogram\nh_bucket{le="1"} 1\n'
    first += "h_sum 1\nh_count 1\n"
    second = '# HELP a_total Other.\n# TYPE a_total counter\na_total{x="1"} 5\na_total{x="2 {"} 2\nloose 3\n# end\n'
    assert merged([first, second]) == (
        '# HELP a_total What.\n# TYPE a_total counter\na_total{x="1"} 1\na_total{x="2 {"} 2\n'
        '# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\nloose 3\n'
    )
    assert merged([]) == ""
