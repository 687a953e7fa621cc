"""The page of a run: what it says, that it is sound HTML, and that nothing in it can do harm."""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from odibi_story.html import page
from odibi_story.html.document import MOST
from odibi_story.record import Attempt, Column, Failure, NodeStory, RunStory, Sample

sys.path.insert(0, str(Path(__file__).parent))

import made_records as made
from sound_html import Reader, squeezed

RECORDS: list[Callable[[], RunStory]] = [
    made.quarantined,
    made.reused,
    made.failed,
    made.running,
    made.hostile,
    made.many,
    lambda: RunStory("r", "p", "x"),
]
NAMES = ["quarantined", "reused", "failed", "running", "hostile", "many", "empty"]


@pytest.fixture(params=RECORDS, ids=NAMES, scope="module")
def text(request: pytest.FixtureRequest) -> str:
    return page(request.param())


@pytest.fixture(scope="module")
def read(text: str) -> Reader:
    return Reader(text)


def test_it_is_sound(read: Reader) -> None:
    every = [each.given["id"] for each in read.elements if "id" in each.given]
    ids = set(every)
    assert len(ids) == len(every)
    for each in read.elements:
        for name in ("aria-labelledby", "data-copy", "for"):
            assert set(each.given.get(name, "").split()) <= ids, each
        if each.tag in ("a", "use"):
            assert each.given["href"].startswith("#"), each
            assert each.given["href"][1:] in ids, each
    assert [each.tag for each in read.elements].count("h1") == 1
    assert [each.tag for each in read.elements].count("main") == 1
    assert read.all("html")[0].given["lang"] == "en"
    for each in read.all("svg"):
        silent = each.given.get("aria-hidden") == "true" or {"a", "svg"} & set(each.path)
        assert silent or each.given.get("aria-label"), each
    for each in read.all("section"):
        labelled = "aria-labelledby" in each.given or "details" in each.path
        assert labelled, each


def test_nothing_is_asked_of_anybody(read: Reader) -> None:
    for each in read.elements:
        assert not {"src", "srcset", "action", "formaction", "style", "background", "ping", "srcdoc"} & set(each.given)
        assert not [name for name in each.given if name.startswith("on")]
        assert each.tag not in ("iframe", "img", "object", "embed", "base", "audio", "video", "foreignobject")
    links = [each.given["href"] for each in read.all("link")]
    assert links == ["data:,"]
    assert "url(" not in read.all("style")[0].text
    assert "@import" not in read.all("style")[0].text


