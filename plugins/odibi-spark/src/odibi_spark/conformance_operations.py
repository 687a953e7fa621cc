"""The conformance suites of the operations on Spark frames: what each does, as examples."""

# ruff: noqa: ARG002, D102 - the options stand in ``options``, whatever the place

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from odibi.testing.component import PLANTED
from odibi.testing.frames import Table, assert_same
from odibi.testing.transform import Example as _Example
from odibi.testing.transform import TransformSuite
from odibi_spark.conformance import SMALL
from odibi_spark.engine import SparkEngine
from odibi_spark.operations.aggregate import Aggregate
from odibi_spark.operations.cast import Cast
from odibi_spark.operations.columns import Drop, Rename, Select
from odibi_spark.operations.explode import Explode
from odibi_spark.operations.join import Join
from odibi_spark.operations.pivot import Pivot, Unpivot
from odibi_spark.operations.rows import DropDuplicates, Filter, Sample, Sort
from odibi_spark.operations.union import Union
from odibi_spark.operations.values import Derive, Fillna

if TYPE_CHECKING:
    from pathlib import Path

    from odibi.contracts.engine import Engine

ORDERS = Table.of(
    id=("int64", [1, 2, 3, 4]),
    region=("string", ["north", "south", None, "north"]),
    amount=("double", [10.0, None, 5.0, 2.5]),
)


Example = partial(_Example, ordered=False)
"""An example whose rows are in no order, as a Spark frame has none."""


class _OnSpark(TransformSuite):
    # pyspark leaves it to the garbage collector to close the sockets by which it fetches rows.
    pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

    def new_engine(self) -> Engine:
        """An engine; all of them share one session, that is started once."""
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        return SparkEngine(master="local[2]", conf=SMALL)

    def test_other_processes_give_the_same(self) -> None:
        """Nor does it matter how the rows are spread, which is what differs between two runs of Spark.

        A process of its own for each operation would be a Spark of its own; the tests of this plugin have one for all.
        """
        engine = self.new_engine()
        try:
            for example in self.examples:
                made, context = self.made(example), self.context(engine, example)
                frame = self.frame_of(engine, example.frame)
                context._current = frame
                whole = self.table_of(engine, made.apply(frame, context))
                for spread in (frame.repartition(3), frame.coalesce(1)):
                    context._current = spread
                    assert_same(self.table_of(engine, made.apply(spread, context)), whole, ordered=example.ordered)
        finally:
            engine.close()


class SelectSuite(_OnSpark):
    """``select``."""

    component = Select
    columns = ("amount", "id")
    examples = (
        Example(ORDERS, ORDERS.select("amount", "id")),
        Example(ORDERS, ORDERS.select("region"), options={"columns": "r*"}),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"columns": ["amount", "id"]}


class DropSuite(_OnSpark):
    """``drop``."""

    component = Drop
    columns = ("region",)
    examples = (
        Example(ORDERS, ORDERS.select("id", "amount")),
        Example(ORDERS, ORDERS, options={"columns": "nothing", "missing": "ignore"}),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"columns": "region"}


class RenameSuite(_OnSpark):
    """``rename``."""

    component = Rename
    columns = ("id", "region")
    examples = (Example(ORDERS, Table({"region": "int64", "id": "string", "amount": "double"}, ORDERS.rows)),)

    def options(self, place: Path) -> dict[str, Any]:
        return {"columns": {"id": "region", "region": "id"}}


class FilterSuite(_OnSpark):
    """``filter``."""

    component = Filter
    columns = ("amount",)
    examples = (
        Example(ORDERS, Table(ORDERS.types, [ORDERS.rows[0], ORDERS.rows[2]])),
        Example(
            ORDERS,
            Table(ORDERS.types, [ORDERS.rows[1]]),
            inputs={"closed": Table.of(name=("string", ["south", "west"]))},
            options={"where": "region IN (SELECT name FROM closed)"},
        ),
    )
    bad = (
        Example(
            Table.of(amount=("string", ["1", PLANTED])), options={"where": "CAST(amount AS INTEGER) > 0"}, says="INT"
        ),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"where": "amount > 3"}


class DropDuplicatesSuite(_OnSpark):
    """``drop_duplicates``."""

    component = DropDuplicates
    columns = ("region", "id")
    examples = (
        Example(ORDERS, ORDERS.cut(0, 3)),
        Example(ORDERS, ORDERS.cut(1, 3), options={"keys": ["region"], "keep": "none"}),
        Example(ORDERS.joined(ORDERS), ORDERS, options={}),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"keys": "region", "order_by": "id"}


class SortSuite(_OnSpark):
    """``sort``."""

    component = Sort
    columns = ("region", "amount", "id")
    examples = (_Example(ORDERS, Table(ORDERS.types, [ORDERS.rows[at] for at in (0, 3, 1, 2)])),)

    def options(self, place: Path) -> dict[str, Any]:
        return {"by": ["region", {"column": "amount", "descending": True}, "id"]}


class SampleSuite(_OnSpark):
    """``sample``."""

    component = Sample
    examples = (
        Example(ORDERS, ORDERS),
        Example(ORDERS, ORDERS.cut(0, 0), options={"fraction": 0}),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"n": 10, "seed": 3}


