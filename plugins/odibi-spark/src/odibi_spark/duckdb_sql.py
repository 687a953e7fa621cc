"""What DuckDB and Spark mean differently by the same SQL, and sqlglot takes for the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERVALS = {
    "to_years": "make_ym_interval({0}, 0)",
    "to_months": "make_ym_interval(0, {0})",
    "to_weeks": "make_dt_interval(7 * {0}, 0, 0, 0)",
    "to_days": "make_dt_interval({0}, 0, 0, 0)",
    "to_hours": "make_dt_interval(0, {0}, 0, 0)",
    "to_minutes": "make_dt_interval(0, 0, {0}, 0)",
    "to_seconds": "make_dt_interval(0, 0, 0, {0})",
}
"""DuckDB's functions that make intervals."""


def adapted(tree: Any) -> Any:
    """A tree that sqlglot has read as DuckDB's, such that its text in Spark's SQL means the same.

    Dividing by zero gives infinity; a time without a zone stays one; intervals and numbers of rows are spelt as Spark
    has them.
    """
    from sqlglot import exp

    rules: dict[type, Callable[[Any], Any]] = {
        exp.Div: _divided,
        exp.DataType: _typed,
        exp.Anonymous: _called,
        exp.Window: _numbered,
    }

    def change(node: Any) -> Any:
        rule = rules.get(type(node))
        return node if rule is None else rule(node)

    made = tree.transform(change)
    for call in list(made.find_all(exp.Func)):
        if call.sql_name() in ("TIMESTAMP_FROM_PARTS", "MAKE_TIMESTAMP") or call.name.lower() == "make_timestamp":
            arguments = list(call.iter_expressions())
            if len(arguments) == 6:
                call.replace(exp.Anonymous(this="make_timestamp_ntz", expressions=[each.copy() for each in arguments]))
    return made


def _divided(node: Any) -> Any:
    """DuckDB divides floating-point numbers, whatever it is given; by zero, too."""
    import sqlglot
    from sqlglot import exp

    over, under = node.this, node.expression
    if over.find(exp.Interval):
        return node
    whole = exp.Div(this=exp.cast(over.copy(), "double"), expression=exp.cast(under.copy(), "double"), typed=False)
    if isinstance(under, exp.Literal) and float(under.this) != 0:
        return whole
    endless: Any = sqlglot.parse_one("CASE WHEN u = 0 THEN o * double('Infinity') ELSE w END", read="spark")
    found = {"u": under, "o": exp.cast(over.copy(), "double"), "w": whole}
    for column in list(endless.find_all(exp.Column)):
        column.replace(found[column.name].copy())
    return exp.Paren(this=endless)


def _typed(node: Any) -> Any:
    from sqlglot import exp

    kinds = exp.DataType.Type
    if node.this == kinds.TIMESTAMP:
        node.set("this", kinds.TIMESTAMPNTZ)
    return node


def _called(node: Any) -> Any:
    import sqlglot

    spelling = _INTERVALS.get(str(node.this).lower())
    if spelling is None or len(node.expressions) != 1:
        return node
    return sqlglot.parse_one(spelling.format(f"({node.expressions[0].sql(dialect='spark')})"), read="spark")


def _numbered(node: Any) -> Any:
    """Spark numbers rows in an order alone: in that in which they lie."""
    import sqlglot
    from sqlglot import exp

    if not isinstance(node.this, exp.RowNumber) or node.args.get("order") is not None:
        return node
    order: Any = sqlglot.parse_one("row_number() OVER (ORDER BY monotonically_increasing_id())", read="spark")
    node.set("order", order.args["order"])
    return node
