"""The suite for this package's observer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.testing.observer import ObserverSuite
from odibi_story.observer import StoryObserver

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class StorySuite(ObserverSuite):
    """Of ``story``; what it tells are the files that it writes."""

    component = StoryObserver

    def options(self, place: Path) -> Mapping[str, Any]:
        """Stories go to the place itself."""
        return {"path": str(place)}
