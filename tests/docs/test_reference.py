"""The reference says what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_reference_is_as_the_code_would_write_it(root: Path) -> None:
    done = subprocess.run([sys.executable, root / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_page_of_the_reference_is_generated(root: Path) -> None:
    for path in (root / "docs" / "reference").iterdir():
        if path.suffix == ".md":
            assert "<!-- Written by docs/generate.py; change the code instead. -->" in path.read_text("utf-8"), path
