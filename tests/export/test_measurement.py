import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldwatch.config import Rejection
from goldwatch.core.judgement import Confusion, Judgement, Score, Severity, State, Validity, Verdict
from goldwatch.core.outcome import Outcome
from goldwatch.export import catalogue as c
from goldwatch.export import measurement as m
from goldwatch.export.measurement import Measurement
from goldwatch.export.metric import Kind, Metric
from goldwatch.export.prometheus import PrometheusExporter
from goldwatch.export.store import Distribution, Store
from goldwatch.probe import Description

Make = Callable[..., Judgement]


def values(found: Iterable[Measurement], metric: Metric) -> dict[tuple[str, ...], object]:
    """Return the values of one metric by its labels besides watch and target."""
    skip = 2 if metric.labels[:2] == ("watch", "target") else 0
    return {f.key[skip:]: f.value for f in found if f.metric is metric}


def test_a_full_judgement_measures_every_metric_of_a_target(judgement: Make) -> None:
    found = list(m.of_judgement(judgement(), 0.05))
    events = {
        c.BUILD_INFO,
        c.CLOCK,
        c.RELOAD_SUCCESSFUL,
        c.RELOAD_SUCCESS_TIMESTAMP,
        c.REJECTED,
        c.REJECTED_TIMESTAMP,
        c.REPLAYS_SKIPPED,
        c.REPLAY_SLOTS,
        c.REPLAY_SLOTS_BUSY,
        c.REPLAYS_WAITING,
    }
    events |= {
        c.ALERT_ACTIVE,
        c.ALERT_SILENCED,
        c.ALERT_NUMBER,
        c.ALERT_INFO,
        c.EXTERNAL_URL,
        c.PUSHES_FAILED,
        c.RECORDS_LOST,
    }
    events |= {c.WATCH_INTERVAL, c.OBJECTIVE, c.OBJECTIVE_LATENCY, c.REPLAY_NEXT}
    events |= {c.ENERGY_READINGS_DROPPED, c.OBJECTIVE_ENERGY, c.OBJECTIVE_COST, c.LEADER, c.LEASE_ERRORS}
    assert {f.metric for f in found} == set(c.CATALOGUE) - events
    assert all((f.labels["watch"], f.labels["target"]) == ("fraud", "fraud-eu") for f in found)


def test_examples_without_a_score_are_counted_by_reason_from_zero(judgement: Make) -> None:
    assert values(m.of_judgement(judgement()), c.SCORE_UNSCORED) == {
        ("ece", "raised"): 2,
        ("ece", "no_number"): 0,
        ("ece", "out_of_range"): 0,
        ("ece", "not_judged"): 0,
        ("ece", "unusable"): 0,
    }
    assert set(values(m.of_watch("fraud", "fraud-eu", ["ece"]), c.SCORE_UNSCORED).values()) == {0}


def test_a_gap_and_an_agreement_that_are_no_longer_known_end(judgement: Make) -> None:
    ended = (c.SLICE_GAP, c.SLICE_GAP_REFERENCE, c.JUDGE_AGREEMENT, c.JUDGE_KAPPA, c.JUDGE_FALSE)
    known = judgement()
    silent = replace(known.findings, gap=None, scores=tuple(replace(s, people=None) for s in known.findings.scores))
    store = Store()
    store.publish(m.of_judgement(known))
    assert all(store.series(metric) for metric in ended)
    store.publish(m.of_judgement(replace(known, findings=replace(silent, validity=Validity.INSUFFICIENT))))
    assert all(store.series(metric) for metric in ended)  # the last that is known, with its age
    store.publish(m.of_judgement(replace(known, findings=silent)))
    assert not any(store.series(metric) for metric in ended)


def test_what_a_judge_did_is_counted_from_zero(judgement: Make) -> None:
    found = list(m.of_judgement(judgement()))
    assert values(found, c.JUDGE_CALLS) == {("ece", "graded"): 10, ("ece", "reused"): 30, ("ece", "failed"): 2}
    assert values(found, c.JUDGE_TOKENS) == {("ece", "input"): 600, ("ece", "output"): 36}
    assert not values(m.of_watch("fraud", "fraud-eu", ["ece"]), c.JUDGE_CALLS)
    assert set(values(m.of_watch("fraud", "fraud-eu", ["ece"], ["ece"]), c.JUDGE_CALLS).values()) == {0}


