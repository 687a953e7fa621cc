"""Whether an engine keeps what its contract promises.

For the author of an engine, one test class is all::

    # tests/test_my_engine.py
    from odibi.testing.engine import EngineSuite
    from my_package import MyEngine, MyCsv


    class TestMyEngine(EngineSuite):
        component = MyEngine
        format = MyCsv
        format_name = "csv"

        def changes(self):
            return [lambda frame: frame.__setitem__("id", 0)]

It names a format of the engine, for what is written and read, and the ways in which a function may change a frame in
place. An engine without Arrow also says how to make a frame from plain data (``frame``) and what is in one
(``table``); one that reads by address says where (``storage``, ``through_storage = False``). The other attributes are
in :class:`odibi.testing.engine_base.EngineBase`.

Where the contract leaves a choice, the suite takes each: an engine may refuse to overwrite or merge into a folder of
parts, to append beside a single object, and to make folders of values, with ``DataError`` and without a change; a
query that was interrupted ends with ``Cancelled`` or ``TransformError``; mode ``error`` with ``DataError`` or
``Conflict``.

Needs pytest, hypothesis and, for Arrow, pyarrow.
"""

from __future__ import annotations

import io
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from odibi.errors import DataError, NotFound
from odibi.testing.component import needs
from odibi.testing.engine_base import PEOPLE, Bench, Faulty, people
from odibi.testing.engine_bounds import BoundPromises
from odibi.testing.engine_files import FilePromises
from odibi.testing.engine_sql import SqlPromises
from odibi.testing.frames import Table, assert_same, kind_of, strange_values, tables, to_arrow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.contracts.engine import Engine

__all__ = ["EngineSuite"]

_SOME = settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),  # explaining takes longer than all the rest
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
)
_IPC = b"ARROW1"


