"""The cost of traces for a replay, with and without them in turns, and of making its spans afterwards.

One server of the digits on loopback, one request at a time. *All* samples every request, 600 of them, so that each
carries the flag `sampled`; *1 %* is what the docs show. The spans are made after the replay and handed to the SDK's
queue; the push is another thread's.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from goldwatch.core.trace import Trace
from goldwatch.daemon.in_force import Assignment, prepare
from goldwatch.daemon.pipeline import Judged, run
from goldwatch.export.exporter import Replayed
from goldwatch.export.otlp_traces import QUEUE, OtlpTraces
from goldwatch.export.push import Backlog, Failures
from goldwatch.ipc.workers import Workers

from benchmarks import digits
from benchmarks.figures import Figure

ROUNDS = 15
AIM = 1.05
SHARES: Mapping[str, float | None] = {"without": None, "1 %": 0.01, "all": 1.0}


def measure() -> list[Figure]:
    """Replay in turns, alternating which goes first, and make spans."""
    with digits.server() as address, tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        workers = Workers()
        try:
            (assignment,) = prepare(digits.config(Path(folder), digits.served(address)), workers).assignments
            run(assignment, workers, {})  # the first one starts the worker
            rounds = [_round(assignment, workers, i % len(SHARES)) for i in range(ROUNDS)]
        finally:
            workers.close()
    return [figure for name in SHARES for figure in _of(name, rounds)]


def _round(assignment: Assignment, workers: Workers, first: int) -> dict[str, Judged]:
    names = list(SHARES)
    turns = names[first:] + names[:first]
    return {name: run(_traced(assignment, SHARES[name]), workers, {}) for name in turns}


def _traced(assignment: Assignment, share: float | None) -> Assignment:
    examples = assignment.golden.examples
    return assignment if share is None else dataclasses.replace(assignment, trace=Trace.new(share, examples, examples))


def _of(name: str, rounds: list[dict[str, Judged]]) -> list[Figure]:
    p50s = {each: [_p50_us(found[each]) for found in rounds] for each in (name, "without")}
    if name == "without":
        return [Figure("p50 without traces", statistics.median(p50s[name]), "µs", raw=p50s[name])]
    ratios = [a / b for a, b in zip(p50s[name], p50s["without"], strict=True)]
    took = [found[name].judgement.run.duration_s / found["without"].judgement.run.duration_s for found in rounds]
    spans, made_ms = zip(*(_spans(found[name]) for found in rounds), strict=True)
    return [
        Figure(f"p50, {name} sampled", statistics.median(p50s[name]), "µs", raw=p50s[name]),
        Figure(f"p50, {name} sampled, over that without", statistics.median(ratios), "x", AIM, ratios),
        Figure(f"duration of the replay, {name} sampled, over that without", statistics.median(took), "x", raw=took),
        Figure(
            f"CPU to make its {round(statistics.median(spans))} spans", statistics.median(made_ms), "ms", raw=made_ms
        ),
    ]


def _p50_us(judged: Judged) -> float:
    return statistics.median(judged.judgement.run.latencies_s) * 1e6


def _spans(judged: Judged) -> tuple[int, float]:
    """Return how many spans a replay has, and the milliseconds of CPU that they took to make."""
    if judged.traced is None:
        raise RuntimeError("a replay with a trace is traced")
    kept = InMemorySpanExporter()
    traces = OtlpTraces(kept, Failures("traces", "http://x", []), Backlog(QUEUE), Resource({}), 3600)
    began_s = time.thread_time()
    traces.follow(Replayed(judged.judgement, judged.traced, ("127.0.0.1", 1)))
    took_s = time.thread_time() - began_s
    spans = 1 + sum(asked.spanned for asked in judged.traced.asked)
    traces.close()
    return spans, 1000 * took_s
