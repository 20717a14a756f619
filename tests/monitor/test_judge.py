"""*Judge:NAME*: a judge that becomes harsher or kinder is noticed, and its noise is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from goldwatch.core import kinds
from goldwatch.core.budget import Budget
from goldwatch.core.judgement import Severity, State
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.worker.evaluators.controls import control_examples
from goldwatch.worker.monitors.effects import Basis
from goldwatch.worker.monitors.judge import JudgeMonitor
from goldwatch.worker.monitors.means import Values
from goldwatch.worker.monitors.reference import Reference
from goldwatch.worker.monitors.settings import Settings

CONTROLS = 40
ALPHA = Budget(1.0, dict.fromkeys("abcd", 1.0)).alpha("a", 300.0)
TRUTH = np.where(np.arange(CONTROLS) % 2, 0.15, 0.8)
WAYS = ("lower", "higher")
ALL = np.ones(CONTROLS, np.bool_)


def graded(random: np.random.Generator, shift: float = 0.0) -> NDArray[np.float64]:
    return np.asarray(np.clip(TRUTH + shift + random.normal(0, 0.1, CONTROLS), 0, 1))


def frozen(random: np.random.Generator) -> NDArray[np.float32]:
    return np.stack([graded(random) for _ in range(25)]).astype(np.float32)


@pytest.mark.parametrize("shift", [-0.1, 0.1])
def test_a_change_in_either_direction_opens_a_ticket(shift: float) -> None:
    random = np.random.default_rng(1)
    monitor = JudgeMonitor(ScoreSpec("grounded", "judge"), frozen(random), ALPHA)
    state = monitor.fresh()
    for at in range(300):
        state, verdict = monitor.update(Values(graded(random), ALL), state, float(at))
        assert verdict.state in (State.STEADY, State.SUSPECT)
    for at in range(300, 330):
        state, verdict = monitor.update(Values(graded(random, shift), ALL), state, float(at))
        if verdict.state is State.ALERTING:
            break
    assert verdict.state is State.ALERTING
    assert (verdict.monitor, verdict.severity) == ("judge:grounded", Severity.TICKET)
    assert "when the set was frozen" in verdict.summary
    assert kinds.of(verdict.monitor).spends
    for back_at in range(330, 400):
        state, verdict = monitor.update(Values(graded(random), ALL), state, float(back_at))
        if verdict.state is State.RECOVERED:
            return
    pytest.fail("it never recovered")


def test_a_judge_that_repeats_itself_is_steady() -> None:
    kept = np.repeat(TRUTH[np.newaxis], 25, axis=0).astype(np.float32)
    monitor = JudgeMonitor(ScoreSpec("grounded", "judge"), kept, ALPHA)
    state = monitor.fresh()
    for at in range(500):
        state, verdict = monitor.update(Values(TRUTH.astype(np.float32).astype(np.float64), ALL), state, float(at))
    assert verdict.state is State.STEADY


def test_controls_without_a_grade_are_no_evidence() -> None:
    random = np.random.default_rng(2)
    kept = frozen(random)
    kept[3, :10] = np.nan
    monitor = JudgeMonitor(ScoreSpec("grounded", "judge"), kept, ALPHA)
    state, answered = monitor.fresh(), np.arange(CONTROLS) >= 10
    for at in range(200):
        state, verdict = monitor.update(Values(np.where(answered, graded(random), 0.0), answered), state, float(at))
    assert verdict.state in (State.STEADY, State.SUSPECT)


def test_a_few_judgings_are_no_reference() -> None:
    with pytest.raises(ValueError, match="were judged 24 times, 25 are needed"):
        JudgeMonitor(ScoreSpec("grounded", "judge"), frozen(np.random.default_rng(3))[1:], ALPHA)


def test_what_it_would_notice_is_foreseen() -> None:
    spec = ScoreSpec("grounded", "judge")
    monitor = JudgeMonitor(spec, frozen(np.random.default_rng(4)), ALPHA)
    settings = Settings(0.01, 0.01, {"judge:grounded": ALPHA})
    basis = Basis(Reference((1, 1), np.zeros((2, 1), np.int64)), settings, CONTROLS, 100)
    found = {each.effect: each.replays for each in monitor.notices(basis)}
    assert list(found)[:2] == [f"grades of the controls are {how} by 0.05 of its scale from 0 to 1" for how in WAYS]
    lower, higher = (found[f"grades of the controls are {how} by 0.2 of its scale from 0 to 1"] for how in WAYS)
    assert lower is not None
    assert higher is not None
    assert max(lower, higher) <= 5


def test_every_second_control_is_a_foil() -> None:
    assert control_examples(4, 100) == [(0, 0), (25, 50), (50, 0), (75, 50)]
    assert control_examples(3, 1) == [(0, 0), (0, 0), (0, 0)]


def test_its_alert_is_about_the_judge_and_not_about_the_model() -> None:
    look = kinds.of("judge:grounded").first_look("support", "", "nothing has changed")
    assert look is not None
    assert look.certain
    assert look.title.startswith("Check the target that judges grounded")
