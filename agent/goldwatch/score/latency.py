"""Quantiles of latency, defined in this one place, and whether there were samples enough to state them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from goldwatch.judgement import Quantile

REPORTED = (0.5, 0.9, 0.99)
_CONFIDENCE = 0.99


def quantile(ordered: Sequence[float], q: float) -> float:
    """Return the smallest value that at least a share `q` of `ordered` (ascending, not empty) does not exceed.

    This is the inverse of the empirical distribution, Hyndman and Fan's type 1: always a latency that was measured.
    """
    # The product is rounded first, since 0.07 * 100 is a little more than 7.
    return ordered[max(math.ceil(round(q * len(ordered), 9)) - 1, 0)]


def certifiable(n: int, q: float) -> bool:
    """Say whether `n` samples can certify quantile `q` at 99 % confidence.

    The rule of MLPerf's early stopping with one sample over the limit: P(Binomial(n, 1 - q) <= 1) <= 1 %. It asks for
    64 samples for p90, 130 for p95, 662 for p99 and 6,636 for p99.9.
    """
    if n < 2:
        return False
    log_p = (n - 1) * math.log(q) + math.log(q + n * (1 - q))
    return log_p <= math.log(1 - _CONFIDENCE)


def quantiles(latencies_s: Sequence[float], wanted: Sequence[float] = REPORTED) -> tuple[Quantile, ...]:
    """Return the wanted quantiles of latencies in seconds, each if it can be certified; none of no latencies."""
    ordered = sorted(latencies_s)
    if not ordered:
        return ()
    return tuple(
        Quantile(q, quantile(ordered, q) if certifiable(len(ordered), q) else None) for q in sorted(set(wanted))
    )
