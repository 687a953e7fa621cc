"""Laws of the small parts that the stores are made of."""

from __future__ import annotations

import itertools
import math
from collections import UserDict
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from turning import Turned

from odibi.contracts.storage import Stat
from odibi_objects.clock import Clock, Stamps
from odibi_objects.crew import Crew
from odibi_objects.documents import Damaged, decode, encode
from odibi_objects.entries import FOREVER, SEAL, Version, folder_of, opened, seal, version_of
from odibi_objects.names import backwards, forwards, key_of, name_at, placed
from odibi_objects.names import folder_of as folder_for
from odibi_objects.options import duration, folder, pause, positive, size
from odibi_objects.results import Results
from odibi_objects.values import plain

TEXT = st.text(st.characters(exclude_categories=[]), max_size=12) | st.text("ab", min_size=90, max_size=220)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


# --- names ----------------------------------------------------------------------------------------------------------


@given(st.lists(TEXT, unique=True, max_size=8))
def test_run_ids_come_backwards_in_a_listing(ids: list[str]) -> None:
    in_a_listing = sorted(f"runs/{backwards(run_id)}/00000000" for run_id in ids)
    expected = sorted(ids, key=lambda run_id: run_id.encode("utf-8", "surrogatepass"), reverse=True)
    assert [forwards(path[5:-9]) for path in in_a_listing] == expected
    # The same among names that go on after them.
    assert [forwards(path[5:-7]) for path in sorted(f"done/{backwards(each)}.failed" for each in ids)] == expected
    if all(not 0xD800 <= ord(char) < 0xE000 for run_id in ids for char in run_id):
        assert expected == sorted(ids, reverse=True)


@given(TEXT)
def test_no_part_of_a_path_is_too_long(name: str) -> None:
    for path in (backwards(name), key_of(name)):
        assert all(0 < len(part) <= 205 for part in path.split("/"))
        assert not set(path) - set("abcdefghijklmnopqrstuvwxyz0123456789/.-")


@given(st.text("0123456789abcdefzZ/", max_size=30))
def test_what_is_no_run_id_is_none(path: str) -> None:
    found = forwards(path)
    assert found is None or backwards(found) == path


def test_names_that_look_alike_have_keys_of_their_own() -> None:
    names = ["etl", "ETL", "etl ", "etl-", "", "-", "e/tl", "é", "e\u0301", "\ud800", "x" * 99, "x" * 100]
    assert len({key_of(name).casefold() for name in names}) == len(names)
    assert key_of("Silver: orders").startswith("silver-orders.")


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text("aB/!é", max_size=8)
NAMES |= st.lists(NAMES | st.text("a/", min_size=90, max_size=300), max_size=12).map("/".join)


@given(NAMES, st.integers(0, 400))
def test_a_name_lies_in_the_folder_of_each_of_its_beginnings(name: str, length: int) -> None:
    place = placed(name)
    assert name_at(place) in (name, None)
    assert name_at(place) == name or len(name.encode()) > 40
    folder = folder_for(name[:length])
    assert not folder or f"{place}.1".startswith(f"{folder}/")
    assert all(0 < len(part) <= 200 for part in place.split("/"))
    assert len(place) <= 700
    assert not set(place) - set("abcdefghijklmnopqrstuvwxyz0123456789/.-")


@given(st.lists(NAMES, unique=True, max_size=6))
def test_names_have_places_of_their_own_and_none_is_a_folder(names: list[str]) -> None:
    places = {f"{placed(name)}.1" for name in names}
    assert len(places) == len(names)
    folders = {place[:at] for place in places for at, letter in enumerate(place) if letter == "/"}
    assert not places & folders


def test_the_folder_of_a_prefix_holds_no_names_that_begin_otherwise() -> None:
    assert folder_for("orders/eu") == folder_for("orders/") == "forders"
    assert folder_for("") == folder_for("orders") == ""
    assert placed("orders/eu!dead/1") == "forders/feu-21dead/n1"
    assert placed("Orders/") == "f-4frders/n"
    assert not f"{placed('ordersx/eu')}".startswith(f"{folder_for('orders/')}/")


