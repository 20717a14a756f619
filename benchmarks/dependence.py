"""How often goldwatch's bounds on latency are wrong where requests queue (docs/load.md): simulated, 1,000 runs a cell.

Requests arrive at random at one server (Lindley's recursion; each replay begins with an empty queue). The limit is the
true p99 of the queue, so every *met* is wrong, and so is every bound below it; *missed* is wrong as well, since the
limit is kept. A run is a whole step of `goldwatch sweep`: up to three replays, each as long as the one before asks.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from goldwatch.commands.sweep import REPLAYS, RateTrial, SweepVerdict, decided, requests_wanted
from goldwatch.core.dependence import BLOCKS, design_effect, far_below, tail_share
from goldwatch.core.latency import QUEUE_MARGIN, at_most

from benchmarks.figures import Figure

RUNS = 1000
LOADS = (0.5, 0.8, 0.95)
QUEUES = ("M/D/1", "M/M/1", "bursts")
Q = 0.99
FIRST, LONGEST = 1307, 8 * 1307
"""Requests of the first replay of a step, and of the longest: 10 s and 80 s at 130 a second."""

LONG = 20 * 1307
"""Requests of the replays whose `at_most_s` is looked at: one of 1,307 mostly has none where the load is high."""

_CHUNK = 100
_TRUTH = 1_500_000

Values = NDArray[np.float32]


def measure() -> list[Figure]:
    """Return the per cent of runs that are wrong, for each queue and load."""
    found = []
    for queue in QUEUES:
        for load in LOADS:
            random = np.random.default_rng(round(100 * load))
            times = latencies_s(queue, load, 10, _TRUTH // 10, random)[:, 20_000:]
            limit = float(np.quantile(times, Q))
            words = [word for _ in range(RUNS // _CHUNK) for word in _steps(queue, load, limit, random)]
            found += [
                Figure(f"{queue} at load {load:g}: {word} at the true p99", _per_cent(w is word for w in words), "%", 1)
                for word in (SweepVerdict.MET, SweepVerdict.MISSED)
            ]
            found += _bounds(queue, load, limit, random)
    return found


def _per_cent(wrong: Iterable[bool]) -> float:
    return 100 * float(np.mean(list(wrong)))


def _bounds(queue: str, load: float, limit: float, random: np.random.Generator) -> list[Figure]:
    """Return how often `at_most_s` is below the truth, how often it is known, and how a binomial bound does."""
    below, known, binomial = [], [], []
    for _ in range(RUNS // _CHUNK):
        for times in latencies_s(queue, load, _CHUNK, LONG, random):
            ordered = np.sort(times).tolist()
            middle, tail = (ordered[int(np.ceil(round(q * LONG, 9))) - 1] for q in (Q, tail_share(Q)))
            bound = at_most(ordered, Q, QUEUE_MARGIN * max(_effect(times, middle), _effect(times, tail)))
            below.append(bound is not None and bound < limit)
            known.append(bound is not None)
            binomial.append((at_most(ordered, Q) or limit) < limit)
    cell = f"{queue} at load {load:g}: at_most_s of {LONG:,} requests"
    return [
        Figure(f"{cell} below the true p99", _per_cent(below), "%", 1),
        Figure(f"{cell} known", _per_cent(known), "%"),
        Figure(f"{cell} as if they were independent, below", _per_cent(binomial), "%"),
    ]


def _steps(queue: str, load: float, limit: float, random: np.random.Generator) -> list[SweepVerdict]:
    """Return the words of some steps of a sweep."""
    words: list[list[SweepVerdict]] = [[] for _ in range(_CHUNK)]
    requests = np.full(_CHUNK, FIRST)
    for _ in range(REPLAYS):
        for size in np.unique(requests[requests > 0]):
            some = np.flatnonzero(requests == size)
            for run, times in zip(some, latencies_s(queue, load, len(some), int(size), random), strict=True):
                requests[run] = _looked(times, limit, words[run])
    return [decided(each) for each in words]


def _looked(times: Values, limit: float, words: list[SweepVerdict]) -> int:
    """Judge one replay as the sweep does. Returns how many requests the next has, 0 for none."""
    requests = len(times)
    rank = int(np.ceil(tail_share(Q) * requests)) - 1
    memory = 1.0 if far_below(float(times.max()), limit) else _effect(times, float(np.partition(times, rank)[rank]))
    trial = RateTrial(requests, int((times > limit).sum()), effect=max(memory, _effect(times, limit)), memory=memory)
    words.append(trial.word(Q))
    if decided(words) is not SweepVerdict.UNSURE or len(words) == REPLAYS:
        return 0
    if words[-1] is SweepVerdict.MISSED:
        return requests
    wanted = requests_wanted(memory, Q)
    steps = 2 ** np.arange(1 + int(np.log2(LONGEST / FIRST)))  # few sizes, so that many runs are drawn at a time
    return int(max(requests, FIRST * steps[min(int(np.searchsorted(steps, wanted / FIRST)), len(steps) - 1)]))


def _effect(times: Values, limit: float) -> float:
    size = len(times) // BLOCKS
    counts = (times[: size * BLOCKS] > limit).reshape(BLOCKS, size).sum(axis=1)
    return design_effect(counts.tolist(), size)


def latencies_s(queue: str, load: float, runs: int, requests: int, random: np.random.Generator) -> Values:
    """Return latencies [runs, requests] in mean service times, of a queue that begins empty."""
    service = _service(queue, runs, requests, random)
    steps = np.zeros((runs, requests))
    np.subtract(service[:, :-1], random.standard_exponential((runs, requests - 1)) / load, out=steps[:, 1:])
    walk = np.cumsum(steps, axis=1)
    waits = walk - np.minimum.accumulate(walk, axis=1)
    return (waits + service).astype(np.float32)


def _service(queue: str, runs: int, requests: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return service times with mean 1. In a burst, of 10 requests in 110, each takes three times as long."""
    shape = (runs, requests)
    if queue == "M/D/1":
        return np.ones(shape)
    if queue == "M/M/1":
        return random.standard_exponential(shape)
    turns = 2 * requests // 110 + 60
    slow = np.empty(shape, dtype=bool)
    for run in slow:
        lengths = np.column_stack([random.geometric(1 / 100, turns), random.geometric(1 / 10, turns)]).ravel()
        start = random.integers(0, 110)
        run[:] = np.repeat(np.tile([False, True], turns), lengths)[start : start + requests]
    return np.where(slow, 3.0, 1.0) / (1 + 2 / 11)
