"""*Gap*: a value of a slice that falls behind is noticed, what all values share is not, and the bets are fair."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.gap import Gap
from goldwatch.core.judgement import Severity, SliceStanding, State
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.worker.evaluators.slices import Slicing
from goldwatch.worker.monitors.gap import GapMonitor, GapObjective
from goldwatch.worker.monitors.means import Values

ALPHA = 1 / (105_120 * 4)
SIZES = (50, 150)
CODES = np.repeat([0, 1], SIZES)
CUT = Slicing(CODES, ("de", "en"))
ALL = np.ones(200, np.bool_)
RATES = np.where(CODES == 0, 0.9, 0.92)


def drawn(random: np.random.Generator, rates: Any, replays: int | None = None) -> Any:
    shape = np.shape(rates) if replays is None else (replays, len(rates))
    return (random.random(shape) < rates).astype(np.float64)


def watching(random: np.random.Generator, **limit: Any) -> GapMonitor:
    first, second = drawn(random, RATES, 144), drawn(random, RATES, 144)
    return GapMonitor(GapObjective("accuracy", "language", **limit), CUT, first.mean(axis=0), ALPHA, second)


def run(monitor: GapMonitor, replays: list[Any], state: Any = None, at: int = 0) -> tuple[Any, list[Any]]:
    state, verdicts = monitor.fresh() if state is None else state, []
    for time, replay in enumerate(replays, at):
        state, verdict = monitor.update(Values(replay, ALL), state, float(time))
        verdicts.append(verdict)
    return state, verdicts


@pytest.mark.parametrize("limit", [{"at_most": 0.05}, {"growth": 0.02}])
@pytest.mark.parametrize("value", [0, 1])
def test_a_value_that_falls_behind_pages_and_recovers(limit: dict[str, float], value: int) -> None:
    random = np.random.default_rng(1)
    monitor = watching(random, **limit)
    state, verdicts = run(monitor, [drawn(random, RATES) for _ in range(100)])
    assert {verdict.state for verdict in verdicts} <= {State.STEADY, State.SUSPECT}
    worse = np.where(value == CODES, RATES - 0.3, RATES)
    state, verdicts = run(monitor, [drawn(random, worse) for _ in range(20)], state, 100)
    page = next(verdict for verdict in verdicts if verdict.state is State.ALERTING)
    assert (page.monitor, page.severity) == ("gap", Severity.PAGE)
    assert f"for language={CUT.values[value]} and" in page.summary
    saved = json.loads(json.dumps(monitor.save(state)))
    again, refused = monitor.restore(saved)
    assert refused is None
    _, verdicts = run(monitor, [drawn(random, RATES) for _ in range(200)], again, 120)
    assert State.RECOVERED in {verdict.state for verdict in verdicts}


@pytest.mark.parametrize("limit", [{"at_most": 0.05}, {"growth": 0.02}])
def test_what_all_values_lose_is_no_gap(limit: dict[str, float]) -> None:
    random = np.random.default_rng(2)
    monitor = watching(random, **limit)
    _, verdicts = run(monitor, [drawn(random, RATES - 0.4) for _ in range(300)])
    assert {verdict.state for verdict in verdicts} <= {State.STEADY, State.SUSPECT}


def expected(monitor: GapMonitor, chances: list[float], codes: Any = None) -> Any:
    """The mean of e over all outcomes of independent examples, or clusters of them, that are right by chance."""
    total: Any = 0.0
    for outcome in itertools.product([False, True], repeat=len(chances)):
        probability = math.prod(p if up else 1 - p for p, up in zip(chances, outcome, strict=True))
        right = np.array(outcome, np.float64)
        right = right if codes is None else right[codes]
        total = total + probability * np.exp(monitor.log_e(Values(right, np.ones(len(right), np.bool_))))
    return total


GROUPS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=2)


@given(GROUPS, GROUPS, st.floats(0.001, 0.9))
def test_the_mean_is_at_most_one_whatever_both_groups_do(
    lost: list[tuple[float, float]], kept: list[tuple[float, float]], allowed: float
) -> None:
    """Any usual values and any chances: the bets on every gap that is within the objective are fair."""
    codes = np.repeat([0, 1], (len(lost), len(kept)))
    usual, chances = (np.array(part) for part in zip(*lost, *kept, strict=True))
    apart = usual[codes == 0].mean() - usual[codes == 1].mean()
    cut, allowed = Slicing(codes, ("a", "b")), max(allowed, abs(float(apart)) + 1e-6)
    if allowed >= 1:
        return
    monitor = GapMonitor(GapObjective("s", "group", at_most=allowed), cut, usual, ALPHA)
    behind = chances[codes == 1].mean() - chances[codes == 0].mean()
    mean_e = expected(monitor, chances.tolist())
    for ahead, bets in ((behind, mean_e[:8]), (-behind, mean_e[8:])):
        if ahead <= allowed:
            assert np.all(bets <= 1 + 1e-9)


@given(st.lists(st.tuples(st.integers(1, 3), st.floats(0, 1)), min_size=2, max_size=4), st.integers(0, 2**32))
def test_known_clusters_may_depend_in_any_way(clusters: list[tuple[int, float]], seed: int) -> None:
    """All examples of a cluster are right, or none is; clusters reach over both groups."""
    sizes, chances = zip(*clusters, strict=True)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    groups = np.random.default_rng(seed).integers(0, 2, len(codes))
    if not 0 < groups.sum() < len(groups):
        return
    rates = np.array(chances)[codes]
    apart = abs(float(rates[groups == 1].mean() - rates[groups == 0].mean()))
    if apart >= 0.999:
        return
    objective = GapObjective("s", "group", at_most=max(apart, 0.001))
    for known in (codes, None):
        monitor = GapMonitor(
            objective, Slicing(groups, ("a", "b")), np.full(len(codes), 0.5), ALPHA, None, max(sizes), known
        )
        assert np.all(expected(monitor, list(chances), codes) <= 1 + 1e-9)


def test_unanswered_examples_are_no_evidence() -> None:
    """Those of the group that fell behind count as right, those of the others as wrong."""
    random = np.random.default_rng(3)
    monitor = watching(random, at_most=0.05)
    state = monitor.fresh()
    for at in range(200):
        right, answered = drawn(random, RATES), random.random(200) < 0.95
        state, verdict = monitor.update(Values(np.where(answered, right, 0.0), answered), state, float(at))
        assert verdict.state in (State.STEADY, State.SUSPECT)


def test_every_pair_of_values_is_watched() -> None:
    random = np.random.default_rng(4)
    cut = Slicing(np.arange(300) % 4 - 1, ("a", "b", "c"))
    usual = np.full(300, 0.9)
    monitor = GapMonitor(GapObjective("accuracy", "group", at_most=0.1), cut, usual, ALPHA)
    fallen = np.where(cut.codes == 2, 0.5, 0.9)
    state = monitor.fresh()
    for at in range(60):
        state, verdict = monitor.update(Values(drawn(random, fallen), np.ones(300, np.bool_)), state, float(at))
    assert verdict.state is State.ALERTING
    assert "for group=c and" in verdict.summary


def test_evidence_of_another_slice_is_refused() -> None:
    first = GapMonitor(GapObjective("accuracy", "language", at_most=0.05), CUT, RATES, ALPHA)
    other = GapMonitor(GapObjective("accuracy", "age", at_most=0.05), CUT, RATES, ALPHA)
    _, refused = other.restore(first.save(first.fresh()))
    assert refused == "the saved evidence belongs to another reference, tolerance or objective"


def test_evidence_of_another_score_of_the_same_name_is_refused() -> None:
    specs = [ScoreSpec("kind", "regex", options={"pattern": pattern}) for pattern in ("a", "a", "b")]
    first, same, other = (
        GapMonitor(GapObjective("kind", "language", at_most=0.05, spec=spec), CUT, RATES, ALPHA) for spec in specs
    )
    saved = first.save(first.fresh())
    assert same.restore(saved)[1] is None
    assert other.restore(saved)[1] == "the saved evidence belongs to another reference, tolerance or objective"


def test_a_gap_names_two_values_also_if_they_are_equal() -> None:
    equal = [SliceStanding("language", value, 10, 0.5, None) for value in ("de", "en")]
    found = Gap.between("accuracy", "language", equal)
    assert found is not None
    assert (found.size, {found.highest, found.lowest}) == (0.0, {"de", "en"})


@pytest.mark.parametrize(
    ("cut", "limit", "complaint"),
    [
        (Slicing(np.zeros(200, np.int64), ("all",)), 0.05, "language has 1 values with a score .*; expected 2 to 10"),
        (Slicing(np.arange(200) % 11, tuple("abcdefghijk")), 0.05, "language has 11 values"),
        (CUT, 0.01, "is 0.9000 for language=de and 0.9200 for en, 2 points apart; allow at least that"),
    ],
)
def test_what_cannot_be_watched_is_refused(cut: Slicing, limit: float, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        GapMonitor(GapObjective("accuracy", "language", at_most=limit), cut, RATES, ALPHA)
