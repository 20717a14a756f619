"""Results of the tasks other than classification from outputs: right, scores, difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon

from goldwatch.core.judgement import Score
from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.worker.evaluators.tasks import Judged, judged
from goldwatch.worker.evaluators.vectors import apart, cosines, jensen_shannon

ALL = np.ones(4, dtype=np.bool_)
BASE: dict[str, Any] = {
    "name": "set",
    "version": "1",
    "examples": 4,
    "reference": {"replays": [1, 1], "deterministic": True},
    "slices": {"kind": {"values": ["city", "colour"]}},
    "provenance": {"source": "made up"},
    "licence": "CC0-1.0",
}
TENSORS = {"reference.right": np.ones((2, 4), np.int64), "slices.kind": np.array([0, 0, 1, 1])}
REFERENCE = ["It is Paris.", "It is Lima.", "The sky is blue", "Grass is red"]
ANSWERS = [["Paris"], ["Lima", "Ciudad de los Reyes"], ["blue"], ["green"]]


def generation(folder: Path, *kept: np.ndarray, **changes: Any) -> Judged:
    manifest = BASE | {
        "task": "generation",
        "inputs": {"prompt": {"dtype": "text", "shape": []}},
        "labels": {"match": "contains"},
        "outputs": {"text": {"dtype": "text", "shape": [], "tolerance": 0}},
    }
    lines = [
        {"inputs": {"prompt": "?"}, "outputs": {"text": text}} | ({"answers": a} if "labels" not in changes else {})
        for text, a in zip(REFERENCE, ANSWERS, strict=True)
    ]
    tensors: dict[str, Any] = TENSORS | dict(zip(("reference.scores", "reference.distances"), kept, strict=False))
    if "labels" not in changes:
        tensors["reference.right"] = np.array([[1, 1, 1, 0]] * 2)
    return judged(freeze(folder / "set", manifest | changes, tensors, lines))


def texts(*found: str) -> dict[str, np.ndarray]:
    return {"text": np.array([text.encode() for text in found], dtype="S4096")}


def by_name(scores: tuple[Score, ...]) -> dict[str, Score]:
    return {score.name: score for score in scores}


def test_an_answer_is_right_if_it_has_an_accepted_text(tmp_path: Path) -> None:
    task = generation(tmp_path)
    assert task.right(texts(*REFERENCE)).tolist() == [True, True, True, False]
    assert task.right(texts("Rome", "Ciudad de los Reyes!", "blue", "green")).tolist() == [False, True, True, True]


def test_text_is_scored_beside_its_reference(tmp_path: Path) -> None:
    scores = by_name(generation(tmp_path).scores(texts("Rome", *REFERENCE[1:]), ALL))
    assert list(scores) == ["accuracy", "token_f1", "agreement", "chrf"]
    assert (scores["accuracy"].value, scores["accuracy"].reference) == (0.5, 0.75)
    assert scores["agreement"].value == 0.75
    assert scores["token_f1"].value < (scores["token_f1"].reference or 0)
    assert 0.75 <= scores["chrf"].value < 1
    assert all(score.low <= score.value <= score.high for score in scores.values())


def test_flips_of_text_are_told_with_the_texts(tmp_path: Path) -> None:
    found = generation(tmp_path).difference(texts("Rome", *REFERENCE[1:3], "Grass is green"), ALL)
    assert (found.compared, found.moved, found.harmful, found.helpful) == (4, 2, 1, 1)
    harmful, helpful = found.flips
    assert (harmful.example, harmful.label, harmful.reference, harmful.now) == (0, "Paris", "It is Paris.", "Rome")
    assert helpful.example == 3


def test_without_labels_the_reference_is_what_is_right(tmp_path: Path) -> None:
    task = generation(tmp_path, labels=None)
    now = texts("Rome", *REFERENCE[1:])
    assert task.right(now).tolist() == [False, True, True, True]
    assert list(by_name(task.scores(now, ALL))) == ["agreement", "chrf"]
    assert task.difference(now, ALL).harmful == 1


def test_examples_without_an_answer_are_not_read(tmp_path: Path) -> None:
    task = generation(tmp_path)
    answered = np.array([False, True, True, True])
    found = task.difference(texts("", *REFERENCE[1:]), answered)
    assert (found.compared, found.moved) == (3, 0)
    assert by_name(task.scores(texts("", *REFERENCE[1:]), answered))["agreement"].n == 3
    assert task.scores(texts(*REFERENCE), ~ALL) == ()


@pytest.fixture
def embedding(tmp_path: Path) -> tuple[GoldenSet, np.ndarray]:
    vectors = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    manifest = BASE | {
        "task": "embedding",
        "inputs": {"text": {"dtype": "text", "shape": []}},
        "outputs": {"embedding": {"dtype": "float32", "shape": [8], "tolerance": 0.01}},
    }
    lines = [{"inputs": {"text": str(i)}} for i in range(4)]
    return freeze(tmp_path / "set", manifest, TENSORS | {"outputs.embedding": vectors}, lines), vectors


def test_vectors_are_compared_with_the_reference(embedding: tuple[GoldenSet, np.ndarray]) -> None:
    golden, vectors = embedding
    task, now = judged(golden), vectors + np.float32(0.001)
    now[2] = -vectors[2]
    assert task.right({"embedding": now}).tolist() == [True, True, False, True]
    scores = by_name(task.scores({"embedding": now}, ALL))
    assert scores["agreement"].value == 0.75
    assert scores["cosine_similarity"].value == pytest.approx(0.75, abs=1e-4)
    found = task.difference({"embedding": now}, ALL)
    assert (found.harmful, found.flips[0].example, found.flips[0].now) == (1, 2, "cosine -1.0000")


def test_cosines_of_vectors_without_length() -> None:
    zero, one = np.zeros((1, 3)), np.ones((1, 3))
    assert cosines(zero, zero) == [1.0]
    assert cosines(zero, one) == [0.0]


rows = arrays(np.float64, (3, 4), elements=st.floats(0, 100))


@given(rows, rows)
def test_the_divergence_is_that_of_scipy_and_a_distance(a: np.ndarray, b: np.ndarray) -> None:
    p, q = ((x + 1e-9) / (x + 1e-9).sum(axis=1, keepdims=True) for x in (a, b))
    found = jensen_shannon(p, q)
    with np.errstate(invalid="ignore"):  # scipy takes the root of a sum of near equals, which may be slightly under 0
        theirs = np.nan_to_num(jensenshannon(p, q, axis=1, base=2))
    assert found == pytest.approx(theirs**2, abs=1e-9)
    assert found == pytest.approx(jensen_shannon(q, p), abs=1e-12)
    assert ((found >= 0) & (found <= 1)).all()
    assert jensen_shannon(p, p) == pytest.approx(np.zeros(3), abs=1e-12)


def test_logits_are_compared_as_the_probabilities_that_they_stand_for() -> None:
    logits = np.array([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    other = logits + np.array([[0.0, 1.0, 0.0], [5.0, 5.0, 5.0]], dtype=np.float32)
    found = jensen_shannon(logits, other, logits=True)
    assert found[0] > 0.001
    assert found[1] == 0  # a shift of all logits is no other answer


def classification(folder: Path, outputs: np.ndarray) -> Judged:
    n, classes = outputs.shape
    manifest = BASE | {
        "task": "classification",
        "examples": n,
        "slices": {},
        "inputs": {"x": {"dtype": "float32", "shape": []}},
        "labels": {"classes": [str(i) for i in range(classes)]},
        "outputs": {"p": {"dtype": "float32", "shape": [classes], "tolerance": 0.01}},
    }
    tensors: dict[str, Any] = {
        "inputs.x": np.zeros(n, np.float32),
        "labels": np.zeros(n, np.int64),
        "outputs.p": outputs,
    }
    return judged(freeze(folder, manifest, tensors | {"reference.right": np.ones((2, n), np.int64)}))


def test_probabilities_of_a_quantised_model_are_not_taken_for_logits(tmp_path: Path) -> None:
    """Its sums are off by more than a float's: each row was then another distribution, and so were its neighbours."""
    exact = np.random.default_rng(1).dirichlet([0.2] * 10, 50).astype(np.float32)
    rounded = np.round(exact * 256) / 256
    assert not np.allclose(rounded.sum(axis=1), 1, atol=1e-3)
    task, all_of_them = classification(tmp_path / "set", exact), np.ones(50, dtype=np.bool_)
    assert task.distance({"p": rounded}, all_of_them).max() < 0.02
    one = np.concatenate([rounded[:1], exact[1:]])
    assert task.distance({"p": one}, all_of_them)[1:].max() == pytest.approx(0, abs=1e-12)
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(exact), -30)
    assert task.distance({"p": logits}, all_of_them).max() < 1e-6
    assert classification(tmp_path / "logits", logits).distance({"p": logits + 3}, all_of_them).max() < 1e-6


