"""The graph and the timeline of a run, before they are SVG."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odibi_story.html.grouping import ALONE, COLUMNS, MOST, ROWS, group
from odibi_story.html.picture import BOX_HEIGHT, BOX_WIDTH, picture
from odibi_story.html.timeline import LONGEST_PATH, timeline
from odibi_story.record import Attempt, NodeStory, RunStory


@st.composite
def runs(draw: st.DrawFn) -> list[NodeStory]:
    number = draw(st.integers(0, 40))
    states = st.sampled_from(["succeeded", "failed", "skipped", "reused", "strange"])
    names = st.sampled_from(["load", "load_a", "clean-b", "", "9", "x.y"])
    nodes: list[NodeStory] = []
    for index in range(number):
        inputs = draw(st.lists(st.sampled_from([node.name for node in nodes]), max_size=3)) if nodes else []
        name = f"{draw(names)}_{index}"
        nodes.append(NodeStory(name, inputs, state=draw(states), critical=draw(st.booleans())))
    return nodes


@given(runs(), st.integers(1, 30))
def test_every_node_is_drawn_once(nodes: list[NodeStory], most: int) -> None:
    found = group(nodes, most=most)
    members = [index for each in found.groups for index in each.members]
    assert sorted(members) == list(range(len(nodes)))
    if len(nodes) > most:
        assert len(found.groups) <= ALONE + COLUMNS * ROWS
        columns = [each.column for each in found.groups]
        assert all(column is not None and column < COLUMNS for column in columns)
        for one, other in found.edges:
            assert (columns[one] or 0) < (columns[other] or 0)


@given(runs())
def test_boxes_do_not_overlap_and_lie_inside(nodes: list[NodeStory]) -> None:
    drawn = picture(nodes)
    for index, box in enumerate(drawn.boxes):
        assert 0 <= box.x <= drawn.width - BOX_WIDTH
        assert 0 <= box.y <= drawn.height - BOX_HEIGHT
        for other in drawn.boxes[index + 1 :]:
            assert abs(box.x - other.x) >= BOX_WIDTH or abs(box.y - other.y) >= BOX_HEIGHT


def test_a_chain_of_a_thousand_is_folded() -> None:
    nodes = [NodeStory(f"step_{index}", [f"step_{index - 1}"] if index else []) for index in range(1000)]
    drawn = picture(nodes)
    assert len(drawn.boxes) == COLUMNS
    assert "1,000 nodes are drawn as 12 boxes" in drawn.remark
    assert "988 edges between nodes of one column are not drawn" in drawn.remark


def test_what_failed_stands_alone_in_a_large_graph() -> None:
    nodes = [NodeStory(f"load_{index}", state="succeeded") for index in range(MOST + 1)]
    nodes[17].state = "failed"
    boxes = picture(nodes).boxes
    assert {box.members for box in boxes if box.alone} == {(17,)}
    (many,) = [box for box in boxes if not box.alone]
    assert many.name == f"load… × {MOST}"
    assert many.facts == f"{MOST} succeeded"


def worked(name: str, *spans: tuple[float, float | None, str], **more: object) -> NodeStory:
    attempts = [Attempt(at, start, worker, end) for at, (start, end, worker) in enumerate(spans, 1)]
    node = NodeStory(name, state="succeeded", attempts=attempts, started=spans[0][0], finished=spans[-1][1])
    for key, value in more.items():
        setattr(node, key, value)
    return node


def story(*nodes: NodeStory, duration: float | None = 10.0) -> RunStory:
    return RunStory("r", "p", "x", state="succeeded", duration=duration, nodes=list(nodes))


def test_a_lane_a_worker_in_the_order_of_their_numbers() -> None:
    run = story(*(worked(f"n{at}", (at / 4, at / 4 + 0.2, f"worker-{at}")) for at in (10, 2, 1)))
    assert [lane.worker for lane in timeline(run).lanes] == ["worker-1", "worker-2", "worker-10"]


def test_attempts_rests_and_waits_are_told_apart() -> None:
    run = story(worked("n", (1.0, 2.0, "w"), (4.0, 5.0, "w"), waited=0.5))
    (lane,) = timeline(run).lanes
    assert [(bar.kind, round(bar.left, 6), round(bar.width, 6)) for bar in lane.bars] == [
        ("queue", 5, 5),
        ("again", 20, 20),
        ("attempt", 40, 10),
        ("attempt", 10, 10),
    ]
    assert {bar.look.word for bar in lane.bars if bar.kind == "attempt"} == {"failed", "succeeded"}
    assert lane.busy == "20 %"


def test_an_attempt_that_goes_on_lasts_until_now() -> None:
    run = story(worked("n", (2.0, None, "w"), state="running"), duration=None)
    run.nodes.append(worked("m", (0.0, 4.0, "v")))
    bars = [bar for lane in timeline(run).lanes for bar in lane.bars if bar.label == "n"]
    assert [(bar.left, bar.width, bar.look.word) for bar in bars] == [(50, 50, "running")]


def test_bars_finer_than_a_hair_are_drawn_together() -> None:
    run = story(*(worked(f"n{at}", (at / 1e4, (at + 1) / 1e4, "w")) for at in range(1000)))
    (lane,) = timeline(run).lanes
    assert len(lane.bars) < 20
    assert sorted(index for bar in lane.bars for index in bar.members) == list(range(1000))


@settings(max_examples=60)
@given(st.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside(duration: float) -> None:
    ticks = timeline(story(worked("n", (0.0, duration, "w")), duration=duration)).ticks
    assert 2 <= len(ticks) <= 9
    assert all(0 <= place <= 100 + 1e-9 for place, _ in ticks)
    assert len({said for _, said in ticks}) == len(ticks)


def test_of_a_long_critical_path_the_longest_are_listed_in_their_order() -> None:
    run = story(*(worked(f"n{at}", (at, at + 1 - at / 100, "w"), critical=True) for at in range(30)), duration=30.0)
    found = timeline(run)
    assert [link.name for link in found.path] == [f"n{at}" for at in range(LONGEST_PATH)]
    assert found.path_nodes == 30


def test_nothing_ran() -> None:
    found = timeline(story(NodeStory("n", state="reused")))
    assert found.lanes == []
    assert found.absent == "Not shown: 1 node that never started, or had a result already."


@pytest.mark.parametrize("duration", [0.0, None])
def test_a_run_that_took_no_time(duration: float | None) -> None:
    assert timeline(story(worked("n", (0.0, 0.0, "w")), duration=duration)).lanes
