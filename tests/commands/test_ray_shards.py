"""Shards of a replay: how they are cut, and that merging them loses nothing. Ray itself is driven in tests/real."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.commands.ray_shards import _without_gaps, filled, merged, run_shard, shared, split
from goldwatch.config.busy import Busy
from goldwatch.core.disturbances import Found
from goldwatch.core.judgement import Validity
from goldwatch.core.load_plan import LoadPlan
from goldwatch.daemon.in_force import CannotStart, prepare
from goldwatch.daemon.pipeline import judge, plan_of
from goldwatch.daemon.plan import Plan
from goldwatch.ipc.workers import Workers

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples/digits.yaml"


@given(st.integers(1, 10_000), st.integers(1, 200), st.integers(1, 40))
def test_every_query_is_in_one_shard_and_no_shard_is_much_larger(examples: int, shards: int, samples: int) -> None:
    parts = split(examples, shards, samples)
    assert [i for part in parts for i in part] == list(range(examples))
    assert all(part.start % samples == 0 for part in parts)  # the requests are those of one replay of all examples
    sizes = {-(-len(part) // samples) for part in parts}
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1
    assert len(parts) == min(shards, -(-examples // samples))


@given(st.integers(1, 200), st.floats(0.01, 1e4), st.none() | st.floats(0.01, 1e4))
def test_the_shards_share_the_rate_and_the_budgets(shards: int, rate: float, most: float | None) -> None:
    load = LoadPlan("server", rate, seed=7, most_per_s=most, tokens_per_s=most, cpu_share=0.5)
    whole = Plan("", {}, True, False, "", (), (), range(150), load=load)
    parts = shared(whole, shards)
    assert [i for part in parts for i in part.examples] == list(range(150))
    assert sum(part.load.rate_per_s for part in parts) == pytest.approx(rate)
    if most is None:
        assert all(part.load.most_per_s is part.load.tokens_per_s is None for part in parts)
    else:
        assert sum(part.load.most_per_s or 0 for part in parts) == pytest.approx(most)
        assert sum(part.load.tokens_per_s or 0 for part in parts) == pytest.approx(most)
    assert len({part.load.seed for part in parts}) == len(parts)  # else all would send at the same times
    assert {part.load.cpu_share for part in parts} == {0.5}


def test_a_shard_steps_back_from_a_busy_target(tmp_path: Path) -> None:
    (tmp_path / "cpu.pressure").write_text("some avg10=50.00 avg60=0.00 avg300=0.00 total=1\n")
    busy = Busy.model_validate({"pressure": f"{tmp_path}/cpu.pressure", "above": "20%", "wait": "0s"})
    workers = Workers()
    try:
        (assignment,) = prepare(EXAMPLE, workers).assignments
        plan = dataclasses.replace(plan_of(assignment), options=dict(assignment.target.options))
        result = merged(plan, [run_shard(plan, busy)], 1.8e9, 1.0)
        judgement = judge(assignment, result, workers, {}).judgement
        result.columns.close()
    finally:
        workers.close()
    assert judgement.findings.validity is Validity.INVALID
    assert judgement.findings.reasons == (f"goldwatch stepped back: {tmp_path}/cpu.pressure is 0.5, above 0.2",)
    assert judgement.findings.outcomes == {"withheld": 600}


def test_shards_are_judged_as_the_whole_is() -> None:
    workers = Workers()
    try:
        (assignment,) = prepare(EXAMPLE, workers).assignments
        plan = dataclasses.replace(plan_of(assignment), options=dict(assignment.target.options))
        whole = run_shard(plan)
        parts = [run_shard(dataclasses.replace(plan, examples=part)) for part in split(len(plan.examples), 7)]
        found = []
        for shards in ([whole], parts):
            result = merged(plan, shards, 1.8e9, 1.0)
            assert list(result.columns.example) == list(range(600))
            assert len(result.latencies_s()) == 600
            found.append(judge(assignment, result, workers, {}).judgement)
            result.columns.close()
    finally:
        workers.close()
    one, seven = found
    assert seven.findings.validity == one.findings.validity
    assert (seven.findings.scores, seven.findings.difference, seven.findings.outcomes) == (
        one.findings.scores,
        one.findings.difference,
        one.findings.outcomes,
    )
    assert [(v.monitor, v.evidence) for v in seven.verdicts if v.monitor != "slow"] == [
        (v.monitor, v.evidence) for v in one.verdicts if v.monitor != "slow"
    ]


def test_the_time_between_shards_is_no_work() -> None:
    workers = Workers()
    try:
        (assignment,) = prepare(EXAMPLE, workers).assignments
        plan = dataclasses.replace(plan_of(assignment), options=dict(assignment.target.options))
        parts = [run_shard(dataclasses.replace(plan, examples=part)) for part in split(600, 3)]
        throughputs = []
        for late_s in (0, 60):  # as if the cluster had room for the later ones only then
            later = [part | {"clock_ns": part["clock_ns"] + i * late_s * 10**9} for i, part in enumerate(parts)]
            result = merged(plan, later, 1.8e9, 1.0)
            throughputs.append(judge(assignment, result, workers, {}).judgement.findings.throughput)
            result.columns.close()
    finally:
        workers.close()
    assert throughputs[0] == pytest.approx(throughputs[1])


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 100)), min_size=1, max_size=8))
def test_moved_shards_leave_no_gap_and_keep_their_overlaps(found: list[tuple[int, int]]) -> None:
    spans = [(start, start + length) for start, length in found]
    shifts = _without_gaps(spans)
    moved = sorted((a - shift, b - shift) for (a, b), shift in zip(spans, shifts, strict=True))
    end = moved[0][1]
    for a, b in moved:
        assert a <= end
        end = max(end, b)
    busy = sum(any(a <= t < b for a, b in spans) for t in range(1200))
    assert end - moved[0][0] == busy


def test_a_replay_without_a_lost_shard_is_given_up() -> None:
    workers = Workers()
    try:
        (assignment,) = prepare(EXAMPLE, workers).assignments
        plan = dataclasses.replace(plan_of(assignment), options=dict(assignment.target.options))
        plans = shared(plan, 3)
        parts = [run_shard(plans[0]), None, run_shard(plans[2])]
        result = merged(plan, filled(plan, plans, parts, "the node is gone"), 1.8e9, 1.0)
        assert result.outcomes() == {"ok": 400, "not_sent": 200}
        assert result.given_up == "1 of 3 shards were lost: the node is gone"
        judgement = judge(assignment, result, workers, {}).judgement
        result.columns.close()
    finally:
        workers.close()
    assert judgement.findings.validity is Validity.INSUFFICIENT
    with pytest.raises(CannotStart, match="all shards were lost: the node is gone"):
        filled(plan, plans, [None] * 3, "the node is gone")


def test_failures_add_up_and_what_differs_between_shards_is_told() -> None:
    workers = Workers()
    try:
        (assignment,) = prepare(EXAMPLE, workers).assignments
    finally:
        workers.close()
    plan = dataclasses.replace(plan_of(assignment), options=dict(assignment.target.options))
    first, second = (run_shard(dataclasses.replace(plan, examples=part)) for part in split(600, 2))
    first["errors"], second["errors"] = {"no": 1, "other": 1}, {"no": 2}
    second["description"] = dataclasses.replace(second["description"], version="another")
    first["disturbances"] = Found(2.0, None, 0.5, 0.25, 1.0)
    second["disturbances"] = Found(3.0, 0.5, 0.0, 0.0, 2.0)
    result = merged(plan, [first, second], 1.8e9, 1.0)
    assert result.disturbances == Found(5.0, 0.5, 0.5, 0.25, 3.0)
    assert dict(result.errors) == {"no": 3, "other": 1}
    assert (result.ended or "").startswith("the shards met different models")
    result.columns.close()


def test_a_rollout_within_one_of_the_shards_is_told() -> None:
    workers = Workers()
    try:
        (assignment,) = prepare(EXAMPLE, workers).assignments
        plan = dataclasses.replace(plan_of(assignment), options=dict(assignment.target.options))
        parts = [run_shard(dataclasses.replace(plan, examples=part)) for part in split(600, 3)]
        for part, version in zip(parts, "112", strict=True):
            part["described_after"] = dataclasses.replace(part["description"], version=version)
        result = merged(plan, parts, 1.8e9, 1.0)
        judgement = judge(assignment, result, workers, {}).judgement
        result.columns.close()
    finally:
        workers.close()
    assert judgement.findings.validity is Validity.INVALID
    assert judgement.findings.reasons == ("the target changed during the replay: version 1 -> 2",)
