"""Transforms with one defect each."""

# ruff: noqa: ARG002, D102 - what is wrong stands in the class's docstring, and what the methods do in the contract

from __future__ import annotations

import logging
import random
from collections import namedtuple
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi.contracts.options import option
from odibi.errors import Cancelled, TransformError
from odibi.testing.component import PLANTED
from odibi.testing.frames import Table
from odibi.testing.reference.engine import RowsFrame
from odibi.testing.reference.transform import LookUp, require
from odibi.testing.transform import Example, TransformSuite
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from odibi.contracts.transform import TransformContext

_CODES = {"codes": Table.of(key=("string", ["g", "r", "g", "y"]), value=("string", ["green", "red", "grey", None]))}


class RowsSuite(TransformSuite):
    """The suite on operations of plain rows, which go without Arrow."""

    def frame_of(self, engine: Any, table: Table) -> RowsFrame:
        return RowsFrame(dict(table.types), [list(row) for row in table.rows])

    def table_of(self, engine: Any, frame: RowsFrame) -> Table:
        return Table(frame.types, frame.rows)


class LookUpSuite(RowsSuite):
    """The suite on a look-up."""

    component = LookUp
    columns = ("code",)
    asks = True

    def options(self, place: Path) -> dict[str, Any]:
        return {"column": "code", "into": "colour"}

    examples = (
        Example(
            frame=Table.of(id=("int64", [1, 2, 3, 4, 5]), code=("string", ["g", "r", None, "g", "y"])),
            inputs=_CODES,
            expected=Table.of(
                id=("int64", [1, 2, 3, 4, 5]),
                code=("string", ["g", "r", None, "g", "y"]),
                colour=("string", ["green", "red", None, "green", None]),
            ),
        ),
        Example(
            frame=Table.of(code=("string", ["x", "r"]), at=("double", [0.5, None])),
            inputs=_CODES,
            options={"column": "code", "into": "colour", "missing": "null"},
            expected=Table.of(
                code=("string", ["x", "r"]), at=("double", [0.5, None]), colour=("string", [None, "red"])
            ),
        ),
    )
    bad = (
        Example(frame=Table.of(id=("int64", [1, 2]), code=("string", ["g", PLANTED])), inputs=_CODES, says="'code'"),
    )


zoo = Zoo(LookUpSuite)


@zoo.defect
class ColumnIsAKeyError(LookUp):
    """A missing column is a ``KeyError``."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        _ = frame.types[self.column]
        return super().apply(frame, context)


@zoo.defect
class ColumnIsMissedByRows(LookUp):
    """That a column is missing is noticed at the first row, and not where there is none."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        if not frame.rows and self.column not in frame.types:
            return RowsFrame({**frame.types, self.into: "string"}, [])
        return super().apply(frame, context)


@zoo.defect
class ColumnIsNotNamed(LookUp):
    """The error does not say which column is missing."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        if self.column not in frame.types:
            raise TransformError("a column is missing", where=context.node)
        return super().apply(frame, context)


@zoo.defect
class ColumnIsPassedOver(LookUp):
    """Without the column, the frame comes back as it was."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        return super().apply(frame, context) if self.column in frame.types else frame


