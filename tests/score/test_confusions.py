"""Which mistakes of a classifier have become more frequent, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from goldwatch.core.judgement import Confusion
from goldwatch.worker.evaluators.confusions import Confusions, sign_test

NAMES = ("fraud", "not fraud", "unsure")


def confused(
    labels: np.ndarray, then: np.ndarray, now: np.ndarray, clusters: np.ndarray | None = None
) -> tuple[Confusion, ...]:
    """Count in two parts, as the engine may."""
    found, half = Confusions(NAMES, clusters), len(labels) // 2
    for rows in (slice(0, half), slice(half, len(labels))):
        found.add(rows, labels[rows], then[rows], now[rows], np.ones(len(labels[rows]), bool))
    return found.worst()


def test_one_mistake_that_grew_is_beyond_chance_and_one_that_only_varies_is_not() -> None:
    labels = np.repeat([0, 1], 500)
    then, now = labels.copy(), labels.copy()
    then[39:130] = 1  # 91 frauds were missed already
    now[:130] = 1
    now[500:502] = 0
    first, second = confused(labels, then, now)
    assert (first.label, first.said, first.flips, first.now, first.reference) == ("fraud", "not fraud", 39, 130, 91)
    assert first.beyond_chance
    assert first.p_value == pytest.approx(2.0**-39)
    assert (second.label, second.said, second.flips, second.beyond_chance) == ("not fraud", "fraud", 2, False)


def test_a_cluster_that_turns_wrong_as_a_whole_is_one_finding() -> None:
    labels, clusters = np.zeros(200, np.int64), np.repeat(np.arange(10), 20)
    now = np.where(clusters == 3, 1, 0)
    (alone,), (together,) = confused(labels, labels, now), confused(labels, labels, now, clusters)
    assert (alone.beyond_chance, together.beyond_chance) == (True, False)
    assert (together.flips, together.p_value) == (20, 0.5)


@given(st.integers(1, 200), st.data())
def test_the_p_value_is_that_of_the_binomial(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    assert sign_test(successes, trials) == pytest.approx(binom.sf(successes - 1, trials, 0.5), rel=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_the_counts_are_those_of_the_confusion_matrix(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, then, now = random.integers(0, 3, (3, 40))
    for cell in confused(labels, then, now):
        label, said = (NAMES.index(name) for name in (cell.label, cell.said))
        assert cell.now == np.sum((labels == label) & (now == said))
        assert cell.reference == np.sum((labels == label) & (then == said))
        assert cell.flips == np.sum((labels == label) & (now == said) & (then == label))


@pytest.mark.slow
def test_a_model_that_only_varies_is_blamed_for_a_mistake_in_one_replay_of_a_hundred_at_most() -> None:
    random, blamed = np.random.default_rng(5), 0
    labels = np.repeat(np.arange(3), 100)
    for _ in range(2000):
        shaky = random.random(300) < 0.3
        then, now = (np.where(shaky, random.integers(0, 3, 300), labels) for _ in range(2))
        blamed += any(cell.beyond_chance for cell in confused(labels, then, now))
    assert blamed <= 32  # 1 % of 2000 is 20, and three standard deviations
