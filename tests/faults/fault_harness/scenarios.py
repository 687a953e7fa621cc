"""The projects that are disturbed, one a way to write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from fault_harness import FULL
from fault_harness.scenario import RUN, Output, Scenario

_HEAD = """\
project: Shop
connections:
  raw: {type: local, base_path: raw}
  lake: {type: local, base_path: lake}
  state: {type: local, base_path: state}
pipelines:
  - pipeline: daily
    nodes:
"""


def config(nodes: str, top: str = "") -> str:
    """A project file with these nodes in one pipeline.

    Args:
        nodes: as a YAML list.
        top: lines for the top of the file, such as ``checkpoints: ...``.
    """
    return top + _HEAD + "".join(f"      {line}\n" for line in nodes.strip("\n").splitlines())


def orders(first: int, last: int, *, day: int = 1, width: int = 5) -> Callable[[Path], None]:
    """Writes ``raw/orders.csv`` with the orders from ``first`` up to, and without, ``last``.

    Args:
        first, last: numbers of orders.
        day: makes the amounts of the same order others.
        width: of the customer's name, to make files larger than buffers.
    """

    def write(folder: Path) -> None:
        (folder / "raw").mkdir(exist_ok=True)
        rows = "".join(f"{at},{at * day},r{at % 3},c{at:0{width}d}\n" for at in range(first, last))
        (folder / "raw" / "orders.csv").write_text(f"id,amount,region,customer\n{rows}", encoding="utf-8")

    return write


CARELESS = """
- name: careless
  read: {connection: raw, path: orders.csv}
  transform: {steps: [{function: writes}]}
"""
"""A node that calls ``writes`` of ``transforms.py``, which may do to the disk what it likes."""

CSV = Scenario(
    "overwrite of a CSV file",
    config("""
- name: orders
  read: {connection: raw, path: orders.csv}
  write: {connection: lake, path: orders.csv}
"""),
    orders(0, 400),
    [Output("orders.csv")],
    change=orders(100, 600, day=2),
    earlier=1,
)

PARQUET = Scenario(
    "overwrite of a Parquet file, after SQL",
    config("""
- name: orders
  read: {connection: raw, path: orders.csv}
  transform: {steps: ["SELECT *, amount * 2 AS twice FROM df"]}
  write: {connection: lake, path: deep/er/orders.parquet}
"""),
    orders(0, 400),
    [Output("deep/er/orders.parquet")],
    change=orders(100, 600, day=2),
    earlier=1,
)

FIRST = Scenario(
    "first run in an empty lake",
    PARQUET.config,
    orders(0, 400),
    PARQUET.outputs,
)

BIG = Scenario(
    "overwrite of a Parquet file in chunks",
    config("""
- name: orders
  read: {connection: raw, path: orders.csv, chunk_rows: 400}
  transform: {steps: [{operation: derive, params: {columns: {twice: amount * 2}}}]}
  write: {connection: lake, path: orders.parquet, options: {compression: none, row_group_size: 400}}
"""),
    orders(0, 1000, width=700),
    [Output("orders.parquet")],
    change=orders(100, 1200, day=2, width=700),
    earlier=1,
)

APPEND = Scenario(
    "append of a part",
    config("""
- name: log
  read: {connection: raw, path: orders.csv}
  write: {connection: lake, path: log, format: parquet, mode: append}
"""),
    orders(0, 300),
    [Output("log")],
    change=orders(300, 500),
    earlier=1,
)

UPSERT = Scenario(
    "upsert by key",
    config("""
- name: table
  read: {connection: raw, path: orders.csv}
  write: {connection: lake, path: table.parquet, mode: upsert, keys: [id]}
"""),
    orders(0, 300),
    [Output("table.parquet")],
    change=orders(200, 500, day=3),
    earlier=1,
)

APPEND_ONCE = Scenario(
    "append of new keys",
    config("""
- name: table
  read: {connection: raw, path: orders.csv}
  write: {connection: lake, path: table.csv, mode: append_once, keys: [id]}
"""),
    orders(0, 300),
    [Output("table.csv")],
    change=orders(200, 500, day=3),
    earlier=1,
)

TWO_NODES = Scenario(
    "two nodes with an output each",
    config("""
- name: orders
  read: {connection: raw, path: orders.csv}
  validation:
    ranges: {amount: {max: 900}}
    on_fail: quarantine
    quarantine: {connection: lake, path: bad.parquet}
  write: {connection: lake, path: orders.parquet}
- name: regions
  depends_on: [orders]
  transform: {steps: ["SELECT region, sum(amount) AS amount FROM orders GROUP BY region"]}
  write: {connection: lake, path: gold/regions.csv}
