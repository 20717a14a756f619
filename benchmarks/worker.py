"""The cost of a replay besides its requests: starting a worker, and judging, for 600 and for 100,000 examples.

The larger golden set is the digits over and over. *First* is with new workers, as when a watch is due every 5 minutes;
*again* with those of the replay before.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from goldwatch.core.facts import Facts
from goldwatch.core.outcome import Outcome
from goldwatch.daemon.in_force import Assignment, prepare
from goldwatch.daemon.pipeline import run
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.columns import Columns, Layout
from goldwatch.ipc.judging_jobs import JUDGE, JudgeRequest
from goldwatch.ipc.workers import Workers
from goldwatch.probe import Description

from benchmarks import NOTHING, digits
from benchmarks.figures import Figure

ROUNDS = 5
MANY = 100_000


def measure() -> list[Figure]:
    """Start workers, and judge both sizes."""
    found = [_median("start of a worker, to its first answer", _start)]
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        for golden in (digits.GOLDEN, digits.of_size(Path(folder) / "many", MANY)):
            found += _of(Path(folder), golden)
    return found


def _of(folder: Path, golden: Path) -> list[Figure]:
    workers = Workers()
    try:
        assignment = prepare(digits.config(folder, digits.IN_PROCESS, golden=golden), workers).assignments[0]
        size = f"{assignment.golden.examples:,} examples"
        return [
            _median(f"judging {size}, first", lambda: _judge(assignment, _fresh(workers))),
            _median(f"judging {size}, again", lambda: _judge(assignment, workers)),
            _median(f"all of a replay but its requests, {size}, first", lambda: _rest(assignment, _fresh(workers)), 2),
        ]
    finally:
        workers.close()


def _median(name: str, take: Callable[[], float], rounds: int = ROUNDS) -> Figure:
    values = [take() for _ in range(rounds)]
    return Figure(name, statistics.median(values), "s", raw=values)


def _fresh(workers: Workers) -> Workers:
    """End the workers that are idle, so that the next job starts new ones."""
    workers.reap(idle_limit_s=0)
    return workers


def _start() -> float:
    workers = Workers()
    began = time.perf_counter()
    workers.call("bench", NOTHING, {})
    taken = time.perf_counter() - began
    workers.close()
    return taken


def _judge(assignment: Assignment, workers: Workers) -> float:
    """Judge a replay whose answers equal the reference; return the seconds that it took."""
    golden = GoldenSet.open(Path(assignment.golden.path))
    columns = Columns.create(Layout(golden.examples, assignment.golden.outputs), range(golden.examples))
    columns.array("outcome")[:] = Outcome.OK
    columns.array("latency_ns")[:] = 1_000_000
    columns.array("sent_ns")[:] = np.arange(golden.examples) * 1_100_000
    for spec in assignment.golden.outputs:
        columns.array(f"output.{spec.name}")[:] = golden.tensor(f"outputs.{spec.name}")
    facts = Facts(time.time(), description=Description("digits"))
    request = JudgeRequest(assignment.golden.place, assignment.settings, facts, {})
    began = time.perf_counter()
    workers.call("judge", JUDGE, request, (columns.fd,))
    taken = time.perf_counter() - began
    columns.close()
    return taken


def _rest(assignment: Assignment, workers: Workers) -> float:
    """Replay and judge; return the seconds without a request in flight."""
    began = time.perf_counter()
    judged = run(assignment, workers, {})
    return time.perf_counter() - began - sum(judged.judgement.run.latencies_s)
