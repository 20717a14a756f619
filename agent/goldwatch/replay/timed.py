"""The timed loop, as it runs inside the worker beside the runtime or the connection.

Nothing but the probe's `predict` is between the two readings of the clock. Encoding, decoding and bookkeeping happen
outside of them; the garbage collector is off while requests are timed, as CPython's own `timeit` does.
"""

from __future__ import annotations

import gc
import importlib
import json
import time
from collections import Counter
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from goldwatch.golden import lines
from goldwatch.probe import (
    BadAnswer,
    Context,
    CountsTokens,
    Probe,
    ProbeError,
    Tensors,
    TensorSpec,
    Unreachable,
    single_output,
)
from goldwatch.replay.columns import Columns, Layout, Phase
from goldwatch.replay.outcome import Outcome

if TYPE_CHECKING:
    from goldwatch.replay.worker import Emit

MOST_FAILURES_IN_A_ROW = 10
"""After so many requests without any answer the rest is not sent: it would harm, and take for ever."""

_MOST_MESSAGES = 20
_MESSAGE_LENGTH = 200
_NO_ANSWER = frozenset({Outcome.TIMEOUT, Outcome.UNREACHABLE})

_clock_ns = time.monotonic_ns


def replay(argument: dict[str, Any], descriptors: list[int], emit: Emit) -> dict[str, Any]:
    """Run (the rest of) one replay: the job that the engine sends. Returns the counts of error messages.

    Emits `opened` with the target's description and the seconds that it took to open (None if it was open), and
    `first` with the seconds of the first request. Raises ProbeError if the target cannot be used.
    """
    outputs = tuple(TensorSpec(o["name"], o["dtype"], tuple(o["shape"])) for o in argument["outputs"])
    columns = Columns(descriptors[0], Layout(argument["rows"], outputs, argument["tokens"]))
    try:
        return {"errors": _replay(argument, columns, emit)}
    finally:
        columns.close()  # a warm worker lives through thousands of replays


def _replay(argument: dict[str, Any], columns: Columns, emit: Emit) -> Counter[str]:
    inputs = {i["name"]: _mapped(i) for i in argument["inputs"]}
    probe = _open(argument, columns, emit)
    columns.progress(Phase.WARMING_UP, 0, _clock_ns())
    _warm_up(probe, inputs, columns, argument["warmup"], emit)
    loop = _Loop(probe, inputs, columns)
    gc.collect()
    gc.disable()
    try:
        loop.run(argument["start"])
    finally:
        gc.enable()
    return loop.errors


def _mapped(location: dict[str, Any]) -> Any:  # noqa: ANN401 - an array, or what can be sliced like one
    shape = tuple(location["shape"])
    if location["dtype"] in (lines.TEXT, lines.JSON):
        return lines.column(location["file"], "inputs", location["name"], location["dtype"])
    if 0 in shape:
        return np.zeros(shape, location["dtype"])
    mapped = np.memmap(location["file"], location["dtype"], "r", location["offset"], shape)
    return np.asarray(mapped)  # the same memory as a plain array: a memmap runs Python code at each slice


def _open(argument: dict[str, Any], columns: Columns, emit: Emit) -> Probe:
    """Return the target's probe, opened now or by the job before, and tell the agent what the target is."""
    key = json.dumps([argument["factory"], argument["options"], argument["time_limit_s"]], sort_keys=True)
    open_s = None
    probe = _held.take(key)
    try:
        if probe is None:
            columns.progress(Phase.OPENING, 0, _clock_ns())
            started_ns = _clock_ns()
            probe = make_probe(argument["factory"], argument["options"], Context(argument["time_limit_s"]))
            probe.open()
            open_s = (_clock_ns() - started_ns) / 1e9
        description = probe.describe()
    except BaseException:
        if probe is not None:
            probe.close()
        raise
    _held.put(key, probe)
    emit({"event": "opened", "description": asdict(description), "open_s": open_s})
    return probe


