"""What this package offers keeps its contracts."""

from __future__ import annotations

from odibi_local.conformance import LocalStorageSuite


class TestLocalStorage(LocalStorageSuite):
    pass
