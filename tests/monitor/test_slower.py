import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.core.judgement import Severity, State
from goldwatch.worker.monitors.forecast import Memory, Noise, fit_course, in_blocks, surprise, trend
from goldwatch.worker.monitors.slower import SHIFTS, Latency, Learning, Slower, fewest_blocks, log_e

EVERY = 900.0
BLOCK = 3 * 3600.0
PER_BLOCK, PER_DAY = 12, 96
ALPHA = 0.25 / 2920
LEARNING = Learning(min_s=6 * 86_400, min_blocks=40)
LEARNED = 6 * PER_DAY + 1


def course(at):
    return math.log(0.1) + 0.1 * math.sin(2 * math.pi * at / 86_400)


def stream(replays, seed=0, start=0, shift=0.0, memory=0.9, a_day=0.0):
    """Times and mean logs: a daily course, a level with a memory, white noise, and a trend."""
    random, level, found = np.random.default_rng(seed), 0.0, []
    for i in range(start, start + replays):
        level = memory * level + random.normal(0, 0.05 * math.sqrt(1 - memory**2))
        noise = random.normal(0, 0.025) + shift + a_day * i / PER_DAY
        found.append((i * EVERY, Latency(course(i * EVERY) + level + noise)))
    return found


def run(monitor, found, state=None):
    state, verdicts = monitor.fresh() if state is None else state, []
    for at, observation in found:
        state, verdict = monitor.update(observation, state, at)
        verdicts.append(verdict)
    return state, verdicts


@pytest.fixture(scope="module")
def learned():
    monitor = Slower(BLOCK, ALPHA, learning=LEARNING)
    return monitor, run(monitor, stream(LEARNED))[0]


def through_json(monitor, state):
    restored, refused = monitor.restore(json.loads(json.dumps(monitor.save(state), allow_nan=False)))
    assert refused is None
    return restored


def states(verdicts):
    return {verdict.state for verdict in verdicts}


def test_is_unknown_while_it_learns_and_then_watches():
    monitor = Slower(BLOCK, ALPHA, learning=LEARNING)
    _, verdicts = run(monitor, stream(LEARNED + 50))
    assert states(verdicts[:LEARNED]) == {State.UNKNOWN}
    assert states(verdicts[LEARNED:]) <= {State.STEADY, State.SUSPECT}
    assert verdicts[100].summary == "learning what is usual: 101 replays over 1.0 of 6 days, 9 of 40 blocks of 3 hours"
    assert verdicts[LEARNED - 1].summary == "learned what is usual from 576 replays; watching from now on"
    assert "is usual at this hour" in verdicts[-1].summary


def test_learning_goes_on_where_blocks_are_missing():
    """Six days have passed, but replays came in a few hours of each only."""
    monitor = Slower(BLOCK, ALPHA, learning=LEARNING)
    rare = [pair for i, pair in enumerate(stream(8 * PER_DAY)) if i % PER_DAY < 3 * PER_BLOCK]
    _, verdicts = run(monitor, rare)
    assert states(verdicts) == {State.UNKNOWN}
    assert "of 6 days, 24 of 40 blocks" in verdicts[-1].summary


def test_a_baseline_never_moves(learned):
    monitor, state = learned
    before: Any = monitor.save(state)
    after: Any = monitor.save(run(monitor, stream(500, 1, LEARNED, shift=0.2), state)[0])
    assert after["baseline"] == before["baseline"]


def test_stays_steady_and_alerts_at_a_slowdown_and_recovers(learned):
    monitor, state = learned
    start = LEARNED
    state, verdicts = run(monitor, stream(500, 2, start), state)
    assert State.ALERTING not in states(verdicts)
    start += 500
    state, verdicts = run(monitor, stream(5 * PER_BLOCK, 3, start, shift=math.log(2)), state)
    alerted = [verdict.state for verdict in verdicts].index(State.ALERTING)
    assert 3 * PER_BLOCK - PER_BLOCK < alerted <= 4 * PER_BLOCK
    assert verdicts[alerted].severity is Severity.TICKET
    assert verdicts[alerted].since >= start * EVERY
    assert "in the median of 12 replays over 3 hours" in verdicts[alerted].summary
    start += 5 * PER_BLOCK
    state, verdicts = run(monitor, stream(300, 4, start, shift=math.log(2)), state)
    assert states(verdicts) == {State.ALERTING}, "a forecast that got used to it is no recovery"
    _, verdicts = run(monitor, stream(PER_DAY, 5, start + 300), state)
    assert State.RECOVERED in states(verdicts)


