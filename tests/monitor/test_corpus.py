"""*worse:NAME* of a score of the whole replay: one bet a replay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.core.judgement import State, Verdict
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.worker.monitors.corpus import WorseCorpus
from goldwatch.worker.monitors.means import Values
from goldwatch.worker.monitors.scored import WorseScore

ALPHA = 1 / (105_120 * 4)
BLEU = ScoreSpec.built_in("bleu", loss=0.5)
WER = ScoreSpec.built_in("wer", loss=0.01)


def kept(usual: float, sd: float, replays: int = 200, seed: int = 1) -> list[float]:
    return [float(value) for value in np.random.default_rng(seed).normal(usual, sd, replays)]


def looks(monitor: WorseCorpus, values: Iterable[float]) -> list[Verdict]:
    state, found = monitor.fresh(), []
    for at, value in enumerate(values):
        share = np.array([(value - monitor._low) / monitor._unit])
        state, verdict = monitor.update(Values(share, np.ones(1, bool)), state, float(at))
        found.append(verdict)
    return found


def alerts_after(verdicts: list[Verdict]) -> int | None:
    return next((place + 1 for place, v in enumerate(verdicts) if v.state is State.ALERTING), None)


@pytest.mark.parametrize(("loss", "at_most"), [(10.0, 40), (5.0, 45), (2.0, 100)])
def test_a_loss_of_bleu_pages_within_a_working_day(loss: float, at_most: int) -> None:
    """STATISTICS-2 in docs/monitors.md: never under 24 replays, and about 25 for a large loss."""
    monitor, rng = WorseCorpus(BLEU, kept(30, 0.3), 100, ALPHA), np.random.default_rng(3)
    after = alerts_after(looks(monitor, rng.normal(30 - loss, 0.3, 120)))
    assert after is not None
    assert 20 <= after <= at_most


def test_nothing_pages_while_nothing_changes() -> None:
    monitor, rng = WorseCorpus(BLEU, kept(30, 0.3), 100, ALPHA), np.random.default_rng(4)
    verdicts = looks(monitor, rng.normal(30, 0.3, 3000))
    assert all(v.state is State.STEADY for v in verdicts)
    assert verdicts[-1].summary.startswith("bleu ")
    assert float(verdicts[-1].summary.split()[1].rstrip(",")) == pytest.approx(30, abs=2)


@settings(max_examples=30)
@given(st.sampled_from(["bleu", "wer"]), st.floats(20, 40), st.floats(0, 2), st.integers(0, 1000), st.floats(0.1, 2))
def test_no_bet_gains_at_the_edge_of_what_is_allowed(
    name: str, usual: float, sd: float, seed: int, tolerance: float
) -> None:
    """The mean of each e-value is at most 1 for any distribution whose mean y is the floor, so for the edge too."""
    spec = ScoreSpec.built_in(name, loss=tolerance * (usual if name == "wer" else 1))
    monitor = WorseCorpus(spec, np.clip(kept(usual, sd, seed=seed), 0, 100).tolist(), 100, ALPHA)
    for bets in monitor._bets:
        low, high = 0.0, 1.0  # two values of y with mean `floor`, as far apart as can be
        chance = bets.floor
        for stake in bets.stakes:
            mean = chance * (1 + stake * (bets.floor - high)) + (1 - chance) * (1 + stake * (bets.floor - low))
            assert mean == pytest.approx(1, abs=1e-9)
            assert 1 + stake * (bets.floor - high) > 0


def test_low_values_may_be_good_and_have_no_end() -> None:
    monitor, rng = WorseCorpus(WER, kept(0.2, 0.004), 100, ALPHA), np.random.default_rng(5)
    assert alerts_after(looks(monitor, rng.normal(0.2, 0.004, 300))) is None
    after = alerts_after(looks(monitor, rng.normal(0.3, 0.004, 60)))
    assert after is not None
    assert alerts_after(looks(monitor, [40.0] * 60)) is not None  # far off the end of what is told apart
    assert alerts_after(looks(monitor, rng.normal(0.1, 0.004, 300))) is None


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        (ScoreSpec.built_in("auroc", limit=0.9), 0.95, 0.7),
        (ScoreSpec.built_in("mcc", limit=0.4), 0.5, -0.2),
        (ScoreSpec.built_in("wer", limit=0.2), 0.1, 0.6),
        (ScoreSpec.built_in("log-loss", limit=0.5), 0.3, 2.0),
    ],
)
def test_an_absolute_objective_needs_no_reference(spec: ScoreSpec, good: float, bad: float) -> None:
    monitor = WorseCorpus(spec, (), 0, ALPHA)
    verdicts = looks(monitor, [good] * 50)
    assert all(v.state is State.STEADY for v in verdicts)
    assert (
        f"{good:.4f}, at {'most' if spec.lower_is_better else 'least'} {spec.limit:.4f} expected" in verdicts[0].summary
    )
    assert alerts_after(looks(monitor, [bad] * 400)) is not None


def test_too_few_reference_replays_give_an_interval_only() -> None:
    with pytest.raises(
        ValueError, match=r"needs 100 \+ 100 reference replays; .* 10 \+ 10, so it has an interval only"
    ):
        WorseCorpus(BLEU, kept(30, 0.3, 20), 10, ALPHA)


@pytest.mark.parametrize(("usual", "loss"), [(0.05, 0.02), (0.05, 0.2), (0.2, 0.3), (0.0, 0.01)])
def test_a_scale_without_an_end_takes_a_loss_larger_than_what_is_usual(usual: float, loss: float) -> None:
    """It was refused: the bets ended at twice the usual value, of which such a loss is no share."""
    spec, sd = ScoreSpec.built_in("wer", loss=loss), usual / 10
    monitor, rng = WorseCorpus(spec, kept(usual, sd), 100, ALPHA), np.random.default_rng(6)
    assert all(
        v.state is State.STEADY for v in looks(monitor, rng.normal(usual + loss, sd, 1000))
    )  # all of it is allowed
    after = alerts_after(looks(monitor, rng.normal(usual + 2 * loss, sd, 100)))
    assert after is not None
    assert after >= 20


@pytest.mark.parametrize(
    ("spec", "usual", "says"),
    [
        (ScoreSpec.built_in("auroc", loss=0.3), 0.95, "it is 0.95 in the reference, and a loss of 30 points is more"),
        (
            ScoreSpec.built_in("bleu", loss=25.0),
            30,
            "a loss of 25 is more .*an absolute objective such as `at least 5`",
        ),
        (ScoreSpec.built_in("brier", loss=0.5), 0.2, "an absolute objective such as `at most 0.7`"),
    ],
)
def test_a_loss_too_large_for_its_scale_is_refused_by_what_can_be_written(
    spec: ScoreSpec, usual: float, says: str
) -> None:
    values = [usual] * 200
    with pytest.raises(ValueError, match=says) as caught:
        WorseCorpus(spec, values, 100, ALPHA)
    [(number, points)] = re.findall(r"no worse than ([\d.]+)( points)?", str(caught.value))
    WorseCorpus(replace(spec, loss=float(number) / (100 if points else 1)), values, 100, ALPHA)


def test_evidence_of_another_score_of_the_same_name_is_refused() -> None:
    """An absolute objective has no reference that would tell them apart."""
    for over, make in {
        "replay": lambda spec: WorseCorpus(spec, (), 0, ALPHA),
        "examples": lambda spec: WorseScore(spec, 10, None, 0, ALPHA, (1, None)),
    }.items():
        first, same, other = (
            make(ScoreSpec("mine", "mine:score", options={"k": k}, over=over, limit=0.5)) for k in (1, 1, 2)
        )
        saved = first.save(first.fresh())
        assert same.restore(saved)[1] is None
        assert other.restore(saved)[1] == "the saved evidence belongs to another reference, tolerance or objective"
