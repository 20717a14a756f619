"""The replay engine against real worker processes, with the fake probe as the model."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch import scratch
from goldwatch.core.disturbances import Found
from goldwatch.core.outcome import Outcome
from goldwatch.daemon.engine import Replay, _Supervision, replay
from goldwatch.daemon.plan import Plan
from goldwatch.golden.tensors import TensorLocation
from goldwatch.ipc.columns import Columns, Layout
from goldwatch.ipc.foreign import packages
from goldwatch.ipc.jobs import ErrorCode, Progress, ReplayResponse
from goldwatch.ipc.workers import Done, Failed, Workers
from goldwatch.probe import Description, TensorSpec

N = 20
DESCRIBED: dict[str, Any] = {"inputs": [], "outputs": []}
NOWHERE = TensorLocation("x", "", "float32", (N, 4), 0)


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers()
    yield pool
    pool.close()


@pytest.fixture
def examples(tmp_path: Path) -> TensorLocation:
    file = tmp_path / "inputs"
    values = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
    file.write_bytes(b"head" + values.tobytes())
    return TensorLocation("x", str(file), "float32", values.shape, 4)


def plan(location: TensorLocation, options: dict[str, Any] | None = None, **kwargs: Any) -> Plan:
    settings: dict[str, Any] = {
        "served": False,
        "warm": False,
        "key": "test",
        "outputs": (TensorSpec("probabilities", "float32", (3,)),),
        "examples": range(N),
        "warmup": 0,
        "time_limit_s": 5.0,
    }
    return Plan(
        factory="goldwatch.testing.probe:FakeProbe", options=options or {}, inputs=(location,), **(settings | kwargs)
    )


def outputs(result: Replay) -> np.ndarray:
    return result.columns.array("output.probabilities")


def test_a_replay_returns_an_observation_of_each_example(workers: Workers, examples: TensorLocation) -> None:
    result = replay(plan(examples), workers, wall=lambda: 1000.0)
    assert result.failure is None
    assert result.ended is None
    assert result.outcomes() == {"ok": N}
    assert result.started_at == 1000.0
    assert result.description is not None
    assert result.description.model == "fake"
    assert result.open_s is not None
    assert len(result.latencies_s()) == N
    sent = list(result.columns.sent_ns)
    assert sent == sorted(sent)
    np.testing.assert_allclose(outputs(result).sum(axis=1), 1, rtol=1e-6)


def test_only_the_chosen_examples_are_replayed(workers: Workers, examples: TensorLocation) -> None:
    everything = replay(plan(examples), workers)
    some = replay(plan(examples, examples=(7, 3)), workers)
    np.testing.assert_array_equal(outputs(some), outputs(everything)[[7, 3]])


def test_warm_up_is_not_observed_and_its_first_request_is_told_apart(
    workers: Workers, examples: TensorLocation
) -> None:
    result = replay(plan(examples, {"failures": {"4": "rejected"}}, warmup=3), workers)
    assert result.first_request_s is not None
    assert result.columns.outcome[0] == Outcome.REJECTED  # the probe's fourth request is the first of the replay
    assert result.outcomes() == {"ok": N - 1, "rejected": 1}


@pytest.mark.parametrize(
    ("failure", "label"),
    [
        ("rejected", "rejected"),
        pytest.param("timeout", "timeout", marks=pytest.mark.slow),
        ("unreachable", "unreachable"),
        ("bad_answer", "bad_answer"),
        ("nan", "bad_answer"),
    ],
)
def test_a_failed_request_is_an_observation(
    workers: Workers, examples: TensorLocation, failure: str, label: str
) -> None:
    # The last but one: a machine that stalls at the time limit costs the worker too, and a new one counts from 1.
    result = replay(plan(examples, {"failures": {str(N - 1): failure}}, time_limit_s=5.0), workers)
    assert result.outcomes() == {"ok": N - 1, label: 1}
    assert result.columns.outcome[N - 2] == Outcome[label.upper()]
    assert sum(result.errors.values()) == 1
    assert len(result.latencies_s()) == N - 1


def test_a_crash_costs_one_request(workers: Workers, examples: TensorLocation) -> None:
    result = replay(plan(examples, {"failures": {"11": "crash"}}), workers)
    assert result.outcomes() == {"ok": N - 1, "crashed": 1}  # the new worker's model counts from 1 and has nine to go
    assert result.columns.outcome[10] == Outcome.CRASHED
    assert result.restarts == 1
    assert dict(result.errors) == {"the worker process ended with exit code 70": 1}


@pytest.mark.slow
def test_a_hang_costs_one_request_and_the_time_limit(workers: Workers, examples: TensorLocation) -> None:
    result = replay(plan(examples, {"failures": {"11": "hang"}}, time_limit_s=5.0), workers)
    assert result.outcomes() == {"ok": N - 1, "timeout": 1}
    assert result.columns.outcome[10] == Outcome.TIMEOUT
    assert result.columns.latency_ns[10] >= 5e9
    assert dict(result.errors) == {"no answer within 5 s; the worker was ended": 1}


def test_a_model_that_keeps_crashing_is_left_alone(workers: Workers, examples: TensorLocation) -> None:
    result = replay(plan(examples, {"failures": {"1": "crash"}}), workers)
    assert result.outcomes() == {"not_sent": N - 4, "crashed": 4}
    assert result.ended is None


def test_a_target_that_answers_nothing_is_not_asked_for_ever(workers: Workers, examples: TensorLocation) -> None:
    failures = {str(i): "unreachable" for i in range(1, N + 1)}
    result = replay(plan(examples, {"failures": failures}), workers)
    assert result.outcomes() == {"not_sent": N - 10, "unreachable": 10}


@pytest.mark.parametrize(
    ("fails", "text"),
    [
        ("not_ready", "the model is loading, as told"),
        ("unreachable", "connection refused, as told"),
        ("crash", "the worker process ended with exit code 70 (while opening the target)"),
        ("hang", "the target did not open within 2 s (while opening the target)"),
    ],
)
def test_a_target_that_does_not_open_is_a_failed_replay(
    workers: Workers, examples: TensorLocation, fails: str, text: str
) -> None:
    limit_s = 2.0 if fails == "hang" else 30.0
    result = replay(plan(examples, {"open_fails": fails}, start_limit_s=limit_s), workers)
    assert (result.failure, result.ended) == (text, None)
    assert result.outcomes() == {"not_sent": N}


def test_a_target_that_cannot_be_loaded_as_configured_says_nothing_of_the_model(
    workers: Workers, examples: TensorLocation
) -> None:
    result = replay(plan(examples, {"open_fails": "cannot_load"}), workers)
    assert (result.failure, result.ended) == (None, "no such model, as told")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("tensors 100000", "the target describes 100,001 inputs and outputs; 1,000 are allowed"),
        ("name 1000000", f'a tensor "{"x" * 40}..." with a name of 1,000,000 characters; 500 are allowed'),
        ("axes 100", 'a tensor "x" with 100 axes; 64 are allowed'),
        ("texts 1000000", ""),
    ],
)
def test_a_description_has_bounds(workers: Workers, examples: TensorLocation, more: str, says: str) -> None:
    """It goes into the memory of the agent, and into the ledger with each replay."""
    talkative = replace(plan(examples, {"version": more}), factory="tests.replay.jobs:TalkativeProbe")
    result = replay(talkative, workers)
    if says:
        assert result.ended is not None
        assert says in result.ended
    else:
        assert result.description is not None
        assert (result.description.model, result.description.digest) == ("m" * 500, "d" * 500)


@pytest.mark.slow
def test_two_watches_of_one_target_keep_their_own_time_limits(workers: Workers, examples: TensorLocation) -> None:
    slow = {"latencies_s": [2.0]}
    few = {"examples": range(2), "warm": True}
    hasty = replay(plan(examples, slow, time_limit_s=0.5, **few), workers)
    patient = replay(plan(examples, slow, time_limit_s=30.0, **few), workers)
    assert hasty.outcomes() == {"timeout": 2}
    assert patient.outcomes() == {"ok": 2}


def test_an_output_of_the_wrong_shape_is_a_bad_answer(workers: Workers, examples: TensorLocation) -> None:
    result = replay(plan(examples, {"classes": 4}), workers)
    assert result.outcomes() == {"bad_answer": N}
    assert dict(result.errors) == {'output "probabilities" has shape [1, 4], expected [1, 3]': N}


def test_a_warm_worker_keeps_its_model(workers: Workers, examples: TensorLocation) -> None:
    first = replay(plan(examples, warm=True), workers)
    second = replay(plan(examples, warm=True), workers)
    other = replay(plan(examples, {"version": "2"}, warm=True), workers)
    assert first.open_s is not None
    assert second.open_s is None
    assert other.open_s is not None
    assert other.description is not None
    assert other.description.version == "2"


def test_a_cold_target_is_opened_each_time(workers: Workers, examples: TensorLocation) -> None:
    assert [replay(plan(examples), workers).open_s is None for _ in range(2)] == [False, False]


@pytest.mark.slow
def test_the_deadline_ends_a_replay(workers: Workers, examples: TensorLocation) -> None:
    result = replay(plan(examples, {"latencies_s": [1.0]}, deadline_s=8), workers)
    assert result.given_up == "the deadline of 8 s had passed"
    assert 0 < result.outcomes()["not_sent"] < N


def test_a_replay_can_be_stopped_from_another_thread(workers: Workers, examples: TensorLocation) -> None:
    stop = threading.Event()
    timer = threading.Timer(0.5, stop.set)
    timer.start()
    result = replay(plan(examples, {"latencies_s": [0.2]}), workers, stop)
    timer.join()
    assert result.ended == "goldwatch was stopped"


@pytest.mark.real
def test_a_worker_can_be_another_interpreter_with_another_numpy(
    workers: Workers, examples: TensorLocation, tmp_path: Path
) -> None:
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    subprocess.run(
        [Path(sys.executable).with_name("uv"), "pip", "install", "-q", "--python", python, "numpy==1.26.4"], check=True
    )
    ours = replay(plan(examples), workers)
    theirs = replay(plan(examples, python=str(python), key="other"), workers)
    assert theirs.failure is None
    assert theirs.outcomes() == {"ok": N}
    np.testing.assert_allclose(outputs(theirs), outputs(ours), rtol=1e-6)


def test_links_for_another_interpreter_are_made_anew_if_they_were_tidied_up() -> None:
    factory = "goldwatch.testing.probe:FakeProbe"
    before = packages(factory)
    assert packages(factory) == before
    shutil.rmtree(before)
    assert (Path(packages(factory)) / "goldwatch/testing/probe.py").is_file()


def test_an_interpreter_that_cannot_start_is_a_failed_replay(
    workers: Workers, examples: TensorLocation, tmp_path: Path
) -> None:
    result = replay(plan(examples, python=str(tmp_path / "python")), workers)
    assert result.failure is None
    assert result.ended == f"{tmp_path}/python cannot be started: No such file or directory"


def test_what_another_interpreter_lacks_is_to_be_installed_there(
    workers: Workers, examples: TensorLocation, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    result = replay(plan(examples, python=str(tmp_path / "bin/python")), workers)
    lacks = "ModuleNotFoundError: No module named 'numpy'; install it there"
    assert result.ended == f"{tmp_path}/bin/python, which is this target's `python`: {lacks}"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("token s3cret-token is wrong", "token *** is wrong"),
        ("token s3cret-tok", "token ***"),
        ("a plain s", "a plain s"),
        ("17\n[page] all is well\x1b[2J", "17 [page] all is well\ufffd[2J"),
        ("17\ud800", "17\ufffd"),
    ],
)
def test_what_a_server_says_is_without_secrets_and_can_be_written_down(said: str, shown: str) -> None:
    supervision = _Supervision(plan(NOWHERE, secrets=("s3cret-token",)), Workers(), threading.Event(), lambda: 0.0)
    supervision._heard(Done(ReplayResponse((), {said: 2}, 0, Found(), 0, None)))
    supervision._heard(Failed(said, ErrorCode.TARGET))
    outputs = (TensorSpec(said, "float32", (1,)),)
    supervision._heard(Progress(Description(model=said, outputs=outputs)))
    assert supervision.replay.errors == {shown: 2}
    assert supervision.replay.failure == shown
    assert supervision.replay.description is not None
    assert supervision.replay.description.model == shown
    assert supervision.replay.description.outputs[0].name == shown
    supervision.replay.columns.close()


def test_what_no_answer_tells_of_its_tokens_is_unknown_and_not_zero() -> None:
    columns = Columns.create(Layout(3, (), tokens=True), range(3))
    for name in ("first_token_ns", "input_tokens", "output_tokens"):
        assert columns.array(name).tolist() == [-1, -1, -1]
    assert columns.array("outcome").tolist() == [0, 0, 0]
    columns.close()


@pytest.mark.parametrize("own_bytes", [0, 1 << 20])
def test_the_times_of_tokens_are_those_of_answers_that_tell_them(
    monkeypatch: pytest.MonkeyPatch, own_bytes: int
) -> None:
    monkeypatch.setattr(scratch, "OWN_BYTES", own_bytes)
    columns = Columns.create(Layout(6, (), tokens=True), range(6))
    columns.array("outcome")[:] = [Outcome.OK, Outcome.OK, Outcome.TIMEOUT, Outcome.OK, Outcome.OK, Outcome.OK]
    columns.array("latency_ns")[:] = 9 * 10**8
    columns.array("first_token_ns")[:] = [10**8, -1, 10**8, 2 * 10**8, 3 * 10**8, 0]
    columns.array("next_token_ns")[:] = [2 * 10**8, -1, 10**8, -1, -1, 10**8]
    columns.array("gaps_s")[0, :2] = [0.25, 0.5]
    columns.array("gaps_s")[2, 0] = 0.75  # of an answer that came too late
    result = Replay(columns, 0.0)
    first_s, per_token_s, gaps_s = result.token_times_s()
    columns.close()
    assert list(first_s) == pytest.approx([0.1, 0.2, 0.3, 0.0])
    assert list(per_token_s) == pytest.approx([0.2, 0.1])
    assert list(gaps_s) == [0.25, 0.5]


def test_where_no_tokens_are_kept_there_are_no_times_of_them() -> None:
    columns = Columns.create(Layout(3, ()), range(3))
    assert Replay(columns, 0.0).token_times_s() == ((), (), ())
    columns.close()
