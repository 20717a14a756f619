"""The ids of a replay's trace, and which of its requests have a span."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.outcome import Outcome
from goldwatch.core.trace import Trace
from goldwatch.daemon.engine import Replay
from goldwatch.daemon.traced import FAILED, SLOWEST, traced
from goldwatch.ipc.columns import Columns, Layout

ROWS = 1000


@given(st.floats(0.0001, 1), st.integers(1, 1000), st.integers(1, 5000))
def test_at_least_one_query_is_sampled_and_no_more_than_the_most(share: float, most: int, queries: int) -> None:
    trace = Trace.new(share, most, queries)
    sampled = sum(trace.is_sampled(query) for query in range(queries))
    assert 1 <= sampled <= most
    if queries * share >= 10 and queries * share <= most:
        assert sampled == pytest.approx(queries * share, rel=0.5)


@given(st.integers(1, 2000))
def test_ids_are_valid_and_each_its_own(queries: int) -> None:
    trace = Trace.new(1, 10, queries)
    found = [trace.of(query) for query in range(queries)]
    assert len({each.span_id for each in found} | {f"{trace.root:016x}"}) == queries + 1
    assert {len(each.span_id) for each in found} == {16}
    assert {each.trace_id for each in found} == {trace.trace_id}
    assert 0 < trace.root < trace.span_id(queries) < 2**64
    assert Trace.new(1, 10, queries).trace_id != trace.trace_id


def test_nothing_is_sampled_without_a_share() -> None:
    assert not any(Trace.new(0, 0, 10).is_sampled(query) for query in range(10))


@pytest.fixture
def replay() -> Iterator[Replay]:
    """A replay of a thousand answers, each a microsecond slower than the one before; sent a millisecond apart."""
    columns = Columns.create(Layout(ROWS, ()), [7 * row for row in range(ROWS)])
    for row in range(ROWS):
        columns.sent_ns[row] = 5_000_000 + row * 1_000_000
        columns.latency_ns[row] = 500_000 + row * 1000
        columns.outcome[row] = Outcome.OK
    yield Replay(columns, 1_800_000_000.0, started_ns=4_000_000, duration_s=2.0)
    columns.close()


def test_the_sampled_the_slowest_and_some_that_failed_have_a_span(replay: Replay) -> None:
    for row in range(100, 100 + 2 * FAILED):
        replay.columns.outcome[row] = Outcome.TIMEOUT
    replay.columns.outcome[ROWS - 1] = Outcome.NOT_SENT
    trace = Trace("ab" * 16, 1000, every=200, first=50)
    found = traced(replay, trace)
    rows = [asked.span_id - trace.root - 1 for asked in found.asked]
    slowest = list(range(ROWS - 1 - SLOWEST, ROWS - 1))
    assert rows == sorted([50, 250, 450, 650, 850, *range(100, 100 + FAILED), *slowest])
    first = found.asked[0]
    assert (first.example, first.sampled, first.spanned) == (350, True, True)
    assert first.started_ns == 1_800_000_000 * 10**9 + 5_000_000 + 50 * 1_000_000 - 4_000_000
    assert first.duration_ns == 550_000
    assert found.ended_ns - found.started_ns == 2 * 10**9


def test_a_request_of_several_examples_has_one_span(replay: Replay) -> None:
    replay.samples = 10
    found = traced(replay, Trace("ab" * 16, 1000, every=1, first=0))
    assert len(found.asked) == ROWS / 10
    assert found.asked[3].example == 7 * 30


def test_without_sampling_no_request_has_a_span(replay: Replay) -> None:
    assert traced(replay, Trace("ab" * 16, 1000, every=0, first=0)).asked == ()
