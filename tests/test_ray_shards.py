"""Shards of a replay: how they are cut, and that merging them loses nothing. Ray itself is driven in tests/real."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from goldwatch.in_force import prepare
from goldwatch.pipeline import judge, plan_of
from goldwatch.ray_shards import merged, run_shard, split
from goldwatch.replay.workers import Workers

EXAMPLE = Path(__file__).parents[1] / "examples/digits.yaml"


@given(st.integers(1, 10_000), st.integers(1, 200))
def test_every_example_is_in_one_shard_and_no_shard_is_much_larger(examples: int, shards: int) -> None:
    parts = split(examples, shards)
    assert [i for part in parts for i in part] == list(range(examples))
    sizes = {len(part) for part in parts}
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1
    assert len(parts) == min(shards, examples)


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
    assert seven.validity == one.validity
    assert (seven.scores, seven.difference, seven.outcomes) == (one.scores, one.difference, one.outcomes)
    assert [(v.monitor, v.evidence) for v in seven.verdicts if v.monitor != "slow"] == [
        (v.monitor, v.evidence) for v in one.verdicts if v.monitor != "slow"
    ]


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
    result = merged(plan, [first, second], 1.8e9, 1.0)
    assert dict(result.errors) == {"no": 3, "other": 1}
    assert (result.ended or "").startswith("the shards met different models")
    result.columns.close()
