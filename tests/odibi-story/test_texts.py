"""Stories as Markdown and as text: nothing in them is taken for markup, and a graph stays one that can be drawn."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi.errors import DataError
from odibi_story.amounts import count, duration, moment, size
from odibi_story.markdown import MOST_DRAWN, block, code, document, plain, table
from odibi_story.record import Failure, NodeStory, RunStory, Sample
from odibi_story.storing import from_json, from_lines, to_json
from odibi_story.terminal import story_text

HOSTILE = ("</script>", "| a | b |", "```", "# no", "- [x] no", "1. no", "<img src=x>", 'a"]:::b', "&lt;", "\u202e\x1b")


def hostile() -> RunStory:
    nodes = [
        NodeStory(text, list(HOSTILE[:at]), reason=text, state="failed", failure=Failure("E", text))
        for at, text in enumerate(HOSTILE)
    ]
    nodes[0].samples = [Sample("result", list(HOSTILE), [list(HOSTILE)])]
    return RunStory("r", HOSTILE[1], HOSTILE[6], problems=list(HOSTILE), nodes=nodes, command=list(HOSTILE))


def test_no_text_is_taken_for_markup() -> None:
    text = document(hostile())
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "```" not in outside.replace("\\`", "")
    assert not re.search(r"(?<!\\)<(img|/script)", outside)
    headings = [line for line in outside.splitlines() if line.startswith("#")]
    assert len(headings) == 5 + len(HOSTILE)
    for line in outside.splitlines():
        if line.startswith("| ✗"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 8, line


def test_labels_of_the_graph_end_where_they_should() -> None:
    graph = document(hostile()).partition("```mermaid")[2].partition("```\n")[0]
    labels = [line for line in graph.splitlines() if '["' in line]
    assert len(labels) == len(HOSTILE)
    for line in labels:
        assert re.fullmatch(r'    n\d+\["[^"\[\]<>{}|`]*"\]:::failed', line), line


def test_a_graph_that_is_too_large_is_not_drawn() -> None:
    story = RunStory("r", "p", "s", nodes=[NodeStory(f"n{at}") for at in range(MOST_DRAWN + 1)])
    assert "mermaid" not in document(story)
    story.nodes.pop()
    assert "mermaid" in document(story)


@given(st.text())
def test_code_and_blocks_are_closed_by_their_own_fence_alone(text: str) -> None:
    fence = re.match("`+", code(text))
    assert fence is not None
    assert fence.group() not in re.sub(f"^{fence.group()}|{fence.group()}$", "", code(text))
    first, *_, last = block(text).split("\n")
    assert last.strip("`") == ""
    assert first == f"{last}text"
    assert last not in block(text)[len(first) : -len(last)]


@given(st.text())
def test_plain_text_stays_on_its_line_and_in_its_cell(text: str) -> None:
    made = plain(text)
    assert "\n" not in made
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", table(("a",), [(made,)]).splitlines()[2])) == 2


def test_a_terminal_is_told_nothing_but_text() -> None:
    text = story_text(hostile())
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0, "0 ms"), (0.0042, "4 ms"), (0.9996, "1.0 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"),
     (3599.9, "60 min 0 s"), (7500, "2 h 5 min")],
)  # fmt: skip
def test_durations(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_amounts() -> None:
    assert [size(it) for it in (None, 0, 999, 1000, 12_345, 999_600, 5 * 10**15)] == [
        "", "0 B", "999 B", "1.0 kB", "12 kB", "1.0 MB", "5000.0 TB",
    ]  # fmt: skip
    assert (count(None), count(336_776)) == ("", "336,776")
    assert moment(0) == "1970-01-01 00:00:00 UTC"
    assert moment(1e20) == "?"


# --- stored stories that are none -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"layout": 99, "run_id": "r"}', '{"layout": true, "run_id": "r"}',
     '{"layout": 1}', '{"layout": 1, "run_id": 5, "pipeline": "p", "project": "s", "nodes": 5}',
     '{"layout": 1, "run_id": "r", "pipeline": "p", "project": "s", "nodes": [5]}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_story_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(DataError, match=r"here: this is no story of a run"):
        from_json(text, "here")
    with pytest.raises(DataError, match=r"this is no story of a run"):
        from_lines(text.encode())


def test_what_a_later_version_adds_is_passed_over() -> None:
    text = to_json(hostile()).replace('{"layout":1,', '{"layout":1,"later":[1],', 1)
    assert from_json(text) == from_json(to_json(hostile()))
