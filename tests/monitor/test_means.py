import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.judgement import Severity, State
from goldwatch.worker.monitors.bounds import lower_mean
from goldwatch.worker.monitors.contract import unknown
from goldwatch.worker.monitors.means import Values
from goldwatch.worker.monitors.moved import Moved
from goldwatch.worker.monitors.reference import Reference
from goldwatch.worker.monitors.scored import WorseScores
from goldwatch.worker.monitors.worse import Answers, Worse

ALPHA = 1 / (105_120 * 4)
N = 200


def values(of, answered=None):
    of = np.asarray(of, dtype=np.float64)
    return Values(of, np.ones(len(of), dtype=bool) if answered is None else answered)


def run(monitor, observations, state=None, start=0):
    state, verdicts = monitor.fresh() if state is None else state, []
    for at, observation in enumerate(observations, start):
        state, verdict = monitor.update(observation, state, float(at))
        verdicts.append(verdict)
    return state, verdicts


def expected(chances, log_e):
    """The mean of e over all outcomes of independent examples, each at `high` with its chance and at `low` else."""
    total = np.zeros(len(log_e(np.zeros(len(chances), dtype=bool))))
    for outcome in itertools.product([False, True], repeat=len(chances)):
        probability = math.prod(p if up else 1 - p for p, up in zip(chances, outcome, strict=True))
        total = total + probability * np.exp(log_e(np.array(outcome)))
    return total


CHANCES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5),
    st.floats(0.001, 0.09),
    st.integers(3, 6),
)
def test_known_clusters_may_depend_in_any_way(clusters, tolerance, most):
    """All examples of a cluster are at its own distance, or none is; clusters are of unequal sizes."""
    sizes, chances, far = (np.array(part) for part in zip(*clusters, strict=True))
    codes = np.repeat(np.arange(len(sizes)), sizes)
    mean = float((sizes * chances * far).sum() / sizes.sum())
    if mean > tolerance:
        chances = chances * tolerance / mean
    monitor = Moved(len(codes), tolerance, ALPHA, None, most, codes)
    mean_e = expected(chances, lambda up: monitor.log_e(values((up * far)[codes])))
    assert np.all(mean_e <= 1 + 1e-9)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(0, 2**32))
def test_known_clusters_are_never_worth_less_than_the_root(distances, seed):
    codes = np.random.default_rng(seed).integers(0, 10, len(distances))
    most = int(np.bincount(codes).max())
    known, root = (Moved(len(codes), 0.02, ALPHA, None, most, of) for of in (codes, None))
    seen = known.read(values(distances)), root.read(values(distances))
    assert np.all(seen[0].log_e >= seen[1].log_e - 1e-9)
    for back, other in zip(seen[0].log_back, seen[1].log_back, strict=True):
        assert np.all(back >= other - 1e-9)


@given(CHANCES, st.floats(0.001, 0.09), st.floats(0.0, 1.0))
def test_the_mean_is_at_most_one_whatever_the_means_of_the_examples(chances, tolerance, far):
    """Distances of 0 or `far` by chance, however unequal: their mean is within the null, and so is that of e."""
    monitor = Moved(len(chances), tolerance, ALPHA)
    mean = far * float(np.mean(chances))
    chances = [p * min(1.0, tolerance / max(mean, 1e-300)) for p in chances]
    found = expected(chances, lambda up: monitor.log_e(values(np.where(up, far, 0.0))))
    assert np.all(found <= 1 + 1e-9)


@given(CHANCES, st.floats(0, 0.1), st.floats(0.2, 0.8))
def test_the_mean_of_a_score_is_at_most_one_too(chances, tolerance, baseline):
    """Scores as far below the baseline as above it; some examples lose for good what others gain."""
    chances = [0.5 + (p - float(np.mean(chances))) / 2 for p in chances]
    monitor = WorseScores(np.full(len(chances), baseline), tolerance, ALPHA)
    found = expected(chances, lambda up: monitor.log_e(values(np.where(up, baseline + 0.15, baseline - 0.15))))
    assert np.all(found <= 1 + 1e-9)


