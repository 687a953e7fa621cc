"""Records of runs as an observer would have made them, for tests of what is made of records."""

from __future__ import annotations

import random

from odibi_story.record import (
    Attempt,
    Column,
    Commit,
    Failure,
    NodeStory,
    Rule,
    RunStory,
    Sample,
    Step,
    Written,
)

HOSTILE = (
    "</script><script>window.hurt=1</script>",
    "<img src=x onerror=window.hurt=1>",
    '"><svg onload=window.hurt=1>',
    "</noscript><script>window.hurt=1</script>",
    "' onmouseover='window.hurt=1",
    "<!--<script>",
    "]]>",
    "{{ 7*7 }}",
    "javascript:window.hurt=1",
    "\u202egnp.exe",
    "نص من اليمين إلى اليسار",
    "🛫 flights 🇳🇿 👩‍👩‍👧",
    "a" * 400,
    "line\nbreak\ttab \x1b[31mred\x1b[0m \x00 nul \ud83d half",
    "表" * 60,
)


def columns(*pairs: tuple[str, str]) -> list[Column]:
    return [Column(name, kind) for name, kind in pairs]


RAW = columns(("id", "int64"), ("customer", "string"), ("email", "string"), ("amount", "string"), ("at", "string"))
CLEAN = [
    Column("id", "int64", nullable=False),
    Column("customer", "string"),
    Column("email", "string"),
    Column("amount", "double"),
    Column("ordered_at", "timestamp[us]"),
    Column("month", "int32"),
]
ORDERS_SQL = """\
SELECT id, customer, email,
       CAST(amount AS DOUBLE) AS amount,
       CAST(at AS TIMESTAMP) AS ordered_at,
       month(CAST(at AS TIMESTAMP)) AS month
FROM df
WHERE amount <> '' AND id < 1000000"""


def raw_orders() -> NodeStory:
    return NodeStory(
        "raw_orders",
        reason="orders.csv is newer",
        engine="pandas",
        state="succeeded",
        started=0.012,
        finished=0.462,
        waited=0.004,
        critical=True,
        attempts=[Attempt(1, 0.012, "odibi-1", 0.462)],
        rows_in=1200,
        rows=1200,
        bytes=96_400,
        schema=RAW,
        steps=[Step("read", 0, 0.4, 1200, {"source": "raw:orders.csv"}, RAW)],
        samples=[
            Sample(
                "result",
                [each.name for each in RAW],
                [[1, "Ada", "***", "12.50", "2026-01-02"], [2, None, "***", "", "2026-01-03"]],
                1200,
            )
        ],
        reads="raw:orders.csv",
        source={"digest": "5d41402abc4b2a76", "objects": 1, "bytes": 96_400, "newest": 1_790_000_000.0},
        cpu=0.31,
        memory=220_000_000,
        kept="raw_orders-5d41402a",
        estimate=0.2,
        sensitive=True,
        definition={"read": {"connection": "raw", "path": "orders.csv", "format": "csv"}, "sensitive": ["email"]},
        fingerprint="9b1c7f00aa",
        parts={"definition": "77aa", "code": "91bc", "sources": "5d41"},
    )


