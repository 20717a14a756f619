"""*Drift* of traffic with a season: the bets of blocks, what raises a ticket and what does not, and what is kept."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.core.judgement import State, Verdict
from goldwatch.worker.monitors.blocks import Block, BlockBets
from goldwatch.worker.monitors.hours import Tally
from goldwatch.worker.monitors.ladder import Ladder, LadderState, alphas
from goldwatch.worker.monitors.learned import Learned, LearnedState
from goldwatch.worker.monitors.season import LEVELS, WEEK_H, Usual, levels_of, of_week, weigh

MONDAY = 4 * 24
PER_HOUR = 0.25 / 8760  # of a monitor that may raise one false ticket in four years
ROWS = 200


def mean(hour: int, swing: float = 1.0) -> float:
    """Return the mean of a column with a daily cycle and a level of its own at weekends."""
    return swing * float(np.sin(2 * np.pi * hour / 24)) + 0.3 * (of_week(hour) >= 120)


def drawn(random: np.random.Generator, hour: int, rows: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    amount = random.normal(mean(hour) + shift, 1, rows)
    p = 0.3 + 0.15 * np.sin(2 * np.pi * hour / 24)
    kinds = random.choice(np.array(["a", "b"], dtype=object), rows, p=[p, 1 - p])
    return {"amount": amount, "kind": kinds}


def usual_of(each: np.ndarray, *, timed: bool, seed: int = 0) -> Usual:
    """Return a reference with these numbers of rows in each hour, from a Monday on."""
    random = np.random.default_rng(seed)
    parts = [drawn(random, MONDAY + hour, int(rows)) for hour, rows in enumerate(each)]
    table = {name: np.concatenate([part[name] for part in parts]) for name in ("amount", "kind")}
    return Usual.of(table, MONDAY + np.repeat(np.arange(len(each)), each) if timed else None)


@cache
def ladder(*, timed: bool = True, tolerance: float = 0.05, swings: bool = False) -> Ladder:
    volume = 1 + 0.8 * np.sin(2 * np.pi * np.arange(WEEK_H) / 24) if swings else np.ones(WEEK_H)
    return Ladder(usual_of(np.rint(60 * volume).astype(int), timed=timed), PER_HOUR, tolerance)


def run(
    monitor: Ladder,
    hours: range,
    seed: int,
    state: LadderState | None = None,
    shift: float = 0.0,
    volume: float = 0.0,
) -> tuple[LadderState, list[Verdict]]:
    state, verdicts = monitor.fresh() if state is None else state, []
    for hour in hours:
        random = np.random.default_rng((seed, hour))
        counts = monitor.count(drawn(random, hour, ROWS, shift))
        requests = round(1000 * (1 + volume * np.sin(2 * np.pi * hour / 24)))
        state, verdict = monitor.update({hour: Tally(ROWS, requests, counts)}, (hour + 1) * 3600.0, state)
        verdicts.append(verdict)
    return state, verdicts


def states(verdicts: list[Verdict]) -> set[State]:
    return {verdict.state for verdict in verdicts}


def test_levels_follow_from_the_rows_and_share_the_budget() -> None:
    wide = usual_of(np.full(4 * WEEK_H, 60), timed=True)
    in_force, why = levels_of(wide)
    assert ([level.name for level in in_force], why) == (["hour", "6 hours", "day", "week"], {})
    week = ladder()
    assert [level.name for level in week.levels] == ["6 hours", "day", "week"]
    assert week.left_out == {"hour": "168 of its 168 places in the week have under 100 reference rows"}
    assert [level.name for level in ladder(timed=False).levels] == ["week"]
    assert set(ladder(timed=False).left_out.values()) == {"the reference rows have no times"}
    for levels in (in_force, week.levels, ladder(timed=False).levels):
        per_block = alphas(levels, PER_HOUR)
        spent = sum(per_block[level.name] * level.detectors / level.hours for level in levels)
        assert spent == pytest.approx(PER_HOUR)


def test_office_hours_alone_are_a_reference_of_these_hours() -> None:
    """Nobody asks at night: the places without rows are not judged, the others are."""
    each = np.array([300 if hour % 24 in range(8, 20) and hour < 120 else 0 for hour in range(WEEK_H)])
    usual = usual_of(each, timed=True)
    assert [level.name for level in levels_of(usual)[0]] == ["hour", "6 hours", "day", "week"]
    monitor = Ladder(usual, PER_HOUR, 0.05)
    state = monitor.fresh()
    for hour in range(MONDAY, MONDAY + 2 * WEEK_H):
        rows = ROWS if each[of_week(hour)] else 0
        found = {hour: Tally(rows, rows, monitor.count(drawn(np.random.default_rng(hour), hour, rows)))} if rows else {}
        state, verdict = monitor.update(found, (hour + 1) * 3600.0, state)
        assert verdict.state in (State.STEADY, State.UNKNOWN)
    assert state.judged["week"] == MONDAY + 2 * WEEK_H
    assert "no whole" not in verdict.summary


@pytest.mark.parametrize("cluster", [1, 4])
@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_the_mean_of_a_block_is_at_most_one_while_its_shares_follow_the_season(level, cluster: int) -> None:
    """Rows of each hour have shares of their own, whose mean over the block is at an edge of the band of its place."""
    usual = usual_of(np.full(4 * WEEK_H, 60), timed=True)
    bets = BlockBets(level, len(LEVELS), usual, 0.02, cluster)
    random = np.random.default_rng(3)
    first = MONDAY + level.hours
    place, _ = level.place(first)
    mass = usual.mass(range(first, first + level.hours))
    assert mass is not None
    rows = random.integers(1, 4, level.hours)
    weights, short = weigh(rows.astype(float), mass)
    terms = bets.terms(place, short)
    nulls = bets._bets(place, short)[0].reshape(-1)[bets._kept]
    for bet in terms.bets[:: max(len(terms.bets) // 40, 1)].tolist():
        null, cell = nulls[bet], terms.cells[terms.bets.tolist().index(bet)]
        swing = 0.8 * min(null, 1 - null) * np.sin(np.arange(level.hours) + bet)
        # The weights make rows count like `mass`, as far as they can.
        held = weights * rows / (weights * rows).sum()
        shares = null + swing - held @ swing
        if shares.min() < 0 or shares.max() > 1:
            continue
        expected = 1.0
        for hour in range(level.hours):
            counts = np.zeros((2, usual.counts.shape[1]))
            counts[1, cell] = cluster
            # One independent cluster, with equal rows.
            log_e = bets.log_e(Block(place, float(cluster), counts, short))[0][:, bet] * weights[hour]
            chance = np.array([1 - shares[hour], shares[hour]])
            expected *= float(chance @ np.exp(log_e)) ** int(rows[hour])
        assert expected <= 1 + 1e-9


@given(st.lists(st.integers(0, 500), min_size=2, max_size=40), st.data())
def test_the_weights_of_hours_stand_for_the_reference_up_to_what_is_short(rows: list[int], data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.integers(0, 100), min_size=len(rows), max_size=len(rows)).filter(any))
    mass = np.array(parts) / sum(parts)
    live = np.array(rows, dtype=float)
    weights, short = weigh(live, mass)
    assert np.all((weights >= 0) & (weights <= 1))
    if short > 0.05:
        assert mass[live > 0].sum() < 0.95 or short == 1
        return
    held = weights * live
    assert held.sum() > 0
    # The rows represent no more than the reference's mass, hour by hour, and lacks just the share that is short.
    assert np.all(held / held.sum() * (1 - short) <= mass + 1e-9)


def test_hours_alike_lose_nothing() -> None:
    weights, short = weigh(np.full(24, 200.0), np.full(24, 1 / 24))
    assert (weights.tolist(), short) == ([1.0] * 24, 0.0)
    few = np.full(24, 200.0)
    few[3] = 1.0
    weights, short = weigh(few, np.full(24, 1 / 24))
    assert short == pytest.approx(1 / 24, abs=0.001)  # one hour is next to missing, and does not silence the others
    assert weights[0] == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("volume", [0.0, 0.8])
def test_a_season_raises_no_ticket_and_a_shift_does_and_ends(timed: bool, volume: float) -> None:
    monitor = ladder(timed=timed, swings=volume > 0)
    start, shifted = MONDAY, MONDAY + 3 * WEEK_H
    state, verdicts = run(monitor, range(start, shifted), 1, volume=volume)
    assert not states(verdicts) & {State.ALERTING, State.SUSPECT}
    assert verdicts[-1].state is State.STEADY
    state, verdicts = run(monitor, range(shifted, shifted + WEEK_H), 2, state, 0.5, volume)
    assert State.ALERTING in states(verdicts)
    first = next(verdict for verdict in verdicts if verdict.state is State.ALERTING)
    assert first.since is not None
    assert "amount" in first.summary
    assert [column.name for column in monitor.telling(state)][:1] == ["amount"]
    assert State.RECOVERED not in states(verdicts)
    _, verdicts = run(monitor, range(shifted + WEEK_H, shifted + 4 * WEEK_H), 3, state, 0.0, volume)
    assert State.RECOVERED in states(verdicts)
    assert verdicts[-1].state is State.STEADY


def test_without_weights_a_swing_of_the_volume_would_be_a_shift() -> None:
    """The same traffic, as if each hour had as many requests: the reference has more rows of the busy hours."""
    monitor = ladder(timed=False, swings=True)
    _, verdicts = run(monitor, range(MONDAY, MONDAY + 2 * WEEK_H), 1, volume=0.0)
    assert State.ALERTING in states(verdicts)


@given(st.integers(1, 80))
@settings(max_examples=8, deadline=None)
def test_a_restart_in_the_middle_of_a_block_changes_nothing(cut: int) -> None:
    monitor = ladder()
    hours = range(MONDAY + 3, MONDAY + 84)
    state, _ = run(monitor, hours[:cut], 5, shift=0.4)
    restored, refused = monitor.restore(json.loads(json.dumps(monitor.save(state), allow_nan=False)))
    assert refused is None
    (end, straight), (other, again) = (run(monitor, hours[cut:], 5, each, shift=0.4) for each in (state, restored))
    assert straight == again
    assert monitor.save(end) == monitor.save(other)
    assert len(json.dumps(monitor.save(end))) < 200_000


@pytest.mark.parametrize("saved", [None, 5, {}, {"version": 1}, {"version": 1, "detectors": []}, {"forward": {}}])
def test_a_state_that_is_damaged_or_of_another_monitor_is_refused(saved: object) -> None:
    state, refused = ladder().restore(saved)
    assert refused
    assert ladder().save(state) == ladder().save(ladder().fresh())


def test_a_state_of_another_reference_is_refused() -> None:
    state, _ = run(ladder(), range(MONDAY, MONDAY + 8), 1)
    _, refused = ladder(tolerance=0.02).restore(ladder().save(state))
    assert refused == "the saved evidence belongs to another reference, tolerance or objective"
    damaged = {**ladder().save(state), "counts": "AAAA"}
    assert ladder().restore(damaged)[1] == "the saved blocks are damaged"


def test_a_block_that_lacks_hours_is_not_judged_and_that_is_said() -> None:
    """Every third day no rows come for half a day: neither that day nor any week can be compared."""
    monitor, state = ladder(), ladder().fresh()
    for hour in range(MONDAY, MONDAY + 4 * WEEK_H):
        found = {}
        if not (hour // 24 % 3 == 0 and hour % 24 < 12):
            counts = monitor.count(drawn(np.random.default_rng(hour), hour, ROWS))
            found = {hour: Tally(ROWS, ROWS, counts)}
        state, verdict = monitor.update(found, (hour + 1) * 3600.0, state)
        assert verdict.state in (State.STEADY, State.UNKNOWN)
    assert "week" not in state.judged
    assert (state.judged["day"] - MONDAY) % 24 == 0
    assert verdict.state is State.STEADY
    assert verdict.summary.endswith("; no whole week could be judged, for hours without rows")


def test_nothing_is_known_before_the_first_block_nor_long_after_the_last() -> None:
    monitor = ladder()
    state, verdicts = run(monitor, range(MONDAY, MONDAY + 5), 1)
    assert verdicts[-1].state is State.UNKNOWN
    assert monitor.standing(state).summary == "not known: no whole 6 hours of live rows could be judged yet"
    state, verdicts = run(monitor, range(MONDAY + 5, MONDAY + 6), 1, state)
    assert verdicts[-1].state is State.STEADY
    state, verdict = monitor.update({}, (MONDAY + 60) * 3600.0, state)
    assert verdict.state is State.UNKNOWN


def test_a_clock_that_is_set_back_judges_nothing_twice() -> None:
    monitor = ladder()
    state, _ = run(monitor, range(MONDAY, MONDAY + 12), 1)
    again, verdicts = run(monitor, range(MONDAY, MONDAY + 12), 1, state)
    assert {verdict.summary for verdict in verdicts} == {""}
    assert monitor.save(again) == monitor.save(state)


@pytest.mark.parametrize(("tolerance", "cluster"), [(1.0, 1), (-0.1, 1), (0.1, 0)])
def test_refuses_what_cannot_be_watched(tolerance: float, cluster: int) -> None:
    with pytest.raises(ValueError, match="cannot be watched"):
        Ladder(ladder().usual, PER_HOUR, tolerance, cluster)


@pytest.mark.slow
@pytest.mark.parametrize("weekly", [False, True])
@pytest.mark.parametrize("timed", [False, True])
def test_cycles_that_the_reference_has_raise_no_ticket_in_four_weeks_of_hourly_windows(
    weekly: bool, timed: bool
) -> None:
    """The case of the field: one whole week of reference rows, and `season: weekly` stated. Five runs of each."""

    def amount(random: np.random.Generator, hour: int, rows: int) -> np.ndarray:
        if weekly:
            return random.normal(-0.5 if hour // 24 % 7 >= 5 else 0.2, 1, rows)
        return random.normal(np.sin(2 * np.pi * hour / 24), 1, rows)

    for seed in range(5):
        random = np.random.default_rng(seed)
        reference = np.concatenate([amount(random, hour, 60) for hour in range(WEEK_H)])
        hours = MONDAY + np.repeat(np.arange(WEEK_H), 60)
        monitor = Ladder(Usual.of({"amount": reference}, hours if timed else None), PER_HOUR, 0.05)
        state = monitor.fresh()
        for hour in range(4 * WEEK_H):
            counts = monitor.count({"amount": amount(random, hour, ROWS)})
            found = {MONDAY + hour: Tally(ROWS, ROWS, counts)}
            state, verdict = monitor.update(found, (MONDAY + hour + 1) * 3600.0, state)
            assert verdict.state is not State.ALERTING
        assert verdict.state is State.STEADY


def test_without_a_reference_of_whole_weeks_four_of_live_traffic_become_one() -> None:
    monitor = learned()
    state, verdicts = run_learned(monitor, range(MONDAY + 5, MONDAY + 5 + 60), 1)
    assert states(verdicts) == {State.UNKNOWN}
    assert verdicts[-1].summary == "learning what is usual: 2.5 of 28 days, 12,000 rows"
    restored, refused = monitor.restore(json.loads(json.dumps(monitor.save(state), allow_nan=False)))
    assert refused is None
    assert monitor.save(restored) == monitor.save(state)
    end = MONDAY + 5 + 4 * WEEK_H
    state, verdicts = run_learned(monitor, range(MONDAY + 65, end), 1, restored)
    assert states(verdicts) == {State.UNKNOWN}
    assert "learned what is usual from 134,400 rows of four weeks" in verdicts[-1].summary
    state, verdicts = run_learned(monitor, range(end, end + 72), 2, state)
    assert verdicts[-1].state is State.STEADY
    assert State.ALERTING not in states(verdicts)
    restored, refused = monitor.restore(json.loads(json.dumps(monitor.save(state), allow_nan=False)))
    assert refused is None
    assert monitor.save(restored) == monitor.save(state)
    assert len(json.dumps(monitor.save(state))) < 400_000
    _, verdicts = run_learned(monitor, range(end + 72, end + 120), 3, restored, 0.7)
    assert State.ALERTING in states(verdicts)


def test_learning_begins_again_where_hardly_any_rows_came_and_with_other_cells() -> None:
    monitor = learned()
    state, _ = run_learned(monitor, range(MONDAY, MONDAY + 1), 1, rows=50)
    state, verdict = monitor.update({}, (MONDAY + 5 * WEEK_H) * 3600.0, state)
    assert verdict.summary == "learning what is usual: 0.0 of 28 days, 0 rows"
    other = Learned(ladder(timed=False).usual.kinds, ladder().columns, PER_HOUR, 0.05, 1)
    assert other.restore(monitor.save(state))[1] is None
    fewer = Learned({"amount": ladder().usual.kinds["amount"]}, ladder().columns[:1], PER_HOUR, 0.05, 1)
    assert fewer.restore(monitor.save(state))[1] == (
        "the saved weeks were counted with another reference; learning starts again"
    )
    for saved in (None, {}, {**monitor.save(state), "rows": [1]}, {**monitor.save(state), "counts": "AAAA"}):
        fresh, refused = monitor.restore(saved)
        assert refused is not None
        assert refused.endswith("learning starts again")
        assert monitor.save(fresh) == monitor.save(monitor.fresh())


def learned() -> Learned:
    return Learned(ladder(timed=False).usual.kinds, ladder().columns, PER_HOUR, 0.05, 1)


def run_learned(
    monitor: Learned, hours: range, seed: int, state: LearnedState | None = None, shift: float = 0.0, rows: int = ROWS
) -> tuple[LearnedState, list[Verdict]]:
    state, verdicts = monitor.fresh() if state is None else state, []
    for hour in hours:
        counts = monitor.count(drawn(np.random.default_rng((seed, hour)), hour, rows, shift))
        state, verdict = monitor.update({hour: Tally(rows, rows, counts)}, (hour + 1) * 3600.0, state)
        verdicts.append(verdict)
    return state, verdicts
