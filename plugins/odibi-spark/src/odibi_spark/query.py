"""A user's query: what it names, and the text that Spark is asked."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import TransformError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SPARK = "spark"
_READERS = ("read_", "cloud_files", "parquet_scan", "csv_scan", "iceberg_scan", "delta_scan")
"""How functions begin that read what lies elsewhere."""


@attrs.frozen
class Query:
    """A query that was understood.

    Attributes:
        text: in Spark's SQL, for :meth:`str.format`, with ``{t0}`` in the place of the first of the tables; without a
            semicolon at its end.
        tables: the names of tables in it that are no common table expressions, as they are written.
    """

    text: str
    tables: tuple[str, ...]


def parsed(query: str, dialect: str) -> Query:
    """Understand a query.

    Args:
        query: what a user wrote.
        dialect: by sqlglot's name; what is not Spark's is translated.

    Raises:
        TransformError: it is not a single query, cannot be parsed or translated, or names a table by more than a name.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError, TokenError

    try:
        statements = [each for each in sqlglot.parse(query, read=dialect) if each is not None]
    except (SqlglotError, TokenError, RecursionError) as error:
        raise _not_parsed(error) from None
    statements = [each for each in statements if not isinstance(each, exp.Semicolon)]
    if not statements:
        raise TransformError("there is no statement", where="SQL", remedy="Write a SELECT.")
    if len(statements) > 1:
        raise TransformError(
            f"there are {len(statements)} statements",
            where="SQL",
            remedy="Make each a step of its own; the result of one is 'df' in the next.",
        )
    (tree,) = statements
    if not isinstance(tree, exp.Query | exp.Values):
        raise TransformError(
            f"{_verb(query)} is not a query",
            where="SQL",
            remedy="Write a SELECT; what it gives is the step's result. To store it, give the node a 'write'.",
        )
    found = list(_tables(tree, frozenset()))
    tables = tuple(dict.fromkeys(table.name for table in found))
    if dialect == _SPARK:
        return Query(_with_marks(query, found, tables), tables)
    return Query(_translated_with_marks(tree, found, tables, dialect), tables)


