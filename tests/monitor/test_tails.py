import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.monitor.bounds import upper
from goldwatch.monitor.tails import tails

SHIFTS = (0.25, 1.0, 4.0)
REFERENCE = np.random.default_rng(0).standard_t(5, 1000)


@given(st.integers(0, 2**32 - 1))
def test_the_mean_is_at_most_one_for_any_law_within_the_bounds(seed):
    """The bounds are what a mean of e of 1 pays; any law with less above each cut pays less."""
    found = tails(REFERENCE, SHIFTS, 0.01)
    random = np.random.default_rng(seed)
    counts = [int(np.count_nonzero(cut < REFERENCE)) for cut in found.cuts]
    limits = [upper(count, len(REFERENCE), 0.01 / len(counts)) for count in counts]
    above = np.array([1.0, *np.minimum.accumulate(np.array(limits) * random.random(len(limits))), 0.0])
    for shares in (above[:-1] - above[1:], np.array([1.0, *limits]) - np.array([*limits, 0.0])):
        assert np.all(shares @ np.exp(found.log_e) <= 1 + 1e-9)


def test_a_higher_value_never_pays_less():
    found = tails(REFERENCE, SHIFTS, 0.01)
    assert np.all(np.diff(found.log_e, axis=0) >= 0)
    assert np.all(np.diff(found.cuts) > 0)
    assert np.array_equal(found.of(-1e9), found.log_e[0])
    assert np.array_equal(found.of(1e9), found.log_e[-1])


def test_the_reference_itself_pays_less_than_one_on_average():
    found = tails(REFERENCE, SHIFTS, 0.01)
    assert np.all(np.mean([np.exp(found.of(value)) for value in REFERENCE], axis=0) <= 1)


@pytest.mark.parametrize("law", ["standard_normal", "standard_exponential", "standard_cauchy"])
def test_the_bounds_hold_as_often_as_they_say(law):
    """Fresh draws of the law pay at most 1 on average, but for at most the error of the references."""
    random = np.random.default_rng(1)
    fresh = np.sort(getattr(random, law)(200_000))
    wrong = 0
    for _ in range(100):
        found = tails(getattr(random, law)(300), SHIFTS, 0.2)
        shares = np.diff([0, *np.searchsorted(fresh, found.cuts), len(fresh)]) / len(fresh)
        wrong += bool(np.any(shares @ np.exp(found.log_e) > 1 + 1e-3))
    assert wrong <= 20


def test_refuses_too_few_values():
    with pytest.raises(ValueError, match="at least 100 values, not 99"):
        tails(REFERENCE[:99], SHIFTS, 0.01)
