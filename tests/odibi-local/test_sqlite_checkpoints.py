"""The SQLite checkpoint store keeps what the contract promises."""

from __future__ import annotations

from odibi_local.conformance import SqliteCheckpointsSuite


class TestContract(SqliteCheckpointsSuite):
    pass