def test_mistakes_end_with_the_replay_that_has_none(judgement: Make) -> None:
    seen = judgement().findings.difference
    assert seen is not None
    mistake = Confusion("8", "1", flips=4, now=5, reference=1, beyond_chance=True, p_value=0.001)
    exporter = PrometheusExporter()

    def shown() -> list[str]:
        lines = exporter.render()[0].decode().splitlines()
        return [line.partition("target=")[2] for line in lines if line.startswith(c.EXAMPLES_CONFUSED.name)]

    exporter.publish(m.of_judgement(judgement(difference=replace(seen, confusions=(mistake,)))))
    assert shown() == ['"fraud-eu",label="8",answer="1"} 5.0']
    exporter.publish(m.of_judgement(judgement(difference=replace(seen, confusions=()))))
    assert shown() == ['"fraud-eu",label="",answer=""} 0.0']
    others = m.of_judgement(judgement(task="embedding"))
    assert c.EXAMPLES_CONFUSED not in {f.metric for f in others}, "only a classifier has classes"


def test_live_requests_are_counted_by_what_became_of_them(judgement: Make) -> None:
    found = list(m.of_judgement(judgement()))
    fates = {"judged": 400, "sampled_out": 480, "synthetic": 100, "refused": 20}
    assert values(found, c.LIVE_REQUESTS) == {(fate,): count for fate, count in fates.items()}
    assert values(found, c.LIVE_ROWS) == {("yes",): 390, ("no",): 10, ("cut",): 0}
    assert not values(m.of_judgement(judgement(live=None)), c.LIVE_WINDOWS)


def test_joules_grams_and_money_are_stated_for_inference_right_answer_and_token(judgement: Make) -> None:
    found = list(m.of_judgement(judgement()))
    source = ("nvml", "exclusive")
    for metric, many in ((c.ENERGY_INFERENCE, 1), (c.ENERGY_RIGHT_ANSWER, 0.75), (c.ENERGY_OUTPUT_TOKEN, 5)):
        assert values(found, metric) == pytest.approx({(*source, "gross"): 6 / many, (*source, "net"): 4 / many})
    for metric, many in ((c.CARBON_INFERENCE, 1), (c.CARBON_RIGHT_ANSWER, 0.75), (c.CARBON_OUTPUT_TOKEN, 5)):
        assert values(found, metric) == pytest.approx({(): 6 * 350 / 3.6e6 / many})
    for metric, many in ((c.COST_INFERENCE, 1), (c.COST_RIGHT_ANSWER, 0.75), (c.COST_OUTPUT_TOKEN, 5)):
        assert values(found, metric) == pytest.approx({("USD",): 2.1 / 3600 / 6.4 / many})


def test_the_values_are_those_of_the_judgement(judgement: Make) -> None:
    found = list(m.of_judgement(judgement()))
    assert values(found, c.REPLAYS) == {("valid",): 1}
    assert values(found, c.REPLAY_DURATION) == {(): 1.25}
    assert values(found, c.REPLAY_VALID_TIMESTAMP) == {(): 1_790_000_000.5}
    assert values(found, c.SCORE) == {("accuracy",): 0.75, ("ece",): 0.1}
    assert values(found, c.SCORE_REFERENCE) == {("accuracy",): 0.875}
    assert values(found, c.EXAMPLES_FLIPPED) == {("harmful",): 2, ("helpful",): 1, ("neutral",): 1}
    assert values(found, c.SLICE_RIGHT) == {("country", "BR"): 1 / 3, ("country", "DE"): 1.0}
    assert values(found, c.SLICE_REFERENCE) == {("country", "BR"): 1.0, ("country", "DE"): 0.8}
    assert values(found, c.SLICE_EXAMPLES) == {("country", "BR"): 3, ("country", "DE"): 5}
    assert values(found, c.OUTPUT_DISTANCE) == {(): 0.02}
    assert values(found, c.EVIDENCE) == {("worse",): 2.5}
    assert values(found, c.TARGET_INFO) == {
        ("open-inference", "fraud", "v17", "sklearn", "1.7.2", "cpu", "77ab00000000"): 1
    }
    assert values(found, c.GOLDEN_INFO) == {("fraud-2026q3", "classification", "41ab0c9f2cd1"): 1}


def test_what_is_not_known_is_absent(judgement: Make) -> None:
    nothing = judgement(
        validity=Validity.INSUFFICIENT,
        description=None,
        open_s=None,
        first_request_s=None,
        latencies_s=(),
        throughput=math.nan,
        scores=(),
        difference=None,
        verdicts=(Verdict("worse", State.UNKNOWN, Severity.PAGE, None, 5.62, None, False, "not judged"),),
    )
    found = list(m.of_judgement(nothing))
    absent = (
        c.TARGET_INFO,
        c.TARGET_OPEN,
        c.FIRST_REQUEST,
        c.REPLAY_THROUGHPUT,
        c.REPLAY_VALID_TIMESTAMP,
        c.SCORE,
        c.EXAMPLES_COMPARED,
        c.EXAMPLES_FLIPPED,
        c.EVIDENCE,
    )
    assert [metric.name for metric in absent if values(found, metric)] == []
    assert values(found, c.VERDICT)[("worse", "unknown")] == 1
    assert values(found, c.VERDICT)[("worse", "steady")] == 0


