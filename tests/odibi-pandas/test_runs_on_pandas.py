"""Whole runs on pandas frames: what ran beside a node can never show in its result."""

from __future__ import annotations

import threading
from typing import Any

import pandas as pd
import pytest

import odibi
from odibi.errors import TransformError
from odibi.events import StepFinished
from odibi.host import Host

SAME_NAMES = 300


@pytest.fixture(name="host", scope="module")
def _host() -> Host:
    return Host()


def frame(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow")


def sql(name: str, query: str, *inputs: str, **settings: Any) -> odibi.Node:
    return odibi.Node(name, depends_on=inputs, transform=odibi.Transform((odibi.Sql(query),)), **settings)


def test_hundreds_of_nodes_with_the_same_aliases_each_see_their_own_input(host: Host) -> None:
    """Every pair of nodes has its own frame, and every second node calls it ``orders`` and ``df``."""
    nodes: list[odibi.Node] = []
    for at in range(SAME_NAMES):
        nodes.append(odibi.Node(f"source{at}", function=lambda at=at: frame(id=[at] * (at % 7 + 1)), params={}))
        nodes.append(
            odibi.Node(
                f"count{at}",
                depends_on=(f"source{at}",),
                arguments={"orders": f"source{at}"},
                transform=odibi.Transform(
                    (
                        odibi.Sql("SELECT id, count(*) AS n FROM orders GROUP BY id"),
                        odibi.Sql("SELECT df.id, df.n, (SELECT count(*) FROM orders) AS m FROM df"),
                    )
                ),
            )
        )
    result = odibi.Pipeline("p", nodes, host=host).run(workers=8)
    for at in range(SAME_NAMES):
        assert result[f"count{at}"].values.tolist() == [[at, at % 7 + 1, at % 7 + 1]], at


def test_sql_sees_its_declared_inputs_and_nothing_else(host: Host) -> None:
    nodes = [
        odibi.Node("a", function=lambda: frame(x=[1])),
        odibi.Node("b", function=lambda: frame(x=[2])),
        sql("c", "SELECT * FROM b", "a"),
    ]
    result = odibi.Pipeline("p", nodes, host=host).run(check=False)
    error = result.outcomes["c"].error
    assert isinstance(error, TransformError)
    assert "b" in str(error)
    assert "a" in str(error)


def test_a_frame_handed_to_two_nodes_is_changed_by_neither(host: Host) -> None:
    meeting = threading.Barrier(2)

    @odibi.node
    def raw() -> pd.DataFrame:
        return frame(x=[1, 2, 3])

    @odibi.node
    def one(raw: pd.DataFrame) -> list[int]:
        meeting.wait(30)
        raw["x"] = 10
        raw.loc[0, "x"] = 11
        raw["more"] = 1
        return list(raw["x"])

    @odibi.node
    def two(raw: pd.DataFrame) -> list[Any]:
        meeting.wait(30)
        del raw["x"]
        return list(raw.columns)

    result = odibi.Pipeline("p", [raw, one, two], host=host).run(workers=2, targets=["raw", "one", "two"])
    assert result["one"] == [11, 10, 10]
    assert result["two"] == []
    assert result["raw"]["x"].tolist() == [1, 2, 3]
    assert list(result["raw"].columns) == ["x"]


def test_an_attempt_that_failed_half_way_leaves_its_input_as_it_was(host: Host) -> None:
    attempts = [0]

    @odibi.node
    def raw() -> pd.DataFrame:
        return frame(x=[1, 2])

    @odibi.node(retry=odibi.Retry(max_attempts=2, delay=0))
    def doubled(raw: pd.DataFrame) -> pd.DataFrame:
        attempts[0] += 1
        raw["x"] = raw["x"] * 2
        if attempts[0] == 1:
            raise ConnectionError("cut off")
        return raw

    assert odibi.Pipeline("p", [raw, doubled], host=host).run()["doubled"]["x"].tolist() == [2, 4]


def test_all_three_kinds_of_steps_follow_one_another(host: Host) -> None:
    def add(context: Any, current: pd.DataFrame, amount: int) -> pd.DataFrame:
        assert context.names() == ("raw",)
        assert context.get("raw")["x"].tolist() == [1, 2, 3]
        current["y"] = current["x"] + amount
        return current

    steps = (
        odibi.Sql("SELECT * FROM raw WHERE x > 1"),
        odibi.Function(add, {"amount": 10}),
        odibi.Operation("rename", {"columns": {"y": "z"}}),
        odibi.Sql("SELECT sum(z) AS total FROM df"),
    )
    nodes = [
        odibi.Node("raw", function=lambda: frame(x=[1, 2, 3])),
        odibi.Node("end", depends_on=("raw",), transform=odibi.Transform(steps)),
    ]
    told: list[StepFinished] = []

    class Watch:
        def handle(self, event: Any) -> None:
            if isinstance(event, StepFinished):
                told.append(event)

    result = odibi.Pipeline("p", nodes, host=host).run(observers=[Watch()])
    assert result["end"]["total"].tolist() == [25]
    assert [(event.step, event.position, event.rows) for event in told] == [
        ("sql", 0, 2),
        ("function", 1, 2),
        ("operation", 2, 2),
        ("sql", 3, 1),
    ]
    info = result.outcomes["end"].info
    assert info is not None
    assert info.rows == 1


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (odibi.Function(lambda current: None), "returned nothing"),
        (odibi.Function(lambda current: 7), "is a builtins.int, not a table"),
        (
            odibi.Function(lambda current: {}["k"]),
            "node 'bad', step 1 (function '<lambda>'): it failed at test_runs_on_pandas.py",
        ),
        (odibi.Function(lambda current, nope: current), "missing 1 required positional argument: 'nope'"),
        (odibi.Sql("SELEC 1"), "SELEC"),
    ],
)
def test_a_step_that_does_not_do_its_work_is_loud(host: Host, step: Any, message: str) -> None:
    nodes = [
        odibi.Node("raw", function=lambda: frame(x=[1])),
        odibi.Node("bad", depends_on=("raw",), transform=odibi.Transform((step,))),
    ]
    result = odibi.Pipeline("p", nodes, host=host).run(check=False)
    error = result.outcomes["bad"].error
    assert isinstance(error, TransformError)
    assert message in str(error)


def test_a_failing_function_is_placed_in_its_own_file(host: Host) -> None:
    def wrong(current: pd.DataFrame) -> pd.DataFrame:
        return current["no such column"]

    nodes = [
        odibi.Node("raw", function=lambda: frame(x=[1])),
        odibi.Node("bad", depends_on=("raw",), transform=odibi.Transform((odibi.Function(wrong),))),
    ]
    error = odibi.Pipeline("p", nodes, host=host).run(check=False).outcomes["bad"].error
    line = wrong.__code__.co_firstlineno + 1
    assert f"at test_runs_on_pandas.py:{line}: KeyError: 'no such column'" in str(error)


def test_a_query_that_runs_too_long_is_interrupted(host: Host) -> None:
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b"
    result = odibi.Pipeline("p", [sql("slow", endless, timeout=0.3)], host=host).run(check=False)
    assert "it ran longer than its timeout of 0.3 s" in str(result.outcomes["slow"].error)