def test_only_what_is_ours_may_run(read: Reader) -> None:
    (policy,) = [
        each.given["content"] for each in read.all("meta") if each.given.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (only,) = read.all(tag)
        digest = base64.b64encode(hashlib.sha256(only.text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_it_can_be_written_and_stays_small(text: str) -> None:
    assert len(text.encode("utf-8")) < 5_000_000
    assert "\r" not in text
    assert "\x00" not in text


def test_without_a_script_all_of_a_small_run_can_be_read() -> None:
    read = Reader(page(made.quarantined()))
    said = squeezed(read.all("body")[0].text)
    for each in (
        "Succeeded after 1.52 s",
        "orders.csv is newer",
        "SELECT id, customer, email,",
        "1,200 → 1,187 rows",
        "3 rows quarantined",
        "2 rows have no customer",
        "silver/orders.parquet",
        '"0x8DD1"',
        "0a1b2c3d4e5f on main, with changes not committed",
        "max_attempts: 3",
        "odibi-pandas 0.1.0",
        "Peak memory of the process 260 MB",
        "cd '/srv/sales data' && odibi run odibi.yaml --pipeline silver",
        "raw_orders-5d41402a",
    ):
        assert squeezed(each) in said, each


def test_what_failed_first_comes_before_everything_else() -> None:
    record = made.failed()
    record.nodes[2].state = "failed"  # before the other
    record.nodes[2].failure = Failure("ReadError", "no such file: regions.csv")
    record.nodes[2].finished = 0.2
    main = Reader(page(record)).all("main")[0].text
    said = squeezed(main)
    assert "What failed first: regions" in said
    assert said.index("no such file") < said.index("it failed: KeyError: 'region'")
    assert said.index("What failed first") < said.index("Run it again") < said.index("Graph") < said.index("Timeline")


def test_columns_that_changed_are_marked_with_more_than_colour() -> None:
    read = Reader(page(made.quarantined()))
    told = [each for each in read.all("span") if each.given.get("class") in ("added", "removed", "changed")]
    marks = {each.given["class"]: squeezed(each.text) for each in told}
    assert marks["added"].startswith("+ ")
    assert marks["removed"] == "− at string"
    assert marks["changed"] == "~ amount string → double"
    heads = [squeezed(each.text) for each in read.all("th")]
    assert "ordered_at addedtimestamp[us]" in heads


def test_a_rule_and_its_warning_are_told_once() -> None:
    record = made.quarantined()
    record.nodes[1].warnings.append("the target had to be made")
    (list_of_warnings,) = [
        each for each in Reader(page(record)).all("ul") if each.given.get("class") == "notes" and "details" in each.path
    ]
    assert squeezed(list_of_warnings.text) == "the target had to be made"


def test_rows_that_stay_as_they_were_read_are_shown_once() -> None:
    record = made.quarantined()
    node = record.nodes[0]
    node.samples = [attrs.evolve(node.samples[0], step="read"), node.samples[0]]
    text = page(record)
    assert text.count("<h4>As read, and as the result ") == 1
    node.samples[0] = attrs.evolve(node.samples[0], rows=[])
    text = page(record)
    assert "As read, and as the result" not in text
    assert "As read" in text


def test_masked_cells_say_so() -> None:
    read = Reader(page(made.quarantined()))
    masked = [each for each in read.all("td") if each.given.get("class") == "masked"]
    assert masked
    assert {each.text for each in masked} == {"masked"}
    assert "***" not in read.all("body")[0].text


def test_texts_of_others_stay_texts() -> None:
    record = made.hostile()
    read = Reader(page(record))
    assert len(read.all("script")) == 1
    said = squeezed(read.all("body")[0].text)
    for each in made.HOSTILE:
        shown = each.replace("\x1b", "\u241b").replace("\x00", "\u2400").replace("\ud83d", "\ufffd")
        assert squeezed(shown) in said


def test_a_thousand_nodes_are_all_told_of() -> None:
    record = made.many()
    text = page(record)
    read = Reader(text)
    assert [squeezed(each.text) for each in read.all("h3") if "summary" in each.path] == [
        node.name for node in record.nodes
    ]
    assert "are told without sample rows" in squeezed(read.all("main")[0].text)
    assert text.count("this page small; the JSON file beside it has more") == 0
    # What failed is told in full.
    for node in record.nodes:
        if node.failure is not None:
            assert node.failure.message in read.all("main")[0].text


def test_a_thousand_nodes_with_much_to_say_stay_small() -> None:
    record = made.many()
    for node in record.nodes:
        node.reason = "because " * 250
        node.warnings = ["mind " * 100] * 3
        node.definition = {"sql": "SELECT 1\n" * 200}
    text = page(record)
    assert len(text.encode()) < 5_000_000
    assert "because because" in text


def test_of_more_than_there_is_room_for_the_list_at_least_is_whole() -> None:
    record = made.many(60)
    for node in record.nodes:
        node.definition = {"sql": "x" * (MOST // 40)}
        node.reason = "y" * (MOST // 40)
    text = page(record)
    assert len(text.encode()) < MOST + 500_000
    read = Reader(text)
    assert len([each for each in read.all("details") if each.given.get("id", "").startswith("d")]) == 60
    assert "Left out to keep this page small" in text


def test_a_run_that_goes_on_says_so() -> None:
    said = squeezed(Reader(page(made.running())).all("main")[0].text)
    assert "Still running when this was written" in said
    assert "orders" in said
    assert "waiting" in said


def test_an_attempt_without_an_end_does_not_break_the_page() -> None:
    nodes = [NodeStory("n", state="cancelled", started=0.0, attempts=[Attempt(1, 0.0, "w")], rows=None)]
    nodes[0].samples = [Sample("result", ["a"], [[1]], None)]
    nodes[0].schema = [Column("a", "int64")]
    assert "1 row" in page(RunStory("r", "p", "x", nodes=nodes, duration=0.0))


def test_a_node_that_is_an_input_twice_or_its_own_is_drawn() -> None:
    nodes = [NodeStory("a", ["a", "outside"]), NodeStory("b", ["a", "a"])]
    assert "handed to the run" in page(RunStory("r", "p", "x", nodes=nodes))


def test_states_that_are_not_known_are_shown_by_their_word() -> None:
    nodes = [NodeStory("a", state="dreaming")]
    said = squeezed(Reader(page(RunStory("r", "p", "x", state="dreaming", nodes=nodes))).all("main")[0].text)
    assert said.count("dreaming") >= 3  # of the run, among the outcomes, in the list
