"""An OpenTelemetry collector, and the SDK's exporters to it, one for each signal.

Only the protocol that is used is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

from goldwatch.errors import GoldwatchError
from goldwatch.export.answers import Hear, attentive, session
from goldwatch.installation import install_command

if TYPE_CHECKING:
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

Protocol = Literal["http", "grpc"]

_PACKAGE = "opentelemetry.exporter.otlp.proto"
_EXPORTERS = {
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
    "traces": ("trace_exporter", "OTLPSpanExporter"),
}
"""The module and the class of each signal, the same under either protocol."""


@dataclass(frozen=True)
class Collector:
    """The address of pushed signals, their headers, and authorities to trust besides the system's."""

    endpoint: str
    protocol: Protocol = "http"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if urlsplit(self.endpoint).scheme not in ("http", "https"):
            raise ValueError(
                f'"{self.endpoint}" is no address of a collector; write http://HOST:PORT or https://HOST:PORT'
            )

    def metrics(self, timeout_s: float, hear: Hear) -> MetricExporter:
        """Make the exporter of metrics, which passes rejections on to `hear`. Raises GoldwatchError."""
        return cast("MetricExporter", self._made("metrics", timeout_s, hear))

    def logs(self, timeout_s: float, hear: Hear) -> LogRecordExporter:
        """Make the exporter of log records, which passes rejections on to `hear`. Raises GoldwatchError."""
        return cast("LogRecordExporter", self._made("logs", timeout_s, hear))

    def spans(self, timeout_s: float, hear: Hear) -> SpanExporter:
        """Make the exporter of spans, which passes rejections on to `hear`. Raises GoldwatchError."""
        return cast("SpanExporter", self._made("traces", timeout_s, hear))

    def logger(self, signal: str) -> str:
        """Return the name of the logger of the SDK's exporter of a signal."""
        return f"{_PACKAGE}.grpc.exporter" if self.protocol == "grpc" else f"{_PACKAGE}.http.{_EXPORTERS[signal][0]}"

    def address(self, signal: str) -> str:
        """Return where a signal is posted: at the path that OTLP prescribes, or next to that of metrics if given."""
        if self.protocol == "grpc":
            return self.endpoint
        path = urlsplit(self.endpoint).path.strip("/")
        if path:
            return self.endpoint.replace("/v1/metrics", f"/v1/{signal}")
        return f"{self.endpoint.rstrip('/')}/v1/{signal}"

    def _made(self, signal: str, timeout_s: float, hear: Hear) -> object:
        module, name = _EXPORTERS[signal]
        try:
            found = import_module(f"{_PACKAGE}.{self.protocol}.{module}")
        except ImportError as error:
            how = f"needs more packages: {install_command(f'opentelemetry-exporter-otlp-proto-{self.protocol}')}"
            raise GoldwatchError(f"OTLP over {self.protocol} {how}") from error
        if self.protocol == "grpc":
            return attentive(getattr(found, name), signal, hear)(**self._grpc(timeout_s))
        return getattr(found, name)(**self._http(signal, timeout_s), session=session(signal, hear))

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