class DeriveSuite(_OnSpark):
    """``derive``."""

    component = Derive
    columns = ("amount",)
    examples = (
        Example(
            ORDERS,
            Table(
                {**ORDERS.types, "twice": "double", "more": "double"},
                [(*row, row[2] and row[2] * 2, row[2] and row[2] * 2 + 1) for row in ORDERS.rows],
            ),
        ),
        Example(
            ORDERS,
            Table({**ORDERS.types, "all": "int64"}, [(*row, 4) for row in ORDERS.rows]),
            options={"columns": {"all": "count(*) OVER ()"}},
        ),
    )
    bad = (Example(Table.of(amount=("string", ["1", PLANTED])), options={"columns": {"n": "CAST(amount AS INTEGER)"}}),)

    def options(self, place: Path) -> dict[str, Any]:
        return {"columns": {"twice": "amount * 2", "more": "twice + 1"}}


class FillnaSuite(_OnSpark):
    """``fillna``."""

    component = Fillna
    columns = ("region", "amount")
    examples = (
        Example(
            ORDERS,
            Table.of(
                id=("int64", [1, 2, 3, 4]),
                region=("string", ["north", "south", "nowhere", "north"]),
                amount=("double", [10.0, 0.5, 5.0, 2.5]),
            ),
        ),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"values": {"region": "nowhere", "amount": 0.5}}


class CastSuite(_OnSpark):
    """``cast``."""

    component = Cast
    columns = ("n",)
    examples = (
        Example(
            Table.of(n=("string", ["1", None, "-3"]), x=("double", [1.0, 2.0, None])),
            Table.of(n=("int64", [1, None, -3]), x=("double", [1.0, 2.0, None])),
        ),
        Example(
            Table.of(n=("string", ["1", "one"])),
            Table.of(n=("int64", [1, None])),
            options={"types": {"n": "int"}, "on_error": "null"},
        ),
    )
    bad = (
        Example(Table.of(n=("string", ["1", PLANTED])), says=PLANTED),
        Example(Table.of(n=("string", ["1", PLANTED])), options={"types": {"n": "datetime"}}, says="'n'"),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"types": {"n": "int"}}


class AggregateSuite(_OnSpark):
    """``aggregate``."""

    component = Aggregate
    columns = ("region", "amount")
    examples = (
        Example(
            ORDERS,
            Table.of(
                region=("string", ["north", "south", None]),
                total=("double", [12.5, None, 5.0]),
                rows=("int64", [2, 1, 1]),
            ),
        ),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"by": "region", "measures": {"total": "sum(amount)", "rows": "count(*)"}}


class JoinSuite(_OnSpark):
    """``join``."""

    component = Join
    columns = ("region",)
    examples = (
        Example(
            ORDERS,
            Table(
                {**ORDERS.types, "boss": "string"},
                [(*row, "ann" if row[1] == "north" else None) for row in ORDERS.rows],
            ),
            inputs={"regions": Table.of(region=("string", ["north", "west"]), boss=("string", ["ann", "bob"]))},
        ),
    )
    bad = (
        Example(
            Table.of(region=("string", ["north"])),
            inputs={"regions": Table.of(region=("string", [PLANTED, PLANTED]), boss=("string", ["ann", "bob"]))},
            options={"right": "regions", "on": "region", "validate": "one_to_one"},
        ),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"right": "regions", "on": "region", "how": "left"}


class UnionSuite(_OnSpark):
    """``union``."""

    component = Union
    columns = ("amount",)
    takes_other_columns = False
    examples = (Example(ORDERS, ORDERS.joined(ORDERS.cut(1, 2)), inputs={"late": ORDERS.cut(1, 2)}),)

    def options(self, place: Path) -> dict[str, Any]:
        return {"inputs": "late"}


class ExplodeSuite(_OnSpark):
    """``explode``."""

    component = Explode
    columns = ("tags",)
    examples = (
        Example(
            Table.of(id=("int64", [1, 2, 3]), tags=("list<element: string>", [["a", "b"], [], None])),
            Table.of(id=("int64", [1, 1, 2, 3]), tags=("string", ["a", "b", None, None])),
        ),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"columns": "tags"}


class PivotSuite(_OnSpark):
    """``pivot``."""

    component = Pivot
    columns = ("id", "region", "amount")
    columns_from_data = True
    examples = (
        Example(
            ORDERS,
            Table.of(
                id=("int64", [1, 2, 3, 4]),
                north=("double", [10.0, None, None, 2.5]),
                south=("double", [None, None, None, None]),
                null=("double", [None, None, 5.0, None]),
            ),
        ),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"group_by": "id", "pivot_column": "region", "value_column": "amount"}


class UnpivotSuite(_OnSpark):
    """``unpivot``."""

    component = Unpivot
    columns = ("id", "jan", "feb")
    examples = (
        Example(
            Table.of(id=("int64", [1, 2]), jan=("double", [0.5, None]), feb=("double", [1.0, 2.0])),
            Table.of(
                id=("int64", [1, 1, 2, 2]),
                variable=("string", ["jan", "feb", "jan", "feb"]),
                value=("double", [0.5, 1.0, None, 2.0]),
            ),
        ),
    )

    def options(self, place: Path) -> dict[str, Any]:
        return {"id_columns": "id", "value_columns": ["jan", "feb"]}