@given(st.floats(0.05, 8.0), st.integers(0, 95))
@settings(max_examples=10)
def test_a_slow_stretch_of_two_hours_is_no_alert_whatever_its_size(learned, size, begin):
    monitor, state = learned
    slow = [
        (at, Latency(o.log_s + size * (begin <= i % 192 < begin + 8)))
        for i, (at, o) in enumerate(stream(4 * PER_DAY, 8, LEARNED))
    ]
    assert State.ALERTING not in states(run(monitor, slow, state)[1])


@pytest.mark.slow
def test_the_daily_course_is_no_slowdown():
    """Without the course, the afternoon would be 20 % slower than the night, every day."""
    monitor = Slower(BLOCK, ALPHA, learning=LEARNING)
    quiet = [
        (at, Latency(2 * (course(at) - math.log(0.1)) + 0.001 * (i % 7))) for i, (at, _) in enumerate(stream(2000))
    ]
    assert State.ALERTING not in states(run(monitor, quiet)[1])


def test_a_level_with_a_memory_of_hours_is_no_slowdown():
    for seed in range(3):
        monitor = Slower(BLOCK, ALPHA, learning=LEARNING)
        assert State.ALERTING not in states(run(monitor, stream(2000, seed, memory=0.95))[1])


def test_blocks_of_few_replays_are_no_alert(learned):
    monitor, state = learned
    rare = [pair for i, pair in enumerate(stream(2000, 6, LEARNED)) if i % 4 == 0 or i > 1500]
    assert State.ALERTING not in states(run(monitor, rare, state)[1])


def test_a_tolerated_slowdown_is_none():
    tolerant = Slower(BLOCK, ALPHA, tolerance=0.15, learning=LEARNING)
    state, _ = run(tolerant, stream(LEARNED))
    _, verdicts = run(tolerant, stream(2000, 7, LEARNED, shift=math.log(1.1)), state)
    assert State.ALERTING not in states(verdicts)


@pytest.mark.parametrize("a_day", [0.02, -0.02])
def test_a_baseline_that_rose_or_fell_while_it_was_learned_warns(a_day):
    monitor = Slower(BLOCK, ALPHA, learning=LEARNING)
    state, verdicts = run(monitor, stream(LEARNED, a_day=a_day))
    how = "rose" if a_day > 0 else "fell"
    assert f"warning: latency {how} by" in verdicts[-1].summary
    again = run(monitor, stream(1, 0, LEARNED), through_json(monitor, state))[1]
    assert "relearn once it is steady" in again[-1].summary


@settings(max_examples=15)
@given(st.integers(0, 60))
def test_saving_and_restoring_changes_nothing(learned, cut):
    monitor, state = learned
    found = stream(60, 9, LEARNED, shift=0.5)
    before, _ = run(monitor, found[:cut], state)
    (end, straight), (other, again) = (
        run(monitor, found[cut:], each) for each in (before, through_json(monitor, before))
    )
    assert straight == again
    assert monitor.save(end) == monitor.save(other)


def test_saving_while_it_learns_changes_nothing():
    monitor = Slower(BLOCK, ALPHA, learning=LEARNING)
    found = stream(LEARNED)
    before, _ = run(monitor, found[:300])
    (end, straight), (other, again) = (
        run(monitor, found[300:], each) for each in (before, through_json(monitor, before))
    )
    assert straight == again
    assert monitor.save(end) == monitor.save(other)


def test_refuses_the_baseline_of_another_and_damage(learned):
    monitor, state = learned
    saved: Any = monitor.save(state)
    other = Slower(BLOCK, ALPHA, learning=Learning(owner="another set"))
    refused = "the saved baseline belongs to another golden set, load or model; learning starts again"
    assert other.restore(saved)[1] == refused
    longer = Slower(2 * BLOCK, ALPHA, learning=LEARNING)
    assert longer.restore(saved)[1] == "the saved baseline is of blocks of another length; learning starts again"
    damages: list[dict[str, Any]] = [
        {"baseline": {}},
        {"memory": []},
        {"ticks": "!"},
        {"baseline": saved["baseline"] | {"coefficients": [1.0]}},
        {"baseline": saved["baseline"] | {"noise": [1.0, 0.0, 0.1]}},
        {"baseline": saved["baseline"] | {"noise": [0.5, 0.0, -0.1]}},
    ]
    for damage in damages:
        assert monitor.restore(saved | damage)[1] == "the saved baseline is damaged; learning starts again"
    assert monitor.restore({"version": 2, "owner": "", "seconds": "!", "ticks": ""})[1] is not None
    for old in (None, {"version": 1, "owner": "", "baseline": {"tails": []}}):
        fresh, refused = monitor.restore(old)
        assert refused == "the saved baseline is not of version 2; learning starts again"
        assert monitor.save(fresh) == monitor.save(monitor.fresh())


