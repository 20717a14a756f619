"""Common rules, compared with the tools that they come from."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ks_2samp

from goldwatch.commands.common_rules import fired, kolmogorov_smirnov
from goldwatch.core.judgement import Validity
from goldwatch.worker.monitors.past import ReplayRecord


@given(
    st.lists(st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1),
    st.sampled_from([0.0, 0.5, 0.92, 1.0]) | st.floats(0, 1),
)
@settings(deadline=None)
def test_the_binomial_rule_is_the_test_of_scipy(answers, accuracy):
    records = [ReplayRecord(float(at), Validity.VALID, {}, accuracy=answer) for at, answer in enumerate(answers)]
    (rule,) = (found for found in fired(records, accuracy) if found.rule == "accuracy: binomial test at 0.05")
    p_values = [binom.cdf(right, answered, accuracy) for right, answered in answers]
    assume(all(abs(p - 0.05) > 1e-9 for p in p_values))
    assert (rule.times, rule.looked) == (sum(p < 0.05 for p in p_values), len(answers))


def test_latencies_of_another_distribution_fire():
    usual, slower = ({(step + at) / 1000: 5 for at in range(20)} for step in (50, 60))
    latencies = [slower if at == 300 else usual for at in range(302)]
    records = [ReplayRecord(float(at), Validity.VALID, {}, latencies=of) for at, of in enumerate(latencies)]
    (rule,) = (found for found in fired(records, 1.0) if found.rule == "latency: KS at 0.05")
    assert (rule.times, rule.looked, rule.first) == (1, 14, 300.0)


@given(st.integers(20, 300), st.integers(0, 40), st.floats(0.01, 2), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_kolmogorov_and_smirnov_find_what_they_find_in_scipy(size, more, shift, seed):
    """A replay against a day of them, with ties, moved by about as much as shows: the same outcome at 0.05."""
    random = np.random.default_rng(seed)
    usual, now = random.normal(100, 10, 288 * size + more), random.normal(100 + 20 * shift / size**0.5, 10, size)
    usual, now = np.sort(np.round(usual, 2)), np.sort(np.round(now, 2))
    exact = ks_2samp(usual, now).pvalue
    assume(abs(exact - 0.05) > 0.002)
    assert (kolmogorov_smirnov(usual, now) < 0.05) == (exact < 0.05)
