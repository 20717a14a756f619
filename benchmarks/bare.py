"""The bare clients, as a user would write them without goldwatch: `python -m benchmarks.bare KIND ARGUMENT COUNT`.

KIND is onnx, http or grpc. Each prints the latencies, the nanoseconds from the first request to the last answer, and
the seconds of CPU that it took meanwhile, as JSON.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from goldwatch.golden.opened import GoldenSet

from benchmarks import digits

WARM_UP = 100


def _timed(send: Callable[[int], object], count: int) -> dict[str, object]:
    for i in range(WARM_UP):
        send(i)
    clock = time.perf_counter_ns
    latencies = []
    began, cpu_ns = clock(), time.process_time_ns()
    for i in range(count):
        sent = clock()
        send(i)
        latencies.append(clock() - sent)
    cpu_s = (time.process_time_ns() - cpu_ns) / 1e9
    return {"latencies_ns": latencies, "span_ns": clock() - began, "cpu_s": cpu_s}


def onnx_requests(model: str) -> tuple[Any, list[dict[str, Any]]]:
    """Return a session of ONNX Runtime with one thread, and a request for each digit."""
    import onnxruntime  # noqa: PLC0415

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    images = np.array(GoldenSet.open(digits.GOLDEN).tensor("inputs.image"))
    return session, [{"image": images[i : i + 1]} for i in range(len(images))]


def _onnx(model: str) -> Callable[[int], object]:
    session, requests = onnx_requests(model)
    return lambda i: session.run(["probabilities"], requests[i % len(requests)])


def _http(address: str) -> Callable[[int], object]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bodies = _bodies()
    headers = {"Content-Type": "application/json"}

    def send(i: int) -> bytes:
        connection.request("POST", "/v2/models/digits/infer", bodies[i % len(bodies)], headers)
        return connection.getresponse().read()

    return send


def _grpc(address: str) -> Callable[[int], object]:
    import grpc  # noqa: PLC0415

    from goldwatch_probes._v2_proto import SERVICE, messages  # noqa: PLC0415

    images = np.array(GoldenSet.open(digits.GOLDEN).tensor("inputs.image"))
    head = {"name": "image", "datatype": "FP32", "shape": [1, 8, 8]}
    request = messages()["ModelInferRequest"]
    bodies = [
        request(model_name="digits", inputs=[head], raw_input_contents=[image.tobytes()]).SerializeToString()
        for image in images
    ]
    channel = grpc.insecure_channel(address.removeprefix("http://"))
    call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
    return lambda i: call(bodies[i % len(bodies)])


def _bodies() -> list[bytes]:
    images = GoldenSet.open(digits.GOLDEN).tensor("inputs.image")
    heads = {"name": "image", "datatype": "FP32", "shape": [1, 8, 8]}
    return [json.dumps({"inputs": [heads | {"data": image.ravel().tolist()}]}).encode() for image in images]


if __name__ == "__main__":
    make = {"onnx": _onnx, "http": _http, "grpc": _grpc}[sys.argv[1]]
    print(json.dumps(_timed(make(sys.argv[2]), int(sys.argv[3]))))
