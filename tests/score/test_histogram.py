"""The guarantees of a histogram: exact merging, and a bound on the error of whatever is read from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.commands.histogram import RELATIVE_ERROR, Histogram, bin_of, middle_ns
from goldwatch.core.latency import quantile

TIMES = st.lists(st.floats(0, 1e5), max_size=60)


@given(st.integers(0, 10**18))
def test_what_stands_for_a_bin_is_near_all_that_is_in_it(ns: int) -> None:
    assert abs(middle_ns(bin_of(ns)) - ns) <= RELATIVE_ERROR * ns
    assert bin_of(round(middle_ns(bin_of(ns)))) == bin_of(ns)


@given(st.integers(0, 10**18))
def test_bins_are_in_the_order_of_their_times_and_leave_none_out(ns: int) -> None:
    assert bin_of(ns + 1) - bin_of(ns) in (0, 1)


@given(TIMES, TIMES, TIMES)
def test_a_merger_is_the_histogram_of_all(a: list[float], b: list[float], c: list[float]) -> None:
    whole = Histogram.of([*a, *b, *c])
    assert Histogram.of(a) + Histogram.of(b) + Histogram.of(c) == whole
    assert Histogram.of(c) + (Histogram.of(b) + Histogram.of(a)) == whole
    assert len(whole) == len(a) + len(b) + len(c)


@given(TIMES.filter(bool), st.floats(0.01, 0.9999))
def test_a_quantile_is_that_of_the_values_within_the_error(times: list[float], q: float) -> None:
    exact = quantile(sorted(times), q)
    assert Histogram.of(times).quantile(q) == pytest.approx(exact, rel=RELATIVE_ERROR, abs=1e-9)


def test_an_empty_one_has_no_quantiles() -> None:
    assert len(Histogram()) == 0
    with pytest.raises(ValueError, match="no quantiles"):
        Histogram().quantile(0.5)