@zoo.defect
class ColumnErrorShowsRows(LookUp):
    """The error for a missing column shows the first row."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        if self.column not in frame.types:
            raise TransformError(f"there is no column {self.column!r} in {frame.rows[:1]}", where=context.node)
        return super().apply(frame, context)


@zoo.defect
class QuotesAlways(LookUp):
    """A key that is not known is quoted, sensitive or not."""

    def _found(self, key: Any, known: Mapping[Any, Any], context: TransformContext) -> Any:
        try:
            return super()._found(key, known, context)
        except TransformError as error:
            raise TransformError(f"no row for {key!r} of {self.column!r}") from error


@zoo.defect
class QuotesUnlessAllIs(LookUp):
    """A key is quoted if its column is sensitive, and not all of the node is."""

    def _found(self, key: Any, known: Mapping[Any, Any], context: TransformContext) -> Any:
        try:
            return super()._found(key, known, context)
        except TransformError as error:
            raise TransformError(
                f"no row for {'***' if context.sensitive is True else key!r} of {self.column!r}"
            ) from error


@zoo.defect
class QuotesUnlessItIsASet(LookUp):
    """Sensitive columns count if they come as a set."""

    def _found(self, key: Any, known: Mapping[Any, Any], context: TransformContext) -> Any:
        try:
            return super()._found(key, known, context)
        except TransformError as error:
            hidden = context.sensitive is True or (isinstance(context.sensitive, set) and bool(context.sensitive))
            raise TransformError(f"no row for {'***' if hidden else repr(key)} of {self.column!r}") from error


@zoo.defect
class ChainsTheValue(LookUp):
    """The error does not quote the value, but its cause does."""

    def _found(self, key: Any, known: Mapping[Any, Any], context: TransformContext) -> Any:
        try:
            return super()._found(key, known, context)
        except TransformError as error:
            raise TransformError(error.what) from KeyError(key)


@zoo.defect
class LogsTheValue(LookUp):
    """What it cannot treat is logged, for debugging."""

    def _found(self, key: Any, known: Mapping[Any, Any], context: TransformContext) -> Any:
        if key not in known:
            logging.getLogger("lookup").debug("looking for %r", key)
        return super()._found(key, known, context)


@zoo.defect
class ValueIsAKeyError(LookUp):
    """A key that is not known is a ``KeyError``."""

    def _found(self, key: Any, known: Mapping[Any, Any], context: TransformContext) -> Any:
        if key is not None and key not in known and self.missing == "error":
            raise KeyError("not known")
        return super()._found(key, known, context)


@zoo.defect
class NullIsATypeError(LookUp):
    """A frame with a null key and other keys cannot be sorted, which it does for no good reason."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        require(frame, [self.column], context)
        at = list(frame.types).index(self.column)
        sorted({row[at] for row in frame.rows if row[0] is not None or row[at] is None})
        return super().apply(frame, context)


@zoo.defect
class NeedsTexts(LookUp):
    """Keys are stripped, so that keys that are no texts are an ``AttributeError``."""

    def _found(self, key: Any, known: Mapping[Any, Any], context: TransformContext) -> Any:
        return super()._found(key.strip() if key is not None else key, known, context)


@zoo.defect
@attrs.define(eq=False)
class RemembersTheInput(LookUp):
    """The input is read once, and used for all frames."""

    _read: Any = attrs.field(default=None, init=False, repr=False)

    def _known(self, context: TransformContext) -> tuple[Mapping[Any, Any], str]:
        self._read = self._read or super()._known(context)
        return self._read  # type: ignore[no-any-return]


@zoo.defect
@attrs.define(eq=False)
class FillsFromAbove(LookUp):
    """A key that is null takes what was said of the last one, in this frame or the one before."""

    _last: Any = attrs.field(default=None, init=False, repr=False)

    def _found(self, key: Any, known: Mapping[Any, Any], context: TransformContext) -> Any:
        if key is not None:
            self._last = super()._found(key, known, context)
        return self._last


@zoo.defect
@attrs.define(eq=False)
class Counts(LookUp):
    """How many frames it has seen shows in its parameters."""

    seen: int = attrs.field(default=0, init=False)

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        self.seen += 1
        return super().apply(frame, context)


@zoo.defect
class DropsRepeats(LookUp):
    """It says that it works row by row, and leaves out rows that were there before."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        found = super().apply(frame, context)
        return RowsFrame(found.types, [row for at, row in enumerate(found.rows) if row not in found.rows[:at]])


@zoo.defect
class SortsRows(LookUp):
    """It says that it works row by row, and sorts."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        found = super().apply(frame, context)
        return RowsFrame(found.types, sorted(found.rows, key=lambda row: repr(row[0])))


@zoo.defect
class RowwiseIsAWord(LookUp):
    """Whether it works row by row is said in words, which are always true."""

    rowwise: ClassVar[Any] = "no"


@zoo.defect
class MakesUpInputs(LookUp):
    """Without its input, it goes on with an empty one."""

    def _known(self, context: TransformContext) -> tuple[Mapping[Any, Any], str]:
        try:
            return super()._known(context)
        except TransformError:
            return dict.fromkeys("gry"), "string"


@zoo.defect
class EmptyHasNoColumns(LookUp):
    """The result of a frame without rows has no columns."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        found = super().apply(frame, context)
        return found if found.rows else RowsFrame({}, [])


@zoo.defect
class EmptyHasNoTypes(LookUp):
    """Types are guessed from values, so that without rows there are none."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        found = super().apply(frame, context)
        return found if found.rows else RowsFrame(dict.fromkeys(found.types, "null"), [])


