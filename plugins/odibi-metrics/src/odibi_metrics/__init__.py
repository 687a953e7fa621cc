"""What runs of Odibi measure, kept in memory or sent to Prometheus, OpenTelemetry or StatsD."""

from __future__ import annotations

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"
