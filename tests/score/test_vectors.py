"""Distances of numbers: finite for finite values of any size, and logits are never taken for probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from goldwatch.probe import BadAnswer, single_output
from goldwatch.worker.evaluators.agreement import furthest, without_value
from goldwatch.worker.evaluators.vectors import apart, are_probabilities, cosines, jensen_shannon

any_size = arrays(np.float64, (3, 4), elements=st.floats(allow_nan=False, allow_infinity=False))
EVERYTHING = np.ones(3, dtype=bool)


@given(any_size, any_size)
def test_finite_values_of_any_size_have_a_distance(a: np.ndarray, b: np.ndarray) -> None:
    for found in (jensen_shannon(a, b, logits=True), jensen_shannon(a, b), apart(a[:, 0], b[:, 0], 0.0)):
        assert ((found >= 0) & (found <= 1)).all()
    assert (np.abs(cosines(a, b)) <= 1).all()
    assert np.isfinite(furthest(a, b)).all()
    assert cosines(a, a) == pytest.approx(np.ones(3))
    assert apart(a[:, 0], a[:, 0], 0.0).max() == 0


@pytest.mark.parametrize("size", [1e-200, 1.0, 1.7e308])
def test_the_size_of_a_pair_does_not_change_its_distance(size: float) -> None:
    a, b = size * np.array([[1.0, 0.5]]), size * np.array([[-1.0, 0.5]])
    assert cosines(a, b) == pytest.approx([-0.6])
    assert apart(a[:, 0], b[:, 0], 0.0) == [1.0]


LOGITS = np.array([[0.2, 0.5, 0.4], [0.3, 0.3, 0.3], [0.1, 0.6, 0.2]])


def test_logits_between_0_and_1_are_logits() -> None:
    assert not are_probabilities(LOGITS)
    assert not are_probabilities(np.random.default_rng(0).uniform(0.05, 0.5, (200, 4)))
    shifted = jensen_shannon(LOGITS + 0.05, LOGITS, logits=not are_probabilities(LOGITS))
    assert shifted == pytest.approx(np.zeros(3), abs=1e-12)  # softmax does not see a constant


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_probabilities_are_probabilities_in_any_precision(seed: int, classes: int) -> None:
    exact = np.random.default_rng(seed).dirichlet([0.5] * classes, 60)
    assert are_probabilities(exact)
    assert are_probabilities(exact.astype(np.float16))
    assert are_probabilities(np.minimum(np.round(exact * 256), 255) / 256)  # 8 bits
    assert are_probabilities(np.round(exact, 2))
    assert not are_probabilities(np.log(np.maximum(exact, 1e-9)))


def test_one_row_of_many_decides() -> None:
    exact = np.random.default_rng(1).dirichlet([0.5] * 4, 500)
    assert not are_probabilities(np.concatenate([exact, [[0.5, 0.4, 0.3, 0.2]]]))


def test_a_masked_class_has_the_probability_0() -> None:
    then = np.array([[1.0, 2.0, -np.inf], [3.0, 0.0, 0.0]])
    assert jensen_shannon(then + 4, then, logits=True) == pytest.approx([0, 0])
    now = np.array([[-np.inf, 2.0, 1.0], [0.0, 3.0, 0.0]])
    p, q = softmax(now, axis=1), softmax(then, axis=1)
    assert jensen_shannon(now, then, logits=True) == pytest.approx(jensen_shannon(p, q))
    assert cosines(then, then) == pytest.approx([1, 1])
    assert cosines(then[:1], np.array([[1.0, -2.0, -np.inf]])) == pytest.approx([-0.6])


@pytest.mark.parametrize(
    ("row", "classes", "others"),
    [
        ([0.0, 1.0], True, True),
        ([0.0, -np.inf], True, False),
        ([-np.inf, -np.inf], False, False),
        ([0.0, np.inf], False, False),
        ([0.0, np.nan], False, False),
    ],
)
def test_minus_infinity_masks_a_class_and_is_no_value_elsewhere(row: list[float], classes: bool, others: bool) -> None:
    outputs = {"y": np.array([[0.0, 0.0], row, [0.0, 0.0]])}
    assert list(without_value(outputs, EVERYTHING, "y")) == ([] if classes else [1])
    assert list(without_value(outputs, EVERYTHING, "")) == ([] if others else [1])
    if classes:
        assert single_output(outputs, "y", "float64", (2,), 3) is outputs["y"]
    else:
        with pytest.raises(BadAnswer, match='output "y" contains NaN or infinity'):
            single_output(outputs, "y", "float64", (2,), 3)