def orders(**changes: object) -> NodeStory:
    node = NodeStory(
        "orders",
        depends_on=["raw_orders"],
        reason="its input raw_orders changed",
        engine="pandas",
        state="succeeded",
        started=0.47,
        finished=1.51,
        waited=0.008,
        critical=True,
        attempts=[Attempt(1, 0.47, "odibi-1", 1.51)],
        rows_in=1200,
        rows=1187,
        bytes=88_000,
        schema=CLEAN,
        steps=[
            Step("sql", 0, 0.6, 1190, {"sql": ORDERS_SQL}, CLEAN),
            Step("operation", 1, 0.05, 1190, {"operation": "sort", "params": {"by": ["id"]}}, CLEAN),
            Step(
                "validate",
                0,
                0.12,
                1187,
                {"rules": ["no_nulls: customer", "ranges: amount >= 0", "unique: id"], "results": []},
                CLEAN,
            ),
            Step("write", 0, 0.2, 1187, {"target": "lake:silver/orders.parquet", "paths": ["silver/orders.parquet"]}),
        ],
        samples=[
            Sample(
                "result",
                [each.name for each in CLEAN],
                [
                    [1, "Ada", "***", 12.5, "2026-01-02T00:00:00", 1],
                    [7, "Grace", "***", 80, "2026-02-11T00:00:00", 2],
                    [8, None, "***", -0.5, None, None],
                ],
                1187,
            )
        ],
        rules=[
            Rule("no_nulls: customer", False, 2, "2 rows have no customer", "warn"),
            Rule(
                "ranges: amount >= 0",
                False,
                3,
                "3 rows are below 0",
                "quarantine",
                [{"id": 17, "customer": "Bob", "email": "***", "amount": -3.0}, {"id": 90, "amount": -1.25}],
            ),
            Rule("unique: id", True, 0),
        ],
        quarantined=3,
        warnings=["no_nulls: customer: 2 rows have no customer"],
        writes="lake:silver/orders.parquet",
        written=Written(1187, 41_200, ["silver/orders.parquet"], {"silver/orders.parquet": '"0x8DD1"'}, "12"),
        cpu=0.9,
        memory=260_000_000,
        estimate=1.0,
        definition={
            "depends_on": ["raw_orders"],
            "transform": {"steps": [{"sql": ORDERS_SQL}, {"operation": "sort", "params": {"by": ["id"]}}]},
        },
        fingerprint="1f00aa9b1c",
        parts={"definition": "01aa"},
    )
    for name, value in changes.items():
        setattr(node, name, value)
    return node


def _run(state: str, nodes: list[NodeStory], duration: float | None, **more: object) -> RunStory:
    story = RunStory(
        "20261122-021500-3f9a",
        "silver",
        "sales",
        state=state,
        started=1_795_313_700.25,
        duration=duration,
        workers=2,
        command=["odibi", "run", "odibi.yaml", "--pipeline", "silver"],
        folder="/srv/sales data",
        plugins=[("odibi-local", "0.1.0"), ("odibi-pandas", "0.1.0"), ("odibi-story", "0.1.0")],
        environment={"python": "3.11.9", "system": "Linux 6.1", "machine": "x86_64", "host": "etl-3"},
        commit=Commit("0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", "main", True),
        config={
            "project": "sales",
            "connections": {"raw": {"type": "local", "base_path": "./raw"}},
            "retry": {"max_attempts": 3, "backoff": "exponential", "delay": 0.5},
        },
        nodes=nodes,
    )
    for name, value in more.items():
        setattr(story, name, value)
    story.counts = {state: sum(node.state == state for node in nodes) for state in {node.state for node in nodes}}
    return story


def quarantined() -> RunStory:
    """Two nodes; rows are set aside, a rule warns, a column is masked."""
    return _run("succeeded", [raw_orders(), orders()], 1.52)


def reused() -> RunStory:
    """Nothing had to be done."""
    nodes = [
        NodeStory("raw_orders", action="reuse", reason="nothing changed", state="reused", rows=1200, schema=RAW),
        NodeStory(
            "orders", ["raw_orders"], action="restore", reason="an interrupted run had done it", state="restored"
        ),
    ]
    return _run("succeeded", nodes, 0.004, resumes="20261121-000000-aaaa")