class EngineSuite(SqlPromises, FilePromises, BoundPromises):
    """Tests of one engine; see the module for how to use it."""

    # --- frames -----------------------------------------------------------------------------------------------------

    def test_it_says_what_its_frames_are(self, engine: Engine) -> None:
        """``frame_type`` is the class of the frames, by module and name; it is known without an instance."""
        module, _, name = self.component.frame_type.partition(":")  # type: ignore[attr-defined]
        frame: Any = self.frame(engine, PEOPLE)
        kind: Any = import_module(module)
        for part in name.split("."):
            kind = getattr(kind, part)
        assert isinstance(frame, kind)

    def test_it_says_which_sql_it_speaks(self) -> None:
        """``dialect`` is a name in small letters, as sqlglot has them."""
        dialect = self.component.dialect  # type: ignore[attr-defined]
        assert isinstance(dialect, str)
        assert dialect == dialect.strip().lower() != ""

    def test_a_shared_frame_is_the_same_data(self, engine: Engine) -> None:
        """And so is a handle on a handle; the frame itself stays of use."""
        frame = self.frame(engine, PEOPLE)
        for handle in (engine.share(frame), engine.share(engine.share(frame)), frame):
            assert_same(self.table(engine, handle), PEOPLE)
            assert type(handle) is type(frame)

    def test_changing_a_handle_never_shows_in_another(self, engine: Engine) -> None:
        """Nor does changing the frame that was shared show in its handles, or in those that were made since."""
        for change in self.changes():
            frame = self.frame(engine, PEOPLE)
            one, other = engine.share(frame), engine.share(frame)
            change(one)
            for handle in (frame, other, engine.share(frame)):
                self.unchanged(engine, handle, PEOPLE)
            change(frame)
            self.unchanged(engine, other, PEOPLE)

    def test_a_change_can_be_seen(self, engine: Engine) -> None:
        """What :meth:`changes` does, does something: the tests that use it would say nothing otherwise."""
        for change in self.changes():
            frame = self.frame(engine, PEOPLE)
            change(frame)
            with pytest.raises(AssertionError):
                assert_same(self.table(engine, frame), PEOPLE)

    def test_inspect_tells_rows_and_schema(self, engine: Engine) -> None:
        """The columns in order with their types, and how many rows there are if that is known."""
        for table in (PEOPLE, PEOPLE.cut(0, 0), people(1).select("name", "id")):
            info = engine.inspect(self.frame(engine, table))
            assert info.rows in (None, len(table))
            assert info.rows is None or type(info.rows) is int
            assert [column.name for column in info.schema] == list(table.names)
            assert [kind_of(column.type) for column in info.schema] == [kind_of(each) for each in table.types.values()]
            assert all(column.nullable for column in info.schema if None in table.column(column.name))
            assert info.bytes is None or (type(info.bytes) is int and info.bytes >= 0)

    def test_to_look_at_a_frame_does_not_change_it(self, engine: Engine) -> None:
        """However often it is inspected and sampled."""
        frame = self.frame(engine, PEOPLE)
        seen = [(engine.inspect(frame), engine.sample(frame, 3)) for _ in range(3)]
        assert seen[0] == seen[1] == seen[2]
        self.unchanged(engine, frame, PEOPLE)

    def test_inspect_reads_nothing(self, bench: Bench) -> None:
        """A frame that was read is not read again to tell its schema."""
        bench.write(PEOPLE, "in/people")
        storage: Any = Faulty(bench.storage)
        frame = bench.engine.read(bench.on(storage).source("in/people"))
        before = storage.calls
        bench.engine.inspect(frame)
        assert storage.calls == before

    @needs("arrow")
    def test_inspect_computes_nothing(self, engine: Engine) -> None:
        """A stream that has not been read yet is not read for it."""
        pa = pytest.importorskip("pyarrow")
        whole, pulled = to_arrow(people(*range(5))), []

        def batches() -> Iterator[Any]:
            for batch in whole.to_batches():
                pulled.append(batch)
                yield batch

        frame = engine.from_arrow(pa.RecordBatchReader.from_batches(whole.schema, batches()))
        before = len(pulled)
        info = engine.inspect(frame)
        assert len(pulled) == before
        assert [column.name for column in info.schema] == ["id", "name"]
        assert_same(self.table(engine, frame), people(*range(5)))

    @pytest.mark.parametrize("n", [0, 1, 3, 5, 6, 1000])
    def test_a_sample_is_up_to_n_rows(self, engine: Engine, n: int) -> None:
        """Of the frame, each with all columns by name and in order."""
        found = engine.sample(self.frame(engine, PEOPLE), n)
        assert len(found) == min(n, len(PEOPLE))
        rows = [dict(zip(PEOPLE.names, row, strict=True)) for row in PEOPLE.rows]
        for row in found:
            assert list(row) == list(PEOPLE.names)
            assert dict(row) in rows
        if n >= len(PEOPLE):
            assert sorted(row["id"] for row in found) == list(PEOPLE.column("id"))

    @needs("arrow")
    def test_a_sample_has_plain_values(self, engine: Engine) -> None:
        """Python's own types, whatever the engine keeps its values in; null is ``None``."""
        pytest.importorskip("pyarrow")
        table = Table.of(
            flag=("bool", [True, None, False]),
            whole=("int64", [1, 2**62, None]),
            number=("double", [0.5, None, 1e-300]),
            text=("string", ["é", None, ""]),
        )
        found = engine.sample(self.frame(engine, table), 3)
        for row in found:
            assert not list(strange_values(dict(row)))
        missing = [tuple(value is None for value in row.values()) for row in found]
        assert missing == [tuple(value is None for value in row) for row in table.rows]

    def test_changing_a_sample_does_not_change_the_frame(self, engine: Engine) -> None:
        """A sample is for people to look at, and for a story to cut down."""
        frame = self.frame(engine, PEOPLE)
        for row in engine.sample(frame, 5):
            if isinstance(row, dict):
                row.clear()
        self.unchanged(engine, frame, PEOPLE)

    # --- Arrow ------------------------------------------------------------------------------------------------------

    @needs("arrow")
    @_SOME
    @given(table=tables())
    def test_frames_go_to_arrow_and_back(self, engine: Engine, table: Table) -> None:
        """With all columns, rows and nulls, in order; tables without rows, too."""
        pa = pytest.importorskip("pyarrow")
        frame = engine.from_arrow(to_arrow(table))
        handed = engine.to_arrow(frame)
        assert hasattr(handed, "__arrow_c_stream__")
        assert_same(self.table(engine, frame), table)
        assert_same(self.table(engine, engine.from_arrow(handed)), table)
        assert pa.table(engine.to_arrow(frame)).equals(pa.table(engine.to_arrow(frame))) or "nan" in repr(table)

    @needs("arrow")
    def test_it_takes_any_arrow_stream(self, engine: Engine) -> None:
        """A table in several chunks, a reader, and an object that has nothing but the method."""
        pa = pytest.importorskip("pyarrow")
        whole = to_arrow(PEOPLE)

        class Stream:
            def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
                return whole.__arrow_c_stream__(requested_schema)

        cut = pa.concat_tables([whole.slice(0, 2), whole.slice(2)])
        reader = pa.RecordBatchReader.from_batches(whole.schema, cut.to_batches())
        for stream in (cut, reader, Stream()):
            assert_same(self.table(engine, engine.from_arrow(stream)), PEOPLE)

    @needs("arrow")
    def test_what_was_handed_over_does_not_change_with_the_frame(self, engine: Engine) -> None:
        """In either direction."""
        pytest.importorskip("pyarrow")
        for change in self.changes():
            given_table = to_arrow(PEOPLE)
            frame = engine.from_arrow(given_table)
            handed = engine.to_arrow(frame)
            change(frame)
            assert given_table.equals(to_arrow(PEOPLE))
            assert_same(self.table(engine, engine.from_arrow(handed)), PEOPLE)

    @needs("keep")
    @_SOME
    @given(table=tables())
    def test_a_kept_frame_comes_back(self, engine: Engine, table: Table) -> None:
        """Just as it was; the frame that was written stays as it is, and the file open."""
        pytest.importorskip("pyarrow")
        frame = self.frame(engine, table)
        file = io.BytesIO()
        engine.write_arrow(frame, file)
        assert not file.closed, "whoever opened the file closes it"
        self.unchanged(engine, frame, table)
        back = engine.read_arrow(memoryview(file.getvalue()))
        self.assert_identical(engine, back, frame)
        assert_same(self.table(engine, back), table)

    @needs("keep")
    def test_a_strange_frame_comes_back_or_is_refused(self, engine: Engine) -> None:
        """Whatever it is; never as another one."""
        pytest.importorskip("pyarrow")
        for frame in self.kept_frames(engine):
            file = io.BytesIO()
            try:
                engine.write_arrow(frame, file)
            except DataError:
                continue
            self.assert_identical(engine, engine.read_arrow(memoryview(file.getvalue())), frame)

    @needs("keep")
    def test_what_is_kept_is_an_arrow_file(self, engine: Engine) -> None:
        """A file with a footer, and not a stream, so that others can read it in pieces."""
        pa = pytest.importorskip("pyarrow")
        file = io.BytesIO()
        engine.write_arrow(self.frame(engine, PEOPLE), file)
        data = file.getvalue()
        assert data.startswith(_IPC)
        assert data.endswith(_IPC)
        assert pa.ipc.open_file(pa.py_buffer(data)).read_all().num_rows == len(PEOPLE)

    @needs("keep")
    def test_the_memory_of_a_kept_frame_stays_as_it_is(self, engine: Engine) -> None:
        """Changing the frame in place goes to memory of its own."""
        pytest.importorskip("pyarrow")
        file = io.BytesIO()
        engine.write_arrow(self.frame(engine, PEOPLE), file)
        data = file.getvalue()
        copy = bytes(bytearray(data))
        for change in self.changes():
            change(engine.read_arrow(memoryview(data)))
            assert data == copy
            self.unchanged(engine, engine.read_arrow(memoryview(data)), PEOPLE)

    @needs("keep")
    def test_what_is_no_kept_frame_is_refused(self, engine: Engine) -> None:
        """With a DataError: nothing, nonsense, and a file that is cut off."""
        pytest.importorskip("pyarrow")
        file = io.BytesIO()
        engine.write_arrow(self.frame(engine, PEOPLE), file)
        data = file.getvalue()
        for damaged in (b"", b"none", _IPC, data[: len(data) // 2], data[:-3], data[8:], b"\0" * len(data)):
            with pytest.raises(DataError):
                engine.read_arrow(memoryview(damaged))

    # --- the end ----------------------------------------------------------------------------------------------------

    def test_frames_outlive_what_others_do_with_the_engine(self, bench: Bench) -> None:
        """What was read does not change when the object is overwritten or removed.

        The rows of a lazy engine, which may not be there yet, are those or an error; never others, and never some.
        """
        bench.write(PEOPLE, "in/people")
        frame = bench.engine.read(bench.source("in/people"))
        before = PEOPLE if self.lazy else bench.table(frame)
        bench.write(people(9), "in/people")
        for stat in list(bench.storage.list("in")):
            bench.storage.delete(stat.path)
        try:
            found = bench.table(frame)
        except (NotFound, DataError):
            assert self.lazy
        else:
            assert_same(found, before, ordered=self.ordered)

    def test_two_engines_do_not_get_in_each_others_way(self, bench: Bench, place: Any) -> None:
        """Closing one leaves the other of use."""
        other = self.make(place)
        other.close()
        bench.write(PEOPLE, "in/people")
        bench.holds("in/people", PEOPLE)
