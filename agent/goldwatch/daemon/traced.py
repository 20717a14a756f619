"""Builds the trace of a replay from its columns after the replay, so that tracing costs no time within it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from goldwatch.core.outcome import Outcome
from goldwatch.core.trace import Asked, Trace, Traced
from goldwatch.daemon.engine import Replay

SLOWEST = 3
"""So many of the slowest requests have a span, sampled or not: they are what one looks for."""

FAILED = 10
"""And so many of those that failed."""


def traced(replay: Replay, trace: Trace) -> Traced:
    """Read what a trace shows from the columns of a replay that has ended, while they are open."""
    columns, step = replay.columns, replay.samples
    outcomes = columns.outcome[::step].tolist()
    sent = [query for query, outcome in enumerate(outcomes) if outcome != Outcome.NOT_SENT]
    spanned: set[int] = set()
    if trace.every:
        failed = [query for query in sent if outcomes[query] != Outcome.OK]
        slowest = heapq.nlargest(SLOWEST, sent, key=lambda query: columns.latency_ns[query * step])
        spanned = {*(query for query in sent if trace.is_sampled(query)), *failed[:FAILED], *slowest}
    return Traced(
        trace=trace,
        started_ns=round(replay.started_at * 1e9),
        ended_ns=round((replay.started_at + replay.duration_s) * 1e9),
        asked=tuple(
            _asked(replay, trace, query, spanned=query in spanned)
            for query in (sent if columns.layout.tokens else sorted(spanned))
        ),
    )


def _asked(replay: Replay, trace: Trace, query: int, *, spanned: bool) -> Asked:
    columns, row = replay.columns, query * replay.samples
    duration_ns = columns.latency_ns[row]
    delay_ns = columns.dispatch_delay_ns[row] if replay.open_load else 0
    return Asked(
        span_id=trace.span_id(query),
        example=columns.example[row],
        started_ns=round(replay.started_at * 1e9) + columns.sent_ns[row] - replay.started_ns,
        duration_ns=duration_ns,
        latency_s=(duration_ns + delay_ns) / 1e9,
        outcome=Outcome(columns.outcome[row]),
        sampled=trace.is_sampled(query),
        spanned=spanned,
        **dict(_tokens(replay, row)),
    )


def _tokens(replay: Replay, row: int) -> Iterator[tuple[str, Any]]:
    columns = replay.columns
    if not columns.layout.tokens:
        return
    for name in ("first_token_ns", "input_tokens", "output_tokens"):
        with columns.integers(name) as column:
            yield name, column[row] if column[row] >= 0 else None
    yield "finish", columns.text("finish", row)
