"""The checks of MLPerf's referees, after its compliance tests, as findings next to a replay that page no one.

Each is an exact sign test. *repeats*: if nothing is cached, it is as likely that the first of two equal requests takes
twice as long as the second as the other way round. *lengths*: if the model is the one that was validated, one that
has another length than its reference is as likely longer as shorter. A check fails at 0.1 %, and only if the effect
is large: half of the pairs, or a tenth of the length (MLPerf asks for 90 % of the reference's tokens).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from goldwatch.core.judgement import Check, Passed

ERROR = 0.001
"""The probability of a check failing without cause."""

MUCH_FASTER = 2.0
LEAST_LENGTH = 0.9
_LEAST_SAVED_S = 0.001
"""What is saved must be worth a cache; the caches of a processor save less."""


def repeats(pairs_s: Sequence[tuple[float, float]]) -> Check:
    """Judge the seconds of the first and second request of each pair."""
    if not pairs_s:
        return Check("repeats", Passed.UNKNOWN, "no example could be asked twice")
    faster = sum(_much_faster(first, second) for first, second in pairs_s)
    slower = sum(_much_faster(second, first) for first, second in pairs_s)
    told = f"the same request asked twice was over {MUCH_FASTER:g} times as fast in {faster} of {len(pairs_s)} pairs"
    if 2 * faster >= len(pairs_s) and tail(faster, faster + slower) <= ERROR:
        return Check("repeats", Passed.NO, f"{told}: a cache answers, and latencies of a golden set may be its own")
    if tail(len(pairs_s), len(pairs_s)) > ERROR:
        return Check("repeats", Passed.UNKNOWN, f"{told}; at least {needed()} pairs can tell")
    return Check("repeats", Passed.YES, told)


def lengths(pairs: Iterable[tuple[int, int]]) -> Check:
    """Judge the length of each text against that of its reference."""
    shorter = longer = whole = wanted = 0
    for now, reference in pairs:
        shorter, longer = shorter + (now < reference), longer + (now > reference)
        whole, wanted = whole + now, wanted + reference
    if not wanted:
        return Check("lengths", Passed.UNKNOWN, "no answer has a reference of any length")
    share = whole / wanted
    told = f"answers are {100 * share:.3g} % as long as the reference ({shorter:,} shorter, {longer:,} longer)"
    shrunk = share < LEAST_LENGTH and tail(shorter, shorter + longer) <= ERROR
    return Check("lengths", Passed.NO if shrunk else Passed.YES, told)


def tail(successes: int, n: int) -> float:
    """Return P(Binomial(n, 1/2) >= successes)."""
    if n > 1000:  # Hoeffding's bound, which is above it
        return math.exp(-2 * max(successes - n / 2, 0.0) ** 2 / n)
    return float(sum(math.comb(n, k) for k in range(successes, n + 1)) / 2**n)


def needed() -> int:
    """Return the least number of pairs that can show a difference."""
    return math.ceil(-math.log2(ERROR))


def _much_faster(first_s: float, second_s: float) -> bool:
    return first_s > MUCH_FASTER * second_s and first_s - second_s > _LEAST_SAVED_S
