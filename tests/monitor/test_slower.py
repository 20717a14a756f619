import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.judgement import Severity, State
from goldwatch.monitor.forecast import Noise, fit, initial, lasting, surprise
from goldwatch.monitor.slower import Latency, Learning, Slower

EVERY = 300.0
ALPHA = 1 / (105_120 * 4)
LEARNING = Learning(least_s=2 * 86_400)


def course(at):
    return math.log(0.1) + 0.1 * math.sin(2 * math.pi * at / 86_400)


def stream(replays, seed=0, start=0, shift=0.0):
    """Times and mean logs: a daily course, a level with a memory of 0.9, white noise."""
    random, level, found = np.random.default_rng(seed), 0.0, []
    for i in range(start, start + replays):
        level = 0.9 * level + random.normal(0, 0.05 * math.sqrt(1 - 0.81))
        found.append((i * EVERY, Latency(course(i * EVERY) + level + random.normal(0, 0.025) + shift)))
    return found


def run(monitor, found, state=None):
    state, verdicts = monitor.fresh() if state is None else state, []
    for at, observation in found:
        state, verdict = monitor.update(observation, state, at)
        verdicts.append(verdict)
    return state, verdicts


@pytest.fixture(scope="module")
def learned():
    monitor = Slower(EVERY, ALPHA, learning=LEARNING)
    return monitor, run(monitor, stream(700))[0]


def through_json(monitor, state):
    restored, refused = monitor.restore(json.loads(json.dumps(monitor.save(state), allow_nan=False)))
    assert refused is None
    return restored


def test_is_unknown_while_it_learns_and_then_watches():
    monitor = Slower(EVERY, ALPHA, learning=LEARNING)
    _, verdicts = run(monitor, stream(600))
    states = [verdict.state for verdict in verdicts]
    assert set(states[:577]) == {State.UNKNOWN}
    assert set(states[577:]) <= {State.STEADY, State.SUSPECT}
    assert verdicts[100].summary == "learning what is usual: 101 replays over 0.3 of 2 days, at least 400 needed"
    assert verdicts[500].summary == "learning what is usual: 501 replays over 1.7 of 2 days"
    assert verdicts[576].summary == "learned what is usual from 577 replays; watching from now on"
    assert "is usual at this hour" in verdicts[-1].summary


def test_a_baseline_never_moves(learned):
    monitor, state = learned
    before = monitor.save(state)["baseline"]
    after, _ = run(monitor, stream(500, 1, 700, shift=0.2), state)
    assert monitor.save(after)["baseline"] == before


def test_stays_steady_and_pages_at_a_slowdown_and_recovers(learned):
    monitor, state = learned
    state, verdicts = run(monitor, stream(1000, 2, 700), state)
    assert State.ALERTING not in {verdict.state for verdict in verdicts}
    state, verdicts = run(monitor, stream(30, 3, 1700, shift=math.log(2)), state)
    paged = [verdict.state for verdict in verdicts].index(State.ALERTING)
    assert paged < 6
    assert verdicts[paged].severity is Severity.TICKET
    assert verdicts[paged].since >= 1700 * EVERY
    state, verdicts = run(monitor, stream(40, 4, 1730, shift=math.log(2)), state)
    assert {verdict.state for verdict in verdicts} == {State.ALERTING}
    _, verdicts = run(monitor, stream(60, 5, 1770), state)
    assert State.RECOVERED in {verdict.state for verdict in verdicts}


@pytest.mark.slow
def test_the_daily_course_is_no_slowdown():
    """Without the course, the afternoon would be 20 % slower than the night, every day."""
    monitor = Slower(EVERY, ALPHA, learning=LEARNING)
    quiet = [
        (at, Latency(2 * (course(at) - math.log(0.1)) + 0.001 * (i % 7))) for i, (at, _) in enumerate(stream(2000))
    ]
    assert State.ALERTING not in {verdict.state for verdict in run(monitor, quiet)[1]}


def test_missing_replays_only_widen_the_forecast(learned):
    monitor, state = learned
    rare = [pair for i, pair in enumerate(stream(2000, 6, 700)) if i % 10 == 0 or i > 1500]
    _, verdicts = run(monitor, rare, state)
    assert State.ALERTING not in {verdict.state for verdict in verdicts}


