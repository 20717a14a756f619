"""False pages and delays of the monitors *worse* and *failing* on simulated streams: `python benchmarks/alerts.py`.

The streams: 200 examples every five minutes, an accuracy of 0.92 in 288 reference replays, a budget of one false alarm
a year shared by four monitors (three for *failing*). *At random* means that every example is right with the same
probability; *paired* that 180 are always right, 12 never and 8 at random, and that the change turns right ones wrong
for good. Seeds are fixed; one core, under a minute.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Iterator
from itertools import count

import numpy as np
from numpy.typing import NDArray

from goldwatch.judgement import State
from goldwatch.monitor.budget import Budget
from goldwatch.monitor.rates import log_ratios
from goldwatch.monitor.share import Requests, ShareMonitor, failing
from goldwatch.monitor.worse import Answers, Worse

EXAMPLES, HALF, ACCURACY = 200, 144, 0.92
ALWAYS, NEVER, AT_RANDOM = 180, 12, 8
INTERVAL_S = 300.0
QUARTER = 25_920  # replays in 90 days
STREAMS = 400
LONGEST = 3000  # replays after which a delay is no longer awaited
ALPHA = Budget(1, dict.fromkeys(("worse", "failing", "slow", "drift"), 1)).alpha("worse", INTERVAL_S)
ALPHA_OF_THREE = Budget(1, dict.fromkeys(("worse", "failing", "slow"), 1)).alpha("failing", INTERVAL_S)

FloatArray = NDArray[np.float64]


def failures(paired: bool, accuracy: float, random: np.random.Generator) -> FloatArray:
    """Return the failures of one replay among all examples and among the stable ones [streams, 2]."""
    if not paired:
        return np.stack([random.binomial(EXAMPLES, 1 - accuracy, STREAMS), np.zeros(STREAMS)], axis=1)
    turned = np.full(STREAMS, round((ACCURACY - accuracy) * EXAMPLES))
    return np.stack([turned + NEVER + random.binomial(AT_RANDOM, 0.5, STREAMS), turned], axis=1).astype(np.float64)


def monitor(paired: bool, tolerance: float, random: np.random.Generator) -> Worse:
    """Return a monitor with a reference of its own."""
    rates = np.repeat([1.0, 0.0, 0.5], [ALWAYS, NEVER, AT_RANDOM]) if paired else np.full(EXAMPLES, ACCURACY)
    return Worse(random.binomial(HALF, rates, (2, EXAMPLES)), (HALF, HALF), tolerance, ALPHA)


class Streams:
    """The detectors of many monitors at once; arrays have shape [streams, bets]."""

    def __init__(self, monitors: list[Worse]) -> None:
        tables = [list(bets(each)) for each in monitors]
        widest = max(len(table) for table in tables)
        # A bet that is not there gets no weight.
        padded = [table + [(0, 1.0, 0.5, 0.5, 0.0)] * (widest - len(table)) for table in tables]
        group, self._sizes, self._null, self._alternative, weights = np.moveaxis(np.array(padded), 2, 0)
        self._group = group.astype(np.int64)
        with np.errstate(divide="ignore"):
            self._log_weights = np.log(weights)
        self._log_m = np.full(weights.shape, -np.inf)

    def replay(self, failed: FloatArray) -> NDArray[np.bool_]:
        """Add one replay's failures [streams, 2] and return which streams page [streams]; those start again."""
        counts = np.take_along_axis(failed, self._group, axis=1)
        log_e = log_ratios(counts, self._sizes, self._null, self._alternative)
        self._log_m = np.logaddexp(self._log_m, 0) + log_e
        paged = np.logaddexp.reduce(self._log_m + self._log_weights, axis=1) >= -np.log(ALPHA)
        self._log_m[paged] = -np.inf
        return np.asarray(paged)


def bets(each: Worse) -> Iterator[tuple[int, float, float, float, float]]:
    """Give a monitor's bets: group, size, null, alternative, weight."""
    for index, group in enumerate(each.groups):
        for rate in group.alternatives:
            weight = 1 / (len(each.groups) * len(group.alternatives))
            yield index, group.size, group.limit, rate, weight


def false_pages(paired: bool, tolerance: float) -> float:
    """Return the false pages in 90 days of a stream."""
    random = np.random.default_rng(1)
    streams = Streams([monitor(paired, tolerance, random) for _ in range(STREAMS)])
    pages = sum(int(streams.replay(failures(paired, ACCURACY, random)).sum()) for _ in range(QUARTER))
    return pages / STREAMS