def failed() -> RunStory:
    """One node fails after retries; what hangs on it is skipped; another one still works."""
    error = (
        "it failed: KeyError: 'region'\n  where: node 'by_region', step 2 (function 'add_region')\n"
        "  remedy: name a column that the table has: id, customer, email, amount, ordered_at, month"
    )
    nodes = [
        raw_orders(),
        orders(),
        NodeStory(
            "regions",
            reason="never ran",
            state="succeeded",
            rows_in=12,
            rows=12,
            started=0.01,
            finished=0.2,
            attempts=[Attempt(1, 0.01, "odibi-2", 0.2)],
            steps=[Step("read", 0, 0.1, 12, {}, RAW)],
            schema=RAW,
            waited=0.0,
            reads="raw:regions.csv",
        ),
        NodeStory(
            "by_region",
            ["orders", "regions"],
            reason="code of add_region changed",
            state="failed",
            started=1.6,
            finished=6.4,
            waited=0.01,
            critical=True,
            attempts=[
                Attempt(1, 1.6, "odibi-1", 2.1, "Transient: the storage is busy"),
                Attempt(2, 3.1, "odibi-2", 3.8, "Transient: the storage is busy"),
                Attempt(3, 5.8, "odibi-1", 6.4, error.partition("\n")[0]),
            ],
            failure=Failure("TransformError", error, "Traceback (most recent call last):\n" + "KeyError: 'region'"),
            steps=[Step("sql", 0, 0.2, 12, {"sql": "SELECT * FROM orders JOIN regions USING (id)"}, CLEAN)],
        ),
        NodeStory("report", ["by_region"], reason="never ran", state="skipped", why="its input by_region failed"),
        NodeStory(
            "totals",
            ["orders"],
            reason="never ran",
            state="succeeded",
            rows_in=1187,
            rows=1,
            started=1.62,
            finished=5.0,
            waited=0.1,
            attempts=[Attempt(1, 1.62, "odibi-3", 5.0)],
            schema=columns(("total", "double")),
            steps=[
                Step("sql", 0, 3.3, 1, {"sql": "SELECT sum(amount) AS total FROM orders"}, columns(("total", "double")))
            ],
        ),
        NodeStory(
            "mail", ["report", "totals"], reason="never ran", state="skipped", why="its input report was skipped"
        ),
        NodeStory("export", ["totals"], reason="never ran", state="cancelled", why="the run ended before it did"),
    ]
    return _run(
        "failed", nodes, 6.43, workers=3, problems=["metrics: the gateway does not answer; it is told nothing more"]
    )


def running() -> RunStory:
    """Told before the end: one node runs, one waits."""
    busy = NodeStory("orders", ["raw_orders"], state="running", started=0.5, attempts=[Attempt(1, 0.5, "odibi-1")])
    return _run("running", [raw_orders(), busy, NodeStory("totals", ["orders"])], None)


def hostile() -> RunStory:
    """Texts in every place that are no harm only if they are escaped."""
    bad = list(HOSTILE)
    nodes = []
    for index, text in enumerate(bad):
        nodes.append(
            NodeStory(
                f"{text} {index}",
                depends_on=[nodes[-1].name] if nodes else [text],
                action=text,
                reason=text,
                engine=text,
                state=("succeeded", "failed", "skipped", text)[index % 4],
                why=text,
                started=float(index),
                finished=index + 0.9,
                waited=0.1,
                critical=index % 2 == 0,
                attempts=[
                    Attempt(1, float(index), text, index + 0.4, text),
                    Attempt(2, index + 0.5, text, index + 0.9),
                ],
                failure=Failure(text, text, text) if index % 4 == 1 else None,
                rows=index,
                schema=columns((text, text), ("x", "int64")),
                steps=[
                    Step("read", 0, 0.1, index, {"source": text}, columns((text, "a"), (text * 2, text))),
                    Step("sql", 0, 0.1, index, {"sql": text, text: text}, columns((text, text))),
                    Step("operation", 1, 0.1, index, {"operation": text, "params": {text: [text, {text: None}]}}),
                    Step(text, 2, 0.1, None, {text: text}),
                ],
                samples=[Sample("read", [text, "x"], [[text, None], [{text: text}, [text]]], 2), Sample(text, [], [])],
                rules=[Rule(text, False, 1, text, text, [{text: text}]), Rule(text, True)],
                quarantined=1,
                warnings=[text],
                reads=text,
                source={"digest": text, "objects": text, text: text},
                writes=text,
                written=Written(1, 1, [text], {text: text, text + "2": text}, text, True),
                kept=text,
                definition={text: {text: [text]}},
                fingerprint=text,
                parts={text: text},
                left_out=[text],
            )
        )
    every = " ".join(each for each in bad if len(each) < 100)
    return _run(
        "failed",
        nodes,
        20.0,
        run_id=every,
        pipeline=every,
        project=every,
        folder=every,
        command=bad,
        resumes=every,
        plugins=[(text, text) for text in bad],
        environment={text: text for text in bad},
        commit=Commit(every, every, True),
        config={text: {text: [text, {text: text}]} for text in bad},
        problems=bad,
        left_out=bad,
    )


