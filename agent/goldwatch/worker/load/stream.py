"""One query of one example after the other, from one thread: where the time between two requests counts most.

It matters to users of fast models in process. In turns, with the model of `python -m benchmarks client`: one at a time
instead, the median latency is 1.7 times as long (27 and 47 µs), and requests a second of a core fall to a quarter.
A probe's `encode_each` adds a sixth of those requests, and changes no latency.

Requests are made some ahead, and answers are looked at some at a time. An answer waits for that no longer than some
milliseconds, and a request is made ahead only while that is quick: so both take little memory, and with a slow model or
server each is made and looked at by itself. No request is sent that was made long before, since its credentials expire:
those that are left then, or after a failure, are made anew. A worker that dies takes with it the few answers that still
waited; they are asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from goldwatch.ipc.columns import Columns
from goldwatch.worker.load.asking import Asking, clock_ns

_AHEAD_NS = 5_000_000
"""A request is made ahead only while making those before took no longer."""

_SENT_NS = 1_000_000_000
"""Requests are made ahead for no longer than this: a token in them is renewed half a minute before it expires."""

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
        self._most_ahead = asking.most_ahead
        self._waiting: list[tuple[int, Any]] = []
        self._kept = 0

    def run(self, rows: Sequence[int]) -> None:
        """Send the queries of these rows, in order. Raises what the probe raises while it encodes."""
        at, most = 0, 1
        try:
            while at < len(rows) and not self._asking.hopeless:
                requests, error = self._ahead(rows[at : at + most])
                began_ns = clock_ns()
                sent = self._sent(requests, began_ns)
                at += sent
                if sent == len(requests):
                    if error is not None:
                        raise error
                    # Doubled at most, so that few are made in vain where requests fail now and then.
                    in_time = _SENT_NS * sent // max(clock_ns() - began_ns, 1)
                    most = max(min(2 * most, in_time, self._most_ahead), 1)
                else:
                    most = 1
        finally:
            self._look()

    def _ahead(self, rows: Sequence[int]) -> tuple[list[tuple[int, Any]], Exception | None]:
        """Make the requests of rows, or of the first of them, each with its row.

        An exception of the probe while it encodes is returned with the requests before it: they are sent first.
        """
        columns, asking = self._columns, self._asking
        found: list[tuple[int, Any]] = []
        began_ns = now_ns = clock_ns()
        try:
            if asking.encodes_each:
                columns.begin(0, rows[0], now_ns)
                found = list(zip(rows, asking.encode_each(rows), strict=True))
            else:
                for row in rows:
                    columns.begin(0, row, now_ns)
                    found.append((row, asking.encode(row)))
                    now_ns = clock_ns()
                    if now_ns - began_ns > _AHEAD_NS:
                        break
        except Exception as error:
            return found, error
        columns.end(0)
        return found, None

    def _sent(self, requests: list[tuple[int, Any]], began_ns: int) -> int:
        """Send requests, until one fails, or has to wait, or they are old. Returns how many were sent."""
        columns, waiting, ask = self._columns, self._waiting, self._asking.ask
        look_ns, old_ns = began_ns + _WAITING_NS, began_ns + _SENT_NS
        for sent, (row, request) in enumerate(requests, 1):
            if columns.held:
                self._look()
                self._wait()
                return sent - 1
            ended_ns, response, failure = ask(0, row, request)
            if failure is not None:
                self._look()
                self._asking.keep(0, row, None, failure)
                return sent
            columns.end(0)
            waiting.append((row, response))
            if ended_ns > old_ns:
                self._look()
                return sent
            if ended_ns > look_ns or len(waiting) * _SHARE_WAITING > self._kept or len(waiting) == _MOST_WAITING:
                self._look()
                look_ns = clock_ns() + _WAITING_NS
        self._look()
        return len(requests)

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
