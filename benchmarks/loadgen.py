"""An ONNX model in process, one request at a time: goldwatch, a bare loop, and MLPerf's LoadGen in its four scenarios.

They take turns, each in a fresh process, for as many requests. LoadGen drives the same call of the same library, with
nothing of goldwatch between the two: `session.run`, then its own completion of the query. Neither it nor the bare loop
looks at an answer; goldwatch encodes, decodes, checks and keeps each of them. LoadGen over goldwatch's probe, which is
what `goldwatch mlperf` runs, checks each too. The seconds of CPU are those of the process that sends, while it does.
"""

from __future__ import annotations

import gc
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goldwatch.core.load_plan import LoadPlan
from goldwatch.golden.opened import GoldenSet
from goldwatch.golden.tensors import map_tensor
from goldwatch.probe import Context, TensorSpec
from goldwatch.worker.load.pace import Pace
from goldwatch.worker.load.timed import make_probe

from benchmarks import digits
from benchmarks.bare import onnx_requests
from benchmarks.client import ONNX, bare_facts, ours_facts
from benchmarks.figures import Figure

ROUNDS = 7
REQUESTS = 6000
AIM_US = 20.0
OPTIONS = {"file": str(digits.MODEL), "threads": 1}
CPU = "cpu_s"
SERVER_RATE = 2000
"""Queries a second in the scenario Server: low enough that few wait."""
_SAMPLES = {"SingleStream": 1, "MultiStream": 8, "Server": 1, "Offline": 1}
_PER_S = {
    "SingleStream": "QPS w/ loadgen overhead",
    "MultiStream": "",
    "Server": "Completed samples per second",
    "Offline": "Samples per second",
}
"""The line of LoadGen's summary with the samples a second; of MultiStream they follow from the median query."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """One turn: p50 and p99 in microseconds, requests a second, and those over the seconds of CPU."""

    p50_us: float
    p99_us: float
    per_s: float
    per_core: float


def measure() -> list[Figure]:
    """Let the three take turns."""
    turns: dict[str, Callable[[], _Taken]] = {
        "bare loop": lambda: _of(bare_facts("onnx", str(digits.MODEL), REQUESTS)),
        "goldwatch": lambda: _of(ours_facts(ONNX, OPTIONS, REQUESTS)),
        "LoadGen": lambda: _loadgen("library"),
        "LoadGen over goldwatch's probe": lambda: _loadgen("probe"),
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
            _median(f"{name}: requests a second of a core", [v.per_core for v in values], "/s"),
        ]
    ours, floor, loadgen = taken["goldwatch"], taken["bare loop"], taken["LoadGen"]
    found += [
        _median("goldwatch over bare loop, added at p50", _differences(ours, floor), "µs", AIM_US),
        _median("LoadGen over bare loop, added at p50", _differences(loadgen, floor), "µs"),
    ]
    for name in ("LoadGen", "LoadGen over goldwatch's probe"):
        pairs = list(zip(ours, taken[name], strict=True))
        found += [
            _median(f"goldwatch's requests a second over those of {name}", [o.per_s / t.per_s for o, t in pairs]),
            _median(
                f"goldwatch's requests a second of a core over those of {name}",
                [o.per_core / t.per_core for o, t in pairs],
            ),
        ]
    return [*found, *scenarios()]


def _differences(these: list[_Taken], those: list[_Taken]) -> list[float]:
    return [a.p50_us - b.p50_us for a, b in zip(these, those, strict=True)]


def _median(name: str, values: list[float], unit: str = "times", aim: float | None = None) -> Figure:
    return Figure(name, statistics.median(values), unit, aim, values)


def _of(facts: Mapping[str, Any]) -> _Taken:
    ordered = sorted(facts["latencies_ns"])
    p99, count = ordered[int(0.99 * len(ordered))], len(ordered)
    per_s = 1e9 * count / facts["span_ns"]
    return _Taken(statistics.median(ordered) / 1e3, p99 / 1e3, per_s, count / facts["cpu_s"])


def _loadgen(what: str, scenario: str = "SingleStream") -> _Taken:
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.loadgen", what, folder, scenario], check=True, stdout=subprocess.DEVNULL
        )
        summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
        cpu_s = float((Path(folder) / CPU).read_text())
    figures = {name.strip(): value for name, value in re.findall(r"^(.+?) *: ([0-9.]+)$", summary, re.MULTILINE)}
    p50, p99 = (float(figures[f"{q}.00 percentile latency (ns)"]) for q in (50, 99))
    per_s = 1e9 * _SAMPLES[scenario] / p50 if scenario == "MultiStream" else float(figures[_PER_S[scenario]])
    return _Taken(p50 / 1e3, p99 / 1e3, per_s, REQUESTS / cpu_s)


def scenarios(rounds: int = ROUNDS) -> list[Figure]:
    """Drive the model by LoadGen directly and over goldwatch's probe, in turns, in each scenario."""
    found = []
    for scenario in _PER_S:
        taken: dict[str, list[_Taken]] = {"library": [], "probe": []}
        for turn in range(rounds):
            for what in list(taken)[:: 1 if turn % 2 else -1]:
                taken[what].append(_loadgen(what, scenario))
        pairs = list(zip(taken["probe"], taken["library"], strict=True))
        if scenario != "Server":  # there LoadGen sets the rate
            name = f"{scenario}: samples a second over the probe, by those of LoadGen directly"
            found.append(_median(name, [ours.per_s / direct.per_s for ours, direct in pairs]))
        if scenario != "Offline":  # a latency there is the time since the start
            name = f"{scenario}: p50 of a query over the probe, by that of LoadGen directly"
            found.append(_median(name, [ours.p50_us / direct.p50_us for ours, direct in pairs]))
            name = f"{scenario}: added to p50"
            found.append(_median(name, [ours.p50_us - direct.p50_us for ours, direct in pairs], "µs"))
    return found