def delay(paired: bool, tolerance: float, accuracy: float) -> str:
    """Return the median replays from a change to the page, after a quiet day."""
    random = np.random.default_rng(2)
    streams = Streams([monitor(paired, tolerance, random) for _ in range(STREAMS)])
    for _ in range(288):
        streams.replay(failures(paired, ACCURACY, random))
    first = np.full(STREAMS, np.inf)
    for replay in range(1, LONGEST + 1):
        paged = streams.replay(failures(paired, accuracy, random))
        first[paged & np.isinf(first)] = replay
        if np.isfinite(first).all():
            break
    median = float(np.median(first))
    return f"{median:g}" if np.isfinite(median) else f"> {LONGEST}"


def recovery(paired: bool, tolerance: float, accuracy: float) -> str:
    """Return the median replays from the repair to *recovered*, an hour after the page."""
    random, needed = np.random.default_rng(3), []
    for _ in range(20):
        worse = monitor(paired, tolerance, random)
        state, after = worse.fresh(), 0
        for at in count():
            broken = state.episode is None or state.episode.replays < 12
            state, verdict = worse.update(answers(paired, accuracy if broken else ACCURACY, random), state, float(at))
            after += not broken
            if verdict.state is State.RECOVERED or at > LONGEST:
                break
        needed.append(float(after) if verdict.state is State.RECOVERED else np.inf)
    median = float(np.median(needed))
    return f"{median:g}" if np.isfinite(median) else f"> {LONGEST}"


def answers(paired: bool, accuracy: float, random: np.random.Generator) -> Answers:
    """Return one replay, all of it answered."""
    turned = round((ACCURACY - accuracy) * EXAMPLES)
    rates = np.full(EXAMPLES, accuracy)
    if paired:
        rates = np.repeat([0.0, 1.0, 0.0, 0.5], [turned, ALWAYS - turned, NEVER, AT_RANDOM])
    return Answers(random.random(EXAMPLES) < rates, np.ones(EXAMPLES, dtype=np.bool_))


def replays_to_page(each: ShareMonitor, missed: int, total: int) -> int:
    """Return the replays from the first failure to the page, from a quiet day on."""
    state = each.fresh()
    for at in range(288):
        state, _ = each.update(Requests(0, total), state, float(at))
    for replay in count(1):
        state, verdict = each.update(Requests(missed, total), state, float(replay))
        if verdict.state is State.ALERTING:
            return replay
    raise AssertionError("count() has no end")


def likelihood_replays(objective: float, missed: int, total: int) -> int:
    """Return the same for likelihood ratios over requests, an e-value only if requests fail independently."""
    factors = np.array([factor for factor in (2, 4, 10, 30, 100, 300, 1000) if factor * objective <= 0.5])
    null = np.full(len(factors), objective)
    log_m = np.full(len(factors), -np.inf)
    for replay in count(1):
        counts = np.full(len(factors), float(missed))
        log_m = np.logaddexp(log_m, 0) + log_ratios(counts, np.full(len(factors), float(total)), null, null * factors)
        if np.logaddexp.reduce(log_m) - np.log(len(factors)) >= -np.log(ALPHA_OF_THREE):
            return replay
    raise AssertionError("count() has no end")


def main() -> None:
    """Print both tables in Markdown."""
    print("| *worse*, 0.92 to | tolerance | false pages in 90 days | 0.90 | 0.85 | 0.50 | back after 0.85 |")
    print("|---|---|---|---|---|---|---|")
    for paired, tolerance in ((False, 0.0), (True, 0.0), (False, 0.01), (True, 0.01)):
        delays = [delay(paired, tolerance, accuracy) for accuracy in (0.90, 0.85, 0.50)]
        cells = [f"{false_pages(paired, tolerance):g}", *delays, recovery(paired, tolerance, 0.85)]
        print(f"| {'paired' if paired else 'at random'} | {tolerance:g} | {' | '.join(cells)} |")
    print(
        "\n| *failing*: objective | share that fails | replays to the page | by likelihood ratios | one such replay |"
    )
    print("|---|---|---|---|---|")
    for objective in (0.001, 0.01):
        for missed in (1000, 100, 20):
            each = failing(objective, ALPHA_OF_THREE)
            replays = replays_to_page(each, missed, 1000)
            alone = "pages" if replays == 1 else "does not page"
            likelihood = likelihood_replays(objective, missed, 1000)
            print(f"| {objective:g} | {missed / 1000:g} | {replays} | {likelihood} | {alone} |")


if __name__ == "__main__":
    main()