@given(CHANCES, st.floats(0, 0.4), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_large_scale_clips_nothing(chances, tolerance, baseline, low, high):
    """Scores jump anywhere in [0, 1]; while their mean loses no more than is tolerated, so does the mean of e."""
    low, high = min(low, high), max(low, high)
    means = [low + p * (high - low) for p in chances]
    baselines = np.full(len(chances), max(min(baseline, float(np.mean(means)) + tolerance), 0.0))
    monitor = WorseScores(baselines, tolerance, ALPHA)
    found = expected(chances, lambda up: monitor.log_e(values(np.where(up, high, low)))[-8:])
    assert np.all(found <= 1 + 1e-9)


@pytest.mark.parametrize("tolerance", [0.01, 0.05, 0.1, 0.2, 0.3, 0.4])
def test_half_of_the_answers_becoming_worthless_pages_whatever_the_tolerance(tolerance):
    """Clipped at 0.2 alone, this loss of 50 points was never seen with a tolerance of 10."""
    random, reference = np.random.default_rng(8), np.ones((5, N))
    monitor = WorseScores(reference[0], tolerance, ALPHA, reference)
    usual, worthless = (lambda: values(np.ones(N))), (lambda: values((random.random(N) >= 0.5).astype(float)))
    state, verdicts = run(monitor, [usual() for _ in range(50)])
    assert {verdict.state for verdict in verdicts} == {State.STEADY}
    state, verdicts = run(monitor, [worthless() for _ in range(8)], state, 50)
    assert State.ALERTING in {verdict.state for verdict in verdicts}
    _, verdicts = run(monitor, [usual() for _ in range(60)], state, 60)
    assert State.RECOVERED in {verdict.state for verdict in verdicts}


@pytest.mark.parametrize(
    ("tolerance", "noise", "lost", "worthless", "after"),
    [(0.01, 0.03, 0.03, 0, 3), (0.01, 0.03, 0, 0.1, 3), (0.02, 0.03, 0, 0.05, 20), (0.02, 0.1, 0, 0.1, 6)],
)
def test_both_scales_together_are_as_soon_as_the_better_one(tolerance, noise, lost, worthless, after):
    """Means of Beta(8, 2), 20 + 20 reference replays: a small loss of all examples, and a total loss of a few."""
    random = np.random.default_rng(9)
    means = random.beta(8, 2, N)

    def draw(change, gone=0.0):
        found = means - change
        found[: round(gone * N)] = 0
        return np.clip(found + random.normal(0, noise, N), 0, 1)

    reference = np.array([draw(0) for _ in range(40)])
    monitor = WorseScores(reference[:20].mean(axis=0), tolerance, ALPHA, reference[20:])
    state, verdicts = run(monitor, [values(draw(0)) for _ in range(200)])
    assert State.ALERTING not in {verdict.state for verdict in verdicts}
    _, verdicts = run(monitor, [values(draw(lost, worthless)) for _ in range(after)], state, 200)
    assert State.ALERTING in {verdict.state for verdict in verdicts}


def test_outputs_that_are_always_far_from_the_reference_can_be_further():
    """Sampled texts are far from any one of them; a clip at 0.2 would see nothing beyond that."""
    random = np.random.default_rng(10)
    monitor = Moved(100, 0.05, ALPHA, np.clip(random.normal(0.6, 0.05, (5, 100)), 0, 1))
    state, verdicts = run(monitor, [values(np.clip(random.normal(0.6, 0.05, 100), 0, 1)) for _ in range(200)])
    assert {verdict.state for verdict in verdicts} == {State.STEADY}
    _, verdicts = run(monitor, [values(np.clip(random.normal(0.8, 0.05, 100), 0, 1)) for _ in range(3)], state, 200)
    assert verdicts[-1].state is State.ALERTING


@given(st.lists(st.floats(0, 1), min_size=1, max_size=3), st.integers(2, 5), st.floats(0.001, 0.09))
def test_clusters_may_depend_in_any_way_if_their_root_is_taken(chances, size, tolerance):
    """All examples of a cluster are one: the worst dependence there is."""
    monitor = Moved(len(chances) * size, tolerance, ALPHA, cluster=size)
    far = 0.2
    chances = [p * min(1.0, tolerance / max(far * float(np.mean(chances)), 1e-300)) for p in chances]
    found = expected(chances, lambda up: monitor.log_e(values(np.repeat(np.where(up, far, 0.0), size))))
    assert np.all(found <= 1 + 1e-9)


@given(st.floats(0.5, 1), st.integers(2, 5))
def test_without_the_root_clusters_would_break_it(chance, size):
    monitor = Moved(size, 0.02, ALPHA)
    found = expected([0.1], lambda up: monitor.log_e(values(np.repeat(np.where(up, 0.2, 0.0), size))))
    assert found.max() > 1


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(1, 39))
def test_a_replay_is_the_product_of_its_parts(distances, cut):
    cut = min(cut, len(distances) - 1)
    parts = [Moved(len(part), 0.01, ALPHA).log_e(values(part)) for part in (distances[:cut], distances[cut:])]
    assert Moved(len(distances), 0.01, ALPHA).log_e(values(distances)) == pytest.approx(sum(parts), rel=1e-9, abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=10), st.integers(0, 9))
