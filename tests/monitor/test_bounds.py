"""The exact bounds, and that they hold for examples of unequal rates, as docs/monitors.md claims."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtr, bdtrc

from goldwatch.worker.monitors.bounds import loss_p_value, lower, lower_mean, upper, upper_clustered
from goldwatch.worker.monitors.rates import BOUND_ERRORS


def counts_pmf(rates):
    """Poisson-binomial: the distribution of the number of successes of independent trials of these rates."""
    pmf = np.ones(1)
    for rate in rates:
        pmf = np.convolve(pmf, [1 - rate, rate])
    return pmf


@given(st.integers(1, 10**6), st.floats(0, 1), st.sampled_from([0.005, 0.025, 0.3]))
def test_solves_the_equation_that_defines_it(n, share, error):
    k = round(n * share)
    if k > 0:
        assert bdtrc(k - 1, n, lower(k, n, error)) == pytest.approx(error, rel=1e-6)
    if k < n:
        assert bdtr(k, n, upper(k, n, error)) == pytest.approx(error, rel=1e-6)
    assert 0 <= lower(k, n, error) <= k / n <= upper(k, n, error) <= 1


def test_the_ends():
    assert lower(0, 10, 0.01) == 0.0
    assert upper(10, 10, 0.01) == 1.0
    assert upper(0, 9200, 0.005) == pytest.approx(1 - 0.005 ** (1 / 9200), rel=1e-9)


@pytest.mark.parametrize("bound", [lower, upper])
@pytest.mark.parametrize(
    ("k", "n", "error", "message"),
    [
        (0, 0, 0.01, "at least one trial"),
        (3, 2, 0.01, "3 successes of 2 trials is impossible"),
        (-1, 2, 0.01, "impossible"),
        (1, 2, 0.0, "between 0 and 1"),
    ],
)
def test_refuses_what_has_no_bound(bound, k, n, error, message):
    with pytest.raises(ValueError, match=message):
        bound(k, n, error)


@given(st.lists(st.sampled_from([0.0, 1.0, 0.001, 0.01, 0.5, 0.92, 0.999]), min_size=1, max_size=12), st.integers(1, 8))
def test_holds_over_examples_times_replays_of_unequal_rates(rates, replays):
    pmf, trials = counts_pmf(rates * replays), len(rates) * replays
    mean = float(np.mean(rates))
    for error in BOUND_ERRORS.values():
        too_low = sum(p for k, p in enumerate(pmf) if upper(k, trials, error) < mean - 1e-12)
        too_high = sum(p for k, p in enumerate(pmf) if lower(k, trials, error) > mean + 1e-12)
        # One expected success less than error: there it is -log(1 - error), larger by half of its square.
        assert max(too_low, too_high) <= -np.log1p(-error) + 1e-12


@given(st.integers(1, 40), st.integers(1, 12), st.floats(0.001, 0.999), st.sampled_from([0.002, 0.008, 0.3]))
def test_clusters_that_are_one_err_no_more_than_they_may(clusters, size, rate, error):
    """All trials of a cluster fall out alike, the worst dependence there is: the bound is below the rate as rarely."""
    pmf = counts_pmf([rate] * clusters)
    below = [upper_clustered(k * size, clusters * size, error, size) < rate - 1e-9 for k in range(clusters + 1)]
    assert pmf @ below <= error * (1 + 1e-9)
    values = np.concatenate([np.zeros(3 * size), np.ones(5 * size)])
    assert lower_mean(values, error, cluster=size) == pytest.approx(lower_mean(values[::size], error), abs=1e-6)


@given(st.integers(1, 1000), st.floats(0, 1))
def test_larger_clusters_are_bounded_more_widely(n, share):
    k = round(n * share)
    bounds = [upper_clustered(k, n, 0.01, size) for size in (1, 2, 10, 100)]
    assert bounds == sorted(bounds)
    assert bounds[0] == upper(k, n, 0.01)


def test_a_cluster_of_nothing_is_refused():
    with pytest.raises(ValueError, match="a cluster has at least one trial"):
        upper_clustered(1, 2, 0.01, 0)
    with pytest.raises(ValueError, match="a cluster has at least one value"):
        lower_mean(np.ones(3), 0.01, cluster=0)


@given(st.integers(1, 60), st.integers(1, 5), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.3), st.integers(1, 3))
def test_a_larger_loss_is_less_probable_and_a_larger_tolerance_makes_it_more_so(n, replays, now, then, tolerance, c):
    trials = n * replays
    now, then = round(now * n) / n, round(then * trials) / trials
    chance = loss_p_value(now, n, then, trials, tolerance, c)
    assert 0 < chance <= 1
    assert loss_p_value(min(now + 1 / n, 1), n, then, trials, tolerance, c) >= chance - 1e-9
    assert loss_p_value(now, n, then, trials, tolerance + 0.1, c) >= chance - 1e-4


@pytest.mark.parametrize(("rate", "lost", "cluster"), [(0.69, 0.05, 1), (0.98, 0.02, 1), (0.5, 0, 1), (0.69, 0.05, 4)])
def test_a_loss_of_no_more_than_is_tolerated_is_improbable_as_rarely_as_it_says(rate, lost, cluster):
    random, n, replays = np.random.default_rng(12), 60, 5
    then = random.binomial(n // cluster * replays, rate, 400) / (n // cluster * replays)
    now = random.binomial(n // cluster, rate - lost, 400) / (n // cluster)
    wrong = sum(
        loss_p_value(a, n, b, n * replays, lost, cluster) < 0.05
        for a, b in zip(now.tolist(), then.tolist(), strict=True)
    )
    assert wrong <= 400 * 0.05 + 2 * np.sqrt(400 * 0.05)


def test_a_loss_of_a_quarter_of_the_answers_is_seen_in_a_single_replay():
    """Answers that vary: 0.69 of them right in 20 replays of the reference, 0.43 now, 5 points tolerated."""
    assert loss_p_value(0.43, 100, 0.69, 2000, 0.05) < 0.001
    assert loss_p_value(0.64, 100, 0.69, 2000, 0.05) > 0.3
