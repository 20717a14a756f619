"""The clients of others: `PYTHON benchmarks/wire_clients.py CLIENT ADDRESS COUNT`, PYTHON that of `.venv-clients`.

One request at a time, each for the same digit. Prints the latencies as the client reports or its user would take them,
and the CPU seconds of this process while it sent, as JSON. It imports nothing of goldwatch: that environment has none.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

# ruff: noqa: PLC0415 - locust patches the whole process as soon as it is imported

_IMAGE = [[float((i * j) % 17) for j in range(8)] for i in range(8)]
_BODY = json.dumps(
    {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 8, 8], "data": [x for row in _IMAGE for x in row]}]}
).encode()
_HEADERS = {"Content-Type": "application/json"}
_WARM_UP = 200


def _loop(send: Callable[[], object], count: int) -> dict[str, Any]:
    for _ in range(_WARM_UP):
        send()
    clock, latencies = time.perf_counter_ns, []
    began_ns, cpu_ns = clock(), time.process_time_ns()
    for _ in range(count):
        sent = clock()
        send()
        latencies.append(clock() - sent)
    return {"latencies_ns": latencies, "cpu_s": (time.process_time_ns() - cpu_ns) / 1e9, "span_ns": clock() - began_ns}


def _triton_http(address: str, count: int) -> dict[str, Any]:
    import numpy as np
    from tritonclient import http

    client = http.InferenceServerClient(address.removeprefix("http://"))
    image = http.InferInput("image", [1, 8, 8], "FP32")
    wanted = [http.InferRequestedOutput("probabilities", binary_data=False)]

    def send() -> object:
        image.set_data_from_numpy(np.array([_IMAGE], np.float32), binary_data=False)
        return client.infer("digits", [image], outputs=wanted).as_numpy("probabilities")

    return _loop(send, count)


def _triton_grpc(address: str, count: int) -> dict[str, Any]:
    import numpy as np
    from tritonclient import grpc

    client = grpc.InferenceServerClient(address.removeprefix("http://"))
    image = grpc.InferInput("image", [1, 8, 8], "FP32")

    def send() -> object:
        image.set_data_from_numpy(np.array([_IMAGE], np.float32))
        return client.infer("digits", [image]).as_numpy("probabilities")

    return _loop(send, count)


def _locust(address: str, count: int, fast: bool) -> dict[str, Any]:
    """Use locust as a library, as its documentation shows: one user without waits; latencies are of its events."""
    import gevent
    import locust
    from locust.env import Environment

    class User(locust.FastHttpUser if fast else locust.HttpUser):
        host = address
        wait_time = locust.constant(0)

        @locust.task
        def infer(self) -> None:
            self.client.post("/v2/models/digits/infer", data=_BODY, headers=_HEADERS)

    environment = Environment(user_classes=[User])
    runner = environment.create_local_runner()
    latencies: list[int] = []
    times: list[tuple[int, int]] = []

    def note(response_time: float, exception: object = None, **_: object) -> None:
        if exception is not None:
            raise SystemExit(f"a request failed: {exception}")
        latencies.append(round(1e6 * response_time))
        if len(latencies) in (_WARM_UP, _WARM_UP + count):
            times.append((time.perf_counter_ns(), time.process_time_ns()))
        if len(latencies) == _WARM_UP + count:
            gevent.spawn(runner.quit)

    environment.events.request.add_listener(note)
    runner.start(1, spawn_rate=1)
    runner.greenlet.join()
    (began_ns, began_cpu_ns), (ended_ns, ended_cpu_ns) = times
    kept = latencies[_WARM_UP : _WARM_UP + count]
    return {"latencies_ns": kept, "cpu_s": (ended_cpu_ns - began_cpu_ns) / 1e9, "span_ns": ended_ns - began_ns}


CLIENTS: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "locust": lambda address, count: _locust(address, count, fast=False),
    "locust-fast": lambda address, count: _locust(address, count, fast=True),
    "triton-http": _triton_http,
    "triton-grpc": _triton_grpc,
}

if __name__ == "__main__":
    print(json.dumps(CLIENTS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))))