def test_evidence_may_be_none_at_all(judgement: Make) -> None:
    verdict = Verdict("worse", State.STEADY, Severity.PAGE, -math.inf, 5.62, None, False, "the same")
    assert values(m.of_judgement(judgement(verdicts=(verdict,))), c.EVIDENCE) == {("worse",): -math.inf}


@given(outcomes=st.dictionaries(st.sampled_from([o.label for o in Outcome]), st.integers(0, 10**9)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_outcomes_sum_to_the_requests(judgement: Make, outcomes: dict[str, int]) -> None:
    found = values(m.of_judgement(judgement(outcomes=outcomes)), c.REQUESTS)
    assert sum(found.values()) == sum(outcomes.values())  # type: ignore[arg-type] # numbers
    assert len(found) == len(Outcome)


@given(state=st.sampled_from(State))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_monitor_is_in_one_state(judgement: Make, state: State) -> None:
    verdict = Verdict("slow", state, Severity.PAGE, 0.0, 5.0, None, False, "")
    found = values(m.of_judgement(judgement(verdicts=(verdict,))), c.VERDICT)
    assert found == {("slow", s): float(s == state) for s in State}


def test_a_server_cannot_make_a_label_long_or_unsendable(judgement: Make) -> None:
    said = Description("m" * 10_000, version="\ud800", digest="d" * 10_000)
    (key,) = values(m.of_judgement(judgement(description=said)), c.TARGET_INFO)
    assert [len(part) for part in key] == [14, 128, 1, 0, 0, 0, 12]
    assert all(part.encode() is not None for part in key)


def test_requests_over_the_objective_are_counted_with_those_that_were_given_up(judgement: Make) -> None:
    assert values(m.of_judgement(judgement(), 0.05), c.REQUESTS_LATE) == {(): 4}  # 60 ms, 0.7 s, 80 s, a timeout
    assert values(m.of_judgement(judgement()), c.REQUESTS_LATE) == {}


def test_the_times_of_an_invalid_replay_are_not_those_of_the_target(judgement: Make) -> None:
    found = list(m.of_judgement(judgement(validity=Validity.INVALID, latencies_s=(0.25, 0.5)), 0.05))
    for metric in (c.REQUEST_LATENCY, c.FIRST_TOKEN, c.OUTPUT_TOKEN):
        (times,) = values(found, metric).values()
        assert list(cast("Iterable[float]", times)) == []
    assert values(found, c.REQUESTS_LATE) == {(): 0}
    assert values(found, c.REPLAYS) == {("invalid",): 1}
    insufficient = list(m.of_judgement(judgement(validity=Validity.INSUFFICIENT, latencies_s=(0.25, 0.5)), 0.05))
    (times,) = values(insufficient, c.REQUEST_LATENCY).values()
    assert list(cast("Iterable[float]", times)) == [0.25, 0.5]
    assert values(insufficient, c.REQUESTS_LATE) != {(): 0}


def test_a_new_watch_starts_at_zero() -> None:
    found = list(m.of_watch("fraud", "fraud-eu"))
    assert {f.metric for f in found} == {c.REPLAYS, c.REPLAYS_SKIPPED, c.STEPPED_BACK, c.REQUESTS}
    assert all(f.value in (0, ()) for f in found)


def test_events() -> None:
    assert values(m.of_skip("w", "t", "still_running"), c.REPLAYS_SKIPPED) == {("still_running",): 1}
    paging = list(m.of_alert("w", "t", "page", ("worse", "slow"), number=42))
    assert values(paging, c.ALERT_ACTIVE) == {("page", "worse"): 1.0, ("page", "slow"): 1.0, ("ticket", ""): 0.0}
    assert values(paging, c.ALERT_SILENCED) == {("page",): 0.0, ("ticket",): 0.0}
    assert values(paging, c.ALERT_NUMBER) == {(): 42}
    silenced = list(m.of_alert("w", "t", "page", ("worse",), silenced=True))
    assert values(silenced, c.ALERT_ACTIVE) == {("page", ""): 0.0, ("ticket", ""): 0.0}
    assert values(silenced, c.ALERT_SILENCED) == {("page",): 1.0, ("ticket",): 0.0}
    none = list(m.of_alert("w", "t", None, (), number=42))
    assert values(none, c.ALERT_ACTIVE) == {("page", ""): 0.0, ("ticket", ""): 0.0}
    assert values(none, c.ALERT_NUMBER) == {(): 0}
    assert values(m.of_pusher(["metrics"]), c.PUSHES_FAILED) == {("metrics",): 0}
    assert values(m.of_pusher(["metrics"]), c.RECORDS_LOST) == {("metrics",): 0}, "data points can be rejected"
    assert values(m.of_pusher(["logs", "traces"]), c.RECORDS_LOST) == {("logs",): 0, ("traces",): 0}
    assert values(m.of_lost_records("traces", 7), c.RECORDS_LOST) == {("traces",): 7}
    assert values(m.of_failed_push("metrics"), c.PUSHES_FAILED) == {("metrics",): 1}
    accepted = list(m.of_accepted_config(12.5))
    assert [f.value for f in accepted[:2]] == [1.0, 12.5]
    assert not any(f.value for f in accepted[2:])
    rejected = list(m.of_rejected_config(Rejection.GOLDEN, 12.5))
    assert [(f.metric.name, *f.labels.values()) for f in rejected if f.value == 1] == [
        ("goldwatch_config_rejected", "golden")
    ]
    assert [f.value for f in rejected if f.metric.unit == "s"] == [12.5]
    assert rejected[0].value == 0
    assert {f.metric for f in accepted} - {f.metric for f in rejected} == {c.RELOAD_SUCCESS_TIMESTAMP}
    assert [f.labels["version"] for f in m.of_build("1.2.3")] == ["1.2.3"]


def test_label_values_that_nothing_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="the cat did it"):
        list(m.of_skip("w", "t", "the cat did it"))
    with pytest.raises(ValueError, match="sms"):
        list(m.of_alert("w", "t", "sms", ()))


@pytest.mark.parametrize(
    ("metric", "labels", "value", "message"),
    [
        (c.RELOAD_SUCCESSFUL, {"watch": "w"}, 1.0, "has the labels"),
        (c.REPLAY_DURATION, {"watch": "w"}, 1.0, "has the labels"),
        (c.RELOAD_SUCCESSFUL, {}, (1.0,), "is a gauge"),
        (c.REQUEST_LATENCY, {"watch": "w", "target": "t"}, 1.0, "is a histogram"),
        (c.REPLAYS, {"watch": "w", "target": "t", "validity": "valid"}, -1, "cannot change by -1"),
        (c.REPLAYS, {"watch": "w", "target": "t", "validity": "valid"}, math.nan, "cannot change by nan"),
    ],
)
def test_a_measurement_fits_its_metric(metric: Metric, labels: dict[str, str], value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Measurement(metric, labels, value)


def test_scores_without_a_number_are_absent(judgement: Make) -> None:
    found = list(m.of_judgement(judgement(scores=(Score("accuracy", math.nan, math.nan, math.nan, 0),))))
    assert values(found, c.SCORE) == {}
    assert values(found, c.SCORE_EXAMPLES) == {("accuracy",): 0}


def test_every_kind_is_in_use() -> None:
    assert {metric.kind for metric in c.CATALOGUE} == set(Kind)


@given(st.floats(1e-6, 600))
def test_the_objective_is_a_bound_of_a_bucket_among_as_many_as_without_one(limit_s: float) -> None:
    bounds = c.latency_buckets(limit_s)
    assert limit_s in bounds
    assert list(bounds) == sorted(set(bounds))
    assert len(bounds) == len(c.REQUEST_LATENCY.buckets)
    assert c.latency_buckets(None) == ()


def test_buckets_of_another_objective_begin_anew(judgement: Make) -> None:
    store = Store()
    key = ("fraud", "fraud-eu")
    for limit_s, expected in ((0.05, 1), (0.05, 2), (0.1, 1), (None, 1)):
        store.publish(m.of_judgement(judgement(), limit_s))
        sample = store.series(c.REQUEST_LATENCY)[key]
        assert isinstance(sample, Distribution)
        assert sample.bounds == (c.latency_buckets(limit_s) or c.REQUEST_LATENCY.buckets)
        assert sum(sample.counts) == expected * len(judgement().run.latencies_s)
        exporter = PrometheusExporter()
        exporter.publish(m.of_judgement(judgement(), limit_s))
        assert limit_s is None or f'le="{limit_s}"' in exporter.render()[0].decode()


def test_lateness_of_dispatch_is_published_of_open_loads_alone(judgement: Make) -> None:
    (late,) = values(m.of_judgement(judgement()), c.DISPATCH_LATENESS).values()
    assert tuple(cast("Sequence[float]", late)) == (0.0001, 0.002)
    assert values(m.of_judgement(judgement(late_s=())), c.DISPATCH_LATENESS) == {}
