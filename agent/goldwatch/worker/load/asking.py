"""One query of a replay: encode, predict, decode, and keep what was observed in the columns.

Nothing but the probe's `predict` is between the two readings of the clock.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from goldwatch.core.outcome import Outcome, without_frames
from goldwatch.core.trace import Trace
from goldwatch.ipc.columns import Columns
from goldwatch.probe import (
    CURRENT_TRACE,
    BadAnswer,
    EncodesEach,
    KnowsTimes,
    Overloaded,
    Probe,
    ProbeError,
    Tensors,
    Unreachable,
)
from goldwatch.redaction import redact_known
from goldwatch.worker.load.keeping import Keeper
from goldwatch.worker.load.requests import Requests

if TYPE_CHECKING:
    from goldwatch.worker.load.pace import Pace

MOST_FAILURES_IN_A_ROW = 10
"""After so many requests without any answer the rest is not sent: it would harm, and take for ever."""

MAX_BACK_OFF_S = 10.0
"""A server that asks to be left alone for longer is asked no further in this replay."""

_FIRST_BACK_OFF_S = 0.1
_MOST_MESSAGES = 20
_MESSAGE_LENGTH = 200

_MOST_AHEAD = 256
_MOST_BYTES_AHEAD = 2 * 2**20
_MOST_TEXTS_AHEAD = 16

_OK = bytes([Outcome.OK])
_NO_ANSWER = frozenset({Outcome.TIMEOUT, Outcome.UNREACHABLE})

clock_ns = time.monotonic_ns


Times = Callable[[Any, int, int], tuple[int, int]]
"""Of a response, and when `predict` was called and had returned: when it was sent, and when the answer had come."""


def times_of(probe: Probe) -> Times:
    """Return the source of the times of requests and answers: the probe if it has them, and is to be trusted."""
    if not isinstance(probe, KnowsTimes):
        return lambda _response, called_ns, returned_ns: (called_ns, returned_ns)
    times_ns = probe.times_ns

    def told(response: Any, called_ns: int, returned_ns: int) -> tuple[int, int]:  # noqa: ANN401
        sent_ns, came_ns = times_ns(response)
        return (sent_ns, came_ns) if called_ns <= sent_ns < came_ns <= returned_ns else (called_ns, returned_ns)

    return told


class Asking:
    """Asks one probe for the rows of one replay. As thread-safe as the probe."""

    def __init__(
        self,
        probe: Probe,
        inputs: Tensors,
        columns: Columns,
        pace: Pace,
        samples: int,
        trace: Trace | None = None,
        *,
        batch: int = 0,
    ) -> None:
        """Make ready; `samples` is the number of examples of a query; each query carries the ids of `trace`.

        `pace` is notified of each answer. `batch` is the one size of batch that the model takes, 0 for any.
        """
        self.errors: Counter[str] = Counter()
        self._probe = probe
        self._predict = probe.predict
        self._times = times_of(probe)
        self._inputs = inputs
        self._columns = columns
        self._pace = pace
        self._samples = samples
        self._trace = trace if trace is not None and trace.every else None
        self.requests = Requests(probe, inputs, batch)
        self.keeper = Keeper(probe, columns, self.requests)
        self._lock = threading.Lock()
        self._in_a_row = self._overloads = 0
        self._left_alone = False

    @property
    def hopeless(self) -> bool:
        """Whether too many requests in a row had no answer, or the server asks to be left alone."""
        return self._left_alone or max(self._in_a_row, self._overloads) >= MOST_FAILURES_IN_A_ROW

    def left(self) -> Sequence[int]:
        """Return the first row of each query that is still to be sent."""
        outcome, rows = self._columns.outcome, range(0, self._columns.layout.rows, self._samples)
        if not any(outcome):
            return rows
        return array("q", [row for row in rows if outcome[row] == Outcome.NOT_SENT])

    @property
    def most_ahead(self) -> int:
        """How many queries may be made into requests before they are sent, so that they take little memory."""
        if not all(hasattr(column, "nbytes") for column in self._inputs.values()):
            return _MOST_TEXTS_AHEAD
        sizes = [column.nbytes for column in self._inputs.values()]
        of_query = self._samples * sum(sizes) // max(len(next(iter(self._inputs.values()), ())), 1)
        return min(max(_MOST_BYTES_AHEAD // max(of_query, 1), 1), _MOST_AHEAD)

    def encode(self, row: int) -> Any:  # noqa: ANN401 - the request is the probe's own affair
        """Make the request of the query that begins at a row. Raises what the probe raises."""
        if self._trace is None:
            return self._encode_row(row)
        CURRENT_TRACE.set(self._trace.of(row // self._samples))
        try:
            return self._encode_row(row)
        finally:
            CURRENT_TRACE.set(None)

    @property
    def encodes_each(self) -> bool:
        """Whether `encode_each` may be used: the probe can, and the requests do not differ in their traces."""
        alone = self._samples == 1 and not self.requests.fills_each
        return self._trace is None and alone and isinstance(self._probe, EncodesEach)

    def encode_each(self, rows: Sequence[int]) -> list[Any]:
        """Make the requests of queries of one example each. Raises what the probe raises."""
        probe: Any = self._probe
        return list(probe.encode_each(self._inputs, [self._columns.example[row] for row in rows]))

    def _encode_row(self, row: int) -> Any:  # noqa: ANN401
        return self.requests.encode(self._columns.example[row : self._end(row)])

    def warm_up(self, row: int) -> tuple[int, int] | None:
        """Send the query that begins at a row, and forget the answer.

        Returns when it was sent and when the answer came, by the monotonic clock in nanoseconds; None if it failed: the
        replay itself counts failures. Raises what the probe raises while it encodes, and CannotLoad if the tokens of
        the answer are to be counted and cannot be.
        """
        request = self._encode_row(row)
        sent_ns = clock_ns()
        try:
            response = self._probe.predict(request)
        except Exception:
            return None
        times = self._times(response, sent_ns, clock_ns())
        self._pace.answered(response)
        return times

    def send(self, flight: int, row: int, request: Any, due_ns: int = 0, free_ns: int = 0) -> int:  # noqa: ANN401
        """Send a request and keep its result. Returns when the answer was read, by the monotonic clock.

        An open load gives when it was due, and since when there was room for it: since the answer before. Raises
        CannotLoad if the tokens of the answer are to be counted and cannot be.
        """
        ended_ns, response, failure = self.ask(flight, row, request, due_ns, free_ns)
        examples = len(self._rows(row))
        self.keep(flight, row, response, self.keeper.decoded(response, examples) if failure is None else failure)
        if response is not None:
            self._pace.answered(response)
        return ended_ns

    def ask(
        self,
        flight: int,
        row: int,
        request: Any,  # noqa: ANN401
        due_ns: int = 0,
        free_ns: int = 0,
    ) -> tuple[int, Any, Exception | None]:
        """Send a request. Returns when the answer was read, and the answer or what went wrong.

        Its latency is from sending to arrival at this machine, if the probe knows these times, else the time
        that `predict` took.

        To observers outside, the request is in flight until the answer is kept.
        """
        columns, predict = self._columns, self._predict
        failure: Exception | None = None
        response = None
        columns.begin(flight, row, clock_ns())
        sent_ns = clock_ns()
        try:
            response = predict(request)
            came_ns = ended_ns = clock_ns()
            sent_ns, came_ns = self._times(response, sent_ns, ended_ns)
        except Exception as error:  # a failure is an observation, whatever its class
            failure = without_frames(error)
            came_ns = ended_ns = clock_ns()
        for each in self._rows(row):
            columns.sent_ns[each] = sent_ns
            columns.latency_ns[each] = came_ns - sent_ns
            if due_ns:
                columns.dispatch_delay_ns[each] = sent_ns - due_ns
                columns.late_ns[each] = sent_ns - max(due_ns, free_ns)
        return ended_ns, response, failure

    def keep(self, flight: int, row: int, response: Any, found: Tensors | Exception) -> None:  # noqa: ANN401
        """Keep what came of a request: the outputs that were found in the answer, or the failure."""
        rows = self._rows(row)
        failure = found if isinstance(found, Exception) else self.keeper.keep(row, row + len(rows), response, found)
        self._note(failure, outcome := _outcome(failure))
        for each in rows:
            self._columns.outcome[each] = outcome
        self._columns.end(flight)
        if isinstance(failure, Overloaded):
            self._back_off(failure.retry_after_s)
        else:
            self._overloads = 0

    def _back_off(self, retry_after_s: float | None) -> None:
        """Wait as long as the server asks, or longer each time; a schedule cannot wait, so an open load then ends."""
        self._overloads += 1
        wait_s = retry_after_s
        if wait_s is None:
            wait_s = min(_FIRST_BACK_OFF_S * 2 ** (self._overloads - 1), MAX_BACK_OFF_S) if self._pace.can_wait else 0.0
        if wait_s > MAX_BACK_OFF_S or (wait_s and not self._pace.can_wait):
            self._left_alone = True
        elif not self.hopeless:
            self._pace.sleep(wait_s)

    def kept_all(self, row: int, end: int) -> None:
        """Say of rows up to `end` that their answers are kept, and are as they should be."""
        self._in_a_row = self._overloads = 0
        self._columns.outcome[row:end] = _OK * (end - row)

    def _rows(self, row: int) -> Sequence[int]:
        return (row,) if self._samples == 1 else range(row, self._end(row))

    def _end(self, row: int) -> int:
        return min(row + self._samples, self._columns.layout.rows)

    def _note(self, failure: Exception | None, outcome: Outcome) -> None:
        if failure is None:
            self._in_a_row = 0
            return
        message = str(failure) or type(failure).__name__
        if not isinstance(failure, (ProbeError, TimeoutError)):
            message = f"{type(failure).__name__}: {message}"
        message = redact_known(message)[:_MESSAGE_LENGTH]
        with self._lock:
            self._in_a_row = self._in_a_row + 1 if outcome in _NO_ANSWER else 0
            if message in self.errors or len(self.errors) < _MOST_MESSAGES:
                self.errors[message] += 1


def _outcome(failure: Exception | None) -> Outcome:
    match failure:
        case None:
            return Outcome.OK
        case TimeoutError():
            return Outcome.TIMEOUT
        case Unreachable():
            return Outcome.UNREACHABLE
        case BadAnswer():
            return Outcome.BAD_ANSWER
        case _:
            return Outcome.REJECTED