def expression(text: str, engine: Any) -> str:
    """A user's SQL expression, in Spark's SQL.

    Args:
        text: in the dialect of the engine's option ``sql_dialect``.
        engine: whose.

    Raises:
        TransformError: it is no single expression, or cannot be translated.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError, TokenError

    dialect = getattr(engine, "sql_dialect", _SPARK)
    if dialect == _SPARK:
        return text
    try:
        found = sqlglot.parse(f"SELECT (\n{text}\n)", read=dialect)
    except (SqlglotError, TokenError, RecursionError) as error:
        raise _not_parsed(error) from None
    tree = found[0]
    if len(found) != 1 or not isinstance(tree, exp.Select) or len(tree.expressions) != 1:
        raise TransformError(f"{text!r} is no single expression", where="SQL")
    inside = tree.expressions[0]
    return _translated(inside.this if isinstance(inside, exp.Paren) else inside, dialect)


def known(name: str, frames: Iterable[str]) -> str:
    """The frame that a query means by ``name``; SQL does not tell cases apart.

    Raises:
        TransformError: there is none.
    """
    names = list(frames)
    folded = {each.casefold(): each for each in names}
    found = folded.get(name.casefold())
    if found is None:
        close = difflib.get_close_matches(name.casefold(), folded, n=1)
        hint = f"Did you mean {folded[close[0]]!r}? " if close else ""
        raise TransformError(
            f"there is no input called {name!r}",
            where="SQL",
            remedy=f"{hint}The inputs are: {', '.join(names) or 'none'}. Add it to the node's depends_on.",
        )
    return found


def _tables(node: Any, hidden: frozenset[str]) -> Iterator[Any]:
    """The tables below a node that are not common table expressions."""
    from sqlglot import exp

    clause = node.args.get("with_") or node.args.get("with")
    if clause is not None:
        for each in clause.expressions:
            name = each.alias.casefold()
            yield from _tables(each.this, hidden | {name} if clause.args.get("recursive") else hidden)
            hidden = hidden | {name}
    if isinstance(node, exp.Table):
        if isinstance(node.this, exp.Identifier):
            if node.args.get("db") or node.args.get("catalog"):
                raise _elsewhere(node.sql(dialect=_SPARK))
            if node.name.casefold() not in hidden:
                yield node
        elif (called := node.name or node.this.sql(dialect=_SPARK)).casefold().startswith(_READERS):
            raise _elsewhere(called)
    for child in node.iter_expressions():
        if child is not clause:
            yield from _tables(child, hidden)


def _elsewhere(name: str) -> TransformError:
    return TransformError(
        f"{name} is none of the node's inputs",
        where="SQL",
        remedy="A query sees its node's inputs alone: read the data with a node's 'read'.",
    )


def _with_marks(query: str, found: Sequence[Any], tables: Sequence[str]) -> str:
    """A user's own text with marks in the place of its tables, and without semicolons after it.

    A table goes by its name all the same: where the text gives it no other, it gets that as its alias.
    """
    import sqlglot

    changes = [(table.this.meta["start"], table.this.meta["end"] + 1, _mark(table, tables)) for table in found]
    tokens = sqlglot.tokenize(query, read=_SPARK)
    changes += [(each.start, each.end + 1, "") for each in tokens if each.token_type.name == "SEMICOLON"]
    text, at = [], 0
    for start, end, instead in sorted(changes):
        text += [literal(query[at:start]), instead]
        at = end
    return "".join([*text, literal(query[at:])])


def _mark(table: Any, tables: Sequence[str]) -> str:
    mark = "{t" + str(tables.index(table.name)) + "}"
    if table.args.get("alias"):
        return mark
    alias = " AS " + literal(quoted(table.name))
    # A sample stands between a table and its alias.
    return mark if table.args.get("sample") or _is_sampled(table) else mark + alias


def _is_sampled(table: Any) -> bool:
    from sqlglot import exp

    return isinstance(table.parent, exp.TableSample)


def _translated_with_marks(tree: Any, found: Sequence[Any], tables: Sequence[str], dialect: str) -> str:
    from sqlglot import exp

    for table in found:
        at = tables.index(table.name)
        if not table.args.get("alias"):
            table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name, quoted=True)))
        table.set("this", exp.to_identifier(f"odibi_table_{at}_"))
    text = literal(_translated(tree, dialect))
    for at in range(len(tables)):
        text = text.replace(f"odibi_table_{at}_", "{t" + str(at) + "}")
    return text


def quoted(name: str) -> str:
    """An identifier that means exactly ``name``."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Text that formatting leaves as it is."""
    return text.replace("{", "{{").replace("}", "}}")


def _translated(tree: Any, dialect: str) -> str:
    from sqlglot import ErrorLevel
    from sqlglot.errors import SqlglotError

    if dialect == "duckdb":
        from odibi_spark.duckdb_sql import adapted

        tree = adapted(tree)
    try:
        return str(tree.sql(dialect=_SPARK, unsupported_level=ErrorLevel.RAISE))
    except SqlglotError as error:
        what = str(error).split("\n", 1)[0].rstrip(".")
        raise TransformError(
            f"Spark has nothing for a part of this {dialect} SQL: {what}",
            where="SQL",
            remedy="Write the step in another way, or run the node on engine pandas.",
        ) from None


def _not_parsed(error: Any) -> TransformError:
    faults = getattr(error, "errors", None)
    if faults:
        first = faults[0]
        near = f" near {first['highlight']!r}" if first.get("highlight") else ""
        return TransformError(
            f"the SQL cannot be understood: {str(first['description']).rstrip('.')}{near}",
            where=f"SQL line {first['line']}",
        )
    text = str(error).split("\n", 1)[0]
    return TransformError(f"the SQL cannot be understood: {text}", where="SQL")


def _verb(query: str) -> str:
    import sqlglot

    tokens = sqlglot.tokenize(query, read=_SPARK)
    return tokens[0].text.upper() if tokens else "this"
