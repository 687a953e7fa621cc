"""The built-in operations on Spark, one example after another: what they do, and what they say when they cannot."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from odibi.contracts.transform import Transform
from odibi.errors import OptionError, TransformError
from odibi.structure import option_fields, structure_options
from odibi_spark.operations import OPERATIONS
from odibi_spark.operations.aggregate import Aggregate
from odibi_spark.operations.cast import Cast
from odibi_spark.operations.columns import Drop, Rename, Select
from odibi_spark.operations.explode import Explode
from odibi_spark.operations.expressions import sees_one_row
from odibi_spark.operations.failures import recognised
from odibi_spark.operations.join import Join
from odibi_spark.operations.pivot import Pivot, Unpivot
from odibi_spark.operations.rows import DropDuplicates, Filter, Sample, Sort, SortKey
from odibi_spark.operations.union import Union
from odibi_spark.operations.values import Derive, Fillna

Columns = dict[str, list[Any]]


@pytest.fixture
def applied(as_frame: Any, step_context: Any, jobs: Any) -> Callable[..., Any]:
    """Apply an operation to columns; the result as a frame. No job may start meanwhile."""

    def applied(operation: Any, columns: Any, inputs: Any = None, sensitive: Any = False, **types: Any) -> Any:
        frame = as_frame(columns, **types)
        context = step_context({name: as_frame(values) for name, values in (inputs or {}).items()}, sensitive)
        with jobs() as started:
            result = operation.apply(frame, context)
        assert not started or isinstance(operation, Pivot), "it computed something"
        return result

    return applied


@pytest.fixture
def run(applied: Any, as_table: Any) -> Callable[..., Columns]:
    """Apply an operation to columns; the result as columns, its rows in an order of our own unless it sorts."""

    def run(operation: Transform, *arguments: Any, **options: Any) -> Columns:
        table = as_table(applied(operation, *arguments, **options))
        rows = [tuple(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]
        if not isinstance(operation, Sort):
            rows.sort(key=lambda row: [_rank(value) for value in row])
        return {name: [row[at] for row in rows] for at, name in enumerate(table.column_names)}

    return run


def _rank(value: Any) -> tuple[bool, str, Any]:
    is_number = isinstance(value, int | float) and value == value
    return value is None, "" if is_number else repr(value), value if is_number else 0


@pytest.fixture
def fails(applied: Any) -> Callable[..., str]:
    """Apply an operation that cannot work, as can be told without a job; the message."""

    def fails(*arguments: Any, **options: Any) -> str:
        with pytest.raises(TransformError) as caught:
            applied(*arguments, **options)
        return str(caught.value)

    return fails


@pytest.fixture
def fails_late(applied: Any) -> Callable[..., str]:
    """Compute what an operation that found nothing wrong with the schema has made; the message."""

    def fails_late(*arguments: Any, **options: Any) -> str:
        frame = applied(*arguments, **options)
        with pytest.raises(Exception, match="odibi:") as caught:
            frame.toArrow()
        told = recognised(caught.value)
        assert told is not None
        return str(told)

    return fails_late


@pytest.fixture
def type_after(applied: Any, as_table: Any) -> Callable[..., pa.DataType]:
    def type_after(operation: Transform, column: str, *arguments: Any, **types: Any) -> pa.DataType:
        return as_table(applied(operation, *arguments, **types)).schema.field(column).type

    return type_after


ORDERS: Columns = {
    "id": [1, 2, 3, 4],
    "region": ["north", "south", None, "north"],
    "amount": [10.0, None, 5.0, 2.5],
}

STRANGE = ["a.b", "a`b", 'say "x"', "Ключ é", "with space", "select", "A", "a"]
"""What columns may be called; two of them differ in case alone."""


class TestRegistration:
    @pytest.mark.parametrize("name", sorted(OPERATIONS))
    def test_it_is_built_by_the_host(self, name: str) -> None:
        from odibi.host import Host

        cls = Host().component("transform", name)
        assert isinstance(cls.rowwise, bool)
        assert cls.__doc__
        assert all(field.help for field in option_fields(cls))

    def test_no_operation_imports_pyspark_before_it_works(self) -> None:
        modules = sorted({target.partition(":")[0] for target in OPERATIONS.values()})
        code = (
            f"import importlib, sys; [importlib.import_module(m) for m in {modules!r}]; "
            "print(sorted({'pandas', 'pyarrow', 'numpy', 'pyspark', 'sqlglot'} & set(sys.modules)))"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == "[]"

    @pytest.mark.parametrize(
        ("cls", "options", "message"),
        [
            (Sample, {}, "either 'n' or 'fraction'"),
            (Sample, {"n": -1}, "n is -1"),
            (Sample, {"fraction": 1.5}, "fraction is 1.5"),
            (Fillna, {}, "give either 'values'"),
            (Join, {"with": "b", "on": ["a"], "how": "iner"}, "inner"),
        ],
    )
    def test_options_that_do_not_go_together_are_refused(self, cls: Any, options: Any, message: str) -> None:
        with pytest.raises(OptionError, match=message):
            structure_options(cls, options, component="operation")


MISSING = [
    Select(columns=("id", "regoin")),
    Drop(columns=("regoin",)),
    Rename(columns={"regoin": "r"}),
    Fillna(values={"regoin": "x"}),
    DropDuplicates(keys=("regoin",)),
    DropDuplicates(order_by="regoin"),
    Cast(types={"regoin": "str"}),
    Sort(by="regoin"),
    Join(right="other", on="regoin"),
    Aggregate(by=("regoin",), measures={"n": "count(*)"}),
    Aggregate(measures={"regoin": "count"}),
    Pivot(group_by="regoin", pivot_column="id", value_column="amount"),
    Pivot(group_by="id", pivot_column="regoin", value_column="amount"),
    Pivot(group_by="id", pivot_column="amount", value_column="regoin"),
    Unpivot(id_columns="regoin"),
    Unpivot(value_columns="regoin"),
    Explode(columns="regoin"),
    Filter(where="regoin = 'north'"),
    Derive(columns={"r": "upper(regoin)"}),
    Aggregate(measures={"n": "count(regoin)"}),
]


@pytest.mark.parametrize("operation", MISSING, ids=lambda it: repr(it)[:50])
def test_a_missing_column_is_named_with_the_nearest_and_with_all(operation: Transform, fails: Any) -> None:
    message = fails(operation, ORDERS, {"other": ORDERS})
    assert "'regoin'" in message
    assert "Did you mean 'region'?" in message
    for column in ORDERS:
        assert column in message


IN_ANOTHER_CASE = [
    Select(columns="ID"),
    Drop(columns="ID"),
    Rename(columns={"ID": "r"}),
    Fillna(values={"ID": 1}),
    DropDuplicates(keys="ID"),
    Cast(types={"ID": "str"}),
    Sort(by="ID"),
    Join(right="other", on="ID"),
    Aggregate(by="ID", measures={"n": "count(*)"}),
    Pivot(group_by="ID", pivot_column="region", value_column="amount"),
    Unpivot(id_columns="ID"),
    Explode(columns="ID"),
]


@pytest.mark.parametrize("operation", IN_ANOTHER_CASE, ids=lambda it: type(it).__name__)
def test_a_name_in_another_case_is_another_name(operation: Transform, fails: Any) -> None:
    message = fails(operation, ORDERS, {"other": ORDERS})
    assert "no column 'ID'. Did you mean 'id'?" in message


EMPTY = [
    Select(columns=("id", "region")),
    Drop(columns="id"),
    Rename(columns={"id": "key"}),
    Filter(where="id > 1"),
    Fillna(values={"amount": 0}),
    DropDuplicates(),
    Cast(types={"id": "str"}),
    Sort(by="id"),
    Join(right="other", on="id", suffix="_r"),
    Join(right="other", on="id", suffix="_r", validate="one_to_one"),
    Union(inputs="other"),
    Aggregate(by="region", measures={"amount": "sum"}),
    Pivot(group_by="id", pivot_column="region", value_column="amount"),
    Unpivot(id_columns="id", value_columns="amount"),
    Sample(n=3),
    Sample(fraction=0.5),
    Derive(columns={"double": "amount * 2"}),
]


@pytest.mark.parametrize("operation", EMPTY, ids=lambda it: type(it).__name__)
def test_an_empty_frame_keeps_its_schema(operation: Transform, as_frame: Any, as_table: Any, step_context: Any) -> None:
    full = as_frame(ORDERS)
    empty = as_frame(as_table(full).slice(0, 0))
    result = as_table(operation.apply(empty, step_context({"other": empty})))
    expected = as_table(operation.apply(full, step_context({"other": full}))).schema
    if isinstance(operation, Pivot):
        expected = pa.schema([expected.field("id")])
    assert result.num_rows == 0
    assert result.schema.names == expected.names
    assert result.schema.types == expected.types


class TestStrangeNames:
    """Each operation on columns that Spark would mistake for others, or could not read."""

    COLUMNS: ClassVar[Columns] = {name: [at, at + 100] for at, name in enumerate(STRANGE)}

    @pytest.mark.parametrize("name", STRANGE)
    def test_the_column_that_is_meant_is_taken(self, name: str, run: Any) -> None:
        at = STRANGE.index(name)
        values = [at, at + 100]
        assert run(Select(columns=name), self.COLUMNS) == {name: values}
        assert run(Rename(columns={name: "new"}), self.COLUMNS)["new"] == values
        assert name not in run(Drop(columns=name), self.COLUMNS)
        assert run(Cast(types={name: "str"}), self.COLUMNS)[name] == [str(value) for value in values]
        assert run(Sort(by=SortKey(column=name, descending=True)), self.COLUMNS)[name] == values[::-1]
        assert run(DropDuplicates(keys=name, order_by="a"), self.COLUMNS) == self.COLUMNS
        assert run(Sample(n=5), self.COLUMNS) == self.COLUMNS
        assert run(Fillna(values={name: 7}), {**self.COLUMNS, name: [at, None]})[name] == sorted([at, 7])
        assert run(Unpivot(id_columns=name, value_columns="A"), self.COLUMNS) == {
            name: values,
            "variable": ["A", "A"],
            "value": [6, 106],
        }
        joined = run(Join(right="r", on=name, how="full"), self.COLUMNS, {"r": {name: values, "w": [1, 2]}})
        assert joined == {**self.COLUMNS, "w": [1, 2]}
        assert run(Union(inputs="r", distinct=True), self.COLUMNS, {"r": self.COLUMNS}) == self.COLUMNS
        pivoted = run(Pivot(group_by=name, pivot_column="p", value_column="v"), {name: [1], "p": ["x.`y`"], "v": [3]})
        assert pivoted == {name: [1], "x.`y`": [3]}
        exploded = run(Explode(columns=name), {**{n: [1] for n in STRANGE}, name: [[5]]})
        assert exploded[name] == [5]

    @pytest.mark.parametrize("name", [name for name in STRANGE if name not in "aA"])
    def test_expressions_quote_it_with_backticks(self, name: str, run: Any) -> None:
        at, quoted = STRANGE.index(name), "`" + name.replace("`", "``") + "`"
        assert run(Filter(where=f"{quoted} > 50"), self.COLUMNS)[name] == [at + 100]
        assert run(Derive(columns={"n": f"{quoted} + 1"}), self.COLUMNS)["n"] == [at + 1, at + 101]
        assert run(Derive(columns={name: f"{quoted} + 1"}, replace=True), self.COLUMNS)[name] == [at + 1, at + 101]
        assert run(Aggregate(by=name, measures={"n": f"max({quoted})"}), self.COLUMNS)["n"] == [at, at + 100]
        assert run(Aggregate(measures={name: "max"}), self.COLUMNS) == {name: [at + 100]}

    def test_an_expression_cannot_tell_cases_apart(self, fails: Any) -> None:
        for operation in (Filter(where="a > 1"), Derive(columns={"n": "a"}), Aggregate(measures={"n": "max(a)"})):
            message = fails(operation, self.COLUMNS)
            assert "the columns 'A' and 'a' have the same name in SQL, which does not tell cases apart" in message


class TestSelectDropRename:
    def test_select_takes_one_name_or_patterns(self, run: Any) -> None:
        columns = {"b_1": [1], "a": [1], "b_2": [1], "b*": [1]}
        assert list(run(Select(columns=("b_?", "a")), columns)) == ["b_1", "b_2", "a"]
        assert list(run(Select(columns="b*"), columns)) == ["b*"]

    def test_select_refuses_a_pattern_that_matches_nothing_and_nothing_at_all(self, fails: Any) -> None:
        assert "no column 'x*'" in fails(Select(columns="x*"), ORDERS)
        assert "no column would be left" in fails(Select(columns=()), ORDERS)

    def test_drop(self, run: Any, fails: Any) -> None:
        assert list(run(Drop(columns=("amount", "reg*")), ORDERS)) == ["id"]
        assert list(run(Drop(columns=("nope", "id"), missing="ignore"), ORDERS)) == ["region", "amount"]
        assert "no column would be left" in fails(Drop(columns="*"), ORDERS)

    def test_rename_can_swap(self, run: Any, fails: Any) -> None:
        swapped = run(Rename(columns={"a": "b", "b": "a"}), {"a": [1], "b": [2], "c": [3]})
        assert swapped == {"b": [1], "a": [2], "c": [3]}
        assert list(swapped) == ["b", "a", "c"]
        assert "the column 'id' twice" in fails(Rename(columns={"region": "id"}), ORDERS)


class TestFilter:
    def test_null_is_not_true(self, run: Any) -> None:
        assert run(Filter(where="amount > 3"), ORDERS)["id"] == [1, 3]
        assert run(Filter(where="NOT df.amount > 3"), ORDERS)["id"] == [4]

    def test_a_comment_at_the_end_does_no_harm(self, run: Any) -> None:
        assert run(Filter(where="id = 1 -- only one"), ORDERS)["id"] == [1]

    def test_it_can_ask_an_input(self, run: Any, fails: Any) -> None:
        condition = "id IN (SELECT id FROM wanted)"
        assert run(Filter(where=condition), ORDERS, {"wanted": {"id": [4, 2]}})["id"] == [2, 4]
        assert run(Filter(where="amount > (SELECT avg(amount) FROM df)"), ORDERS)["id"] == [1]
        assert "wanted" in fails(Filter(where=condition), ORDERS)

    @pytest.mark.parametrize(
        "condition",
        ["amount >", "id = 1; SELECT 1", "id = 1); SELECT (1", "id = 1) UNION (SELECT 1", "id, amount", "id", "*"],
    )
    def test_what_is_no_condition_is_refused(self, condition: str, fails: Any) -> None:
        assert fails(Filter(where=condition), ORDERS).startswith("filter: ")

    def test_what_cannot_be_parsed_is_shown(self, fails: Any) -> None:
        message = fails(Filter(where="amount >"), ORDERS)
        assert message.startswith("filter: the condition 'amount >': Syntax error at or near ')'. Check the expression")

    def test_an_error_holds_no_rows(self, fails: Any) -> None:
        assert "north" not in fails(Filter(where="amont > 1"), ORDERS)


class TestFillna:
    def test_null_and_nan_are_filled_and_types_stay(self, run: Any, type_after: Any) -> None:
        columns = {"a": [1, None], "b": [None, "x"], "c": [float("nan"), 1.5]}
        assert run(Fillna(values={"a": 0, "b": "-", "c": 0}), columns) == {
            "a": [0, 1],
            "b": ["x", "-"],
            "c": [1.5, 0.0],
        }
        assert type_after(Fillna(values={"a": 0}), "a", {"a": [1, None]}, a=pa.int16()) == pa.int16()

    def test_one_value_for_several_columns(self, run: Any) -> None:
        columns = {"a": [None, 1], "b": [None, 2], "c": [None, "x"]}
        assert run(Fillna(value=0, columns=("a", "b")), columns) == {"a": [0, 1], "b": [0, 2], "c": [None, "x"]}

    def test_values_become_what_the_column_holds(self, run: Any) -> None:
        types = {
            "d": pa.date32(),
            "m": pa.decimal128(9, 2),
            "t": pa.bool_(),
            "l": pa.timestamp("us"),
            "z": pa.timestamp("us", "UTC"),
            "b": pa.binary(),
        }
        values = {"d": "2024-02-29", "m": 1.1, "t": True, "l": "2024-02-29 10:00:00", "b": b"\x00\xff"}
        values["z"] = "2024-02-29 10:00:00+02:00"
        assert run(Fillna(values=values), {name: [None] for name in types}, **types) == {
            "d": [dt.date(2024, 2, 29)],
            "m": [Decimal("1.10")],
            "t": [True],
            "l": [dt.datetime(2024, 2, 29, 10)],
            "z": [dt.datetime(2024, 2, 29, 8, tzinfo=dt.UTC)],
            "b": [b"\x00\xff"],
        }

    @pytest.mark.parametrize(
        ("column", "type_", "value"),
        [
            ([1, None], None, "none"),
            ([1, None], None, 1.5),
            ([1, None], None, True),
            ([True, None], None, 1),
            (["a", None], None, 0),
            ([1, None], pa.int8(), 300),
            ([None], pa.date32(), "yesterday"),
            ([1, None], None, None),
        ],
    )
    def test_a_value_of_another_type_is_refused(self, column: Any, type_: Any, value: Any, fails: Any) -> None:
        message = fails(Fillna(values={"a": value}), {"a": column}, a=type_)
        assert f"and {value!r} cannot be one" in message


class TestDropDuplicates:
    COLUMNS: ClassVar[Columns] = {"k": ["b", "a", "b", None, "a", None], "v": [1, 2, 3, 4, 5, 6]}

    @pytest.mark.parametrize(("keep", "expected"), [("first", [1, 2, 4]), ("last", [3, 5, 6]), ("none", [])])
    def test_keep(self, keep: Any, expected: list[int], run: Any) -> None:
        assert sorted(run(DropDuplicates(keys="k", keep=keep, order_by="v"), self.COLUMNS)["v"]) == expected

    def test_order_by_says_what_is_first(self, run: Any) -> None:
        newest = SortKey(column="v", descending=True)
        assert sorted(run(DropDuplicates(keys="k", order_by=(newest,)), self.COLUMNS)["v"]) == [3, 5, 6]
        assert sorted(run(DropDuplicates(keys="k", keep="last", order_by=newest), self.COLUMNS)["v"]) == [1, 2, 4]

    @pytest.mark.parametrize("keep", ["first", "last"])
    def test_without_an_order_there_is_no_first(self, keep: Any, fails: Any) -> None:
        message = fails(DropDuplicates(keys="k", keep=keep), self.COLUMNS)
        assert f"nothing says which row is the {keep}, and a Spark frame has no order of rows" in message
        assert "Set 'order_by' to columns that order the rows, such as 'v'." in message

    @pytest.mark.parametrize(("keep", "expected"), [("first", 1), ("last", None)])
    def test_what_the_order_does_not_tell_apart_the_other_columns_do(self, keep: Any, expected: Any, run: Any) -> None:
        columns = {"k": [1, 1, 1], "o": [5, 5, 5], "x": [3, None, 1], "m": [[("a", 1)]] * 3}
        operation = DropDuplicates(keys="k", order_by="o", keep=keep)
        for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
            turned = {name: [values[at] for at in order] for name, values in columns.items()}
            assert run(operation, turned, m=pa.map_(pa.string(), pa.int64()))["x"] == [expected]

    def test_all_columns_are_the_key_unless_said_otherwise(self, run: Any) -> None:
        assert run(DropDuplicates(), {"a": [1, 1, 1], "l": [[1], [1], [2]]}) == {"a": [1, 1], "l": [[1], [2]]}
        assert run(DropDuplicates(keep="none"), {"k": ["a", "b", "a"]}) == {"k": ["b"]}

    def test_maps_are_no_keys(self, fails: Any) -> None:
        message = fails(DropDuplicates(), {"m": [[("a", 1)]]}, m=pa.map_(pa.string(), pa.int64()))
        assert message.startswith("drop_duplicates: The feature is not supported")


class TestCast:
    @pytest.mark.parametrize(
        ("values", "to", "expected", "type_"),
        [
            (["1", "-2", None, "0xFF"], "int", [-2, 1, 255, None], pa.int64()),
            (["1.5", "1e3"], "float", [1.5, 1000.0], pa.float64()),
            ([1, 2], "str", ["1", "2"], pa.string()),
            (["true", "FALSE", "1"], "bool", [False, True, True], pa.bool_()),
            ([1, 0, None], "bool", [False, True, None], pa.bool_()),
            ([1.0, 2.0], "int", [1, 2], pa.int64()),
            (["2024-02-29"], "date", [dt.date(2024, 2, 29)], pa.date32()),
            (["2024-02-29 10:00:00"], "datetime", [dt.datetime(2024, 2, 29, 10)], pa.timestamp("us")),
            ([1, 2], "decimal(5, 2)", [Decimal("1.00"), Decimal("2.00")], pa.decimal128(5, 2)),
            (["1.25"], "decimal(5,2)", [Decimal("1.25")], pa.decimal128(5, 2)),
            ([1, 2], "int8", [1, 2], pa.int8()),
            ([1, 2], "Double", [1.0, 2.0], pa.float64()),
            ([None, None], "int", [None, None], pa.int64()),
        ],
    )
    def test_values(self, values: Any, to: str, expected: Any, type_: Any, run: Any, type_after: Any) -> None:
        assert run(Cast(types={"a": to}), {"a": values}) == {"a": expected}
        assert type_after(Cast(types={"a": to}), "a", {"a": values}) == type_

    @pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
    def test_a_time_without_a_zone_is_utc_whatever_the_zone_of_the_session(
        self, zone: str, run: Any, spark: Any
    ) -> None:
        texts = ["2024-07-01 12:00:00", "2024-07-01T12:00:00Z", "2024-07-01 14:00+02:00", "2024-07-01 09:30-0230", None]
        noon = dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)
        spark.conf.set("spark.sql.session.timeZone", zone)
        try:
            assert run(Cast(types={"a": "datetime(Europe/Paris)"}), {"a": texts})["a"] == [noon] * 4 + [None]
            naive = run(Cast(types={"a": "datetime(UTC)"}), {"a": [dt.datetime(2024, 7, 1, 12)]})["a"]
            assert naive == [noon]
            assert run(Cast(types={"a": "datetime"}), {"a": [noon]})["a"] == [dt.datetime(2024, 7, 1, 12)]
        finally:
            spark.conf.set("spark.sql.session.timeZone", "UTC")

    @pytest.mark.parametrize(
        ("values", "to", "bad"),
        [
            (["1", " 7", "x", "x", None], "int", ["' 7'", "'x'"]),
            ([1.0, 1.5], "int", ["1.5"]),
            ([1.0, float("inf")], "int", ["Infinity"]),
            ([1, 300], "int8", ["300"]),
            ([0, 2], "bool", ["2"]),
            (["1,5", "1.5"], "float", ["'1,5'"]),
            (["2024-02-30", "2024-01-01"], "date", ["'2024-02-30'"]),
            (["2024-13-01 00:00", "2024-01-01 00:00"], "datetime(UTC)", ["'2024-13-01 00:00'"]),
            ([1, 100000], "decimal(4, 2)", ["100000"]),
            (["1.255", "1.25"], "decimal(4, 2)", ["'1.255'"]),
            ([2**60 + 1, 1], "float", [str(2**60 + 1)]),
            (["99999999999999999999", "1"], "int", ["'99999999999999999999'"]),
        ],
    )
    def test_what_will_not_go_is_named_or_becomes_null(
        self, values: Any, to: str, bad: list[str], fails_late: Any, run: Any
    ) -> None:
        message = fails_late(Cast(types={"a": to}), {"a": values})
        assert message.startswith("cast: a value of the column 'a' (")
        remedy = ". Clean the values first, or set 'on_error: null'."
        assert message.endswith(tuple(f"cannot become {to!r}: {each}{remedy}" for each in bad))
        for nulled in (Cast(types={"a": to}, on_error="null"), Cast(types={"a": to}, on_error=None)):
            found = run(nulled, {"a": values})["a"]
            assert sum(it is None for it in found) == sum(
                value is None or repr(value) in bad or value == float("inf") for value in values
            )

    @pytest.mark.parametrize("sensitive", [True, ("a",)])
    def test_sensitive_values_are_not_named(self, sensitive: Any, fails_late: Any) -> None:
        message = fails_late(Cast(types={"a": "int"}), {"a": ["4111-1111", "1"]}, sensitive=sensitive)
        assert "4111" not in message
        assert ": ***. " in message

    def test_a_long_value_is_cut_short(self, fails_late: Any) -> None:
        message = fails_late(Cast(types={"a": "int"}), {"a": ["x" * 500]})
        assert "'" + "x" * 76 + "... Clean" in message

    def test_a_cast_that_makes_no_sense_is_refused(self, fails: Any) -> None:
        assert "holds int64, which cannot become 'date'" in fails(Cast(types={"a": "date"}), {"a": [1]})
        assert "holds list<element: int64>, which cannot" in fails(Cast(types={"a": "str"}), {"a": [[1]]})

    @pytest.mark.parametrize(
        ("to", "message"),
        [
            ("integr", "Did you mean 'integer'?"),
            ("decimal(50, 2)", "1 to 38 digits"),
            ("decimal(5, 6)", "scale"),
            ("datetime(Europe/Pariss)", "time zone 'Europe/Pariss' is not known"),
            ("uint8", "Spark has no type for 'uint8'. Take 'int16', on any engine."),
        ],
    )
    def test_a_type_that_is_not_known(self, to: str, message: str, fails: Any) -> None:
        assert message in fails(Cast(types={"a": to}), {"a": [1]})


class TestSort:
    COLUMNS: ClassVar[Columns] = {"a": [2, None, 1, 2], "b": ["x", "y", "z", "w"]}

    def test_nulls_are_last_whichever_the_direction(self, run: Any) -> None:
        assert run(Sort(by="a"), self.COLUMNS)["a"] == [1, 2, 2, None]
        assert run(Sort(by=SortKey(column="a", descending=True)), self.COLUMNS)["a"] == [2, 2, 1, None]
        assert run(Sort(by=(SortKey(column="a", nulls="first"),)), self.COLUMNS)["a"] == [None, 1, 2, 2]

    def test_several_keys_and_nan(self, run: Any, fails: Any) -> None:
        assert run(Sort(by=("a", "b")), self.COLUMNS)["b"] == ["z", "w", "x", "y"]
        found = run(Sort(by="a"), {"a": [float("nan"), 1.0, float("inf"), None]})["a"]
        assert repr(found) == "[1.0, inf, nan, None]"
        assert "nothing to sort by" in fails(Sort(by=()), self.COLUMNS)


class TestJoin:
    LEFT: ClassVar[Columns] = {"k": [3, 1, None, 2], "v": ["c", "a", "n", "b"]}
    RIGHT: ClassVar[Columns] = {"k": [2, 3, None, 9, 3], "w": [20, 30, 0, 90, 31]}

    @pytest.mark.parametrize(
        ("how", "expected"),
        [
            ("inner", [(3, "c", 30), (3, "c", 31), (2, "b", 20)]),
            ("left", [(3, "c", 30), (3, "c", 31), (1, "a", None), (None, "n", None), (2, "b", 20)]),
            ("right", [(2, "b", 20), (3, "c", 30), (None, None, 0), (9, None, 90), (3, "c", 31)]),
            (
                "full",
                [
                    *[(3, "c", 30), (3, "c", 31), (1, "a", None), (None, "n", None), (2, "b", 20)],
                    *[(None, None, 0), (9, None, 90)],
                ],
            ),
            ("semi", [(3, "c"), (2, "b")]),
            ("anti", [(1, "a"), (None, "n")]),
        ],
    )
    @pytest.mark.parametrize("validate", ["many_to_many", "one_to_many"])
    def test_how(self, how: Any, validate: Any, expected: Any, run: Any) -> None:
        found = run(Join(right="r", on="k", how=how, validate=validate), self.LEFT, {"r": self.RIGHT})
        assert sorted(zip(*found.values(), strict=True), key=repr) == sorted(expected, key=repr)

    def test_cross(self, run: Any) -> None:
        found = run(Join(right="r", how="cross"), {"a": [1, 2]}, {"r": {"b": [3, 4]}})
        assert found == {"a": [1, 1, 2, 2], "b": [3, 4, 3, 4]}

    def test_keys_of_different_names_stand_once(self, run: Any) -> None:
        found = run(Join(right="r", on={"k": "key"}, how="full"), {"k": [1]}, {"r": {"key": [2], "w": ["x"]}})
        assert found == {"k": [1, 2], "w": [None, "x"]}

    def test_numbers_of_two_types_meet(self, run: Any) -> None:
        found = run(Join(right="r", on="k", how="full"), {"k": [1, 2]}, {"r": {"k": [2.0, 2.5], "w": [1, 2]}})
        assert found == {"k": [1.0, 2.0, 2.5], "w": [None, 1, 2]}

    def test_a_frame_with_itself(self, run: Any, as_frame: Any, step_context: Any, as_table: Any) -> None:
        frame = as_frame(self.LEFT)
        joined = Join(right="r", on="k", suffix="_r").apply(frame, step_context({"r": frame}))
        assert sorted(as_table(joined).to_pydict()["v_r"]) == ["a", "b", "c"]

    def test_a_column_of_both_sides_is_never_lost_in_silence(self, run: Any, fails: Any) -> None:
        left, right = {"k": [1], "v": ["a"]}, {"k": [1], "v": ["b"]}
        message = fails(Join(right="r", on="k"), left, {"r": right})
        assert "the frame and the input 'r' both have 'v'" in message
        assert run(Join(right="r", on="k", suffix="_r"), left, {"r": right}) == {"k": [1], "v": ["a"], "v_r": ["b"]}
        left = {"k": [1], "v": ["a"], "v_r": ["c"]}
        assert "'v_r' twice" in fails(Join(right="r", on="k", suffix="_r"), left, {"r": {"k": [1], "v": ["b"]}})

    def test_keys_of_different_kinds_are_refused(self, fails: Any) -> None:
        message = fails(Join(right="r", on="k"), {"k": [1]}, {"r": {"k": ["1"]}})
        assert "the key 'k' holds int64 in the frame, and 'k' holds string in 'r'. Cast one" in message

    @pytest.mark.parametrize(
        ("validate", "side"),
        [("one_to_many", "the frame"), ("many_to_one", "the input 'r'"), ("one_to_one", "the frame")],
    )
    @pytest.mark.parametrize("how", ["inner", "left", "semi"])
    def test_validate(self, validate: Any, how: Any, side: str, fails_late: Any, run: Any) -> None:
        doubled = {"k": [7, 1, 7, None, None], "v": [1, 2, 3, 4, 5]}
        inputs = {"r": {"k": [1, 7, 7], "w": [1, 2, 3]}}
        operation = Join(right="r", on="k", how=how, validate=validate)
        message = fails_late(operation, doubled, inputs)
        # Where both sides break it, either may be found first.
        found = message if validate != "one_to_one" else message.replace("the input 'r'", side)
        assert f"1 keys are more than once in {side}, such as k = 7 (2 times), which breaks '{validate}'" in found
        assert "k = ***" in fails_late(operation, doubled, inputs, sensitive=("k",))
        once = {"k": [1, 2, None, None], "v": [1, 2, 3, 4]}
        assert 2 in run(operation, once, {"r": {"k": [2], "w": [1]}})["k"]

    def test_validate_of_two_keys_one_of_them_text(self, fails_late: Any) -> None:
        columns = {"a": [1, 1, 2], "b": ["x", "x", None]}
        message = fails_late(Join(right="r", on=("a", "b"), validate="one_to_one"), columns, {"r": columns})
        assert "such as a = 1, b = 'x' (2 times)" in message

    def test_on_and_how_must_go_together(self, fails: Any) -> None:
        assert "Name the key columns" in fails(Join(right="r"), self.LEFT, {"r": self.RIGHT})
        assert "no keys" in fails(Join(right="r", on="k", how="cross"), self.LEFT, {"r": self.RIGHT})

    def test_a_missing_key_of_the_input_is_named(self, fails: Any) -> None:
        message = fails(Join(right="r", on={"k": "kee"}), self.LEFT, {"r": self.RIGHT})
        assert "the input 'r' has no column 'kee'. The columns are: 'k', 'w'." in message


class TestUnion:
    def test_by_name_whatever_the_order(self, run: Any) -> None:
        inputs = {"b": {"y": ["b"], "x": [2]}, "c": {"x": [3], "y": [None]}}
        assert run(Union(inputs=("b", "c")), {"x": [1], "y": ["a"]}, inputs) == {"x": [1, 2, 3], "y": ["a", "b", None]}

    def test_by_position_whatever_the_names(self, run: Any, fails: Any) -> None:
        assert run(Union(inputs="b", by="position"), {"x": [1]}, {"b": {"z": [2]}}) == {"x": [1, 2]}
        message = fails(Union(inputs="b", by="position"), {"x": [1]}, {"b": {"y": [2], "z": [2]}})
        assert "the frame has 1 columns, and the input 'b' has 2" in message

    def test_columns_that_not_all_have(self, run: Any, fails: Any) -> None:
        inputs = {"b": {"x": [2], "z": ["new"]}}
        message = fails(Union(inputs="b"), {"x": [1], "y": ["a"]}, inputs)
        assert "the input 'b' lacks 'y' and has 'z' besides" in message
        found = run(Union(inputs="b", missing="null"), {"x": [1], "y": ["a"]}, inputs)
        assert found == {"x": [1, 2], "y": ["a", None], "z": [None, "new"]}

    def test_distinct(self, run: Any) -> None:
        assert run(Union(inputs="b", distinct=True), {"x": [2, 1, 2]}, {"b": {"x": [1, 3]}}) == {"x": [1, 2, 3]}

    def test_numbers_meet_and_other_kinds_do_not(self, run: Any, fails: Any) -> None:
        assert run(Union(inputs="b"), {"x": [1]}, {"b": {"x": [0.5]}}) == {"x": [0.5, 1.0]}
        message = fails(Union(inputs="b"), {"x": [1]}, {"b": {"x": ["1"]}})
        assert "the column 'x' holds int64, but string in 'b'" in message
        many = {"x": [2**62, None]}, {"x": [Decimal("0.25")]}
        assert run(Union(inputs="b"), many[0], {"b": many[1]})["x"][-2:] == [Decimal(2**62), None]
        wide = {"x": pa.array([Decimal(1)], pa.decimal128(38, 2))}, {"x": pa.array([Decimal(1)], pa.decimal128(38, 9))}
        message = fails(Union(inputs="b"), pa.table(wide[0]), {"b": pa.table(wide[1])})
        assert "no type holds all of 'x', which are 'decimal128(38, 2)', 'decimal128(38, 9)'" in message


class TestAggregate:
    def test_nulls_are_a_group(self, run: Any) -> None:
        found = run(Aggregate(by="region", measures={"total": "sum(amount)", "n": "count(*)"}), ORDERS)
        assert found == {"region": ["north", "south", None], "total": [12.5, None, 5.0], "n": [2, 1, 1]}

    @pytest.mark.parametrize(
        ("function", "expected", "type_"),
        [
            ("sum", 6, pa.int64()),
            ("mean", 2.0, pa.float64()),
            ("median", 2.0, pa.float64()),
            ("std", 1.0, pa.float64()),
            ("variance", 1.0, pa.float64()),
            ("count", 3, pa.int64()),
            ("nunique", 3, pa.int64()),
            ("min", 1, pa.int64()),
            ("max", 3, pa.int64()),
        ],
    )
    def test_a_function_of_a_column(self, function: str, expected: Any, type_: Any, run: Any, type_after: Any) -> None:
        columns = {"v": [None, 1, 2, 3]}
        assert run(Aggregate(measures={"v": function}), columns) == {"v": [expected]}
        assert type_after(Aggregate(measures={"v": function}), "v", columns) == type_

    def test_booleans_are_added_up_and_decimals_keep_their_scale(self, run: Any, type_after: Any) -> None:
        assert run(Aggregate(measures={"b": "sum"}), {"b": [True, False, True]}) == {"b": [2]}
        money = {"m": pa.decimal128(9, 2)}
        columns = {"m": [Decimal("1.10"), Decimal("2.20")]}
        assert run(Aggregate(measures={"m": "sum"}), columns, **money) == {"m": [Decimal("3.30")]}
        assert type_after(Aggregate(measures={"m": "sum"}), "m", columns, **money) == pa.decimal128(38, 2)
        assert type_after(Aggregate(measures={"m": "mean"}), "m", columns, **money) == pa.float64()

    @pytest.mark.parametrize("function", ["first", "last"])
    def test_without_an_order_there_is_no_first(self, function: str, fails: Any) -> None:
        message = fails(Aggregate(by="region", measures={"amount": function}), ORDERS)
        assert f"nothing says which row is the {function}, and a Spark frame has no order of rows" in message
        assert "drop_duplicates and its 'order_by'" in message

    def test_without_keys_there_is_one_row(self, run: Any) -> None:
        assert run(Aggregate(measures={"n": "count(*)", "s": "sum(a)"}), {"a": [1, 2]}) == {"n": [2], "s": [3]}
        assert run(Aggregate(measures={"n": "count(*)", "s": "sum(a)"}), {"a": []}, a=pa.int64()) == {
            "n": [0],
            "s": [None],
        }

    def test_an_expression_reads_columns_not_other_measures(self, run: Any) -> None:
        found = run(Aggregate(measures={"a": "max(a)", "b": "sum(a) -- all"}), {"a": [1, 2]})
        assert found == {"a": [2], "b": [3]}

    def test_a_measure_may_ask_an_input(self, run: Any) -> None:
        operation = Aggregate(by="region", measures={"part": "sum(amount) / (SELECT sum(amount) FROM df)"})
        assert run(operation, ORDERS)["part"] == [12.5 / 17.5, None, 5.0 / 17.5]

    def test_what_cannot_be_is_said(self, fails: Any) -> None:
        assert "'sum' needs numbers, and the column 'region' holds string" in fails(
            Aggregate(measures={"region": "sum"}), ORDERS
        )
        assert "Did you mean 'median'?" in fails(Aggregate(measures={"amount": "medan"}), ORDERS)
        assert "the column 'id' twice" in fails(Aggregate(by="id", measures={"id": "count"}), ORDERS)
        assert "nothing to measure" in fails(Aggregate(by="id", measures={}), ORDERS)

    def test_a_sum_too_large_is_an_error(self, applied: Any) -> None:
        from pyspark.errors import ArithmeticException

        with pytest.raises(ArithmeticException, match="overflow"):
            applied(Aggregate(measures={"a": "sum"}), {"a": [2**62, 2**62, 2**62]}).toArrow()


class TestPivot:
    SALES: ClassVar[Columns] = {
        "shop": ["b", "a", "a", None, "a"],
        "month": [10, 2, 10, 2, 2],
        "amount": [1, 2, 3, 4, 5],
    }

    @pytest.mark.parametrize(
        ("function", "two", "ten"),
        [
            ("sum", [7, None, 4], [3, 1, None]),
            ("mean", [3.5, None, 4.0], [3.0, 1.0, None]),
            ("count", [2, None, 1], [1, 1, None]),
            ("count_distinct", [2, None, 1], [1, 1, None]),
            ("min", [2, None, 4], [3, 1, None]),
            ("max", [5, None, 4], [3, 1, None]),
        ],
    )
    def test_functions(self, function: str, two: Any, ten: Any, run: Any) -> None:
        operation = Pivot(group_by="shop", pivot_column="month", value_column="amount", agg_func=function)
        assert run(operation, self.SALES) == {"shop": ["a", "b", None], "2": two, "10": ten}

    def test_columns_are_in_the_order_of_their_values(self, run: Any) -> None:
        found = run(Pivot(group_by="shop", pivot_column="month", value_column="amount"), self.SALES)
        assert list(found) == ["shop", "2", "10"]

    def test_it_starts_one_query_for_the_values_and_no_other(self, as_frame: Any, step_context: Any, jobs: Any) -> None:
        with jobs() as started:
            Pivot(group_by="shop", pivot_column="month", value_column="amount").apply(
                as_frame(self.SALES), step_context()
            )
        assert started

    def test_several_group_keys_and_a_null_value(self, run: Any) -> None:
        columns = {"a": [1, 1], "b": ["x", "y"], "p": [None, "q"], "v": [1.5, 2.5]}
        found = run(Pivot(group_by=("a", "b"), pivot_column="p", value_column="v"), columns)
        assert found == {"a": [1, 1], "b": ["x", "y"], "q": [None, 2.5], "null": [1.5, None]}

    @pytest.mark.parametrize(
        ("values", "labels"),
        [
            ([True, False], ["false", "true"]),
            ([1.5, 1.0], ["1.0", "1.5"]),
            ([-0.0, 0.0], ["0.0"]),
            ([b"a", b"b"], ["b'a'", "b'b'"]),
            ([dt.date(2024, 1, 2), dt.date(2024, 1, 1)], ["2024-01-01", "2024-01-02"]),
            (
                [dt.datetime(2024, 1, 2, 3), dt.datetime(2024, 1, 1)],
                ["2024-01-01T00:00:00", "2024-01-02T03:00:00"],
            ),
        ],
    )
    def test_labels(self, values: Any, labels: Any, run: Any) -> None:
        found = run(Pivot(group_by="g", pivot_column="p", value_column="v"), {"g": [1, 1], "p": values, "v": [1, 2]})
        assert [name.lstrip("-") for name in found] == ["g", *labels]

    def test_a_value_that_cannot_name_a_column_is_an_error(self, fails: Any) -> None:
        operation = Pivot(group_by="g", pivot_column="p", value_column="v")
        assert "the value 'g' of 'p'" in fails(operation, {"g": [1], "p": ["g"], "v": [1]})
        assert "two values read as 'null'" in fails(operation, {"g": [1, 1], "p": ["null", None], "v": [1, 2]})
        assert "empty text" in fails(operation, {"g": [1], "p": [""], "v": [1]})

    def test_too_many_columns_are_an_error(self, fails: Any) -> None:
        columns = {"g": [1] * 20, "p": list(range(20)), "v": [1] * 20}
        operation = Pivot(group_by="g", pivot_column="p", value_column="v", max_columns=10)
        assert "'p' has more than 10 values, which is what 'max_columns' allows" in fails(operation, columns)

    def test_a_function_that_does_not_go_with_the_column(self, fails: Any) -> None:
        operation = Pivot(group_by="month", pivot_column="amount", value_column="shop")
        assert "'sum' needs numbers, and the column 'shop' holds string" in fails(operation, self.SALES)
        unknown = Pivot(group_by="shop", pivot_column="month", value_column="amount", agg_func="maen")
        assert "Did you mean 'mean'?" in fails(unknown, self.SALES)
        first = Pivot(group_by="shop", pivot_column="month", value_column="amount", agg_func="first")
        assert "no order of rows" in fails(first, self.SALES)

    def test_a_column_cannot_be_key_and_value_names(self, fails: Any) -> None:
        assert "'shop' twice" in fails(Pivot(group_by="shop", pivot_column="shop", value_column="amount"), self.SALES)


class TestUnpivot:
    def test_values_become_rows(self, run: Any) -> None:
        found = run(Unpivot(id_columns="id"), {"id": [1, 2], "a": [10, None], "b": [0.5, 2.5]})
        assert found == {"id": [1, 1, 2, 2], "variable": ["a", "b", "a", "b"], "value": [10.0, 0.5, None, 2.5]}

    def test_without_nulls_and_with_other_names(self, run: Any) -> None:
        operation = Unpivot(value_columns=("b", "a"), variable_name="k", value_name="v", include_nulls=False)
        assert run(operation, {"id": [1], "a": [10], "b": [None]}, b=pa.int64()) == {"k": ["a"], "v": [10]}

    def test_values_of_two_kinds_and_names_that_collide_are_refused(self, fails: Any) -> None:
        assert "'region' holds a text, and 'amount' a number" in fails(Unpivot(id_columns="id"), ORDERS)
        assert "'id' twice" in fails(Unpivot(id_columns="id", value_columns="amount", value_name="id"), ORDERS)


class TestExplode:
    COLUMNS: ClassVar[Columns] = {"id": [1, 2, 3, 4], "l": [["a", "b"], [], None, [None]]}

    def test_empty_lists_stay_or_go(self, run: Any) -> None:
        assert run(Explode(columns="l"), self.COLUMNS) == {"id": [1, 1, 2, 3, 4], "l": ["a", "b", None, None, None]}
        assert run(Explode(columns="l", keep_empty=False), self.COLUMNS) == {"id": [1, 1, 4], "l": ["a", "b", None]}

    def test_several_side_by_side(self, run: Any, fails_late: Any) -> None:
        columns = {"a": [[1, 2], None], "b": [["x", "y"], []], "c": [7, 8]}
        found = run(Explode(columns=("a", "b")), columns)
        assert found == {"a": [1, 2, None], "b": ["x", "y", None], "c": [7, 7, 8]}
        message = fails_late(Explode(columns=("a", "b")), {"a": [[1], [1, 2]], "b": [[1], [1]]})
        assert "explode: the lists of 'a', 'b' differ in length in a row. Explode them one after another" in message

    def test_what_is_no_list_is_refused(self, fails: Any) -> None:
        assert "the column 'region' holds string, not lists" in fails(Explode(columns="region"), ORDERS)


class TestSample:
    def test_the_draw_is_known(self, run: Any) -> None:
        # Written down once: another machine, or another spread of the rows, draws the same.
        first = run(Sample(n=3, seed=1), {"a": list(range(10))})
        assert run(Sample(n=3, seed=1), {"a": list(range(10))[::-1]}) == first
        assert run(Sample(n=3, seed=2), {"a": list(range(10))}) != first

    @pytest.mark.parametrize("operation", [Sample(n=40, seed=5), Sample(fraction=0.4, seed=5)])
    def test_the_spread_of_the_rows_makes_no_difference(
        self, operation: Any, as_frame: Any, step_context: Any, as_table: Any
    ) -> None:
        frame = as_frame({"a": [at % 7 for at in range(100)], "b": [at % 3 for at in range(100)]})
        found = [
            sorted(map(tuple, zip(*as_table(operation.apply(each, step_context())).to_pydict().values(), strict=True)))
            for each in (frame, frame.repartition(5), frame.repartition(2, "a"), frame.coalesce(1))
        ]
        assert found[0]
        assert all(each == found[0] for each in found)

    def test_n_and_fraction(self, run: Any) -> None:
        columns = {"a": list(range(1000))}
        assert 250 < len(run(Sample(fraction=0.3), columns)["a"]) < 350
        assert len(run(Sample(n=2000), columns)["a"]) == 1000
        assert len(run(Sample(fraction=1.0), columns)["a"]) == 1000
        assert run(Sample(n=0), columns) == {"a": []}
        assert run(Sample(fraction=0), columns) == {"a": []}

    def test_rows_that_are_the_same_are_drawn_one_by_one(self, run: Any) -> None:
        assert 50 < len(run(Sample(fraction=0.5), {"a": [7] * 200})["a"]) < 150


class TestDerive:
    def test_later_columns_see_earlier_ones(self, run: Any) -> None:
        found = run(Derive(columns={"b": "a + 1", "c": "b * 10 -- ten times"}), {"a": [1, None]})
        assert found == {"a": [1, None], "b": [2, None], "c": [20, None]}

    def test_a_column_is_replaced_only_when_asked_and_where_it_stands(self, run: Any, fails: Any) -> None:
        columns = {"a": [1], "b": ["x"]}
        message = fails(Derive(columns={"a": "a + 1"}), columns)
        assert "the frame has the column 'a' already" in message
        assert "'replace: true'" in message
        found = run(Derive(columns={"a": "a + 1", "c": "a"}, replace=True), columns)
        assert found == {"a": [2], "b": ["x"], "c": [2]}
        assert list(found) == ["a", "b", "c"]

    def test_a_column_that_differs_in_case_is_another_one(self, run: Any) -> None:
        assert run(Derive(columns={"A": "a + 1"}, replace=True), {"a": [1]}) == {"a": [1], "A": [2]}

    def test_windows_and_subqueries(self, run: Any) -> None:
        found = run(Derive(columns={"n": "row_number() OVER (ORDER BY a)"}), {"a": [3, 1, 2]})
        assert found == {"a": [1, 2, 3], "n": [1, 2, 3]}
        found = run(Derive(columns={"n": "a / (SELECT max(b) FROM r)"}), {"a": [3]}, {"r": {"b": [2]}})
        assert found == {"a": [3], "n": [1.5]}

    def test_the_expression_that_fails_is_named(self, fails: Any) -> None:
        message = fails(Derive(columns={"b": "a + 1", "c": "upper(d)", "e": "1"}), {"a": [1]})
        assert message == ("derive: the column 'c' (upper(d)): there is no column 'd'. The columns are: a, b.")

    @pytest.mark.parametrize(
        "expression",
        ["1) AS x, (2", "a AS b", "*", "df.*", "explode(array(1, 2))", "1; SELECT 2", "count(*)", "nothing(a)"],
    )
    def test_what_is_no_value_of_a_row_is_refused(self, expression: str, fails: Any) -> None:
        assert fails(Derive(columns={"b": expression}), {"a": [1]}).startswith("derive: ")


class TestRowwise:
    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("amount > 1 AND region = 'over (all)'", True),
            ("`select` > 1 -- select", True),
            ("extract(year FROM day) = 2024", True),
            (r"region = 'it\'s' AND amount > 1", True),
            (r"region = '\'' OR sum(a) over () > 1 OR region = '\''", False),
            ("amount > (SELECT avg(amount) FROM df)", False),
            ("sum(amount) OVER (PARTITION BY id)", False),
            ("id IN (FROM other)", False),
            ("id = 1 /* window */ and row_number() over () = 1", False),
        ],
    )
    def test_an_expression_that_sees_other_rows_is_found_out(self, expression: str, expected: bool) -> None:
        assert sees_one_row(expression) is expected
        assert Filter(where=expression).rowwise is expected
        assert Derive(columns={"a": "1", "b": expression}).rowwise is expected
