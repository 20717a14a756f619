import json

import pytest

from goldwatch.core.judgement import Severity, State
from goldwatch.worker.monitors.changed import Changed, Moves
from goldwatch.worker.monitors.contract import unknown

SAME = Moves(0, 1000, 0, 0)
MOVED = Moves(7, 1000, 3, 1)
LOST = Moves(40, 1000, 30, 4)


def run(observations, monitor=None):
    monitor = monitor or Changed(1000, 0.01)
    state, verdicts = monitor.fresh(), []
    for at, observation in enumerate(observations):
        state, verdict = monitor.update(observation, state, float(at))
        # Every state survives the disk.
        restored, refused = monitor.restore(json.loads(json.dumps(monitor.save(state))))
        assert (restored, refused) == (state, None)
        verdicts.append(verdict)
    return state, verdicts


def test_one_difference_is_suspect_and_asks_for_another_replay():
    _, verdicts = run([SAME, MOVED])
    assert [verdict.state for verdict in verdicts] == [State.STEADY, State.SUSPECT]
    assert verdicts[-1].confirm
    assert verdicts[-1].since == 1.0
    assert (verdicts[-1].evidence, verdicts[-1].threshold) == (None, None)
    assert verdicts[-1].summary == "7 of 1,000 outputs differ from the reference; 3 turned wrong, 1 right"


def test_it_says_how_large_the_difference_is():
    _, verdicts = run([Moves(7, 1000, 3, 1, 0.34251, 0.001)])
    assert verdicts[-1].summary == (
        "7 of 1,000 outputs differ from the reference, by up to 0.343 (tolerance 0.001); 3 turned wrong, 1 right"
    )


def test_the_second_difference_alerts_since_the_first():
    _, verdicts = run([SAME, MOVED, MOVED])
    assert (verdicts[-1].state, verdicts[-1].since, verdicts[-1].confirm) == (State.ALERTING, 1.0, False)
    assert verdicts[-1].severity is Severity.TICKET


def test_a_flicker_is_noted():
    _, verdicts = run([MOVED, SAME, SAME])
    assert [verdict.state for verdict in verdicts] == [State.SUSPECT, State.STEADY, State.STEADY]
    assert verdicts[1].summary.endswith("; one replay before this one did differ")
    assert verdicts[1].since is None


def test_a_loss_beyond_the_tolerance_pages():
    _, verdicts = run([MOVED, LOST])
    assert [verdict.severity for verdict in verdicts] == [Severity.TICKET, Severity.PAGE]
    exactly = Moves(14, 1000, 12, 2)
    assert run([exactly])[1][0].severity is Severity.TICKET


def test_recovers_once_after_two_unchanged_replays_in_a_row():
    _, verdicts = run([MOVED, MOVED, SAME, MOVED, SAME, SAME, SAME])
    assert [verdict.state for verdict in verdicts[2:]] == [
        State.ALERTING,
        State.ALERTING,
        State.ALERTING,
        State.RECOVERED,
        State.STEADY,
    ]
    assert run([MOVED, MOVED, SAME, SAME, MOVED])[1][-1].state is State.SUSPECT


def test_a_replay_without_answers_confirms_nothing():
    _, verdicts = run([MOVED, MOVED, Moves(0, 0, 0, 0), Moves(0, 0, 0, 0)])
    assert {verdict.state for verdict in verdicts[2:]} == {State.ALERTING}
    assert verdicts[-1].summary == "no output to compare"


def test_an_invalid_replay_is_unknown_and_asks_for_nothing():
    state, _ = run([MOVED])
    verdict = unknown(Changed(1000, 0.01), state, "client late")
    assert (verdict.state, verdict.confirm) == (State.UNKNOWN, False)


def test_refuses_states_that_are_not_its_own():
    monitor = Changed(1000, 0.01)
    saved = monitor.save(run([MOVED])[0])
    assert Changed(999, 0.01).restore(saved)[1] == "the saved state belongs to another golden set"
    assert monitor.restore(saved | {"version": 0})[1] == "the saved state is not of version 1"
    for change in ({"state": "fine"}, {"severity": None}, {"since": "now"}, {"quiet": None}):
        assert monitor.restore(saved | change)[1] == "the saved state is damaged"


@pytest.mark.parametrize(("examples", "loss"), [(0, 0.01), (10, 1.0), (10, -0.1)])
def test_refuses_what_cannot_be_watched(examples, loss):
    with pytest.raises(ValueError, match="cannot be watched"):
        Changed(examples, loss)
