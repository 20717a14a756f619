import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.judgement import Severity, State
from goldwatch.worker.monitors.contract import unknown
from goldwatch.worker.monitors.rates import groups, log_ratios
from goldwatch.worker.monitors.worse import Answers, Worse

N, REPLAYS = 2000, (3, 3)
ALPHA = 1 / (105_120 * 4)


def reference(wrong=160, n=N, replays=REPLAYS):
    """A deterministic server's reference: the first `wrong` examples are never right."""
    right = np.repeat(np.array(replays)[:, np.newaxis], n, axis=1)
    right[:, :wrong] = 0
    return right


def answers(wrong, n=N, answered=None):
    right = np.ones(n, dtype=bool)
    right[wrong] = False
    return Answers(right, np.ones(n, dtype=bool) if answered is None else answered)


USUAL = answers(slice(160))
LOST_TWO_POINTS = answers(slice(200))


def worse(accuracy_loss=0.01, right=None, replays=REPLAYS, alpha=ALPHA):
    return Worse(reference() if right is None else right, replays, accuracy_loss, alpha)


def run(monitor, observations, state=None, start=0):
    state, verdicts = monitor.fresh() if state is None else state, []
    for at, observation in enumerate(observations, start):
        state, verdict = monitor.update(observation, state, float(at))
        verdicts.append(verdict)
    return state, verdicts


def counts_pmf(rates):
    pmf = np.ones(1)
    for rate in rates:
        pmf = np.convolve(pmf, [1 - rate, rate])
    return pmf


def expected_e(rates, null, alternative):
    pmf = counts_pmf(rates)
    size = np.full(len(pmf), float(len(rates)))
    failed = np.arange(len(pmf), dtype=float)
    logs = log_ratios(failed, size, np.full(len(pmf), null), np.full(len(pmf), alternative))
    return float(np.sum(pmf * np.exp(logs)))


RATES = st.lists(st.floats(0, 1), min_size=1, max_size=25)


@given(RATES, st.floats(0, 0.3), st.floats(0.001, 0.9))
def test_the_mean_is_at_most_one_whatever_the_rates_within_the_null(rates, slack, step):
    null = min(float(np.mean(rates)) + slack + 1e-6, 0.998)
    rates = [rate * min(1.0, null / max(float(np.mean(rates)), 1e-300)) for rate in rates]
    alternative = null + (1 - null) * step * 0.999
    assert expected_e(rates, null, alternative) <= 1 + 1e-9


@given(RATES, st.floats(0.001, 0.999))
def test_the_mean_is_at_most_one_with_the_null_turned_round(rates, step):
    null = max(float(np.mean(rates)) * 0.999, 1e-6)
    rates = [max(rate, 1e-6) for rate in rates]
    assert expected_e(rates, null, null * step) <= 1 + 1e-9


@given(st.integers(1, 20), st.integers(2, 8), st.floats(0, 1))
def test_examples_of_a_cluster_may_stand_or_fall_together(clusters, size, share):
    """All of a cluster fall out alike, at most as often as the null allows: the root of its order makes up for it."""
    n = clusters * size
    monitor = Worse(np.full((2, n), 50), (50, 50), 0.05, ALPHA, size)
    limit = min(group.limit for group in monitor.groups)
    pmf = counts_pmf([share * limit] * clusters)
    logs = [monitor.log_e(answers(slice(k * size), n)) for k in range(clusters + 1)]
    assert np.all(pmf @ np.exp(logs) <= 1 + 1e-9)


def test_evidence_about_single_examples_is_refused_for_clusters():
    right = np.full((2, 200), 50)
    monitor = Worse(right, (50, 50), 0.05, ALPHA, 10)
    refused = monitor.restore(Worse(right, (50, 50), 0.05, ALPHA).save(monitor.fresh()))[1]
    assert refused == "the saved evidence belongs to another reference, tolerance or objective"


@given(
    st.lists(st.booleans(), min_size=2, max_size=60), st.integers(1, 59), st.floats(0.001, 0.5), st.floats(0.01, 0.9)
)
def test_the_evidence_of_a_replay_is_that_of_its_parts(failed, cut, null, step):
    """However the examples are split, and in whatever order they come."""

    def log_e(part):
        count, size, alternative = float(sum(part)), float(len(part)), null + (1 - null) * step
        return float(log_ratios(np.array([count]), np.array([size]), np.array([null]), np.array([alternative]))[0])

    cut = min(cut, len(failed) - 1)
    assert log_e(failed) == pytest.approx(log_e(failed[:cut]) + log_e(failed[cut:]), rel=1e-9, abs=1e-9)
    assert log_e(failed) == log_e(failed[::-1])


def test_the_mean_is_one_at_the_edge():
    assert expected_e([0.1] * 30, 0.1, 0.3) == pytest.approx(1)


