"""The conformance suite for transforms: every sentence of :class:`odibi.contracts.Transform`, as tests.

A plugin that offers an operation derives from it, and gives examples as plain tables::

    from odibi.testing.frames import Table
    from odibi.testing.transform import Example, TransformSuite


    class MyCleanSuite(TransformSuite):
        component = Clean

        def new_engine(self):
            return MyEngine()

        def options(self, place):
            return {"column": "price"}

        columns = ("price",)
        examples = (
            Example(
                frame=Table.of(id=("int64", [1, 2]), price=("string", [" 9", None])),
                expected=Table.of(id=("int64", [1, 2]), price=("double", [9.0, None])),
            ),
        )
        bad = (Example(frame=Table.of(id=("int64", [1]), price=("string", [PLANTED]))),)

Everything else is made of the examples: each of their splits into chunks for an operation that is ``rowwise``, frames
without one of the :attr:`~TransformSuite.columns`, without rows, with more columns, with nulls, with rows in other
orders. The frames in :attr:`~TransformSuite.bad` hold ``PLANTED`` where the operation cannot treat a value; the error
must not show it where the column is sensitive.

How the contract is read where it is silent: besides ``TransformError`` an operation raises only other errors of
:mod:`odibi.errors`, such as what the engine or ``context.get`` raised, or ``Cancelled`` when it was told to stop; its
result is the same each time, in any process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial
from importlib import import_module
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odibi.errors import OdibiError, OptionError, TransformError
from odibi.structure import structure_options
from odibi.testing.component import PLANTED, TOGETHER, ComponentSuite, no_secret_in, together
from odibi.testing.frames import Table, assert_same, frame_of, table_of
from odibi.testing.reference.engine import RowsEngine
from odibi.testing.secret import all_logged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from odibi.contracts.engine import Engine, Frame, Session

ODD = "odd \"name\"; -- 'é' {x} %s"
"""What a column may be called."""

MOST_SPLIT = 7
"""Rows of an example of which every split is tried."""

_LAWS = settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))

_IN_ANOTHER_PROCESS = """
import json, sys
from importlib import import_module
def found(module, name):
    thing = import_module(module)
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing
suite, component = json.loads(sys.argv[1])
suite = type("Suite", (found(*suite),), {"component": found(*component)})()
for at in range(len(suite.examples)):
    print(suite.result_as_text(at))
"""


@attrs.frozen
class Example:
    """A frame, and what becomes of it.

    Attributes:
        frame: the current frame.
        expected: the result; ``None`` where there is none, since a value cannot be treated.
        inputs: the node's declared inputs.
        options: in place of those of the suite.
        ordered: whether the rows of the result have to be in this order.
        says: what the error says, where there is one, if nothing is sensitive.
    """

    frame: Table
    expected: Table | None = None
    inputs: Mapping[str, Table] = attrs.field(factory=dict)
    options: Mapping[str, Any] | None = None
    ordered: bool = True
    says: str = ""


class StepContext:
    """What an operation is told of its node, and no more than the contract says.

    Args:
        engine: the node's.
        inputs: the frames of the declared inputs.
        params: the step's parameters.
        sensitive: as in the contract.
        stops_after: how often :meth:`cancelled` says no before it says yes; never if ``None``.
    """

    def __init__(
        self,
        engine: Engine,
        inputs: Mapping[str, Frame],
        params: Mapping[str, Any],
        sensitive: bool | Collection[str] = False,
        stops_after: int | None = None,
    ) -> None:
        self.node = "the_node"
        self.engine = engine
        self.params = params
        self.sensitive = sensitive
        self._inputs = dict(inputs)
        self._current: Frame = None
        self._session: Session | None = None
        self._stops_after = stops_after
        self._asked = 0

    def get(self, name: str) -> Frame:
        """The frame of a declared input."""
        if name not in self._inputs:
            raise TransformError(f"{name!r} is not an input of {self.node!r}", remedy="Add it to its depends_on.")
        return self.engine.share(self._inputs[name])

    def has(self, name: str) -> bool:
        """Whether ``name`` is a declared input."""
        return name in self._inputs

    def names(self) -> tuple[str, ...]:
        """The declared inputs, in order."""
        return tuple(self._inputs)

    def sql(self, query: str, frames: Mapping[str, Frame] | None = None) -> Frame:
        """Run a query in the node's own namespace."""
        if self._session is None:
            self._session = self.engine.session(self.node)
        visible = {**self._inputs, **({} if self._current is None else {"df": self._current}), **(frames or {})}
        return self._session.sql(query, visible)

    def cancelled(self) -> bool:
        """Whether the run wants this node to stop."""
        self._asked += 1
        return self._stops_after is not None and self._asked > self._stops_after


