"""A timed replay, inside the worker with the runtime or the connection.

Opening, warm-up and the replay itself are phases of their own. The garbage collector is off while requests are timed,
as CPython's own `timeit` does.
"""

from __future__ import annotations

import gc
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from goldwatch.file_identity import identity
from goldwatch.golden import lines
from goldwatch.golden.tensors import TensorLocation
from goldwatch.ipc.columns import Columns, Layout, Phase
from goldwatch.ipc.jobs import REPLAY, Emit, Progress, ReplayRequest, ReplayResponse, handles
from goldwatch.probe import BatchAxes, Context, Description, Probe, Resends, is_concurrent
from goldwatch.worker.load.asking import Asking, clock_ns
from goldwatch.worker.load.described import described
from goldwatch.worker.load.dispatch import Dispatcher
from goldwatch.worker.load.disturbances import Disturbances
from goldwatch.worker.load.layout import laid_out
from goldwatch.worker.load.names import renamed, renaming
from goldwatch.worker.load.pace import Pace
from goldwatch.worker.load.repeats import ask_twice


@handles(REPLAY)
def replay(request: ReplayRequest, descriptors: list[int], emit: Emit) -> ReplayResponse:
    """Run (the rest of) one replay, with the descriptor of its columns.

    Emits what the opened target is, and the seconds of the first request. Raises ProbeError if the target cannot be
    used.
    """
    columns = Columns(descriptors[0], Layout(request.rows, request.outputs, request.tokens))
    try:
        return _replay(request, columns, emit)
    finally:
        columns.close()  # a warm worker lives through thousands of replays


def _replay(request: ReplayRequest, columns: Columns, emit: Emit) -> ReplayResponse:
    load = request.load
    inputs = {location.name: mapped(location) for location in request.inputs}
    probe, batch = _open(request, columns, emit)
    columns.progress(Phase.WARMING_UP, clock_ns())
    pace = Pace(load, probe)
    asking = Asking(probe, inputs, columns, pace, load.samples, request.trace, batch=batch)
    resent = _resent(probe)
    _warm_up(asking, columns, load.warm_up(columns.layout.rows, request.warmup), pace, emit)
    dispatcher = Dispatcher(load, asking, columns, pace, concurrent=is_concurrent(probe), warm=request.warmup > 0)
    gc.collect()
    gc.disable()
    try:
        with Disturbances() as disturbances:
            dispatcher.run()
    finally:
        gc.enable()
    pairs = 0 if asking.hopeless else request.pairs
    return ReplayResponse(
        pairs_ns=tuple(ask_twice(probe, inputs, columns, pairs, pace, np.random.default_rng(), batch)),
        errors=asking.errors,
        resent=_resent(probe) - resent,
        disturbances=disturbances.found(),
        turn_ns=pace.book(),
        description=_described_again(probe),
        answered=asking.keeper.seen,
    )


def _resent(probe: Probe) -> int:
    return probe.resent if isinstance(probe, Resends) else 0


def _described_again(probe: Probe) -> Description | None:
    """Ask a served target once more what it is, so that a rollout during the replay does not go unseen."""
    if not probe.served:
        return None
    try:
        return described(probe)
    except Exception:  # the replay has shown how it is; the next one will show what it has become
        return None


def mapped(location: TensorLocation) -> Any:  # noqa: ANN401 - an array, or what can be sliced like one
    """Map an input of all examples. Raises GoldenError, OSError."""
    if location.dtype in (lines.TEXT, lines.JSON):
        return lines.column(location.file, "inputs", location.name, location.dtype)
    if 0 in location.shape:
        return np.zeros(location.shape, location.dtype)
    mapped = np.memmap(location.file, location.dtype, "r", location.offset, location.shape)
    return np.asarray(mapped)  # the same memory as a plain array: a memmap runs Python code at each slice


def _open(request: ReplayRequest, columns: Columns, emit: Emit) -> tuple[Probe, int]:
    """Return the target's probe, opened now or by the job before, and the one size of batch that it takes, 0 for any.

    Emits what the target is.
    """
    axes = request.batch_axes
    what = [request.factory, request.options, request.time_limit_s, asdict(axes), _certificates(request.options)]
    key = json.dumps(what, sort_keys=True)
    open_s = None
    probe = _held.take(key)
    try:
        if probe is None:
            columns.progress(Phase.OPENING, clock_ns())
            started_ns = clock_ns()
            probe = make_probe(request.factory, request.options, Context(request.time_limit_s, batch_axes=axes))
            probe.open()
            open_s = (clock_ns() - started_ns) / 1e9
        description = described(probe)
    except BaseException:
        if probe is not None:
            probe.close()
        raise
    _held.put(key, probe)
    emit(Progress(description, open_s))
    return probe, description.batch


def _certificates(options: Mapping[str, Any]) -> list[str]:
    """Return what tells the files of a connection from those that replace them, so that they are read again then."""
    paths = [options.get(name) for name in ("ca_file", "client_cert", "client_key")]
    return [str(identity(Path(path))) for path in paths if isinstance(path, str) and path]


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


def make_probe(factory: str, options: Mapping[str, Any], context: Context) -> Probe:
    """Make a probe of `module:Class` and the options as the config validated them, with the `names` among them.

    The batch axes of `context` are by the names of the golden set. Raises CannotLoad if the probe takes none.
    """
    module, _, name = factory.partition(":")
    names = options.get("names") or {}
    inputs, outputs = names.get("inputs", {}), names.get("outputs", {})
    axes = BatchAxes(renamed(context.batch_axes.inputs, inputs), renamed(context.batch_axes.outputs, outputs))
    context = replace(context, batch_axes=axes)
    cls = renaming(laid_out(getattr(importlib.import_module(module), name), axes), inputs, outputs)
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
            emit(Progress(first_request_s=(times[1] - times[0]) / 1e9))