def test_the_order_of_examples_does_not_matter(distances, shift):
    one, other = (Moved(len(distances), 0.01, ALPHA).log_e(values(d)) for d in (distances, np.roll(distances, shift)))
    assert one == pytest.approx(other, rel=1e-9, abs=1e-9)


@given(st.lists(st.sampled_from([0.0, 0.002, 0.02, 0.2, 1.0]), min_size=1, max_size=12), st.integers(0, 11))
def test_saving_and_restoring_changes_nothing(distances, cut):
    monitor, cut = Moved(50, 0.01, ALPHA), min(cut, len(distances) - 1)
    replays = [values(np.full(50, d)) for d in distances]
    before, _ = run(monitor, replays[:cut])
    restored, refused = monitor.restore(json.loads(json.dumps(monitor.save(before), allow_nan=False)))
    assert refused is None
    (end, straight), (other, again) = (run(monitor, replays[cut:], state, start=cut) for state in (before, restored))
    assert straight == again
    assert monitor.save(end) == monitor.save(other)


def scores(random, loss=0.0):
    baseline = np.random.default_rng(0).beta(8, 2, N)
    return baseline, lambda: values(np.clip(baseline - loss + random.normal(0, 0.03, N), 0, 1))


def test_a_loss_of_score_pages_says_since_when_and_recovers():
    random = np.random.default_rng(1)
    baseline, usual = scores(random)
    _, lower = scores(random, 0.05)
    monitor = WorseScores(baseline, 0.01, ALPHA)
    state, verdicts = run(monitor, [usual() for _ in range(300)])
    assert {verdict.state for verdict in verdicts} == {State.STEADY}
    state, verdicts = run(monitor, [lower() for _ in range(3)], state, 300)
    assert verdicts[-1].state is State.ALERTING
    assert verdicts[-1].severity is Severity.PAGE
    assert verdicts[-1].since == 300
    assert verdicts[-1].summary.startswith("mean score 0.7")
    state, verdicts = run(monitor, [lower() for _ in range(50)], state, 303)
    assert {verdict.state for verdict in verdicts} == {State.ALERTING}
    _, verdicts = run(monitor, [usual() for _ in range(10)], state, 353)
    assert State.RECOVERED in {verdict.state for verdict in verdicts}
    assert verdicts[-1].state is State.STEADY


def test_a_loss_within_the_tolerance_never_pages():
    random = np.random.default_rng(2)
    baseline, lower = scores(random, 0.009)
    _, verdicts = run(WorseScores(baseline, 0.01, ALPHA), [lower() for _ in range(2000)])
    assert State.ALERTING not in {verdict.state for verdict in verdicts}


