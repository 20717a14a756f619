"""Servers on Unix sockets, over HTTP and gRPC, and addresses that are none."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import pytest

from goldwatch.config.targets import _is_server
from goldwatch.probe import CannotLoad, Context, Unreachable
from goldwatch_probes._remote import split_url
from goldwatch_probes.open_inference_grpc import OpenInferenceGrpc
from goldwatch_probes.openai_api import OpenAI

from tests.probes.conftest import INPUTS, expected_outputs
from tests.probes.model_servers import OnnxModel, V2Grpc
from tests.probes.test_open_inference_grpc import PROTO


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._say({"data": [{"id": "m"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._say({"data": [{"index": 0, "embedding": [1.0, 2.0]}], "path": self.path})

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass

    def _say(self, value: object) -> None:
        self.server.asked.append((self.path, self.headers["Host"]))  # type: ignore[attr-defined]
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def __init__(self, path: str) -> None:
        self.asked: list[tuple[str, str]] = []
        super().__init__(path, Handler)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[UnixServer]:
    with UnixServer(str(tmp_path / "m.sock")) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_http_over_a_unix_socket(server: UnixServer) -> None:
    options = OpenAI.Options(url=f"unix:{server.server_address}:/v1?api-version=2", api="embeddings")
    probe = OpenAI(options, Context(5.0))
    probe.open()
    request = probe.encode({"prompt": np.array(["hello"], dtype=object)})
    answer = probe.predict(request)
    assert probe.decode(answer)["embedding"].tolist() == [[1.0, 2.0]]
    sent_ns, came_ns = probe.times_ns(answer)
    assert sent_ns < came_ns
    assert server.asked == [
        ("/v1/models?api-version=2", "localhost"),
        ("/v1/embeddings?api-version=2", "localhost"),
    ]
    probe.close()


def test_grpc_over_a_unix_socket(tmp_path: Path, model_file: Path) -> None:
    service = V2Grpc({"tiny": OnnxModel(model_file)}, PROTO)
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=(service.handlers(grpc),))
    server.add_insecure_port(f"unix:{tmp_path}/g.sock")
    server.start()
    probe = OpenInferenceGrpc(OpenInferenceGrpc.Options(url=f"unix://{tmp_path}/g.sock", model="tiny"), Context(10.0))
    probe.open()
    found = probe.decode(probe.predict(probe.encode(INPUTS)))
    np.testing.assert_allclose(found["scores"], expected_outputs()["scores"], rtol=1e-5)
    probe.close()
    server.stop(None).wait()


def test_no_server_listens(tmp_path: Path) -> None:
    probe = OpenAI(OpenAI.Options(url=f"unix:{tmp_path}/none.sock:/v1"), Context(5.0))
    with pytest.raises(Unreachable, match=r"none\.sock:/v1/models: No such file or directory"):
        probe.open()


@pytest.mark.parametrize("url", ["unix:", "unix:m.sock", "unix:/m.sock:v1", "unix:/m\n.sock", f"unix:/{'x' * 107}"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(CannotLoad, match="`url`"):
        split_url(url)


@pytest.mark.parametrize("url", ["unix:/m.sock", "unix:///m.sock", "unix:/m.sock:/", "unix:/m.sock:"])
def test_the_forms_of_an_address(url: str) -> None:
    assert split_url(url) == (False, "localhost", 80, "", "", "/m.sock")


def test_a_config_takes_one() -> None:
    assert _is_server("unix:/run/m.sock:/v1")
    assert not _is_server("unix:m.sock")
