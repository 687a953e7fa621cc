"""The part of the engine's suite that is about reading and writing."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from odibi.contracts.format import WriteReport
from odibi.errors import Conflict, DataError, InvalidPath, NotFound, OdibiError, Transient
from odibi.testing.component import needs, together
from odibi.testing.engine_base import PEOPLE, EngineBase, Faulty, people
from odibi.testing.engine_histories import histories
from odibi.testing.frames import Table, assert_same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from odibi.contracts.engine import Engine, Frame
    from odibi.contracts.format import Source, Target
    from odibi.testing.engine_base import Bench

_RACERS = 6
_MODES = ("overwrite", "append", "append_once", "upsert", "error", "ignore")


class _Broken(Exception):
    """What makes frames came to grief."""


@attrs.define
class _OwnTables:
    """A table format that keeps the frames it was given."""

    kept: dict[str | None, Frame] = attrs.field(factory=dict)

    def read(self, source: Source, engine: Engine) -> Frame:
        return engine.share(self.kept[source.table])

    def write(self, frame: Frame, target: Target, engine: Engine) -> WriteReport:
        self.kept[target.table] = engine.share(frame)
        return WriteReport(rows=None)


def breaking(bench: Bench, *tables: Table) -> Iterator[Frame]:
    """Frames, and then an error."""
    for table in tables:
        yield bench.frame(table)
    raise _Broken


class FilePromises(EngineBase):
    """What holds for reading and writing."""

    # --- reading ----------------------------------------------------------------------------------------------------

    def test_what_was_written_is_read(self, bench: Bench) -> None:
        """Columns, types, rows and nulls, in order."""
        bench.write(PEOPLE, "in/people")
        bench.holds("in/people", PEOPLE, ordered=True)

    def test_a_folder_is_read_as_one_frame(self, bench: Bench) -> None:
        """All of its parts, in folders below, too."""
        extension = bench.format.extensions[0]
        for at, name in enumerate(("a", "b", "deeper/c")):
            bench.write(people(at), f"in/all/{name}{extension}")
        bench.write(people(9), f"in/all_of_it{extension}")
        bench.holds("in/all", people(0, 1, 2), ordered=True)

    @pytest.mark.parametrize(
        ("pattern", "ids"),
        [
            ("in/p*", (1, 2, 11)),
            ("in/p?.*", (1, 2)),
            ("in/p[13-9].*", (1,)),
            ("in/p[!1].*", (2,)),
            ("in/*/p[0-9]*", (3,)),
            ("in/**/p[123].*", (1, 2, 3, 4)),
            ("i*/p2.*", (2,)),
        ],
    )
    def test_a_pattern_is_read_as_one_frame(self, bench: Bench, pattern: str, ids: tuple[int, ...]) -> None:
        """``*`` and ``?`` do not cross a ``/``, ``**`` does, and ``[...]`` is one of some characters."""
        extension = bench.format.extensions[0]
        for name, at in {"p1": 1, "p2": 2, "p11": 11, "x/p3": 3, "x/y/p1": 4}.items():
            bench.write(people(at), f"in/{name}{extension}")
        bench.write(people(99), f"out/p1{extension}")
        bench.holds(pattern, people(*ids))

    @pytest.mark.parametrize("columns", [("id",), ("height", "id"), ("name", "height", "id")])
    def test_the_wanted_columns_are_read(self, bench: Bench, columns: tuple[str, ...]) -> None:
        """These and no others, in the order in which they are wanted."""
        bench.write(PEOPLE, "in/people")
        assert_same(bench.read("in/people", columns), PEOPLE.select(*columns), ordered=self.ordered)

    def test_a_wanted_column_that_is_not_there(self, bench: Bench) -> None:
        """Is a DataError that names it."""
        bench.write(PEOPLE, "in/people")
        with pytest.raises(DataError, match="no_such_column"):
            bench.read("in/people", ("id", "no_such_column"))

    @pytest.mark.parametrize("path", ["in/nothing", "nowhere/*", "in/peopl", "in/x*", "nowhere/**/x"])
    def test_what_is_not_there(self, bench: Bench, path: str) -> None:
        """Is NotFound, for an object, a folder and a pattern; read whole or in chunks."""
        bench.write(PEOPLE, "in/people")
        with pytest.raises(NotFound):
            bench.engine.read(bench.source(path))
        with pytest.raises(NotFound):
            list(bench.engine.read_chunks(bench.source(path), 10))

    @pytest.mark.parametrize("path", ["../people", "/etc/passwd", "in/../../people"])
    def test_a_path_that_leaves_the_storage(self, bench: Bench, path: str) -> None:
        """Is InvalidPath, to read and to write."""
        with pytest.raises(InvalidPath):
            bench.engine.read(bench.source(path))
        with pytest.raises(InvalidPath):
            bench.write(people(1), path)

    def test_what_cannot_be_read_as_its_format(self, bench: Bench) -> None:
        """Is a DataError that names the object, also when it is one part of many; at the latest with the rows."""
        extension = bench.format.extensions[0]
        bench.write(people(1), f"in/a{extension}")
        bench.storage.write(f"in/b{extension}", b"\x81\x00\xfe\xff this is none \x00\x81")
        for path in (f"in/b{extension}", "in"):
            with pytest.raises(DataError, match=rf"in/b\{extension}"):
                bench.read(path)
            with pytest.raises(DataError, match=rf"in/b\{extension}"):
                list(map(bench.table, bench.engine.read_chunks(bench.source(path), 10)))

    def test_errors_of_the_storage_come_through(self, bench: Bench) -> None:
        """As the storage raised them, so that the run knows that it may try again."""
        if not self.through_storage:
            pytest.skip("it does not go through the storage")
        bench.write(people(1), "in/people")
        faulty = bench.on(Faulty(bench.storage, frozenset({"read", "open", "stat", "list"})))
        with pytest.raises(Transient):
            faulty.read("in/people")
        with pytest.raises(Transient):
            list(faulty.engine.read_chunks(faulty.source("in/people"), 10))

    def test_reading_again_gives_what_is_there_then(self, bench: Bench) -> None:
        """Nothing is remembered of a path."""
        for ids in ((1, 2), (3,), (4, 5, 6)):
            bench.write(people(*ids), "in/people")
            bench.holds("in/people", people(*ids))

    def test_changing_what_was_read_does_not_show_when_it_is_read_again(self, bench: Bench) -> None:
        """Two reads give two frames."""
        bench.write(PEOPLE, "in/people")
        for change in self.changes():
            frames = [bench.engine.read(bench.source("in/people")) for _ in range(2)]
            change(frames[0])
            assert_same(bench.table(frames[1]), PEOPLE, ordered=self.ordered)
            bench.holds("in/people", PEOPLE)

    # --- batches ----------------------------------------------------------------------------------------------------

    def read_both(self, bench: Bench, source: Source) -> list[Table]:
        """What is read there, whole and in chunks: a batch is the same either way."""
        chunks = [bench.table(each) for each in bench.engine.read_chunks(source, 10)]
        return [bench.table(bench.engine.read(source)), chunks[0].joined(*chunks[1:])]

    @pytest.mark.parametrize("path", ["in", "in/*", "in/**"])
    def test_a_batch_is_all_that_is_read(self, bench: Bench, path: str) -> None:
        """Its objects and no others, in its order, whatever else the path means."""
        extension = bench.format.extensions[0]
        names = {at: f"in/{name}{extension}" for at, name in enumerate(("a", "b", "c", "d/e"))}
        for at, name in names.items():
            bench.write(people(at), name)
        batch = bench.versions(names[2], names[3], names[0])
        for found in self.read_both(bench, bench.source(path, only=batch)):
            assert_same(found, people(2, 3, 0), ordered=self.ordered)
        for found in self.read_both(bench, bench.source(path, ("name",), only=batch[:1])):
            assert_same(found, people(2).select("name"))

    def test_a_batch_of_a_single_object(self, bench: Bench) -> None:
        """Is that object, where the path names it."""
        bench.write(people(1), "in/people")
        (batch,) = bench.versions("in/people")
        for found in self.read_both(bench, bench.source(batch.path, only=[batch])):
            assert_same(found, people(1))

    @pytest.mark.parametrize("gone", [False, True])
    def test_an_object_of_a_batch_that_was_replaced(self, bench: Bench, gone: bool) -> None:
        """Or removed, is a Conflict that names it: to read it would be to read another batch, or less."""
        extension = bench.format.extensions[0]
        names = [f"in/a{extension}", f"in/b{extension}"]
        for at, name in enumerate(names):
            bench.write(people(at), name)
        batch = bench.versions(*names)
        if gone:
            for file in bench.versions(names[1]):
                bench.storage.delete(file.path)
        else:
            (old,) = bench.versions(names[1])
            bench.storage.write(old.path, bench.storage.read(old.path) + b"\n")
        for path in ("in", "in/*", names[1]):
            only = batch[1:] if path == names[1] else batch
            with pytest.raises(Conflict, match=rf"in/b\{extension}"):
                bench.table(bench.engine.read(bench.source(path, only=only)))
            with pytest.raises(Conflict, match=rf"in/b\{extension}"):
                list(map(bench.table, bench.engine.read_chunks(bench.source(path, only=only), 10)))

    def test_a_batch_with_what_the_path_does_not_mean(self, bench: Bench) -> None:
        """Is a DataError: left out, it would be lost, as the batch counts as consumed."""
        extension = bench.format.extensions[0]
        bench.write(people(1), f"in/a{extension}")
        bench.write(people(2), f"in_too/b{extension}")
        batch = bench.versions("in", "in_too")
        for path in ("in", "in/*", f"in/a{extension}"):
            with pytest.raises(DataError):
                bench.table(bench.engine.read(bench.source(path, only=batch)))

    def test_a_batch_of_nothing(self, bench: Bench) -> None:
        """Is NotFound, and not all that is there."""
        bench.write(people(1), "in/people")
        with pytest.raises(NotFound):
            bench.engine.read(bench.source("in", only=[]))
        with pytest.raises(NotFound):
            list(bench.engine.read_chunks(bench.source("in", only=[]), 10))

    # --- chunks -----------------------------------------------------------------------------------------------------

    @needs("chunks")
    @pytest.mark.parametrize("rows", [1, 2, 3, 7, 10, 11, 100])
    def test_chunks_are_the_whole(self, bench: Bench, rows: int) -> None:
        """In order and without a gap, the last and smaller one included."""
        whole = people(*range(10))
        bench.write(whole, "in/people")
        chunks = [bench.table(each) for each in bench.engine.read_chunks(bench.source("in/people"), rows)]
        assert_same(whole.cut(0, 0).joined(*chunks), whole, ordered=self.ordered)
        assert max(map(len, chunks)) <= max(2 * rows, 10 * (rows == 1)), "a chunk has about as many rows as were asked"

    @needs("chunks")
    def test_chunks_of_many_parts_are_the_whole(self, bench: Bench) -> None:
        """With the columns that are wanted, however the parts are cut."""
        extension = bench.format.extensions[0]
        parts = [people(*range(begin, end)) for begin, end in ((0, 5), (5, 6), (6, 16))]
        for at, part in enumerate(parts):
            bench.write(part, f"in/all/{at}{extension}")
        source = bench.source("in/all", ("name",))
        chunks = [bench.table(each) for each in bench.engine.read_chunks(source, 4)]
        expected = people(*range(16)).select("name")
        assert_same(chunks[0].joined(*chunks[1:]), expected, ordered=self.ordered)

    @needs("chunks")
    def test_many_rows_are_more_than_one_chunk(self, bench: Bench) -> None:
        """Or memory would not be bound."""
        bench.write(people(*range(500)), "in/people")
        chunks = list(bench.engine.read_chunks(bench.source("in/people"), 50))
        assert 5 <= len(chunks) <= 50

    @needs("chunks")
    def test_chunks_that_nobody_reads_to_the_end(self, bench: Bench) -> None:
        """Leave nothing behind that is in the way of the next."""
        bench.write(people(*range(10)), "in/people")
        chunks = bench.engine.read_chunks(bench.source("in/people"), 2)
        next(iter(chunks))
        getattr(chunks, "close", lambda: None)()
        bench.write(people(1), "in/people")
        bench.holds("in/people", people(1))

    @needs("chunks")
    @pytest.mark.parametrize("mode", ["overwrite", "append", "error", "ignore"])
    def test_chunks_are_written_as_one(self, bench: Bench, mode: str) -> None:
        """One target, with all rows in order."""
        frames = (bench.frame(people(*range(at, at + 3))) for at in range(0, 12, 3))
        report = bench.engine.write_chunks(frames, bench.target("out/people", mode))
        bench.holds("out/people", people(*range(12)), ordered=True)
        assert report.rows in (None, 12)
        assert set(report.paths) == set(bench.objects())

    @needs("chunks")
    def test_memory_is_bound_by_a_chunk_when_writing(self, bench: Bench) -> None:
        """The frames that were written are let go."""
        alive: list[weakref.ref[Any]] = []

        def frames() -> Iterator[Frame]:
            for at in range(24):
                frame = bench.frame(people(at))
                alive.append(weakref.ref(frame))
                yield frame
                del frame
                held = sum(each() is not None for each in alive)
                if held > 8:  # some may be in circles
                    gc.collect()
                    held = sum(each() is not None for each in alive)
                assert held <= 8, f"{held} frames are held while the next ones are made"

        bench.engine.write_chunks(frames(), bench.target("out/people"))
        bench.holds("out/people", people(*range(24)))

    @needs("chunks")
    @pytest.mark.parametrize("mode", ["overwrite", "append", "error", "ignore"])
    @pytest.mark.parametrize("before", [0, 1, 3])
    def test_frames_that_fail_midway_change_nothing(self, bench: Bench, mode: str, before: int) -> None:
        """What was there stays, nothing else shows, and the error is the one that was raised."""
        path = "out/people"
        if mode in ("overwrite", "append"):
            bench.write(people(1, 2), path, mode, part="old")
        there = bench.objects()
        parts = [people(*range(at, at + 3)) for at in range(before)]
        with pytest.raises(_Broken):
            bench.engine.write_chunks(breaking(bench, *parts), bench.target(path, mode, part="new"))
        assert bench.objects() == there
        bench.write(people(5), path, mode, part="new")
        bench.holds(path, people(1, 2, 5) if mode == "append" else people(5))

    @needs("chunks")
    def test_readers_see_the_old_data_while_the_new_is_written(self, bench: Bench) -> None:
        """All of it, until all of the new is there."""
        bench.write(people(1, 2), "out/people")

        def frames() -> Iterator[Frame]:
            for at in range(5):
                bench.holds("out/people", people(1, 2))
                yield bench.frame(people(10 + at))
            bench.holds("out/people", people(1, 2))

        bench.engine.write_chunks(frames(), bench.target("out/people"))
        bench.holds("out/people", people(*range(10, 15)))

    # --- writing ----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("mode", _MODES)
    def test_every_mode_writes_where_nothing_is(self, bench: Bench, mode: str) -> None:
        """And changes no frame while it does; the report says what is there."""
        self.only_if_it_merges(mode)
        frame = bench.frame(PEOPLE)
        report = bench.engine.write(frame, bench.target("out/people", mode, keys=("id",)))
        self.unchanged(bench.engine, frame, PEOPLE)
        bench.holds("out/people", PEOPLE, ordered=True)
        self.check_report(bench, report, len(PEOPLE))
        assert not report.skipped

    def test_overwrite_replaces_what_is_there(self, bench: Bench) -> None:
        """All of it, and again."""
        for ids in ((1, 2, 3), (2,), (7, 8)):
            report = bench.write(people(*ids), "out/people")
            bench.holds("out/people", people(*ids), ordered=True)
            self.check_report(bench, report, len(ids))

    def test_overwrite_of_parts_replaces_all_of_them(self, bench: Bench) -> None:
        """Or is refused, and changes nothing."""
        for part in ("a", "b"):
            bench.write(people(1), "out/people", "append", part=part)
        there = bench.objects()
        try:
            bench.write(people(9), "out/people")
        except DataError:
            assert bench.objects() == there
        else:
            bench.holds("out/people", people(9))

    def test_append_adds_a_part(self, bench: Bench) -> None:
        """For every part that has another name, and touches no other."""
        for at in range(4):
            there = bench.objects()
            report = bench.write(people(at, at + 10), "out/people", "append", part=f"part {at}/é")
            self.check_report(bench, report, 2)
            assert there.items() <= bench.objects().items()
        bench.holds("out/people", people(*(each for at in range(4) for each in (at, at + 10))))

    def test_the_same_part_twice_changes_nothing(self, bench: Bench) -> None:
        """Whatever was appended in between; the report says that it was skipped."""
        bench.write(people(1), "out/people", "append", part="one")
        bench.write(people(2), "out/people", "append", part="two")
        there = bench.objects()
        for engine in (bench.engine, bench.engine):
            report = engine.write(bench.frame(people(1)), bench.target("out/people", "append", part="one"))
            assert report.skipped
        assert bench.objects() == there
        bench.holds("out/people", people(1, 2))

    @needs("chunks")
    def test_the_same_part_twice_in_chunks_changes_nothing(self, bench: Bench) -> None:
        """Nor if the first attempt wrote it whole."""
        bench.write(people(1, 2), "out/people", "append", part="one")
        there = bench.objects()
        frames = (bench.frame(people(each)) for each in (1, 2))
        assert bench.engine.write_chunks(frames, bench.target("out/people", "append", part="one")).skipped
        assert bench.objects() == there

    def test_append_once_adds_the_rows_whose_keys_are_new(self, bench: Bench) -> None:
        """Those that are there stay as they are; the report counts what was added."""
        self.only_if_it_merges("append_once")
        bench.write(people(1, 2, name="old"), "out/people", "append_once", keys=("id",))
        report = bench.write(people(2, 3, name="new"), "out/people", "append_once", keys=("id",))
        bench.holds("out/people", people(1, 2, name="old").joined(people(3, name="new")))
        assert report.rows in (None, 1)
        there = bench.objects()
        assert bench.write(people(3, 1, name="newer"), "out/people", "append_once", keys=("id",)).rows in (None, 0)
        bench.holds("out/people", people(1, 2, name="old").joined(people(3, name="new")))
        assert set(bench.objects()) == set(there)

    def test_upsert_replaces_and_adds(self, bench: Bench) -> None:
        """By keys; the other rows stay."""
        self.only_if_it_merges("upsert")
        bench.write(people(1, 2, name="old"), "out/people", "upsert", keys=("id",))
        report = bench.write(people(3, 2, name="new"), "out/people", "upsert", keys=("id",))
        bench.holds("out/people", people(1, name="old").joined(people(2, 3, name="new")))
        assert report.rows in (None, 2)

    @pytest.mark.parametrize("mode", ["upsert", "append_once"])
    def test_several_keys_tell_rows_apart(self, bench: Bench, mode: str) -> None:
        """All of them together, texts among them, such as look alike when they are joined."""
        self.only_if_it_merges(mode)
        there = Table.of(
            a=("string", ["x", "xy", "x"]),
            b=("string", ["yz", "z", "z"]),
            n=("int64", [1, 2, 3]),
        )
        bench.write(there, "out/pairs", mode, keys=("a", "b"))
        coming = Table.of(a=("string", ["x", "X"]), b=("string", ["z", "z"]), n=("int64", [4, 5]))
        bench.write(coming, "out/pairs", mode, keys=("a", "b"))
        replaced = 4 if mode == "upsert" else 3
        expected = Table.of(
            a=("string", ["x", "xy", "x", "X"]),
            b=("string", ["yz", "z", "z", "z"]),
            n=("int64", [1, 2, replaced, 5]),
        )
        bench.holds("out/pairs", expected)

    @pytest.mark.parametrize("mode", ["upsert", "append_once"])
    @pytest.mark.parametrize("fault", ["no keys", "no such column", "twice", "null"])
    def test_keys_that_do_not_tell_rows_apart_are_refused(self, bench: Bench, mode: str, fault: str) -> None:
        """With a DataError, before anything is written."""
        self.only_if_it_merges(mode)
        bench.write(people(1), "out/people", mode, keys=("id",))
        there = bench.objects()
        keys = {"no keys": (), "no such column": ("nothing",)}.get(fault, ("id",))
        faulty: dict[str, list[int | None]] = {"twice": [2, 2], "null": [2, None]}
        ids = faulty.get(fault, [2, 3])
        coming = Table.of(id=("int64", ids), name=("string", ["a", "b"]))
        with pytest.raises(DataError):
            bench.write(coming, "out/people", mode, keys=keys)
        assert bench.objects() == there

    def test_error_fails_if_anything_is_there(self, bench: Bench) -> None:
        """An object or parts; and changes nothing."""
        bench.write(people(1), "out/object", "error")
        bench.write(people(1), "out/parts", "append")
        there = bench.objects()
        for path in ("out/object", "out/parts"):
            with pytest.raises((DataError, Conflict)):
                bench.write(people(2), path, "error")
        assert bench.objects() == there

    def test_ignore_does_nothing_if_anything_is_there(self, bench: Bench) -> None:
        """And says that it did nothing."""
        bench.write(people(1), "out/object", "ignore")
        bench.write(people(1), "out/parts", "append")
        there = bench.objects()
        for path in ("out/object", "out/parts"):
            report = bench.write(people(2), path, "ignore")
            assert report.skipped
            assert not report.rows
        assert bench.objects() == there

    @pytest.mark.parametrize("mode", _MODES)
    def test_a_storage_that_fails_leaves_what_was_there(self, bench: Bench, mode: str) -> None:
        """The error is the storage's; tried again, the write does all it should."""
        self.only_if_it_merges(mode)
        if not self.through_storage:
            pytest.skip("it does not go through the storage")
        if mode not in ("error", "ignore"):
            bench.write(people(1), "out/people", mode, keys=("id",), part="old")
        there = bench.objects()
        for failing in ({"write", "create", "replace_folder"}, {"stat", "list", "open", "read"}):
            faulty = bench.on(Faulty(bench.storage, frozenset(failing)))
            with pytest.raises(Transient):
                faulty.write(people(2), "out/people", mode, keys=("id",), part="new")
            assert bench.objects() == there
        bench.write(people(2), "out/people", mode, keys=("id",), part="new")
        added = mode in ("append", "append_once", "upsert")
        bench.holds("out/people", people(1, 2) if added else people(2))

    def test_columns_become_folders(self, bench: Bench) -> None:
        """``partition_by`` names them, ``name=value``; what is read is what was written. Or it is refused."""
        try:
            report = bench.engine.write(bench.frame(PEOPLE), bench.target("out/people", partition_by=("id",)))
        except DataError:
            assert not bench.objects()
            return
        assert {path.split("/")[2] for path in report.paths} == {f"id={each}" for each in range(1, 6)}
        assert set(report.paths) == set(bench.objects())
        bench.holds("out/people", PEOPLE.select("name", "height", "id"))

    def test_a_target_without_a_path_is_refused(self, bench: Bench) -> None:
        """With a DataError: the engine does not make a name up."""
        with pytest.raises(OdibiError):
            bench.write(people(1), "")
        assert not bench.objects()

    def test_a_format_that_looks_after_its_own_objects(self, bench: Bench) -> None:
        """Is asked for all of it, and the storage for nothing."""
        own = _OwnTables()
        storage: Any = Faulty(bench.storage)
        target = attrs.evolve(bench.on(storage).target("x"), path=None, table="people", format=own, format_name="own")
        frame = bench.frame(PEOPLE)
        bench.engine.write(frame, target)
        source = attrs.evolve(bench.on(storage).source("x"), path=None, table="people", format=own, format_name="own")
        assert_same(bench.table(bench.engine.read(source)), PEOPLE)
        assert storage.calls == 0
        assert not bench.objects()

    def test_a_write_that_says_it_is_exact(self, bench: Bench) -> None:
        """Gives back the frame just as it was."""
        frame = bench.frame(PEOPLE)
        if bench.engine.write(frame, bench.target("out/people")).exact:
            self.assert_identical(bench.engine, bench.engine.read(bench.source("out/people")), frame)
        bench.write(people(1), "out/parts", "append", part="one")
        again = bench.engine.write(bench.frame(people(2)), bench.target("out/parts", "append", part="two"))
        assert not again.exact, "there is more than the frame that was written"
        assert not bench.write(people(3), "out/parts", "ignore").exact
        if self.merges:
            bench.write(people(1), "out/merged", "upsert", keys=("id",))
            assert not bench.write(people(2), "out/merged", "upsert", keys=("id",)).exact

    # --- at once ----------------------------------------------------------------------------------------------------

    def test_parts_are_appended_at_once(self, bench: Bench) -> None:
        """All of them are there in the end."""

        def append(at: int) -> bool:
            return bench.write(people(at), "out/people", "append", part=f"p{at}").skipped

        assert together(*(lambda at=at: append(at) for at in range(_RACERS))) == [False] * _RACERS
        bench.holds("out/people", people(*range(_RACERS)))

    def test_one_part_is_appended_by_many_at_once(self, bench: Bench) -> None:
        """It is there once."""
        outcomes = together(*[lambda: bench.write(people(1, 2), "out/people", "append")] * _RACERS)
        assert all(isinstance(each, WriteReport | Conflict) for each in outcomes), outcomes
        bench.holds("out/people", people(1, 2))

    @pytest.mark.parametrize("mode", ["error", "ignore"])
    def test_one_of_many_finds_nothing_there(self, bench: Bench, mode: str) -> None:
        """The others fail, or do nothing; what is there is the one's."""

        def write(at: int) -> int | None:
            report = bench.write(people(at), "out/people", mode)
            return None if report.skipped else at

        outcomes = together(*(lambda at=at: write(at) for at in range(_RACERS)))
        won = [each for each in outcomes if isinstance(each, int)]
        assert len(won) == 1, outcomes
        lost = {None} if mode == "ignore" else set()
        assert all(each in lost or isinstance(each, DataError | Conflict | int) for each in outcomes), outcomes
        bench.holds("out/people", people(*won))

    @pytest.mark.parametrize("mode", ["upsert", "append_once"])
    def test_many_merge_at_once(self, bench: Bench, mode: str) -> None:
        """No row of a write that returned is lost."""
        self.only_if_it_merges(mode)

        def write(at: int) -> int:
            bench.write(people(at), "out/people", mode, keys=("id",))
            return at

        outcomes = together(*(lambda at=at: write(at) for at in range(_RACERS)))
        done = [each for each in outcomes if isinstance(each, int)]
        assert done
        assert all(isinstance(each, int | Conflict) for each in outcomes), outcomes
        bench.holds("out/people", people(*done))

    def test_overwriting_at_once_leaves_one_of_them_whole(self, bench: Bench) -> None:
        """Readers see one or another, never a mix; those of a lazy engine may find that it is gone."""
        bench.write(people(0, 1), "out/people")

        def write(at: int) -> None:
            bench.write(people(at * 2, at * 2 + 1), "out/people")

        def read() -> None:
            for _ in range(10):
                try:
                    ids = sorted(bench.read("out/people").column("id"))
                except (NotFound, DataError):
                    assert self.lazy
                    continue
                assert len(ids) == 2, ids
                assert ids[0] % 2 == 0, ids
                assert ids[1] == ids[0] + 1, ids

        works = [read, read, *(lambda at=at: write(at) for at in range(4))]
        assert together(*works) == [None] * len(works)

    def test_one_frame_is_used_by_many_at_once(self, bench: Bench) -> None:
        """Written, looked at and shared; it stays as it is."""
        frame = bench.frame(PEOPLE)

        def use(at: int) -> None:
            bench.engine.write(frame, bench.target(f"out/{at}"))
            assert_same(bench.table(bench.engine.share(frame)), PEOPLE)
            assert len(bench.engine.sample(frame, 3)) == 3
            bench.engine.inspect(frame)
            bench.holds(f"out/{at}", PEOPLE)

        assert together(*(lambda at=at: use(at) for at in range(_RACERS))) == [None] * _RACERS
        self.unchanged(bench.engine, frame, PEOPLE)

    def test_any_history(self, engine: Engine, tmp_path: Path) -> None:
        """Random writes in all modes and reads, beside a model that does the same."""

        def new_bench() -> Bench:
            self._count = getattr(self, "_count", 0) + 1
            place = tmp_path / f"history{self._count}"
            place.mkdir()
            return self.bench_on(engine, self.storage(place))

        some = settings(
            max_examples=2 if self.slow else 20,
            stateful_step_count=8 if self.slow else 15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=(Phase.generate, Phase.shrink),
        )
        run_state_machine_as_test(histories(new_bench), settings=some)

    def check_report(self, bench: Bench, report: WriteReport, rows: int) -> None:
        """Fail unless a report says what is there."""
        stats = {stat.path: stat for stat in bench.storage.list()}
        assert report.rows in (None, rows)
        assert report.paths
        assert set(report.paths) <= set(stats), "it names objects that are not there"
        assert report.bytes in (None, sum(stats[path].size for path in report.paths))
        for path, etag in report.etags.items():
            assert stats[path].etag == etag
