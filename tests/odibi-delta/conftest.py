"""A lake in a folder of the test's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def lake(tmp_path):
    """Tables in a folder that is not there yet."""
    from arrow_tables import Lake

    return Lake(tmp_path / "lake")