def test_how_good_and_how_far_a_text_is(tmp_path: Path) -> None:
    labelled = generation(tmp_path)
    now = texts("It is Paris.", "Rome", "The sky is blue", "Grass is red")
    answered = np.array([True, True, True, False])
    score = labelled.score(now, answered)
    assert score is not None
    assert score[:2] == pytest.approx([2 / 4, 0])  # of "paris" in three words: precision 1/3, recall 1
    distance = labelled.distance(now, answered)
    assert distance[[0, 2, 3]].tolist() == [0, 0, 0]
    assert 0.5 < distance[1] <= 1


def test_how_good_and_how_far_a_vector_is(embedding: tuple[GoldenSet, np.ndarray]) -> None:
    golden, reference = embedding
    task, answered = judged(golden), np.ones(len(reference), dtype=np.bool_)
    for now, score, distance in ((reference, 1, 0), (-reference, 0, 1)):
        found = task.score({"embedding": now}, answered)
        assert found is not None
        assert found == pytest.approx(np.full(len(reference), score))
        assert task.distance({"embedding": now}, answered) == pytest.approx(np.full(len(reference), distance))


def test_single_numbers_are_apart_by_their_relative_difference_beyond_the_tolerance() -> None:
    a, b = np.array([0, 1, 2, -1, 3, 0], np.float32), np.array([0, 1.05, 1, 1, 9, 0.05], np.float32)
    assert apart(a, b, 0.1) == pytest.approx([0, 0, 1 / 3, 1, 0.5, 0])