class _Held:
    """The one probe that this worker holds open between jobs: a warm worker finds its model here."""

    def __init__(self) -> None:
        self._key = ""
        self._probe: Probe | None = None

    def take(self, key: str) -> Probe | None:
        """Give up the held probe if it was made from `key`; close it otherwise."""
        probe, self._probe = self._probe, None
        if probe is not None and self._key != key:
            probe.close()
            return None
        return probe

    def put(self, key: str, probe: Probe) -> None:
        self._key, self._probe = key, probe


_held = _Held()


def make_probe(factory: str, options: dict[str, Any], context: Context) -> Probe:
    """Make a probe of `module:Class` and the options as the config validated them."""
    module, _, name = factory.partition(":")
    cls: Any = getattr(importlib.import_module(module), name)
    known = {f.name for f in fields(cls.Options)}
    probe: Probe = cls(cls.Options(**{k: v for k, v in options.items() if k in known}), context)
    return probe


def _warm_up(probe: Probe, inputs: Tensors, columns: Columns, count: int, emit: Emit) -> None:
    """Send `count` requests whose answers are dropped; the first is timed and reported by itself."""
    for i in range(count):
        request = probe.encode(_example(inputs, columns.example[i % columns.layout.rows]))
        columns.progress(Phase.WARMING_UP, i, _clock_ns())
        sent_ns = _clock_ns()
        try:
            probe.predict(request)
        except Exception:  # what ails the target will show, and be counted, in the replay itself
            return
        if i == 0:
            emit({"event": "first", "first_request_s": (_clock_ns() - sent_ns) / 1e9})


def _example(inputs: Tensors, index: int) -> Tensors:
    return {name: array[index : index + 1] for name, array in inputs.items()}


class _Loop:
    """Single-stream: the next request is sent when the answer to the one before is there."""

    def __init__(self, probe: Probe, inputs: Tensors, columns: Columns) -> None:
        self.errors: Counter[str] = Counter()
        self._probe = probe
        self._inputs = inputs
        self._columns = columns
        self._stores = [(spec, columns.array(f"output.{spec.name}")) for spec in columns.layout.outputs]
        self._tokens = (
            _TokenColumns(probe, columns) if columns.layout.tokens and isinstance(probe, CountsTokens) else None
        )

    def run(self, start: int) -> None:
        in_a_row = 0
        for row in range(start, self._columns.layout.rows):
            outcome = self._one(row)
            in_a_row = in_a_row + 1 if outcome in _NO_ANSWER else 0
            if in_a_row == MOST_FAILURES_IN_A_ROW:
                return

    def _one(self, row: int) -> Outcome:
        columns, predict = self._columns, self._probe.predict
        columns.progress(Phase.REPLAYING, row, _clock_ns())
        request = self._probe.encode(_example(self._inputs, columns.example[row]))
        columns.progress(Phase.REPLAYING, row, _clock_ns())
        failure: Exception | None = None
        response = None
        sent_ns = _clock_ns()
        try:
            response = predict(request)
        except Exception as error:  # a failure is an observation, whatever its class
            failure = error
        latency_ns = _clock_ns() - sent_ns
        columns.sent_ns[row] = sent_ns
        columns.latency_ns[row] = latency_ns
        if failure is None:
            failure = self._keep(row, response)
        outcome = _outcome(failure)
        if failure is not None:
            self._note(failure)
        columns.outcome[row] = outcome
        return outcome

    def _keep(self, row: int, response: Any) -> Exception | None:  # noqa: ANN401 - the probe's own type
        try:
            decoded = self._probe.decode(response)
            for spec, store in self._stores:
                store[row] = single_output(decoded, spec.name, spec.dtype, spec.shape, 1)[0]
            if self._tokens is not None:
                self._tokens.keep(row, response)
        except Exception as error:  # decoding what a server sent may fail in any way
            return error if isinstance(error, BadAnswer) else BadAnswer(f"{type(error).__name__}: {error}")
        return None

    def _note(self, failure: Exception) -> None:
        message = str(failure) or type(failure).__name__
        if not isinstance(failure, (ProbeError, TimeoutError)):
            message = f"{type(failure).__name__}: {message}"
        message = message[:_MESSAGE_LENGTH]
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
        not_sent = columns.array("outcome") == Outcome.NOT_SENT  # what a worker before this one kept stays
        for unknown in (self._first_ns, self._input, self._output):
            unknown[not_sent] = -1

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
