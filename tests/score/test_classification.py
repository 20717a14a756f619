import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score

from goldwatch.worker.evaluators.classification import macro_f1, scores
from goldwatch.worker.evaluators.means import proportion_interval


def one_hot(classes, count):
    return np.eye(count)[classes]


def by_name(outputs, reference, labels, answered=None):
    answered = np.ones(len(labels), dtype=bool) if answered is None else answered
    return {score.name: score for score in scores(outputs, reference, labels, answered)}


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60))
def test_macro_f1_is_scikit_learns_to_the_last_digit(pairs):
    labels, predicted = np.array(pairs).T
    assert macro_f1(labels, predicted) == pytest.approx(f1_score(labels, predicted, average="macro"), rel=1e-15)


@given(st.integers(0, 2**32 - 1), st.integers(6, 12))
def test_accuracy_and_top5_are_scikit_learns(seed, classes):
    random = np.random.default_rng(seed)
    outputs, labels = random.random((40, classes)), random.integers(0, classes, 40)
    found = by_name(outputs, outputs, labels)
    assert found["accuracy"].value == accuracy_score(labels, outputs.argmax(axis=1))
    assert found["top5_accuracy"].value == top_k_accuracy_score(labels, outputs, k=5, labels=np.arange(classes))
    assert found["accuracy"].reference == found["accuracy"].value
    assert all(score.low <= score.value <= score.high and score.n == 40 for score in found.values())


def test_top5_is_left_out_where_it_is_certain():
    outputs = np.random.default_rng(0).random((10, 5))
    assert list(by_name(outputs, outputs, np.zeros(10, dtype=int))) == ["accuracy", "macro_f1"]


def test_equal_outputs_rank_by_the_lower_index():
    outputs = np.zeros((2, 6))
    found = by_name(outputs, outputs, np.array([0, 5]))
    assert found["accuracy"].value == 0.5
    assert found["top5_accuracy"].value == 0.5


def test_only_answered_examples_count_for_the_reference_too():
    labels = np.array([0, 1, 2, 0])
    now, reference = one_hot([0, 1, 0, 1], 3), one_hot([0, 1, 2, 1], 3)
    found = by_name(now, reference, labels, np.array([True, True, True, False]))
    assert (found["accuracy"].value, found["accuracy"].reference, found["accuracy"].n) == (2 / 3, 1.0, 3)
    assert scores(now, reference, labels, np.zeros(4, dtype=bool)) == ()


def test_the_interval_of_a_proportion_is_clopper_and_pearsons():
    # Clopper and Pearson 1934: 10 of 10 has the lower bound 0.025 ** (1/10).
    assert proportion_interval(10, 10) == pytest.approx((0.025**0.1, 1.0))
    assert proportion_interval(0, 10) == pytest.approx((0.0, 1 - 0.025**0.1))
    assert proportion_interval(8, 20) == pytest.approx((0.1911901, 0.6394574), abs=1e-6)


def test_without_an_error_macro_f1_is_no_more_certain_than_accuracy():
    labels = np.arange(100) % 3
    found = by_name(one_hot(labels, 3), one_hot(labels, 3), labels)
    assert (found["macro_f1"].low, found["macro_f1"].high) == (found["accuracy"].low, 1.0)
    wrong = by_name(one_hot((labels + 1) % 3, 3), one_hot(labels, 3), labels)["macro_f1"]
    assert (wrong.low, wrong.value) == (0.0, 0.0)
    assert wrong.high > 0.02


def test_the_same_replay_gives_the_same_interval():
    random = np.random.default_rng(3)
    outputs, labels = random.random((200, 4)), random.integers(0, 4, 200)
    assert by_name(outputs, outputs, labels) == by_name(outputs.copy(), outputs, labels)


def test_the_bootstrap_covers_the_true_macro_f1():
    """Three unequal classes, 300 examples: the nominal 95 % within the error of 300 repetitions, and a bit low."""
    random = np.random.default_rng(4)
    joint = np.array([[0.50, 0.04, 0.01], [0.03, 0.24, 0.03], [0.02, 0.03, 0.10]])
    truth = np.mean(2 * np.diag(joint) / (joint.sum(axis=0) + joint.sum(axis=1)))
    covered = 0
    for _ in range(300):
        cells = random.choice(9, size=300, p=joint.ravel())
        labels, predicted = np.divmod(cells, 3)
        outputs = one_hot(predicted, 3)
        interval = by_name(outputs, outputs, labels)["macro_f1"]
        covered += interval.low <= truth <= interval.high
    assert 0.91 <= covered / 300 <= 0.99


def test_a_thousand_classes_take_no_table_of_a_million_cells():
    random = np.random.default_rng(5)
    labels = random.integers(0, 1000, 3000)
    predicted = np.where(random.random(3000) < 0.8, labels, random.integers(0, 1000, 3000))
    outputs = one_hot(predicted, 1000)
    began = time.perf_counter()
    found = by_name(outputs, outputs, labels)
    assert found["macro_f1"].low < found["macro_f1"].value <= found["macro_f1"].high
    assert time.perf_counter() - began < 60


@pytest.mark.parametrize("outputs", [np.zeros((3, 2)), np.zeros((2, 3)), np.zeros(2)])
def test_refuses_shapes_that_do_not_fit(outputs):
    with pytest.raises(ValueError, match="do not fit"):
        scores(outputs, np.zeros((2, 2)), np.zeros(2, dtype=int), np.ones(2, dtype=bool))


def test_a_model_whose_outputs_vary_has_the_mean_accuracy_of_its_replays_for_reference_and_no_other() -> None:
    outputs = np.eye(6)[[0, 1, 2, 3]]
    labels, answered = np.array([0, 1, 2, 4]), np.array([True, True, False, True])
    usually = np.array([1.0, 0.5, 0.0, 0.25])
    found = {s.name: s.reference for s in scores(outputs, None, labels, answered, usually=usually)}
    assert found == {"accuracy": 1.75 / 3, "top5_accuracy": None, "macro_f1": None}
    found = {s.name: s.reference for s in scores(outputs, outputs, labels, answered, usually=usually)}
    assert (found["accuracy"], found["top5_accuracy"]) == (1.75 / 3, 1)
