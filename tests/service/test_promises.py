import math

from goldwatch.config import CostObjective, Objectives
from goldwatch.daemon import promises
from goldwatch.export import catalogue as c

from tests.export.watches import watch


def test_objectives_are_what_is_allowed() -> None:
    found = list(promises.of_promises(watch(), "fraud-eu"))
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
        "goldwatch_request_latency_seconds": (),
    }


def test_without_a_latency_objective_nothing_is_late() -> None:
    found = {f.metric.name: f.value for f in promises.of_promises(watch(objectives=Objectives()), "fraud-eu")}
    assert found["goldwatch_objective_latency_seconds"] == math.inf
    assert "goldwatch_requests_late_total" not in found


def test_when_the_next_replay_is_due() -> None:
    (due,) = promises.of_due("fraud", "fraud-eu", 1000.0)
    assert (due.metric, due.value, due.key) == (c.REPLAY_NEXT, 1000.0, ("fraud", "fraud-eu"))


def test_what_may_be_taken_is_stated_for_one() -> None:
    stated = Objectives(
        energy=CostObjective("right answer", 0.3, "J"), cost=CostObjective("output token", 3.0, "USD", 1_000_000)
    )
    found = {f.metric: (f.value, f.labels) for f in promises.of_promises(watch(objectives=stated), "fraud-eu")}
    where = {"watch": "fraud", "target": "fraud-eu"}
    assert found[c.OBJECTIVE_ENERGY] == (0.3, where | {"per": "right_answer"})
    assert found[c.OBJECTIVE_COST] == (3e-6, where | {"per": "output_token", "currency": "USD"})
    usual = Objectives(energy=CostObjective("inference", above_usual=0.2))
    assert c.OBJECTIVE_ENERGY not in {f.metric for f in promises.of_promises(watch(objectives=usual), "fraud-eu")}