def test_the_nulls_are_the_reference_bounds_plus_the_tolerance():
    pooled, stable = groups(reference(), REPLAYS, 0.01)
    assert (pooled.name, pooled.size, stable.name, stable.size) == ("pooled", 2000, "stable", 1840)
    assert pooled.limit == pytest.approx(0.08 + 0.01 + 2.409 * np.sqrt(0.08 * 0.92 / 12_000), abs=3e-4)
    assert stable.limit == pytest.approx(1 - 0.002 ** (1 / 5520) + 0.01 * 2000 / 1840)
    assert pooled.alternatives == pytest.approx(
        pooled.limit + np.array([0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5])
    )
    assert stable.alternatives == pytest.approx(stable.limit * np.array([2, 4, 10, 30]))


def test_without_a_second_half_all_weight_is_pooled():
    assert [group.name for group in groups(reference(replays=(3, 0)), (3, 0), 0.01)] == ["pooled"]


@pytest.mark.parametrize(
    ("right", "replays", "loss", "message"),
    [
        (np.zeros((2, 10), dtype=int), (3, 3), 0.01, "the reference is right so rarely"),
        (np.zeros((3, 10), dtype=int), (3, 3), 0.01, r"must have shape \[2, examples\]"),
        (np.full((2, 10), 4), (3, 3), 0.01, "right more often than there were replays"),
        (np.full((2, 10), 3), (0, 3), 0.01, "first half of the reference needs a replay"),
        (np.full((2, 10), 3), (3, 3), 1.0, "between 0 and 1"),
    ],
)
def test_refuses_references_that_say_nothing(right, replays, loss, message):
    with pytest.raises(ValueError, match=message):
        Worse(right, replays, loss, ALPHA)


@given(st.integers(0, N), st.integers(0, N))
def test_more_failures_are_never_less_evidence(a, b):
    monitor = worse()
    few, many = sorted((a, b))
    assert np.all(monitor.log_e(answers(slice(few))) <= monitor.log_e(answers(slice(many))))


@given(st.integers(0, N))
def test_a_perfect_replay_only_takes_evidence_away(wrong):
    monitor = worse()
    state, (_, before) = run(monitor, [USUAL, answers(slice(wrong))])
    if state.episode is None:
        perfect = run(monitor, [answers(slice(0))], state)[1][0]
        assert perfect.evidence <= before.evidence
        assert np.all(monitor.log_e(answers(slice(0))) <= 0)


@given(st.integers(1, N))
def test_unanswered_examples_never_add_evidence(missing):
    answered = np.ones(N, dtype=bool)
    answered[:missing] = False
    monitor = worse()
    assert np.all(monitor.log_e(answers(slice(300), answered=answered)) <= monitor.log_e(answers(slice(300))))


def test_a_steady_server_stays_steady():
    _, verdicts = run(worse(), [USUAL] * 300)
    assert {verdict.state for verdict in verdicts} == {State.STEADY}
    assert {verdict.since for verdict in verdicts} == {None}
    assert verdicts[-1].summary == (
        "accuracy 0.9200, at least 0.9038 expected; 0 of 1,840 stable examples wrong, 1.20% allowed"
    )


def test_two_points_lost_for_good_page_at_the_third_replay_and_say_since_when():
    _, verdicts = run(worse(), [USUAL] * 50 + [LOST_TWO_POINTS] * 3)
    assert [verdict.state for verdict in verdicts[-3:]] == [State.STEADY, State.SUSPECT, State.ALERTING]
    assert [verdict.since for verdict in verdicts[-3:]] == [None, 50.0, 50.0]
    page = verdicts[-1]
    assert (page.severity, page.since, page.confirm) == (Severity.PAGE, 50.0, False)
    assert page.evidence >= page.threshold


def test_a_loss_within_the_tolerance_never_pages():
    _, verdicts = run(worse(accuracy_loss=0.02), [answers(slice(190))] * 300)
    assert {verdict.state for verdict in verdicts} == {State.STEADY}


def test_recovers_once_and_is_steady_again():
    _, verdicts = run(worse(), [LOST_TWO_POINTS] * 10 + [USUAL] * 5)
    states = [verdict.state for verdict in verdicts]
    assert states[2:10] == [State.ALERTING] * 8
    assert states.count(State.RECOVERED) == 1
    assert states[-1] is State.STEADY
    assert states.index(State.RECOVERED) <= 12


def test_is_never_recovered_while_it_is_as_bad():
    _, verdicts = run(worse(), [LOST_TWO_POINTS] * 500)
    assert {verdict.state for verdict in verdicts[2:]} == {State.ALERTING}
    nobody = Answers(np.zeros(N, dtype=bool), np.zeros(N, dtype=bool))
    state, _ = run(worse(), [LOST_TWO_POINTS] * 3)
    assert run(worse(), [nobody] * 50, state)[1][-1].state is State.ALERTING


