"""Tests of what a storage refuses, and of what is left when something goes wrong."""

from __future__ import annotations

from odibi.testing.storage_base import StorageBase


class RefusalTests(StorageBase):
    """Paths that are refused, and faults."""
