"""The built-in scores of a whole replay, each against its reference library, and their intervals."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from goldwatch.core.score_spec import ScoreSpec, UnscoredReason
from goldwatch.worker.evaluators.clusters import Clusters
from goldwatch.worker.evaluators.opened import Evaluator, NoValue
from goldwatch.worker.evaluators.resampling import groups_of, interval

NAMES = ("no", "yes", "zebra")


def score(uses: str, **given: Any) -> float:
    """Return a score in the units of its library."""
    return Evaluator(ScoreSpec.built_in(uses))(given)


@st.composite
def classified(draw: st.DrawFn, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels [n] and probabilities [n, classes], some of them tied."""
    n = draw(st.integers(1, 30))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n))
    weights = draw(st.lists(st.lists(st.integers(1, 5), min_size=classes, max_size=classes), min_size=n, max_size=n))
    rows = np.array(weights, float)
    return np.array(labels), rows / rows.sum(axis=1, keepdims=True)


@given(classified())
def test_ranks_of_two_classes_are_those_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    labels, rows = drawn
    given = {"expected": [NAMES[i] for i in labels], "values": rows.tolist(), "classes": NAMES[:2]}
    for uses, reference in (("auroc", metrics.roc_auc_score), ("average-precision", metrics.average_precision_score)):
        if len(set(labels)) < 2:
            with pytest.raises(NoValue, match="the labels are of one class alone") as caught:
                score(uses, **given)
            assert caught.value.reason is UnscoredReason.RAISED
        else:
            margins = rows[:, 1].round(12)  # ties stay ties
            rounded = given | {"values": np.stack([1 - margins, margins], axis=1).tolist()}
            assert score(uses, **rounded) == pytest.approx(reference(labels, margins), abs=1e-9)


@given(st.sampled_from([2, 3]).flatmap(classified))
def test_decisions_are_those_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    labels, rows = drawn
    said, classes = rows.argmax(axis=1), list(NAMES[: rows.shape[1]])
    given = {"expected": [NAMES[i] for i in labels], "output": [NAMES[i] for i in said]}
    many: dict[str, Any] = {"labels": [0, 1, 2], "average": "macro"} if len(classes) == 3 else {}
    for uses, reference in (("precision", metrics.precision_score), ("recall", metrics.recall_score)):
        expected = reference(labels, said, zero_division=0, **many)
        assert score(uses, **given, classes=classes) == pytest.approx(expected, abs=1e-9)
    present = sorted(set(labels.tolist()))
    recalls = [(said[labels == c] == c).mean() for c in present]
    assert score("balanced-accuracy", **given) == pytest.approx(np.mean(recalls), abs=1e-9)
    for uses, agreement in (("mcc", metrics.matthews_corrcoef), ("kappa", metrics.cohen_kappa_score)):
        if len({*labels.tolist(), *said.tolist()}) > 1:
            assert score(uses, **given) == pytest.approx(agreement(labels, said), abs=1e-9)
        else:
            with pytest.raises(NoValue, match="labels and answers are of one class alone"):
                score(uses, **given)


