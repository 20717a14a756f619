"""Quantiles of latency, defined in this one place, and what a number of samples can prove of them.

The rule is that of MLPerf's early stopping with c = 0.99 and d = 0 (loadgen/early_stopping.cc): of n requests with t
over a latency L, quantile q is below L with 99 % confidence if P(Binomial(n, 1 - q) <= t) <= 1 %. Requests in a queue
are not independent: of an open load, n and t are divided by their design effect first (`core.dependence`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from goldwatch.core.dependence import LEAST, effect_over, tail_share
from goldwatch.core.judgement import Quantile
from goldwatch.scratch import ascending

REPORTED = (0.5, 0.9, 0.99)
_ERROR = 0.01

QUEUE_MARGIN = 1.35
"""For what a design effect, an estimate, gets wrong: with it bounds hold in simulation (`benchmarks dependence`)."""


def quantile(ordered: Sequence[float], q: float) -> float:
    """Return the smallest value that at least a share `q` of `ordered` (ascending, not empty) does not exceed.

    This is the inverse of the empirical distribution, Hyndman and Fan's type 1: always a latency that was measured.
    """
    return ordered[rank(len(ordered), q)]


def rank(n: int, q: float) -> int:
    """Return the position, from 0, of quantile `q` in `n` (at least 1) values in rising order."""
    # The product is rounded first, since 0.07 * 100 is a little more than 7.
    return max(math.ceil(round(q * n, 9)) - 1, 0)


@lru_cache(maxsize=4096)
def needed(over: int, q: float, error: float = _ERROR) -> int:
    """Return the least number of requests, with `over` of them over a limit, that show quantile `q` to be within it.

    `error` is the largest probability that they do by chance. With one over the limit, the least that is asked for: 64
    for p90, 130 for p95, 662 for p99, 6,636 for p99.9.
    """
    low, high = over, over + 1
    while not _shown(high, over, q, error):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _shown(middle, over, q, error) else (middle, high)
    return high


def certifiable(n: int, q: float) -> bool:
    """Say whether `n` samples can certify quantile `q`: whether they could with one of them over the limit."""
    return n >= 2 and _shown(n, 1, q)


def at_most(ordered: Sequence[float], q: float, effect: float = 1.0) -> float | None:
    """Return MLPerf's early-stopping estimate of quantile `q`: with 99 % confidence it is not above that.

    With t the most values that n can leave above, it is the t-th largest. None if not even one can be. `effect` is how
    many requests are worth one independent request.
    """
    n = int(len(ordered) / effect)
    if not certifiable(n, q):
        return None
    low, high = 1, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _shown(n, middle, q) else (low, middle)
    return ordered[len(ordered) - int(low * effect)]


def quantiles(
    latencies_s: Sequence[float], wanted: Sequence[float] = REPORTED, *, queued: bool = False
) -> tuple[Quantile, ...]:
    """Return the wanted quantiles of latencies in seconds, each if it can be certified; none of no latencies.

    `queued` is for an open load, whose requests may wait for each other: the latencies are in the order in which they
    were due, and the bound allows for their dependence.
    """
    ordered = ascending(latencies_s)
    if not len(ordered):
        return ()
    found = []
    for q in sorted(set(wanted)):
        if not certifiable(len(ordered), q):
            found.append(Quantile(q, None))
            continue
        middle = quantile(ordered, q)
        bound = _at_most_queued(latencies_s, ordered, q, middle) if queued else at_most(ordered, q)
        found.append(Quantile(q, middle, bound))
    return tuple(found)


def _at_most_queued(latencies_s: Sequence[float], ordered: Sequence[float], q: float, middle: float) -> float | None:
    if len(ordered) < LEAST:
        return None
    effect = effect_over(latencies_s, middle, quantile(ordered, tail_share(q)))
    return at_most(ordered, q, QUEUE_MARGIN * effect)


def _shown(n: int, over: int, q: float, error: float = _ERROR) -> bool:
    """Say whether P(Binomial(n, 1 - q) <= over) is at most the error."""
    if over >= n * (1 - q):
        return False  # the median is there or below: the probability is about a half, or more
    # Downwards from the largest term, each is the one before times a ratio below 1.
    log_term = (
        math.lgamma(n + 1)
        - math.lgamma(over + 1)
        - math.lgamma(n - over + 1)
        + over * math.log1p(-q)
        + (n - over) * math.log(q)
    )
    total = term = 1.0
    for k in range(over, 0, -1):
        term *= k * q / ((n - k + 1) * (1 - q))
        total += term
        if term < 1e-12 * total:
            break
    return log_term + math.log(total) <= math.log(error)
