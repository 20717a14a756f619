"""One query of a replay: encode, predict, decode, and keep what was observed in the columns.

Nothing but the probe's `predict` is between the two readings of the clock.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from goldwatch.probe import (
    CURRENT_TRACE,
    BadAnswer,
    CountsTokens,
    Probe,
    ProbeError,
    Tensors,
    Unreachable,
    single_output,
)
from goldwatch.replay.columns import Columns
from goldwatch.replay.outcome import Outcome
from goldwatch.replay.trace import Trace

if TYPE_CHECKING:
    from goldwatch.replay.pace import Pace

MOST_FAILURES_IN_A_ROW = 10
"""After so many requests without any answer the rest is not sent: it would harm, and take for ever."""

_MOST_MESSAGES = 20
_MESSAGE_LENGTH = 200
_NO_ANSWER = frozenset({Outcome.TIMEOUT, Outcome.UNREACHABLE})

clock_ns = time.monotonic_ns


def example(inputs: Tensors, index: int) -> Tensors:
    """Return one example as a batch."""
    return {name: array[index : index + 1] for name, array in inputs.items()}


def batch(inputs: Tensors, indices: list[int]) -> Tensors:
    """Return several examples as a batch."""
    first, size = indices[0], len(indices)
    if indices == list(range(first, first + size)):
        return {name: array[first : first + size] for name, array in inputs.items()}
    return {name: np.concatenate([array[i : i + 1] for i in indices]) for name, array in inputs.items()}


class Asking:
    """Asks one probe for the rows of one replay. As thread-safe as the probe."""

    def __init__(
        self, probe: Probe, inputs: Tensors, columns: Columns, pace: Pace, samples: int, trace: Trace | None = None
    ) -> None:
        """Make ready; `samples` is the number of examples of a query, each of which carries the ids of `trace`.

        `pace` is told of each answer.
        """
        self.errors: Counter[str] = Counter()
        self._probe = probe
        self._inputs = inputs
        self._columns = columns
        self._pace = pace
        self._samples = samples
        self._trace = trace if trace is not None and trace.every else None
        self._stores = [(spec, columns.array(f"output.{spec.name}")) for spec in columns.layout.outputs]
        self._tokens = (
            _TokenColumns(probe, columns) if columns.layout.tokens and isinstance(probe, CountsTokens) else None
        )
        self._lock = threading.Lock()
        self._in_a_row = 0

    @property
    def hopeless(self) -> bool:
        """Whether too many requests in a row had no answer."""
        return self._in_a_row >= MOST_FAILURES_IN_A_ROW

    def left(self) -> list[int]:
        """Return the first row of each query that is still to be sent."""
        outcome = self._columns.outcome
        return [r for r in range(0, self._columns.layout.rows, self._samples) if outcome[r] == Outcome.NOT_SENT]

    def encode(self, row: int) -> Any:  # noqa: ANN401 - the request is the probe's own affair
        """Make the request of the query that begins at a row. Raises what the probe raises."""
        if self._trace is None:
            return self._encoded(row)
        CURRENT_TRACE.set(self._trace.of(row // self._samples))
        try:
            return self._encoded(row)
        finally:
            CURRENT_TRACE.set(None)

    def _encoded(self, row: int) -> Any:  # noqa: ANN401
        if self._samples == 1:
            return self._probe.encode(example(self._inputs, self._columns.example[row]))
        return self._probe.encode(batch(self._inputs, list(self._columns.example[row : self._end(row)])))

    def warm_up(self, row: int) -> None:
        """Send the query of a row and forget the answer: what ails the target will be counted in the replay itself."""
        response = None
        with contextlib.suppress(Exception):
            response = self._probe.predict(self._encoded(row))
        if response is not None:
            self._pace.answered(response)

    def send(self, flight: int, row: int, request: Any, due_ns: int = 0, free_ns: int = 0) -> int:  # noqa: ANN401
        """Send a request and keep what comes of it. Returns when the answer was there, by the monotonic clock.

        An open load says when it was due, and since when there was room for it: since the answer before. Raises
        CannotLoad if the tokens of the answer are to be counted and cannot be.
        """
        columns, predict = self._columns, self._probe.predict
        columns.begin(flight, row, clock_ns())
        failure: Exception | None = None
        response = None
        sent_ns = clock_ns()
        try:
            response = predict(request)
        except Exception as error:  # a failure is an observation, whatever its class
            failure = error
        ended_ns = clock_ns()
        end = self._end(row)
        for each in range(row, end):
            columns.sent_ns[each] = sent_ns
            columns.latency_ns[each] = ended_ns - sent_ns
            if due_ns:
                columns.dispatch_delay_ns[each] = sent_ns - due_ns
                columns.late_ns[each] = sent_ns - max(due_ns, free_ns)
        if failure is None:
            failure = self._keep(row, end, response)
        self._note(failure, outcome := _outcome(failure))
        for each in range(row, end):
            columns.outcome[each] = outcome
        columns.end(flight)
        if response is not None:
            self._pace.answered(response)
        return ended_ns

    def _end(self, row: int) -> int:
        return min(row + self._samples, self._columns.layout.rows)

    def _keep(self, row: int, end: int, response: Any) -> Exception | None:  # noqa: ANN401 - the probe's own type
        try:
            decoded = self._probe.decode(response)
            for spec, store in self._stores:
                store[row:end] = single_output(decoded, spec.name, spec.dtype, spec.shape, end - row)
            if self._tokens is not None and end - row == 1:
                self._tokens.keep(row, response)
        except Exception as error:  # decoding what a server sent may fail in any way
            return error if isinstance(error, BadAnswer) else BadAnswer(f"{type(error).__name__}: {error}")
        return None

    def _note(self, failure: Exception | None, outcome: Outcome) -> None:
        if failure is None:
            self._in_a_row = 0
            return
        message = str(failure) or type(failure).__name__
        if not isinstance(failure, (ProbeError, TimeoutError)):
            message = f"{type(failure).__name__}: {message}"
        message = message[:_MESSAGE_LENGTH]
        with self._lock:
            self._in_a_row = self._in_a_row + 1 if outcome in _NO_ANSWER else 0
            if message in self.errors or len(self.errors) < _MOST_MESSAGES:
                self.errors[message] += 1


class _TokenColumns:
    """Where it is kept what the answers of a language model were made of."""

    def __init__(self, probe: CountsTokens, columns: Columns) -> None:
        self._probe = probe
        self._first_ns, self._input, self._output = (
            columns.array(name) for name in ("first_token_ns", "input_tokens", "output_tokens")
        )
        self._finish = columns.array("finish")

    def keep(self, row: int, response: Any) -> None:  # noqa: ANN401 - the probe's own type
        """Keep what one answer says. Raises BadAnswer."""
        found = self._probe.tokens(response)
        self._first_ns[row] = -1 if found.first_s is None else round(found.first_s * 1e9)
        self._input[row] = -1 if found.input is None else found.input
        self._output[row] = -1 if found.output is None else found.output
        self._finish[row] = found.finish.encode("utf-8", "replace")


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
