"""Budgets of requests: the pace, and a replay that is held."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.load_plan import LoadPlan
from goldwatch.core.outcome import Outcome
from goldwatch.daemon.engine import replay
from goldwatch.daemon.plan import Plan
from goldwatch.golden.tensors import TensorLocation
from goldwatch.ipc.columns import Columns, Layout, Phase
from goldwatch.ipc.workers import Workers
from goldwatch.probe import CannotLoad, Context, TensorSpec, Tokens
from goldwatch.testing.probe import FakeProbe
from goldwatch.worker.load import pace, timed
from goldwatch.worker.load.asking import Asking
from goldwatch.worker.load.dispatch import Dispatcher
from goldwatch.worker.load.repeats import ask_twice

if TYPE_CHECKING:
    from goldwatch.probe import Probe

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
        kept = pace.Pace(LoadPlan(most_per_s=most_per_s))
        for each in thinking_ns:
            now_ns += each
            kept.wait()
    assert all(b - a >= round(1e9 / most_per_s) for a, b in pairwise(turns))


class Taken:
    """A probe as far as budgets know one: its answers are the tokens that they took."""

    def tokens(self, response: Any) -> Tokens:
        return Tokens(input=response, output=response and 2 * response)


@given(
    st.floats(0.1, 1e5),
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**6)), min_size=1, max_size=50),
)
def test_the_tokens_of_all_answers_so_far_had_their_time_before_the_next_turn(
    tokens_per_s: float, answers: list[tuple[int, int]]
) -> None:
    now_ns = 10**9
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "clock_ns", lambda: now_ns)
        kept = pace.Pace(LoadPlan(tokens_per_s=tokens_per_s), cast("Probe", Taken()))
        spent = 0
        for took_ns, tokens in answers:
            turn_ns = kept.book()
            assert turn_ns - 10**9 >= 1e9 * 3 * spent / tokens_per_s - len(answers)
            now_ns = turn_ns + took_ns
            kept.answered(tokens)
            spent += tokens
            assert kept.book() == now_ns + round(1e9 * 3 * tokens / tokens_per_s)


def test_a_budget_of_tokens_that_cannot_be_kept_is_refused() -> None:
    load = LoadPlan(tokens_per_s=1.0)
    with pytest.raises(CannotLoad, match="the probe counts no tokens"):
        pace.Pace(load, cast("Probe", object()))
    with pytest.raises(CannotLoad, match="a request has several examples"):
        pace.Pace(replace(load, samples=8), cast("Probe", Taken()))
    with pytest.raises(CannotLoad, match="does not say how many tokens it took"):
        pace.Pace(load, cast("Probe", Taken())).answered(None)


@given(st.floats(0.01, 1), st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=50))
def test_a_worker_takes_no_larger_share_of_a_core_than_it_may(share: float, work: list[tuple[int, int]]) -> None:
    now_ns = cpu_ns = 10**9
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "clock_ns", lambda: now_ns)
        patch.setattr("time.process_time_ns", lambda: cpu_ns)
        kept = pace.Pace(LoadPlan(cpu_share=share))
        first_ns = kept.book()
        for waits_ns, works_ns in work:
            now_ns, cpu_ns = now_ns + waits_ns + works_ns, cpu_ns + works_ns
            turn_ns = kept.book()
            assert cpu_ns - 10**9 <= share * (turn_ns - first_ns) + len(work)
            assert turn_ns >= now_ns
            now_ns = turn_ns


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
    """Has room at the first look, then for a while none."""

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


def test_a_replay_is_slowed_down_to_its_budget_of_tokens(plan: Plan) -> None:
    load = LoadPlan(tokens_per_s=1000.0)
    result = replayed(replace(plan, factory="tests.replay.jobs:CountingProbe", load=load, warmup=2))
    assert result.outcomes() == {"ok": N}
    sent = sorted(result.columns.sent_ns)
    assert all(b - a >= 10_000_000 for a, b in pairwise(sent))  # ten tokens each
    result = replayed(replace(plan, load=load))
    assert result.ended == "`tokens_at_most` cannot be kept: the probe counts no tokens"


def test_a_connection_that_cannot_be_warmed_up_holds_up_no_other(plan: Plan) -> None:
    """The first answer of the warm-up has a token count, the first of the connections' own does not."""
    load = LoadPlan("offline", in_flight=4, tokens_per_s=1000.0)
    result = replayed(replace(plan, factory="tests.replay.jobs:ForgetfulProbe", load=load, warmup=1))
    why = "`tokens_at_most` cannot be kept: an answer does not say how many tokens it took"
    assert (result.failure, result.ended) == (None, why)


