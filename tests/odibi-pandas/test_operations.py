"""The built-in operations, one example after another: what they do, and what they say when they cannot."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa
import pytest

from odibi.contracts.transform import Transform
from odibi.errors import OptionError, TransformError
from odibi.structure import option_fields, structure_options
from odibi_pandas.operations import OPERATIONS
from odibi_pandas.operations.aggregate import Aggregate
from odibi_pandas.operations.cast import Cast
from odibi_pandas.operations.columns import Drop, Rename, Select
from odibi_pandas.operations.explode import Explode
from odibi_pandas.operations.expressions import sees_one_row
from odibi_pandas.operations.join import Join
from odibi_pandas.operations.pivot import Pivot, Unpivot
from odibi_pandas.operations.rows import DropDuplicates, Filter, Sample, Sort, SortKey
from odibi_pandas.operations.union import Union
from odibi_pandas.operations.values import Derive, Fillna

Columns = dict[str, list[Any]]


@pytest.fixture
def run(as_frame: Any, as_table: Any, step_context: Any) -> Callable[..., Columns]:
    """Apply an operation to columns; the result as columns."""

    def run(operation: Transform, columns: Any, inputs: Any = None, sensitive: Any = False, **types: Any) -> Columns:
        frame = as_frame(columns, **types)
        context = step_context({name: as_frame(values) for name, values in (inputs or {}).items()}, sensitive)
        before = repr(as_table(frame).to_pydict())
        result = operation.apply(frame, context)
        assert repr(as_table(frame).to_pydict()) == before, "the frame that came in was changed"
        found: Columns = as_table(result).to_pydict()
        return found

    return run


@pytest.fixture
def fails(run: Any) -> Callable[..., str]:
    """Apply an operation that cannot work; the message."""

    def fails(*arguments: Any, **options: Any) -> str:
        with pytest.raises(TransformError) as caught:
            run(*arguments, **options)
        return str(caught.value)

    return fails


@pytest.fixture
def type_after(as_frame: Any, as_table: Any, step_context: Any) -> Callable[..., pa.DataType]:
    def type_after(operation: Transform, column: str, columns: Any, inputs: Any = None, **types: Any) -> pa.DataType:
        context = step_context({name: as_frame(values) for name, values in (inputs or {}).items()})
        return as_table(operation.apply(as_frame(columns, **types), context)).schema.field(column).type

    return type_after


ORDERS: Columns = {
    "id": [1, 2, 3, 4],
    "region": ["north", "south", None, "north"],
    "amount": [10.0, None, 5.0, 2.5],
}


class TestRegistration:
    def test_every_operation_is_there(self) -> None:
        assert sorted(OPERATIONS) == sorted(
            f"pandas.{name}"
            for name in [
                "aggregate",
                "cast",
                "derive",
                "drop",
                "drop_duplicates",
                "explode",
                "fillna",
                "filter",
                "join",
                "pivot",
                "rename",
                "sample",
                "select",
                "sort",
                "union",
                "unpivot",
            ]
        )

    @pytest.mark.parametrize("name", sorted(OPERATIONS))
    def test_it_is_built_by_the_host(self, name: str) -> None:
        from odibi.host import Host

        cls = Host().component("transform", name)
        assert isinstance(cls.rowwise, bool)
        assert cls.__doc__
        assert all(field.help for field in option_fields(cls))

    def test_no_operation_imports_pandas_before_it_works(self) -> None:
        modules = sorted({target.partition(":")[0] for target in OPERATIONS.values()})
        code = (
            f"import importlib, sys; [importlib.import_module(m) for m in {modules!r}]; "
            "print(sorted({'pandas', 'pyarrow', 'numpy', 'duckdb'} & set(sys.modules)))"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == "[]"

    def test_the_pivot_of_odibi_2_is_understood(self) -> None:
        params = {"group_by": "id", "pivot_column": "month", "value_column": "amount", "agg_func": "mean"}
        assert structure_options(Pivot, params, component="pivot") == Pivot(
            group_by="id", pivot_column="month", value_column="amount", agg_func="mean"
        )
        listed = structure_options(Pivot, params | {"group_by": ["id", "region"]}, component="pivot")
        assert listed.group_by == ("id", "region")

    @pytest.mark.parametrize(("cls", "option"), [(Cast, "on_error"), (Union, "missing")])
    def test_a_plain_null_of_yaml_means_the_word(self, cls: Any, option: str) -> None:
        others: dict[str, Any] = {"types": {"a": "int"}} if cls is Cast else {"with": "b"}
        assert getattr(structure_options(cls, {**others, option: None}, component="it"), option) is None

    @pytest.mark.parametrize(
        ("cls", "options", "expected"),
        [
            (Filter, {"condition": "a > 1"}, Filter(where="a > 1")),
            (DropDuplicates, {"subset": ["a"]}, DropDuplicates(keys=("a",))),
            (Join, {"with": "b", "keys": "a"}, Join(right="b", on="a")),
            (Union, {"with": ["b", "c"]}, Union(inputs=("b", "c"))),
            (Explode, {"column": "a"}, Explode(columns="a")),
            (
                Aggregate,
                {"group_by": "a", "aggregations": {"n": "count(*)"}},
                Aggregate(by="a", measures={"n": "count(*)"}),
            ),
        ],
    )
    def test_other_words_for_the_same_are_understood(self, cls: Any, options: Any, expected: Any) -> None:
        assert structure_options(cls, options, component="operation") == expected

    def test_sort_keys_are_checked_when_they_are_read(self) -> None:
        made = structure_options(Sort, {"by": ["a", {"column": "b", "descending": True}]}, component="sort")
        assert made.by == ("a", SortKey(column="b", descending=True))
        with pytest.raises(OptionError, match="descnding"):
            structure_options(Sort, {"by": [{"column": "b", "descnding": True}]}, component="sort")

    @pytest.mark.parametrize(
        ("cls", "options", "message"),
        [
            (Sample, {}, "either 'n' or 'fraction'"),
            (Sample, {"n": 1, "fraction": 0.5}, "either 'n' or 'fraction'"),
            (Sample, {"n": -1}, "n is -1"),
            (Sample, {"fraction": 1.5}, "fraction is 1.5"),
            (Sample, {"n": 1, "seed": -1}, "seed is -1"),
            (Fillna, {}, "give either 'values'"),
            (Fillna, {"values": {"a": 1}, "value": 2}, "give either 'values'"),
            (Fillna, {"values": {"a": 1}, "columns": ["a"]}, "belongs to 'value'"),
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
    assert "_odibi_row" not in message


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
    none = pa.table(as_table(full)).slice(0, 0)
    context = step_context({"other": as_frame(ORDERS)})
    empty = context.engine.from_arrow(none)
    result = as_table(operation.apply(empty, step_context({"other": empty})))
    expected = as_table(operation.apply(full, context)).schema
    if isinstance(operation, Pivot):
        expected = pa.schema([expected.field("id")])
    assert result.num_rows == 0
    assert result.schema.equals(expected)


@pytest.mark.parametrize("operation", EMPTY, ids=lambda it: type(it).__name__)
def test_a_frame_that_a_function_made_is_as_good(
    operation: Transform, as_frame: Any, as_table: Any, step_context: Any
) -> None:
    context = step_context({"other": as_frame(ORDERS)})
    made = pd.DataFrame(
        {"region": ORDERS["region"], "amount": ORDERS["amount"]}, index=pd.Index([1, 2, 3, 4], name="id")
    )
    made = pd.concat([made.iloc[2:], made.iloc[:2]]).iloc[[2, 3, 0, 1]]
    before = made.copy(deep=True)
    expected = as_table(operation.apply(as_frame(ORDERS), context)).to_pydict()
    assert as_table(operation.apply(made, context)).to_pydict() == expected
    pd.testing.assert_frame_equal(made, before)


class TestSelectDropRename:
    def test_select_keeps_the_order_asked_for(self, run: Any) -> None:
        assert list(run(Select(columns=("region", "id")), ORDERS)) == ["region", "id"]

    def test_select_takes_one_name_or_patterns(self, run: Any) -> None:
        columns = {"b_1": [1], "a": [1], "b_2": [1], "b*": [1]}
        assert list(run(Select(columns="a"), columns)) == ["a"]
        assert list(run(Select(columns=("b_?", "a")), columns)) == ["b_1", "b_2", "a"]
        assert list(run(Select(columns="b*"), columns)) == ["b*"]

    def test_select_refuses_a_pattern_that_matches_nothing_and_nothing_at_all(self, fails: Any) -> None:
        assert "no column 'x*'" in fails(Select(columns="x*"), ORDERS)
        assert "no column would be left" in fails(Select(columns=()), ORDERS)

    def test_names_are_case_sensitive(self, run: Any, fails: Any) -> None:
        assert run(Select(columns="A"), {"a": [1], "A": [2]}) == {"A": [2]}
        assert "Did you mean 'id'?" in fails(Select(columns="ID"), ORDERS)

    def test_drop(self, run: Any, fails: Any) -> None:
        assert list(run(Drop(columns=("amount", "reg*")), ORDERS)) == ["id"]
        assert list(run(Drop(columns=("nope", "id"), missing="ignore"), ORDERS)) == ["region", "amount"]
        assert "no column would be left" in fails(Drop(columns="*"), ORDERS)

    def test_rename_can_swap(self, run: Any) -> None:
        assert run(Rename(columns={"a": "b", "b": "a"}), {"a": [1], "b": [2], "c": [3]}) == {
            "b": [1],
            "a": [2],
            "c": [3],
        }

    def test_rename_refuses_two_columns_of_one_name(self, fails: Any) -> None:
        assert "the column 'id' twice" in fails(Rename(columns={"region": "id"}), ORDERS)


class TestFilter:
    def test_null_is_not_true(self, run: Any) -> None:
        assert run(Filter(where="amount > 3"), ORDERS)["id"] == [1, 3]
        assert run(Filter(where="NOT amount > 3"), ORDERS)["id"] == [4]

    def test_a_comment_at_the_end_does_no_harm(self, run: Any) -> None:
        assert run(Filter(where="id = 1 -- only one"), ORDERS)["id"] == [1]

    def test_it_can_ask_an_input(self, run: Any) -> None:
        condition = "id IN (SELECT id FROM wanted)"
        assert run(Filter(where=condition), ORDERS, {"wanted": {"id": [4, 2]}})["id"] == [2, 4]

    def test_types_that_sql_would_change_stay(self, as_frame: Any, as_table: Any, step_context: Any) -> None:
        paris = pa.timestamp("ns", "Europe/Paris")
        small = pa.int8()
        frame = as_frame({"a": [1, 2], "t": [0, 1]}, a=small, t=paris)
        result = as_table(Filter(where="a > 1").apply(frame, step_context()))
        assert result.schema.equals(as_table(frame).schema)

    def test_what_cannot_be_parsed_is_shown(self, fails: Any) -> None:
        message = fails(Filter(where="amount >"), ORDERS)
        assert "filter: the condition 'amount >'" in message

    def test_it_cannot_close_its_bracket_to_say_more(self, fails: Any) -> None:
        assert fails(Filter(where="id = 1); SELECT (1"), ORDERS)

    def test_a_column_with_any_name_is_no_trap(self, run: Any) -> None:
        columns = {'a"b': [1, 2], "_odibi_row": [7, 8], "r": [0, 0]}
        assert run(Filter(where='"a""b" = 2 AND r = 0'), columns) == {'a"b': [2], "_odibi_row": [8], "r": [0]}


class TestFillna:
    def test_null_and_nan_are_filled_and_types_stay(self, run: Any, type_after: Any) -> None:
        columns = {"a": [1, None], "b": [None, "x"], "c": [float("nan"), 1.5]}
        assert run(Fillna(values={"a": 0, "b": "-", "c": 0}), columns) == {
            "a": [1, 0],
            "b": ["-", "x"],
            "c": [0.0, 1.5],
        }
        assert type_after(Fillna(values={"a": 0}), "a", {"a": [1, None]}, a=pa.int16()) == pa.int16()

    def test_one_value_for_several_columns(self, run: Any) -> None:
        columns = {"a": [None, 1], "b": [None, 2], "c": [None, "x"]}
        assert run(Fillna(value=0, columns=("a", "b")), columns) == {"a": [0, 1], "b": [0, 2], "c": [None, "x"]}

    def test_values_become_what_the_column_holds(self, run: Any) -> None:
        day, money = pa.date32(), pa.decimal128(9, 2)
        columns = {"d": [None], "m": [None], "t": [None]}
        filled = run(Fillna(values={"d": "2024-02-29", "m": 1.1, "t": True}), columns, d=day, m=money, t=pa.bool_())
        assert filled == {"d": [dt.date(2024, 2, 29)], "m": [Decimal("1.10")], "t": [True]}

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
        assert run(DropDuplicates(keys="k", keep=keep), self.COLUMNS)["v"] == expected

    def test_none_keeps_what_is_there_once(self, run: Any) -> None:
        assert run(DropDuplicates(keep="none"), {"k": ["a", "b", "a"]}) == {"k": ["b"]}

    def test_order_by_says_what_is_first(self, run: Any) -> None:
        newest = SortKey(column="v", descending=True)
        assert run(DropDuplicates(keys="k", order_by=(newest,)), self.COLUMNS)["v"] == [3, 5, 6]
        assert run(DropDuplicates(keys="k", keep="last", order_by=newest), self.COLUMNS)["v"] == [1, 2, 4]

    def test_all_columns_are_the_key_unless_said_otherwise(self, run: Any) -> None:
        assert run(DropDuplicates(), {"a": [1, 1, 1], "l": [[1], [1], [2]]}) == {"a": [1, 1], "l": [[1], [2]]}


class TestCast:
    @pytest.mark.parametrize(
        ("values", "to", "expected", "type_"),
        [
            (["1", "-2", None], "int", [1, -2, None], pa.int64()),
            (["1.5", "1e3"], "float", [1.5, 1000.0], pa.float64()),
            ([1, 2], "str", ["1", "2"], pa.string()),
            (["true", "FALSE", "1"], "bool", [True, False, True], pa.bool_()),
            ([1, 0, None], "bool", [True, False, None], pa.bool_()),
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

    def test_a_time_without_a_zone_is_utc(self, run: Any) -> None:
        texts = ["2024-07-01 12:00:00", "2024-07-01T12:00:00Z", "2024-07-01 12:00+02:00", None]
        found = run(Cast(types={"a": "datetime(Europe/Paris)"}), {"a": texts})["a"]
        assert [it and it.astimezone(dt.UTC).hour for it in found] == [12, 12, 10, None]
        assert found[0].utcoffset() == dt.timedelta(hours=2)
        naive = run(Cast(types={"a": "datetime(Europe/Paris)"}), {"a": [dt.datetime(2024, 7, 1, 12)]})["a"]
        assert naive == [found[0]]

    def test_a_moment_becomes_the_date_of_its_zone(self, run: Any) -> None:
        moment = dt.datetime(2024, 7, 1, 23, tzinfo=dt.UTC)
        paris = pa.timestamp("us", "Europe/Paris")
        assert run(Cast(types={"a": "date"}), {"a": [moment]}, a=paris) == {"a": [dt.date(2024, 7, 2)]}

    @pytest.mark.parametrize(
        ("values", "to", "bad"),
        [
            (["1", " 7", "x", "x", None], "int", ["' 7'", "'x'"]),
            ([1.0, 1.5], "int", ["1.5"]),
            ([1.0, float("inf")], "int", ["inf"]),
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
        self, values: Any, to: str, bad: list[str], fails: Any, run: Any
    ) -> None:
        message = fails(Cast(types={"a": to}), {"a": values})
        rows = sum(repr(value) in bad for value in values)
        assert f"{rows} row{'s' if rows != 1 else ''} of the column 'a'" in message
        assert message.endswith(f": {', '.join(bad)}. Clean the values first, or set 'on_error: null'.")
        for nulled in (Cast(types={"a": to}, on_error="null"), Cast(types={"a": to}, on_error=None)):
            found = run(nulled, {"a": values})["a"]
            assert [it is None for it in found] == [value is None or repr(value) in bad for value in values]

    @pytest.mark.parametrize(
        ("to", "texts"),
        [
            ("int", ["-0", "007", "0xFF"]),
            ("float", ["+1.5", "-.5", "5.", "1E-3", "Infinity", "nan", "-INF"]),
            ("decimal(5, 2)", ["+1.5", "-.5", "5.", "1e2"]),
            ("bool", ["TRUE", "False", "0"]),
            ("datetime", ["2024-02-29", "2024-02-29T10:00", "2024-02-29 10:00:00.123456"]),
            ("datetime(UTC)", ["2024-02-29", "2024-02-29T10:00:00Z", "2024-02-29 10:00:00+0230"]),
        ],
    )
    def test_a_bad_value_does_not_take_good_ones_with_it(self, to: str, texts: list[str], run: Any) -> None:
        good = run(Cast(types={"a": to}), {"a": texts})["a"]
        assert None not in good
        found = run(Cast(types={"a": to}, on_error="null"), {"a": [*texts, "garbage"]})["a"]
        assert repr(found) == repr([*good, None])

    def test_five_examples_are_enough(self, fails: Any) -> None:
        message = fails(Cast(types={"a": "int"}), {"a": [f"x{i}" for i in range(1000)]})
        assert "1000 rows" in message
        assert "'x0', 'x1', 'x2', 'x3', 'x4' and 995 more" in message

    @pytest.mark.parametrize("sensitive", [True, ("a",)])
    def test_sensitive_values_are_not_named(self, sensitive: Any, fails: Any) -> None:
        message = fails(Cast(types={"a": "int"}), {"a": ["4111-1111", "1"]}, sensitive=sensitive)
        assert "4111" not in message
        assert ": ***. " in message

    def test_a_cast_that_makes_no_sense_is_refused(self, fails: Any) -> None:
        assert "holds int64, which cannot become 'date'" in fails(Cast(types={"a": "date"}), {"a": [1]})

    @pytest.mark.parametrize(
        ("to", "message"),
        [
            ("integr", "Did you mean 'integer'?"),
            ("decimal(50, 2)", "1 to 38 digits"),
            ("decimal(5, 6)", "scale"),
            ("datetime(Europe/Pariss)", "time zone 'Europe/Pariss' is not known"),
        ],
    )
    def test_a_type_that_is_not_known(self, to: str, message: str, fails: Any) -> None:
        assert message in fails(Cast(types={"a": to}), {"a": [1]})


class TestSort:
    COLUMNS: ClassVar[Columns] = {"a": [2, None, 1, 2], "b": ["x", "y", "z", "w"]}

    def test_nulls_are_last_whichever_the_direction(self, run: Any) -> None:
        assert run(Sort(by="a"), self.COLUMNS)["b"] == ["z", "x", "w", "y"]
        assert run(Sort(by=SortKey(column="a", descending=True)), self.COLUMNS)["b"] == ["x", "w", "z", "y"]
        assert run(Sort(by=(SortKey(column="a", nulls="first"),)), self.COLUMNS)["b"] == ["y", "z", "x", "w"]

    def test_several_keys(self, run: Any) -> None:
        assert run(Sort(by=("a", "b")), self.COLUMNS)["b"] == ["z", "w", "x", "y"]

    def test_many_rows_that_compare_equal_stay_in_order(self, run: Any) -> None:
        count = 20_000
        columns = {"a": [at * 7919 % 3 for at in range(count)], "b": list(range(count))}
        found = run(Sort(by="a"), columns)
        assert found["b"] == sorted(range(count), key=lambda at: columns["a"][at])

    def test_there_must_be_a_key(self, fails: Any) -> None:
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
    def test_how(self, how: Any, expected: Any, run: Any) -> None:
        found = run(Join(right="r", on="k", how=how), self.LEFT, {"r": self.RIGHT})
        assert list(zip(*found.values(), strict=True)) == expected

    def test_cross(self, run: Any) -> None:
        found = run(Join(right="r", how="cross"), {"a": [1, 2]}, {"r": {"b": [3, 4]}})
        assert found == {"a": [1, 1, 2, 2], "b": [3, 4, 3, 4]}

    def test_keys_of_different_names_stand_once(self, run: Any) -> None:
        found = run(Join(right="r", on={"k": "key"}, how="full"), {"k": [1]}, {"r": {"key": [2], "w": ["x"]}})
        assert found == {"k": [1, 2], "w": [None, "x"]}

    def test_numbers_of_two_types_meet(self, run: Any) -> None:
        found = run(Join(right="r", on="k", how="full"), {"k": [1, 2]}, {"r": {"k": [2.0, 2.5], "w": [1, 2]}})
        assert found == {"k": [1.0, 2.0, 2.5], "w": [None, 1, 2]}

    def test_a_column_of_both_sides_is_never_lost_in_silence(self, run: Any, fails: Any) -> None:
        left, right = {"k": [1], "v": ["a"]}, {"k": [1], "v": ["b"]}
        message = fails(Join(right="r", on="k"), left, {"r": right})
        assert "the frame and the input 'r' both have 'v'" in message
        assert "'suffix'" in message
        assert run(Join(right="r", on="k", suffix="_r"), left, {"r": right}) == {"k": [1], "v": ["a"], "v_r": ["b"]}
        assert run(Join(right="r", on="k", how="semi"), left, {"r": right}) == left

    def test_a_suffix_that_makes_another_collision_is_refused(self, fails: Any) -> None:
        left = {"k": [1], "v": ["a"], "v_r": ["c"]}
        assert "'v_r' twice" in fails(Join(right="r", on="k", suffix="_r"), left, {"r": {"k": [1], "v": ["b"]}})

    def test_keys_of_different_kinds_are_refused(self, fails: Any) -> None:
        message = fails(Join(right="r", on="k"), {"k": [1]}, {"r": {"k": ["1"]}})
        assert "the key 'k' holds int64 in the frame, and 'k' holds string in 'r'. Cast one" in message

    @pytest.mark.parametrize(
        ("validate", "side"),
        [("one_to_many", "the frame"), ("many_to_one", "the input 'r'"), ("one_to_one", "the frame")],
    )
    def test_validate(self, validate: Any, side: str, fails: Any, run: Any) -> None:
        doubled = {"k": [7, 1, 7, None, None], "v": [1, 2, 3, 4, 5]}
        inputs = {"r": {"k": [1, 7, 7], "w": [1, 2, 3]}}
        message = fails(Join(right="r", on="k", validate=validate), doubled, inputs)
        assert f"1 keys are more than once in {side}, such as k = 7 (2 times)" in message
        hidden = fails(Join(right="r", on="k", validate=validate), doubled, inputs, sensitive=("k",))
        assert "k = ***" in hidden
        once = {"k": [1, 2, None, None], "v": [1, 2, 3, 4]}
        assert run(Join(right="r", on="k", validate=validate), once, {"r": {"k": [2], "w": [1]}})["k"] == [2]

    def test_on_and_how_must_go_together(self, fails: Any) -> None:
        assert "Name the key columns" in fails(Join(right="r"), self.LEFT, {"r": self.RIGHT})
        assert "no keys" in fails(Join(right="r", on="k", how="cross"), self.LEFT, {"r": self.RIGHT})

    def test_a_missing_key_of_the_input_is_named(self, fails: Any) -> None:
        message = fails(Join(right="r", on={"k": "kee"}), self.LEFT, {"r": self.RIGHT})
        assert "the input 'r' has no column 'kee'. The columns are: 'k', 'w'." in message


class TestUnion:
    def test_by_name_whatever_the_order(self, run: Any) -> None:
        found = run(
            Union(inputs=("b", "c")),
            {"x": [1], "y": ["a"]},
            {"b": {"y": ["b"], "x": [2]}, "c": {"x": [3], "y": [None]}},
        )
        assert found == {"x": [1, 2, 3], "y": ["a", "b", None]}

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
        assert run(Union(inputs="b", distinct=True), {"x": [2, 1, 2]}, {"b": {"x": [1, 3]}}) == {"x": [2, 1, 3]}

    def test_numbers_meet_and_other_kinds_do_not(self, run: Any, fails: Any) -> None:
        assert run(Union(inputs="b"), {"x": [1]}, {"b": {"x": [0.5]}}) == {"x": [1.0, 0.5]}
        message = fails(Union(inputs="b"), {"x": [1]}, {"b": {"x": ["1"]}})
        assert "the column 'x' holds int64, but string in 'b'" in message


class TestAggregate:
    def test_nulls_are_a_group_and_come_last(self, run: Any) -> None:
        found = run(Aggregate(by="region", measures={"total": "sum(amount)", "n": "count(*)"}), ORDERS)
        assert found == {"region": ["north", "south", None], "total": [12.5, None, 5.0], "n": [2, 1, 1]}

    def test_a_function_of_a_column(self, run: Any, type_after: Any) -> None:
        columns = {"k": [1, 1, 2], "v": [None, 3, 4], "w": ["a", "b", "c"]}
        assert run(Aggregate(by=("k",), measures={"v": "first", "w": "last"}), columns) == {
            "k": [1, 2],
            "v": [3, 4],
            "w": ["b", "c"],
        }
        assert type_after(Aggregate(measures={"v": "sum"}), "v", columns) == pa.int64()

    def test_without_keys_there_is_one_row(self, run: Any) -> None:
        assert run(Aggregate(measures={"n": "count(*)", "s": "sum(a)"}), {"a": [1, 2]}) == {"n": [2], "s": [3]}
        assert run(Aggregate(measures={"n": "count(*)", "s": "sum(a)"}), {"a": []}, a=pa.int64()) == {
            "n": [0],
            "s": [None],
        }

    def test_an_expression_reads_columns_not_other_measures(self, run: Any) -> None:
        found = run(Aggregate(measures={"a": "max(a)", "b": "sum(a) -- all"}), {"a": [1, 2]})
        assert found == {"a": [2], "b": [3]}

    def test_keys_keep_their_types(self, type_after: Any) -> None:
        measures = {"n": "count(*)"}
        assert type_after(Aggregate(by="k", measures=measures), "k", {"k": [1]}, k=pa.int8()) == pa.int8()

    def test_what_cannot_be_is_said(self, fails: Any) -> None:
        assert "'sum' needs numbers, and the column 'region' holds string" in fails(
            Aggregate(measures={"region": "sum"}), ORDERS
        )
        assert "Did you mean 'median'?" in fails(Aggregate(measures={"amount": "medan"}), ORDERS)
        assert "the column 'id' twice" in fails(Aggregate(by="id", measures={"id": "count"}), ORDERS)
        assert "nothing to measure" in fails(Aggregate(by="id", measures={}), ORDERS)

    def test_a_sum_too_large_is_an_error(self, fails: Any) -> None:
        assert "aggregate" in fails(Aggregate(measures={"a": "sum"}), {"a": [2**62, 2**62, 2**62]})


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
            ("min", [2, None, 4], [3, 1, None]),
            ("max", [5, None, 4], [3, 1, None]),
            ("first", [2, None, 4], [3, 1, None]),
            ("last", [5, None, 4], [3, 1, None]),
        ],
    )
    def test_functions(self, function: str, two: Any, ten: Any, run: Any) -> None:
        operation = Pivot(group_by="shop", pivot_column="month", value_column="amount", agg_func=function)
        assert run(operation, self.SALES) == {"shop": ["a", "b", None], "2": two, "10": ten}

    def test_columns_are_in_the_order_of_their_values(self, run: Any) -> None:
        found = run(Pivot(group_by="shop", pivot_column="month", value_column="amount"), self.SALES)
        assert list(found) == ["shop", "2", "10"]

    def test_several_group_keys_and_a_null_value(self, run: Any) -> None:
        columns = {"a": [1, 1], "b": ["x", "y"], "p": [None, "q"], "v": [1.5, 2.5]}
        found = run(Pivot(group_by=("a", "b"), pivot_column="p", value_column="v"), columns)
        assert found == {"a": [1, 1], "b": ["x", "y"], "q": [None, 2.5], "null": [1.5, None]}

    @pytest.mark.parametrize(
        ("values", "labels"),
        [
            ([True, False], ["false", "true"]),
            ([1.5, 1.0], ["1.0", "1.5"]),
            ([dt.date(2024, 1, 2), dt.date(2024, 1, 1)], ["2024-01-01", "2024-01-02"]),
        ],
    )
    def test_labels(self, values: Any, labels: Any, run: Any) -> None:
        found = run(Pivot(group_by="g", pivot_column="p", value_column="v"), {"g": [1, 1], "p": values, "v": [1, 2]})
        assert list(found) == ["g", *labels]

    def test_a_value_that_cannot_name_a_column_is_an_error(self, fails: Any) -> None:
        operation = Pivot(group_by="g", pivot_column="p", value_column="v")
        assert "the value 'g' of 'p'" in fails(operation, {"g": [1], "p": ["g"], "v": [1]})
        assert "two values read as 'null'" in fails(operation, {"g": [1, 1], "p": ["null", None], "v": [1, 2]})
        assert "empty text" in fails(operation, {"g": [1], "p": [""], "v": [1]})

    def test_too_many_columns_are_an_error(self, fails: Any) -> None:
        columns = {"g": [1] * 20, "p": list(range(20)), "v": [1] * 20}
        operation = Pivot(group_by="g", pivot_column="p", value_column="v", max_columns=10)
        assert "'p' has 20 values, and 'max_columns' is 10" in fails(operation, columns)

    def test_a_function_that_does_not_go_with_the_column(self, fails: Any) -> None:
        operation = Pivot(group_by="month", pivot_column="amount", value_column="shop")
        assert "'sum' needs numbers, and the column 'shop' holds string" in fails(operation, self.SALES)
        unknown = Pivot(group_by="shop", pivot_column="month", value_column="amount", agg_func="maen")
        assert "Did you mean 'mean'?" in fails(unknown, self.SALES)

    def test_a_column_cannot_be_key_and_value_names(self, fails: Any) -> None:
        assert "'shop' twice" in fails(Pivot(group_by="shop", pivot_column="shop", value_column="amount"), self.SALES)


class TestUnpivot:
    def test_rows_stand_together(self, run: Any) -> None:
        found = run(Unpivot(id_columns="id"), {"id": [1, 2], "a": [10, None], "b": [0.5, 2.5]})
        assert found == {"id": [1, 1, 2, 2], "variable": ["a", "b", "a", "b"], "value": [10.0, 0.5, None, 2.5]}

    def test_without_nulls_and_with_other_names(self, run: Any) -> None:
        operation = Unpivot(value_columns=("b", "a"), variable_name="k", value_name="v", include_nulls=False)
        assert run(operation, {"id": [1], "a": [10], "b": [None]}, b=pa.int64()) == {"k": ["a"], "v": [10]}

    def test_values_of_two_kinds_are_refused(self, fails: Any) -> None:
        message = fails(Unpivot(id_columns="id"), ORDERS)
        assert "'region' holds a text, and 'amount' a number" in message

    def test_names_that_collide_are_refused(self, fails: Any) -> None:
        assert "'id' twice" in fails(Unpivot(id_columns="id", value_columns="amount", value_name="id"), ORDERS)


class TestExplode:
    COLUMNS: ClassVar[Columns] = {"id": [1, 2, 3, 4], "l": [["a", "b"], [], None, [None]]}

    def test_empty_lists_stay_or_go(self, run: Any) -> None:
        assert run(Explode(columns="l"), self.COLUMNS) == {"id": [1, 1, 2, 3, 4], "l": ["a", "b", None, None, None]}
        assert run(Explode(columns="l", keep_empty=False), self.COLUMNS) == {"id": [1, 1, 4], "l": ["a", "b", None]}

    def test_several_side_by_side(self, run: Any, fails: Any) -> None:
        columns = {"a": [[1, 2], None], "b": [["x", "y"], []], "c": [7, 8]}
        found = run(Explode(columns=("a", "b")), columns)
        assert found == {"a": [1, 2, None], "b": ["x", "y", None], "c": [7, 7, 8]}
        message = fails(Explode(columns=("a", "b")), {"a": [[1], [1, 2]], "b": [[1], [1]]})
        assert "differ in length in 1 rows, first in row 2" in message

    def test_other_kinds_of_lists(self, run: Any, as_frame: Any) -> None:
        fixed, large = pa.list_(pa.int64(), 2), pa.large_list(pa.int64())
        columns = {"a": [[1, 2], None, [3, 4]]}
        assert run(Explode(columns="a"), columns, a=large) == {"a": [1, 2, None, 3, 4]}
        assert run(Explode(columns="a"), columns, a=fixed) == {"a": [1, 2, None, 3, 4]}

    def test_what_is_no_list_is_refused(self, fails: Any) -> None:
        assert "the column 'region' holds string, not lists" in fails(Explode(columns="region"), ORDERS)


class TestSample:
    def test_the_draw_is_known(self, run: Any) -> None:
        # Written down once: another worker, machine or version of NumPy draws the same.
        assert run(Sample(n=3, seed=1), {"a": list(range(10))}) == {"a": [2, 4, 9]}

    def test_n_and_fraction(self, run: Any) -> None:
        columns = {"a": list(range(10))}
        assert len(run(Sample(fraction=0.3), columns)["a"]) == 3
        assert run(Sample(n=100), columns) == columns
        assert run(Sample(fraction=1.0), columns) == columns
        assert run(Sample(n=0), columns) == {"a": []}


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

    def test_a_window_does_not_change_the_order(self, run: Any) -> None:
        found = run(Derive(columns={"n": "row_number() OVER (ORDER BY a)"}), {"a": [3, 1, 2]})
        assert found == {"a": [3, 1, 2], "n": [3, 1, 2]}

    def test_the_expression_that_fails_is_named(self, fails: Any) -> None:
        message = fails(Derive(columns={"b": "a + 1", "c": "upper(d)", "e": "1"}), {"a": [1]})
        assert message.startswith("derive: the column 'c' (upper(d)): there is no column 'd'")

    def test_an_expression_cannot_add_what_was_not_asked_for(self, fails: Any) -> None:
        assert fails(Derive(columns={"b": "1) AS x, (2"}), {"a": [1]})


class TestRowwise:
    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("amount > 1 AND region = 'over (all)'", True),
            ('"select" > 1 -- select', True),
            ("extract(year FROM day) = 2024", True),
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

    @pytest.mark.parametrize(
        "operation",
        [
            Select(columns="id"),
            Drop(columns="id"),
            Rename(columns={"id": "k"}),
            Fillna(values={"amount": 0}),
            Cast(types={"id": "str"}),
            Filter(where="amount > 3"),
            Derive(columns={"b": "amount * 2"}),
            Unpivot(id_columns="region"),
        ],
        ids=lambda it: type(it).__name__,
    )
    def test_what_says_so_gives_the_same_chunk_by_chunk(
        self, operation: Transform, as_frame: Any, as_table: Any, step_context: Any
    ) -> None:
        assert operation.rowwise
        frame = as_frame(ORDERS)
        context = step_context()
        chunks = [context.engine.from_arrow(as_table(frame).slice(at, 1)) for at in range(4)]
        whole = as_table(operation.apply(frame, context))
        assert pa.concat_tables([as_table(operation.apply(chunk, context)) for chunk in chunks]).equals(whole)
