"""One query of one example after the other, from one thread: where the time between two requests counts most.

It matters to users of fast models in process. In turns, with the model of `python -m benchmarks client`: one at a time
instead, the median latency is 1.7 times as long (27 and 47 µs), and requests a second of a core fall to a quarter.
A probe's `encode_each` adds a sixth of those requests, and changes no latency.

Requests are made some ahead, and answers are looked at some at a time. An answer waits for that no longer than some
milliseconds, and a request is made ahead only while that is quick: so both take little memory, and with a slow model or
server each is made and looked at by itself. A worker that dies takes with it the few answers that still waited; they
are asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from goldwatch.ipc.columns import Columns
from goldwatch.worker.load.asking import Asking, clock_ns

_AHEAD_NS = 5_000_000
"""A request is made ahead only while making those before took no longer."""

_WAITING_NS = 20_000_000
"""No answer waits longer than this, but for one request, before it is looked at."""

_MOST_WAITING = 256
_SHARE_WAITING = 8
"""No more than one in so many answers of this worker waits: a model that crashes soon loses none of them."""


class Stream:
    """Sends the queries of one replay, one at a time."""

    def __init__(self, asking: Asking, columns: Columns, wait: Callable[[], None]) -> None:
        """Make ready. `wait` returns when the target has room for another query."""
        self._asking, self._columns, self._wait = asking, columns, wait
        self._waiting: list[tuple[int, Any]] = []
        self._kept = 0

    def run(self, rows: Iterator[int]) -> None:
        """Send the queries of these rows, in order. Raises what the probe raises while it encodes."""
        error: Exception | None = None
        try:
            while error is None:
                requests, error = self._ahead(rows)
                if not requests or not self._sent(requests):
                    break
        finally:
            self._look()
        if error is not None:
            raise error

    def _ahead(self, rows: Iterator[int]) -> tuple[list[tuple[int, Any]], Exception | None]:
        """Make the next requests, each with its row.

        An exception of the probe while it encodes is returned with the requests before it: they are sent first.
        """
        columns, asking, most = self._columns, self._asking, self._asking.most_ahead
        found: list[tuple[int, Any]] = []
        began_ns = now_ns = clock_ns()
        try:
            if asking.encodes_each:
                chosen = list(islice(rows, most))
                columns.begin(0, chosen[0] if chosen else 0, now_ns)
                found = list(zip(chosen, asking.encode_each(chosen), strict=True))
            else:
                for row in islice(rows, most):
                    columns.begin(0, row, now_ns)
                    found.append((row, asking.encode(row)))
                    now_ns = clock_ns()
                    if now_ns - began_ns > _AHEAD_NS:
                        break
        except Exception as error:
            return found, error
        columns.end(0)
        return found, None

    def _sent(self, requests: list[tuple[int, Any]]) -> bool:
        """Send requests. Returns whether all of them were sent."""
        columns, waiting, ask = self._columns, self._waiting, self._asking.ask
        look_ns = clock_ns() + _WAITING_NS
        for row, request in requests:
            if columns.held:
                self._look()
                self._wait()
            ended_ns, response, failure = ask(0, row, request)
            if failure is not None:
                self._look()
                self._asking.keep(0, row, None, failure)
                if self._asking.hopeless:
                    return False
                continue
            columns.end(0)
            waiting.append((row, response))
            if ended_ns > look_ns or len(waiting) * _SHARE_WAITING > self._kept or len(waiting) == _MOST_WAITING:
                self._look()
                look_ns = clock_ns() + _WAITING_NS
        self._look()
        return True

    def _look(self) -> None:
        """Look at the answers that wait, and keep them."""
        waiting, columns, keeper = self._waiting, self._columns, self._asking.keeper
        if not waiting:
            return
        decoded = []
        for row, response in waiting:
            columns.begin(0, row, clock_ns())  # a probe may hang or crash over an answer too
            decoded.append(keeper.decoded(response))
        first, end = waiting[0][0], waiting[-1][0] + 1
        if end - first == len(waiting) and keeper.keep_all(first, end, decoded):
            self._asking.kept_all(first, end)
        else:
            for (row, response), outputs in zip(waiting, decoded, strict=True):
                self._asking.keep(0, row, response, outputs)
        columns.end(0)
        self._kept += len(waiting)
        waiting.clear()
