"""The judge, called in this process on columns that a test has filled."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldwatch.core.disturbances import Found
from goldwatch.core.facts import Facts
from goldwatch.core.judgement import Judgement, State, Validity, Verdict
from goldwatch.core.outcome import Outcome
from goldwatch.golden.error import GoldenError
from goldwatch.golden.facts import GoldenPlace
from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.codec import plain, typed
from goldwatch.ipc.columns import Columns, Layout
from goldwatch.ipc.judging_jobs import InspectRequest, JudgeRequest, JudgeResponse
from goldwatch.probe import Description, TensorSpec
from goldwatch.worker.jobs.judge import inspect, judge
from goldwatch.worker.jobs.opening import layout
from goldwatch.worker.monitors.slower import Latency, Learning, Slower

from tests.builders import judgement

N = 40
LABELS = np.arange(N) % 4
MANIFEST: dict[str, Any] = {
    "name": "suits",
    "version": "1",
    "task": "classification",
    "examples": N,
    "inputs": {"x": {"dtype": "float32", "shape": [2]}},
    "labels": {"classes": ["clubs", "diamonds", "hearts", "spades"]},
    "outputs": {"scores": {"dtype": "float32", "shape": [4], "tolerance": 0.001}},
    "slices": {"suit": {"values": ["clubs", "diamonds", "hearts", "spades"]}},
    "reference": {"replays": [10, 10], "deterministic": True},
    "provenance": {"source": "made up"},
    "licence": "CC0-1.0",
}
SETTINGS = {"accuracy_loss": 0.01, "error_rate": 0.01, "alphas": {"worse": 1e-6, "changed": None, "failing": 1e-6}}
FACTS = Facts(started_at=1_800_000_000.0)

Scene = Callable[..., tuple[Judgement, dict[str, Any]]]


def one_hot(classes: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.eye(4, dtype=np.float32)[classes]
    return found


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> GoldenSet:
    tensors: dict[str, Any] = {
        "inputs.x": np.zeros((N, 2), np.float32),
        "labels": LABELS,
        "outputs.scores": one_hot(LABELS),
        "slices.suit": LABELS,
        "reference.right": np.full((2, N), 10),
    }
    return freeze(tmp_path_factory.mktemp("golden") / "suits", MANIFEST, tensors)


def place_of(golden: GoldenSet) -> GoldenPlace:
    return GoldenPlace(str(golden.path), golden.digest)


def composed(answer: JudgeResponse) -> Judgement:
    """Put what the judge found into a judgement, by way of JSON, as the agent does."""
    said = typed(JudgeResponse, json.loads(json.dumps(answer, default=plain)))
    return replace(judgement(), findings=said.findings, verdicts=said.verdicts)


@pytest.fixture
def judged(golden: GoldenSet) -> Scene:
    """Judge a replay with a right answer to every example, except as the test sets."""

    def judged(
        answers: np.ndarray = LABELS,
        outcome: np.ndarray | Outcome = Outcome.OK,
        states: dict[str, Any] | None = None,
        settings: dict[str, Any] = SETTINGS,
        latency_ns: int = 500_000,
        late_ns: int = 0,
        **facts: Any,
    ) -> tuple[Judgement, dict[str, Any]]:
        columns = Columns.create(Layout(N, (TensorSpec("scores", "float32", (4,)),)), range(N))
        columns.array("outcome")[:] = outcome
        columns.array("output.scores")[:] = one_hot(answers)
        columns.array("sent_ns")[:] = np.arange(N) * 1_000_000
        columns.array("latency_ns")[:] = latency_ns
        columns.array("late_ns")[:] = late_ns
        request = JudgeRequest(place_of(golden), settings, replace(FACTS, **facts), states or {})
        try:
            answer = judge(request, [os.dup(columns.fd)], lambda _: None)
        finally:
            columns.close()
        return composed(answer), dict(answer.states)

    return judged


def by_monitor(judgement: Judgement) -> dict[str, Verdict]:
    return {v.monitor: v for v in judgement.verdicts}


def test_a_sound_replay_is_valid_and_steady(judged: Scene) -> None:
    judgement, states = judged()
    assert (judgement.findings.validity, judgement.findings.reasons) == (Validity.VALID, ())
    assert {v.monitor: v.state for v in judgement.verdicts} == dict.fromkeys(
        ("worse", "changed", "failing"), State.STEADY
    )
    assert states.keys() == {"worse", "changed", "failing"}
    assert judgement.findings.outcomes == {"ok": N}
    assert next(s.value for s in judgement.findings.scores if s.name == "accuracy") == 1.0
    assert judgement.findings.throughput == pytest.approx(N / 0.0395)
    assert judgement.findings.difference is not None
    assert (judgement.findings.difference.compared, judgement.findings.difference.moved) == (N, 0)


def test_a_model_that_has_become_wrong_is_told_with_its_flips(judged: Scene) -> None:
    broken = np.where(LABELS == 3, 0, LABELS)
    judgement, _ = judged(broken)
    assert by_monitor(judgement)["worse"].state is State.ALERTING
    assert judgement.findings.difference is not None
    assert judgement.findings.difference.harmful == N / 4
    assert [(s.slice, s.value, s.flips) for s in judgement.findings.difference.where] == [("suit", "spades", N // 4)]


def test_each_slice_is_told_and_the_distance_only_where_somebody_asks(judged: Scene) -> None:
    wrong = np.where(LABELS == 2, 3, LABELS)
    found, _ = judged(wrong)
    assert {s.value: (s.examples, s.right, s.reference) for s in found.findings.slices} == {
        "clubs": (10, 1.0, 1.0),
        "diamonds": (10, 1.0, 1.0),
        "hearts": (10, 0.0, 1.0),
        "spades": (10, 1.0, 1.0),
    }
    assert found.findings.output_distance is None
    watched = SETTINGS | {"output_distance": 0.1, "alphas": {"moved": 1e-6}}
    assert judged(wrong, settings=watched)[0].findings.output_distance == pytest.approx(0.25)
    assert judged(settings=watched)[0].findings.output_distance == 0.0


def test_the_states_of_one_replay_are_where_the_next_goes_on(judged: Scene) -> None:
    slightly = np.where(np.arange(N) < 2, (LABELS + 1) % 4, LABELS)
    evidence, states = [], None
    for replay in range(4):
        judgement, states = judged(slightly, states=states, started_at=FACTS.started_at + replay)
        evidence.append(by_monitor(judgement)["worse"].evidence or 0.0)
    assert evidence == sorted(evidence)
    assert len(set(evidence)) == 4
    assert by_monitor(judgement)["changed"].since == FACTS.started_at


def test_with_too_few_answers_only_failing_learns(judged: Scene) -> None:
    _, before = judged()
    outcome = np.where(np.arange(N) < N // 2, Outcome.TIMEOUT, Outcome.OK)
    judgement, after = judged(outcome=outcome, states=before, errors={"no answer within 2 s": N // 2})
    assert judgement.findings.validity is Validity.INSUFFICIENT
    assert judgement.findings.reasons == (f"only {N // 2} of {N} examples were answered", "no answer within 2 s")
    assert [name for name in before if before[name] != after[name]] == ["failing"]
    verdicts = by_monitor(judgement)
    assert verdicts["failing"].summary.startswith(f"{N // 2} of {N} requests failed (50.00%)")
    assert (verdicts["worse"].state, verdicts["changed"].state) == (State.UNKNOWN, State.UNKNOWN)


def test_a_target_that_cannot_be_used_fails_all_its_requests(judged: Scene) -> None:
    judgement, _ = judged(outcome=Outcome.NOT_SENT, failure="connection refused")
    assert (judgement.findings.validity, judgement.findings.reasons) == (Validity.INSUFFICIENT, ("connection refused",))
    assert by_monitor(judgement)["failing"].summary.startswith(f"{N} of {N} requests failed (100.00%)")
    assert judgement.findings.outcomes == {
        "unreachable": N
    }  # or the share of failed requests would have nothing to divide by
    assert by_monitor(judgement)["worse"].summary == "not known: connection refused"
    assert judgement.findings.difference is None
    assert judgement.findings.throughput is None


def test_a_replay_cut_short_teaches_nobody(judged: Scene) -> None:
    _, before = judged()
    outcome = np.where(np.arange(N) < 5, Outcome.REJECTED, Outcome.NOT_SENT)
    judgement, after = judged(outcome=outcome, states=before, ended="goldwatch was stopped")
    assert judgement.findings.outcomes == {"rejected": 5, "withheld": N - 5}
    assert (judgement.findings.validity, judgement.findings.reasons) == (Validity.INVALID, ("goldwatch was stopped",))
    assert after == before
    assert {v.state for v in judgement.verdicts} == {State.UNKNOWN}


MUCH = st.floats(0.0101, 1.0)
DISTURBED = st.one_of(
    MUCH.map(lambda share: {"disturbances": Found(2.0, throttled_s=2 * share)}),
    MUCH.map(lambda share: {"disturbances": Found(2.0, memory_stalled_s=2 * share)}),
    MUCH.map(lambda share: {"disturbances": Found(2.0, collecting_s=2 * share)}),
    st.integers(10_000_001, 10**10).map(lambda ns: {"late_ns": ns, "scenario": "server"}),
    st.sampled_from(["goldwatch was stopped", "goldwatch stepped back: 9 wait, above 8"]).map(lambda t: {"ended": t}),
    st.text("abc", min_size=1, max_size=3).map(
        lambda v: {"description": Description("m", "0"), "description_after": Description("m", v)}
    ),
)


@given(
    disturbed=DISTURBED,
    outcome=st.lists(st.sampled_from([o for o in Outcome if o != Outcome.NOT_SENT]), min_size=N, max_size=N),
    answers=st.lists(st.integers(0, 3), min_size=N, max_size=N),
    before=st.integers(0, 2),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_in_a_disturbed_replay_no_monitor_learns_of_it(
    judged: Scene, disturbed: dict[str, Any], outcome: list[Outcome], answers: list[int], before: int
) -> None:
    states: dict[str, Any] = {}
    for _ in range(before):
        _, states = judged(states=states)
    found, after = judged(np.array(answers), np.array(outcome), states, **disturbed)
    assert found.findings.validity is Validity.INVALID
    assert len(found.findings.reasons) == 1
    assert {name: after[name] for name in states} == states
    _, fresh = judged(np.array(answers), np.array(outcome), {}, **disturbed)
    assert fresh == judged(ended="it had not begun")[1]  # what a monitor begins with
    assert {v.state for v in found.verdicts} == {State.UNKNOWN}
    assert not any(v.confirm for v in found.verdicts)
    assert (found.findings.scores, found.findings.difference, found.findings.checks) == ((), None, ())


def test_an_alert_outlives_a_replay_that_says_nothing(judged: Scene) -> None:
    _, states = judged((LABELS + 1) % 4)
    judgement, after = judged(outcome=Outcome.NOT_SENT, states=states, ended="goldwatch was stopped")
    worse = by_monitor(judgement)["worse"]
    assert worse.state is State.ALERTING
    assert worse.summary.endswith("the last replay was not valid: goldwatch was stopped")
    assert after == states


def test_unanswered_examples_are_not_counted_as_wrong(judged: Scene) -> None:
    lost = np.arange(N) < N // 10
    outcome = np.where(lost, Outcome.TIMEOUT, Outcome.OK)
    elsewhere = np.where(lost, (LABELS + 1) % 4, LABELS)  # the content of the column for a request without an answer
    judgement, states = judged(elsewhere, outcome)
    assert judgement.findings.validity is Validity.VALID
    accuracy = next(s for s in judgement.findings.scores if s.name == "accuracy")
    assert (accuracy.value, accuracy.n) == (1.0, N - N // 10)
    assert judgement.findings.difference is not None
    assert (judgement.findings.difference.compared, judgement.findings.difference.moved) == (N - N // 10, 0)
    _, whole = judged()
    assert states["worse"] == whole["worse"]


def test_slow_is_there_only_with_an_objective(judged: Scene) -> None:
    alphas = {"worse": 1e-6, "changed": None, "failing": 1e-6, "slow": 1e-6}
    limit = SETTINGS | {"alphas": alphas, "latency_limit_s": 0.0004, "latency_quantile": 0.9}
    judgement, states = judged(settings=limit)
    assert "slow" in states
    assert by_monitor(judgement)["slow"].summary.startswith(f"{N} of {N} requests took over 0.4 ms")
    assert 0.9 in {q.q for q in judgement.findings.quantiles}


def test_saved_evidence_of_another_reference_is_not_used(judged: Scene) -> None:
    _, states = judged((LABELS + 1) % 4)
    assert states["worse"]["episode"] is not None
    judgement, _ = judged(states=states, settings=SETTINGS | {"accuracy_loss": 0.02})
    assert by_monitor(judgement)["worse"].state is State.STEADY


def test_a_golden_set_that_has_changed_since_the_start_is_refused_and_nothing_stays_open(golden: GoldenSet) -> None:
    read, write = os.pipe()
    request = JudgeRequest(GoldenPlace(str(golden.path), "sha256:" + "0" * 64), SETTINGS, FACTS, {})
    with pytest.raises(GoldenError) as error:
        judge(request, [read], lambda _: None)
    assert str(error.value) == (
        f"{golden.path}: the set has digest {golden.digest[:19]}..., it was sha256:000000000000... when goldwatch "
        "started; reload the config to watch with another set"
    )
    os.close(write)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(read)


def test_inspect_tells_what_a_replay_must_know(golden: GoldenSet) -> None:
    facts = inspect(InspectRequest(str(golden.path)), [], lambda _: None)
    assert (facts.name, facts.digest, facts.examples) == ("suits", golden.digest, N)
    assert facts.deterministic
    assert facts.slices == {"suit": 4}
    assert [(i.name, i.dtype, i.shape) for i in facts.inputs] == [("x", "float32", (N, 2))]
    assert facts.outputs == (TensorSpec("scores", "float32", (4,)),)


def test_inspect_refuses_what_is_no_golden_set(tmp_path: Path) -> None:
    (tmp_path / "golden.json").write_text("[]")
    with pytest.raises(GoldenError, match=r"golden\.json"):
        inspect(InspectRequest(str(tmp_path)), [], lambda _: None)


def test_a_target_too_slow_for_the_deadline_is_slow_and_not_failing(judged: Scene) -> None:
    settings = SETTINGS | {
        "latency_limit_s": 0.0001,
        "alphas": {"worse": 1e-6, "changed": None, "failing": 1e-6, "slow": 1e-6},
    }
    outcome = np.where(np.arange(N) < 5, Outcome.OK, Outcome.NOT_SENT)
    states: dict[str, Any] = {}
    for _ in range(4):
        judgement, states = judged(
            outcome=outcome, states=states, settings=settings, given_up="the deadline of 9 s had passed"
        )
    assert judgement.findings.validity is Validity.INSUFFICIENT
    assert by_monitor(judgement)["slow"].state is State.ALERTING
    assert by_monitor(judgement)["failing"].state is State.STEADY
    assert by_monitor(judgement)["worse"].state is State.UNKNOWN
    assert judgement.findings.scores == ()


def test_an_answer_that_is_no_number_is_a_failed_request_and_never_a_right_one(golden: GoldenSet) -> None:
    def judged_with(nan: np.ndarray, states: dict[str, Any]) -> tuple[Judgement, dict[str, Any]]:
        columns = Columns.create(layout(golden), range(N))
        columns.array("outcome")[:] = Outcome.OK
        columns.array("output.scores")[:] = np.where(nan[:, np.newaxis], np.float32(np.nan), one_hot(LABELS))
        columns.array("latency_ns")[:] = 500_000
        try:
            request = JudgeRequest(place_of(golden), SETTINGS, FACTS, states)
            answer = judge(request, [os.dup(columns.fd)], lambda _: None)
        finally:
            columns.close()
        return composed(answer), dict(answer.states)

    few, _ = judged_with(np.arange(N) < 2, {})
    assert few.findings.outcomes == {"ok": N - 2, "bad_answer": 2}
    assert few.findings.errors == {"the answer holds NaN or infinity": 2}
    assert (few.findings.validity, few.findings.scores[0].n, few.findings.scores[0].value) == (
        Validity.VALID,
        N - 2,
        1.0,
    )
    states: dict[str, Any] = {}
    for _ in range(4):
        whole, states = judged_with(np.ones(N, dtype=np.bool_), states)
    assert (whole.findings.validity, whole.findings.scores) == (Validity.INSUFFICIENT, ())
    assert by_monitor(whole)["failing"].state is State.ALERTING
    assert by_monitor(whole)["worse"].state is State.UNKNOWN


def test_a_request_that_was_given_up_was_over_the_limit(judged: Scene) -> None:
    settings = SETTINGS | {
        "latency_limit_s": 1.0,
        "alphas": {"worse": 1e-6, "changed": None, "failing": 1e-6, "slow": 1e-6},
    }
    outcome = np.where(np.arange(N) < 4, Outcome.TIMEOUT, Outcome.OK)
    judgement, _ = judged(outcome=outcome, settings=settings)
    assert by_monitor(judgement)["slow"].summary.startswith(f"4 of {N} requests")


def test_a_confirming_replay_is_seen_by_the_monitor_that_asked_for_it_alone(judged: Scene) -> None:
    moved = np.where(np.arange(N) < 1, (LABELS + 1) % 4, LABELS)
    _, before = judged(moved)
    judgement, after = judged(moved, states=before, confirming=True)
    assert by_monitor(judgement)["changed"].state is State.ALERTING
    assert after["worse"] == before["worse"]
    assert after["failing"] == before["failing"]


def test_a_replay_is_compared_with_what_was_usual_at_its_hour(judged: Scene) -> None:
    settings = SETTINGS | {
        "alphas": {"worse": 1e-6, "failing": 1e-6, "slower": 1e-5},
        "slowdown": 0.2,
        "interval_s": 10_800.0,
        "load": "one after the other",
    }
    rng, at = np.random.default_rng(3), FACTS.started_at
    usual = Slower(43_200.0, 1e-5, 0.2, Learning(owner="one after the other"))
    state, verdict = usual.fresh(), None
    while verdict is None or verdict.state is State.UNKNOWN:
        at += 10_800.0
        state, verdict = usual.update(Latency(float(np.log(0.0005) + rng.normal(0, 0.02))), state, at)
    states = {"slower": usual.save(state)}
    seen = []
    for latency_ns in [500_000] * 5 + [900_000] * 25:
        at += 10_800.0
        judgement, states = judged(states=states, settings=settings, started_at=at, latency_ns=latency_ns)
        seen.append(by_monitor(judgement)["slower"])
    assert {verdict.state for verdict in seen[:5]} == {State.STEADY}
    assert seen[-1].state is State.ALERTING
    assert "0.9 ms a request (geometric mean), 0.5 ms is usual at this hour" in seen[-1].summary
    judgement, _ = judged(states=states, settings=settings | {"load": "another"}, started_at=at + 300.0)
    assert by_monitor(judgement)["slower"].summary.startswith("learning what is usual: 1 replay over 0.0 of 14 days")
