"""The schedules of open loads, and the engine that follows them, against real worker processes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.load_plan import LoadPlan
from goldwatch.core.outcome import Outcome
from goldwatch.daemon.engine import Replay, replay
from goldwatch.daemon.plan import Plan
from goldwatch.golden.tensors import TensorLocation
from goldwatch.ipc.workers import Workers
from goldwatch.probe import TensorSpec

N = 20


@given(st.sampled_from(["server", "constant"]), st.floats(0.01, 1e5), st.integers(0, 10**6), st.integers(0, 200))
def test_a_schedule_begins_at_0_never_goes_back_and_is_the_same_each_time(
    scenario: Any, rate: float, seed: int, n: int
) -> None:
    load = LoadPlan(scenario, rate, seed=seed)
    found = load.schedule_ns(n)
    assert found == load.schedule_ns(n)
    assert found[:1] == [0][:n]
    assert all(a <= b for a, b in pairwise(found))


def test_arrivals_of_the_server_scenario_are_poisson_at_the_rate() -> None:
    gaps_s = [(b - a) / 1e9 for a, b in pairwise(LoadPlan("server", 200.0, seed=3).schedule_ns(20_001))]
    assert statistics.fmean(gaps_s) == pytest.approx(1 / 200, rel=0.03)
    assert statistics.stdev(gaps_s) == pytest.approx(1 / 200, rel=0.03)  # of an exponential, the same as its mean
    assert LoadPlan("server", 200.0, seed=4).schedule_ns(10) != LoadPlan("server", 200.0, seed=3).schedule_ns(10)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    pool = Workers()
    yield pool
    pool.close()


@pytest.fixture
def examples(tmp_path: Path) -> TensorLocation:
    file = tmp_path / "inputs"
    values = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
    file.write_bytes(values.tobytes())
    return TensorLocation("x", str(file), "float32", values.shape, 0)


def run(workers: Workers, location: TensorLocation, load: LoadPlan, options: Any = None, **more: Any) -> Replay:
    settings: dict[str, Any] = {
        "served": False,
        "warm": True,
        "key": "load",
        "outputs": (TensorSpec("probabilities", "float32", (3,)),),
        "examples": range(N),
        "warmup": 0,
        "time_limit_s": 5.0,
    }
    factory = "goldwatch.testing.probe:FakeProbe"
    return replay(
        Plan(factory=factory, options=options or {}, inputs=(location,), load=load, **(settings | more)), workers
    )


def outputs(result: Replay) -> np.ndarray:
    return result.columns.array("output.probabilities")


@pytest.mark.parametrize(
    "load",
    [
        LoadPlan("multi-stream", samples=8),
        LoadPlan("offline", samples=32),
        LoadPlan("offline", samples=3, in_flight=4),
        LoadPlan("server", 500.0, in_flight=8),
        LoadPlan("constant", 500.0, in_flight=8),
        LoadPlan("constant", 500.0),
    ],
    ids=str,
)
def test_every_load_asks_for_each_example_once_and_keeps_the_same_outputs(
    workers: Workers, examples: TensorLocation, load: LoadPlan
) -> None:
    """Answers sampled for speed are checked like those for accuracy: MLPerf's TEST01, always on."""
    alone = run(workers, examples, LoadPlan())
    found = run(workers, examples, load)
    assert found.ended is None
    assert found.outcomes() == {"ok": load.queries(N)}
    np.testing.assert_allclose(outputs(found), outputs(alone), rtol=1e-6)


def test_the_requests_of_one_query_share_its_times(workers: Workers, examples: TensorLocation) -> None:
    found = run(workers, examples, LoadPlan("multi-stream", samples=8))
    sent = found.columns.array("sent_ns")
    assert [len(set(sent[i : i + 8])) for i in (0, 8, 16)] == [1, 1, 1]
    assert len(found.latencies_s()) == 3


def test_an_open_load_sends_at_the_scheduled_times(workers: Workers, examples: TensorLocation) -> None:
    load = LoadPlan("server", 200.0, in_flight=4, seed=7)
    columns = run(workers, examples, load).columns
    due = columns.array("sent_ns") - columns.array("dispatch_delay_ns")
    np.testing.assert_array_equal(due - due[0], load.schedule_ns(N))
    assert (columns.array("dispatch_delay_ns") >= 0).all()
    assert (columns.array("late_ns") >= 0).all()


def test_latency_counts_from_the_scheduled_time_and_waiting_is_not_goldwatch_late(
    workers: Workers, examples: TensorLocation
) -> None:
    """The first request stalls; those due meanwhile can only wait, which a closed loop would not see."""
    options = {"latencies_s": [0.5, *[0.0] * (N - 1)], "version": "stalls"}
    found = run(workers, examples, LoadPlan("constant", 100.0, in_flight=1), options)
    latencies = found.latencies_s()
    assert all(latency_s >= 0.5 - 0.01 * i for i, latency_s in enumerate(latencies))
    from_sending = found.columns.array("latency_ns") / 1e9
    assert np.median(from_sending[1:]) < 0.25
    assert found.late_s()[1] <= found.columns.dispatch_delay_ns[1] / 1e9 - 0.4  # it was due at 10 ms, free at 500


@pytest.mark.slow
def test_several_are_in_flight_at_once(workers: Workers, examples: TensorLocation) -> None:
    options = {"latencies_s": [3.0], "version": "slow"}
    found = run(workers, examples, LoadPlan("constant", 1000.0, in_flight=N), options)
    sent, latency = (found.columns.array(name) for name in ("sent_ns", "latency_ns"))
    assert max(sent) < min(sent + latency)


@pytest.mark.slow
def test_a_hang_of_one_of_several_in_flight_is_its_own(workers: Workers, examples: TensorLocation) -> None:
    options = {"failures": {"5": "hang"}, "latencies_s": [0.05], "version": "hangs"}
    found = run(workers, examples, LoadPlan("constant", 200.0, in_flight=4), options, time_limit_s=5.0, warm=False)
    assert found.outcomes() == {"ok": N - 1, "timeout": 1}  # the other threads went on meanwhile
    hung = found.columns.array("outcome") == Outcome.TIMEOUT
    assert (found.columns.array("latency_ns")[hung] >= 5e9).all()


def test_a_crash_takes_all_that_are_in_flight(workers: Workers, examples: TensorLocation) -> None:
    options = {"failures": {"16": "crash"}, "latencies_s": [0.3], "version": "crashes"}
    found = run(workers, examples, LoadPlan("constant", 1000.0, in_flight=16), options, warm=False)
    counts = found.outcomes()
    assert counts["crashed"] >= 1
    assert counts["crashed"] + counts["ok"] == N  # what was not in flight is answered, by a new worker if need be


def test_a_target_that_answers_nothing_is_left_alone_by_an_open_load_too(
    workers: Workers, examples: TensorLocation
) -> None:
    options = {"failures": {str(i): "unreachable" for i in range(1, N + 1)}, "version": "gone"}
    found = run(workers, examples, LoadPlan("constant", 100.0, in_flight=1), options)
    assert found.outcomes() == {"unreachable": 10, "not_sent": N - 10}
