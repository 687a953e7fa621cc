"""``python -m odibi``."""

from odibi.cli.main import entry

entry()
