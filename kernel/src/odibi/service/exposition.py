"""How the service is doing, as Prometheus reads it.

The text format, version 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from odibi.service.counts import Histogram
    from odibi.service.service import Service

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STATES = ("waiting", "running", "queued", "retrying", "paused", "broken")
"""The states of streams; each is told also where no stream is in it, as of what is absent nobody is alerted."""

Labels = tuple[tuple[str, str], ...]


def exposition(service: Service) -> str:
    """All metrics of a service."""
    counted = service.counts.read()
    streams = service.status()
    states = {**dict.fromkeys(STATES, 0), **Counter(stream.state for stream in streams)}
    following = {(it.project, it.name): it.next for it in streams if it.next is not None}
    lines = [
        *_family("odibi_service_leading", "gauge", "Whether the service serves all of its projects."),
        _sample("odibi_service_leading", (), int(service.leading)),
        *_family("odibi_service_runs_running", "gauge", "Runs that go on."),
        _sample("odibi_service_runs_running", (), service.running),
        *_family("odibi_service_streams", "gauge", "Streams by how they are doing."),
        *(_sample("odibi_service_streams", (("state", state),), count) for state, count in states.items()),
        *_family("odibi_stream_next_seconds", "gauge", "When a schedule comes up next, in seconds since the epoch."),
        *_by("odibi_stream_next_seconds", ("project", "stream"), following),
        *_family("odibi_service_runs_total", "counter", "Runs that have ended, by how."),
        *_by("odibi_service_runs_total", ("project", "pipeline", "state"), counted.runs),
        *_family("odibi_service_run_duration_seconds", "histogram", "How long runs took."),
    ]
    for (project, pipeline), taken in sorted(counted.durations.items()):
        labels = (("project", project), ("pipeline", pipeline))
        lines += _histogram("odibi_service_run_duration_seconds", labels, taken)
    lines += [
        *_family("odibi_service_batches_total", "counter", "Attempts at batches that have ended, by what they meant."),
        *_by("odibi_service_batches_total", ("project", "stream", "verdict"), counted.attempts),
        *_family("odibi_service_batches_given_up_total", "counter", "Batches that were given up, or passed over."),
        *_by("odibi_service_batches_given_up_total", ("project", "stream"), counted.given_up),
        *_family("odibi_service_dispatch_delay_seconds", "histogram", "How long after their moments runs began."),
        *_histogram("odibi_service_dispatch_delay_seconds", (), counted.delays),
    ]
    return "\n".join(lines) + "\n"


def _family(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _by(name: str, labels: tuple[str, ...], found: Mapping[Any, float]) -> Iterator[str]:
    """A series for each key, which are the values of the labels."""
    for values, value in sorted(found.items()):
        yield _sample(name, tuple(zip(labels, values, strict=True)), value)


def _histogram(name: str, labels: Labels, found: Histogram) -> Iterator[str]:
    for bound, count in found.buckets:
        yield _sample(f"{name}_bucket", (*labels, ("le", repr(bound))), count)
    yield _sample(f"{name}_bucket", (*labels, ("le", "+Inf")), found.count)
    yield _sample(f"{name}_sum", labels, found.total)
    yield _sample(f"{name}_count", labels, found.count)


def _sample(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{label}="{escaped(text)}"' for label, text in labels)
    return f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}"


def escaped(text: str) -> str:
    """The value of a label as it stands between its quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
