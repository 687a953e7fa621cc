"""The suites for this package's sinks that keep what they are told."""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from odibi.testing.metric import Key, MetricSuite, Value, key
from odibi_metrics.memory import MemorySink
from odibi_metrics.prometheus import PrometheusSink

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from odibi.contracts.metric import MetricSink


class _FileSuite(MetricSuite):
    """Of a sink that writes a file."""

    name: ClassVar[str]

    @contextmanager
    def blocked(self, place: Path) -> Iterator[MetricSink]:
        """The file that is written beside the last one is a pipe that nobody reads."""
        pipe = place / f".{self.name}.{os.getpid()}"
        os.mkfifo(pipe)
        subject = self.make(place)
        try:
            yield subject
        finally:
            # Opened for reading and writing, a pipe waits for nobody, and lets the writer that waits go on.
            reader = os.open(pipe, os.O_RDWR)
            drain = threading.Thread(target=_read_until_gone, args=(reader, pipe), daemon=True)
            drain.start()
            drain.join(20)
            os.close(reader)


class MemorySuite(_FileSuite):
    """Of ``memory``, with a file."""

    component: ClassVar[type] = MemorySink
    name: ClassVar[str] = "metrics.json"

    def options(self, place: Path) -> Mapping[str, Any]:
        """A file in the place."""
        return {"file": str(place / self.name)}

    def delivered(self, place: Path) -> Mapping[Key, Value]:
        """What is in the file."""
        rows = json.loads((place / self.name).read_text(encoding="utf-8"))
        return {
            key(row["name"], row["labels"]): row["value"] if "value" in row else (row["count"], row["sum"])
            for row in rows
        }


class PrometheusSuite(_FileSuite):
    """Of ``prometheus``, with a file for node_exporter; read as Prometheus' own library reads it."""

    component: ClassVar[type] = PrometheusSink
    name: ClassVar[str] = "odibi.prom"

    def options(self, place: Path) -> Mapping[str, Any]:
        """A file in the place, and a port."""
        return {"textfile": str(place / self.name), "port": 0}

    def read(self, subject: MetricSink) -> Mapping[Key, Value]:
        """What a scrape shows."""
        assert isinstance(subject, PrometheusSink)
        names = {row["name"] for row in subject.export()}
        return {_recorded(each, names): value for each, value in parsed(subject.scrape()).items()}

    def delivered(self, place: Path) -> Mapping[Key, Value]:
        """What is in the file."""
        return parsed((place / self.name).read_text(encoding="utf-8"))


def parsed(text: str) -> dict[Key, Value]:
    """Series by name and labels, of Prometheus' text format."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[Key, Value] = {}
    for family in text_string_to_metric_families(text):
        halves: dict[Key, dict[str, float]] = {}
        for sample in family.samples:
            if family.type != "histogram":
                found[key(sample.name, sample.labels)] = sample.value
            elif not sample.name.endswith("_bucket"):
                name, _, half = sample.name.rpartition("_")
                halves.setdefault(key(name, sample.labels), {})[half] = sample.value
        found |= {each: (half["count"], half["sum"]) for each, half in halves.items()}
    return found


def _recorded(found: Key, names: set[str]) -> Key:
    """Prometheus calls a counter ``..._total``, also one that was recorded under another name."""
    name, labels = found
    return (name if name in names else name.removesuffix("_total"), labels)


def _read_until_gone(reader: int, pipe: Path) -> None:
    os.set_blocking(reader, False)
    waiting = threading.Event()
    while pipe.exists():
        try:
            os.read(reader, 1 << 16)
        except BlockingIOError:
            waiting.wait(0.005)