def test_where_there_can_be_no_more_threads_those_that_were_started_end(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    started: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", start_two)
    columns = Columns.create(Layout(N, plan.outputs), plan.examples)
    probe = FakeProbe(FakeProbe.Options(), Context(5.0))
    probe.open()
    kept = pace.Pace(plan.load)
    asking = Asking(probe, {"x": np.zeros((N, 4), np.float32)}, columns, kept, 1)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        Dispatcher(plan.load, asking, columns, kept, concurrent=True, warm=False).run()
    assert not any(thread.is_alive() for thread in started)


def test_the_replay_after_keeps_to_the_budget_too(plan: Plan) -> None:
    load = LoadPlan(tokens_per_s=20.0)
    few = replace(plan, factory="tests.replay.jobs:CountingProbe", load=load, examples=range(2))
    workers = Workers()
    try:
        first, second = (replay(few, workers) for _ in range(2))
    finally:
        workers.close()
    sent = [*first.columns.sent_ns, *second.columns.sent_ns]
    assert all(b - a >= 500_000_000 for a, b in pairwise(sent))  # ten tokens each


def test_waiting_for_a_turn_of_the_warm_up_is_not_hanging(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = Columns.create(Layout(N, plan.outputs), plan.examples)
    waited: list[int] = []

    def sleep_until(due_ns: int) -> None:
        assert (columns.phase, columns.since_ns) == (Phase.WARMING_UP, due_ns)
        waited.append(due_ns)

    monkeypatch.setattr(pace, "sleep_until", sleep_until)
    probe = FakeProbe(FakeProbe.Options(), Context(5.0))
    probe.open()
    inputs = {"x": np.zeros((N, 4), np.float32)}
    kept = pace.Pace(LoadPlan(most_per_s=0.01))
    timed._warm_up(Asking(probe, inputs, columns, kept, 1), columns, range(3), kept, lambda _: None)
    assert [b - a for a, b in pairwise(waited)] == [100_000_000_000] * 2
    columns.close()


def test_warm_up_and_pairs_send_nothing_while_the_target_has_no_room(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = Columns.create(Layout(N, plan.outputs), plan.examples)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        columns.hold(on=len(naps) % 3 != 0)

    class Sending(FakeProbe):
        def predict(self, request: Any) -> Any:
            assert not columns.held
            columns.hold(on=True)
            return super().predict(request)

    monkeypatch.setattr(time, "sleep", nap)
    probe = Sending(FakeProbe.Options(), Context(5.0))
    probe.open()
    inputs, kept = {"x": np.ones((N, 4), np.float32)}, pace.Pace(LoadPlan())
    timed._warm_up(Asking(probe, inputs, columns, kept, 1), columns, range(3), kept, lambda _: None)
    assert len(naps) == 2 * 3  # before the second and the third
    columns.hold(on=False)
    assert ask_twice(probe, inputs, columns, 5, kept, np.random.default_rng(0)) == []  # there was room for one request
    columns.close()


def test_a_held_replay_goes_on_where_it_was_and_loses_nothing(plan: Plan) -> None:
    result = replayed(plan, Guard(looks=6))
    assert result.ended is None
    assert result.outcomes() == {"ok": N}
    assert result.held_s > 0.1
    assert max(result.columns.sent_ns) - result.started_ns > 0.1e9


def test_a_replay_that_is_held_for_too_long_ends_and_says_why(plan: Plan) -> None:
    guard = Guard(looks=10**6)
    guard.patience_s = 0.2
    result = replayed(plan, guard)
    assert result.ended == "goldwatch stepped back: 10 wait, above 8"
    assert list(result.columns.outcome).count(Outcome.NOT_SENT) > 0
