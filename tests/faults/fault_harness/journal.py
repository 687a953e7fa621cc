"""What the journal of a disturbed run says, and what a run says that it did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fault_harness.processes import Ended


def read(project: Path) -> list[Any]:
    """All runs with their outcomes, newest first.

    It looks at a copy of the project: whoever opens a store that was not closed may repair it.

    Raises:
        OdibiError: the journal cannot be read.
    """
    import odibi

    with TemporaryDirectory() as scratch:
        copy = Path(scratch, "copy")
        shutil.copytree(project, copy, symlinks=True)
        with odibi.load(copy) as loaded:
            store = loaded.resources().checkpoints()
            assert store is not None, "the project keeps no journal"
            return [store.load(run.run_id) for run in store.runs()]


def finished_nodes(project: Path) -> set[str]:
    """The nodes that the newest run had finished, and said so, when it was disturbed."""
    runs = read(project)
    if not runs or runs[0].state == "succeeded":
        return set()
    return {record["node"] for record in runs[0].outcomes if record.get("state") == "succeeded"}


def executed_nodes(ended: Ended) -> set[str]:
    """The nodes that a run with ``--json`` ran, rather than take what was there."""
    summary = json.loads(ended.stdout.splitlines()[-1])
    return {
        node["node"] for run in summary["runs"] for node in run["nodes"] if node["state"] not in ("reused", "restored")
    }
