"""A watch means what a read of the same path does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from odibi.contracts.finding import parts_of
from odibi.contracts.format import Source
from odibi.contracts.storage import Stat
from odibi.errors import InvalidPath, NotFound
from odibi_triggers.matching import TEMPORARY, Matcher

NAMES = st.sampled_from(["in", "a", "b.csv", "ab.csv", "a[1].csv", ".h", "_x", "_k=1", "k=1", "a.done", "x.c"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PIECES = st.one_of(
    NAMES, st.sampled_from(["*", "**", "*.csv", "?.csv", "[ab]*", "[!a]*", "[", "a[", "*[.]csv", "k=*", "[]a]*"])
)
PATTERNS = st.lists(PIECES, min_size=1, max_size=4).map("/".join)


class One:
    """A storage with one object."""

    def __init__(self, path: str) -> None:
        self._stat = Stat(path, 1, 0.0, "e")

    def list(self, prefix: str = "") -> Any:
        if not prefix or self._stat.path == prefix or self._stat.path.startswith(f"{prefix}/"):
            yield self._stat

    def stat(self, path: str) -> Stat:
        if path != self._stat.path:
            raise NotFound("nothing", where=path)
        return self._stat


def read(pattern: str, path: str) -> bool:
    storage: Any = One(path)
    source = Source(storage=storage, connection="c", format=None, format_name="csv", path=pattern)  # type: ignore[arg-type]
    try:
        return [part.path for part in parts_of(source, partitioned=False)] == [path]
    except NotFound:
        return False


@settings(max_examples=600)
@given(PATTERNS, PATHS)
def test_a_path_is_meant_if_a_read_means_it(pattern: str, path: str) -> None:
    assert Matcher(pattern).means(path) == read(pattern, path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much])
@given(PATHS, st.lists(st.sampled_from(["", "*", "**"]), min_size=4, max_size=4), st.integers(1, 4))
def test_all_that_is_meant_lies_where_the_watch_looks(path: str, wildcards: list[str], depth: int) -> None:
    pieces = [wild or piece for piece, wild in zip(path.split("/"), wildcards, strict=False)]
    matcher = Matcher("/".join(pieces[:depth]))
    assume(matcher.means(path) and path != matcher.path)
    assert matcher.holds(path)
    folders = path.split("/")[:-1]
    for level in range(len(matcher.folder.split("/")) + 1 if matcher.folder else 1, len(folders) + 1):
        assert matcher.may_hold("/".join(folders[:level]))


@pytest.mark.parametrize("end", TEMPORARY)
def test_what_programs_have_not_finished_is_not_meant(end: str) -> None:
    assert not Matcher("in").means(f"in/a.csv{end}")
    assert not Matcher("in/*").means(f"in/a.csv{end}")
    assert Matcher(f"in/*{end}").means(f"in/a.csv{end}"), "unless it is asked for"
    assert Matcher(f"in/a{end}").means(f"in/a{end}")


def test_a_path_that_leads_out_is_refused() -> None:
    with pytest.raises(InvalidPath):
        Matcher("../in")
