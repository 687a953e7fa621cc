"""A project file with many SQL nodes, and scripts of others that have a graph of the same form."""

from __future__ import annotations

from pathlib import Path

from benchmarks.shapes import Shape

WRITES = 5
"""How many of the nodes are written to files."""


def write_project(shape: Shape, folder: Path, *, kept: bool = True) -> Path:
    """A project of SQL nodes in the form of ``shape``, over one CSV file that its first node reads.

    Args:
        shape: nodes without inputs take the source.
        folder: where to write.
        kept: with a cache and a checkpoint store.

    Returns:
        The project file.
    """
    (folder / "data").mkdir(parents=True, exist_ok=True)
    rows = "\n".join(f"{at},{at * 7 % 100}.5,word {at % 10}" for at in range(100))
    (folder / "data" / "source.csv").write_text(f"id,x,word\n{rows}\n", "utf-8")
    lines = [
        "project: benchmark",
        "engine: pandas",
        "connections:",
        "  data: {type: local, base_path: ./data}",
        *(["cache: {type: disk, path: ./kept/cache}"] * kept),
        *(["checkpoints: {type: sqlite, path: ./kept/runs.db}"] * kept),
        "pipelines:",
        "  - pipeline: all",
        "    nodes:",
        "      - name: source",
        "        read: {connection: data, path: source.csv, format: csv}",
    ]
    leaves = shape.leaves()
    written = set(leaves[:: max(1, len(leaves) // WRITES)][:WRITES])
    for at, sources in enumerate(shape.inputs):
        names = [f"n{source}" for source in sources] or ["source"]
        head, *rest = names
        joins = "".join(f" JOIN {name} USING (id)" for name in rest)
        lines += [
            f"      - name: n{at}",
            f"        depends_on: [{', '.join(names)}]",
            "        transform:",
            "          steps:",
            f"            - sql: SELECT id, {head}.x + {at} AS x FROM {head}{joins}",
        ]
        if at in written:
            lines.append(f"        write: {{connection: data, path: out/n{at}.parquet, format: parquet}}")
    path = folder / "odibi.yaml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


JOBLIB = """\
import joblib
import program

INPUTS = {inputs!r}
memory = joblib.Memory("joblib", verbose=0)
values = []
for at, sources in enumerate(INPUTS):
    values.append(memory.cache(getattr(program, f"n{{at}}"))(*[values[source] for source in sources]))
"""

HAMILTON = """\
from hamilton import base, driver
import program

built = driver.Builder().with_modules(program).with_adapters(base.DictResult()).with_cache(path="hamilton").build()
built.execute({leaves!r})
"""

ODIBI = """\
import odibi
import program

pipeline = odibi.Pipeline(
    "benchmark",
    [getattr(program, f"n{{at}}") for at in range({count})],
    engine=None,
    cache={{"type": "disk", "path": "kept/cache"}},
    checkpoints={{"type": "sqlite", "path": "kept/runs.db"}},
)
pipeline.run(workers=1)
"""

DOIT = """\
import json
from pathlib import Path
import program

INPUTS = {inputs!r}
DOIT_CONFIG = {{"verbosity": 0}}


def make(at):
    values = [json.loads(Path(f"made/n{{source}}").read_text()) for source in INPUTS[at]]
    Path(f"made/n{{at}}").write_text(json.dumps(getattr(program, f"n{{at}}")(*values)))


def task_node():
    for at, sources in enumerate(INPUTS):
        yield {{
            "name": f"n{{at}}",
            "actions": [(make, [at])],
            "file_dep": [f"made/n{{source}}" for source in sources] or [f"given/n{{at}}"],
            "targets": [f"made/n{{at}}"],
        }}
"""
