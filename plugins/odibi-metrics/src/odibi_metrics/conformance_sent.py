"""The suites for this package's sinks that send what they are told, with the other end on this machine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from odibi.testing.metric import Key, MetricSuite, Value
from odibi_metrics.otel import OtelSink
from odibi_metrics.receiver import Collector, StatsdServer
from odibi_metrics.statsd import StatsdSink

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from odibi.contracts.metric import MetricSink


class OtelSuite(MetricSuite):
    """Of ``otel``, over HTTP; read where it was sent."""

    component: ClassVar[type] = OtelSink

    @pytest.fixture(autouse=True)
    def _collectors(self) -> Iterator[None]:
        self._at: dict[Path, Collector] = {}
        yield
        for each in self._at.values():
            each.close()

    def options(self, place: Path) -> Mapping[str, Any]:
        """To the collector of the place."""
        if place not in self._at:
            self._at[place] = Collector()
        return {"endpoint": self._at[place].url, "timeout": 2.0}

    def delivered(self, place: Path) -> Mapping[Key, Value]:
        """What has come."""
        return self._at[place].values()

    @contextmanager
    def blocked(self, place: Path) -> Iterator[MetricSink]:
        """The collector does not answer."""
        subject: MetricSink = self.make(place)
        self._at[place].free.clear()
        try:
            yield subject
        finally:
            self._at[place].free.set()


class StatsdSuite(MetricSuite):
    """Of ``statsd``, with tags; a datagram is on its way once it is sent, so nothing can hold it up."""

    component: ClassVar[type] = StatsdSink

    @pytest.fixture(autouse=True)
    def _servers(self) -> Iterator[None]:
        self._at: dict[Path, StatsdServer] = {}
        yield
        for each in self._at.values():
            each.close()

    def options(self, place: Path) -> Mapping[str, Any]:
        """To the server of the place."""
        if place not in self._at:
            self._at[place] = StatsdServer()
        return {"port": self._at[place].port, "tags": "dogstatsd"}

    def delivered(self, place: Path) -> Mapping[Key, Value]:
        """What has come."""
        return self._at[place].values()
