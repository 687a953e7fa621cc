"""The suite for this package's observer, with a collector on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from odibi.testing.observer import ObserverSuite
from odibi_metrics.receiver import Collector
from odibi_metrics.traces import OtelTraces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class OtelTracesSuite(ObserverSuite):
    """Of ``otel``, over HTTP."""

    component: ClassVar[type] = OtelTraces

    @pytest.fixture(autouse=True)
    def _collectors(self, place: Path) -> Iterator[None]:
        # There before the observer, as its thread is not one that the observer leaves behind.
        self._at: dict[Path, Collector] = {place: Collector()}
        yield
        for each in self._at.values():
            each.close()

    def options(self, place: Path) -> Mapping[str, Any]:
        """To the collector of the place."""
        if place not in self._at:
            self._at[place] = Collector()
        return {"endpoint": self._at[place].url, "timeout": 5.0}

    def told(self, place: Path) -> str:
        """All spans that came, as text."""
        return "\n".join(str(span) for span in self._at[place].spans()) if place in self._at else ""
