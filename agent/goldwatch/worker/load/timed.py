"""A timed replay, as it runs inside the worker beside the runtime or the connection.

Opening, warm-up and the replay itself are phases of their own. The garbage collector is off while requests are timed,
as CPython's own `timeit` does.
"""

from __future__ import annotations

import gc
import importlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from goldwatch.core.load_plan import LoadPlan
from goldwatch.core.trace import Trace
from goldwatch.golden import lines
from goldwatch.ipc.channel import Emit
from goldwatch.ipc.columns import Columns, Layout, Phase
from goldwatch.probe import Context, Probe, Resends, TensorSpec, is_concurrent
from goldwatch.worker.load.asking import Asking, clock_ns
from goldwatch.worker.load.described import described
from goldwatch.worker.load.dispatch import Dispatcher
from goldwatch.worker.load.disturbances import Disturbances
from goldwatch.worker.load.pace import Pace
from goldwatch.worker.load.repeats import ask_twice


def replay(argument: dict[str, Any], descriptors: list[int], emit: Emit) -> dict[str, Any]:
    """Run (the rest of) one replay: the job that the engine sends.

    Returns the latencies of pairs of equal requests, the counts of error messages and of requests sent again, what
    disturbed the timing, when the budgets allow the next request, by the monotonic clock, and the target's description
    at the end. Emits `opened` with the target's description and the seconds that it took to open (None if it was open),
    and `first` with the seconds of the first request. Raises ProbeError if the target cannot be used.
    """
    outputs = tuple(TensorSpec(o["name"], o["dtype"], tuple(o["shape"])) for o in argument["outputs"])
    load = LoadPlan(**argument["load"])
    columns = Columns(descriptors[0], Layout(argument["rows"], outputs, argument["tokens"]))
    try:
        return _replay(argument, load, columns, emit)
    finally:
        columns.close()  # a warm worker lives through thousands of replays


def _replay(argument: dict[str, Any], load: LoadPlan, columns: Columns, emit: Emit) -> dict[str, Any]:
    inputs = {i["name"]: mapped(i) for i in argument["inputs"]}
    probe, batch = _open(argument, columns, emit)
    columns.progress(Phase.WARMING_UP, clock_ns())
    pace = Pace(load, probe)
    trace = Trace(**argument["trace"]) if argument["trace"] is not None else None
    asking = Asking(probe, inputs, columns, pace, load.samples, trace, batch=batch)
    resent = _resent(probe)
    _warm_up(asking, columns, load.warm_up(columns.layout.rows, argument["warmup"]), pace, emit)
    dispatcher = Dispatcher(load, asking, columns, pace, concurrent=is_concurrent(probe), warm=argument["warmup"] > 0)
    gc.collect()
    gc.disable()
    try:
        with Disturbances() as disturbances:
            dispatcher.run()
    finally:
        gc.enable()
    pairs = 0 if asking.hopeless else argument.get("pairs", 0)
    return {
        "pairs": ask_twice(probe, inputs, columns, pairs, pace, np.random.default_rng(), batch),
        "errors": asking.errors,
        "resent": _resent(probe) - resent,
        "disturbances": asdict(disturbances.found()),
        "turn_ns": pace.book(),
        "description": _described_again(probe),
    }


def _resent(probe: Probe) -> int:
    return probe.resent if isinstance(probe, Resends) else 0


def _described_again(probe: Probe) -> dict[str, Any] | None:
    """Ask a served target once more what it is, so that a rollout during the replay does not go unseen."""
    if not probe.served:
        return None
    try:
        return asdict(described(probe))
    except Exception:  # the replay has shown how it is; the next one will show what it has become
        return None


def mapped(location: dict[str, Any]) -> Any:  # noqa: ANN401 - an array, or what can be sliced like one
    """Map an input of all examples, of which the location is told in plain values. Raises GoldenError, OSError."""
    shape = tuple(location["shape"])
    if location["dtype"] in (lines.TEXT, lines.JSON):
        return lines.column(location["file"], "inputs", location["name"], location["dtype"])
    if 0 in shape:
        return np.zeros(shape, location["dtype"])
    mapped = np.memmap(location["file"], location["dtype"], "r", location["offset"], shape)
    return np.asarray(mapped)  # the same memory as a plain array: a memmap runs Python code at each slice


def _open(argument: dict[str, Any], columns: Columns, emit: Emit) -> tuple[Probe, int]:
    """Return the target's probe, opened now or by the job before, and the one size of batch that it takes, 0 for any.

    Emits what the target is.
    """
    key = json.dumps([argument["factory"], argument["options"], argument["time_limit_s"]], sort_keys=True)
    open_s = None
    probe = _held.take(key)
    try:
        if probe is None:
            columns.progress(Phase.OPENING, clock_ns())
            started_ns = clock_ns()
            probe = make_probe(argument["factory"], argument["options"], Context(argument["time_limit_s"]))
            probe.open()
            open_s = (clock_ns() - started_ns) / 1e9
        description = described(probe)
    except BaseException:
        if probe is not None:
            probe.close()
        raise
    _held.put(key, probe)
    emit({"event": "opened", "description": asdict(description), "open_s": open_s})
    return probe, description.batch


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


def _warm_up(asking: Asking, columns: Columns, rows: Sequence[int], pace: Pace, emit: Emit) -> None:
    """Send the queries that begin at these rows and drop the answers; the first is timed and reported by itself.

    One that fails ends the warm-up: the replay itself counts what ails the target.
    """
    for i, row in enumerate(rows):
        pace.wait_warming_up(columns)
        times = asking.warm_up(row)
        if times is None:
            return
        if i == 0:
            emit({"event": "first", "first_request_s": (times[1] - times[0]) / 1e9})
