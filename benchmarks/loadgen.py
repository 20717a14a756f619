"""One request at a time to an ONNX model in process: goldwatch, a bare loop, and MLPerf's LoadGen with that model.

The three take turns, each in a fresh process, for as many requests. LoadGen drives the same call of the same library,
with nothing of goldwatch between the two: `session.run`, then its own completion of the query. Neither it nor the bare
loop looks at an answer; goldwatch encodes, decodes, checks and keeps each of them between two requests.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import digits
from benchmarks.bare import onnx_requests
from benchmarks.client import ONNX, bare, ours
from benchmarks.figures import Figure

ROUNDS = 7
REQUESTS = 6000
AIM_US = 20.0


@dataclass(frozen=True, slots=True)
class _Taken:
    """One turn: p50 and p99 in microseconds, and requests a second."""

    p50_us: float
    p99_us: float
    per_s: float


def measure() -> list[Figure]:
    """Let the three take turns."""
    turns: dict[str, Callable[[], _Taken]] = {
        "bare loop": lambda: _of(*bare("onnx", str(digits.MODEL), REQUESTS)),
        "goldwatch": lambda: _of(*ours(ONNX, {"file": str(digits.MODEL), "threads": 1}, REQUESTS)),
        "LoadGen": _loadgen,
    }
    taken: dict[str, list[_Taken]] = {name: [] for name in turns}
    for turn in range(ROUNDS):
        for name in list(turns)[:: 1 if turn % 2 else -1]:  # who goes first changes
            taken[name].append(turns[name]())
    found = []
    for name, values in taken.items():
        found += [
            _median(f"{name}: p50", [v.p50_us for v in values], "µs"),
            _median(f"{name}: p99", [v.p99_us for v in values], "µs"),
            _median(f"{name}: requests a second", [v.per_s for v in values], "/s"),
        ]
    pairs = list(zip(taken["goldwatch"], taken["bare loop"], taken["LoadGen"], strict=True))
    return [
        *found,
        _median("goldwatch over bare loop, added at p50", [g.p50_us - b.p50_us for g, b, _ in pairs], "µs", AIM_US),
        _median("LoadGen over bare loop, added at p50", [x.p50_us - b.p50_us for _, b, x in pairs], "µs"),
        _median("goldwatch's requests a second over LoadGen's", [g.per_s / x.per_s for g, _, x in pairs], "times"),
    ]


def _median(name: str, values: list[float], unit: str, aim: float | None = None) -> Figure:
    return Figure(name, statistics.median(values), unit, aim, values)


def _of(latencies_ns: list[int], span_ns: int) -> _Taken:
    ordered = sorted(latencies_ns)
    p99 = ordered[int(0.99 * len(ordered))]
    return _Taken(statistics.median(ordered) / 1e3, p99 / 1e3, 1e9 * len(ordered) / span_ns)


def _loadgen() -> _Taken:
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        subprocess.run([sys.executable, "-m", "benchmarks.loadgen", folder], check=True, stdout=subprocess.DEVNULL)
        summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
    figures = {name.strip(): value for name, value in re.findall(r"^(.+?) *: ([0-9.]+)$", summary, re.MULTILINE)}
    p50, p99 = (float(figures[f"{q}.00 percentile latency (ns)"]) for q in (50, 99))
    return _Taken(p50 / 1e3, p99 / 1e3, float(figures["QPS w/ loadgen overhead"]))


def lateness(rate: int, requests: int) -> list[float]:
    """Return by how many seconds LoadGen issued each query of its scenario Server too late, by its own trace."""
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        command = [sys.executable, "-m", "benchmarks.loadgen", folder, str(rate), str(requests)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        trace = (Path(folder) / "mlperf_log_trace.json").read_text()
    late_ns = [int(ns) for ns in re.findall(r'"issue_delay":(\d+)', trace)]
    if len(late_ns) < requests:
        raise SystemExit(f"LoadGen's trace has {len(late_ns)} of {requests} queries")
    return [ns / 1e9 for ns in late_ns]


def _issue_at(output: str, rate: int, requests: int) -> None:
    """Run LoadGen's Server at a rate over a system that answers at once, and have it trace what it does."""
    import mlperf_loadgen as loadgen  # noqa: PLC0415

    def issue(samples: list[loadgen.QuerySample]) -> None:
        loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0) for sample in samples])

    settings, log = loadgen.TestSettings(), loadgen.LogSettings()
    settings.scenario, settings.mode = loadgen.TestScenario.Server, loadgen.TestMode.PerformanceOnly
    settings.server_target_qps, settings.server_target_latency_ns = rate, 10**9
    settings.min_duration_ms, settings.min_query_count, settings.max_query_count = 0, requests, requests
    log.log_output.outdir, log.enable_trace = output, True
    sut = loadgen.ConstructSUT(issue, lambda: None)
    library = loadgen.ConstructQSL(64, 64, lambda _: None, lambda _: None)
    loadgen.StartTestWithLogSettings(sut, library, settings, log)


def _drive(output: str) -> None:
    """Run the official LoadGen over the model, as its own documentation shows it."""
    import mlperf_loadgen as loadgen  # noqa: PLC0415

    session, requests = onnx_requests(str(digits.MODEL))
    for request in requests[:100]:
        session.run(["probabilities"], request)

    def issue(samples: list[loadgen.QuerySample]) -> None:
        for sample in samples:
            session.run(["probabilities"], requests[sample.index])
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0)])

    settings, log = loadgen.TestSettings(), loadgen.LogSettings()
    settings.scenario, settings.mode = loadgen.TestScenario.SingleStream, loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms, settings.min_query_count, settings.max_query_count = 0, REQUESTS, REQUESTS
    log.log_output.outdir, log.enable_trace = output, False
    sut = loadgen.ConstructSUT(issue, lambda: None)
    library = loadgen.ConstructQSL(len(requests), len(requests), lambda _: None, lambda _: None)
    loadgen.StartTestWithLogSettings(sut, library, settings, log)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        _issue_at(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        _drive(sys.argv[1])
