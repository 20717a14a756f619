"""A real receiver of OTLP over HTTP or gRPC, made from OpenTelemetry's own stubs."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import add_LogsServiceServicer_to_server
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import add_MetricsServiceServicer_to_server
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import add_TraceServiceServicer_to_server

from goldwatch.export.collector import Protocol

from tests.loopback import serving

Headers = dict[str, str]


class Received:
    """Keeps all spans and log records, and the last push of metrics, by name.

    `headers` and `resource` are those of the last push of each signal, by its name. It rejects `rejected` records of
    each push because of `why`, or answers `body` over HTTP.
    """

    def __init__(self) -> None:
        self.url = ""
        self.pushes = 0
        self.spans: list[Any] = []
        self.logs: list[Any] = []
        self.metrics: dict[str, Any] = {}
        self.headers: dict[str, Headers] = {}
        self.resource: dict[str, Mapping[str, Any]] = {}
        self.rejected = 0
        self.why = ""
        self.body: bytes | None = None
        self.content_type = "application/x-protobuf"

    def answer(self, signal: str) -> Any:
        """Return the answer, which rejects `rejected` records of a push because of `why`."""
        answers: dict[str, tuple[Any, str]] = {
            "traces": (traces.ExportTraceServiceResponse, "rejected_spans"),
            "metrics": (metrics.ExportMetricsServiceResponse, "rejected_data_points"),
            "logs": (logs.ExportLogsServiceResponse, "rejected_log_records"),
        }
        make, field = answers[signal]
        rejects = self.rejected or self.why
        return make(partial_success={field: self.rejected, "error_message": self.why}) if rejects else make()

    def take(self, signal: str, request: Any, headers: Headers) -> None:
        self.headers[signal] = headers
        resources = getattr(request, f"resource_{'spans' if signal == 'traces' else signal}")
        for resource in resources:
            self.resource[signal] = attributes(resource.resource)
        if signal == "traces":
            self.spans += [span for r in resources for scope in r.scope_spans for span in scope.spans]
        elif signal == "logs":
            self.logs += [record for r in resources for scope in r.scope_logs for record in scope.log_records]
        else:
            self.metrics = {m.name: m for r in resources for scope in r.scope_metrics for m in scope.metrics}
            self.pushes += 1

    def points(self, name: str) -> dict[tuple[str, ...], Any]:
        """Return the points of a metric by their attributes besides watch and target."""
        if name not in self.metrics:
            return {}
        found = getattr(self.metrics[name], self.metrics[name].WhichOneof("data")).data_points
        return {
            tuple(v for k, v in attributes(p).items() if k not in ("goldwatch.watch", "goldwatch.target")): p
            for p in found
        }

    def next(self) -> None:
        """Wait for a push of metrics that began after now."""
        before = self.pushes
        until(lambda: self.pushes >= before + 2, "nothing was pushed")  # the first may have been collected before

    def named(self, begin: str) -> list[Any]:
        return [span for span in self.spans if span.name.startswith(begin)]


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span, point or resource as plain values."""
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
        time.sleep(0.01)


@contextmanager
def receiver(protocol: Protocol) -> Iterator[Received]:
    """Receive until the end of the block."""
    with (_http if protocol == "http" else _grpc)() as found:
        yield found


@contextmanager
def _http() -> Iterator[Received]:
    received = Received()
    requests: dict[str, Any] = {
        "traces": traces.ExportTraceServiceRequest,
        "metrics": metrics.ExportMetricsServiceRequest,
        "logs": logs.ExportLogsServiceRequest,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            signal = self.path.removeprefix("/v1/")
            received.take(signal, requests[signal].FromString(body), {k.lower(): v for k, v in self.headers.items()})
            answer = received.answer(signal).SerializeToString() if received.body is None else received.body
            self.send_response(200)
            self.send_header("Content-Type", received.content_type)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}"
        with serving(server):
            yield received


class _Servicer:
    """Serves one signal; the stubs ask only for a method of this name."""

    def __init__(self, signal: str, received: Received) -> None:
        self._take, self._answer = partial(received.take, signal), partial(received.answer, signal)

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the stubs' name
        self._take(request, dict(context.invocation_metadata()))
        return self._answer()


@contextmanager
def _grpc() -> Iterator[Received]:
    received = Received()
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(_Servicer("traces", received), server)
    add_MetricsServiceServicer_to_server(_Servicer("metrics", received), server)
    add_LogsServiceServicer_to_server(_Servicer("logs", received), server)
    received.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield received
    finally:
        server.stop(None).wait()