def test_how_often_answers_agreed_in_the_reference_is_what_agreement_is_compared_with(tmp_path: Path) -> None:
    vectors = np.array([[1.0], [2.0], [3.0], [4.0]], np.float32)
    manifest = BASE | {
        "task": "embedding",
        "inputs": {"x": {"dtype": "float32", "shape": []}},
        "outputs": {"y": {"dtype": "float32", "shape": [1], "tolerance": 0.01}},
        "reference": {"replays": [2, 2], "deterministic": False, "keeps": ["scores"]},
    }
    tensors = TENSORS | {
        "reference.scores": np.array([[1, 0.5, 1, 0]] * 4, np.float32),
        "inputs.x": np.zeros(4, np.float32),
        "outputs.y": vectors,
        "reference.right": np.array([[2, 2, 1, 0], [2, 2, 0, 0]]),
    }
    task = judged(freeze(tmp_path / "set", manifest, tensors))
    answered = np.array([True, True, True, False])
    scores = by_name(task.scores({"y": vectors * 3}, answered))
    assert scores["agreement"].value == 0
    assert scores["agreement"].reference == pytest.approx(2.25 / 3)
    assert (scores["closeness"].value, scores["closeness"].reference) == (0.5, 2.5 / 3)
    assert task.distance({"y": vectors * 3}, answered).tolist() == [0.5, 0.5, 0.5, 0]
    assert [flip.words for flip in task.difference({"y": vectors * 3}, answered).flips] == [
        "1 -> 3",
        "2 -> 6",
        "3 -> 9",
    ]


KEPT = arrays(np.float32, (4, 4), elements=st.sampled_from([0.0, 2.0**-20, 0.25, 0.5, 1.0]))


@given(scores=KEPT, distances=KEPT)
@settings(max_examples=20, deadline=None)
def test_the_reference_of_every_score_is_its_mean_over_all_reference_replays(
    tmp_path_factory: pytest.TempPathFactory, scores: np.ndarray, distances: np.ndarray
) -> None:
    reference = {"replays": [2, 2], "deterministic": False, "keeps": ["scores", "distances"]}
    task = generation(tmp_path_factory.mktemp("kept"), scores, distances, reference=reference)
    answered = np.array([True, True, False, True])
    found = {name: s.reference for name, s in by_name(task.scores(texts(*REFERENCE), answered)).items()}
    assert found == {
        "accuracy": pytest.approx(2 / 3 / 2),  # right in 2 of the 4 replays, but for the last example
        "token_f1": pytest.approx(scores[:, answered].mean()),
        "agreement": pytest.approx((distances[:, answered] == 0).mean()),
        "chrf": pytest.approx(1 - distances[:, answered].mean()),
    }


def test_what_is_not_kept_of_a_reference_that_varies_is_absent(tmp_path: Path) -> None:
    """One draw of the answers is no reference."""
    task = generation(tmp_path, reference={"replays": [2, 2], "deterministic": False})
    found = {name: score.reference for name, score in by_name(task.scores(texts(*REFERENCE), ALL)).items()}
    assert found == {"accuracy": 0.375, "token_f1": None, "agreement": None, "chrf": None}


def test_only_equal_texts_have_no_distance(tmp_path: Path) -> None:
    task = generation(tmp_path)
    far = task.distance(texts("It is Paris.", "It  is Lima.", "Itis", "x"), ALL)
    assert (far[0], 0 < far[1] < 1e-5, far[3]) == (0, True, 1)
