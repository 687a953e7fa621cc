"""The conformance suite on ``event``, with one event in a batch and with several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from odibi_triggers.conformance_events import EventSuite


class TestOne(EventSuite):
    pass


class TestSeveral(EventSuite):
    def options(self, place: Path) -> Mapping[str, Any]:
        return {**super().options(place), "max_events": 3}


class TestSigned(EventSuite):
    def options(self, place: Path) -> Mapping[str, Any]:
        return {**super().options(place), "secret": "s3cret", "signature": "github", "max_bytes": "64KiB"}


del EventSuite
