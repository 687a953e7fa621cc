"""What holds for every frame: the operations against plain Python, on generated frames with nulls."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from odibi.contracts.transform import Transform
from odibi.errors import TransformError
from odibi_pandas.operations.aggregate import Aggregate
from odibi_pandas.operations.cast import Cast
from odibi_pandas.operations.columns import Rename
from odibi_pandas.operations.explode import Explode
from odibi_pandas.operations.join import Join
from odibi_pandas.operations.pivot import Pivot, Unpivot
from odibi_pandas.operations.rows import DropDuplicates, Filter, Sample, Sort, SortKey
from odibi_pandas.operations.union import Union

Rows = list[dict[str, Any]]

laws = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

keys = st.none() | st.integers(-2, 2)
texts = st.none() | st.sampled_from(["a", "b", "é", "", "it's", 'say "x"'])
numbers = st.none() | st.integers(-1000, 1000)
rows = st.lists(st.fixed_dictionaries({"k": keys, "t": texts, "v": numbers}), max_size=12)
SCHEMA = pa.schema([("k", pa.int64()), ("t", pa.string()), ("v", pa.int64())])


@pytest.fixture
def apply(pandas_engine: Any, as_table: Any, step_context: Any) -> Callable[..., Rows]:
    def apply(operation: Transform, rows: Rows, schema: Any = SCHEMA, **inputs: Rows) -> Rows:
        def frame(rows: Rows, schema: Any) -> Any:
            return pandas_engine.from_arrow(pa.Table.from_pylist(rows, schema=schema))

        context = step_context({name: frame(given, None if given else schema) for name, given in inputs.items()})
        found: Rows = as_table(operation.apply(frame(rows, schema), context)).to_pylist()
        return found

    return apply


@laws
@given(rows, st.permutations(["k", "t", "v"]))
def test_rename_there_and_back(apply: Any, given: Rows, names: list[str]) -> None:
    there = dict(zip(("k", "t", "v"), names, strict=True))
    back = {new: old for old, new in there.items()}
    schema = pa.schema([(there[field.name], field.type) for field in SCHEMA])
    renamed = apply(Rename(columns=there), given)
    assert apply(Rename(columns=back), renamed, schema) == given


@laws
@given(rows)
def test_filter_and_its_contrary_and_unknown_make_the_whole(apply: Any, given: Rows) -> None:
    condition = "v > 0"
    parts = [f"({condition})", f"NOT ({condition})", f"({condition}) IS NULL"]
    found = [row for part in parts for row in apply(Filter(where=part), given)]
    assert _bag(found) == _bag(given)
    assert apply(Filter(where=condition), given) == [row for row in given if row["v"] is not None and row["v"] > 0]


@laws
@given(rows, rows, st.booleans())
def test_union_counts(apply: Any, first: Rows, second: Rows, distinct: bool) -> None:
    assume(second)
    found = apply(Union(inputs="b", distinct=distinct), first, b=second)
    expected = first + second
    assert found == (_first_of_each(expected, ("k", "t", "v")) if distinct else expected)


@laws
@given(rows, st.sampled_from([("k",), ("k", "t"), ("k", "t", "v")]), st.sampled_from(["first", "last", "none"]))
def test_drop_duplicates_is_idempotent_and_right(apply: Any, given: Rows, by: Any, keep: Any) -> None:
    operation = DropDuplicates(keys=by, keep=keep)
    once = apply(operation, given)
    assert apply(operation, once) == once
    count = Counter(_key(row, by) for row in given)
    expected = {
        "first": lambda: _first_of_each(given, by),
        "last": lambda: _first_of_each(given[::-1], by)[::-1],
        "none": lambda: [row for row in given if count[_key(row, by)] == 1],
    }[keep]()
    assert once == expected


@laws
@given(rows, st.booleans(), st.sampled_from(["first", "last"]))
def test_sort_is_stable(apply: Any, given: Rows, descending: bool, nulls: Any) -> None:
    found = apply(Sort(by=SortKey(column="k", descending=descending, nulls=nulls)), given)
    sign = -1 if descending else 1

    def rank(row: dict[str, Any]) -> tuple[bool, int]:
        return (row["k"] is None) is (nulls == "last"), 0 if row["k"] is None else sign * row["k"]

    assert found == sorted(given, key=rank)


@laws
@given(rows, st.integers(0, 15), st.integers(0, 2**40))
def test_sample_is_a_part_in_order_and_the_same_each_time(apply: Any, given: Rows, n: int, seed: int) -> None:
    numbered = [{**row, "v": at} for at, row in enumerate(given)]
    found = apply(Sample(n=n, seed=seed), numbered)
    assert len(found) == min(n, len(given))
    assert found == [numbered[row["v"]] for row in found]
    assert [row["v"] for row in found] == sorted(row["v"] for row in found)
    assert apply(Sample(n=n, seed=seed), numbered) == found


@laws
@given(rows, rows, st.sampled_from(["inner", "left", "right", "full", "semi", "anti"]), st.sampled_from(["k", "kt"]))
def test_join_against_plain_python(apply: Any, left: Rows, right: Rows, how: Any, by: str) -> None:
    assume(right)
    on = tuple(by)
    brought = [{**{key: row[key] for key in on}, "w": row["v"]} for row in right]
    schema = pa.schema([(key, SCHEMA.field(key).type) for key in on] + [("w", pa.int64())])
    other = pa.Table.from_pylist(brought, schema=schema).to_pylist()
    assume(all(any(row[key] is not None for row in other) for key in schema.names))  # else its type is not known
    assert apply(Join(right="r", on=on, how=how), left, r=other) == _joined(left, other, on, how)


@laws
@given(rows)
def test_aggregate_against_plain_python(apply: Any, given: Rows) -> None:
    measures = {"n": "count(*)", "known": "count(v)", "total": "sum(v)", "v": "first", "most": "max(v)"}
    found = apply(Aggregate(by=("k", "t"), measures=measures), given)
    groups: dict[Any, list[Any]] = defaultdict(list)
    for row in given:
        groups[_key(row, ("k", "t"))].append(row["v"])
    expected = []
    for key in sorted(groups, key=lambda key: [(part is None, _bytes(part)) for part in key]):
        known = [value for value in groups[key] if value is not None]
        expected.append(
            {
                **dict(zip(("k", "t"), key, strict=True)),
                "n": len(groups[key]),
                "known": len(known),
                "total": sum(known) if known else None,
                "v": known[0] if known else None,
                "most": max(known, default=None),
            }
        )
    assert found == expected


@laws
@given(rows)
def test_unpivot_takes_a_pivot_back(apply: Any, given: Rows) -> None:
    unique = [row for row in _first_of_each(given, ("k", "t")) if row["t"] not in (None, "") and row["v"] is not None]
    assume(unique)
    wide = apply(Pivot(group_by="k", pivot_column="t", value_column="v"), unique)
    schema = pa.schema([(name, pa.int64()) for name in wide[0]])
    back = Unpivot(id_columns="k", variable_name="t", value_name="v", include_nulls=False)
    assert _bag(apply(back, wide, schema)) == _bag(unique)


@laws
@given(rows, st.sampled_from(["sum", "count", "min", "max", "first", "last"]))
def test_pivot_against_plain_python(apply: Any, given: Rows, function: str) -> None:
    given = [row for row in given if row["t"] != ""]
    take = {"sum": sum, "count": len, "min": min, "max": max, "first": lambda v: v[0], "last": lambda v: v[-1]}[
        function
    ]
    cells: dict[Any, list[int]] = defaultdict(list)
    for row in given:
        cells[row["k"], row["t"]] += [] if row["v"] is None else [row["v"]]
    found = apply(Pivot(group_by="k", pivot_column="t", value_column="v", agg_func=function), given)
    groups = sorted({row["k"] for row in given}, key=lambda key: (key is None, key or 0))
    labels = sorted({row["t"] for row in given}, key=lambda text: (text is None, _bytes(text)))

    def cell(group: Any, label: Any) -> Any:
        values = cells.get((group, label))
        if values is None:
            return None
        return take(values) if values or function == "count" else None

    assert [list(row) for row in found] == [["k", *("null" if text is None else text for text in labels)]] * len(groups)
    assert [list(row.values()) for row in found] == [[key, *(cell(key, text) for text in labels)] for key in groups]


lists = st.none() | st.lists(st.none() | st.integers(0, 9), max_size=3)


@laws
@given(st.lists(st.fixed_dictionaries({"id": keys, "l": lists}), max_size=8), st.booleans())
def test_explode_against_plain_python(apply: Any, given: Rows, keep_empty: bool) -> None:
    schema = pa.schema([("id", pa.int64()), ("l", pa.list_(pa.int64()))])
    found = apply(Explode(columns="l", keep_empty=keep_empty), given, schema)
    nothing = [None] if keep_empty else []
    assert found == [{"id": row["id"], "l": each} for row in given for each in (row["l"] or nothing)]


@laws
@given(
    st.lists(
        st.none() | st.text(max_size=6) | st.from_regex(r"-?(0x)?[0-9.eE:+T -]{1,12}", fullmatch=True), max_size=8
    ),
    st.sampled_from(["int", "float", "bool", "date", "datetime", "datetime(UTC)", "decimal(8, 2)", "int8"]),
)
def test_cast_treats_each_text_as_if_it_were_alone(apply: Any, given: list[Any], to: str) -> None:
    schema = pa.schema([("a", pa.string())])

    def cast(texts: list[Any], on_error: Any) -> list[Any]:
        return [
            row["a"] for row in apply(Cast(types={"a": to}, on_error=on_error), [{"a": it} for it in texts], schema)
        ]

    def alone(text: Any) -> Any:
        try:
            return cast([text], "error")[0]
        except TransformError:
            return None

    expected = [alone(text) for text in given]
    assert repr(cast(given, "null")) == repr(expected)
    if [text for text, made in zip(given, expected, strict=True) if text is not None and made is None]:
        with pytest.raises(TransformError):
            cast(given, "error")
    else:
        assert repr(cast(given, "error")) == repr(expected)


# --- plain Python ---------------------------------------------------------------------------------------------------


def _key(row: dict[str, Any], by: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row[name] for name in by)


def _bag(rows: Rows) -> Counter[tuple[tuple[str, Any], ...]]:
    return Counter(tuple(sorted(row.items())) for row in rows)


def _bytes(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _first_of_each(rows: Rows, by: tuple[str, ...]) -> Rows:
    seen: dict[Any, dict[str, Any]] = {}
    for row in rows:
        seen.setdefault(_key(row, by), row)
    return list(seen.values())


def _joined(left: Rows, right: Rows, on: tuple[str, ...], how: str) -> Rows:
    def meet(one: dict[str, Any], other: dict[str, Any]) -> bool:
        return None not in _key(one, on) and _key(one, on) == _key(other, on)

    if how in ("semi", "anti"):
        return [row for row in left if any(meet(row, other) for other in right) is (how == "semi")]
    if how == "right":
        found: Rows = []
        for other in right:
            partners = [row for row in left if meet(row, other)]
            found += [{**row, **other} for row in partners] or [{**dict.fromkeys(("k", "t", "v")), **other}]
        return found
    found = []
    for row in left:
        partners = [other for other in right if meet(row, other)]
        found += [{**other, **row} for other in partners]
        if not partners and how != "inner":
            found.append({**row, "w": None})
    if how == "full":
        lonely = [other for other in right if not any(meet(row, other) for row in left)]
        found += [{**dict.fromkeys(("k", "t", "v")), **other} for other in lonely]
    return found
