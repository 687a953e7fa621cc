"""Tests of a storage that many use at once."""

from __future__ import annotations

from odibi.testing.storage_base import StorageBase


class RaceTests(StorageBase):
    """Compare-and-set and atomic writes."""
