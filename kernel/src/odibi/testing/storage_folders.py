"""Tests of a storage whose folders can be replaced in one step."""

from __future__ import annotations

from odibi.testing.storage_base import StorageBase


class FolderTests(StorageBase):
    """Replacing folders."""
