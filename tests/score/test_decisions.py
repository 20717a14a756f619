"""Judged outputs of any form: one score and a threshold, a predicted class, values, matrices, and text next to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.golden.error import GoldenError
from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.worker.evaluators.errors import error_scores
from goldwatch.worker.evaluators.examples import Examples
from goldwatch.worker.evaluators.tasks import judged

N = 6
ALL = np.ones(N, dtype=np.bool_)
BASE: dict[str, Any] = {
    "name": "set",
    "version": "1",
    "examples": N,
    "inputs": {"x": {"dtype": "float32", "shape": [2]}},
    "reference": {"replays": [1, 1], "deterministic": True},
    "provenance": {"source": "made up"},
    "licence": "CC0-1.0",
}


def golden(
    folder: Path,
    task: str,
    reference: dict[str, Any],
    labels: Any = None,
    said: dict[str, Any] | None = None,
    **more: Any,
) -> GoldenSet:
    """Freeze a set with these reference outputs; texts are lists of `str`."""
    texts = {name: values for name, values in reference.items() if isinstance(values, list)}
    arrays = {name: np.asarray(values) for name, values in reference.items() if name not in texts}
    outputs: dict[str, Any] = {
        name: {"dtype": values.dtype.name, "shape": list(values.shape[1:]), "tolerance": 0.001}
        for name, values in arrays.items()
    }
    outputs |= {name: {"dtype": "text", "shape": [], "tolerance": 0} for name in texts}
    tensors: dict[str, Any] = {"inputs.x": np.zeros((N, 2), np.float32), "reference.right": np.ones((2, N), np.int64)}
    tensors |= {f"outputs.{name}": values for name, values in arrays.items()}
    if labels is not None:
        tensors["labels"] = np.asarray(labels)
    lines = [{"inputs": {}, "outputs": {name: texts[name][i] for name in texts}} for i in range(N if texts else 0)]
    manifest = BASE | {"task": task, "outputs": outputs} | ({"labels": said} if said else {}) | more
    folder.mkdir(exist_ok=True)
    return freeze(folder / "set", manifest, tensors, lines)


def by_name(scores: Any) -> dict[str, Any]:
    return {score.name: score for score in scores}


LABELS = np.array([0, 1, 0, 1, 1, 0])
PROBABILITIES = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.5], np.float32)


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
@pytest.mark.parametrize("threshold", [0.5, 0.25])
def test_one_score_is_the_second_class_above_its_threshold(tmp_path: Path, shape: Any, threshold: float) -> None:
    reference = PROBABILITIES.reshape(shape)
    said = {"classes": ["no", "yes"], "threshold": threshold}
    task = judged(golden(tmp_path, "classification", {"p": reference}, LABELS, said))
    now = (1 - PROBABILITIES).reshape(shape)
    assert task.right({"p": reference}).tolist() == ((threshold < PROBABILITIES) == LABELS).tolist()
    scores = by_name(task.scores({"p": now}, ALL))
    assert scores["accuracy"].value == pytest.approx(np.mean((now.ravel() > threshold) == LABELS))
    assert set(scores) == {"accuracy", "macro_f1"}
    assert task.distance({"p": reference}, ALL).max() == 0
    assert task.distance({"p": now}, ALL)[0] > 0.3
    found = task.difference({"p": now}, ALL)
    assert (found.compared, found.moved) == (N, 5)
    assert {flip.now for flip in found.flips} <= {"no", "yes"}


def test_a_logit_has_a_distance(tmp_path: Path) -> None:
    logits = np.log(PROBABILITIES / (1 - PROBABILITIES))
    said = {"classes": ["no", "yes"], "threshold": 0}
    task = judged(golden(tmp_path, "classification", {"z": logits}, LABELS, said))
    other = judged(golden(tmp_path / "p", "classification", {"z": PROBABILITIES}, LABELS, said | {"threshold": 0.5}))
    far, same = task.distance({"z": -logits}, ALL), other.distance({"z": 1 - PROBABILITIES}, ALL)
    assert far == pytest.approx(same, abs=1e-6)


def test_a_predicted_class_is_its_number_or_its_name(tmp_path: Path) -> None:
    said = {"classes": ["a", "b", "c"]}
    numbers, names = np.array([0, 1, 2, 2, 1, 0]), ["a", "b", "c", "c", "b", "a"]
    labels = np.array([0, 1, 2, 2, 1, 1])
    by_number = judged(golden(tmp_path / "1", "classification", {"y": numbers}, labels, said))
    by_text = judged(golden(tmp_path / "2", "classification", {"y": names}, labels, said))
    kept = {"y": np.array([name.encode() for name in [*names[:4], "z", "c"]], "S4096")}
    wrong = {"y": np.array([0, 1, 2, 2, 7, 2])}
    for task, now in ((by_number, wrong), (by_text, kept)):
        assert task.right(now).tolist() == [True] * 4 + [False, False]
        found = task.difference(now, ALL)
        assert (found.moved, found.harmful, found.neutral) == (2, 1, 1)
        assert task.distance(now, ALL).tolist() == pytest.approx([0, 0, 0, 0, 1, 1])
        assert by_name(task.scores(now, ALL))["accuracy"].reference == 1.0  # reference.right of the set


def test_a_predicted_number_is_the_class_of_that_name(tmp_path: Path) -> None:
    said = {"classes": ["-1", "1"]}
    values = np.array([-1, 1, -1, 1, 1, -1])
    task = judged(golden(tmp_path, "classification", {"y": values}, (values > 0).astype(int), said))
    assert task.right({"y": values}).all()
    assert not task.right({"y": -values}).any()


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.booleans())
def test_errors_are_those_of_their_definitions(seed: int, width: int, clustered: bool) -> None:
    rng = np.random.default_rng(seed)
    truth, now = rng.normal(size=(30, width)), rng.normal(size=(30, width))
    answered = rng.random(30) < 0.8
    answered[:2] = True
    codes = rng.integers(-1, 5, 30) if clustered else None
    found = by_name(error_scores(now, truth, truth, answered, codes))
    true, said = truth[answered], now[answered]
    assert found["mae"].value == pytest.approx(np.abs(said - true).mean())
    assert found["rmse"].value == pytest.approx(np.sqrt(((said - true) ** 2).mean()))
    assert found["r2"].value == pytest.approx(1 - ((said - true) ** 2).sum() / ((true - true.mean()) ** 2).sum())
    assert (found["mae"].reference, found["r2"].reference) == (0.0, 1.0)
    assert all(score.low <= score.value <= score.high for score in found.values())


def test_a_value_is_right_within_the_error_that_the_set_allows(tmp_path: Path) -> None:
    truth = np.arange(N, dtype=np.float64)
    reference = (truth + 0.1).astype(np.float32)
    task = judged(golden(tmp_path, "regression", {"y": reference}, truth, {"within": 0.5}))
    now = reference.copy()
    now[0] += 5
    assert task.right({"y": now}).tolist() == [False] + [True] * 5
    scores = by_name(task.scores({"y": now}, ALL))
    assert list(scores) == ["accuracy", "mae", "rmse", "r2"]
    assert scores["mae"].reference == pytest.approx(0.1, abs=1e-6)
    found = task.difference({"y": now}, ALL)
    assert (found.moved, found.harmful) == (1, 1)
    assert (found.flips[0].label, found.flips[0].reference, found.flips[0].now) == ("0", "0.1", "5.1")


@pytest.mark.parametrize("shape", [(), (1,), (3,), (4, 5), (2, 2, 2)])
def test_numbers_of_any_shape_are_compared_with_the_reference(tmp_path: Path, shape: tuple[int, ...]) -> None:
    reference = np.random.default_rng(0).normal(size=(N, *shape)).astype(np.float32)
    side = np.zeros((N, 2), np.float32)
    task = judged(golden(tmp_path, "embedding", {"y": reference, "side": side}, decision="y"))
    now = reference.copy()
    now[1] = -now[1]
    moved_side = side.copy()
    moved_side[5] = 1
    found = task.difference({"y": now, "side": moved_side}, ALL)
    assert (found.moved, found.harmful) == (2, 1)  # what moved elsewhere is no wrong answer
    assert task.right({"y": now, "side": moved_side}).tolist() == [True, False, True, True, True, True]
    assert by_name(task.scores({"y": now, "side": side}, ALL))["agreement"].value == pytest.approx(5 / 6)
    assert task.distance({"y": now, "side": side}, ALL)[1] == pytest.approx(1.0)
    assert task.same({"y": now}, {"y": reference}).tolist() == [True, False, True, True, True, True]


def test_evaluators_are_given_the_answer_and_what_is_right(tmp_path: Path) -> None:
    one, labels = PROBABILITIES.copy(), {"classes": ["no", "yes"], "threshold": 0.5}
    examples = Examples(golden(tmp_path / "1", "classification", {"p": one}, LABELS, labels))
    read = examples.readers({"output": "output", "expected": "expected"}, {"p": one})
    assert [(read["output"](i), read["expected"](i)) for i in (0, 1, 4)] == [
        ("no", "no"),
        ("yes", "yes"),
        ("no", "yes"),
    ]
    truth = np.arange(N, dtype=np.float64)
    examples = Examples(golden(tmp_path / "2", "regression", {"y": truth + 1}, truth, {"within": 0.5}))
    read = examples.readers({"output": "output", "expected": "expected"}, {"y": truth + 2})
    assert (read["output"](3), read["expected"](3)) == (5.0, 3.0)


def test_text_next_to_scores_is_compared(tmp_path: Path) -> None:
    scores, words = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]], ["a", "b", "c"] * 2
    labels = np.array([0, 1, 2] * 2)
    task = judged(
        golden(
            tmp_path, "classification", {"p": scores, "word": words}, labels, {"classes": ["a", "b", "c"]}, decision="p"
        )
    )
    now = np.array([b"a", b"b", b"c", b"a", b"b", b"x"], "S4096")
    found = task.difference({"p": scores, "word": now}, ALL)
    assert (found.moved, found.harmful, found.largest) == (1, 0, None)
    assert task.right({"p": scores, "word": now}).all()


@pytest.mark.parametrize(
    ("reference", "said", "problem"),
    [
        (PROBABILITIES, {"classes": ["a", "b"]}, "expected labels.threshold, above which it is the second class"),
        (PROBABILITIES, {"classes": ["a", "b", "c"], "threshold": 0.5}, "a threshold is between two classes, not 3"),
        (np.zeros((N, 3)), {"classes": ["a", "b"], "threshold": 0.5}, "a threshold is for one score an example"),
    ],
)
def test_what_no_class_can_be_read_from_is_refused(
    tmp_path: Path, reference: np.ndarray, said: dict[str, Any], problem: str
) -> None:
    with pytest.raises(GoldenError, match=problem.replace("[", r"\[")):
        golden(tmp_path, "classification", {"p": reference}, LABELS, said)
