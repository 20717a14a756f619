"""How the requests of a replay are issued: MLPerf's scenarios and a constant rate, as plain values.

A *query* is one request; it holds one example, or several of consecutive rows. A *closed* load sends the next query
when an answer is there; an *open* one sends by a schedule that is made beforehand, whatever the server does.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Scenario = Literal["single-stream", "multi-stream", "server", "offline", "constant"]
"""The first four are MLPerf's; *constant* is *server* without its randomness."""

OPEN: tuple[Scenario, ...] = ("server", "constant")

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How to issue queries.

    `rate_per_s` is the mean of queries a second of an open load; `samples` the examples of one query; `in_flight` the
    most queries at a time; `seed` that of the Poisson arrivals; `most_per_s` the budget that limits a closed load and
    any warm-up; `tokens_per_s` and `cpu_share` (of one core) are two more of that kind.
    """

    scenario: Scenario = "single-stream"
    rate_per_s: float = 0.0
    samples: int = 1
    in_flight: int = 1
    seed: int = 0
    most_per_s: float | None = None
    tokens_per_s: float | None = None
    cpu_share: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether latency counts from the scheduled time."""
        return self.scenario in OPEN

    def queries(self, rows: int) -> int:
        """Return how many queries the rows of a replay make; the last may be smaller."""
        return -(-rows // self.samples)

    def query_examples(self, rows: int, first: int) -> int:
        """Return how many examples the query has that begins at the row `first` of a replay of `rows` rows."""
        return min(self.samples, rows - first)

    def warm_up(self, rows: int, requests: int) -> list[int]:
        """Return the first row of each query to warm up with: they have all the sizes that those of a replay have.

        A runtime prepares itself for each size of batch by itself. If the last query is smaller, every second
        request is that query; then there are at least two requests, unless there are to be none.
        """
        last, whole = (self.queries(rows) - 1) * self.samples, max(rows // self.samples, 1)
        if not requests or not rows:
            return []
        if self.query_examples(rows, last) == self.query_examples(rows, 0):
            return [i % whole * self.samples for i in range(requests)]
        return [last if i % 2 else i // 2 % whole * self.samples for i in range(max(requests, 2))]

    def schedule_ns(self, queries: int) -> list[int]:
        """Return when each query of an open load is due, in nanoseconds from the first, which is due at 0.

        Gaps are exponential for *server* (Poisson arrivals) and equal for *constant*. The same for the same seed.
        """
        if self.scenario == "constant":
            return [round(i * _SECOND_NS / self.rate_per_s) for i in range(queries)]
        chance = random.Random(self.seed)  # noqa: S311 - arrivals are no secret
        due_s, found = 0.0, []
        for _ in range(queries):
            found.append(round(due_s * _SECOND_NS))
            due_s += chance.expovariate(self.rate_per_s)
        return found
