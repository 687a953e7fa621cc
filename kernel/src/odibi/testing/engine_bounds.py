"""What an engine promises of reading the rows above and up to a value of a column."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from odibi.contracts.bounds import Bound, key_digest
from odibi.errors import DataError
from odibi.testing.component import needs
from odibi.testing.engine_base import PEOPLE, Bench, EngineBase
from odibi.testing.frames import Table, assert_same

if TYPE_CHECKING:
    from odibi.contracts.engine import BoundedEngine, KeyedEngine, TailedEngine

NUMBERS = (9, 100, 20240103, -5, 10, 0, 9)
"""In an order that is neither theirs nor that of their texts; one of them comes twice."""


def _rows(values: Any) -> Table:
    return Table.of(id=("int64", list(values)), at=("int64", list(range(len(values)))))


KEYED = Table.of(
    id=("int64", [1, 2, 1, 1, 2, 3]),
    name=("string", ["a", "b", "a", "a", "a", "ab"]),
    at=("int64", [5, 2, 7, 7, 9, 3]),
    note=("string", ["x", "x", "first", "second", "x", "x"]),
)
"""Rows some of which share a key, in no order."""


class BoundPromises(EngineBase):
    """Tests of :attr:`odibi.contracts.format.Source.after`, and of what goes with it.

    They are left out for an engine without the capability.
    """

    def bounded(self, bench: Bench, path: str, bound: Bound, columns: list[str] | None = None) -> list[Table]:
        """What is read there, whole and in chunks."""
        source = attrs.evolve(bench.source(path, columns), after=bound)
        chunks = [bench.table(each) for each in bench.engine.read_chunks(source, 2)]
        whole = bench.table(bench.engine.read(source))
        return [whole, chunks[0].joined(*chunks[1:])]

    @needs("bounds")
    @pytest.mark.parametrize("above", [None, -6, -5, 9, 10, 20240102, 20240103])
    @pytest.mark.parametrize("upto", [None, -5, 9, 99, 20240103])
    def test_rows_above_and_up_to_a_number(self, bench: Bench, above: int | None, upto: int | None) -> None:
        """Those and no others, as numbers have their order, and not their texts."""
        bench.write(_rows(NUMBERS[:3]), f"in/a{bench.format.extensions[0]}")
        bench.write(_rows(NUMBERS[3:]), f"in/b{bench.format.extensions[0]}")
        meant = [it for it in NUMBERS if (above is None or it > above) and (upto is None or it <= upto)]
        for found in self.bounded(bench, "in", Bound("id", above, upto), ["id"]):
            assert_same(found, Table.of(id=("int64", meant)), ordered=self.ordered)

    @needs("bounds")
    def test_the_pieces_are_the_whole(self, bench: Bench) -> None:
        """Whatever it is cut at: a row is in one piece, and in no more than one."""
        bench.write(_rows(NUMBERS), "in/numbers")
        cuts: list[Any] = [None, *sorted(set(NUMBERS)), None]
        found = [
            row[0]
            for above, upto in pairwise(cuts)
            for row in self.bounded(bench, "in/numbers", Bound("id", above, upto))[0].rows
        ]
        assert sorted(found) == sorted(NUMBERS)

    @needs("bounds")
    def test_texts_have_the_order_of_their_characters(self, bench: Bench) -> None:
        """Capitals before small letters, and those before letters with marks, wherever the engine runs."""
        words = ["b", "a", "B", "ab", "é", "z"]
        bench.write(Table.of(name=("string", words)), "in/words")
        for found in self.bounded(bench, "in/words", Bound("name", "a", "z")):
            assert sorted(row[0] for row in found.rows) == ["ab", "b", "z"]
        for found in self.bounded(bench, "in/words", Bound("name", "z")):
            assert [row[0] for row in found.rows] == ["é"]

    @needs("bounds")
    def test_numbers_with_a_point(self, bench: Bench) -> None:
        """Are compared as they are."""
        bench.write(PEOPLE, "in/people")
        for found in self.bounded(bench, "in/people", Bound("height", -2.0, 1.5), ["height"]):
            assert sorted(row[0] for row in found.rows) == [0.1, 1.5]

    @needs("bounds")
    @pytest.mark.parametrize("bound", [Bound("name"), Bound("name", "a"), Bound("name", None, "z")])
    def test_rows_without_a_value_are_never_meant(self, bench: Bench, bound: Bound) -> None:
        """Nor are they if both ends are open: nobody could tell whether they were read before."""
        bench.write(PEOPLE, "in/people")
        for found in self.bounded(bench, "in/people", bound, ["name"]):
            assert None not in [row[0] for row in found.rows]
            assert ["bo"] in [list(row) for row in found.rows]

    @needs("bounds")
    def test_no_row_is_meant(self, bench: Bench) -> None:
        """A frame without rows, of the same columns."""
        bench.write(_rows(NUMBERS), "in/numbers")
        for bound in (Bound("id", 20240103), Bound("id", 10, 10), Bound("id", None, -6)):
            for found in self.bounded(bench, "in/numbers", bound):
                assert list(found.types) == ["id", "at"]
                assert not found.rows

    @needs("bounds")
    @pytest.mark.parametrize("value", ["9", 9.0])
    def test_bounds_of_another_type(self, bench: Bench, value: Any) -> None:
        """Are a DataError: what was read before has no place in the order of now."""
        bench.write(_rows(NUMBERS), "in/numbers")
        with pytest.raises(DataError):
            self.bounded(bench, "in/numbers", Bound("id", value))

    @needs("bounds")
    def test_a_column_that_is_not_there(self, bench: Bench) -> None:
        """Is a DataError that names it."""
        bench.write(_rows(NUMBERS), "in/numbers")
        with pytest.raises(DataError, match="when"):
            self.bounded(bench, "in/numbers", Bound("when", 1))

    @needs("bounds")
    def test_the_newest_value(self, bench: Bench) -> None:
        """The greatest, of the Python type that a bound has; nothing where there is no value."""
        engine: BoundedEngine = bench.engine  # type: ignore[assignment]
        frame = bench.frame(_rows(NUMBERS))
        found = engine.newest(frame, "id")
        assert (found, type(found)) == (20240103, int)
        people = bench.frame(PEOPLE)
        assert engine.newest(people, "name") == "é 日本"
        assert engine.newest(people, "height") == 1e300
        none = bench.frame(Table.of(id=("int64", []), name=("string", [])))
        assert engine.newest(none, "id") is None
        with pytest.raises(DataError, match="when"):
            engine.newest(frame, "when")
        with pytest.raises(DataError):
            engine.newest(bench.frame(Table.of(yes=("bool", [True, False]))), "yes")

    # --- tails ------------------------------------------------------------------------------------------------------

    def read_from(self, bench: Bench, name: str, above: int | None, mark: Any) -> tuple[Table, Any]:
        """What is read there with a mark, and the next mark, as it comes back from where it is kept."""
        engine: TailedEngine = bench.engine  # type: ignore[assignment]
        source = attrs.evolve(bench.source(f"in/{name}{bench.format.extensions[0]}"), after=Bound("id", above))
        frame, mark = engine.read_from(source, mark)
        found = bench.table(frame)
        assert_same(found, bench.table(engine.read(source)), ordered=self.ordered)
        return found, json.loads(json.dumps(mark))

    @needs("tails")
    def test_a_source_that_grows(self, bench: Bench) -> None:
        """What came since a mark is what is above the watermark, time and again, and if there is nothing."""
        path, mark = f"in/grown{bench.format.extensions[0]}", None
        for above, ids in ((None, (3, 1, 2)), (3, (3, 1, 2, 5, 4)), (5, (3, 1, 2, 5, 4)), (5, (3, 1, 2, 5, 4, 6))):
            bench.write(_rows(ids), path)
            found, mark = self.read_from(bench, "grown", above, mark)
            assert [row[0] for row in found.rows] == [it for it in ids if above is None or it > above]

    @needs("tails")
    @pytest.mark.parametrize(
        "later",
        [
            _rows([9, 1, 2, 4]),
            _rows([1, 9, 2, 4]),
            _rows([1, 2, 9, 4]),
            _rows([9, 8]),
            _rows([7, 8, 9, 6, 5, 4]),
            Table.of(at=("int64", [0, 1, 2, 3]), id=("int64", [1, 2, 3, 4])),
            Table.of(id=("int64", [1, 2, 3, 4]), at=("string", ["0", "1", "2", "x"])),
        ],
        ids=["first", "second", "last", "shrunk", "replaced", "columns", "types"],
    )
    def test_a_source_that_did_not_only_grow(self, bench: Bench, later: Table) -> None:
        """A row that was changed in its place, and is newer by that, is not passed over."""
        path = f"in/changed{bench.format.extensions[0]}"
        bench.write(_rows([1, 2, 3]), path)
        _, mark = self.read_from(bench, "changed", None, None)
        bench.write(later, path)
        found, _ = self.read_from(bench, "changed", 3, mark)
        ids = [row[list(later.types).index("id")] for row in later.rows]
        assert [row[list(found.types).index("id")] for row in found.rows] == [it for it in ids if it > 3]

    @needs("tails")
    def test_marks_of_something_else(self, bench: Bench) -> None:
        """Of another source, of another version or engine: as good as none."""
        for name, ids in (("one", (1, 2, 3)), ("other", (4, 5, 6, 7))):
            bench.write(_rows(ids), f"in/{name}{bench.format.extensions[0]}")
        _, mark = self.read_from(bench, "one", None, None)
        changed = [{**mark, key: "x"} for key in mark] if isinstance(mark, dict) else []
        for each in (mark, *changed, {}, {"version": 1}, [], "x", 7):
            found, _ = self.read_from(bench, "other", 3, each)
            assert [row[0] for row in found.rows] == [4, 5, 6, 7]

    # --- keys -------------------------------------------------------------------------------------------------------

    @needs("keys")
    def test_the_digests_of_keys(self, bench: Bench) -> None:
        """Of the rows that are meant, with where they are and their values; the same for the same key, in any frame."""
        engine: KeyedEngine = bench.engine  # type: ignore[assignment]
        frame = bench.frame(KEYED)
        at = ["id", "name", "at"].index
        meant = [(place, row) for place, row in enumerate(KEYED.rows) if 2 < row[at("at")] <= 8]
        for key in (["id"], ["name"], ["id", "name"], ["name", "id"]):
            found = list(engine.digests(frame, key, Bound("at", 2, 8)))
            assert found == [(place, key_digest([row[at(it)] for it in key]), row[at("at")]) for place, row in meant]
        assert len(list(engine.digests(frame, ["id"], Bound("at")))) == len(KEYED.rows)
        assert not list(engine.digests(frame, ["id"], Bound("at", 100)))

    @needs("keys")
    def test_the_newest_row_of_each_key(self, bench: Bench) -> None:
        """By its value and not by its place; of equal ones the first; all in the order that they had."""
        engine: KeyedEngine = bench.engine  # type: ignore[assignment]
        frame = bench.frame(KEYED)
        found = bench.table(engine.newest_of_each(frame, ["id"], "at"))
        assert [row[2] for row in found.rows] == [7, 9, 3]
        found = bench.table(engine.newest_of_each(frame, ["id", "name"], "at"))
        assert [row[2] for row in found.rows] == [2, 7, 9, 3]
        assert [row[3] for row in found.rows] == ["x", "first", "x", "x"]
        assert_same(bench.table(frame), KEYED)

    @needs("keys")
    def test_a_frame_without_some_rows(self, bench: Bench) -> None:
        """Has the others, in their order; the frame that was given has all."""
        engine: KeyedEngine = bench.engine  # type: ignore[assignment]
        frame = bench.frame(KEYED)
        found = bench.table(engine.without(frame, [0, 3]))
        assert [row[2] for row in found.rows] == [2, 7, 9, 3]
        assert bench.table(engine.without(frame, [])).rows == KEYED.rows
        none = bench.table(engine.without(frame, range(len(KEYED.rows))))
        assert list(none.types) == list(KEYED.types)
        assert not none.rows
        assert_same(bench.table(frame), KEYED)

    @needs("keys")
    @pytest.mark.parametrize("key", [["name"], ["height"], ["when"], ["id", "name"]])
    def test_rows_that_have_no_key(self, bench: Bench, key: list[str]) -> None:
        """Are a DataError, and so is a key that is no column, or whose values are not equal or different for sure."""
        engine: KeyedEngine = bench.engine  # type: ignore[assignment]
        frame = bench.frame(PEOPLE)
        assert any(row[list(PEOPLE.types).index("name")] is None for row in PEOPLE.rows)
        with pytest.raises(DataError):
            list(engine.digests(frame, key, Bound("id")))
        with pytest.raises(DataError):
            bench.table(engine.newest_of_each(frame, key, "id"))
