"""The trace of one replay: a span for it, and one below it for each request that is sampled, slow or failed.

Ids follow from the number of a query, so that each request carries its own, the server's spans join, and the agent
knows them afterwards, when it makes spans of the columns. See `traced`.
"""

from __future__ import annotations

import math
import os
import random
from dataclasses import dataclass

from goldwatch.core.outcome import Outcome
from goldwatch.probe import TraceContext


@dataclass(frozen=True, slots=True)
class Trace:
    """The ids of one replay. One in `every` queries is sampled, from the query `first` on; none if `every` is 0.

    `trace_id` has 32 hexadecimal digits. Span ids are numbers of 64 bits: `root` that of the replay, and from the next
    one on those of its queries.
    """

    trace_id: str
    root: int
    every: int
    first: int

    @classmethod
    def new(cls, share: float, most: int, queries: int) -> Trace:
        """Make the ids for a replay of `queries` queries; no more than `most` of them are sampled."""
        every = max(round(1 / share), math.ceil(queries / most), 1) if share > 0 and most else 0
        first = random.randrange(min(every, queries)) if every and queries else 0  # noqa: S311 - no secret
        root = int.from_bytes(os.urandom(8)) >> 1 | 1  # room for the queries, and never zero
        return cls(os.urandom(16).hex(), root, every, first)

    def span_id(self, query: int) -> int:
        """Return the span id of a query."""
        return self.root + 1 + query

    def is_sampled(self, query: int) -> bool:
        """Say whether the server is asked to keep its spans of a query."""
        return self.every > 0 and query % self.every == self.first

    def of(self, query: int) -> TraceContext:
        """Return what a query carries."""
        return TraceContext(self.trace_id, f"{self.span_id(query):016x}", self.is_sampled(query))


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `started_ns` is Unix time; both times are nanoseconds. Unknown tokens are None.

    `latency_s` is the value in the histogram of latencies, from when it was due for an open load. `spanned` is whether
    it has a span of its own.
    """

    span_id: int
    example: int
    started_ns: int
    duration_ns: int
    latency_s: float
    outcome: Outcome
    sampled: bool
    spanned: bool
    first_token_ns: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    finish: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """A replay's trace and its requests: those that have a span, or all of them if they were put to a language model.

    Times are Unix time in nanoseconds.
    """

    trace: Trace
    started_ns: int
    ended_ns: int
    asked: tuple[Asked, ...]
