"""What the tests of both components share."""

from __future__ import annotations

import sys
from pathlib import Path

# Other processes import the storages of these tests, too, so they are a module and no fixtures.
sys.path.insert(0, str(Path(__file__).parent))
