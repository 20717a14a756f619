from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from goldwatch.core.early_stopping import table
from goldwatch.core.latency import at_most, certifiable, needed, quantile, quantiles

latencies = st.lists(st.floats(1e-6, 60), min_size=1, max_size=300)
shares = st.floats(0.01, 0.999)


@given(latencies, st.integers(1, 999))
def test_the_quantile_is_numpys_inverted_cdf(values: list[float], permille: int) -> None:
    q = permille / 1000
    assert quantile(sorted(values), q) == np.quantile(values, q, method="inverted_cdf")


@given(latencies, shares)
def test_a_quantile_is_a_measured_latency_that_the_share_does_not_exceed(values: list[float], q: float) -> None:
    found = quantile(sorted(values), q)
    assert found in values
    assert sum(v <= found for v in values) >= q * len(values) - 1e-6


@pytest.mark.parametrize(("q", "least"), [(0.9, 64), (0.95, 130), (0.99, 662), (0.999, 6636)])
def test_the_samples_that_a_quantile_needs_are_mlperfs(q: float, least: int) -> None:
    assert certifiable(least, q)
    assert not certifiable(least - 1, q)


def test_no_latencies_give_no_quantiles() -> None:
    assert quantiles([]) == ()


def test_a_quantile_from_too_few_samples_is_not_certified() -> None:
    assert [(x.q, x.latency_s) for x in quantiles([0.001] * 100)] == [(0.5, 0.001), (0.9, 0.001), (0.99, None)]


@given(st.integers(1, 3000), st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999]), st.data())
def test_needed_is_the_binomial_rule(n: int, q: float, data: st.DataObject) -> None:
    over = data.draw(st.integers(0, max(1, int(1.2 * n * (1 - q)))))
    assert (n >= needed(over, q)) == bool(binom.cdf(over, n, 1 - q) <= 0.01)


def test_needed_gives_the_figures_of_mlperf() -> None:
    assert [needed(1, q) for q in (0.9, 0.95, 0.99, 0.999)] == [64, 130, 662, 6636]
    assert needed(0, 0.99) == 459


@given(st.integers(662, 2000), st.integers(0, 99), st.sampled_from([0.5, 0.9, 0.99]))
def test_the_early_stopping_estimate_leaves_as_many_above_as_may_be(n: int, seed: int, q: float) -> None:
    ordered = sorted(np.random.default_rng(seed).exponential(size=n).tolist())
    bound = at_most(ordered, q)
    assert bound is not None
    assert bound >= quantile(ordered, q)
    t = next(t for t in range(1, n) if needed(t + 1, q) > n)  # as loadgen/results.cc finds it, one by one
    assert bound == ordered[n - t]


def test_the_docs_show_the_table() -> None:
    docs = (Path(__file__).parents[2] / "docs/load.md").read_text()
    assert table() in docs
