"""The cost of a tapped request: in the agent by HTTP and from a log, and in the worker that judges a window.

Requests are of the form V1 with one row of 30 numbers. The CPU over HTTP is that of the agent's endpoint in a process
of its own, over all of its threads; of the log, of reading and sampling in this process.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from benchmarks.figures import Figure

REQUESTS = 4_000
LINES = 50_000
WINDOW = 200
REFERENCE = 10_000
WIDTH = 30
ROUNDS = 9
HEADERS = {
    "Content-Type": "application/json",
    "ce-type": "org.kubeflow.serving.inference.request",
    "ce-specversion": "1.0",
    "ce-source": "http://localhost:9081/",
    "ce-id": "1",
}


def measure() -> list[Figure]:
    """Return what requests cost on their way in, and a window when it is judged."""
    taken = _over_http("CPU of a request over HTTP", 10**9)
    return [taken, _over_http("CPU of one too many a second over HTTP", 1), _from_a_log(), *_judged()]


def _bodies(count: int) -> list[bytes]:
    rows = np.random.default_rng(1).normal(size=(count, WIDTH)).round(4).tolist()
    return [json.dumps({"instances": [row]}).encode() for row in rows]


def _over_http(name: str, most_per_s: float) -> Figure:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, most_per_s))
    process.start()
    port, bodies = ours.recv(), _bodies(REQUESTS // ROUNDS)
    raw = []
    for _ in range(ROUNDS):
        before = _cpu_s(process.pid)
        asyncio.run(_post(port, bodies))
        raw.append((_cpu_s(process.pid) - before) / len(bodies) * 1e6)
    ours.send(None)
    process.join()
    return Figure(name, float(np.median(raw)), "µs", raw=raw)


def _serve(pipe: Connection, most_per_s: float) -> None:
    """Serve the agent's endpoint with one tap, in a process of its own, until told to stop."""
    from goldwatch.config.live import Live  # noqa: PLC0415
    from goldwatch.daemon import endpoints  # noqa: PLC0415
    from goldwatch.daemon.tap import Taps  # noqa: PLC0415

    endpoints.MOST_EVENTS_PER_S = most_per_s

    async def serve() -> None:
        taps = Taps()
        taps.enforce({"model": Live()})
        served = endpoints.Endpoints(lambda _: (b"", "text/plain"), lambda: None, lambda: None, taps)
        pipe.send(await served.start("127.0.0.1", 0))
        await asyncio.to_thread(pipe.recv)
        await served.stop()

    asyncio.run(serve())


async def _post(port: int, bodies: list[bytes]) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=HEADERS) as session:
        for body in bodies:
            async with session.post("/live/model", data=body) as answer:
                assert answer.status == 200, await answer.text()


def _cpu_s(pid: int | None) -> float:
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _from_a_log() -> Figure:
    from goldwatch.daemon.tap import Tap  # noqa: PLC0415
    from goldwatch.daemon.tap_follower import Follower  # noqa: PLC0415

    content, raw = b"\n".join(_bodies(LINES // ROUNDS)) + b"\n", []
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        log = Path(folder) / "log"
        log.touch()
        tap = Tap(WINDOW, 3600.0, follower=Follower(log))
        tap.read()
        for _ in range(ROUNDS):
            with log.open("ab") as stream:
                stream.write(content)
            raw.append(_cpu(tap.read) / (LINES // ROUNDS) * 1e6)
        tap.close()
    return Figure("CPU of a line of a log", float(np.median(raw)), "µs", raw=raw)


def _judged() -> list[Figure]:
    from goldwatch.worker.drift.features import Features, Input  # noqa: PLC0415
    from goldwatch.worker.drift.rows import read  # noqa: PLC0415
    from goldwatch.worker.monitors.drift import LiveDrift  # noqa: PLC0415
    from goldwatch.worker.monitors.live import Live  # noqa: PLC0415

    inputs = (Input("x", (WIDTH,)),)
    lines = _bodies(REFERENCE)
    rows = read(lines, inputs).rows
    features = Features.of(inputs, rows)
    table = features.table(rows)

    def made() -> Any:  # noqa: ANN401
        return LiveDrift(table, 1e-5, 0.05, 1, 3600.0)

    drift, bodies = made(), _bodies(WINDOW)
    state = drift.fresh()

    def judge() -> None:
        drift.update(Live(features.table(read(bodies, inputs, 1).rows), 0.0), state, 0.0)

    parts: dict[str, Callable[[], Any]] = {
        f"a reference of {REFERENCE:,} rows in a file, read": lambda: read(lines, inputs),
        f"a reference of {REFERENCE:,} rows, learned from": made,
        f"a window of {WINDOW} requests, read, counted and judged": judge,
    }
    found = []
    for name, work in parts.items():
        work()
        raw = [_cpu(work) * 1e3 for _ in range(ROUNDS)]
        found.append(Figure(name, float(np.median(raw)), "ms", raw=raw))
    return found


def _cpu(work: Callable[[], Any]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before
