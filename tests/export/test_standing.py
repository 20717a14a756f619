import math

from goldwatch.config import Objectives, Schedule
from goldwatch.export import catalogue as c
from goldwatch.export import standing

from tests.export.watches import watch


def test_objectives_are_what_is_allowed() -> None:
    found = list(standing.of_promises(watch(), "fraud-eu"))
    allowed = {f.labels["objective"]: f.value for f in found if f.metric is c.OBJECTIVE}
    assert {name: round(float(share), 6) for name, share in allowed.items() if isinstance(share, float)} == {
        "errors": 0.01,
        "accuracy_loss": 0.01,
        "latency": 0.01,
    }
    assert {f.metric.name: f.value for f in found if f.metric is not c.OBJECTIVE} == {
        "goldwatch_requests_late_total": 0,
        "goldwatch_watch_interval_seconds": 300,
        "goldwatch_objective_latency_seconds": 0.05,
    }


def test_without_a_latency_objective_nothing_is_late() -> None:
    found = {f.metric.name: f.value for f in standing.of_promises(watch(objectives=Objectives()), "fraud-eu")}
    assert found["goldwatch_objective_latency_seconds"] == math.inf
    assert "goldwatch_requests_late_total" not in found


def test_when_the_next_replay_is_due() -> None:
    (interval,) = standing.of_due(watch(), "fraud-eu", 1000.0)
    assert interval.value == 1000 + 300 + 10  # the jitter may still be waited for
    friday_night = 1_796_425_200.0  # 2026-12-04 23:00 UTC
    (cron,) = standing.of_due(watch(every=Schedule(cron="0 9 * * mon-fri")), "fraud-eu", friday_night)
    assert cron.value == friday_night + (1 + 48 + 9) * 3600 + 10  # Monday at nine: no weekend is overdue
