"""Stories of Odibi's runs: what ran and why, how long it took, and what the data looked like."""

from __future__ import annotations

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"
