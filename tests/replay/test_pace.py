"""Budgets of requests: the pace, and a replay that is held."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.golden.tensors import TensorLocation
from goldwatch.probe import TensorSpec
from goldwatch.replay import pace
from goldwatch.replay.engine import Plan, replay
from goldwatch.replay.load import LoadPlan
from goldwatch.replay.outcome import Outcome
from goldwatch.replay.workers import Workers

N = 30


@given(st.floats(0.1, 1e5), st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_turns_are_never_closer_than_the_budget_and_nobody_waits_without_need(
    most_per_s: float, thinking_ns: list[int]
) -> None:
    now_ns = 10**9
    turns: list[int] = []

    def sleep_until(due_ns: int) -> None:
        nonlocal now_ns
        assert not turns or due_ns in (now_ns, turns[-1] + round(1e9 / most_per_s))
        now_ns = max(now_ns, due_ns)
        turns.append(now_ns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "clock_ns", lambda: now_ns)
        patch.setattr(pace, "sleep_until", sleep_until)
        kept = pace.Pace(most_per_s)
        for each in thinking_ns:
            now_ns += each
            kept.wait()
    assert all(b - a >= round(1e9 / most_per_s) for a, b in pairwise(turns))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    file = tmp_path / "inputs"
    file.write_bytes(np.zeros((N, 4), np.float32).tobytes())
    return Plan(
        factory="goldwatch.testing.probe:FakeProbe",
        options={},
        served=False,
        warm=False,
        key="pace",
        inputs=(TensorLocation("x", str(file), "float32", (N, 4), 0),),
        outputs=(TensorSpec("probabilities", "float32", (3,)),),
        examples=range(N),
        load=LoadPlan("offline", in_flight=4, most_per_s=200.0),
        warmup=0,
    )


class Guard:
    """Has room until so many rows were answered, then for a while none."""

    patience_s = 60.0

    def __init__(self, looks: int) -> None:
        self.left = looks
        self.asked = 0

    def why_not(self) -> str | None:
        self.asked += 1
        self.left -= self.asked > 1
        return "10 wait, above 8" if self.asked > 1 and self.left > 0 else None


def replayed(plan: Plan, guard: Any = None) -> Any:
    workers = Workers()
    try:
        return replay(plan, workers, threading.Event(), guard=guard)
    finally:
        workers.close()


def test_several_in_flight_share_one_budget(plan: Plan) -> None:
    result = replayed(plan)
    sent = sorted(result.columns.sent_ns)
    assert result.outcomes() == {"ok": N}
    assert sent[-1] - sent[0] >= (N - 2) * 5_000_000  # a thread may be woken a little late, never early


def test_a_held_replay_goes_on_where_it_was_and_loses_nothing(plan: Plan) -> None:
    result = replayed(plan, Guard(looks=6))
    assert result.ended is None
    assert result.outcomes() == {"ok": N}
    assert result.held_s > 0.1
    gaps = [b - a for a, b in pairwise(sorted(result.columns.sent_ns))]
    assert max(gaps) > 0.1e9


def test_a_replay_that_is_held_for_too_long_ends_and_says_why(plan: Plan) -> None:
    guard = Guard(looks=10**6)
    guard.patience_s = 0.2
    result = replayed(plan, guard)
    assert result.ended == "goldwatch stepped back: 10 wait, above 8"
    assert list(result.columns.outcome).count(Outcome.NOT_SENT) > 0
