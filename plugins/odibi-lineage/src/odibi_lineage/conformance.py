"""The suite for this package's observer, which writes to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from odibi.testing.observer import ObserverSuite
from odibi_lineage.observer import OpenLineage
from odibi_lineage.outbox import settle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class OpenLineageSuite(ObserverSuite):
    """Of ``openlineage``."""

    component: ClassVar[type] = OpenLineage

    def options(self, place: Path) -> Mapping[str, Any]:
        """To a file in the place."""
        return {"transport": "file", "path": str(place / "events.jsonl")}

    def told(self, place: Path) -> str:
        """What is in the file once all is: the client alone takes longer to import than a run takes here."""
        assert settle(60)
        return super().told(place)