@given(st.sampled_from([2, 3]).flatmap(classified))
def test_calibration_is_that_of_its_definition(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    labels, rows = drawn
    given = {"expected": [NAMES[i] for i in labels], "values": rows.tolist(), "classes": NAMES[: rows.shape[1]]}
    one_hot = np.eye(rows.shape[1])[labels]
    assert score("brier", **given) == pytest.approx(((rows - one_hot) ** 2).sum(axis=1).mean(), abs=1e-9)
    sure, right = rows.max(axis=1), rows.argmax(axis=1) == labels
    bins = np.minimum((sure * 15).astype(int), 14)
    gaps = [(bins == b).sum() * abs(right[bins == b].mean() - sure[bins == b].mean()) for b in set(bins)]
    assert score("calibration-error", **given) == pytest.approx(sum(gaps) / len(labels), abs=1e-9)


def test_logits_have_no_calibration() -> None:
    for uses in ("brier", "calibration-error"):
        with pytest.raises(NoValue, match="it needs probabilities"):
            score(uses, expected=["no"], values=[[3.0, -1.0]], classes=NAMES[:2])


TEXTS = st.lists(
    st.tuples(st.text(" abcé漢.", max_size=12), st.text("abcé漢", min_size=1, max_size=8)), min_size=1, max_size=6
)


@given(TEXTS)
def test_error_rates_are_those_of_jiwer(pairs: list[tuple[str, str]]) -> None:
    jiwer = pytest.importorskip("jiwer")
    said, expected = [a for a, _ in pairs], [b for _, b in pairs]
    for uses, reference in (("wer", jiwer.wer), ("cer", jiwer.cer)):
        assert score(uses, expected=expected, output=said) == pytest.approx(reference(expected, said), abs=1e-9)


@given(TEXTS)
def test_translations_are_scored_as_by_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    said, answers = [a for a, _ in pairs], [[b] for _, b in pairs]
    streams = [[b for _, b in pairs]]
    assert score("bleu", output=said, answers=answers) == pytest.approx(
        sacrebleu.corpus_bleu(said, streams).score, abs=1e-9
    )
    assert score("corpus-chrf", output=said, answers=answers) == pytest.approx(
        sacrebleu.corpus_chrf(said, streams).score, abs=1e-9
    )


def test_several_answers_may_be_of_different_number() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    said = ["the cat is on the mat", "it is raining today"]
    found = score("bleu", output=said, answers=[["a cat sat on a mat", "the cat is on the mat"], ["it rains today"]])
    both = sacrebleu.corpus_bleu(said, [["a cat sat on a mat", "it rains today"], ["the cat is on the mat", None]])
    assert found == pytest.approx(both.score, abs=1e-9)


def share(values: np.ndarray, left: Sequence[int]) -> float:
    return float(values[list(left)].mean())


def test_intervals_of_a_corpus_score_cover() -> None:
    rng, misses, runs, n = np.random.default_rng(5), 0, 300, 200
    for _ in range(runs):
        values = rng.random(n) < 0.3
        low, high = interval(partial(share, values), float(values.mean()), *groups_of(range(n), None))
        misses += not low <= 0.3 <= high
    assert misses / runs <= 0.09  # 5 % and the error of 300 runs


def test_an_interval_of_a_confusion_is_that_of_a_share() -> None:
    """As a count it fell with each group that was left out, whatever the model: 100 of 1,000 were from 50 to 150."""
    expected, output = ["no"] * 1000, ["yes" if place % 10 == 0 else "no" for place in range(1000)]
    evaluator = Evaluator(ScoreSpec.built_in("confusion", options={"label": "no", "said": "yes"}))

    def some(places: Sequence[int]) -> float:
        given = {"expected": [expected[p] for p in places], "output": [output[p] for p in places]}
        return evaluator({**given, "classes": NAMES[:2]})

    low, high = interval(some, some(range(1000)), *groups_of(range(1000), None), evaluator.spec.scale)
    half = 1.96 * (0.1 * 0.9 / 1000) ** 0.5
    assert (low, high) == pytest.approx((0.1 - half, 0.1 + half), abs=half / 2)
    output = ["no"] * 1000
    assert interval(some, 0.0, *groups_of(range(1000), None), evaluator.spec.scale) == pytest.approx(
        (0, 1 - 0.025 ** (1 / 1000)), abs=1e-6
    )  # Clopper and Pearson's of none among 1,000


def test_groups_hold_whole_clusters_and_every_example_once() -> None:
    clusters = Clusters(np.array([0, 0, 0, 1, 1, -1, -1] * 10))
    groups, units = groups_of(range(70), clusters)
    assert units == 22
    assert sorted(place for group in groups for place in group) == list(range(70))
    for code in (0, 1):
        assert sum(any(clusters.codes[place] == code for place in group) for group in groups) == 1
    assert interval(lambda _: 1.0, 1.0, *groups_of([3], None)) == (0.0, 1.0)


def test_a_perfect_score_of_few_examples_is_not_certain() -> None:
    low, high = interval(lambda _: 1.0, 1.0, *groups_of(range(40), None))
    assert (low, high) == pytest.approx((0.912, 1.0), abs=0.001)  # Clopper and Pearson's of 40 among 40


@given(st.sampled_from([2, 3]).flatmap(classified))
def test_losses_and_classes_are_those_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    labels, rows = drawn
    said, classes = rows.argmax(axis=1), list(NAMES[: rows.shape[1]])
    given = {"expected": [NAMES[i] for i in labels], "output": [NAMES[i] for i in said], "classes": classes}
    codes = list(range(len(classes)))
    found = score("log-loss", expected=given["expected"], values=rows.tolist(), classes=classes)
    assert found == pytest.approx(metrics.log_loss(labels, rows, labels=codes), abs=1e-9)
    counts = metrics.confusion_matrix(labels, said, labels=codes)
    for code, name in enumerate(classes):
        for uses, reference in (
            ("precision", metrics.precision_score),
            ("recall", metrics.recall_score),
            ("f1", metrics.f1_score),
        ):
            expected = reference(labels, said, labels=codes, average=None, zero_division=0)[code]
            assert score_with(uses, {"label": name}, **given) == pytest.approx(expected, abs=1e-9)
        for other, answer in enumerate(classes):
            found = score_with("confusion", {"label": name, "said": answer}, **given)
            assert found == pytest.approx(counts[code, other] / len(labels), abs=1e-9)
    many: dict[str, Any] = {"labels": codes, "average": "macro"} if len(classes) == 3 else {}
    assert score("f1", **given) == pytest.approx(metrics.f1_score(labels, said, zero_division=0, **many), abs=1e-9)


def score_with(uses: str, options: dict[str, Any], **given: Any) -> float:
    return Evaluator(ScoreSpec.built_in(uses, options=options))(given)


def test_a_class_that_is_not_there_is_named() -> None:
    with pytest.raises(NoValue, match='there is no class "cat"; there are no, yes'):
        score_with("f1", {"label": "cat"}, expected=["no"], output=["no"], classes=NAMES[:2])


VALUES = st.floats(-1e3, 1e3).filter(lambda value: abs(value) > 1e-3)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=20), st.sampled_from([0.1, 0.5, 0.9]))
def test_errors_of_values_are_those_of_scikit_learn(pairs: list[tuple[float, float]], quantile: float) -> None:
    true, said = [a for a, _ in pairs], [b for _, b in pairs]
    assert score("mape", expected=true, output=said) == pytest.approx(
        metrics.mean_absolute_percentage_error(true, said), rel=1e-9
    )
    expected = metrics.mean_pinball_loss(true, said, alpha=quantile)
    assert score_with("pinball", {"quantile": quantile}, expected=true, output=said) == pytest.approx(
        expected, abs=1e-9
    )
    rows = [[[a], [b]] for a, b in pairs]
    assert score("pinball", expected=rows, output=rows[::-1]) == pytest.approx(
        metrics.mean_pinball_loss(np.array(rows)[..., 0], np.array(rows)[::-1, :, 0]), abs=1e-9
    )


def test_no_error_is_a_share_of_nothing_and_nan_is_no_value() -> None:
    with pytest.raises(NoValue, match="a true value is 0"):
        score("mape", expected=[1.0, 0.0], output=[1.0, 1.0])
    for uses in ("mape", "pinball"):
        with pytest.raises(NoValue, match="NaN"):
            score(uses, expected=[1.0], output=[float("nan")])


@given(TEXTS)
def test_edits_are_those_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    said, streams = [a for a, _ in pairs], [[b for _, b in pairs]]
    expected = sacrebleu.corpus_ter(said, streams).score
    assert score("ter", output=said, answers=[[b] for _, b in pairs]) == pytest.approx(expected, abs=1e-9)
