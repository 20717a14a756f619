"""*Costly*: what is bet on, what is learned, and what is never taken for evidence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.figures import Ceiling, Figure, Figures, figures
from goldwatch.core.judgement import Severity, State, Verdict
from goldwatch.energy.attribution import Energy
from goldwatch.energy.footprint import Load, Prices, footprint
from goldwatch.worker.monitors.costly import ALLOWED, Costly, CostlyState
from goldwatch.worker.monitors.share import ShareMonitor

from tests.builders import energy

HOUR_S = 3600.0
ALPHA = 0.25 / 8760
JOULES = Ceiling("energy", "inference", "J", limit=2.0)
MONEY = Ceiling("cost", "output token", "USD", limit=3e-6, metered=False)
USUAL = Ceiling("energy", "inference", "J", above_usual=0.2)


def figure(value: float, width: float = 0.0, unit: str = "J") -> Figure:
    return Figure(value, value - width, value + width, unit)


def run(
    monitor: Costly, seen: list[Any], state: CostlyState | None = None, start: int = 0, name: str = JOULES.name
) -> tuple[CostlyState, list[Verdict]]:
    state, verdicts = state or monitor.fresh(), []
    for at, value in enumerate(seen, start):
        found = Figures({} if value is None else {name: value if isinstance(value, str | Figure) else figure(value)})
        state, verdict = monitor.update(found, state, at * HOUR_S)
        verdicts.append(verdict)
    return state, verdicts


@given(st.floats(1e-4, 0.9), st.floats(0, 1))
def test_the_mean_of_the_bets_is_at_most_one(allowed: float, share: float) -> None:
    """A measurement is over the limit or it is not: given the past, with a probability up to what is allowed."""
    log_e = ShareMonitor("costly", allowed, ALPHA, "").log_e
    chance = share * allowed
    assert np.all(chance * np.exp(log_e(1.0)) + (1 - chance) * np.exp(log_e(0.0)) <= 1 + 1e-9)


def test_an_honest_interval_of_95_percent_keeps_to_what_is_allowed() -> None:
    """The truth is at the limit: an interval is above it once in forty, which is half of what is allowed."""
    rng = np.random.default_rng(1)
    over = rng.normal(2.0, 0.1, 100_000) - 1.96 * 0.1 > 2.0
    assert over.mean() < 0.6 * ALLOWED


def test_a_model_that_takes_twice_as_much_is_a_ticket_after_four_measurements_and_recovers_after_three() -> None:
    monitor = Costly([JOULES], ALPHA, HOUR_S)
    state, verdicts = run(monitor, [1.5] * 48 + [4.0] * 5)
    states = [v.state for v in verdicts]
    assert states[:48] == [State.STEADY] * 48
    assert states.index(State.ALERTING) == 48 + 3
    assert (verdicts[-1].severity, verdicts[-1].since) == (Severity.TICKET, 48 * HOUR_S)
    assert verdicts[-1].summary == "an inference takes 4 J, at most 2 J wanted"
    _, verdicts = run(monitor, [1.5] * 4, state, 53)
    assert [v.state for v in verdicts] == [State.ALERTING, State.ALERTING, State.RECOVERED, State.STEADY]


def test_what_is_over_with_a_part_of_its_interval_only_is_no_evidence() -> None:
    _, verdicts = run(Costly([JOULES], ALPHA, HOUR_S), [figure(2.5, 0.6)] * 500)
    assert {v.state for v in verdicts} == {State.STEADY}
    assert verdicts[-1].summary == "an inference takes 2.5 J [1.9, 3.1], at most 2 J wanted"


def test_a_second_incident_alerts_as_soon_as_the_first() -> None:
    monitor = Costly([JOULES], ALPHA, HOUR_S)
    _, verdicts = run(monitor, [1.5] * 20 + [4.0] * 6 + [1.5] * 5 + [4.0] * 6)
    alerting = [v.state is State.ALERTING for v in verdicts]
    begins = [at for at in range(1, len(alerting)) if alerting[at] and not alerting[at - 1]]
    assert begins == [20 + 3, 31 + 3]


def test_replays_without_a_measurement_change_nothing_until_one_is_missing_for_too_long() -> None:
    monitor = Costly([JOULES], ALPHA, HOUR_S)
    state, (last,) = run(monitor, [1.5])
    for minute in (5, 60, 180):
        state, verdict = monitor.update(Figures(), state, minute * 60.0)
        assert (verdict.state, verdict.evidence) == (State.STEADY, last.evidence)
    _, verdict = monitor.update(Figures(), state, 181 * 60.0)
    assert verdict.state is State.UNKNOWN
    assert monitor.standing(monitor.fresh()).summary == "not known: nothing was measured yet"


def test_a_measurement_that_failed_is_unknown_and_ends_no_alert() -> None:
    monitor = Costly([JOULES], ALPHA, HOUR_S)
    state, verdicts = run(monitor, [1.5, "insufficient: too short", None])
    assert [v.state for v in verdicts] == [State.STEADY, State.UNKNOWN, State.UNKNOWN]
    assert verdicts[-1].summary == "not known: insufficient: too short"
    state, _ = run(monitor, [4.0] * 4, state, 3)
    _, (verdict,) = run(monitor, ["insufficient: too short"], state, 7)
    assert verdict.state is State.ALERTING
    assert verdict.summary.endswith("since then not known: insufficient: too short")


def test_what_is_usual_is_learned_for_a_week_and_never_moves() -> None:
    monitor, rng = Costly([USUAL], ALPHA, HOUR_S), np.random.default_rng(2)
    state, verdicts = run(monitor, list(rng.normal(5.0, 0.2, 169)))
    assert {v.state for v in verdicts[:-1]} == {State.UNKNOWN}
    assert verdicts[0].summary.endswith("1 measurement of at least 100, over 0.0 of 7 days")
    usual = state.watched[0].usual
    assert usual is not None
    assert usual.value == pytest.approx(5.0, rel=0.02)
    assert usual.allowed == pytest.approx(1 - 0.01 ** (1 / 84))  # none of 84 was over: exact
    state, verdicts = run(monitor, [5.0] * 24 + [6.5] * 5, state, 169)
    assert [v.state is State.ALERTING for v in verdicts].index(True) == 24 + 3
    assert verdicts[-1].summary == "an inference takes 6.5 J, 5.02 J is usual and at most 6.02 J wanted"
    assert state.watched[0].usual == usual


def test_a_machine_that_changes_while_it_is_learned_from_is_learned_from_again() -> None:
    monitor = Costly([USUAL], ALPHA, HOUR_S)
    state, verdicts = run(monitor, [5.0] * 85 + [8.0] * 84)
    assert verdicts[-1].summary.startswith("not known: it changed while it was learned from; ")
    state, _ = run(monitor, [8.0] * 90, state, 169)
    usual = state.watched[0].usual
    assert usual is not None
    assert usual.value == 8.0


def test_of_two_objectives_each_has_half_and_the_worse_one_is_told() -> None:
    monitor = Costly([JOULES, MONEY], ALPHA, HOUR_S)
    state, verdict = monitor.fresh(), None
    for at in range(5):
        found = Figures({JOULES.name: figure(4.0), MONEY.name: figure(1e-6, unit="USD")})
        state, verdict = monitor.update(found, state, at * HOUR_S)
    assert verdict is not None
    assert verdict.state is State.ALERTING
    assert verdict.threshold == pytest.approx(-np.log10(ALPHA / 2))
    assert verdict.summary == "an inference takes 4 J, at most 2 J wanted"
    found = Figures({JOULES.name: "no meter", MONEY.name: figure(1e-6, unit="USD")})
    assert monitor.update(found, monitor.fresh(), 0.0)[1].state is State.UNKNOWN


seen = st.one_of(st.floats(0.1, 8.0), st.none(), st.just("insufficient"))


@given(st.lists(seen, min_size=1, max_size=30), st.integers(0, 29), st.sampled_from([JOULES, USUAL]))
def test_saving_and_restoring_changes_nothing(values: list[Any], cut: int, ceiling: Ceiling) -> None:
    monitor, cut = Costly([ceiling], ALPHA, HOUR_S, "owner"), min(cut, len(values) - 1)
    before, _ = run(monitor, values[:cut])
    restored, refused = monitor.restore(json.loads(json.dumps(monitor.save(before), allow_nan=False)))
    assert refused is None
    (end, straight), (other, again) = (run(monitor, values[cut:], state, cut) for state in (before, restored))
    assert straight == again
    assert monitor.save(end) == monitor.save(other)


def test_what_was_learned_is_restored_and_refused_for_another_owner() -> None:
    monitor = Costly([USUAL], ALPHA, HOUR_S, "one")
    state, _ = run(monitor, [5.0] * 200 + [6.5] * 2)
    saved = json.loads(json.dumps(monitor.save(state)))
    again, refused = monitor.restore(saved)
    assert refused is None
    assert monitor.save(again) == saved
    other, refused = Costly([USUAL], ALPHA, HOUR_S, "two").restore(saved)
    assert refused == "the baseline belongs to another load, meter or price; learning again"
    assert other.watched[0].usual is None
    assert Costly([replace(USUAL, above_usual=0.3)], ALPHA, HOUR_S, "one").restore(saved)[1] is not None


def test_evidence_about_another_limit_and_damage_are_refused() -> None:
    monitor = Costly([JOULES], ALPHA, HOUR_S)
    state, _ = run(monitor, [4.0] * 3)
    saved = monitor.save(state)
    refused = Costly([replace(JOULES, limit=3.0)], ALPHA, HOUR_S).restore(saved)[1]
    assert refused == "the saved evidence belongs to another reference, tolerance or objective"
    assert monitor.restore({"version": 1, "ceilings": {JOULES.name: {"at": "now"}}})[1] == "the saved state is damaged"
    assert monitor.restore({"version": 1, "ceilings": 3})[1] == "the saved state is damaged"
    assert monitor.restore(3)[1] == "the saved state is not of version 1"
    with pytest.raises(ValueError, match="needs an objective"):
        Costly([], ALPHA, HOUR_S)


LOAD = Load(100.0, 0.5, 10.0, 20.0)
PRICES = Prices("USD", machine_per_hour=3.6, energy_per_kwh=0.36)


def found(ceiling: Ceiling, metered: Energy | None, prices: Prices | None = PRICES) -> Figure | str:
    return figures([ceiling], metered, footprint(metered, LOAD, prices, None), "rapl: there is none").of[ceiling.name]


def test_what_is_measured_is_a_figure_for_each_thing() -> None:
    inference = found(JOULES, energy())
    assert isinstance(inference, Figure)
    assert (inference.low, inference.value, inference.high) == pytest.approx((5.9, 6.0, 6.1))
    for per, joules in (("right answer", 12.0), ("output token", 1.2)):
        each = found(replace(JOULES, per=per), energy())
        assert isinstance(each, Figure)
        assert each.value == pytest.approx(joules)
    money = found(Ceiling("cost", "inference", "USD", 1.0), energy())
    assert isinstance(money, Figure)
    assert money.value == pytest.approx(1e-5 + 6e-7)
    assert money.unit == "USD"


@pytest.mark.parametrize(
    ("ceiling", "metered", "says"),
    [
        (JOULES, None, "rapl: there is none"),
        (JOULES, energy(estimated=True, source="estimate"), "estimate is an estimate, which is no evidence"),
        (JOULES, energy(attribution="shared", shared_with="all that runs here"), "nvml counts all that runs here too"),
        (replace(JOULES, per="output token"), energy(output_tokens=None), "how many output tokens there were"),
        (Ceiling("cost", "inference", "USD", 1.0), energy(estimated=True), "is an estimate"),
    ],
)
def test_what_is_no_evidence_is_a_reason(ceiling: Ceiling, metered: Energy | None, says: str) -> None:
    reason = found(ceiling, metered)
    assert isinstance(reason, str)
    assert says in reason


def test_money_without_joules_in_it_needs_no_meter() -> None:
    of_machine = Prices("USD", machine_per_hour=3.6)
    money = found(Ceiling("cost", "inference", "USD", 1.0, metered=False), None, of_machine)
    assert isinstance(money, Figure)
    assert money.value == pytest.approx(1e-5)
    assert found(Ceiling("cost", "inference", "USD", 1.0, metered=False), None, None) == (
        "a part of the price is not known"
    )
