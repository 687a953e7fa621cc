"""Which tables a query names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi.config.sqlnames import table_names


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT * FROM a, b JOIN c ON a.x = b.x, d WHERE e IN (SELECT f FROM g)", "a b c d g"),
        (
            "WITH x AS (SELECT * FROM orders), y(p, q) AS MATERIALIZED (SELECT 1) SELECT * FROM x JOIN y USING (p, q)",
            "orders",
        ),
        ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT * FROM t", ""),
        ("SELECT extract(year FROM d), trim(both ' ' FROM z), substring(x FROM 1 FOR 2) FROM t", "t"),
        ('SELECT \'FROM lost\', $$ FROM lost $$ -- FROM lost\n/* FROM lost */ FROM "Quoted ""x" q', 'quoted "x'),
        ("SELECT a IS DISTINCT FROM b FROM t", "t"),
        ("FROM orders SELECT x", "orders"),
        ("SELECT * FROM (a JOIN b ON true) UNION SELECT * FROM schema.t, u", "a b u"),
        ("SELECT * FROM range(10) r, unnest(a)", ""),
        ("PIVOT sales ON x USING sum(y)", "sales"),
        ("SELECT * FROM (orders) o, LATERAL (SELECT * FROM items) z", "items orders"),
        ("SELECT (SELECT max(a) FROM b) FROM c GROUP BY d, e", "b c"),
        ("SELECT * FROM a AS b LEFT JOIN c AS d ON b.x = d.x ORDER BY e, f", "a c"),
        ("SELECT * FROM `spark name`", "spark name"),
        ("SELECT 1; SELECT * FROM Second", "second"),
        ("SELECT count(*) FILTER (WHERE x) OVER w FROM t WINDOW w AS (ORDER BY y)", "t"),
        ("", ""),
        ("((", ""),
        ("FROM '", ""),
    ],
)
def test_tables_of_a_query(sql: str, names: str) -> None:
    found = table_names(sql)
    assert found == {names} if '"' in names or "spark" in names else found == set(names.split())


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["select", "from", "(", ")", ",", "as", "with", "a", '"', "'", ".", "--", "\n"])).map(
        " ".join
    )
)
def test_any_text_gives_some_names(sql: str) -> None:
    assert all(isinstance(name, str) for name in table_names(sql))
