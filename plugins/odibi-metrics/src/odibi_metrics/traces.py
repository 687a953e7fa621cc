"""The observer for ``type: otel``: a run as a trace, a span for itself and one for each node."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.executor import State
from odibi.contracts.options import option
from odibi.contracts.secret import Secret
from odibi.events import (
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeWarned,
    PluginFailed,
    RunFinished,
    RunStarted,
    StepFinished,
)
from odibi_metrics.addresses import plain_url, seconds
from odibi_metrics.otlp import Collector, Protocol, resource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

    from odibi.events import Event

LONGEST = 8192
"""Characters of an attribute; what is longer is cut off."""

QUEUE = 65_536
"""So many spans may wait to be sent; further ones are dropped, as a collector that is slow must not fill the memory."""

BATCH = 512
"""So many are sent at once; OpenTelemetry's own number."""


class _Run:
    """The spans of one run that goes on."""

    def __init__(self, tracer: Tracer, event: RunStarted, scrub: Callable[[Any], Any]) -> None:
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carried = {name: os.environ.get(name.upper(), "") for name in ("traceparent", "tracestate")}
        self._tracer = tracer
        self._scrub = scrub
        self._offset = int(event.wall * 1e9) - event.monotonic
        self.span = tracer.start_span(
            self.text(f"run {event.pipeline}"),
            context=TraceContextTextMapPropagator().extract({name: value for name, value in carried.items() if value}),
            start_time=self.at(event.monotonic),
            attributes=self.said(
                {"run_id": event.run_id, "project": event.project, "pipeline": event.pipeline, "nodes": event.nodes,
                 "workers": event.workers, "resumes": event.resumes}
            ),
        )  # fmt: skip
        self._parent = set_span_in_context(self.span)
        self._nodes: dict[str, Span] = {}

    def at(self, monotonic: int) -> int:
        """Nanoseconds since the epoch."""
        return self._offset + monotonic

    def text(self, value: object) -> str:
        """Without secrets, and as UTF-8 can hold it."""
        return str(self._scrub(str(value))).encode("utf-8", "replace").decode("utf-8")[:LONGEST]

    def said(self, values: Mapping[str, object]) -> dict[str, Any]:
        """Attributes, without those that say nothing."""
        return {
            f"odibi.{name}": value if isinstance(value, int | float) else self.text(value)
            for name, value in values.items()
            if value is not None and value != ""
        }

    def started(self, event: NodeStarted) -> None:
        """An attempt at a node begins."""
        span = self._nodes.get(event.node)
        if span is None:
            span = self._nodes[event.node] = self._begin(event.node, self.at(event.monotonic))
        span.add_event(
            "attempt", self.said({"attempt": event.attempt, "worker": event.worker}), self.at(event.monotonic)
        )

    def on_node(self, event: Any, name: str, values: Mapping[str, object]) -> None:
        """Something happened to a node."""
        self._nodes.get(event.node, self.span).add_event(name, self.said(values), self.at(event.monotonic))

    def on_run(self, event: Event, name: str, values: Mapping[str, object]) -> None:
        """Something happened to the run."""
        self.span.add_event(name, self.said(values), self.at(event.monotonic))

    def exception(self, span: Span, error: BaseException, monotonic: int) -> None:
        """An exception as OpenTelemetry records it, without the stack: it may quote rows of data."""
        said = {"exception.type": type(error).__qualname__, "exception.message": self.text(error)}
        span.add_event("exception", said, self.at(monotonic))

    def retried(self, event: NodeRetried) -> None:
        """An attempt failed, and another follows."""
        self.exception(self._nodes.get(event.node, self.span), event.error, event.monotonic)
        self.on_node(event, "retry", {"attempt": event.attempt, "delay": event.delay})

    def settled(self, event: NodeFinished) -> None:
        """A node has its outcome."""
        from opentelemetry.trace import Status, StatusCode

        outcome = event.outcome
        span = self._nodes.pop(event.node, None)
        if span is None:
            span = self._begin(event.node, self.at(outcome.started or event.monotonic))
        info, write = outcome.info, outcome.write
        for name, value in self.said(
            {
                "outcome": outcome.state.value,
                "attempts": outcome.attempts,
                "worker": outcome.worker,
                "reason": outcome.reason,
                "rows": info.rows if info is not None else None,
                "written_bytes": write.bytes if write is not None else None,
                "quarantined": outcome.quarantined or None,
            }
        ).items():
            span.set_attribute(name, value)
        if outcome.error is not None:
            self.exception(span, outcome.error, event.monotonic)
        if outcome.state is State.FAILED:
            span.set_status(Status(StatusCode.ERROR, self.text(outcome.error or outcome.reason)))
        span.end(self.at(outcome.finished or event.monotonic))

    def finished(self, event: RunFinished) -> None:
        """The run is over."""
        from opentelemetry.trace import Status, StatusCode

        self.span.set_attribute("odibi.state", self.text(event.state))
        for outcome, count in event.counts.items():
            self.span.set_attribute(f"odibi.nodes.{outcome}", count)
        if event.state != "succeeded":
            self.span.set_status(Status(StatusCode.ERROR, self.text(event.state)))
        self.end(self.at(event.monotonic))

    def end(self, when: int | None = None) -> None:
        """End what goes on: all of it, if the run was cut off."""
        for span in self._nodes.values():
            span.end(when)
        self._nodes.clear()
        if self.span.is_recording():
            self.span.end(when)

    def _begin(self, node: str, when: int) -> Span:
        attributes = self.said({"node": node})
        return self._tracer.start_span(self.text(f"node {node}"), self._parent, attributes=attributes, start_time=when)


