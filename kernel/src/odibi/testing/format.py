"""Whether a format of files keeps what its contract promises.

For the author of a format, one test class is all::

    # tests/test_my_format.py
    from odibi.testing.format import FormatSuite
    from my_package import MyCsv, MyEngine


    class TestMyCsv(FormatSuite):
        component = MyCsv
        engine_type = MyEngine

        def damaged(self, whole):
            return [whole + b'"open', b"\\x81"]

It names the engine whose frames the format reads and writes. A format that keeps more types says which (``words``), or
gives a strategy for tables that it keeps as they are (``tables``); one of text, of which a part cannot be told from the
whole, says what it must refuse (``damaged``). An engine without Arrow also says how to make a frame (``frame``) and
what is in one (``table``), as for the engine's suite.

Where the contract leaves a choice, the suite takes each: what is read may have other widths of types than what was
written unless the format is exact, columns without a value may have any type, and a frame without rows may be refused
or come back without its columns.

Needs pytest, hypothesis and, for Arrow, pyarrow. Formats that look after their own objects
(:class:`odibi.contracts.format.TableFormat`) are not for this suite.
"""

from __future__ import annotations

import gc
import io
import weakref
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from odibi.errors import DataError, Transient
from odibi.testing.component import ComponentSuite, close, needs, together
from odibi.testing.frames import SIMPLE, Table, assert_same, frame_of, table_of, tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Literal

    from hypothesis.strategies import SearchStrategy

    from odibi.contracts.engine import Engine, Frame
    from odibi.contracts.format import Format

__all__ = ["FormatSuite"]

_SOME = settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),  # explaining takes longer than all the rest
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
_NAME = "lake:in/people.data"
_NONSENSE = b"\x81\x00\x99\xfe\xff this is none of it \x00\x81\xc3\x28"
_AT_ONCE = 6


class _Broken(Exception):
    """What makes frames came to grief."""


class _Watched(io.BytesIO):
    """A file that knows whether it was closed, and keeps its content all the same."""

    was_closed = False

    def close(self) -> None:
        self.was_closed = True


