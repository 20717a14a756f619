"""An OpenTelemetry collector, and the SDK's exporters to it, one for each signal.

Only the protocol that is used is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace.export import SpanExporter

Protocol = Literal["http", "grpc"]

_LOGGERS: Mapping[Protocol, Mapping[str, str]] = {
    "http": {"metrics": "http.metric_exporter", "logs": "http._log_exporter", "traces": "http.trace_exporter"},
    "grpc": dict.fromkeys(("metrics", "logs", "traces"), "grpc.exporter"),
}


class NotInstalled(Exception):
    """The packages of the extra `otlp` are missing."""


@dataclass(frozen=True)
class Collector:
    """Where signals are pushed, with which headers, and whom to trust beside the authorities that are known."""

    endpoint: str
    protocol: Protocol = "http"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if urlsplit(self.endpoint).scheme not in ("http", "https"):
            raise ValueError(
                f'"{self.endpoint}" is no address of a collector; write http://HOST:PORT or https://HOST:PORT'
            )

    def metrics(self, timeout_s: float) -> MetricExporter:
        """Make the exporter of metrics. Raises NotInstalled."""
        try:
            if self.protocol == "grpc":
                from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc  # noqa: PLC0415 - an extra

                return grpc.OTLPMetricExporter(**self._grpc(timeout_s))
            from opentelemetry.exporter.otlp.proto.http import metric_exporter as http  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise self._missing() from error
        return http.OTLPMetricExporter(**self._http("metrics", timeout_s))

    def logs(self, timeout_s: float) -> LogRecordExporter:
        """Make the exporter of log records. Raises NotInstalled."""
        try:
            if self.protocol == "grpc":
                from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as grpc  # noqa: PLC0415 - an extra

                return grpc.OTLPLogExporter(**self._grpc(timeout_s))
            from opentelemetry.exporter.otlp.proto.http import _log_exporter as http  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise self._missing() from error
        return http.OTLPLogExporter(**self._http("logs", timeout_s))

    def spans(self, timeout_s: float) -> SpanExporter:
        """Make the exporter of spans. Raises NotInstalled."""
        try:
            if self.protocol == "grpc":
                from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc  # noqa: PLC0415 - an extra

                return grpc.OTLPSpanExporter(**self._grpc(timeout_s))
            from opentelemetry.exporter.otlp.proto.http import trace_exporter as http  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise self._missing() from error
        return http.OTLPSpanExporter(**self._http("traces", timeout_s))

    def logger(self, signal: str) -> str:
        """Return the name of the logger to which the SDK's exporter of a signal tells its troubles."""
        return f"opentelemetry.exporter.otlp.proto.{_LOGGERS[self.protocol][signal]}"

    def address(self, signal: str) -> str:
        """Return where a signal is posted: at the path that OTLP prescribes, or beside that of metrics if given."""
        if self.protocol == "grpc":
            return self.endpoint
        path = urlsplit(self.endpoint).path.strip("/")
        if path:
            return self.endpoint.replace("/v1/metrics", f"/v1/{signal}")
        return f"{self.endpoint.rstrip('/')}/v1/{signal}"

    def _missing(self) -> NotInstalled:
        return NotInstalled(f"OTLP over {self.protocol} needs more packages: pip install 'goldwatch[otlp]'")

    def _http(self, signal: str, timeout_s: float) -> dict[str, Any]:
        found = {"endpoint": self.address(signal), "headers": dict(self.headers), "timeout": timeout_s}
        return found | ({"certificate_file": str(self.ca_file)} if self.ca_file is not None else {})

    def _grpc(self, timeout_s: float) -> dict[str, Any]:
        metadata = tuple((name.lower(), value) for name, value in self.headers.items())
        found = {"endpoint": self.endpoint, "headers": metadata, "timeout": timeout_s}
        return found | ({"credentials": self._credentials} if self.ca_file is not None else {})

    @cached_property
    def _credentials(self) -> Any:  # noqa: ANN401 - grpcio has no types
        import grpc  # noqa: PLC0415 - an extra

        return grpc.ssl_channel_credentials(self.ca_file.read_bytes() if self.ca_file is not None else None)
