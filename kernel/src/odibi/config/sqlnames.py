"""Which tables a query names: enough of SQL to tell a table from a column, a text, a comment or a common table."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"(?P<skip>\s+|--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*(?:'|\Z)|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))"
    r'|(?P<quoted>"(?:[^"]|"")*(?:"|\Z)|`[^`]*(?:`|\Z))'
    r"|(?P<word>[^\W\d]\w*)|(?P<other>.)",
    re.DOTALL,
)
_QUERY = {"select", "with", "from", "values", "table", "pivot", "unpivot", "describe", "summarize"}
_TABLE_FOLLOWS = {"from", "join", "pivot", "unpivot"}
_TABLES_END = {
    "where",
    "group",
    "having",
    "order",
    "limit",
    "union",
    "except",
    "intersect",
    "qualify",
    "window",
    "select",
}
_NOT_A_TABLE = {"lateral", "only", "select", "values", "with", "as"}


def _tokens(sql: str) -> Iterator[tuple[str, bool]]:
    """Each word that counts, and whether it is an identifier in quotes; words in lower case."""
    for match in _TOKEN.finditer(sql):
        if match.lastgroup == "quoted":
            text = match.group()
            yield text[1:-1].replace('""', '"').lower(), True
        elif match.lastgroup == "word":
            yield match.group().lower(), False
        elif match.lastgroup == "other":
            yield match.group(), False


class _Group:
    """What stands between two parentheses, or the whole query."""

    __slots__ = ("expecting", "in_tables", "query", "started")

    def __init__(self, *, expecting: bool, query: bool) -> None:
        self.expecting = expecting
        self.in_tables = expecting
        self.query = query
        self.started = False


def table_names(sql: str) -> set[str]:
    """The tables that a query takes rows from, in lower case; common tables of its own are left out.

    Args:
        sql: one or more statements. Text that is no SQL gives some set, never an error.
    """
    tokens = list(_tokens(sql))
    found: set[str] = set()
    groups = [_Group(expecting=False, query=True)]
    common = set(_common_tables(tokens))
    for at, (word, quoted) in enumerate(tokens):
        group = groups[-1]
        before = tokens[at - 1][0] if at else ""
        after = tokens[at + 1][0] if at + 1 < len(tokens) else ""
        is_name = quoted or word[0].isalpha() or word[0] == "_"
        if word == "(" and not quoted:
            groups.append(_Group(expecting=group.expecting, query=group.expecting))
            group.expecting = False
            group.started = True
            continue
        if word == ")" and not quoted:
            if len(groups) > 1:
                groups.pop()
            continue
        if not group.started:
            group.started = True
            if is_name and not quoted and word in _QUERY:
                group.query, group.expecting, group.in_tables = True, False, False
        if not quoted and group.query and word in _TABLE_FOLLOWS and before != "distinct":
            group.expecting = group.in_tables = True
        elif not quoted and word in _TABLES_END:
            group.expecting = group.in_tables = False
        elif not quoted and word == "," and group.in_tables:
            group.expecting = True
        elif group.expecting and is_name and (quoted or word not in _NOT_A_TABLE):
            group.expecting = False
            if after not in ("(", ".") and before != ".":
                found.add(word)
    return found - common


def _common_tables(tokens: list[tuple[str, bool]]) -> Iterator[str]:
    """Names that ``WITH`` gives: a name, perhaps columns in parentheses, ``AS``, and a parenthesis."""
    for at, (word, quoted) in enumerate(tokens):
        if word != "as" or quoted or at == 0:
            continue
        ahead = [each for each, _ in tokens[at + 1 : at + 4]]
        while ahead and ahead[0] in ("not", "materialized"):
            ahead.pop(0)
        if not ahead or ahead[0] != "(":
            continue
        name = at - 1
        if tokens[name][0] == ")":
            while name > 0 and tokens[name][0] != "(":
                name -= 1
            name -= 1
        if name >= 0:
            yield tokens[name][0]
