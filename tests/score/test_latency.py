import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.score.latency import certifiable, quantile, quantiles

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
