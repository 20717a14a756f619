"""A tiny ONNX model, a demo server that really serves it, and a server that misbehaves as told."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.probes.formats import Formats

pytest.register_assert_rewrite("goldwatch.testing.conformance")

WEIGHTS = np.array([[1, -1, 0.5], [0, 2, -1]], dtype=np.float32)
INPUTS = {"x": np.array([[1, 2], [3, -4], [0.5, 0.25], [-1, 0]], dtype=np.float32)}


def write_model(file: Path, *, weights: np.ndarray = WEIGHTS, batch: int | str = "batch", version: str = "7") -> Path:
    """Scores = x @ weights, and which of them is the largest."""
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 3]),
            helper.make_tensor_value_info("label", TensorProto.INT64, [batch]),
        ],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"version": version})
    onnx.save(model, file)
    return file


def expected_outputs() -> dict[str, np.ndarray]:
    scores = INPUTS["x"] @ WEIGHTS
    return {"scores": scores, "label": scores.argmax(axis=1)}


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@contextmanager
def demo_server(*arguments: str) -> Iterator[str]:
    """Start a demo server, give its address, and check that SIGTERM ends it cleanly."""
    command = [sys.executable, "-m", "goldwatch.demo.server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0


@pytest.fixture(scope="session")
def address(model_file: Path) -> Iterator[str]:
    with demo_server("--model", f"tiny={model_file}") as at:
        yield at


METADATA = {
    "name": "tiny",
    "versions": ["1"],
    "platform": "raw",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
}
Behaviour = Callable[[socket.socket, bytes], None]


def response(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class RawServer:
    """A socket that answers each path, and POST as "infer", as `behaviours` has it, and every other with `page`."""

    def __init__(
        self, behaviours: dict[str, Behaviour], tls: ssl.SSLContext | None = None, page: object = METADATA
    ) -> None:
        self._tls = tls
        self._page = response(json.dumps(page).encode())
        self._behaviours = behaviours
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.requests: list[bytes] = []
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._socket.getsockname()[1]}"
        self._start(self._accept)

    @property
    def connections(self) -> int:
        return len(self._open)

    def close(self) -> None:
        for either in (self._socket, *self._open):
            with suppress(OSError):  # wakes who waits in it
                either.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._socket.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                self._start(self._talk, connection)

    def _talk(self, connection: socket.socket) -> None:
        with (
            suppress(OSError, ValueError),
            connection,
            self._secured(connection) as sock,
            sock.makefile("rb") as stream,
        ):
            while request := self._read(stream):
                self.requests.append(request)
                method, path = request.decode("latin-1").split(" ", 2)[:2]
                kind = "infer" if method == "POST" else path
                if kind in self._behaviours:
                    self._behaviours[kind](sock, request)
                else:
                    sock.sendall(self._page)

    def _secured(self, connection: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(connection, server_side=True) if self._tls else connection

    @staticmethod
    def _read(stream: BinaryIO) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return b""
            head += line
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        return head + stream.read(int(lengths[0]) if lengths else 0)


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    servers: list[RawServer] = []

    def start(behaviours: dict[str, Behaviour] | None = None, **settings: Any) -> RawServer:
        servers.append(RawServer(behaviours or {}, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def formats(tmp_path_factory: pytest.TempPathFactory) -> Formats:
    base = tmp_path_factory.getbasetemp()
    return Formats((base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "formats")
