"""goldwatch's overhead per request: its replay and a bare client of the same library, each in a fresh process.

The two take turns, so that whatever else the machine does hits both. *p50* is the median latency as each reports it;
*between
requests* is the rest of a request's share of the loop: encoding, decoding and bookkeeping, outside what is timed.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from goldwatch.daemon.engine import replay
from goldwatch.daemon.plan import Plan
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.workers import Workers
from goldwatch.probe import TensorSpec

from benchmarks import digits
from benchmarks.bare import WARM_UP
from benchmarks.figures import Figure

ONNX = "goldwatch_probes.onnx_runtime:OnnxRuntime"
AIM_US = 50.0
ROUNDS = 11


@dataclass(frozen=True, slots=True)
class _Taken:
    """One loop of requests: median latency, and the mean time from one request to the next, in microseconds."""

    p50_us: float
    period_us: float


def measure() -> list[Figure]:
    """Compare in process and over HTTP."""
    in_process = _compare(
        "onnxruntime in process",
        lambda: _taken(*bare("onnx", str(digits.MODEL), 6000)),
        lambda: _taken(*ours(ONNX, {"file": str(digits.MODEL), "threads": 1}, 6000)),
    )
    with digits.server() as address:
        options = {"url": address, "model": "digits"}
        return in_process + _compare(
            "HTTP to the demo's server",
            lambda: _taken(*bare("http", address, 900)),
            lambda: _taken(*ours("goldwatch_probes.open_inference:OpenInference", options, 900)),
        )


def _compare(what: str, take_bare: Callable[[], _Taken], take_ours: Callable[[], _Taken]) -> list[Figure]:
    theirs: list[_Taken] = []
    own: list[_Taken] = []
    for turn in range(ROUNDS):
        # Who goes first changes from round to round.
        for kept, take in [(theirs, take_bare), (own, take_ours)][:: 1 if turn % 2 else -1]:
            kept.append(take())
    return [
        _median(f"{what}: bare p50", [t.p50_us for t in theirs]),
        _median(f"{what}: goldwatch p50", [o.p50_us for o in own]),
        _median(f"{what}: added at p50", [o.p50_us - t.p50_us for t, o in zip(theirs, own, strict=True)], AIM_US),
        _median(f"{what}: bare, between requests", [t.period_us - t.p50_us for t in theirs]),
        _median(f"{what}: goldwatch, between requests", [o.period_us - o.p50_us for o in own]),
    ]


def _median(name: str, values: list[float], aim: float | None = None) -> Figure:
    return Figure(name, statistics.median(values), "µs", aim, values)


def _taken(latencies_ns: list[int], span_ns: int) -> _Taken:
    return _Taken(statistics.median(latencies_ns) / 1e3, span_ns / len(latencies_ns) / 1e3)


def bare(kind: str, argument: str, count: int) -> tuple[list[int], int]:
    """Return the latencies of a bare client, and the time from its first request to the last answer, in ns."""
    found = bare_facts(kind, argument, count)
    return found["latencies_ns"], found["span_ns"]


def bare_facts(kind: str, argument: str, count: int) -> dict[str, Any]:
    """Return all that a bare client reports."""
    command = [sys.executable, "-m", "benchmarks.bare", kind, argument, str(count)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def ours(factory: str, options: dict[str, Any], count: int) -> tuple[list[int], int]:
    """Return the same of goldwatch's replay."""
    found = ours_facts(factory, options, count)
    return found["latencies_ns"], found["span_ns"]


def ours_facts(factory: str, options: dict[str, Any], count: int, *, served: bool = False) -> dict[str, Any]:
    """Return for goldwatch's replay what a bare client reports of itself."""
    golden = GoldenSet.open(digits.GOLDEN)
    plan = Plan(
        factory=factory,
        options=options,
        served=served,
        warm=False,
        key="bench",
        inputs=golden.input_locations(),
        outputs=tuple(TensorSpec(name, spec.dtype, spec.shape) for name, spec in golden.manifest.outputs.items()),
        examples=[i % golden.examples for i in range(count)],
        warmup=WARM_UP,
    )
    workers = Workers()
    found = replay(plan, workers)
    workers.close()
    try:
        if found.outcomes() != {"ok": count}:
            raise RuntimeError(f"the replay failed: {found.failure or found.errors}")
        sent, latency = list(found.columns.sent_ns), list(found.columns.latency_ns)
        span_ns = sent[-1] + latency[-1] - sent[0]
        return {"latencies_ns": latency, "span_ns": span_ns, "cpu_s": found.disturbances.cpu_s}
    finally:
        found.columns.close()
