"""How many independent requests the requests of one queue are worth.

A request waits for those before it, so latencies over a limit come in clusters, and a binomial bound over the requests
is too narrow. The requests, in the order in which they were due, are divided into `BLOCKS` blocks (batch means; Law and
Kelton 1984). The variance of the blocks' shares over a limit, divided by that of independent requests, is the *design
effect*; requests divided by it is the effective number that a binomial bound may use (Korn and Graubard 1998).
`python -m benchmarks dependence` simulates how often the bounds are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

BLOCKS = 30
"""Enough for a variance; few, so that each is long beside the memory of a queue."""

LEAST = 2 * BLOCKS
"""Fewer requests than this have no design effect."""

_STUDENT = (2.462 / 2.326) ** 2
"""The variance is estimated from `BLOCKS`: the squared ratio of Student's 99 % quantile, 29 degrees, to the normal."""

_HIGHEST_CORRELATION = 0.95


def tail_share(q: float) -> float:
    """Return the quantile below `q` at which requests over it are many enough to show how long a queue remembers."""
    return 1 - min(0.5, 10 * (1 - q))


def far_below(longest_s: float, limit_s: float) -> bool:
    """Return whether the longest latency is so far below a limit that it shows no queue, only how the machine varies.

    The simulation of `benchmarks/dependence.py` holds with a thirtieth, and fails with a tenth (bursts, load .95).
    """
    return longest_s < limit_s / 30


def counts_over(latencies_s: Sequence[float], limit_s: float) -> list[int]:
    """Count the latencies over a limit in each of `BLOCKS` blocks; what is left over at the end is in none."""
    size = len(latencies_s) // BLOCKS
    return [sum(s > limit_s for s in latencies_s[i * size : (i + 1) * size]) for i in range(BLOCKS)]


def design_effect(counts: Sequence[int], size: int) -> float:
    """Return the design effect of `counts` in blocks of `size` requests each, in the order of time.

    It is at least 1, and at most the number of requests. Blocks that resemble their neighbours are too short, so the
    effect grows by (1 + r) / (1 - r), for the correlation r of neighbours.
    """
    share = sum(counts) / (size * len(counts))
    if not 0 < share < 1:
        return 1.0
    apart = [count / size - share for count in counts]
    squares = sum(each * each for each in apart)
    if not squares:
        return 1.0
    near = sum(a * b for a, b in pairwise(apart)) / squares
    near = min(max(near, 0.0), _HIGHEST_CORRELATION)
    variance = size * squares / (len(counts) - 1) / (share * (1 - share))
    return min(max(_STUDENT * variance * (1 + near) / (1 - near), 1.0), size * len(counts))


def effect_over(latencies_s: Sequence[float], *limits_s: float) -> float:
    """Return the largest design effect over some limits, for latencies in the order in which requests were due.

    Raises ValueError for fewer than `LEAST`.
    """
    if len(latencies_s) < LEAST:
        raise ValueError(f"a design effect takes {LEAST} requests, not {len(latencies_s)}")
    size = len(latencies_s) // BLOCKS
    return max(design_effect(counts_over(latencies_s, limit_s), size) for limit_s in limits_s)
