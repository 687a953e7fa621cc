"""The SQLite checkpoint store keeps what the contract promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from odibi.testing.checkpoint import CheckpointSuite
from odibi_local.checkpoints import SqliteCheckpoints


class TestContract(CheckpointSuite):
    component = SqliteCheckpoints

    def options(self, place: Path) -> dict[str, Any]:
        return {"path": str(place / "runs.db")}
