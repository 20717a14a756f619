"""Dependent examples: the intervals of scores cover, and slices are not blamed for one cluster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.worker.evaluators.agreement import Expected, difference
from goldwatch.worker.evaluators.classification import scores
from goldwatch.worker.evaluators.clusters import Clusters, Sums
from goldwatch.worker.evaluators.means import Share, mean, proportion_interval
from goldwatch.worker.evaluators.slices import Slicing

CLASSES = 3


def sizes_of(random: np.random.Generator, clusters: int) -> np.ndarray:
    """Return the cluster of each example: between one example and ten in each."""
    return np.repeat(np.arange(clusters), random.integers(1, 11, clusters))


def outcomes(random: np.random.Generator, codes: np.ndarray, rate: float, alike: float) -> np.ndarray:
    """Return which examples are right, at a mean rate; two of one cluster have the correlation `alike`."""
    both = 1 / alike - 1
    own = random.beta(rate * both, (1 - rate) * both, codes.max() + 1)
    return np.asarray(random.random(codes.size) < own[codes])


def classified(random: np.random.Generator, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return outputs that are right where they should be, and the labels."""
    labels = random.integers(0, CLASSES, right.size)
    return np.eye(CLASSES)[np.where(right, labels, (labels + 1) % CLASSES)], labels


@pytest.mark.parametrize(("rate", "alike", "clusters"), [(0.85, 0.3, 40), (0.5, 0.6, 30), (0.97, 0.2, 80)])
def test_the_interval_of_an_accuracy_covers_with_clusters_and_one_without_does_not(
    rate: float, alike: float, clusters: int
) -> None:
    random = np.random.default_rng(5)
    covered = naive = 0
    for _ in range(500):
        codes = sizes_of(random, clusters)
        right, everything = outcomes(random, codes, rate, alike), np.ones(codes.size, bool)
        share = Share("accuracy", Clusters(codes))
        share.add(slice(0, codes.size), everything, right, right)
        for low, high, robust in (
            (*share.interval(), True),
            (*proportion_interval(int(right.sum()), right.size), False),
        ):
            covered += robust and low <= rate <= high
            naive += not robust and low <= rate <= high
    assert covered >= 0.94 * 500
    assert naive < 0.9 * 500


@pytest.mark.slow
def test_the_intervals_of_macro_f1_and_of_means_cover_with_clusters() -> None:
    random, rate = np.random.default_rng(6), 0.8
    f1 = means = naive = 0
    for _ in range(100):
        codes = sizes_of(random, 60)
        right, everything = outcomes(random, codes, rate, 0.4), np.ones(codes.size, bool)
        outputs, labels = classified(random, right)
        score = scores(outputs, outputs, labels, everything, Clusters(codes))[-1]
        f1 += score.low <= rate <= score.high  # each class is mistaken for one other, equally often
        values = np.clip(0.1 + 0.8 * right + random.normal(0, 0.05, right.size), 0, 1)
        truth = 0.1 + 0.8 * rate
        found = mean("score", values, 1.0, everything, Clusters(codes))
        means += found.low <= truth <= found.high
        found = mean("score", values, 1.0, everything, None)
        naive += found.low <= truth <= found.high
    assert f1 >= 88  # 95 are promised; of 100 with 95 % each, fewer are a chance of 1 in 300
    assert means >= 88
    assert naive < 80


@given(st.integers(0, 2**32 - 1), st.integers(2, 200))
def test_examples_by_themselves_are_worth_what_they_are(seed: int, n: int) -> None:
    right = np.random.default_rng(seed).random(n) < 0.7
    for codes in (np.full(n, -1), np.arange(n)):
        share = Share("accuracy", Clusters(codes))
        share.add(slice(0, n), np.ones(n, bool), right, right)
        low, high = proportion_interval(int(right.sum()), n)
        found = share.interval()
        assert found[0] <= low + 1e-12
        assert found[1] >= high - 1e-12
        assert found == pytest.approx((low, high), abs=1.5 / n)


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_clusters_never_make_an_interval_narrower(seed: int, clusters: int) -> None:
    random = np.random.default_rng(seed)
    codes = sizes_of(random, clusters)
    right, everything = random.random(codes.size) < random.choice([0.0, 0.5, 1.0]), np.ones(codes.size, bool)
    outputs, labels = classified(random, right)
    alone = scores(outputs, outputs, labels, everything)
    together = scores(outputs, outputs, labels, everything, Clusters(codes))
    assert [score.value for score in alone] == [score.value for score in together]
    assert together[0].low <= alone[0].low + 1e-12
    assert together[0].high >= alone[0].high - 1e-12
    assert together[-1].low <= together[-1].value <= together[-1].high


def test_a_whole_set_that_is_right_is_worth_its_clusters() -> None:
    codes = np.repeat(np.arange(10), 20)
    sums = Sums(Clusters(codes))
    sums.add(slice(0, 200), np.ones(200, bool), np.ones(200, bool))
    assert sums.effective(200, 1.0) == 10
    one = Sums(Clusters(np.zeros(200, np.int64)))
    one.add(slice(0, 200), np.ones(200, bool), np.arange(200) % 2)
    assert one.effective(200, 0.5) == 1


def blamed(random: np.random.Generator, codes: np.ndarray, flipped: np.ndarray, *, clustered: bool) -> bool:
    """Return whether one of two slices, made of whole clusters, is reported to hold too many of the flips."""
    labels = np.zeros(codes.size, dtype=np.int64)
    slices = {"half": Slicing(random.integers(0, 2, codes.max() + 1)[codes], ("a", "b"))}
    then = np.eye(CLASSES)[labels]
    golden = Expected({"p": then}, {}, "p", labels, slices=slices, clusters=codes if clustered else None)
    now = {"p": np.eye(CLASSES)[flipped.astype(np.int64)]}
    return any(share.beyond_chance for share in difference(now, np.ones(codes.size, bool), golden).where)


@pytest.mark.slow
def test_a_slice_is_not_blamed_for_a_cluster_that_flips_as_a_whole() -> None:
    random = np.random.default_rng(8)
    wrong = {True: 0, False: 0}
    for _ in range(200):
        codes = sizes_of(random, 60)
        flipped = (random.random(60) < 0.15)[codes]
        for clustered in wrong:
            wrong[clustered] += blamed(random, codes, flipped, clustered=clustered)
    assert wrong[True] <= 4  # 1 % are allowed: 2
    assert wrong[False] > 20


def test_a_slice_whose_clusters_flip_is_found() -> None:
    codes = np.repeat(np.arange(60), 5)
    half = np.arange(60) < 20
    labels = np.zeros(codes.size, dtype=np.int64)
    slices = {"half": Slicing(half.astype(np.int64)[codes], ("a", "b"))}
    flipped = (half & (np.arange(60) < 15))[codes].astype(np.int64)
    golden = Expected({"p": np.eye(CLASSES)[labels]}, {}, "p", labels, slices=slices, clusters=codes)
    (found,) = difference({"p": np.eye(CLASSES)[flipped]}, np.ones(codes.size, bool), golden).where
    assert (found.value, found.flips, found.examples) == ("b", 75, 100)
