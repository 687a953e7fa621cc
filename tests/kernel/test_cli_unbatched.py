"""``odibi run`` says which nodes append all that there is, where batches of a trigger are appended otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from odibi.api import LoadedProject
from odibi.cli.resuming import Choice
from odibi.cli.unbatched import warnings_of
from odibi.contracts.format import WriteMode
from odibi.model import Node, Pipeline, Project, Read, Trigger, Write
from odibi.testing.pipelines import host_with


def read(stream: str | None = "landing") -> Read:
    return Read("lake", path="in/*.csv", stream=stream)


def write(mode: WriteMode = WriteMode.APPEND) -> Write:
    return Write("lake", path="out", format="csv", mode=mode)


def warned(*nodes: Node, select: tuple[str, ...] = (), targets: tuple[str, ...] | None = None) -> list[str]:
    triggers = {"landing": Trigger("file_watch")}
    project = Project("shop", root=Path("/"), engine=None, pipelines=(Pipeline("p", nodes),), triggers=triggers)
    pipeline = LoadedProject(project, host=host_with())["p"]
    return list(warnings_of([Choice(pipeline, list(select), None if targets is None else list(targets), {})]))


def test_a_node_that_reads_a_stream_and_appends() -> None:
    [said] = warned(Node("orders", read=read(), write=write()), Node("other", read=read(None), write=write()))
    assert said.startswith(
        "node 'orders' reads all that there is, as this run consumes no batch of 'landing'; 'orders'"
    )
    assert "odibi serve" in said


def test_nodes_that_append_what_others_have_read() -> None:
    nodes = (
        Node("orders", read=read()),
        Node("clean", depends_on=("orders",), write=write(WriteMode.OVERWRITE)),
        Node("kept", depends_on=("clean",), write=write()),
        Node("also", depends_on=("clean",), write=write()),
    )
    [said] = warned(*nodes)
    assert "'kept', 'also' will append" in said
    [said] = warned(*nodes, targets=("kept",))
    assert "; 'kept' will append" in said
    [said] = warned(*nodes, select=("orders+",))
    assert "'kept', 'also' will append" in said
    assert warned(*nodes, select=("clean",)) == []
    assert warned(*nodes, targets=("landing",), select=("clean",)) == []


@pytest.mark.parametrize("mode", [each for each in WriteMode if each is not WriteMode.APPEND])
def test_what_appends_nothing_twice_is_not_warned_of(mode: WriteMode) -> None:
    assert warned(Node("orders", read=read(), write=write(mode)), Node("more", read=read(None), write=write())) == []


def test_reading_alone_is_not_warned_of() -> None:
    assert warned(Node("orders", read=read())) == []
