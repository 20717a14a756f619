"""Replays of a golden set against each other, or a long one against the reference. Runs in a worker, with numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.outcome import Outcome
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.columns import Columns
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import AGREEMENT, PARITY, Agreement, AgreementRequest, Parity, ParityRequest
from goldwatch.scratch import blocks
from goldwatch.worker.evaluators.agreement import furthest, without_value
from goldwatch.worker.evaluators.tasks import judged
from goldwatch.worker.evaluators.vectors import cosines
from goldwatch.worker.jobs.opening import layout, masked_output, open_as, replayed
from goldwatch.worker.monitors.bounds import mcnemar


@handles(PARITY)
def parity(request: ParityRequest, descriptors: list[int], emit: Emit) -> Parity:  # noqa: ARG001 - a Handler
    """Compare two replays; the first descriptor is that of the first one's columns. Raises GoldenError."""
    golden = open_as(request.golden)
    first, other = (Columns(descriptor, layout(golden)) for descriptor in descriptors)
    try:
        return _compare(golden, first, other)
    finally:
        first.close()
        other.close()


def _compare(golden: GoldenSet, first: Columns, other: Columns) -> Parity:
    outcomes = first.array("outcome"), other.array("outcome")
    task, specs = judged(golden), golden.manifest.outputs
    ours, theirs = ({name: columns.array(f"output.{name}") for name in specs} for columns in (first, other))
    right, right_too, same = task.right(ours), task.right(theirs), task.same(ours, theirs)
    numbers = [name for name, spec in specs.items() if not spec.in_lines]
    counts, largest, cosine = np.zeros(4, dtype=np.int64), 0.0, 1.0
    for rows in blocks(golden.examples, sum(ours[name][:1].size for name in numbers)):
        both = np.logical_and(*(outcome[rows] == Outcome.OK for outcome in outcomes))
        a, b = right[rows] & both, right_too[rows] & both
        counts += [np.count_nonzero(which) for which in (both, both & ~same[rows], a & ~b, b & ~a)]
        for mine, its in ((_flat(ours[name][rows][both]), _flat(theirs[name][rows][both])) for name in numbers):
            largest = max(largest, float(furthest(mine, its).max(initial=0.0)))
            cosine = float(np.minimum(cosine, cosines(mine, its).min(initial=1.0)))
    compared, flips, only_first, only_other = counts.tolist()
    sizes = {"largest": largest, "cosine": cosine} if numbers else {"largest": None, "cosine": None}
    p_value = mcnemar(only_first, only_other)
    return Parity(compared, flips, **sizes, only_first=only_first, only_other=only_other, p_value=p_value)


@handles(AGREEMENT)
def agreement(request: AgreementRequest, descriptors: list[int], emit: Emit) -> Agreement:  # noqa: ARG001 - a Handler
    """Compare a replay that repeats the examples in order with the reference. Raises GoldenError."""
    compared = harmful = helpful = 0
    with replayed(request.golden, descriptors, request.rows) as (golden, columns):
        task, n = judged(golden), golden.examples
        for start in range(0, request.rows, n):
            rows = slice(start, start + n)
            outputs = {name: _filled(columns.array(f"output.{name}")[rows], n) for name in golden.manifest.outputs}
            answered = _filled(columns.array("outcome")[rows] == Outcome.OK, n)
            for bad in without_value(outputs, answered, masked_output(golden)):
                answered[bad] = False
            difference = task.difference(outputs, answered)
            compared += difference.compared
            harmful += difference.harmful
            helpful += difference.helpful
    return Agreement(compared, harmful, helpful)


def _filled(values: NDArray[Any], n: int) -> NDArray[Any]:
    """Return some rows with zeros after them, so that there are `n`."""
    whole = np.zeros((n, *values.shape[1:]), values.dtype)
    whole[: len(values)] = values
    return whole


def _flat(array: NDArray[Any]) -> NDArray[np.float64]:
    return array.reshape(len(array), math.prod(array.shape[1:])).astype(np.float64)
