"""How measurements and spans get to a collector: OTLP over HTTP or gRPC, with the OpenTelemetry SDK's own exporters."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import attrs

from odibi.errors import OdibiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.resources import Resource

    from odibi.contracts.secret import Secret

Protocol = Literal["http", "grpc"]

PORTS = {"http": "http://127.0.0.1:4318", "grpc": "http://127.0.0.1:4317"}
"""Where a collector listens by default."""


@attrs.frozen
class Collector:
    """Where to send, and how.

    Attributes:
        endpoint: the address without a path of its own.
        protocol: ``http`` or ``grpc``.
        headers: sent with each request.
        timeout: seconds that one may take, all tries together.
    """

    endpoint: str
    protocol: Protocol
    headers: Mapping[str, Secret] = attrs.field(repr=False)
    timeout: float

    @property
    def address(self) -> str:
        """The endpoint, or the usual one of the protocol."""
        return (self.endpoint or PORTS[self.protocol]).rstrip("/")

    def exporter(self, what: Literal["metric", "trace"]) -> Any:
        """The SDK's exporter.

        Raises:
            OdibiError: the protocol's package is not installed.
        """
        name = "OTLPMetricExporter" if what == "metric" else "OTLPSpanExporter"
        try:
            module = import_module(f"opentelemetry.exporter.otlp.proto.{self.protocol}.{what}_exporter")
        except ImportError as error:
            raise OdibiError(
                f"the exporter for OTLP over {self.protocol} is not installed: {error}",
                where="odibi-metrics",
                remedy="pip install 'odibi-metrics[grpc]'",
            ) from error
        headers = {key.lower(): value.reveal() for key, value in self.headers.items()}
        make = getattr(module, name)
        if self.protocol == "http":
            path = "v1/metrics" if what == "metric" else "v1/traces"
            return make(endpoint=f"{self.address}/{path}", headers=headers, timeout=self.timeout)
        insecure = self.address.startswith("http://")
        return make(endpoint=self.address, insecure=insecure, headers=headers, timeout=self.timeout)


def resource(service: str, more: Mapping[str, str]) -> Resource:
    """What the measurements and spans are of; also what the environment says (``OTEL_RESOURCE_ATTRIBUTES``)."""
    from opentelemetry.sdk.resources import Resource

    return Resource.create({"service.name": service, **more})