def test_a_reference_that_is_not_deterministic_gives_the_noise_floor():
    """Distances of replays of the validated model are allowed; twice as much is a change."""
    random = np.random.default_rng(3)
    monitor = Moved(N, 0.0, ALPHA, random.exponential(0.004, (5, N)))
    state, verdicts = run(monitor, [values(random.exponential(0.004, N)) for _ in range(500)])
    assert State.ALERTING not in {verdict.state for verdict in verdicts}
    state, verdicts = run(monitor, [values(random.exponential(0.012, N)) for _ in range(5)], state, 500)
    assert verdicts[-1].state is State.ALERTING
    assert verdicts[-1].severity is Severity.TICKET
    assert "from the reference" in verdicts[-1].summary
    _, verdicts = run(monitor, [values(random.exponential(0.004, N)) for _ in range(30)], state, 505)
    assert State.RECOVERED in {verdict.state for verdict in verdicts}


@given(st.integers(0, N))
def test_unanswered_examples_never_add_evidence(missing):
    random = np.random.default_rng(4)
    baseline, lower = scores(random, 0.1)
    monitor, replay = WorseScores(baseline, 0.01, ALPHA), lower()
    answered = np.arange(N) >= missing
    hidden = np.where(answered, replay.of, np.nan)
    assert np.all(monitor.log_e(values(hidden, answered)) <= monitor.log_e(replay) + 1e-9)
    backs = (monitor.read(values(hidden, answered)).log_back, monitor.read(replay).log_back)
    assert all(np.all(less <= whole + 1e-9) for less, whole in zip(*backs, strict=True))


def test_an_alert_outlives_a_replay_that_says_nothing():
    monitor = Moved(50, 0.01, ALPHA)
    state, _ = run(monitor, [values(np.full(50, 0.2))] * 3)
    assert unknown(monitor, state, "late").state is State.ALERTING
    assert unknown(monitor, monitor.fresh(), "late").state is State.UNKNOWN