def test_a_clock_that_was_set_back_teaches_nothing(learned):
    monitor = Slower(BLOCK, ALPHA, learning=LEARNING)
    state, _ = run(monitor, [*stream(10), (0.0, Latency(-2.0))])
    assert len(state.ticks) == 10
    monitor, state = learned
    after, _ = monitor.update(Latency(-2.0), state, 0.0)
    assert monitor.save(after) == monitor.save(state)


def test_learns_more_than_one_stream_alike():
    """The fit of many streams at once, which the benchmarks use, is that of each alone."""
    at: Any = np.arange(600) * EVERY
    values = np.array([[o.log_s for _, o in stream(600, seed)] for seed in (1, 2)]).T
    both = fit_course(at, values)
    for i in range(2):
        assert fit_course(at, values[:, i : i + 1]).coefficients[0] == pytest.approx(both.coefficients[i])


def test_bursts_do_not_bend_the_course():
    at: Any = np.arange(1344) * EVERY
    values = np.array([[course(when)] for when in at])
    bursts = values + 0.4 * ((np.arange(1344) % 192) < 2)[:, np.newaxis]
    assert fit_course(at, bursts).coefficients == pytest.approx(fit_course(at, values).coefficients, abs=0.01)


@given(st.floats(0, 0.95), st.lists(st.tuples(st.floats(-1, 0), st.integers(1, 20)), max_size=30))
def test_no_path_within_the_tolerance_is_a_surprise(memory, path):
    """Whatever the memory, whatever the jumps, and after missing blocks. Values are less the tolerance."""
    noise = Noise(np.array([memory]), np.array([0.0]), np.array([0.01]), 12.0)
    known, block = Memory(0, np.array([-0.1])), 0
    for value, gap in path:
        block += gap
        missed, known = surprise(noise, known, block, np.array([value]), 12)
        assert missed[0] <= 0


@given(st.integers(3, 11))
def test_a_block_of_fewer_replays_weighs_less(replays):
    noise, known = Noise(np.array([0.5]), np.array([0.0]), np.array([0.01]), 12.0), Memory(0, np.array([0.0]))
    whole, part = (surprise(noise, known, 1, np.array([0.02]), n)[0][0] for n in (12, replays))
    assert part == pytest.approx(whole * math.sqrt(replays / 12))


@pytest.mark.parametrize("mean", [0.0, -0.5])
def test_the_bets_pay_at_most_one_on_average(mean):
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    assert np.all(np.exp(log_e(nodes + mean)).T @ (weights / math.sqrt(2 * math.pi)) <= 1 + 1e-9)


def test_a_trend_is_told_from_chance():
    at: Any = np.arange(14 * PER_DAY) * EVERY
    noise = np.random.default_rng(0).normal(0, 0.03, (len(at), 20))
    assert np.count_nonzero(trend(in_blocks(at, noise, BLOCK))) <= 1
    rising = trend(in_blocks(at, noise + 0.02 * at[:, np.newaxis] / 86_400, BLOCK))
    assert rising == pytest.approx(0.28, abs=0.03)


def test_three_blocks_at_least_are_needed():
    assert fewest_blocks(ALPHA) == 3
    assert fewest_blocks(ALPHA / 1000) == 5


@pytest.mark.parametrize(
    "make", [lambda: Slower(0.0, ALPHA), lambda: Slower(BLOCK, ALPHA, -0.1), lambda: Learning(1.0, 10)]
)
def test_refuses_what_cannot_be_watched(make):
    with pytest.raises(ValueError, match=r"cannot be watched|at least 28 blocks"):
        make()


def test_refuses_what_is_no_latency():
    monitor = Slower(BLOCK, ALPHA)
    with pytest.raises(ValueError, match="is not the mean of logs"):
        monitor.update(Latency(math.nan), monitor.fresh(), 0.0)


def test_has_as_many_weights_as_bets():
    assert log_e(np.zeros((4, 2))).shape == (4, 2, len(SHIFTS))