class _Crowded(StepContext):
    """Lets other threads go first, each time that the operation asks for something."""

    def get(self, name: str) -> Frame:
        time.sleep(0)
        return super().get(name)

    def sql(self, query: str, frames: Mapping[str, Frame] | None = None) -> Frame:
        time.sleep(0)
        return super().sql(query, frames)

    def cancelled(self) -> bool:
        time.sleep(0)
        return super().cancelled()


def times_asked(context: StepContext) -> int:
    """How often :meth:`StepContext.cancelled` was asked."""
    return context._asked


class TransformSuite(ComponentSuite):
    """Inherit it, and give examples; see the module's documentation."""

    family: ClassVar[str] = "transform"

    examples: ClassVar[Sequence[Example]]
    """What it does; one at least, whose frame should have a few rows."""

    columns: ClassVar[Sequence[str]] = ()
    """Columns of the first example's frame without which it cannot work."""

    bad: ClassVar[Sequence[Example]] = ()
    """Frames with values that it cannot treat, each ``PLANTED``."""

    optional_inputs: ClassVar[Collection[str]] = ()
    """Inputs of the examples that it can do without."""

    takes_other_columns: ClassVar[bool] = True
    """Whether a column that it is not told of makes no difference to the others."""

    columns_from_data: ClassVar[bool] = False
    """Whether the columns of its result depend on values."""

    asks: ClassVar[bool] = False
    """Whether it has a long loop, in which it asks whether it should stop."""

    # --- what a subclass may say ------------------------------------------------------------------------------------

    def new_engine(self) -> Engine:
        """The engine that it works on; one of plain rows if nothing is said."""
        return RowsEngine()

    def frame_of(self, engine: Engine, table: Table) -> Frame:
        """A frame of the engine; by Arrow if nothing else is said."""
        pytest.importorskip("pyarrow")
        return frame_of(engine, table)

    def table_of(self, engine: Engine, frame: Frame) -> Table:
        """What is in a frame of the engine; by Arrow if nothing else is said."""
        return table_of(engine, frame)

    # --- what the tests use -----------------------------------------------------------------------------------------

    def make(self, place: Path) -> Any:
        """The operation, from its parameters as a project gives them."""
        return structure_options(self.component, self.options(place), component=self.component.__qualname__)

    def made(self, example: Example) -> Any:
        """The operation of an example."""
        return structure_options(self.component, self._params(example), component=self.component.__qualname__)

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """The engine, closed in the end."""
        engine = self.new_engine()
        try:
            yield engine
        finally:
            engine.close()

    def context(
        self, engine: Engine, example: Example, *, kind: type[StepContext] = StepContext, **more: Any
    ) -> StepContext:
        """What the operation of an example is told."""
        inputs = {name: self.frame_of(engine, table) for name, table in example.inputs.items()}
        return kind(engine, inputs, self._params(example), **more)

    def apply(self, engine: Engine, example: Example, made: Any = None, **more: Any) -> Table:
        """What becomes of the example's frame; it is handed over as to one of several readers.

        Args:
            engine: the node's.
            example: a frame and its inputs.
            made: the operation, if there is one already.
            more: for the context.
        """
        context = self.context(engine, example, **more)
        frame = engine.share(self.frame_of(engine, example.frame))
        context._current = frame
        result = (self.made(example) if made is None else made).apply(frame, context)
        if context._session is not None:
            context._session.close()
        assert result is not None, "it returned nothing"
        return self.table_of(engine, result)

    def result_as_text(self, at: int) -> str:
        """What becomes of an example, as text that is the same if it is the same."""
        engine, example = self.new_engine(), self.examples[at]
        try:
            found = self.apply(engine, example)
        finally:
            engine.close()
        rows = [repr(row) for row in found.rows]
        return json.dumps([list(found.types.items()), rows if example.ordered else sorted(rows)])

    def _params(self, example: Example) -> Mapping[str, Any]:
        return self.options(Path()) if example.options is None else example.options

    def _rows_of(self, example: Example) -> st.SearchStrategy[Example]:
        """The example's frame with its rows in other orders, some of them more than once and some not at all."""
        rows = st.lists(st.sampled_from(example.frame.rows), max_size=10) if example.frame.rows else st.just([])
        return rows.map(lambda chosen: attrs.evolve(example, frame=Table(example.frame.types, chosen), expected=None))

    # --- what it does -----------------------------------------------------------------------------------------------

    def test_there_are_examples(self) -> None:
        """Each with a result; and each bad frame holds ``PLANTED``."""
        assert self.examples, "give an example"
        assert any(example.frame.rows for example in self.examples), "give an example with rows"
        assert all(example.expected is not None for example in self.examples), "give each example its result"
        assert all(PLANTED in repr((bad.frame, bad.inputs)) for bad in self.bad), "put PLANTED into each bad frame"
        assert set(self.columns) <= set(self.examples[0].frame.types), "columns: name those of the first example"

    def test_it_does_what_the_examples_show(self, engine: Engine) -> None:
        """Values, columns, and the order of rows where it counts."""
        for example in self.examples:
            assert example.expected is not None
            assert_same(self.apply(engine, example), example.expected, ordered=example.ordered)

    def test_its_frames_are_as_they_were(self, engine: Engine) -> None:
        """The frame may be changed in place, but other readers of it and of the inputs see nothing of that."""
        for example in self.examples:
            context = self.context(engine, example)
            frame = self.frame_of(engine, example.frame)
            before = [self.table_of(engine, each) for each in (frame, *context._inputs.values())]
            context._current = engine.share(frame)
            self.made(example).apply(context._current, context)
            after = [self.table_of(engine, each) for each in (frame, *context._inputs.values())]
            for was, found in zip(before, after, strict=True):
                assert_same(found, was, types="exact")

    def test_its_parameters_are_as_they_were(self, engine: Engine) -> None:
        """Neither what the context shows of them nor the operation itself is another one after it was applied."""
        for example in self.examples:
            context, made = self.context(engine, example), self.made(example)
            before = deepcopy(context.params), repr(made)
            context._current = self.frame_of(engine, example.frame)
            made.apply(context._current, context)
            assert (context.params, repr(made)) == before

    def test_it_takes_a_frame_without_rows(self, engine: Engine) -> None:
        """Its result has the columns that it has of any frame, of the same kinds."""
        for example in self.examples:
            assert example.expected is not None
            found = self.apply(engine, attrs.evolve(example, frame=example.frame.cut(0, 0)))
            if not self.columns_from_data:
                whole = self.apply(engine, example)
                assert found.names == whole.names
                nothing = [name for name in whole.names if all(value is None for value in whole.column(name))]
                kept = [name for name in whole.names if name not in nothing]
                assert_same(found.select(*kept).cut(0, 0), whole.select(*kept).cut(0, 0), types="any")
                ours, theirs = ({name: t.types[name] for name in kept} for t in (found, whole))
                assert ours == theirs, "without rows, the columns have other types"

    def test_other_columns_make_no_difference(self, engine: Engine) -> None:
        """Whatever they are called."""
        if not self.takes_other_columns:
            pytest.skip("declared: it does not take other columns")
        for example in self.examples:
            whole = self.apply(engine, example)
            for name, word, value in ((ODD, "string", None), ("Select", "int64", 7), ("ключ", "string", "x")):
                wider = Table({name: word, **example.frame.types}, [(value, *row) for row in example.frame.rows])
                found = self.apply(engine, attrs.evolve(example, frame=wider))
                assert_same(found.select(*whole.names), whole, ordered=example.ordered)

    def test_it_prints_nothing(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        """Standard output is for the answers of commands."""
        for example in self.examples:
            self.apply(engine, example)
        assert capfd.readouterr().out == ""

    # --- the same each time -----------------------------------------------------------------------------------------

    def test_it_keeps_nothing_between_two_frames(self, engine: Engine) -> None:
        """One operation, applied to one frame after another, gives what new ones give; also with other inputs."""
        for example in self.examples:
            made = self.made(example)
            fewer = attrs.evolve(example, frame=example.frame.cut(1))
            nothing = attrs.evolve(example, frame=example.frame.cut(0, 0))
            for each in (example, fewer, nothing, example, fewer):
                assert_same(self.apply(engine, each, made), self.apply(engine, each), ordered=each.ordered)
            turned = {name: Table(table.types, table.rows[::-1]) for name, table in example.inputs.items()}
            self._agree(engine, attrs.evolve(example, inputs=turned), made)
            for bad in self.bad:
                if bad.options == example.options:
                    self._agree(engine, bad, made)
            self._agree(engine, example, made)

    def _agree(self, engine: Engine, example: Example, made: Any) -> None:
        """One operation does what a new one does, or fails as it does."""
        one, other = (self._whatever(engine, example, each) for each in (made, None))
        if isinstance(one, Table) and isinstance(other, Table):
            assert_same(one, other, ordered=example.ordered)
        else:
            assert str(one) == str(other)

    def _whatever(self, engine: Engine, example: Example, made: Any = None, **more: Any) -> Table | OdibiError:
        try:
            return self.apply(engine, example, made, **more)
        except OdibiError as error:
            return error

    def test_a_result_stays_when_it_is_applied_again(self, engine: Engine) -> None:
        """The next step works on it while the operation may be at work on another node's frame."""
        for example in self.examples:
            made, context = self.made(example), self.context(engine, example)
            first = made.apply(self.frame_of(engine, example.frame), context)
            was = self.table_of(engine, first)
            made.apply(self.frame_of(engine, example.frame.cut(1)), self.context(engine, example))
            assert_same(self.table_of(engine, first), was)

    def test_two_give_the_same(self) -> None:
        """Each of its own making, on an engine of its own, and with rows in any order."""

        @_LAWS
        @given(st.sampled_from(self.examples).flatmap(self._rows_of))
        def law(example: Example) -> None:
            found = []
            for _ in range(2):
                engine = self.new_engine()
                try:
                    found.append(self._whatever(engine, example))
                finally:
                    engine.close()
            one, other = found
            if isinstance(one, Table) and isinstance(other, Table):
                assert_same(one, other, ordered=example.ordered, types="exact")
            else:
                assert str(one) == str(other)

        law()

    def test_other_processes_give_the_same(self) -> None:
        """In which sets have other orders."""
        suite = next((each for each in type(self).__mro__ if self._is_ours(each) and _can_be_imported(each)), None)
        if suite is None:
            pytest.skip("the suite is in a module that other processes cannot import")
        where = [(each.__module__, each.__qualname__) for each in (suite, self.component)]
        one, other = together(*(partial(_in_another_process, where, seed) for seed in ("1", "2")))
        assert isinstance(one, str), one
        assert one == other, "it gives something else in another process"

    def _is_ours(self, other: type) -> bool:
        """Whether another suite has the examples and the hooks of this one."""
        names = ("examples", "options", "new_engine", "frame_of", "table_of")
        return all(getattr(other, name, None) is getattr(type(self), name) for name in names)

    def test_threads_do_not_meet(self, engine: Engine) -> None:
        """One operation may be at work on several frames at once."""
        example = self.examples[0]
        made = self.made(example)
        rows = example.frame.rows
        frames = [Table(example.frame.types, (rows[at:] + rows[:at]) * (at + 1) * 20) for at in range(4)]
        several = [attrs.evolve(example, frame=frame) for frame in frames]
        wanted = [self._whatever(engine, each) for each in several]

        def work(each: Example) -> list[Table | OdibiError]:
            return [self._whatever(engine, each, made, kind=_Crowded) for _ in range(12)]

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            found = together(*(partial(work, each) for each in several))
        finally:
            sys.setswitchinterval(interval)
        for results, expected in zip(found, wanted, strict=True):
            assert not isinstance(results, BaseException), results
            for result in results:
                if isinstance(result, Table) and isinstance(expected, Table):
                    assert_same(result, expected, ordered=example.ordered)
                else:
                    assert str(result) == str(expected)

    # --- row by row -------------------------------------------------------------------------------------------------

    def test_it_says_whether_it_works_row_by_row(self) -> None:
        """With a bool, from which the kernel decides whether a node can be run in chunks."""
        for example in self.examples:
            assert type(self.made(example).rowwise) is bool

    def test_row_by_row_means_chunk_by_chunk(self, engine: Engine) -> None:
        """If it says so, every split of a frame, into single rows and into nothing too, gives the same in the end."""
        for example in self.examples:
            made = self.made(example)
            if not made.rowwise:
                continue
            whole = self.apply(engine, example, made)
            count = min(len(example.frame), MOST_SPLIT)
            places = [place for size in range(count) for place in combinations(range(1, count), size)]
            for place in (*places, (0, count, count)):
                self._same_in_chunks(engine, example, made, whole, place)

    def test_row_by_row_holds_for_any_rows(self, engine: Engine) -> None:
        """Rows that come twice, in any order, split anywhere."""

        @_LAWS
        @given(st.sampled_from(self.examples).flatmap(self._rows_of), st.lists(st.integers(0, 10), max_size=3))
        def law(example: Example, places: list[int]) -> None:
            made = self.made(example)
            whole = self._whatever(engine, example, made) if made.rowwise else None
            if isinstance(whole, Table):
                self._same_in_chunks(engine, example, made, whole, sorted(places))

        law()

    def _same_in_chunks(self, engine: Engine, example: Example, made: Any, whole: Table, places: Sequence[int]) -> None:
        edges = [0, *places, len(example.frame)]
        chunks = [example.frame.cut(begin, end) for begin, end in pairwise(edges) if begin <= end]
        parts = [self.apply(engine, attrs.evolve(example, frame=chunk), made) for chunk in chunks]
        assert {part.names for part in parts} == {whole.names}, "a chunk has other columns than the whole"
        assert_same(parts[0].joined(*parts[1:]), whole, ordered=example.ordered)

    # --- what is missing --------------------------------------------------------------------------------------------

    def test_a_missing_column_is_named(self, engine: Engine) -> None:
        """In a ``TransformError``, whether there are rows or not, and without a value of the others."""
        for name in self.columns:
            types, rows = dict(self.examples[0].frame.types), self.examples[0].frame.rows
            more = {"of no interest": "string"} if self.takes_other_columns else {}
            kept = [other for other in types if other != name]
            planted = [[*map(_planted, row), *([PLANTED] * len(more))] for row in rows]
            lacking = Table({**types, **more}, planted).select(*kept, *more)
            for frame in (lacking, lacking.cut(0, 0)):
                with no_secret_in(PLANTED) as look:
                    with pytest.raises(TransformError) as caught:
                        self.apply(engine, attrs.evolve(self.examples[0], frame=frame), sensitive=True)
                    assert name in str(caught.value), f"the error does not name {name!r}: {caught.value}"
                    if not _is_withheld(caught.value):
                        look(caught.value)

    def test_an_input_that_is_not_declared_is_an_error(self, engine: Engine) -> None:
        """That of ``context.get`` comes out, which says what to add; nothing is made up instead."""
        for example in self.examples:
            for name in example.inputs:
                if name in self.optional_inputs:
                    continue
                others = {other: table for other, table in example.inputs.items() if other != name}
                with pytest.raises(TransformError) as caught:
                    self.apply(engine, attrs.evolve(example, inputs=others))
                assert name in str(caught.value), "the error does not name the input"

    def test_an_unknown_parameter_is_refused(self) -> None:
        """With the nearest that there is; a typo does not pass for the default."""
        for example in self.examples:
            with pytest.raises(OptionError) as caught:
                self.made(attrs.evolve(example, options={**self._params(example), "no_such_parameter": 1}))
            assert "no_such_parameter" in str(caught.value)

    # --- what cannot be treated -------------------------------------------------------------------------------------

    def test_a_value_that_it_cannot_treat_is_an_error_of_ours(self, engine: Engine) -> None:
        """That says what is wrong."""
        for bad in self.bad:
            with pytest.raises(TransformError) as caught:
                self.apply(engine, bad)
            assert bad.says in str(caught.value)

    def test_errors_do_not_quote_sensitive_values(self, engine: Engine) -> None:
        """Nor their causes, nor a log, whether all columns are sensitive or those with the value.

        An error that may hold values in the words of others says so in ``quotes_data``, and is withheld.
        """
        for bad in self.bad:
            tables = (bad.frame, *bad.inputs.values())
            hidden = {name for table in tables for name in table.names if PLANTED in repr(table.column(name))}
            for sensitive in (True, hidden, frozenset(hidden), sorted(hidden)):
                with no_secret_in(PLANTED) as look, all_logged() as logged:
                    with pytest.raises(TransformError) as caught:
                        self.apply(engine, bad, sensitive=sensitive)
                    if not _is_withheld(caught.value):
                        look(caught.value)
                    assert PLANTED not in logged(), "a log quotes a sensitive value"

    def test_nothing_but_our_errors_comes_out(self, engine: Engine) -> None:
        """Whatever is null, and of whatever type a column is."""

        @_LAWS
        @given(st.sampled_from(self.examples).flatmap(self._rows_of), st.data())
        def law(example: Example, data: st.DataObject) -> None:
            rows = [list(row) for row in example.frame.rows]
            width = len(example.frame.types)
            for row in rows:
                for at in data.draw(st.lists(st.integers(0, max(width - 1, 0)), max_size=2)):
                    row[at] = None
            self._whatever(engine, attrs.evolve(example, frame=Table(example.frame.types, rows)))

        law()
        for example in self.examples:
            for name in example.frame.names:
                at = example.frame.names.index(name)
                for word, value in (("string", "text"), ("int64", -7), ("bool", True), ("double", float("nan"))):
                    types = {**example.frame.types, name: word}
                    rows = [[*row[:at], value, *row[at + 1 :]] for row in example.frame.rows]
                    self._whatever(engine, attrs.evolve(example, frame=Table(types, rows)))

    # --- stopping ---------------------------------------------------------------------------------------------------

    def test_a_long_loop_asks_whether_to_stop(self, engine: Engine) -> None:
        """And stops with an error when it should; what it has so far is not passed off as the result."""
        if not self.asks:
            pytest.skip("declared: it has no long loop")
        example = self.examples[0]
        context = self.context(engine, example, stops_after=0)
        with pytest.raises(OdibiError):
            self.made(example).apply(self.frame_of(engine, example.frame), context)
        assert times_asked(context) >= 1, "it did not ask"
        assert times_asked(context) <= 2, "it went on after it was told to stop"


def _planted(value: object) -> object:
    return PLANTED if isinstance(value, str) else value


def _is_withheld(error: BaseException) -> bool:
    """Whether the kernel keeps the words of the error back, since it says that they may quote data."""
    each: BaseException | None = error
    while each is not None:
        if getattr(each, "quotes_data", False):
            return True
        each = each.__cause__ or each.__context__
    return False


def _can_be_imported(cls: type) -> bool:
    if "<locals>" in cls.__qualname__:
        return False
    try:
        found: Any = import_module(cls.__module__)
        for part in cls.__qualname__.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return False
    # pytest may have imported it under a name of its own, by which others do not find it.
    return found is cls and not cls.__module__.startswith(("tests.", "test_")) and cls.__module__ != "__main__"


def _in_another_process(what: Sequence[Any], seed: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _IN_ANOTHER_PROCESS, json.dumps(what)],
        capture_output=True,
        check=False,
        text=True,
        timeout=TOGETHER,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": seed},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