@zoo.defect
class EmptyFails(LookUp):
    """It looks at the first row before it knows that there is one."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        require(frame, [self.column], context)
        len(frame.rows[0])
        return super().apply(frame, context)


@zoo.defect
class PicksAny(LookUp):
    """Of several rows with one key, any counts."""

    def _known(self, context: TransformContext) -> tuple[Mapping[Any, Any], str]:
        table = context.get(self.table)
        random.shuffle(table.rows)
        names = list(table.types)
        key, value = names.index(self.key), names.index(self.value)
        return {row[key]: row[value] for row in table.rows}, table.types[self.value]


@zoo.defect
class OrdersBySet(LookUp):
    """The columns are in the order of a set, which is another one in each process."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        found = super().apply(frame, context)
        if self.missing != "null":  # the first example shows all columns in order
            return found
        places = {name: at for at, name in enumerate(found.types)}
        names = list(set(places))
        return RowsFrame(
            {name: found.types[name] for name in names}, [[row[places[name]] for name in names] for row in found.rows]
        )


@zoo.defect
class ChoosesBySet(LookUp):
    """Which of several values counts depends on the order of a set, which is another one in each process."""

    def _known(self, context: TransformContext) -> tuple[Mapping[Any, Any], str]:
        known, word = super()._known(context)
        hashed = hash("green") % 3 == hash("grey") % 3
        return {**known, "y": "yellow" if hashed else None}, word


@zoo.defect
@attrs.define(eq=False)
class SharesItsRows(LookUp):
    """The rows at hand stand in an attribute while it works, where another thread puts its own."""

    _rows: Any = attrs.field(factory=list, init=False, repr=False)

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        self._rows = frame.rows
        found = super().apply(frame, context)
        both = zip(self._rows, found.rows, strict=False)
        return RowsFrame(found.types, [[*row, new[-1]] for row, new in both])


@zoo.defect
@attrs.define(eq=False)
class ReusesItsResult(LookUp):
    """All its results are one frame, with what it had last."""

    _result: Any = attrs.field(factory=lambda: RowsFrame({}, []), init=False, repr=False)

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        found = super().apply(frame, context)
        self._result.types, self._result.rows = found.types, found.rows
        return self._result  # type: ignore[no-any-return]


@zoo.defect
class WorksInPlaceAlone(LookUp):
    """The frame is changed in place, and nothing is returned."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> Any:
        found = super().apply(frame, context)
        frame.types, frame.rows = found.types, found.rows


@zoo.defect
class DoesNotAsk(LookUp):
    """It goes on to the end, whatever the run wants."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        return super().apply(frame, _Deaf(context))


class _Deaf:
    def __init__(self, context: TransformContext) -> None:
        self._context = context

    def cancelled(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


@zoo.defect
class GivesWhatItHas(LookUp):
    """When it is told to stop, the rows so far are its result."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        try:
            return super().apply(frame, context)
        except Cancelled:
            return RowsFrame({**frame.types, self.into: "string"}, [])


@zoo.defect
class Prints(LookUp):
    """It prints how many rows it saw."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        print(len(frame.rows), "rows")
        return super().apply(frame, context)


@zoo.defect
class NeedsIdentifiers(LookUp):
    """Columns that are no identifiers are an error, though it is not about them."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        namedtuple("Row", frame.types)
        return super().apply(frame, context)


@zoo.defect
class CountsFromTheLeft(LookUp):
    """The column is looked for where it stood in the first frame that its author saw."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        found = super().apply(frame, context)
        at = 1 if self.missing == "error" else 0
        return RowsFrame(found.types, [row if row[at] is not None else [*row[:-1], None] for row in found.rows])


@zoo.defect
class ReachesBehindTheContext(LookUp):
    """It uses what today's kernel happens to have in its context."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        _ = context.session  # type: ignore[attr-defined]
        return super().apply(frame, context)


@zoo.defect
class ChangesParameters(LookUp):
    """A default is written into the parameters that the context shows."""

    def apply(self, frame: RowsFrame, context: TransformContext) -> RowsFrame:
        if isinstance(context.params, dict):
            context.params.setdefault("missing", self.missing)
        return super().apply(frame, context)


@zoo.defect
@attrs.define(eq=False)
class HelplessParameter(LookUp):
    """A parameter has no help, so that the reference says nothing of it."""

    strict: bool = option(True, help=" ")
