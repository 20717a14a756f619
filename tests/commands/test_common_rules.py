"""Rules that others have, beside the tools that they come from."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from river.drift import ADWIN
from scipy.stats import binom, ks_2samp

from goldwatch.commands.backtest import Record
from goldwatch.commands.common_rules import Adwin, fired, kolmogorov_smirnov
from goldwatch.core.judgement import Validity

LEVELS = st.lists(
    st.tuples(st.integers(1, 200), st.floats(0, 1), st.sampled_from([1, 20, 200])), min_size=1, max_size=6
)


def changes(detect, values):
    return [at for at, value in enumerate(values) if detect(value)]


def river(values):
    detector = ADWIN(clock=1)

    def detect(value):
        detector.update(value)
        return detector.drift_detected

    return changes(detect, values)


@given(LEVELS, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_adwin_finds_what_that_of_river_finds(levels, seed):
    """Accuracies over so many examples, whose rate jumps: the same changes, at the same replays."""
    random = np.random.default_rng(seed)
    values = [right / n for replays, rate, n in levels for right in random.binomial(n, rate, replays).tolist()]
    assert changes(Adwin().add, values) == river(values)


@pytest.mark.parametrize("accuracy", [0.9, 0.8, 0.5])
def test_adwin_finds_a_loss_and_is_quiet_without_one(accuracy):
    random = np.random.default_rng(1)
    quiet, after = (random.binomial(200, rate, 2000) / 200 for rate in (0.92, accuracy))
    assert changes(Adwin().add, quiet) == river(quiet) == []
    both = np.concatenate([quiet, after])
    found = changes(Adwin().add, both)
    assert found == river(both)
    assert len(found) == 1
    assert 2000 <= found[0] < 2800


@pytest.mark.parametrize("accuracy", [0.868, 0.9517, 0.1, 1 / 3])
def test_adwin_takes_a_model_that_is_always_as_right(accuracy):
    """The variance of equal values came out below 0 by a rounding error."""
    assert changes(Adwin().add, [accuracy] * 2000) == []


@given(
    st.lists(st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1),
    st.sampled_from([0.0, 0.5, 0.92, 1.0]) | st.floats(0, 1),
)
@settings(deadline=None)
def test_the_binomial_rule_is_the_test_of_scipy(answers, accuracy):
    records = [Record(float(at), Validity.VALID, {}, accuracy=answer) for at, answer in enumerate(answers)]
    (rule,) = (found for found in fired(records, accuracy) if found.rule == "accuracy: binomial test at 0.05")
    p_values = [binom.cdf(right, answered, accuracy) for right, answered in answers]
    assume(all(abs(p - 0.05) > 1e-9 for p in p_values))
    assert (rule.times, rule.looked) == (sum(p < 0.05 for p in p_values), len(answers))


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