def test_refuses_evidence_of_another_reference_and_damage():
    monitor = Moved(50, 0.01, ALPHA)
    saved: Any = monitor.save(run(monitor, [values(np.full(50, 0.2))] * 3)[0])
    other = "the saved evidence belongs to another reference, tolerance or objective"
    assert Moved(50, 0.02, ALPHA).restore(saved)[1] == other
    assert Moved(51, 0.01, ALPHA).restore(saved)[1] == other
    damaged: list[object] = [[], {"since": 1.0}, saved["episode"] | {"best": 99}, saved["episode"] | {"recovery": {}}]
    for episode in damaged:
        assert monitor.restore(saved | {"episode": episode})[1] == "the saved alert is damaged"
    assert monitor.restore(3)[1] == "the saved state is damaged"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Moved(10, 0.0, ALPHA), "cannot be tested with a tolerance of 0"),
        (lambda: Moved(10, 0.2, ALPHA, np.full((2, 10), 0.9)), "cannot be tested with a tolerance of 0.2"),
        (lambda: Moved(0, 0.1, ALPHA), "at least one example"),
        (lambda: Moved(10, -0.1, ALPHA, np.zeros((1, 10))), "a tolerance must be between 0 and 1"),
        (lambda: Moved(10, 0.1, ALPHA, cluster=0), "a cluster has at least one example"),
        (lambda: Moved(10, 0.1, ALPHA, np.zeros((3, 9))), r"shape \(3, 9\), not \[replays, 10\]"),
        (lambda: WorseScores(np.array([0.5, 1.5]), 0.1, ALPHA), "one score between 0 and 1 for each example"),
    ],
)
def test_refuses_what_cannot_be_watched(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_refuses_values_that_do_not_fit():
    monitor = Moved(3, 0.01, ALPHA)
    with pytest.raises(ValueError, match="the reference of"):
        monitor.log_e(values([0.0]))
    with pytest.raises(ValueError, match="no finite value"):
        monitor.log_e(values([0.0, math.nan, 0.0]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.floats(0.001, 0.5))
def test_the_bound_on_a_mean_is_below_it(found, error):
    bound = lower_mean(np.array(found), error)
    assert 0 <= bound <= float(np.mean(found)) + 1e-9


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
def test_the_bound_on_a_mean_errs_as_rarely_as_it_says(spread):
    """Coins of unequal chances around one half: `spread` 1 makes most of them certain, 0 all of them fair."""
    random = np.random.default_rng(5)
    chances = 0.5 + spread * (np.arange(60) % 2 - 0.5)
    wrong = sum(lower_mean((random.random(60) < chances).astype(float), 0.05) > 0.5 for _ in range(400))
    assert wrong <= 400 * 0.05


def test_the_bound_on_a_mean_adapts_to_the_spread():
    quiet, loud = (np.resize([0.5 - d, 0.5 + d], 4000) for d in (0.01, 0.5))
    assert 0.5 - lower_mean(quiet, 0.01) < 0.003 < 0.5 - lower_mean(loud, 0.01)


@pytest.mark.parametrize("wrong", [[], [1.1], [math.nan]])
def test_a_bound_needs_values_between_0_and_1(wrong):
    with pytest.raises(ValueError, match="needs values"):
        lower_mean(np.array(wrong), 0.01)


def test_one_stake_that_suits_the_spread_gives_a_closer_bound_that_holds():
    random, missed, closer = np.random.default_rng(7), 0, 0
    for _ in range(300):
        values = random.integers(0, 10, 400) / 9  # the variance is a tenth: see `columns`
        bound = lower_mean(values, 0.05, (math.sqrt(2 * math.log(1 / 0.05) / (400 * 0.1)) / 2,))
        missed += bound > 0.5
        closer += bound > lower_mean(values, 0.05)
    assert missed <= 300 * 0.05
    assert closer > 250
    for stakes in ((), (0.0,), (1.0,)):
        with pytest.raises(ValueError, match="stakes must be between 0 and 1"):
            lower_mean(np.ones(3), 0.05, stakes)


def test_what_was_read_of_a_replay_says_the_same_again():
    monitor = Moved(200, 0.01, ALPHA)
    state, replay = monitor.fresh(), values(np.full(200, 0.05))
    said, again = monitor.read(replay), monitor.fresh()
    for at in range(40):
        (state, verdict), (again, same) = monitor.update(replay, state, at), monitor.update(said, again, at)
        assert verdict == same
    assert monitor.save(state) == monitor.save(again)


def test_evidence_of_right_and_wrong_is_none_of_scores_and_the_other_way_round():
    """Sets with labels used to be judged by scores: what was saved then begins fresh, alerts too."""
    scores, answers = WorseScores(np.ones(50), 0.05, ALPHA), Worse(np.full((2, 50), 5), (5, 5), 0.05, ALPHA)
    other = "the saved evidence belongs to another reference, tolerance or objective"
    wrong = Answers(np.zeros(50, dtype=bool), np.ones(50, dtype=bool))
    for monitor, replay, into in ((scores, values(np.zeros(50)), answers), (answers, wrong, scores)):
        state, verdicts = run(monitor, [replay] * 3)
        assert verdicts[-1].state is State.ALERTING
        restored, refused = into.restore(json.loads(json.dumps(monitor.save(state))))
        assert (refused, into.save(restored)) == (other, into.save(into.fresh()))


def test_copies_of_a_set_have_clusters_of_their_own():
    codes = np.array([0, 0, 6, 7])  # two of a cluster, and two by themselves
    one = Reference((1, 1), np.ones((2, 4), dtype=np.int64), cluster=2, codes=codes)
    many = one.copied(3).codes
    assert many is not None
    assert np.unique(many, return_counts=True)[1].tolist() == [2, 1, 1] * 3