def many(number: int = 1000, seed: int = 7) -> RunStory:
    """A large run in six stages, of eight workers; some nodes fail, are retried or skipped."""
    chance = random.Random(seed)
    stages = ("ingest", "clean", "check", "join", "aggregate", "publish")
    per_stage = max(1, number // len(stages))
    nodes: list[NodeStory] = []
    free = [0.0] * 8
    wide = columns(*((f"column_{index}", chance.choice(["int64", "string", "double"])) for index in range(14)))
    for index in range(number):
        stage = min(index // per_stage, len(stages) - 1)
        low = max(0, (stage - 1) * per_stage)
        near = [low + chance.randrange(max(1, stage * per_stage - low)) for _ in range(chance.randint(1, 3))]
        inputs = sorted({nodes[at].name for at in near}) if stage else []
        name = f"{stages[stage]}_{chance.choice(['sales', 'stock', 'web', 'crm', 'hr'])}_{index:04d}"
        if any(nodes[at].state in ("failed", "skipped") for at in near if stage):
            nodes.append(NodeStory(name, inputs, reason="never ran", state="skipped", why="an input failed"))
            continue
        if chance.random() < 0.3 and stage < 2:
            nodes.append(NodeStory(name, inputs, "reuse", "nothing changed", state="reused", rows=1000, schema=wide))
            continue
        worker = free.index(min(free))
        begin = max(
            free[worker],
            max((node.finished or 0.0 for node in (nodes[at] for at in near)), default=0.0) if stage else 0.0,
        )
        took = chance.expovariate(4.0)
        free[worker] = begin + took
        broken = chance.random() < 0.004
        rows = chance.randrange(10, 2_000_000)
        node = NodeStory(
            name,
            inputs,
            reason="code of transforms.py changed",
            engine="pandas",
            state="failed" if broken else "succeeded",
            started=begin,
            finished=begin + took,
            waited=chance.random() / 50,
            attempts=[Attempt(1, begin, f"odibi-{worker + 1}", begin + took, "boom" * broken)],
            failure=Failure("TransformError", f"it failed: ValueError: no such thing in {name}", "Traceback\n" * 20)
            if broken
            else None,
            rows_in=rows + 5,
            rows=rows,
            bytes=rows * 80,
            schema=wide,
            steps=[
                Step(
                    "sql", 0, took * 0.7, rows + 5, {"sql": "SELECT *\nFROM df\nWHERE column_1 IS NOT NULL\n" * 3}, wide
                ),
                Step("validate", 0, took * 0.1, rows, {"rules": ["not_empty"], "results": []}, wide),
            ],
            samples=[
                Sample(
                    "result",
                    [each.name for each in wide],
                    [[chance.randrange(10**6) for _ in wide] for _ in range(5)],
                    rows,
                )
            ],
            rules=[
                Rule("not_empty", True, 0),
                Rule(
                    "unique: column_0",
                    chance.random() > 0.03,
                    3,
                    "3 rows are there twice",
                    "warn",
                    [{"column_0": 3}] * 3,
                ),
            ],
            cpu=took * 0.8,
            memory=chance.randrange(10**8, 10**9),
            estimate=took * chance.uniform(0.5, 1.5),
            definition={"depends_on": inputs, "transform": {"steps": [{"sql": "SELECT *\nFROM df"}]}},
            fingerprint=f"{index:064x}",
            parts={"definition": "ab12", "code": "cd34"},
            writes=f"lake:{stages[stage]}/{name}.parquet" if stage == 5 else "",
        )
        if not node.rules[1].passed:
            node.warnings = ["unique: column_0: 3 rows are there twice"]
        nodes.append(node)
    _mark_critical(nodes)
    return _run("failed", nodes, max(free) + 0.1, workers=8)


def _mark_critical(nodes: list[NodeStory]) -> None:
    by_name = {node.name: node for node in nodes}
    at = max((node for node in nodes if node.finished is not None), key=lambda node: node.finished or 0.0)
    while True:
        at.critical = True
        before = [by_name[name] for name in at.depends_on if by_name[name].finished is not None]
        if not before:
            return
        at = max(before, key=lambda node: node.finished or 0.0)
