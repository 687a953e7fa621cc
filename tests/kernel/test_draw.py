"""Graphs as text."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi.draw import Drawing, to_ascii, to_dot, to_json, to_mermaid, visible
from odibi.graph import Graph, build_graph
from odibi.model import Node, Read, Write

HOSTILE = [
    'say "hi"',
    "it's",
    "[a](b){c}|d|",
    "one\ntwo",
    "x --> y",
    "-- drop",
    "end",
    "%%{init: {}}%%",
    "<b>&amp;#35;",
    "back\\slash\\N",
    "naïve 表 🦆",
    "\u202eevil\u202c",
    "\x1b[31mred\x00\x7f",
    "`code`",
    ";:::,",
]


def graph_of(**inputs: str) -> Graph:
    return build_graph([Node(name, depends_on=tuple(needs.split())) for name, needs in inputs.items()])


def drawn(graph: Graph, **choices: bool) -> list[str]:
    return to_ascii([Drawing("p", graph)], **choices).splitlines()[1:]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(0, 14))
    nodes = []
    for at in range(count):
        needs = draw(st.sets(st.integers(0, at - 1), max_size=4)) if at else set()
        nodes.append(Node(f"n{at}", depends_on=tuple(f"n{each}" for each in sorted(needs))))
    return build_graph(nodes)


class TestOnATerminal:
    def test_a_branch_and_a_merge(self) -> None:
        assert drawn(graph_of(a="", b="a", c="a", d="b c", e="d", x="", y="x")) == [
            "○ a",
            "├─● b",
            "● │ c",
            "●─╯ d",
            "◆ e",
            "○ x",
            "◆ y",
        ]

    def test_a_fan_in_of_sources(self) -> None:
        assert drawn(graph_of(a="", b="", c="", d="a b c")) == ["○ a", "│ ○ b", "│ │ ○ c", "◆─┴─╯ d"]

    def test_a_line_that_passes_a_lane_is_no_tap(self) -> None:
        assert drawn(graph_of(s="", m="s", n="s", leaf="m", t="s", e="m n t")) == [
            "○ s",
            "├─● m",
            "│ ├─◆ leaf",
            "├─│─● n",
            "● │ │ t",
            "◆─┴─╯ e",
        ]

    def test_with_the_characters_that_every_terminal_has(self) -> None:
        lines = drawn(graph_of(a="", b="a", c="a", d="b c"), unicode=False)
        assert lines == ["o a", "+-* b", "* | c", "#-' d"]

    def test_head_with_counts(self) -> None:
        assert to_ascii([Drawing("sales", graph_of(a="", b="a"))]).startswith("sales  (2 nodes, 2 levels)\n")
        assert to_ascii([Drawing("none", graph_of())]) == "none  (0 nodes, 0 levels)\n"

    def test_layers_are_named_where_they_are_not_the_pipelines_and_colored_when_asked(self) -> None:
        graph = build_graph([Node("a", layer="gold"), Node("b", layer="my own"), Node("c")])
        lines = to_ascii([Drawing("p", graph, "gold")]).splitlines()[1:]
        assert lines == ["◇ a", "◇ b  [my own]", "◇ c"]
        colored = to_ascii([Drawing("p", graph, "gold")], color=True)
        assert "\x1b[93ma\x1b[0m" in colored
        assert re.search(r"\x1b\[\d+mb\x1b\[0m", colored)
        assert "\x1b" not in to_ascii([Drawing("p", graph)])

    def test_a_thousand_sources_are_listed_level_by_level(self) -> None:
        nodes = [Node(f"s{at}") for at in range(1000)]
        graph = build_graph([*nodes, Node("sink", depends_on=tuple(node.name for node in nodes))])
        lines = drawn(graph)
        assert lines[0] == "level 0"
        assert lines[-2:] == ["level 1", "  sink ← s0, s1, s2, s3, ... (1000 in all)"]
        assert len(lines) == 1003
        assert max(map(len, lines)) < 80

    def test_a_long_chain_takes_one_lane(self) -> None:
        graph = build_graph([Node(f"c{at}", depends_on=(f"c{at - 1}",) if at else ()) for at in range(20_000)])
        lines = drawn(graph)
        assert len(lines) == 20_000
        assert lines[-1] == "◆ c19999"

    @given(graphs())
    def test_each_node_once_and_after_its_inputs(self, graph: Graph) -> None:
        names = [line.rsplit(" ", 1)[1] for line in drawn(graph)]
        assert sorted(names) == sorted(node.name for node in graph.nodes)
        for node in graph.nodes:
            assert all(names.index(need) < names.index(node.name) for need in node.depends_on)

    @given(graphs())
    def test_every_edge_can_be_read_from_the_lanes(self, graph: Graph) -> None:
        assert edges_read_from(drawn(graph)) == {(need, node.name) for node in graph.nodes for need in node.depends_on}


def edges_read_from(lines: list[str]) -> set[tuple[str, str]]:
    """What somebody sees who follows the lanes with a finger."""
    lanes: dict[int, str] = {}
    edges = set()
    for line in lines:
        match = re.fullmatch(r"([○●◆◇│─├┤┼╰╯┴ ]+) (n\d+)", line)
        assert match, line
        cells, name = match[1], match[2]
        (own,) = [place for place, cell in enumerate(cells) if cell in "○●◆◇"]
        read = [place for place, cell in enumerate(cells) if cell in "├┤┼╰╯┴"]
        if cells[own] in "●◆" and own in lanes:
            read.append(own)
        edges |= {(lanes[place], name) for place in read}
        lanes.pop(own, None)
        for place in read:
            if place != own and cells[place] in "╰╯┴":
                del lanes[place]
        assert all(cells[place] in "│├┤┼" for place in lanes), line
        if cells[own] in "○●":
            lanes[own] = name
    assert not lanes
    return edges


class TestNamesThatMeanSomethingElsewhere:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_on_a_terminal_they_stay_on_their_line(self, name: str) -> None:
        (line,) = drawn(build_graph([Node(name)]))
        assert line.isprintable()
        assert line == f"◇ {visible(name)}"

    @pytest.mark.parametrize("name", HOSTILE)
    def test_in_mermaid_they_are_entities(self, name: str) -> None:
        text = to_mermaid([Drawing(name, build_graph([Node(name, layer=name)]), name)])
        labels = re.findall(r'\["(.*)"\]', text)
        assert len(labels) == 2
        for label in labels:
            assert re.fullmatch(r"(?:[\w .,:/+-]|#\d+;)*", label)
            assert "--" not in label
            assert re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label) == visible(name)
        assert len(text.splitlines()) == 5

    @pytest.mark.parametrize("name", HOSTILE)
    def test_in_dot_they_are_quoted(self, name: str) -> None:
        text = to_dot([Drawing(name, build_graph([Node(name, layer=name)]))])
        quoted = r'"((?:[^"\\\n]|\\["\\])*)"'
        line = next(line for line in text.splitlines() if line.startswith("    n0_0"))
        match = re.fullmatch(rf'    n0_0 \[label={quoted}, fillcolor="#\w+", tooltip={quoted}\];', line)
        assert match, line
        assert re.sub(r"\\(.)", r"\1", match[1]) == visible(name)

    @given(st.text(max_size=30))
    def test_visible_prints_on_one_line(self, text: str) -> None:
        shown = visible(text)
        assert shown.isprintable()
        assert shown == text or not text.isprintable()


def test_mermaid() -> None:
    graph = build_graph([Node("a", layer="bronze"), Node("b", depends_on=("a",), layer="own")])
    assert to_mermaid([Drawing("p", graph)]) == (
        "flowchart LR\n"
        '  subgraph p0["p"]\n'
        '    n0_0["a"]:::layer0\n'
        '    n0_1["b"]:::layer1\n'
        "    n0_0 --> n0_1\n"
        "  end\n"
        "  classDef layer0 fill:#e6c2a0,stroke:#555555,color:#111111\n"
        "  classDef layer1 fill:#bfe3d0,stroke:#555555,color:#111111\n"
    )


def test_dot() -> None:
    text = to_dot([Drawing("p", graph_of(a="", b="a")), Drawing("q", graph_of(a=""))])
    assert "subgraph cluster_0 {" in text
    assert "n0_0 -> n0_1;" in text
    assert 'n1_0 [label="a"];' in text
    assert text.count("{") == text.count("}")


def test_json() -> None:
    nodes = [
        Node("a", read=Read("raw", "a.csv"), tags=("x",), description="d"),
        Node("b", depends_on=("a",), write=Write("lake", table="t")),
    ]
    data = json.loads(to_json([Drawing("p", build_graph(nodes), "gold")]))
    (pipeline,) = data["pipelines"]
    assert pipeline["name"] == "p"
    assert pipeline["edges"] == [["a", "b"]]
    assert pipeline["critical_path"] == ["a", "b"]
    assert pipeline["nodes"][0] == {
        "name": "a",
        "layer": "gold",
        "level": 0,
        "tags": ["x"],
        "depends_on": [],
        "description": "d",
        "reads": "raw:a.csv",
        "writes": None,
    }
    assert pipeline["nodes"][1]["writes"] == "lake:t"


def test_values_handed_in_are_no_nodes() -> None:
    graph = build_graph([Node("a", depends_on=("handed",))], ["handed"])
    assert drawn(graph) == ["◆ a"]
    assert "n0_1" not in to_dot([Drawing("p", graph)])
    assert json.loads(to_json([Drawing("p", graph)]))["pipelines"][0]["edges"] == []