@pytest.mark.parametrize("path", ["", "x", "n-zz", "n-ff", "nA", "n-61", "f-ff/na", "na/nb", "fa", "n-"])
def test_what_is_no_place_is_refused(path: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of two kinds
        name_at(path)


# --- documents ------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.text(), JSON), st.data())
def test_a_document_is_what_was_written_or_damaged(content: dict[str, Any], data: st.DataObject) -> None:
    content.pop("kind", None)
    written = encode("x", content)
    assert decode(written, "here", "y", "x") == {"kind": "x", **content}
    with pytest.raises(Damaged):
        decode(written, "here", "y")
    changed = bytearray(written)
    changed[data.draw(st.integers(0, len(written) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Damaged):
        decode(bytes(changed), "here", "x")
    with pytest.raises(Damaged):
        decode(written[: data.draw(st.integers(0, len(written) - 1))], "here", "x")


@given(JSON)
def test_values_are_copied_as_they_are(value: Any) -> None:
    copied = plain(value, "it")
    assert copied == value
    assert type(copied) is type(value)
    if isinstance(value, list | dict):
        assert copied is not value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [1, math.nan]}, r"it\.a\[1\] is nan"),
        ([math.inf], r"it\[0\] is inf"),
        ({"a": {1: 2}}, r"it\.a has a key of type int"),
        ([object()], r"it\[0\] is of type object"),
        (b"x", "it is of type bytes"),
        (list(itertools.accumulate(range(300), lambda inner, _: [inner], initial=[]))[-1], "more than 200 levels"),
    ],
    ids=["nan", "inf", "key", "object", "bytes", "deep"],
)
def test_what_json_has_no_word_for_is_refused_by_its_place(value: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        plain(value, "it")


def test_mappings_and_tuples_become_dicts_and_lists() -> None:
    assert plain(UserDict({"a": (1, [2])}), "it") == {"a": [1, [2]]}


# --- results --------------------------------------------------------------------------------------------------------

NODES = st.sampled_from(["a", "b", "c"])
WRITTEN = st.lists(
    st.tuples(st.sampled_from(["r1", "r2"]), st.lists(st.tuples(NODES, st.integers()), min_size=1, max_size=3))
    | st.tuples(st.just(""), st.none() | st.lists(NODES, max_size=2)),
    max_size=10,
)


def parts(history: list[Any]) -> tuple[dict[str, Any], list[Results]]:
    """What is to be seen after a history, and each of its events by itself."""
    newest: dict[str, Any] = {}
    found = []
    for stamp, (run_id, event) in enumerate(history, 1):
        part = Results()
        if run_id:
            records = [{"node": node, "fingerprint": "f", "value": value} for node, value in event]
            part.add(run_id, stamp, records)
            newest.update({record["node"]: {**record, "run_id": run_id} for record in records})
        else:
            part.forget(stamp, event)
            for node in list(newest) if event is None else event:
                newest.pop(node, None)
        found.append(part)
    return newest, found


@given(WRITTEN, st.randoms(use_true_random=False))
def test_results_can_be_put_together_in_any_order_as_often_as_one_likes(history: list[Any], random: Any) -> None:
    newest, several = parts(history)
    shuffled = [*several, *random.sample(several, random.randint(0, len(several)))]
    random.shuffle(shuffled)
    whole, rest = Results(), Results()
    for number, part in enumerate(shuffled):
        # Some go through a file on the way, some through another whole.
        (whole if number % 2 else rest).merge(Results.from_json(plain(part.to_json(), "it")))
    whole.merge(rest)
    assert whole.records() == newest
    before = plain(whole.to_json(), "it")
    whole.merge(rest)
    assert plain(whole.to_json(), "it") == before
    assert whole.newest <= len(history)


def test_of_two_that_were_written_at_once_all_take_the_same() -> None:
    one, other = Results(), Results()
    one.add("r1", 7, [{"node": "a", "fingerprint": "f", "value": 1}])
    other.add("r2", 7, [{"node": "a", "fingerprint": "f", "value": 2}])
    first, second = Results(), Results()
    for part in (one, other):
        first.merge(part)
    for part in (other, one):
        second.merge(part)
    assert first.records() == second.records()


# --- stamps ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 2**60)), max_size=20))
def test_stamps_grow_whatever_the_clock_does(steps: list[tuple[float, int]]) -> None:
    turned, clock = Turned(), Clock()
    turned.drive(clock)
    stamps = Stamps(clock)
    last = 0
    for passed, seen in steps:
        turned.wall += passed
        stamps.see(seen)
        stamp = stamps.take()
        assert stamp > max(last, seen)
        last = stamps.last
        assert last == stamp


# --- entries --------------------------------------------------------------------------------------------------------

KEYS = st.text("abcxyz0189-_", min_size=1, max_size=128)
MOMENTS = st.floats(0, 1e12)
VERSIONS = st.builds(
    Version,
    KEYS,
    st.integers(1, 2**31),
    MOMENTS,
    MOMENTS | st.just(FOREVER),
    st.text("0123456789abcdef", min_size=16, max_size=16),
)


@given(VERSIONS, st.integers(0, 10**12))
def test_a_name_tells_all_but_what_only_the_content_can(version: Version, size: int) -> None:
    path = f"c/entries/{version.name}"
    found = version_of(Stat(path, size + SEAL, 0.0, "etag"), "c/entries")
    assert found is not None
    assert (found.name, found.size, found.expires) == (version.name, size, version.expires)
    assert version_of(Stat(f"{path}x", size, 0.0, "etag"), "c/entries") is None


@given(st.lists(KEYS, unique=True, max_size=10))
def test_entries_are_listed_by_key(keys: list[str]) -> None:
    folders = [folder_of(key).partition("/")[2] + "/1" for key in keys]
    assert [name[:-3] for name in sorted(folders)] == sorted(keys)


@given(VERSIONS, st.binary(max_size=60), st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.data())
def test_an_entry_is_what_was_put_or_damaged(version: Version, content: bytes, label: str, data: st.DataObject) -> None:
    from hashlib import sha256

    end = seal(version.key, version.created, version.expires, len(content), sha256(content).digest(), label)
    whole = content + end
    found = opened(whole, version)
    assert found is not None
    assert (bytes(found[1]), found[0].label) == (content, label)
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(whole) - 1))
    for damaged in (bytes(changed), whole[:cut], whole[cut + 1 :], whole + b"\0", content + whole):
        if damaged != whole:
            assert opened(damaged, version) is None


