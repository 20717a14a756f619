"""Rankings of documents and classes, against scikit-learn and the definitions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from seqeval import metrics as seqeval
from sklearn import metrics

from goldwatch.core.score_spec import ScoreSpec
from goldwatch.worker.evaluators.opened import Evaluator, NoValue

NAMES = [f"d{i}" for i in range(12)] + ["ß漢"]


def score(uses: str, options: dict[str, Any] | None = None, **given: Any) -> float:
    return Evaluator(ScoreSpec.built_in(uses, options=options or {}))(given)


RANKINGS = st.lists(st.sampled_from(NAMES), unique=True, max_size=12)
RELEVANT = st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=6)


@given(RANKINGS, RELEVANT, st.integers(1, 12))
def test_rankings_are_scored_as_defined(ranked: Sequence[str], relevant: Sequence[str], k: int) -> None:
    given: dict[str, Any] = {"output": ranked, "answers": relevant}
    # scikit-learn ranks all documents: those that were not returned come last, in any order.
    graded = [[float(name in relevant) for name in NAMES]]
    numbers = [[float(len(NAMES) - ranked.index(name)) if name in ranked else 0.0 for name in NAMES]]
    within = sorted(set(ranked[:k]) & set(relevant))
    if len(ranked) >= k or set(relevant) <= set(ranked):
        found = metrics.ndcg_score(graded, numbers, k=k, ignore_ties=True)
        assert score("ndcg", {"k": k}, **given) == pytest.approx(found, abs=1e-9)
    if len(relevant) == 1 and relevant[0] in ranked:
        average = metrics.label_ranking_average_precision_score(graded, numbers)
        assert score("reciprocal-rank", **given) == pytest.approx(average, abs=1e-9)
    if not set(ranked[:k]) & set(relevant):
        assert score("reciprocal-rank", {"k": k}, **given) == 0 == score("ndcg", {"k": k}, **given)
    recalled = metrics.recall_score([True] * len(relevant), [name in within for name in relevant], zero_division=0)
    assert score("recall-at", {"k": k}, **given) == pytest.approx(recalled, abs=1e-9)


@given(RANKINGS, RELEVANT)
def test_a_ranking_may_be_json_or_lines(ranked: Sequence[str], relevant: Sequence[str]) -> None:
    expected = score("ndcg", output=ranked, answers=relevant)
    for text in (json.dumps(ranked), f"```json\n{json.dumps(ranked)}\n```", "\n".join(ranked)):
        assert score("ndcg", output=text, answers=relevant) == expected


def test_a_document_counts_once_and_a_query_without_any_is_unscored() -> None:
    assert score("recall-at", output=["a", "a", "b"], answers=["a", "b"]) == 1
    assert score("ndcg", output=["a", "a"], answers=["a"]) == 1
    with pytest.raises(NoValue, match="the query has no relevant document"):
        score("ndcg", output=["a"], answers=[])
    with pytest.raises(NoValue, match="the option k is 0; write 1 or more"):
        score("ndcg", {"k": 0}, output=["a"], answers=["a"])


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=10), st.data())
def test_the_true_class_among_the_first_is_that_of_scikit_learn(rows: list[list[int]], data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    k = data.draw(st.integers(1, 3))
    names = NAMES[:4]
    found = [
        score("top-k", {"k": k}, expected=names[i], values=row, classes=names)
        for i, row in zip(labels, rows, strict=True)
    ]
    expected = metrics.top_k_accuracy_score(labels, np.array(rows, float), k=k, labels=[0, 1, 2, 3])
    assert np.mean(found) == pytest.approx(expected, abs=1e-9)


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.tuples(*(st.lists(st.integers(0, 2), min_size=n * 2, max_size=n * 2) for _ in range(2)))
    )
)
def test_masks_are_compared_as_by_scikit_learn(drawn: tuple[list[int], list[int]]) -> None:
    now, true = (np.array(each) for each in drawn)
    given: dict[str, Any] = {"output": now.reshape(2, -1).tolist(), "expected": true.reshape(2, -1).tolist()}
    classes = sorted(set(now.tolist()) | set(true.tolist()))
    many: dict[str, Any] = {"labels": classes, "average": "macro", "zero_division": 1}
    assert score("iou", **given) == pytest.approx(metrics.jaccard_score(true, now, **many), abs=1e-9)
    assert score("dice", **given) == pytest.approx(metrics.f1_score(true, now, **many), abs=1e-9)
    for uses, reference in (("iou", metrics.jaccard_score), ("dice", metrics.f1_score)):
        expected = reference(true > 1, now > 1, zero_division=1)
        assert score(uses, {"threshold": 1}, **given) == pytest.approx(expected, abs=1e-9)


def test_masks_must_fit() -> None:
    with pytest.raises(NoValue, match=r"the masks have the shapes \[1\] and \[2\]"):
        score("iou", output=[1], expected=[1, 0])
    with pytest.raises(NoValue, match="write the option threshold"):
        score("dice", output=[0.5], expected=[1])


TAGS = st.lists(
    st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-漢", "I-漢"]), min_size=1, max_size=8), min_size=1, max_size=5
)


@given(TAGS, st.randoms(use_true_random=False))
def test_entities_are_counted_as_by_conlleval(labels: list[list[str]], random: Any) -> None:
    said = [[tag if random.random() < 0.7 else "O" for tag in tags] for tags in labels]
    expected = seqeval.f1_score(labels, said, zero_division=0)
    assert score("entity-f1", expected=labels, output=said) == pytest.approx(expected, abs=1e-9)
    texts = [json.dumps(tags) for tags in said]
    assert score("entity-f1", expected=labels, output=texts) == pytest.approx(expected, abs=1e-9)


def test_entities_are_whole_and_of_their_type() -> None:
    labels = [["B-PER", "I-PER", "O", "B-ORG"], ["O"]]
    assert score("entity-f1", expected=labels, output=labels) == 1
    assert score("entity-f1", expected=labels, output=[["B-PER", "O", "O", "B-ORG"], ["O"]]) == 0.5
    assert score("entity-f1", {"label": "PER"}, expected=labels, output=[["B-PER", "O", "O", "B-ORG"], ["O"]]) == 0
    assert score("entity-f1", expected=labels, output=["not tags", ""]) == 0
    # An I without its B, and one of another type, begin entities; a B ends the one before.
    begun = [["I-PER", "I-ORG", "B-ORG"]]
    assert score("entity-f1", expected=begun, output=[["B-PER", "B-ORG", "B-ORG"]]) == 1


@pytest.mark.parametrize("tag", ["S-PER", "E-PER", "L-PER", "U-PER", "S"])
def test_tags_of_another_scheme_are_refused(tag: str) -> None:
    """They were left out in silence, and the rest was scored."""
    labels = [["O"], ["B-PER", "I-PER", tag]]
    with pytest.raises(NoValue, match=f'the label "{tag}" of example 1 is of BIOES or BILOU, .*write B- for S- and U-'):
        score("entity-f1", expected=labels, output=labels)


@given(st.integers(4, 30), st.integers(1, 3), st.integers(0, 1000))
def test_neighbours_are_those_of_scikit_learn(n: int, k: int, seed: int) -> None:
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(seed)
    then = rng.standard_normal((n, 5))
    now = then + rng.standard_normal((n, 5)) * rng.choice([0.0, 0.1, 2.0])
    assume(n > k)
    sets = [
        [set(row) for row in NearestNeighbors(n_neighbors=k, metric="cosine").fit(v).kneighbors(return_distance=False)]
        for v in (now, then)
    ]
    expected = np.mean([len(a & b) / k for a, b in zip(*sets, strict=True)])
    found = score("neighbour-overlap", {"k": k}, output=now.tolist(), expected=then.tolist())
    assert found == pytest.approx(expected, abs=1e-9)


def test_neighbours_do_not_see_a_rotation_or_a_scale() -> None:
    rng = np.random.default_rng(1)
    then = rng.standard_normal((40, 4))
    turned = 3 * then @ np.linalg.qr(rng.standard_normal((4, 4)))[0]
    assert score("neighbour-overlap", output=turned.tolist(), expected=then.tolist()) == 1
    with pytest.raises(NoValue, match="3 examples have no 10 neighbours"):
        score("neighbour-overlap", output=[[1.0]] * 3, expected=[[1.0]] * 3)
    with pytest.raises(NoValue, match="there are 5,001 examples, and it compares every two of at most 5,000"):
        score("neighbour-overlap", output=[[1.0]] * 5001, expected=[[1.0]] * 5001)
