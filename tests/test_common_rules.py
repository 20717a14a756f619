"""Rules that others have, beside the tools that they come from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.drift import ADWIN

from goldwatch.common_rules import Adwin

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