"""),
    orders(0, 400),
    [Output("orders.parquet"), Output("bad.parquet", ignored=["_odibi_run"]), Output("gold/regions.csv")],
    change=orders(300, 600, day=2),
    earlier=1,
)

PARTITIONED = Scenario(
    "overwrite of a partitioned folder",
    config("""
- name: orders
  read: {connection: raw, path: orders.csv}
  write: {connection: lake, path: orders, format: parquet, partition_by: [region]}
"""),
    orders(0, 400),
    [Output("orders")],
    change=orders(100, 600, day=2),
    earlier=1,
)

WIDE = Scenario(
    "six nodes side by side",
    config(
        "".join(
            f"""
- name: out{at}
  read: {{connection: raw, path: orders.csv}}
  transform: {{steps: ["SELECT *, {at} AS copy FROM df WHERE id % 6 = {at}"]}}
  write: {{connection: lake, path: out{at}.parquet}}
""".rstrip()
            for at in range(6)
        )
    ),
    orders(0, 400),
    [Output(f"out{at}.parquet") for at in range(6)],
    change=orders(100, 600, day=2),
    earlier=1,
)


RESUME = (*RUN, "--resume", "--json")

ON_SQLITE = """\
checkpoints: {type: sqlite, path: state/runs.db}
cache: {type: disk, path: state/cache}
"""

ON_STORAGE = """\
checkpoints: {type: storage, connection: state}
cache: {type: storage, connection: state}
"""


def journalled(scenario: Scenario, stores: str, name: str) -> Scenario:
    """The same with a journal and a cache, so that a run goes on where the one before was killed.

    Args:
        scenario: without.
        stores: which; the lines of the project file.
        name: what the scenario is called.
    """
    return attrs.evolve(
        scenario,
        name=name,
        config=stores + scenario.config,
        resume=RESUME,
        again=(*RUN, "--json"),
        journal=True,
    )


_CHAIN = Scenario(
    "a chain with a fork and a join",
    config("""
- name: orders
  read: {connection: raw, path: orders.csv}
- name: clean
  depends_on: [orders]
  transform: {steps: ["SELECT id, amount, region FROM orders WHERE id % 7 <> 0"]}
- name: log
  depends_on: [clean]
  write: {connection: lake, path: log, format: parquet, mode: append}
- name: regions
  depends_on: [clean]
  transform: {steps: ["SELECT region, sum(amount) AS amount FROM clean GROUP BY region"]}
  write: {connection: lake, path: gold/regions.csv, mode: upsert, keys: [region]}
- name: shares
  depends_on: [clean, regions]
  transform:
    steps:
      - SELECT id, id % 2 AS bucket, clean.amount / regions.amount AS share FROM clean JOIN regions USING (region)
  write: {connection: lake, path: gold/shares, format: parquet, partition_by: [bucket]}
"""),
    orders(0, 300),
    [Output("log"), Output("gold/regions.csv"), Output("gold/shares")],
    change=orders(300, 500),
    earlier=1,
)

CHAIN = journalled(_CHAIN, ON_SQLITE, "a chain, journalled in SQLite")
CHAIN_ON_STORAGE = journalled(_CHAIN, ON_STORAGE, "a chain, journalled in a storage")
FIRST_JOURNALLED = journalled(FIRST, ON_SQLITE, "first run of all, journalled in SQLite")
FIRST_ON_STORAGE = journalled(FIRST, ON_STORAGE, "first run of all, journalled in a storage")
EVERY = (
    CSV,
    PARQUET,
    FIRST,
    BIG,
    APPEND,
    UPSERT,
    APPEND_ONCE,
    TWO_NODES,
    PARTITIONED,
    CHAIN,
    CHAIN_ON_STORAGE,
    FIRST_JOURNALLED,
    FIRST_ON_STORAGE,
)
ALL = EVERY if FULL else tuple(each for each in EVERY if each not in (FIRST, APPEND_ONCE))
"""What is tried; in a sample without those that do little that another does not do as well."""


def on_threads(scenario: Scenario) -> Scenario:
    """The same with nodes side by side; the order of calls then differs from run to run."""

    def threads(arguments: Sequence[str]) -> Sequence[str]:
        return ["threads" if word == "inline" else word for word in arguments]

    return attrs.evolve(
        scenario,
        name=f"{scenario.name}, on threads",
        arguments=threads(scenario.arguments),
        resume=threads(scenario.resume),
        again=threads(scenario.again),
    )


PARALLEL = (on_threads(TWO_NODES), on_threads(WIDE), on_threads(CHAIN))