class _OneWay(io.RawIOBase):
    """A file that can be written to from front to back alone, as an upload."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.content += data
        return len(memoryview(data).cast("B"))

    def tell(self) -> int:
        return len(self.content)


class _CutOff(_Watched):
    """A file of a storage that answers no more after some bytes."""

    def __init__(self, content: bytes = b"", *, after: int) -> None:
        super().__init__(content)
        self._left = after

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Transient("the storage does not answer", where="cut off")

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._take(len(data))
        return data

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.read(size)

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(memoryview(buffer).cast("B")))
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self._take(len(line))
        return line

    def __next__(self) -> bytes:
        if line := self.readline():
            return line
        raise StopIteration

    def write(self, data: Any, /) -> int:
        self._take(len(memoryview(data).cast("B")))
        return super().write(data)


class FormatSuite(ComponentSuite):
    """Tests of one format; see the module for how to use it."""

    family = "format"

    # --- what a subclass says ---------------------------------------------------------------------------------------

    engine_type: ClassVar[type]
    """The class of the engine whose frames it reads and writes."""

    engine_options: ClassVar[Mapping[str, Any]] = {}
    """The engine's options."""

    words: ClassVar[tuple[str, ...]] = SIMPLE
    """The types that come back as they were, in Arrow's words."""

    types: ClassVar[Literal["kind", "any"]] = "kind"
    """Whether numbers come back as numbers and texts as texts, unless the format is exact; ``"any"`` if numbers that
    are all whole may come back as integers, as text cannot tell them apart."""

    def tables(self) -> SearchStrategy[Table]:
        """Tables of at least a row that the format keeps."""
        return tables(words=self.words, min_rows=1, awkward=False)

    def damaged(self, whole: bytes) -> Iterable[bytes]:
        """What must be refused.

        Args:
            whole: an object with a table, which the format wrote.
        """
        return (b"", _NONSENSE, *(whole[: len(whole) * part // 8] for part in range(1, 8)), whole[:-1])

    def frame(self, engine: Engine, table: Table) -> Frame:
        """A frame of the engine with these columns and rows."""
        return frame_of(engine, table)

    def table(self, engine: Engine, frame: Frame) -> Table:
        """The columns and rows of a frame."""
        return table_of(engine, frame)

    # --- what the tests use -----------------------------------------------------------------------------------------

    @pytest.fixture
    def bench(self, subject: Format, place: Path) -> Iterator[_Bench]:  # noqa: ARG002 - the place is the subject's
        """The format with its engine."""
        engine = self.engine_type(**self.engine_options)
        try:
            yield _Bench(self, engine, subject)
        finally:
            close(engine)

    @pytest.fixture
    def whole(self, bench: _Bench) -> bytes:
        """An object; the same one for all examples of a test, as some formats write down when they wrote it."""
        return bench.written(bench.frame(bench.some(20)))

    # --- reading what was written -----------------------------------------------------------------------------------

    def test_it_says_which_names_mean_it(self) -> None:
        """``extensions`` are endings with their dot, in small letters, each once; the first is given to new parts."""
        found = self.component.extensions  # type: ignore[attr-defined]
        assert isinstance(found, tuple)
        assert found
        assert len(set(found)) == len(found)
        for each in found:
            assert each.startswith(".")
            assert each == each.lower()
            assert "/" not in each
            assert len(each) > 1

    @needs("read", "write")
    @_SOME
    @given(data=st.data())
    def test_what_is_written_is_read(self, bench: _Bench, data: st.DataObject) -> None:
        """All columns and rows, in order; if the format says that it is exact, just as they were."""
        table = data.draw(self.tables())
        frame = bench.frame(table)
        back = bench.back(bench.written(frame))
        assert_same(bench.table(back), table, types=bench.types)
        if bench.is_exact:
            assert bench.engine.inspect(back).schema == bench.engine.inspect(frame).schema

    @needs("read", "write")
    def test_a_frame_without_rows(self, bench: _Bench) -> None:
        """Is read without rows, or refused when it is written; if the format is exact, it has its columns."""
        table = bench.some().cut(0, 0)
        try:
            content = bench.written(bench.frame(table))
        except DataError:
            assert not bench.is_exact
            return
        back = bench.table(bench.back(content))
        assert len(back) == 0
        assert back.names in ((), table.names)
        if bench.is_exact:
            assert_same(back, table, types="exact")

    @needs("read", "write")
    def test_many_rows(self, bench: _Bench) -> None:
        """More than any buffer holds."""
        table = bench.some(5000)
        assert_same(bench.table(bench.back(bench.written(bench.frame(table)))), table, types=bench.types)

    @needs("read", "write")
    def test_what_is_read_is_written_the_same(self, bench: _Bench) -> None:
        """A frame that was read can be written again, and read."""
        once = bench.back(bench.written(bench.frame(bench.some())))
        again = bench.back(bench.written(once))
        assert_same(bench.table(again), bench.table(once))

    @needs("read", "write", "columns")
    @_SOME
    @given(data=st.data())
    def test_the_wanted_columns_are_read(self, bench: _Bench, data: st.DataObject) -> None:
        """These and no others, in the order in which they are wanted; whole and in chunks."""
        table = data.draw(self.tables())
        wanted = data.draw(st.lists(st.sampled_from(table.names), min_size=1, unique=True))
        content = bench.written(bench.frame(table))
        assert_same(bench.table(bench.back(content, wanted)), table.select(*wanted), types=bench.types)
        chunks = bench.chunks(content, 3, wanted)
        assert_same(bench.joined(chunks), table.select(*wanted), types=bench.types)

    @needs("read", "write")
    def test_a_wanted_column_that_is_not_there(self, bench: _Bench) -> None:
        """Is a DataError that names it and the object."""
        content = bench.written(bench.frame(bench.some()))
        for read in (bench.back, bench.all_chunks):
            with pytest.raises(DataError, match="no_such_column") as caught:
                read(content, ["a", "no_such_column"])
            assert _NAME in str(caught.value)

    # --- chunks -----------------------------------------------------------------------------------------------------

    @needs("read", "write", "chunks")
    @_SOME
    @given(data=st.data(), rows=st.integers(1, 15))
    def test_chunks_are_the_whole(self, bench: _Bench, data: st.DataObject, rows: int) -> None:
        """In order, the last one included, with the types that the whole has."""
        table = data.draw(self.tables())
        content = bench.written(bench.frame(table))
        chunks = bench.chunks(content, rows)
        assert_same(bench.joined(chunks), bench.table(bench.back(content)), types="any")
        for chunk in chunks:
            assert chunk.types == chunks[0].types, "the chunks have different types"
            assert len(chunk) <= max(2 * rows, 10 * (rows == 1)), "a chunk has about as many rows as were asked"
        assert_same(bench.joined(chunks), table, types=bench.types)

    @needs("read", "write", "chunks")
    def test_many_rows_are_more_than_one_chunk(self, bench: _Bench) -> None:
        """Or memory would not be bound."""
        content = bench.written(bench.frame(bench.some(2000)))
        assert 5 <= len(bench.chunks(content, 100)) <= 200

    @needs("read", "write", "chunks")
    @_SOME
    @given(data=st.data())
    def test_chunks_are_written_as_one_object(self, bench: _Bench, data: st.DataObject) -> None:
        """All rows in order, however they are cut; it returns how many there are."""
        table = data.draw(self.tables())
        cuts = sorted({0, len(table), *data.draw(st.lists(st.integers(0, len(table)), max_size=3))})
        parts = [table.cut(begin, end) for begin, end in pairwise(cuts)]
        file = io.BytesIO()
        assert bench.format.write_object_chunks((bench.frame(part) for part in parts), file) == len(table)
        assert_same(bench.table(bench.back(file.getvalue())), table, types=bench.types)

    @needs("write", "chunks")
    def test_memory_is_bound_by_a_chunk_when_writing(self, bench: _Bench) -> None:
        """The frames that were written are let go."""
        alive: list[weakref.ref[Any]] = []

        def frames() -> Iterator[Frame]:
            for _ in range(24):
                frame = bench.frame(bench.some(3))
                alive.append(weakref.ref(frame))
                yield frame
                del frame
                held = sum(each() is not None for each in alive)
                if held > 8:  # some may be in circles
                    gc.collect()
                    held = sum(each() is not None for each in alive)
                assert held <= 8, f"{held} frames are held while the next ones are made"

        assert bench.format.write_object_chunks(frames(), io.BytesIO()) == 72

    @needs("write", "chunks")
    def test_chunks_with_other_columns_are_refused(self, bench: _Bench) -> None:
        """With a DataError: they are frames of one schema."""
        other = Table.of(a=("int64", [1]), something_else=("int64", [1]))
        with pytest.raises(DataError):
            bench.format.write_object_chunks(iter([bench.frame(bench.some()), bench.frame(other)]), io.BytesIO())

    @needs("write", "chunks")
    @pytest.mark.parametrize("before", [0, 1, 3])
    def test_frames_that_fail_midway(self, bench: _Bench, before: int) -> None:
        """The error is the one that was raised."""

        def frames() -> Iterator[Frame]:
            for _ in range(before):
                yield bench.frame(bench.some())
            raise _Broken

        with pytest.raises(_Broken):
            bench.format.write_object_chunks(frames(), io.BytesIO())

    # --- damage -----------------------------------------------------------------------------------------------------

    @needs("read", "write")
    def test_what_is_damaged_is_refused(self, bench: _Bench) -> None:
        """With a DataError that names the object; whole and in chunks."""
        content = bench.written(bench.frame(bench.some(50)))
        for at, damaged in enumerate(self.damaged(content)):
            for read in (bench.back, bench.all_chunks):
                try:
                    read(damaged)
                except DataError as error:
                    said = str(error)
                else:
                    raise AssertionError(f"damaged content {at} is read: {damaged[:40]!r} ({len(damaged)} bytes)")
                assert _NAME in said, f"the error does not name the object: {said}"

    @needs("read", "write")
    @settings(_SOME, max_examples=40)
    @given(data=st.data())
    def test_damage_is_a_data_error_or_a_frame(self, bench: _Bench, whole: bytes, data: st.DataObject) -> None:
        """Whatever bytes are changed, added or cut off: no other error escapes."""
        content = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 4))):
            begin = data.draw(st.integers(0, len(content)))
            end = data.draw(st.integers(begin, min(len(content), begin + 8)))
            content[begin:end] = data.draw(st.binary(max_size=8))
        for read in (bench.back, bench.all_chunks):
            try:
                read(bytes(content))
            except DataError as error:
                said = str(error)
            else:
                continue
            assert _NAME in said, f"the error does not name the object: {said}"

    # --- files ------------------------------------------------------------------------------------------------------

    @needs("read", "write")
    def test_the_file_is_left_open(self, bench: _Bench) -> None:
        """Whoever opened it closes it, after reading, writing, and failing to read."""
        out = _Watched()
        bench.format.write_object(bench.frame(bench.some()), out)
        assert not out.was_closed, "write_object closes the file"
        content = out.getvalue()
        out = _Watched()
        bench.format.write_object_chunks(iter([bench.frame(bench.some())]), out)
        assert not out.was_closed, "write_object_chunks closes the file"
        for data in (content, _NONSENSE):
            source = _Watched(data)
            bench.tried(lambda source=source: bench.format.read_object(source, name=_NAME))
            assert not source.was_closed, "read_object closes the file"
            chunks = _Watched(data)
            bench.tried(lambda chunks=chunks: list(bench.format.read_object_chunks(chunks, 2, name=_NAME)))
            assert not chunks.was_closed, "read_object_chunks closes the file"

    @needs("read", "write")
    def test_a_file_that_cannot_go_back_is_written(self, bench: _Bench) -> None:
        """What a storage creates need not be seekable."""
        file = _OneWay()
        bench.format.write_object(bench.frame(bench.some()), cast("BinaryIO", file))
        assert_same(bench.table(bench.back(bytes(file.content))), bench.some(), types=bench.types)

    @needs("read", "write")
    def test_writing_begins_where_the_file_is(self, bench: _Bench) -> None:
        """At its start; and nothing is left out at the end that is in a buffer."""
        frame = bench.frame(bench.some(3))
        whole, chunks = io.BytesIO(), io.BytesIO()
        bench.format.write_object(frame, whole)
        bench.format.write_object_chunks(iter([frame]), chunks)
        for file in (whole, chunks):
            assert_same(bench.table(bench.back(file.getvalue())), bench.some(3), types=bench.types)

    @needs("read", "write")
    def test_a_storage_that_is_cut_off_while_it_is_read(self, bench: _Bench) -> None:
        """Its error comes through, so that the run knows that it may try again; it is no fault of the data."""
        content = bench.written(bench.frame(bench.some(300)))
        for after in (0, len(content) // 2):
            with pytest.raises(Transient):
                bench.format.read_object(_CutOff(content, after=after), name=_NAME)
            with pytest.raises(Transient):
                list(bench.format.read_object_chunks(_CutOff(content, after=after), 10, name=_NAME))

    @needs("write")
    def test_a_storage_that_is_cut_off_while_it_is_written(self, bench: _Bench) -> None:
        """Its error comes through, too."""
        content = bench.written(bench.frame(bench.some(300)))
        for after in (0, len(content) // 2, len(content) - 1):
            with pytest.raises(Transient):
                bench.format.write_object(bench.frame(bench.some(300)), _CutOff(after=after))

    # --- frames and use at once -------------------------------------------------------------------------------------

    @needs("write")
    def test_writing_does_not_change_the_frame(self, bench: _Bench) -> None:
        """Its values, columns and types."""
        frame = bench.frame(bench.some())
        before = bench.engine.inspect(frame).schema
        for _ in range(2):
            bench.written(frame)
            bench.format.write_object_chunks(iter([frame]), io.BytesIO())
        assert bench.engine.inspect(frame).schema == before
        assert_same(bench.table(frame), bench.some())

    @needs("read", "write")
    def test_what_was_read_does_not_need_the_file(self, bench: _Bench) -> None:
        """It can be closed then."""
        file = io.BytesIO(bench.written(bench.frame(bench.some())))
        frame = bench.format.read_object(file, name=_NAME)
        file.close()
        assert_same(bench.table(frame), bench.some(), types=bench.types)

    @needs("read", "write")
    def test_one_format_is_used_by_many_at_once(self, bench: _Bench) -> None:
        """For different objects."""

        def use(at: int) -> None:
            for turn in range(5):
                table = bench.some(at * 5 + turn + 1)
                content = bench.written(bench.frame(table))
                assert_same(bench.table(bench.back(content)), table, types=bench.types)
                assert_same(bench.joined(bench.chunks(content, 4)), table, types=bench.types)

        assert together(*(lambda at=at: use(at) for at in range(_AT_ONCE))) == [None] * _AT_ONCE

    @needs("read", "write")
    def test_two_objects_are_read_by_turns(self, bench: _Bench) -> None:
        """A format that is asked for the chunks of two keeps them apart."""
        one, other = bench.some(10), bench.some(30).cut(15)
        readers = [
            bench.format.read_object_chunks(io.BytesIO(bench.written(bench.frame(table))), 2, name=_NAME)
            for table in (one, other)
        ]
        found: list[list[Table]] = [[], []]
        waiting = [0, 1]
        while waiting:
            for at in list(waiting):
                frame = next(readers[at], None)
                if frame is None:
                    waiting.remove(at)
                else:
                    found[at].append(bench.table(frame))
        assert_same(bench.joined(found[0]), one, types=bench.types)
        assert_same(bench.joined(found[1]), other, types=bench.types)

    def test_an_option_that_it_does_not_know_is_refused(self, place: Path) -> None:
        """And not passed on to whatever reads and writes."""
        with pytest.raises(TypeError):
            self.component(**self.options(place), no_such_option=1)


@attrs.frozen
class _Bench:
    """A format with its engine."""

    suite: FormatSuite
    engine: Engine
    format: Format

    @property
    def is_exact(self) -> bool:
        """Whether the format says so."""
        return bool(getattr(self.format, "exact", False))

    @property
    def types(self) -> Literal["exact", "kind", "any"]:
        """How types of what was read compare with those that were written."""
        return "exact" if self.is_exact else self.suite.types

    def some(self, rows: int = 10) -> Table:
        """A table with integers and texts, and a few nulls."""
        texts = [None if at % 7 == 5 else f"x{at}, é \"y\" 'z'\n日本\u2028" for at in range(rows)]
        return Table.of(a=("int64", [at - 2 for at in range(rows)]), b=("string", texts))

    def frame(self, table: Table) -> Frame:
        """A frame of the engine."""
        return self.suite.frame(self.engine, table)

    def table(self, frame: Frame) -> Table:
        """What is in one."""
        return self.suite.table(self.engine, frame)

    def written(self, frame: Frame) -> bytes:
        """An object with a frame."""
        file = io.BytesIO()
        self.format.write_object(frame, file)
        return file.getvalue()

    def back(self, content: bytes, columns: Sequence[str] | None = None) -> Frame:
        """The frame in an object."""
        return self.format.read_object(io.BytesIO(content), name=_NAME, columns=columns)

    def chunks(self, content: bytes, rows: int, columns: Sequence[str] | None = None) -> list[Table]:
        """What is in the frames that it is read as."""
        found = self.format.read_object_chunks(io.BytesIO(content), rows, name=_NAME, columns=columns)
        return [self.table(frame) for frame in found]

    def all_chunks(self, content: bytes, columns: Sequence[str] | None = None) -> list[Table]:
        """The same, a few rows at a time."""
        return self.chunks(content, 7, columns)

    def joined(self, chunks: Sequence[Table]) -> Table:
        """Chunks one below the other."""
        assert chunks, "there is not one chunk"
        return chunks[0].joined(*chunks[1:])

    def tried(self, work: Any) -> None:
        """Do it, whether or not the data is refused."""
        with suppress(DataError):
            work()
