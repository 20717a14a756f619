"""When requests are sent, and what a stall does to a percentile: goldwatch, other tools and a closed loop.

Lateness is that of sending, in turns, at a constant rate. MLPerf's LoadGen has random arrivals at that mean rate; its
lateness is read from its trace. The stalling server answers one request at a time, in 1 ms, except for one second in
every ten; its true p99 follows from the schedule alone (Lindley's recursion), without a clock.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from goldwatch.core.latency import quantile
from goldwatch.core.load_plan import LoadPlan
from goldwatch.daemon.engine import Replay, replay
from goldwatch.daemon.plan import Plan
from goldwatch.golden.tensors import TensorLocation
from goldwatch.ipc.workers import Workers
from goldwatch.probe import TensorSpec

from benchmarks import loadgen
from benchmarks.figures import Figure

ROUNDS = 3
RATES = {100: 500, 1000: 3000}
"""Requests a second, and how many in a round."""

AIM_P99_MS = 1.0
STALLS = (1.0, *[0.001] * 999)
STALL_RATE, STALL_REQUESTS = 100.0, 3000


def measure() -> list[Figure]:
    """Take turns."""
    found: list[Figure] = []
    workers = Workers()
    try:
        with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
            for rate, requests in RATES.items():
                found += _lateness(Path(folder), workers, rate, requests)
            found += _stall(Path(folder), workers)
    finally:
        workers.close()
    return found


def _lateness(folder: Path, workers: Workers, rate: int, requests: int) -> list[Figure]:
    taken: dict[str, list[list[float]]] = {"goldwatch": [], "asyncio.sleep": [], "LoadGen": []}
    for _ in range(ROUNDS):
        load = LoadPlan("constant", float(rate), in_flight=4)
        taken["goldwatch"].append(sorted(_replayed(folder, workers, load, requests, (0.0,)).late_s()))
        taken["asyncio.sleep"].append(sorted(asyncio.run(_asleep(rate, requests))))
        taken["LoadGen"].append(sorted(loadgen.lateness(rate, requests)))
    found = []
    for name, rounds in taken.items():
        for q in (0.5, 0.99):
            values = [1e3 * quantile(late_s, q) for late_s in rounds]
            aim = AIM_P99_MS if (name, rate, q) == ("goldwatch", 100, 0.99) else None
            title = f"{name}, {rate:,} a second: sent late, p{100 * q:g}"
            found.append(Figure(title, statistics.median(values), "ms", aim, values))
    return found


async def _asleep(rate: int, requests: int) -> list[float]:
    """Return how late a coroutine is that sleeps until each request is due, as clients on asyncio do."""
    start_s = time.monotonic() + 0.02
    late_s = []
    for i in range(requests):
        due_s = start_s + i / rate
        await asyncio.sleep(max(due_s - time.monotonic(), 0))
        late_s.append(time.monotonic() - due_s)
    return late_s


def _stall(folder: Path, workers: Workers) -> list[Figure]:
    true = sorted(_waited(STALL_RATE, STALL_REQUESTS))
    load = LoadPlan("constant", STALL_RATE, in_flight=1)
    ours = sorted(_replayed(folder, workers, load, STALL_REQUESTS, STALLS).latencies_s())
    closed = sorted(_replayed(folder, workers, LoadPlan(), STALL_REQUESTS, STALLS).latencies_s())
    p99 = [1e3 * quantile(each, 0.99) for each in (true, ours, closed)]
    return [
        Figure("a stall of 1 s in 10: p99 of the true schedule", p99[0], "ms"),
        Figure("a stall of 1 s in 10: p99 by goldwatch", p99[1], "ms"),
        Figure("a stall of 1 s in 10: p99 by a closed loop", p99[2], "ms"),
        Figure("a stall of 1 s in 10: goldwatch's p99 over the true one", p99[1] / p99[0], "times"),
    ]


def _waited(rate: float, requests: int) -> list[float]:
    """Return the latency of each request from when it was due, at a server that takes one after the other."""
    waits_s, found = 0.0, []
    for i in range(requests):
        service_s = STALLS[i % len(STALLS)]
        found.append(waits_s + service_s)
        waits_s = max(waits_s + service_s - 1 / rate, 0.0)
    return found


def _replayed(folder: Path, workers: Workers, load: LoadPlan, requests: int, latencies_s: tuple[float, ...]) -> Replay:
    file = folder / "inputs"
    file.write_bytes(np.zeros((requests, 4), np.float32).tobytes())
    plan = Plan(
        factory="goldwatch.testing.probe:FakeProbe",
        options={"latencies_s": list(latencies_s)},
        served=False,
        warm=False,  # its requests are counted from the first
        key="timing",
        inputs=(TensorLocation("x", str(file), "float32", (requests, 4), 0),),
        outputs=(TensorSpec("probabilities", "float32", (3,)),),
        examples=range(requests),
        load=load,
        warmup=0,
        time_limit_s=5.0,
    )
    result = replay(plan, workers)
    if result.outcomes() != {"ok": requests}:
        raise SystemExit(f"the replay failed: {result.failure or result.ended or result.errors}")
    return result
