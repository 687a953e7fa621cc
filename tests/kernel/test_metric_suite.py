"""The reference sink keeps what the contract promises, also without a file to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from odibi.contracts.metric import Kind, Measurement
from odibi.testing.metric import MetricSuite
from odibi.testing.reference.metric import MemoryMetrics
from odibi.testing.zoo.metric import SoundMetrics


class TestMemoryMetrics(MetricSuite):
    component = MemoryMetrics


class TestMemoryMetricsWithAFile(SoundMetrics):
    pass


def test_what_it_exports(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    sink = MemoryMetrics(file=file)
    sink.record([Measurement("rows_total", Kind.COUNTER, 3, {"node": "a"}), Measurement("wait_seconds", Kind.TIMER, 2)])
    expected: list[dict[str, Any]] = [
        {"name": "rows_total", "kind": "counter", "labels": {"node": "a"}, "value": 3},
        {"name": "wait_seconds", "kind": "timer", "labels": {}, "count": 1, "sum": 2},
    ]
    assert sink.export() == expected
    sink.close()
    assert json.loads(file.read_text(encoding="utf-8")) == expected


def test_it_says_what_it_does_not_take() -> None:
    sink = MemoryMetrics()
    with pytest.raises(ValueError, match="'rows_total' is a counter, which cannot take -1"):
        sink.record([Measurement("rows_total", Kind.COUNTER, -1)])
    with pytest.raises(ValueError, match="'rows_total' is a counter, and cannot be a gauge too"):
        sink.record([Measurement("rows_total", Kind.GAUGE, 1)])
