"""What the tests of the documentation share."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def readme(root: Path) -> str:
    """The text of README.md."""
    return (root / "README.md").read_text("utf-8")
