"""The requests of a replay from its columns, read some rows at a time. With numpy, in a worker."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from goldwatch.core.outcome import Outcome
from goldwatch.ipc.columns import Columns
from goldwatch.scratch import blocks, column, zeros


class Observations:
    """The requests of a replay, of `samples` examples each; those of an open load had a time to be sent.

    `answered` [n] marks the answered examples, `outcome` [requests] is how each request ended. `refused` examples hold
    NaN: they are neither right nor wrong, and useless to a client, so their requests had bad answers; `bad` counts
    these.
    """

    def __init__(self, columns: Columns, samples: int, *, is_open: bool) -> None:
        outcome = columns.array("outcome")
        self.answered: NDArray[np.bool_] = column(len(outcome), np.bool_, lambda rows: outcome[rows] == Outcome.OK)
        self.outcome: NDArray[np.uint8] = outcome[::samples]
        self.bad = 0
        self._columns, self._samples, self._is_open = columns, samples, is_open

    def refuse(self, examples: Iterable[int]) -> None:
        """Take the answers to some examples for bad ones, before anything else is asked."""
        for example in examples:
            if not self.bad:
                self.outcome = column(len(self.outcome), np.uint8, self.outcome.__getitem__)
            self.answered[example] = False
            request = example // self._samples
            self.bad += int(self.outcome[request] != Outcome.BAD_ANSWER)
            self.outcome[request] = Outcome.BAD_ANSWER

    def counts(self) -> NDArray[np.int64]:
        """Count the requests by their outcome [outcomes]."""
        found = np.zeros(len(Outcome), dtype=np.int64)
        for rows in blocks(len(self.outcome)):
            found += np.bincount(self.outcome[rows], minlength=len(Outcome))
        return found

    def late_s(self) -> Iterator[float]:
        """Yield by how many seconds goldwatch itself sent each request of an open load too late."""
        if not self._is_open:
            return
        late_ns = self._columns.array("late_ns")[:: self._samples]
        for rows in blocks(len(self.outcome)):
            yield from (late_ns[rows][self.outcome[rows] != Outcome.NOT_SENT] / 1e9).tolist()

    def latencies_s(self) -> NDArray[np.float64]:
        """Return the latency of each answered request in seconds: of an open load, from when it was due, in that order.

        The rows of one replay are in that order; those of shards, which were replayed side by side, are not.
        """
        latency_ns = self._columns.array("latency_ns")[:: self._samples]
        if not self._is_open:
            return self._of_answered(lambda rows: latency_ns[rows] / 1e9, np.float64)
        sent_ns, delay_ns = (self._columns.array(name)[:: self._samples] for name in ("sent_ns", "dispatch_delay_ns"))
        found = self._of_answered(lambda rows: (latency_ns[rows] + delay_ns[rows]) / 1e9, np.float64)
        due_ns = self._of_answered(lambda rows: sent_ns[rows] - delay_ns[rows], np.int64)
        before, after = due_ns[:-1], due_ns[1:]
        if all(bool((before[rows] <= after[rows]).all()) for rows in blocks(len(after))):
            return found
        order = np.argsort(due_ns, kind="stable")
        return column(len(found), np.float64, lambda rows: found[order[rows]])

    def _of_answered(self, values: Callable[[slice], NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
        found, end = zeros(int(self.counts()[Outcome.OK]), dtype), 0
        for rows in blocks(len(self.outcome)):
            some = values(rows)[self.outcome[rows] == Outcome.OK]
            found[end : end + len(some)] = some
            end += len(some)
        return found

    def answered_per_s(self) -> float | None:
        """Return answered examples per second, from the first request that was sent to the last answer."""
        if not self.answered.any():
            return None
        outcome, sent_ns, latency_ns = (self._columns.array(name) for name in ("outcome", "sent_ns", "latency_ns"))
        first_ns, last_ns = [], []
        for rows in blocks(len(outcome)):
            sent = outcome[rows] != Outcome.NOT_SENT
            if sent.any():
                first_ns.append(int(sent_ns[rows][sent].min()))
                last_ns.append(int((sent_ns[rows] + latency_ns[rows])[sent].max()))
        span_s = float(max(last_ns) - min(first_ns)) / 1e9
        return int(np.count_nonzero(self.answered)) / span_s if span_s > 0 else math.nan
