"""The tables of docs/monitors.md: false pages, delays and recovery of *worse*, and delays of *failing*.

200 examples every five minutes, an accuracy of 0.92 in 288 reference replays, a budget of one false alarm a year
shared by four monitors (three for *failing*). Run by `python -m benchmarks alerts`.
"""

from __future__ import annotations

from functools import partial
from itertools import count

import numpy as np

from goldwatch.core.budget import Budget
from goldwatch.core.judgement import State
from goldwatch.worker.monitors.failing import Failing
from goldwatch.worker.monitors.rates import log_ratios
from goldwatch.worker.monitors.share import Requests, ShareMonitor
from goldwatch.worker.monitors.worse import Answers, Worse

from benchmarks.alerts.fleet import BUDGET, INTERVAL_S, MONITORS, QUARTER, alpha, delays, pages
from benchmarks.alerts.parallel import Jobs
from benchmarks.alerts.sources import ACCURACY, ALWAYS, AT_RANDOM, EXAMPLES, HALF, NEVER, Outcomes, Random, steady

_STREAMS, _LONGEST = 400, 3000
_ALPHA_OF_THREE = Budget(BUDGET, dict.fromkeys(MONITORS[:3], 1)).alpha("failing", INTERVAL_S)


def _source(paired: bool, tolerance: float, random: Random) -> Outcomes:
    return Outcomes(paired, tolerance, steady(_STREAMS, random), _STREAMS, random)


def _false_pages(paired: bool, tolerance: float) -> str:
    source = _source(paired, tolerance, np.random.default_rng(1))
    return f"{pages(source, QUARTER, alpha()).sum() / _STREAMS:g}"


def _delay(paired: bool, tolerance: float, accuracy: float) -> str:
    source = _source(paired, tolerance, np.random.default_rng(2))
    return _median(delays(source, ACCURACY - accuracy, _LONGEST, alpha()))


def _recovery(paired: bool, tolerance: float, accuracy: float) -> str:
    """Return the median replays from the repair to *recovered*, an hour after the page."""
    random, needed = np.random.default_rng(3), []
    for _ in range(20):
        rates = np.repeat([1.0, 0.0, 0.5], [ALWAYS, NEVER, AT_RANDOM]) if paired else np.full(EXAMPLES, ACCURACY)
        worse = Worse(random.binomial(HALF, rates, (2, EXAMPLES)), (HALF, HALF), tolerance, alpha())
        state, after = worse.fresh(), 0
        for at in count():
            broken = state.episode is None or state.episode.replays < 12
            state, verdict = worse.update(_answers(paired, accuracy if broken else ACCURACY, random), state, float(at))
            after += not broken
            if verdict.state is State.RECOVERED or at > _LONGEST:
                break
        needed.append(float(after) if verdict.state is State.RECOVERED else np.inf)
    return _median(np.array(needed))


def _answers(paired: bool, accuracy: float, random: Random) -> Answers:
    """Return one replay, all of it answered."""
    turned = round((ACCURACY - accuracy) * EXAMPLES)
    rates = np.full(EXAMPLES, accuracy)
    if paired:
        rates = np.repeat([0.0, 1.0, 0.0, 0.5], [turned, ALWAYS - turned, NEVER, AT_RANDOM])
    return Answers(random.random(EXAMPLES) < rates, np.ones(EXAMPLES, dtype=np.bool_))


def _median(found: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    median = float(np.median(found))
    return f"{median:g}" if np.isfinite(median) else f"> {_LONGEST}"


def _replays_to_page(each: ShareMonitor, missed: int, total: int) -> int:
    """Return the replays from the first failure to the page, from a quiet day on."""
    state = each.fresh()
    for at in range(288):
        state, _ = each.update(Requests(0, total), state, float(at))
    for replay in count(1):
        state, verdict = each.update(Requests(missed, total), state, float(replay))
        if verdict.state is State.ALERTING:
            return replay
    raise AssertionError("count() has no end")


def _likelihood_replays(objective: float, missed: int, total: int) -> int:
    """Return the same for likelihood ratios over requests, an e-value only if requests fail independently."""
    factors = np.array([factor for factor in (2, 4, 10, 30, 100, 300, 1000) if factor * objective <= 0.5])
    null = np.full(len(factors), objective)
    log_m = np.full(len(factors), -np.inf)
    for replay in count(1):
        counts = np.full(len(factors), float(missed))
        log_m = np.logaddexp(log_m, 0) + log_ratios(counts, np.full(len(factors), float(total)), null, null * factors)
        if np.logaddexp.reduce(log_m) - np.log(len(factors)) >= -np.log(_ALPHA_OF_THREE):
            return replay
    raise AssertionError("count() has no end")


def _worse_line(streams: tuple[bool, float]) -> str:
    paired, tolerance = streams
    cells = [_false_pages(*streams), *map(partial(_delay, *streams), (0.90, 0.85, 0.50)), _recovery(*streams, 0.85)]
    return f"| {'paired' if paired else 'at random'} | {tolerance:g} | {' | '.join(cells)} |"


def main(jobs: int = 1) -> None:
    """Print both tables in Markdown."""
    print("| *worse*, 0.92 to | tolerance | false pages in 90 days | 0.90 | 0.85 | 0.50 | back after 0.85 |")
    print("|---|---|---|---|---|---|---|")
    for line in Jobs(jobs).map(_worse_line, ((False, 0.0), (True, 0.0), (False, 0.01), (True, 0.01))):
        print(line)
    print(
        "\n| *failing*: objective | share that fails | replays to the page | by likelihood ratios | one such replay |"
    )
    print("|---|---|---|---|---|")
    for objective in (0.001, 0.01):
        for missed in (1000, 100, 20):
            replays = _replays_to_page(Failing(objective, _ALPHA_OF_THREE), missed, 1000)
            alone = "pages" if replays == 1 else "does not page"
            likelihood = _likelihood_replays(objective, missed, 1000)
            print(f"| {objective:g} | {missed / 1000:g} | {replays} | {likelihood} | {alone} |")
