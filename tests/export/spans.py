"""Receivers of traces and metrics over OTLP, made from OpenTelemetry's own stubs."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from goldwatch.export.collector import Protocol

from tests.loopback import serving


class Spans:
    """Keeps all spans, and the last push of each metric."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Any] = []
        self.resource: Mapping[str, str] = {}
        self.metrics: dict[str, Any] = {}

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.resource = {a.key: a.value.string_value for a in resource.resource.attributes}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        for resource in request.resource_metrics:
            self.metrics |= {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}

    def named(self, begin: str) -> list[Any]:
        return [span for span in self.spans if span.name.startswith(begin)]


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span or point as plain values."""
    found = {}
    for each in of.attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        found[each.key] = [v.string_value for v in value.values] if kind == "array_value" else value
    return found


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextmanager
def receiver(protocol: Protocol) -> Iterator[Spans]:
    """Receive until the end of the block."""
    with (_http if protocol == "http" else _grpc)() as found:
        yield found


@contextmanager
def _http() -> Iterator[Spans]:
    received = Spans()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            if self.path == "/v1/traces":
                received.take(ExportTraceServiceRequest.FromString(body))
            elif self.path == "/v1/metrics":
                received.take_metrics(ExportMetricsServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}"
        with serving(server):
            yield received


@contextmanager
def _grpc() -> Iterator[Spans]:
    received = Spans()

    class Traces(TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the stub's name
            received.take(request)
            return ExportTraceServiceResponse()

    class Metrics(MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the stub's name
            received.take_metrics(request)
            return ExportMetricsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(Traces(), server)
    add_MetricsServiceServicer_to_server(Metrics(), server)
    add_LogsServiceServicer_to_server(LogsServiceServicer(), server)
    received.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield received
    finally:
        server.stop(None).wait()
