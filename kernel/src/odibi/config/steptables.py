"""Step tables of ODIBI CORE."""

from __future__ import annotations
from pathlib import Path
from odibi.config.tree import Table


def is_step_table(path: Path) -> bool:
    return False


def read_steps(path: Path, name: str) -> Table:
    raise NotImplementedError
