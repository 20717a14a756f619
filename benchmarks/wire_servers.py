"""Servers for `benchmarks wire` that do as little as can be, so that the client is what is measured.

They speak as much of the Open Inference Protocol as a client asks for, and answer every inference with the same
probabilities: nginx over HTTP, grpcio's own server over gRPC, each in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np

PROBABILITIES = np.full((1, 10), 0.1234567, np.float32)
_METADATA = {
    "name": "digits",
    "versions": ["1"],
    "platform": "none",
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
}
_ANSWER = {
    "model_name": "digits",
    "outputs": [
        {"name": "probabilities", "datatype": "FP32", "shape": [1, 10], "data": PROBABILITIES.ravel().tolist()}
    ],
}
_NGINX = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 512; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
{locations}
    location / {{ return 200 '{{}}'; }}
  }}
}}
"""
_MOST_OF_A_PIECE = 3500


def nginx() -> str | None:
    """Return the path of nginx, None if it is missing. Debian has it where users do not look."""
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@contextlib.contextmanager
def http(program: str) -> Iterator[str]:
    """Run nginx with the model of the digits and give its address."""
    found = {"/v2/models/digits/infer": _ANSWER, "/v2/models/digits": _METADATA}
    answers = {path: ("application/json", json.dumps(answer).encode()) for path, answer in found.items()}
    with nginx_answering(program, answers) as address:
        yield address


@contextlib.contextmanager
def nginx_answering(program: str, answers: Mapping[str, tuple[str, bytes]]) -> Iterator[str]:
    """Run nginx, which answers a request for each path with a content type and a body, and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        config = Path(folder) / "nginx.conf"
        locations = "\n".join(_location(path, *answer) for path, answer in answers.items())
        config.write_text(_NGINX.format(folder=folder, port=port, locations=locations))
        with subprocess.Popen([program, "-c", str(config)]) as process:
            try:
                _until_it_listens(port)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def _location(path: str, content_type: str, body: bytes) -> str:
    """Return the lines of nginx for one answer, with the body in pieces: one must be shorter than 4096 bytes."""
    text = body.decode()
    pieces = [text[i : i + _MOST_OF_A_PIECE] for i in range(0, len(text), _MOST_OF_A_PIECE)]
    names = [f"$piece{i}" for i in range(len(pieces))]
    sets = " ".join(f"set {name} '{piece}';" for name, piece in zip(names, pieces, strict=True))
    answer = "".join(f"${{{name[1:]}}}" for name in names)
    return f"    location = {path} {{ default_type {content_type}; {sets} return 200 {answer}; }}"


def _until_it_listens(port: int) -> None:
    deadline_s = time.monotonic() + 30
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        if time.monotonic() > deadline_s:
            raise SystemExit(f"nothing listens on port {port}")
        time.sleep(0.05)


@contextlib.contextmanager
def grpc() -> Iterator[str]:
    """Run a server of grpcio and give its address."""
    command = [sys.executable, "-m", "benchmarks.wire_servers"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def _serve() -> None:
    import grpc as grpcio  # noqa: PLC0415 - only in the process of the server

    from goldwatch_probes._v2_proto import SERVICE, messages  # noqa: PLC0415

    made = messages()
    answers = {
        "ServerReady": made["ServerReadyResponse"](ready=True),
        "ModelReady": made["ModelReadyResponse"](ready=True),
        "ServerMetadata": made["ServerMetadataResponse"](name="none", version="1"),
        "ModelMetadata": made["ModelMetadataResponse"](**_METADATA),
        "ModelInfer": made["ModelInferResponse"](
            model_name="digits",
            outputs=[{"name": "probabilities", "datatype": "FP32", "shape": [1, 10]}],
            raw_output_contents=[PROBABILITIES.tobytes()],
        ),
    }

    def answering(answer: Any) -> Any:  # noqa: ANN401 - a handler of grpcio, which ships no types
        raw = answer.SerializeToString()
        return grpcio.unary_unary_rpc_method_handler(lambda *_: raw)

    handlers = {method: answering(answer) for method, answer in answers.items()}
    server = grpcio.server(
        futures.ThreadPoolExecutor(2), handlers=(grpcio.method_handlers_generic_handler(SERVICE, handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    _serve()