@attrs.define(eq=False)
class OtelTraces:
    """Tells an OpenTelemetry collector of runs, as traces.

    A run that is started with ``TRACEPARENT`` in its environment, as W3C defines it, is a part of that trace. Attempts,
    steps and retries are events of a node's span; exceptions are recorded without stack traces, which may quote data.
    There is no global tracer provider, and nobody else's spans are sent.
    """

    endpoint: str = option(
        "", help="The collector's address; by default the usual port of this machine.", validator=plain_url
    )
    protocol: Protocol = option(  # noqa: RUF009
        "http", help="'http', or 'grpc', which needs the package's extra of that name."
    )
    headers: dict[str, Secret] = option(  # noqa: RUF009
        factory=dict, help="Sent with each request, such as 'authorization'."
    )
    timeout: float = option(5.0, help="Seconds that sending may take, all tries together.", validator=seconds)
    service: str = option("odibi", help="The service's name.")
    resource: dict[str, str] = option(  # noqa: RUF009
        factory=dict, help="Further attributes of the spans, by name."
    )
    _provider: Any = attrs.field(default=None, init=False, repr=False)
    _run: Any = attrs.field(default=None, init=False, repr=False)

    def handle(self, event: Event) -> None:
        """Take one event; spans are sent by a thread of the SDK."""
        if isinstance(event, RunStarted):
            self._begin(event)
            return
        run: _Run | None = self._run
        if run is None:
            return
        if isinstance(event, NodeStarted):
            run.started(event)
        elif isinstance(event, NodeFinished):
            run.settled(event)
        elif isinstance(event, StepFinished):
            said = {"step": event.step, "position": event.position, "duration": event.duration, "rows": event.rows}
            run.on_node(event, "step", said)
        elif isinstance(event, NodeRetried):
            run.retried(event)
        elif isinstance(event, NodeWarned):
            run.on_node(event, "warning", {"message": event.message})
        elif isinstance(event, PluginFailed):
            run.on_run(event, "plugin failed", {"plugin": event.plugin, "hook": event.hook, "error": event.error})
        elif isinstance(event, RunFinished):
            run.finished(event)
            self._run = None
            self._provider.force_flush(int(self.timeout * 1000))  # who looks when a run is over finds it there

    def close(self) -> None:
        """Send what waits, and let go of the connection; the next run makes another one."""
        run, self._run = self._run, None
        if run is not None:
            run.end()
        provider, self._provider = self._provider, None
        if provider is not None:
            provider.shutdown()

    def _begin(self, event: RunStarted) -> None:
        from odibi_metrics import __version__

        if self._run is not None:
            self._run.end()
        if self._provider is None:
            self._provider = self._made()
        scrub = event.facts.scrub if event.facts is not None else _as_it_is
        self._run = _Run(self._provider.get_tracer("odibi", __version__), event, scrub)

    def _made(self) -> TracerProvider:
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = Collector(self.endpoint, self.protocol, self.headers, self.timeout).exporter("trace")
        provider = TracerProvider(
            resource=resource(self.service, self.resource),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attribute_length=LONGEST),
        )
        provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE,
                max_export_batch_size=BATCH,
                export_timeout_millis=self.timeout * 1000,
            )
        )
        return provider


def _as_it_is(value: Any) -> Any:
    return value
