"""How often the 95 % intervals of scores miss the true score, on simulated golden sets (docs/golden-sets.md)."""

from __future__ import annotations

import numpy as np

from goldwatch.core.judgement import Score
from goldwatch.worker.evaluators.classification import scores
from goldwatch.worker.evaluators.clusters import Clusters
from goldwatch.worker.evaluators.means import mean

from benchmarks.figures import Figure

RUNS = 400
SIZES = (60, 100, 300)
AIM = 7.5
"""Per cent. An interval that misses 5 % is measured above this once in 100 by chance, with 400 runs."""

_CELLS = np.array([[0.50, 0.04, 0.01], [0.03, 0.24, 0.03], [0.02, 0.03, 0.10]])
"""The true shares of label and answer: three unequal classes."""

_F1 = float(np.mean(2 * np.diag(_CELLS) / (_CELLS.sum(axis=0) + _CELLS.sum(axis=1))))
_MEANS = {"mean of Beta(9, 1)": 0.9, "mean, 93 % of values 1": 0.944, "mean in clusters of 1 to 9": 0.82}


def measure() -> list[Figure]:
    """Return the per cent of intervals that miss, for each score and number of examples."""
    found = []
    for n in SIZES:
        for name, truth in (*_MEANS.items(), ("macro F1", _F1)):
            random = np.random.default_rng(n)
            missed = sum(
                not score.low <= truth <= score.high for score in (_draw(name, n, random) for _ in range(RUNS))
            )
            found.append(Figure(f"{name}, {n} examples", 100 * missed / RUNS, "% missed", AIM))
    return found


def _draw(name: str, n: int, random: np.random.Generator) -> Score:
    everything = np.ones(n, dtype=np.bool_)
    if name == "macro F1":
        labels, predicted = np.divmod(random.choice(9, size=n, p=_CELLS.ravel()), 3)
        outputs = np.eye(3)[predicted]
        return scores(outputs, outputs, labels, everything)[-1]
    if "clusters" in name:
        codes = np.repeat(np.arange(n), random.integers(1, 10, n))[:n]
        own = random.beta(0.8 * 1.5, 0.2 * 1.5, n)
        values = np.where(random.random(n) < own[codes], 1.0, 0.1)
        return mean("score", values, 1.0, everything, Clusters(codes))
    if "Beta" in name:
        return mean("score", random.beta(9, 1, n), 1.0, everything, None)
    values = np.where(random.random(n) < 0.93, 1.0, random.random(n) * 0.4)
    return mean("score", values, 1.0, everything, None)
