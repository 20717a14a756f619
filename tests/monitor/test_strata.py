"""Replays drawn as counts: of the law of replays that are drawn example by example, which what is here does as well."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from goldwatch import scratch
from goldwatch.worker.monitors.reference import Reference
from goldwatch.worker.monitors.strata import Strata
from goldwatch.worker.monitors.worse import Answers, Worse

ALPHA = 1e-5


def made(seed: int, n: int, replays: tuple[int, int] = (3, 2)) -> tuple[Reference, Worse]:
    """Make a reference with most examples always right, and some never, or now and then."""
    rng = np.random.default_rng(seed)
    rates = rng.choice([0.0, 0.7, 0.95, 1.0], n, p=[0.02, 0.03, 0.05, 0.9])
    reference = Reference(replays, np.stack([rng.binomial(each, rates) for each in replays]))
    return reference, Worse(reference.right, replays, 0.01, ALPHA)


def one_by_one(rates: Any, worse: Worse) -> Counter[tuple[Any, ...]]:
    """Count the examples by their own rates and their groups."""
    inside = np.stack([group.members for group in worse.groups], axis=1).astype(int)
    return Counter((rate, *groups) for rate, groups in zip(rates.tolist(), inside.tolist(), strict=True))


def told(strata: Strata) -> Counter[tuple[Any, ...]]:
    rows = zip(strata.size.tolist(), strata.rate.tolist(), strata.inside.tolist(), strict=True)
    return sum((Counter({(rate, *inside): size}) for size, rate, inside in rows), Counter())


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(150, 300), st.integers(1, 100), st.data())
def test_strata_are_the_examples_and_those_that_are_lost_are_the_first_of_the_best(
    seed: int, n: int, at_once: int, data: st.DataObject
) -> None:
    reference, worse = made(seed, n)
    lost = data.draw(st.integers(1, n))
    rates = reference.usually_right
    kept = rates.copy()
    kept[np.argsort(-rates, kind="stable")[:lost]] = 0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scratch, "_VALUES_AT_ONCE", at_once)
        usual, without = Strata.of(reference, worse), Strata.without(reference, worse, lost)
    assert told(usual) == one_by_one(rates, worse)
    assert usual.accuracy == pytest.approx(rates.mean())
    assert told(without) == one_by_one(kept, worse)
    assert without.fixed == bool(np.isin(kept, (0, 1)).all())


def test_a_loss_is_borne_by_all_examples() -> None:
    usual = Strata.of(*made(1, 300))
    assert usual.losing(0.2).accuracy == pytest.approx(usual.accuracy - 0.2)
    assert usual.losing(0.2).rate == pytest.approx(usual.rate * (1 - 0.2 / usual.accuracy))


@pytest.mark.parametrize("seed", range(5))
def test_counts_have_the_law_of_examples_drawn_one_by_one(seed: int) -> None:
    """By a test of homogeneity at an error of one in ten thousand, over what *worse* sees of a replay."""
    reference, worse = made(seed, 300)
    assert [group.name for group in worse.groups] == ["pooled", "stable"]
    losing, rng, everybody = Strata.of(reference, worse).losing(0.01), np.random.default_rng(seed), np.ones(300, bool)
    rates = reference.usually_right
    rates = rates * (1 - 0.01 / rates.mean())
    drawn, own = Counter[Any](), Counter[Any]()
    for _ in range(4000):
        drawn[seen(losing.draw(rng))] += 1
        own[seen(worse.count(Answers(rng.random(300) < rates, everybody)))] += 1
    common = [key for key in drawn | own if drawn[key] + own[key] >= 20]
    rest = [sum(found[key] for key in found if key not in common) for found in (drawn, own)]
    table = [[*(found[key] for key in common), some + 1] for found, some in zip((drawn, own), rest, strict=True)]
    assert len(common) > 10
    assert chi2_contingency(table).pvalue > 1e-4


def seen(counts: Any) -> tuple[Any, ...]:
    return counts.answered, counts.right, *counts.wrong_of.tolist(), *counts.right_of.tolist()