def test_a_tolerated_slowdown_is_none(learned):
    _, state = learned
    tolerant = Slower(EVERY, ALPHA, tolerance=0.15, learning=LEARNING)
    state, _ = tolerant.restore(Slower(EVERY, ALPHA, learning=LEARNING).save(state))
    _, verdicts = run(tolerant, stream(2000, 7, 700, shift=math.log(1.1)))
    assert State.ALERTING not in {verdict.state for verdict in verdicts}


def test_a_single_spike_does_not_page(learned):
    monitor, state = learned
    spiky = [(at, Latency(o.log_s + 5 * (i % 200 == 0))) for i, (at, o) in enumerate(stream(1000, 8, 700))]
    _, verdicts = run(monitor, spiky, state)
    assert State.ALERTING not in {verdict.state for verdict in verdicts}


@settings(max_examples=15)
@given(st.integers(0, 60))
def test_saving_and_restoring_changes_nothing(learned, cut):
    monitor, state = learned
    found = stream(60, 9, 700, shift=0.5)
    before, _ = run(monitor, found[:cut], state)
    (end, straight), (other, again) = (
        run(monitor, found[cut:], each) for each in (before, through_json(monitor, before))
    )
    assert straight == again
    assert monitor.save(end) == monitor.save(other)


def test_saving_while_it_learns_changes_nothing():
    monitor = Slower(EVERY, ALPHA, learning=LEARNING)
    found = stream(600)
    before, _ = run(monitor, found[:300])
    (end, straight), (other, again) = (
        run(monitor, found[300:], each) for each in (before, through_json(monitor, before))
    )
    assert straight == again
    assert monitor.save(end) == monitor.save(other)


def test_refuses_the_baseline_of_another_and_damage(learned):
    monitor, state = learned
    saved: Any = monitor.save(state)
    other = Slower(EVERY, ALPHA, learning=Learning(owner="another set"))
    assert other.restore(saved)[1] == "the saved baseline belongs to another golden set, load or model; learning anew"
    course_of_another = saved["baseline"] | {"coefficients": [1.0]}
    damages: list[dict[str, Any]] = [{"baseline": {}}, {"belief": {}}, {"baseline": course_of_another}]
    for damage in damages:
        assert monitor.restore(saved | damage)[1] == "the saved baseline is damaged; learning anew"
    assert monitor.restore({"version": 1, "owner": "", "seconds": "!", "ticks": ""})[1] is not None
    assert monitor.restore(None)[1] == "the saved baseline is not of version 1; learning anew"


def test_a_clock_that_was_set_back_teaches_nothing():
    monitor = Slower(EVERY, ALPHA, learning=LEARNING)
    state, _ = run(monitor, [*stream(10), (0.0, Latency(-2.0))])
    assert len(state.ticks) == 10


def test_learns_more_than_one_stream_alike():
    """The fit of many streams at once, which the benchmarks use, is that of each alone."""
    at: Any = np.arange(600) * EVERY
    values = np.array([[o.log_s for _, o in stream(600, seed)] for seed in (1, 2)]).T
    both = fit(at, values, EVERY)
    for i in range(2):
        alone = fit(at, values[:, i : i + 1], EVERY)
        assert alone[0].coefficients[0] == pytest.approx(both[0].coefficients[i])
        assert alone[1].level[0] == pytest.approx(both[1].level[i])


def test_a_lasting_shift_is_missed_by_as_much_as_it_says():
    noise = Noise(EVERY, np.array([0.9]), np.array([0.0025]), np.array([0.0006]))
    belief = initial(noise, 0.0)
    for i in range(200):
        found, belief = surprise(noise, belief, i * EVERY, np.array([0.1]))
    assert found[0] == pytest.approx(lasting(noise, 0.1)[0], rel=1e-6)


@pytest.mark.parametrize(
    "make", [lambda: Slower(0.0, ALPHA), lambda: Slower(EVERY, ALPHA, -0.1), lambda: Learning(1.0, 50)]
)
def test_refuses_what_cannot_be_watched(make):
    with pytest.raises(ValueError, match=r"cannot be watched|at least 100 replays"):
        make()


def test_refuses_what_is_no_latency():
    monitor = Slower(EVERY, ALPHA)
    with pytest.raises(ValueError, match="is not the mean of logs"):
        monitor.update(Latency(math.nan), monitor.fresh(), 0.0)
