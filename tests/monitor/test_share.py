import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.judgement import State
from goldwatch.worker.monitors.failing import Failing
from goldwatch.worker.monitors.share import Requests
from goldwatch.worker.monitors.slow import Slow

ALPHA = 1 / (105_120 * 3)


def run(monitor, missed, state=None, total=1000, start=0):
    state, verdicts = monitor.fresh() if state is None else state, []
    for at, count in enumerate(missed, start):
        state, verdict = monitor.update(Requests(count, total), state, float(at))
        verdicts.append(verdict)
    return state, verdicts


@given(st.floats(1e-6, 0.5), st.floats(0, 1))
def test_the_mean_is_at_most_one_when_all_requests_fail_together(allowed, burst):
    """The worst dependence there is: either no request of a replay fails or a share `burst` of all does."""
    log_e = Failing(allowed, ALPHA).log_e
    chance = min(1.0, allowed / burst) if burst > 0 else 1.0
    mean = chance * np.exp(log_e(burst)) + (1 - chance) * np.exp(log_e(0.0))
    assert np.all(mean <= 1 + 1e-9)


@pytest.mark.parametrize(
    ("objective", "missed", "replays"),
    [(0.001, 1000, 2), (0.001, 100, 3), (0.001, 20, 5), (0.01, 1000, 3), (0.01, 100, 6), (0.01, 20, 19)],
)
def test_the_delays_of_the_documentation(objective, missed, replays):
    _, verdicts = run(Failing(objective, ALPHA), [0] * 288 + [missed] * replays)
    assert [verdict.state is State.ALERTING for verdict in verdicts].index(True) == 288 + replays - 1
    assert verdicts[-1].since == 288.0


@pytest.mark.parametrize("objective", [0.001, 0.01])
def test_a_short_restart_a_week_does_not_page(objective):
    _, verdicts = run(Failing(objective, ALPHA), ([0] * 2015 + [1000]) * 3 + [0])
    assert State.ALERTING not in {verdict.state for verdict in verdicts}
    assert verdicts[-1].state is State.STEADY


def test_a_quiet_server_is_steady_for_ever():
    _, verdicts = run(Failing(0.01, ALPHA), [0] * 2000)
    assert {verdict.state for verdict in verdicts} == {State.STEADY}
    assert verdicts[-1].summary == "0 of 1,000 requests failed (0.00%), 1.00% allowed"


def test_recovers_after_three_good_replays_and_only_in_a_row():
    monitor = Failing(0.01, ALPHA)
    state, _ = run(monitor, [1000] * 5)
    _, verdicts = run(monitor, [0, 0, 1000, 0, 0, 0, 0], state)
    assert [verdict.state for verdict in verdicts] == [State.ALERTING] * 5 + [State.RECOVERED, State.STEADY]


def test_recovery_waits_until_the_share_would_have_shown_itself():
    """Of 20 requests, 2 % fail in one replay of three: three replays without a failure are no recovery."""
    monitor = Failing(0.001, ALPHA)
    state, _ = run(monitor, [1] * 10, total=20)
    assert state.episode.share == 0.05
    _, verdicts = run(monitor, [0] * 3, state, total=20)
    assert [verdict.state for verdict in verdicts] == [State.ALERTING, State.ALERTING, State.RECOVERED]
    _, verdicts = run(monitor, [0] * 7, state, total=9)
    assert verdicts[5].state is State.ALERTING
    assert verdicts[6].state is State.RECOVERED


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=15), st.integers(0, 14))
def test_saving_and_restoring_changes_nothing(missed, cut):
    monitor, cut = Failing(0.01, ALPHA), min(cut, len(missed) - 1)
    before, _ = run(monitor, missed[:cut])
    restored, refused = monitor.restore(json.loads(json.dumps(monitor.save(before), allow_nan=False)))
    assert refused is None
    (end, straight), (other, again) = (run(monitor, missed[cut:], state, start=cut) for state in (before, restored))
    assert straight == again
    assert monitor.save(end) == monitor.save(other)


def test_refuses_a_state_of_another_objective_and_damage():
    monitor = Slow(0.99, 0.05, ALPHA)
    state, _ = run(monitor, [1000] * 4)
    saved = monitor.save(state)
    refused = Slow(0.99, 0.1, ALPHA).restore(saved)[1]
    assert refused == "the saved evidence belongs to another reference, tolerance or objective"
    damaged: list[object] = [[], {"since": "now"}, {"since": 1.0}]
    for episode in damaged:
        assert monitor.restore(saved | {"episode": episode})[1] == "the saved alert is damaged"
    assert monitor.restore(3)[1] == "the saved state is damaged"


def test_slow_allows_what_the_quantile_leaves():
    _, verdicts = run(Slow(0.99, 0.05, ALPHA), [2] * 500, total=200)
    assert {verdict.state for verdict in verdicts} == {State.STEADY}
    assert verdicts[-1].summary == "2 of 200 requests took over 50 ms (1.00%), 1.00% allowed"


@pytest.mark.parametrize("allowed", [0.0, 1.0, math.nan])
def test_refuses_an_objective_that_cannot_be_tested(allowed):
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        Failing(allowed, ALPHA)


@pytest.mark.parametrize("requests", [Requests(0, 0), Requests(3, 2), Requests(-1, 2)])
def test_refuses_impossible_counts(requests):
    monitor = Failing(0.01, ALPHA)
    with pytest.raises(ValueError, match="is no share"):
        monitor.update(requests, monitor.fresh(), 0.0)
