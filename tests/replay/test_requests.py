"""The sizes of requests: a warm-up has those of its load, and a model that takes one size gets no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.commands.ray_shards import shared
from goldwatch.core.load_plan import LoadPlan
from goldwatch.daemon.engine import Replay, replay
from goldwatch.daemon.plan import Plan
from goldwatch.golden.tensors import TensorLocation
from goldwatch.ipc.jobs import LoadGenSettings
from goldwatch.ipc.workers import Workers
from goldwatch.probe import Context, TensorSpec
from goldwatch.worker.load.loadgen import System
from goldwatch.worker.load.pace import Pace

from tests.replay.jobs import OfAnyBatch, OfBatches

N = 20
VALUES = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
OUTPUT = TensorSpec("probabilities", "float32", (3,))


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    pool = Workers()
    yield pool
    pool.close()


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "inputs").write_bytes(VALUES.tobytes())
    return Plan(
        factory="tests.replay.jobs:OfAnyBatch",
        options={"version": str(tmp_path / "sizes")},
        served=False,
        warm=False,
        key="sizes",
        inputs=(TensorLocation("x", str(tmp_path / "inputs"), "float32", VALUES.shape, 0),),
        outputs=(OUTPUT,),
        examples=range(N),
        warmup=3,
        time_limit_s=5.0,
    )


def sizes(plan: Plan) -> list[int]:
    return [int(line) for line in Path(plan.options["version"]).read_text().split()]


@given(st.integers(1, 40), st.integers(1, 100), st.integers(0, 30))
def test_a_warm_up_has_the_sizes_of_the_load_and_no_other(samples: int, rows: int, requests: int) -> None:
    load = LoadPlan("offline", samples=samples)
    queries = [load.query_examples(rows, first) for first in range(0, rows, samples)]
    warming = load.warm_up(rows, requests)
    assert sum(queries) == rows
    assert len(queries) == load.queries(rows)
    assert all(first % samples == 0 and first < rows for first in warming)
    if requests:
        found = [load.query_examples(rows, first) for first in warming]
        assert found[0] == queries[0]  # the first request is timed by itself: it is a usual one
        assert set(found) == set(queries)
        assert len(found) == max(requests, len(set(queries)))
    else:
        assert warming == []


@pytest.mark.parametrize(
    ("load", "warming"),
    [
        (LoadPlan(), [1, 1, 1]),
        (LoadPlan("offline", samples=8), [8, 4, 8]),
        (LoadPlan("multi-stream", samples=5), [5, 5, 5]),
        (LoadPlan("offline", samples=32), [20, 20, 20]),
        (LoadPlan("server", 1000.0, in_flight=1), [1, 1, 1]),
    ],
)
def test_what_a_target_gets_before_the_replay(
    plan: Plan, workers: Workers, load: LoadPlan, warming: Sequence[int]
) -> None:
    result = replay(replace(plan, load=load), workers)
    assert result.outcomes() == {"ok": load.queries(N)}
    assert sizes(plan)[:3] == warming
    assert set(sizes(plan)[3:]) == set(warming)


def test_each_shard_warms_up_for_its_own_queries(plan: Plan, workers: Workers) -> None:
    whole = replace(plan, load=LoadPlan("offline", samples=8))
    found = []
    for shard in shared(whole, 2):
        (file := Path(plan.options["version"])).unlink(missing_ok=True)
        replay(shard, workers)
        found.append([int(line) for line in file.read_text().split()])
    assert found == [[8, 8, 8, 8], [8, 4, 8, 8, 4]]


@pytest.mark.parametrize(
    ("scenario", "batch", "fixed", "expected"),
    [
        ("SingleStream", 1, 0, {1}),
        ("Server", 4, 0, {1}),
        ("MultiStream", 4, 0, {4}),
        ("MultiStream", 5, 0, {5, 3}),
        ("MultiStream", 5, 8, {8}),
        ("Offline", 32, 0, {32}),
        ("Offline", 4, 8, {8}),
    ],
)
def test_loadgen_warms_up_with_the_batches_of_its_scenario(
    tmp_path: Path, scenario: str, batch: int, fixed: int, expected: set[int]
) -> None:
    options = OfAnyBatch.Options(version=str(tmp_path / "sizes"))
    probe = (OfBatches if fixed else OfAnyBatch)(options, Context(5.0))
    probe.open()
    settings = LoadGenSettings(scenario, "performance", 0.1, 10, batch)
    system = System(probe, {"x": VALUES}, OUTPUT, settings, probe.describe().batch)
    assert system.warm_up(Pace(LoadPlan())) > 0
    assert set(map(int, (tmp_path / "sizes").read_text().split())) == expected


def answers(result: Replay) -> np.ndarray:
    return result.columns.array("output.probabilities")


@pytest.mark.parametrize(
    "load",
    [
        LoadPlan(),
        LoadPlan("offline", samples=8),
        LoadPlan("offline", samples=3, in_flight=2),
        LoadPlan("server", 2000.0, in_flight=2),
    ],
)
def test_a_smaller_batch_is_filled_and_the_filling_thrown_away(plan: Plan, workers: Workers, load: LoadPlan) -> None:
    usual = replay(replace(plan, load=LoadPlan()), workers)
    Path(plan.options["version"]).unlink()
    result = replay(replace(plan, load=load, factory="tests.replay.jobs:OfBatches", pairs=2), workers)
    assert (result.ended, result.failure) == (None, None)
    assert result.outcomes() == {"ok": load.queries(N)}
    np.testing.assert_array_equal(answers(result), answers(usual))
    assert set(sizes(plan)) == {8}
    assert len(result.pairs_s) == 2
    assert result.description is not None
    assert result.description.batch == 8


def test_a_batch_that_the_model_does_not_take_is_refused(plan: Plan, workers: Workers) -> None:
    load = LoadPlan("offline", samples=9)
    result = replay(replace(plan, load=load, factory="tests.replay.jobs:OfBatches"), workers)
    assert result.ended == "the model takes batches of 8 only, this one has 9 examples"
