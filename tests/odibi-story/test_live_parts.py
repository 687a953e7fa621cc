"""Whoever changes a page as it is told has the page as it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi_story.live.parts import TOP, Changes, Part, split, title_of
from odibi_story.live.runs import leading

TEXTS = st.sampled_from(["", "<p>a</p>", "<p>b</p>", "text &lt;!--[x--&gt; of a story"])
BOXES = ("", "going", "past")
PAGES = st.tuples(
    st.sampled_from(["one", "two &amp; more"]),
    st.lists(st.sampled_from(BOXES[1:]), unique=True),
    st.dictionaries(st.sampled_from(["n0", "n1", "r-5f"]), st.tuples(st.sampled_from(BOXES), TEXTS)),
)


def page(title: str, boxes: list[str], parts: dict[str, tuple[str, str]]) -> str:
    """A page with boxes in it; parts of boxes that are not there stand beside them."""

    def inside(box: str) -> str:
        return "".join(
            f"<!--[{key}--><div>{text}</div><!--]-->\n"
            for key, (parent, text) in parts.items()
            if box == (parent if parent in boxes else "")
        )

    told = "".join(f"<!--[{box}--><ul>{inside(box)}</ul><!--]-->" for box in boxes)
    return f"<!doctype html><title>{title}</title><main>{told}{inside('')}</main>"


class Reader:
    """Does what the page's script does."""

    def __init__(self) -> None:
        self.version = ""
        self.title = ""
        self.parts: dict[str, tuple[str, str]] = {}
        self.orders: dict[str, list[str]] = {}

    def take(self, told: dict[str, Any] | None, version: str) -> None:
        if told is None:
            return
        self.version, self.title = version, told["title"]
        self.parts.update({key: (parent, html) for parent, key, html in told["put"]})
        self.orders.update(told["orders"])

    @property
    def seen(self) -> dict[str, Part]:
        return {key: Part(*self.parts[key]) for keys in self.orders.values() for key in keys}


@given(st.lists(st.tuples(PAGES, st.booleans()), min_size=1, max_size=8))
def test_a_reader_who_looks_now_and_then_has_the_page(history) -> None:
    changes, reader = Changes(), Reader()
    for made, looks in history:
        text = page(*made)
        changes.take(text)
        if looks:
            reader.take(changes.after(reader.version), changes.version)
            assert reader.seen == split(text)
            assert reader.title == title_of(text)
            by_parent = {
                parent: [key for key, part in split(text).items() if part.parent == parent]
                for parent in {TOP, *(part.parent for part in split(text).values())}
            }
            assert {parent: keys for parent, keys in reader.orders.items() if keys} == {
                parent: keys for parent, keys in by_parent.items() if keys
            }
            assert changes.after(reader.version) is None


@given(PAGES)
def test_the_same_page_is_no_change(made) -> None:
    changes = Changes()
    changes.take(page(*made))
    version = changes.version
    assert not changes.take(page(*made))
    assert changes.version == version


def test_only_what_changed_is_told() -> None:
    changes = Changes()
    changes.take(page("t", [], {"n0": ("", "a"), "n1": ("", "a")}))
    version = changes.version
    assert changes.take(page("t", [], {"n0": ("", "a"), "n1": ("", "b")}))
    assert changes.after(version) == {"title": "t", "put": [[TOP, "n1", "<div>b</div>"]], "orders": {}}


@pytest.mark.parametrize("version", ["", "x", "12345678.1", "12345678.", "..", "12345678.-1", "12345678.²"])
def test_a_version_that_is_not_known_is_told_everything(version) -> None:
    changes = Changes()
    changes.take(page("t", [], {"n0": ("", "a")}))
    assert changes.after(version) == {"title": "t", "put": [[TOP, "n0", "<div>a</div>"]], "orders": {TOP: ["n0"]}}


@pytest.mark.parametrize("text", ["<!--[a-->", "<!--]-->", "<!--[a--><!--]--><!--[a--><!--]-->", "<!--]--><!--[a-->"])
def test_marks_that_do_not_match_are_refused(text) -> None:
    with pytest.raises(ValueError, match="part"):
        split(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a":1,"b":[2],"c":{}}', {"a": 1, "b": [2]}),
        ('{"a":1,"x":"b","b":2', {"a": 1}),
        ('{"a":12', {}),
        ('{"a":"torn', {}),
        ("", {}),
        ("[1,2]", {}),
        ('{"a" :1}', {}),
        ("\x00\x01", {}),
    ],
)
def test_the_first_fields_of_a_record_that_is_read_in_part(text, found) -> None:
    assert leading(text.encode(), ["a", "b"]) == found
