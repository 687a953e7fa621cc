"""The built-in operations on Spark frames."""

from __future__ import annotations

OPERATIONS: dict[str, str] = {}
"""What ``odibi_transforms`` registers: name to ``"module:Class"``."""
