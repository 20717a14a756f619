"""Columns that may be in a file, and the judge over them: some rows at a time is the same as all at once."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch import scratch
from goldwatch.core.facts import Facts
from goldwatch.core.outcome import Outcome
from goldwatch.golden.facts import GoldenPlace
from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc import columns as replay_columns
from goldwatch.ipc.codec import plain
from goldwatch.ipc.columns import Columns
from goldwatch.ipc.judging_jobs import (
    Calibrated,
    FreezeRequest,
    InspectRequest,
    JudgeRequest,
    JudgeResponse,
    KeepRequest,
    Parity,
    ParityRequest,
)
from goldwatch.worker.jobs.calibrate import frozen, keep
from goldwatch.worker.jobs.judge import inspect, judge
from goldwatch.worker.jobs.opening import layout
from goldwatch.worker.jobs.parity import parity

N = 60
WORDS = ("Paris", "Lima", "a blue sky", "")
TASKS: dict[str, dict[str, Any]] = {
    "classification": {
        "inputs": {"x": {"dtype": "float32", "shape": [1]}},
        "labels": {"classes": [*"abcdef"]},
        "outputs": {"scores": {"dtype": "float32", "shape": [6], "tolerance": 0.1}},
    },
    "embedding": {
        "inputs": {"x": {"dtype": "float32", "shape": [1]}},
        "outputs": {"vector": {"dtype": "float32", "shape": [6], "tolerance": 0.1}},
    },
    "generation": {
        "inputs": {"prompt": {"dtype": "text", "shape": []}},
        "labels": {"match": "contains"},
        "outputs": {"text": {"dtype": "text", "shape": [], "tolerance": 0, "max_bytes": 16}},
    },
}
FACTS = Facts(started_at=1_800_000_000.0, scenario="server")
SETTINGS = {
    "accuracy_loss": 0.01,
    "error_rate": 0.01,
    "alphas": {"worse": 1e-6, "changed": None, "failing": 1e-6, "slow": 1e-6, "moved": 1e-6},
    "latency_limit_s": 0.05,
    "output_distance": 0.01,
}


def made(folder: Path, task: str, *, clustered: bool) -> GoldenSet:
    rng = np.random.default_rng(7)
    kept = {} if task == "classification" else {"keeps": ["scores", "distances"]}
    manifest = TASKS[task] | {
        "name": "set",
        "version": "1",
        "task": task,
        "examples": N,
        "slices": {"kind": {"values": ["one", "two", "three"]}},
        "reference": {"replays": [2, 2], "deterministic": not kept, **kept},
        "provenance": {"source": "made up"},
        "licence": "CC0-1.0",
        **({"clusters": {"by": "patient"}} if clustered else {}),
    }
    tensors: dict[str, Any] = {
        "slices.kind": rng.integers(-1, 3, N),
        "reference.right": np.full((2, N), 2),
        **({"clusters": rng.integers(-1, 12, N)} if clustered else {}),
        **({f"reference.{name}": rng.uniform(0, 0.1, (4, N)).astype(np.float32) for name in kept.get("keeps", ())}),
    }
    lines = []
    if task == "generation":
        texts = rng.choice(WORDS, N).tolist()
        lines = [{"inputs": {"prompt": "?"}, "outputs": {"text": text}, "answers": ["Paris"]} for text in texts]
    else:
        output = next(iter(manifest["outputs"]))
        tensors |= {"inputs.x": np.zeros((N, 1), np.float32), f"outputs.{output}": rng.normal(size=(N, 6))}
        tensors[f"outputs.{output}"] = tensors[f"outputs.{output}"].astype(np.float32)
    if task == "classification":
        tensors["labels"] = rng.integers(0, 6, N)
    return freeze(folder / "set", manifest, tensors, lines)


def replayed(golden: GoldenSet, seed: int, answered: float, samples: int, nan: float = 0.02) -> Columns:
    """Make up a replay: some answers are as before, some others, some hold NaN, and some never came."""
    rng, columns = np.random.default_rng(seed), Columns.create(layout(golden), range(N))
    outcome = rng.choice([Outcome.OK, Outcome.TIMEOUT, Outcome.NOT_SENT], N, p=[answered, 1 - answered, 0])
    columns.array("outcome")[:] = np.repeat(outcome[::samples], samples)[:N]
    columns.array("sent_ns")[:] = 10**9 + np.sort(rng.integers(0, 10**9, N))
    for name in ("latency_ns", "dispatch_delay_ns", "late_ns"):
        columns.array(name)[:] = rng.integers(0, 10**8, N)
    (output,) = golden.manifest.outputs
    if output == "text":
        columns.array("output.text")[:] = [text.encode() for text in rng.choice(WORDS, N)]
        columns.array("finish")[:] = rng.choice([b"stop", b"length", b""], N)
        for name in ("first_token_ns", "input_tokens", "output_tokens"):
            columns.array(name)[:] = rng.integers(-1, 4, N)
    else:
        then = np.array(golden.tensor(f"outputs.{output}"))
        now = np.where(rng.random((N, 1)) < 0.3, rng.normal(size=(N, 6)), then)
        now[rng.random(N) < nan] = np.nan
        columns.array(f"output.{output}")[:] = now
    return columns


def judged(golden: GoldenSet, seed: int, answered: float, samples: int) -> JudgeResponse:
    """Judge such a replay."""
    columns = replayed(golden, seed, answered, samples)
    place = GoldenPlace(str(golden.path), golden.digest)
    request = JudgeRequest(place, SETTINGS, replace(FACTS, samples=samples), {})
    try:
        return judge(request, [os.dup(columns.fd)], lambda _: None)
    finally:
        columns.close()


def nearly(value: Any) -> Any:
    """Return plain values to compare: floating numbers to the last few digits, since sums are split."""
    if isinstance(value, dict):
        return {key: nearly(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [nearly(each) for each in value]
    return pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value


@pytest.mark.slow
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_judging_some_rows_at_a_time_in_files_is_judging_all_of_them_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, clustered: bool
) -> None:
    golden = made(tmp_path, task, clustered=clustered)

    @given(
        seed=st.integers(0, 2**32 - 1),
        answered=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
        samples=st.sampled_from([1, 4]),
        at_once=st.integers(1, 200),
    )
    @settings(max_examples=25, deadline=None)
    def check(seed: int, answered: float, samples: int, at_once: int) -> None:
        whole = judged(golden, seed, answered, samples)
        with monkeypatch.context() as patched:
            in_parts(patched, at_once)
            apart = judged(golden, seed, answered, samples)
        assert json.loads(json.dumps(apart, default=plain)) == nearly(json.loads(json.dumps(whole, default=plain)))

    check()


def in_parts(patched: pytest.MonkeyPatch, at_once: int) -> None:
    """Have every column in a file, and read `at_once` values at once."""
    patched.setattr(scratch, "OWN_BYTES", 0)
    patched.setattr(replay_columns, "OWN_BYTES", 0)
    patched.setattr(scratch, "_VALUES_AT_ONCE", at_once)
    patched.setattr("goldwatch.golden.tensors._VALUES_AT_ONCE", at_once)


@pytest.mark.parametrize("outputs", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_a_reference_made_some_rows_at_a_time_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, *, outputs: bool
) -> None:
    golden = made(tmp_path, task, clustered=True)
    place = GoldenPlace(str(golden.path), golden.digest)

    def calibrated(name: str) -> Calibrated:
        files = [str(tmp_path / f"{name}-{seed}.safetensors") for seed in range(3)]
        for seed, file in enumerate(files):
            columns = replayed(golden, seed, 1.0, 1, nan=0)
            keep(KeepRequest(place, file, outputs), [os.dup(columns.fd)], lambda _: None)
            columns.close()
        request = FreezeRequest(place, str(tmp_path / name), tuple(files), "2", files[0] if outputs else None)
        return frozen(request, [], lambda _: None)

    whole = calibrated("whole")
    in_parts(monkeypatch, 7)
    assert calibrated("parts") == whole
    new = GoldenSet.open(tmp_path / "parts")
    assert new.manifest.reference.replays == (2, 1)
    assert new.tensor("reference.right").sum() == pytest.approx(whole.accuracy * 3 * N)
    if outputs and task == "generation":
        columns = replayed(golden, 0, 1.0, 1)
        assert [line["outputs"]["text"] for line in new.lines()] == [columns.text("output.text", i) for i in range(N)]
        columns.close()


@pytest.mark.parametrize("task", TASKS)
def test_two_replays_compared_some_rows_at_a_time_compare_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    golden = made(tmp_path, task, clustered=False)

    def compared() -> Parity:
        both = [replayed(golden, seed, 0.9, 1, nan=0) for seed in (1, 2)]
        request = ParityRequest(GoldenPlace(str(golden.path), golden.digest))
        found = parity(request, [os.dup(each.fd) for each in both], lambda _: None)
        for each in both:
            each.close()
        return found

    whole = compared()
    assert 0 < whole.flips < whole.compared < N
    in_parts(monkeypatch, 7)
    assert asdict(compared()) == nearly(asdict(whole))


def test_the_values_of_a_set_are_looked_at_some_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = made(tmp_path, "classification", clustered=True)
    whole = inspect(InspectRequest(str(golden.path)), [], lambda _: None)
    monkeypatch.setattr(scratch, "OWN_BYTES", 0)
    monkeypatch.setattr(scratch, "_VALUES_AT_ONCE", 5)
    assert inspect(InspectRequest(str(golden.path)), [], lambda _: None) == whole


@given(st.integers(0, 2_000_000), st.integers(0, 5000))
def test_blocks_are_all_rows_once_in_turn(rows: int, width: int) -> None:
    found = list(scratch.blocks(rows, width))
    assert [block.start for block in found] == [0, *(block.stop for block in found)][: len(found)]
    assert sum(block.stop - block.start for block in found) == rows
    assert all(block.stop > block.start for block in found)


@pytest.mark.parametrize("own_bytes", [0, 1 << 20])
def test_numbers_are_kept_and_put_in_order_wherever_they_lie(monkeypatch: pytest.MonkeyPatch, own_bytes: int) -> None:
    monkeypatch.setattr(scratch, "OWN_BYTES", own_bytes)
    values = np.random.default_rng(0).normal(size=1000).tolist()
    found = scratch.numbers(iter(values), 1500)
    assert (list(found), len(found)) == (values, 1000)
    assert list(scratch.ascending(found)) == sorted(values)
    assert list(scratch.numbers(iter(()), 10)) == []


@given(st.lists(st.integers(-5, 5), max_size=60), st.integers(1, 70))
def test_what_is_different_is_found_some_values_at_a_time(values: list[int], at_once: int) -> None:
    for given_values in (np.array(values, dtype=np.int64), np.array([str(value) for value in values], dtype="U3")):
        with pytest.MonkeyPatch.context() as patched:
            in_parts(patched, at_once)
            found = scratch.distinct(given_values)
        assert found.tolist() == sorted(set(given_values.tolist()))


def on_disk(descriptor: int) -> bool:
    try:
        return not str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith("/memfd:")
    finally:
        os.close(descriptor)


def test_what_is_large_lies_in_a_file_without_a_name_and_without_room_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert not on_disk(scratch.open_file(4096, 4096))
    assert on_disk(scratch.open_file(4097, 4096))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert not on_disk(scratch.open_file(4097, 4096))