# --- threads --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers()), st.integers(1, 4))
def test_a_crew_keeps_the_order(items: list[int], count: int) -> None:
    crew = Crew(count)
    try:
        assert list(crew.map(str, items)) == [str(item) for item in items]
        assert list(itertools.islice(crew.map(str, iter(items)), 2)) == [str(item) for item in items[:2]]
    finally:
        crew.close()
        crew.close()


def test_a_crew_hands_on_the_first_error() -> None:
    crew = Crew(3)
    taken: list[int] = []

    def work(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    with pytest.raises(ValueError, match="two"):
        taken.extend(crew.map(work, itertools.count()))
    assert taken == [0, 1]
    crew.close()
    assert list(crew.map(abs, [-1, -2])) == [1, 2]
    crew.close()


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "bytes_"),
    [(1, 1), ("1", 1), ("10GB", 10**10), ("512 MiB", 512 << 20), ("1.5kb", 1500), (None, None), ("2 TiB", 2 << 40)],
)
def test_sizes(given_: Any, bytes_: int | None) -> None:
    assert size(given_) == bytes_


@pytest.mark.parametrize("given_", ["", "much", "-1", "1 GBit", 0, "0", True, "1.2.3 MB"])
def test_what_is_no_size(given_: Any) -> None:
    with pytest.raises(ValueError, match="is no size; give a number of bytes"):
        size(given_)


@pytest.mark.parametrize(
    ("given_", "seconds"),
    [(30, 30.0), ("90s", 90.0), ("1.5 h", 5400.0), ("7d", 604800.0), ("250ms", 0.25), (None, None)],
)
def test_durations(given_: Any, seconds: float | None) -> None:
    assert duration(given_) == seconds


@pytest.mark.parametrize("given_", ["", "soon", 0, "0s", -1, True, math.inf, "1 month"])
def test_what_is_no_duration(given_: Any) -> None:
    with pytest.raises(ValueError, match="is no duration; give a number of seconds"):
        duration(given_)


def test_other_options() -> None:
    assert (pause(0), pause("0"), pause("5m")) == (0.0, 0.0, 300.0)
    with pytest.raises(ValueError, match="is no duration"):
        pause("never")
    assert positive(1) == 1
    with pytest.raises(ValueError, match="give 1 or more"):
        positive(0)
    assert (folder("a//b/"), folder("")) == ("a/b", "")
    with pytest.raises(ValueError, match="climbs out"):
        folder("a/../../b")