@given(st.lists(st.integers(0, 400), min_size=1, max_size=12), st.integers(0, 11))
def test_saving_and_restoring_changes_nothing(wrongs, cut):
    monitor, stream = worse(), [answers(slice(wrong)) for wrong in wrongs]
    cut = min(cut, len(stream) - 1)
    before, _ = run(monitor, stream[:cut])
    restored, refused = monitor.restore(json.loads(json.dumps(monitor.save(before), allow_nan=False)))
    assert refused is None
    (end, straight), (other, again) = (run(monitor, stream[cut:], state, cut) for state in (before, restored))
    assert straight == again
    assert monitor.save(end) == monitor.save(other)


def test_refuses_a_state_of_another_tolerance_and_damage():
    state, _ = run(worse(), [LOST_TWO_POINTS] * 3)
    saved = worse().save(state)
    restored, refused = worse(accuracy_loss=0.02).restore(saved)
    assert "another reference, tolerance" in refused
    assert restored.episode is None
    damaged: list[object] = [{}, [], saved["episode"] | {"group": 9}, saved["episode"] | {"since": None}]
    for episode in damaged:
        assert worse().restore(saved | {"episode": episode})[1] == "the saved alert is damaged"
    assert worse().restore(None)[1] == "the saved state is damaged"


def test_an_invalid_replay_is_unknown_but_ends_no_alert():
    monitor = worse()
    steady, _ = run(monitor, [USUAL])
    assert unknown(monitor, steady, "node throttled").state is State.UNKNOWN
    assert unknown(monitor, steady, "node throttled").summary == "not known: node throttled"
    alerting, _ = run(monitor, [LOST_TWO_POINTS] * 3)
    assert unknown(monitor, alerting, "node throttled").state is State.ALERTING


def test_a_million_wrong_examples_overflow_nothing():
    n = 10**6
    monitor = Worse(reference(wrong=0, n=n), REPLAYS, 0.0, ALPHA)
    _, (verdict,) = run(monitor, [answers(slice(n), n=n)])
    assert verdict.state is State.ALERTING
    assert np.isfinite(verdict.evidence)
    _, verdicts = run(monitor, [answers(slice(0), n=n)] * 3)
    assert verdicts[-1].evidence == 0.0


def test_refuses_outcomes_of_another_length():
    with pytest.raises(ValueError, match="the reference of"):
        worse().update(answers(slice(0), n=10), worse().fresh(), 0.0)


def false_pages(monitor, fails, replays, random):
    """Count the pages of a stream whose examples fail at these rates, each page starting a new alert."""
    state, pages = monitor.fresh(), 0
    for at in range(replays):
        observation = Answers(random.random(len(fails)) >= fails, np.ones(len(fails), dtype=bool))
        state, verdict = monitor.update(observation, state, float(at))
        if verdict.state is State.ALERTING:
            state, pages = monitor.fresh(), pages + 1
    return pages


def test_false_pages_keep_to_alpha_per_replay_at_the_edge_of_the_null():
    """A server exactly as bad as the limit, equally in all examples: the hardest null, and not one without pages."""
    random, alpha, replays = np.random.default_rng(5), 1 / 50, 5000
    monitor = Worse(np.array([[5], [0]]) - (np.arange(200) < 80) * np.array([[1], [0]]), (5, 0), 0.0, alpha)
    (pooled,) = monitor.groups
    pages = false_pages(monitor, np.full(200, pooled.limit), replays, random)
    assert 0.1 * alpha * replays < pages <= alpha * replays + 3 * np.sqrt(alpha * replays)


def test_a_flaky_server_without_a_change_hardly_pages_over_references():
    random, alpha, right = np.random.default_rng(6), 1 / 50, np.repeat([1.0, 0.0, 0.9, 0.5], [150, 10, 30, 10])
    pages = sum(
        false_pages(Worse(random.binomial(5, right, (2, 200)), (5, 5), 0.0, alpha), 1 - right, 100, random)
        for _ in range(20)
    )
    assert pages <= alpha * 20 * 100


@given(st.integers(0, 400), st.integers(0, N))
def test_counts_say_what_the_answers_say(wrong, unanswered):
    monitor, answered = worse(), np.arange(N) >= unanswered
    replay = answers(slice(wrong), answered=answered)
    counts = monitor.count(replay)
    assert (counts.answered, counts.right) == (N - unanswered, N - max(wrong, unanswered))
    state = run(monitor, [LOST_TWO_POINTS] * 3)[0]
    for before in (monitor.fresh(), state):
        (after, verdict), (counted, same) = (monitor.update(each, before, 9.0) for each in (replay, counts))
        assert verdict == same
        assert monitor.save(after) == monitor.save(counted)