def lateness(rate: int, requests: int) -> list[float]:
    """Return by how many seconds LoadGen issued each query of its scenario Server too late, by its own trace."""
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        command = [sys.executable, "-m", "benchmarks.loadgen", "lateness", folder, str(rate), str(requests)]
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


def _drive(output: str, scenario: str) -> None:
    """Run the official LoadGen over the model, as its own documentation shows it."""
    import mlperf_loadgen as loadgen  # noqa: PLC0415

    session, requests = onnx_requests(str(digits.MODEL))
    for request in requests[:100]:
        session.run(["probabilities"], request)

    def issue(samples: list[loadgen.QuerySample]) -> None:
        for sample in samples:
            session.run(["probabilities"], requests[sample.index])
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0)])

    sut = loadgen.ConstructSUT(issue, lambda: None)
    library = loadgen.ConstructQSL(len(requests), len(requests), lambda _: None, lambda _: None)
    _test(output, sut, library, scenario)


def _drive_probe(output: str, scenario: str) -> None:
    """Run it over goldwatch's probe: the system under test of `goldwatch mlperf`."""
    import mlperf_loadgen as loadgen  # noqa: PLC0415

    from goldwatch.ipc.jobs import LoadGenSettings  # noqa: PLC0415
    from goldwatch.worker.load.loadgen import System  # noqa: PLC0415

    golden = GoldenSet.open(digits.GOLDEN)
    inputs = {location.name: np.asarray(map_tensor(location)) for location in golden.input_locations()}
    spec = golden.manifest.outputs["probabilities"]
    probe = make_probe(ONNX, OPTIONS, Context(2.0))
    probe.open()
    settings = LoadGenSettings(scenario, "performance", 0.0, REQUESTS)
    system = System(probe, inputs, TensorSpec("probabilities", spec.dtype, spec.shape), settings)
    system.warm_up(Pace(LoadPlan()))
    sut = loadgen.ConstructSUT(system.issue, system.flush)
    _test(output, sut, loadgen.ConstructQSL(system.examples, system.examples, system.load, system.unload), scenario)
    system.read_answers()
    if system.errors:
        raise SystemExit(f"requests failed: {system.errors}")


def _test(output: str, sut: Any, library: Any, scenario: str) -> None:  # noqa: ANN401 - it ships no types
    import mlperf_loadgen as loadgen  # noqa: PLC0415

    settings, log = loadgen.TestSettings(), loadgen.LogSettings()
    settings.scenario, settings.mode = getattr(loadgen.TestScenario, scenario), loadgen.TestMode.PerformanceOnly
    queries = 1 if scenario == "Offline" else REQUESTS // _SAMPLES[scenario]
    settings.min_duration_ms, settings.min_query_count, settings.max_query_count = 0, queries, queries
    settings.server_target_qps, settings.server_target_latency_ns = SERVER_RATE, 10**9
    if scenario == "Offline":  # LoadGen makes the one query of so many samples
        settings.min_duration_ms, settings.max_query_count = 1000, 0
        settings.offline_expected_qps = REQUESTS / 1.1
    log.log_output.outdir, log.enable_trace = output, False
    gc.disable()
    cpu_ns = time.process_time_ns()
    loadgen.StartTestWithLogSettings(sut, library, settings, log)
    (Path(output) / CPU).write_text(str((time.process_time_ns() - cpu_ns) / 1e9))


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    if what == "lateness":
        _issue_at(folder, int(rest[0]), int(rest[1]))
    else:
        {"library": _drive, "probe": _drive_probe}[what](folder, *rest)
