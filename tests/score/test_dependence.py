from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.dependence import BLOCKS, LEAST, design_effect, effect_over, tail_share
from goldwatch.core.latency import at_most, quantiles

counts = st.integers(1, 200).flatmap(
    lambda size: st.tuples(st.lists(st.integers(0, size), min_size=BLOCKS, max_size=BLOCKS), st.just(size))
)


def queued_s(load: float, requests: int) -> list[float]:
    """Return the latencies of a queue, each request served in a second, after Lindley."""
    steps = 1 - np.random.default_rng(0).exponential(1 / load, requests)
    walk = np.cumsum(steps)
    return [float(s) for s in walk - np.minimum.accumulate(walk) + 1]


@given(counts)
def test_a_design_effect_is_between_one_and_the_number_of_requests(found: tuple[list[int], int]) -> None:
    over, size = found
    assert 1 <= design_effect(over, size) <= size * BLOCKS


def test_independent_requests_are_worth_about_themselves_and_repeated_ones_a_share() -> None:
    random = np.random.default_rng(0)
    alone = [effect_over(random.random(3000).tolist(), 0.9) for _ in range(50)]
    by_ten = [effect_over(np.repeat(random.random(300), 10).tolist(), 0.9) for _ in range(50)]
    assert 1 <= np.mean(alone) < 1.6
    assert 8 < np.mean(by_ten) < 16


def test_a_queue_has_a_wider_bound_than_as_many_independent_requests() -> None:
    times = queued_s(0.5, 20_000)
    plain, queued = ({x.q: x for x in quantiles(times, queued=queue)}[0.99] for queue in (False, True))
    assert plain.at_most_s == at_most(sorted(times), 0.99)
    assert plain.latency_s == queued.latency_s
    assert plain.at_most_s is not None
    assert queued.at_most_s is not None
    assert queued.at_most_s > plain.at_most_s


def test_a_queue_that_remembers_for_too_long_has_no_bound() -> None:
    assert quantiles(queued_s(0.95, 2000), [0.99], queued=True)[0].at_most_s is None


@pytest.mark.parametrize(("q", "share"), [(0.5, 0.5), (0.9, 0.5), (0.95, 0.5), (0.99, 0.9), (0.999, 0.99)])
def test_the_tail_holds_ten_times_as_many(q: float, share: float) -> None:
    assert tail_share(q) == pytest.approx(share)


def test_few_requests_have_no_design_effect() -> None:
    with pytest.raises(ValueError, match="takes 60 requests, not 59"):
        effect_over([1.0] * (LEAST - 1), 0.5)
    assert quantiles([1.0] * (LEAST - 1), [0.5], queued=True)[0].at_most_s is None
