"""Tells OpenLineage which datasets Odibi's runs read and write."""

from __future__ import annotations

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"
