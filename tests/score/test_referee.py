"""The referee's checks: they find what they are for, and their false failures are within the stated rate."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from goldwatch.core.judgement import Check, Passed
from goldwatch.worker.evaluators import referee

TIMES = st.lists(st.tuples(st.floats(1e-6, 10), st.floats(1e-6, 10)), max_size=40)


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_tail_is_that_of_a_fair_coin(a: int, b: int) -> None:
    n, k = max(a, b), min(a, b)
    assert referee.tail(k, n) == pytest.approx(float(binom.sf(k - 1, n, 0.5)))
    assert referee.tail(k + 1500, n + 3000) >= float(binom.sf(k + 1499, n + 3000, 0.5)) * (1 - 1e-9)


@given(TIMES)
def test_only_one_of_two_orders_of_the_same_pairs_can_fail(pairs: list[tuple[float, float]]) -> None:
    turned = [(second, first) for first, second in pairs]
    assert Passed.NO not in (referee.repeats(pairs).passed, referee.repeats(turned).passed) or (
        referee.repeats(pairs).passed is not referee.repeats(turned).passed
    )


def test_a_cache_is_found_and_a_few_pairs_cannot_tell() -> None:
    cached = [(0.050, 0.002)] * 12
    assert referee.repeats(cached) == Check(
        "repeats",
        Passed.NO,
        "the same request asked twice was over 2 times as fast in 12 of 12 pairs: "
        "a cache answers, and latencies of a golden set may be its own",
    )
    assert referee.repeats(cached[:9]).passed is Passed.UNKNOWN
    assert referee.repeats([(0.050, 0.049)] * 12).passed is Passed.YES
    assert referee.repeats([(50e-6, 2e-6)] * 12).passed is Passed.YES  # the processor's own cache
    assert referee.repeats([]).passed is Passed.UNKNOWN


def false_failures(check: Callable[[np.random.Generator], Check], times: int = 4000) -> int:
    chance = np.random.default_rng(11)
    return sum(check(chance).passed is Passed.NO for _ in range(times))


def test_without_cause_a_check_fails_no_oftener_than_it_says() -> None:
    def noisy(chance: np.random.Generator) -> Check:
        return referee.repeats([tuple(pair) for pair in chance.lognormal(-3, 3, (12, 2)).tolist()])

    def wordy(chance: np.random.Generator) -> Check:
        reference = chance.integers(1, 100, 40)
        return referee.lengths(zip(chance.permutation(reference).tolist(), reference.tolist(), strict=True))

    most = 4000 * referee.ERROR + 4 * math.sqrt(4000 * referee.ERROR)
    assert false_failures(noisy) <= most
    assert false_failures(wordy) <= most


@pytest.mark.parametrize(
    ("now", "passed"),
    [([50] * 20, Passed.NO), ([95] * 20, Passed.YES), ([100] * 20, Passed.YES), ([10] + [100] * 19, Passed.YES)],
)
def test_answers_that_shrank(now: list[int], passed: Passed) -> None:
    assert referee.lengths(zip(now, [100] * 20, strict=True)).passed is passed


def test_lengths_of_nothing_tell_nothing() -> None:
    assert referee.lengths([]).passed is Passed.UNKNOWN
