"""A score's own scale: monitors bet on shares of it, and all that is shown is on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.config.scores import ScoreEntry, parse_objective
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.evaluator import BUILT_IN
from goldwatch.worker.evaluators.resampling import groups_of, interval

ENDS = st.floats(-1e6, 1e6)


@given(ENDS, st.floats(1e-3, 1e6), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_value_returns_from_its_share_of_the_scale(low: float, span: float, shares: list[float]) -> None:
    spec = ScoreSpec("s", "m:f", scale=(low, low + span))
    values = low + spec.span * np.array(shares)
    found = spec.to_share(values)
    assert np.allclose(found, shares, atol=1e-6)  # of the size of an end over the span
    assert np.allclose(spec.from_share(found), values, rtol=1e-12, atol=1e-9)
    assert np.all(np.diff(spec.from_share(np.sort(found))) >= 0)


def mean(values: np.ndarray, left: Sequence[int]) -> float:
    return float(values[list(left)].mean())


@given(ENDS, st.floats(0.1, 1e4), st.lists(st.sampled_from([0.0, 0.2, 0.9, 1.0]), min_size=2, max_size=60))
def test_an_interval_is_the_same_on_every_scale(low: float, span: float, shares: list[float]) -> None:
    of, groups = np.array(shares), groups_of(range(len(shares)), None)
    bounds = interval(partial(mean, of), float(of.mean()), *groups)
    values = low + span * of
    moved = interval(partial(mean, values), float(values.mean()), *groups, (low, low + span))
    if len(set(shares)) > 1:  # of equal values, rounding decides whether a group makes a difference
        assert moved == pytest.approx([low + span * bound for bound in bounds], rel=1e-6, abs=1e-6 * span)
    assert low <= moved[0] <= moved[1] <= low + span


def test_a_scale_without_an_end_has_a_lower_bound_alone() -> None:
    values = np.random.default_rng(2).exponential(30, 200)
    low, high = interval(partial(mean, values), float(values.mean()), *groups_of(range(200), None), (0.0, None))
    assert 20 < low < values.mean() < high < 45
    assert interval(lambda _: 0.0, 0.0, *groups_of(range(40), None), (0.0, None))[1] == pytest.approx(0.088, abs=1e-3)


@pytest.mark.parametrize(
    ("scale", "text", "limit", "loss"),
    [
        ((0.0, 1.0), "no worse than 2 points", None, 0.02),
        ((0.0, 100.0), "no worse than 2 points", None, 2.0),
        ((0.0, 100.0), "no worse than 2", None, 2.0),
        ((1.0, 5.0), "at least 4", 4.0, None),
        ((-1.0, 1.0), "at least -0.25", -0.25, None),
        ((0.0, None), "at most 3.5", 3.5, None),
    ],
)
def test_an_objective_is_on_the_scale(
    scale: tuple[float, float | None], text: str, limit: float | None, loss: float | None
) -> None:
    found = parse_objective(text)
    assert found.problem(scale) == ""
    assert (found.on(scale).limit, found.on(scale).loss) == (limit, loss)


def test_a_built_in_score_brings_its_scale() -> None:
    for name, known in BUILT_IN.items():
        entry = ScoreEntry(uses=name)
        assert (entry.scale, entry.over, entry.better) == (known.scale, known.over, known.better)
        spec = ScoreSpec.built_in(name)
        assert (spec.scale, spec.over, spec.lower_is_better) == (known.scale, known.over, known.better == "lower")
    assert ScoreEntry(uses="wer", scale=(0.0, 2.0)).scale == (0.0, 2.0)
