"""Pushing over TLS, to collectors of both protocols whose certificate is known, or not."""

from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)

from goldwatch.export import measurement as m
from goldwatch.export.collector import Collector, Protocol
from goldwatch.export.otlp import OtlpExporter, Pushing

from tests.loopback import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl"),
]


@pytest.fixture
def http_collector(certificate: Path) -> Iterator[tuple[str, list[str]]]:
    came: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            came.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass  # a client that does not trust us ends the handshake

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        with serving(server):
            yield f"https://127.0.0.1:{server.server_port}", came


@pytest.fixture
def grpc_collector(certificate: Path) -> Iterator[tuple[str, list[str]]]:
    came: list[str] = []

    class Servicer(MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the stub's name
            came.append("metrics")
            return ExportMetricsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    add_MetricsServiceServicer_to_server(Servicer(), server)
    pair = (certificate.with_name("key.pem").read_bytes(), certificate.read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    yield f"https://127.0.0.1:{port}", came
    server.stop(None).wait()


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("trusted", ["by the environment", "by its file", ""])
def test_a_collector_is_told_only_if_its_certificate_is_trusted(
    protocol: Protocol,
    trusted: str,
    certificate: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, came = request.getfixturevalue(f"{protocol}_collector")
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # they come before OpenTelemetry's own
        monkeypatch.delenv(variable, raising=False)
    if trusted == "by the environment":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(certificate))
    failed: list[str] = []
    ca_file = certificate if trusted == "by its file" else None
    exporter = OtlpExporter(Collector(url, protocol, ca_file=ca_file), Pushing(6.0, failed=failed.append))
    exporter.publish(m.of_build("1.2.3"))
    until(lambda: came or failed, "neither arrival nor failure was told")
    exporter.close()
    assert bool(came) == bool(trusted), failed
