"""The cost of updating a monitor over 10,000 examples: adding a valid replay to its state, and its verdict."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from goldwatch.worker.monitors.means import Values
from goldwatch.worker.monitors.moved import Moved
from goldwatch.worker.monitors.scored import WorseScores
from goldwatch.worker.monitors.worse import Answers, Worse

from benchmarks.figures import Figure

EXAMPLES, ROUNDS = 10_000, 300
AIM_MS = 1.0
_ALPHA = 1e-6


def measure() -> list[Figure]:
    """Update each kind again and again."""
    random = np.random.default_rng(0)
    everybody = np.ones(EXAMPLES, dtype=np.bool_)
    usual = random.beta(8, 2, EXAMPLES)
    right = np.repeat(np.array([[10], [10]]), EXAMPLES, axis=1)
    outcomes = Worse(right, (10, 10), 0.01, _ALPHA)
    scores, distances = WorseScores(usual, 0.01, _ALPHA), Moved(EXAMPLES, 0.01, _ALPHA)
    answers = Answers(random.random(EXAMPLES) < 0.995, everybody)
    score = Values(np.clip(usual + random.normal(0, 0.03, EXAMPLES), 0, 1), everybody)
    distance = Values(np.minimum(random.exponential(0.004, EXAMPLES), 1), everybody)
    first, second, third = outcomes.fresh(), scores.fresh(), distances.fresh()
    return [
        _figure("worse, right or wrong", lambda: outcomes.update(answers, first, 0.0)),
        _figure("worse, scores", lambda: scores.update(score, second, 0.0)),
        _figure("moved", lambda: distances.update(distance, third, 0.0)),
    ]


def _figure(name: str, update: Callable[[], object]) -> Figure:
    samples = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        update()
        samples.append((time.perf_counter() - began) * 1000)
    return Figure(name, statistics.median(samples), "ms", AIM_MS, samples)
