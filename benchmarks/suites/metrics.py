"""What it costs a run that its nodes are measured."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import odibi
from benchmarks.figures import NOTHING, Report, Samples, Table, number, ratio
from benchmarks.settings import Settings, progress
from benchmarks.turns import in_turns
from odibi import model
from odibi.api import LoadedProject
from odibi.host import Host

NONE, WATCHED = "no sink", "an observer"
SINKS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "memory": [("memory", {})],
    "memory, prometheus": [("memory", {}), ("prometheus", {})],
    "memory, prometheus, usage": [("memory", {"usage": True}), ("prometheus", {})],
}
CLAIMED = "memory, prometheus"
PEERS = {
    "prometheus_client: labels().inc()": "prometheus_client",
    "OpenTelemetry: add()": "opentelemetry.sdk.metrics",
}
Act = Callable[[], Any]


class _Silent:
    """An observer that does nothing."""

    def handle(self, event: object) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def measure(settings: Settings) -> Report:
    """A run of 1,000 nodes that do nothing, with sinks and without, beside one increment of others' counters a node."""
    report = Report("metrics")
    nodes, rounds = (100, 3) if settings.quick else (1_000, 60)
    table = Table(
        f"metrics: {nodes:,} nodes that do nothing, us a node, median (minimum)",
        ["what", "CPU", "CPU, more than no sink", "clock", f"CPU / {NONE}"],
    )
    report.tables.append(table)
    try:
        import_module("odibi_metrics.memory")
    except ImportError as error:
        table.note(f"nothing is measured: {error}")
        return report
    progress(f"metrics: {nodes:,} nodes")
    acts, close = _runs(nodes)
    acts |= {who: act for who, act in _peers(nodes).items() if act is not None}
    try:
        found = in_turns(acts, rounds)
    finally:
        close()
    base = _cpu(found[NONE])
    for who, samples in found.items():
        cpu = _cpu(samples)
        more = NOTHING if who in (NONE, *PEERS) else _per(cpu.median - base.median, nodes)
        took = f"{_per(samples.median, nodes)} ({_per(samples.least, nodes)})"
        spent = f"{_per(cpu.median, nodes)} ({_per(cpu.least, nodes)})"
        table.rows.append([who, spent, more, took, ratio(cpu, base)])
        report.raw.append({"who": who, "nodes": nodes, "seconds": samples.seconds, "cpu": samples.parts["cpu"]})
    for who in PEERS:
        if who not in found:
            table.note(f"{who} is left out: it is not installed")
    table.note(f"to be: '{CLAIMED}' takes at most 5 us a node more than no sink")
    table.note("CPU: of all threads of the process, so that what sinks do aside is in it")
    table.note("others: an increment of one counter with two labels; a node of ours is measured in six ways")
    return report


def _runs(nodes: int) -> tuple[dict[str, Act], Act]:
    """A run for each set of sinks, and what closes them."""
    pipeline = model.Pipeline("benchmark", tuple(odibi.Node(f"n{at}", function=_nothing) for at in range(nodes)))
    opened: list[LoadedProject] = []
    host = Host(["odibi_metrics"], discover=False)  # what other plugins cost each run is no matter here

    def loaded(sinks: list[tuple[str, dict[str, Any]]]) -> Any:
        project = model.Project(
            "benchmark",
            root=Path.cwd(),
            engine=None,
            pipelines=(pipeline,),
            metrics=tuple(model.ComponentConfig(kind, options) for kind, options in sinks),
        )
        opened.append(LoadedProject(project, host=host))
        return opened[-1]["benchmark"]

    plain = loaded([])
    acts: dict[str, Act] = {
        NONE: lambda: plain.run(workers=1),
        WATCHED: lambda: plain.run(workers=1, observers=[_Silent()]),
    }
    for who, sinks in SINKS.items():
        measured = loaded(sinks)
        acts[who] = lambda measured=measured: measured.run(workers=1)  # type: ignore[misc]

    def close() -> None:
        for each in opened:
            each.close()

    return acts, close


def _peers(nodes: int) -> dict[str, Act | None]:
    return dict(zip(PEERS, (_prometheus(nodes), _otel(nodes)), strict=True))


def _prometheus(nodes: int) -> Act | None:
    try:
        from prometheus_client import CollectorRegistry, Counter
    except ImportError:
        return None
    counter = Counter("nodes", "Nodes.", ["pipeline", "outcome"], registry=CollectorRegistry())

    def act() -> None:
        for _ in range(nodes):
            counter.labels("benchmark", "succeeded").inc()

    return act


def _otel(nodes: int) -> Act | None:
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    except ImportError:
        return None
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    counter = provider.get_meter("benchmark").create_counter("nodes")

    def act() -> None:
        for _ in range(nodes):
            counter.add(1, {"pipeline": "benchmark", "outcome": "succeeded"})

    return act


def _nothing() -> int:
    return 1


def _cpu(samples: Samples) -> Samples:
    return Samples(seconds=samples.parts["cpu"])


def _per(seconds: float, nodes: int) -> str:
    return number(seconds / nodes * 1e6)
