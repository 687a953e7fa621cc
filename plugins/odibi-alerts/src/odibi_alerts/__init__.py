"""Tells people of Odibi's runs, by Slack, Teams, webhooks and e-mail."""

from __future__ import annotations

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"
