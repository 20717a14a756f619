"""Gathers what people look at of one replay: examples with their inputs, the confusion matrix, the calibration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.outcome import Outcome
from goldwatch.golden.manifest import Task
from goldwatch.golden.media import shown
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.columns import Columns
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import EXHIBIT, Calibration, Exhibit, ExhibitRequest, ShownExample
from goldwatch.scratch import blocks
from goldwatch.worker.evaluators.agreement import without_value
from goldwatch.worker.evaluators.decisions import decision_of
from goldwatch.worker.evaluators.vectors import are_probabilities
from goldwatch.worker.jobs.answers import words
from goldwatch.worker.jobs.opening import masked_output, output_specs, replayed
from goldwatch.worker.monitors.bounds import lower, upper

MOST_CLASSES = 30
"""A larger matrix cannot be read."""

_BINS = 10
_ERROR = 0.025
"""Of each side of an interval."""
_ROUNDING = 1e-3
"""Probabilities are not further outside of [0, 1]."""


@handles(EXHIBIT)
def exhibit(request: ExhibitRequest, descriptors: list[int], emit: Emit) -> Exhibit:  # noqa: ARG001 - a Handler
    """Gather it. Raises GoldenError."""
    with replayed(request.golden, descriptors) as (golden, columns):
        made_with = golden.manifest.reference.made_with
        examples = tuple(_examples(golden, columns, request))
        labels = golden.manifest.labels
        if golden.task is not Task.CLASSIFICATION or labels is None or labels.classes is None:
            return Exhibit(examples, made_with=made_with)
        return Exhibit(examples, *_matrix(golden, columns, labels.classes), _calibration(golden, columns), made_with)


def _examples(golden: GoldenSet, columns: Columns, request: ExhibitRequest) -> Iterator[ShownExample]:
    left = request.most_letters
    for example in request.examples:
        label, then, now = words(golden, columns, example, example)
        inputs = tuple(shown(golden, example))
        size = sum(len(each.content) for each in inputs)
        kept = inputs if size <= left else ()
        left -= size if kept else 0
        yield ShownExample(example, golden.identity(example), label, then, now, kept, left_out=not kept)


def _answered(golden: GoldenSet, columns: Columns) -> NDArray[np.bool_]:
    """Return which examples have an answer that can be judged."""
    outputs = {spec.name: columns.array(f"output.{spec.name}") for spec in output_specs(golden)}
    answered = np.asarray(columns.outcome) == Outcome.OK
    answered[list(without_value(outputs, answered, masked_output(golden)))] = False
    return np.asarray(answered)


def _matrix(
    golden: GoldenSet, columns: Columns, classes: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Return the names of labels and answers, and how often each pair occurred."""
    if len(classes) > MOST_CLASSES:
        return (), ()
    decision = golden.manifest.decision
    scores, labels = decision_of(golden.manifest).scores(columns.array(f"output.{decision}")), golden.tensor("labels")
    width = scores.shape[1]
    counts = np.zeros((width, width), np.int64)
    answered = _answered(golden, columns)
    for rows in blocks(len(labels), width):
        ok = answered[rows]
        np.add.at(counts, (labels[rows][ok], np.asarray(scores[rows]).argmax(axis=1)[ok]), 1)
    names = (*classes, "no class")[:width]
    if width > len(classes) and not counts[:, -1].any():
        names, counts = names[:-1], counts[:-1, :-1]
    return names, tuple(tuple(row) for row in counts.tolist())


def _calibration(golden: GoldenSet, columns: Columns) -> tuple[Calibration, ...]:
    """Return how often the likeliest class was right, by its probability, in bins of equal width (Guo et al. 2017).

    There are none if the reference has no probabilities, or if the answers are none, as of a model that lost its
    softmax.
    """
    name = golden.manifest.decision
    if golden.manifest.outputs[name].in_lines or not golden.manifest.outputs[name].dtype.startswith("float"):
        return ()
    read = decision_of(golden.manifest)
    if not are_probabilities(read.spread(golden.tensor(f"outputs.{name}"))):
        return ()
    values, labels = read.spread(columns.array(f"output.{name}")), golden.tensor("labels")
    answered = _answered(golden, columns)
    sums, counts, right = np.zeros(_BINS), np.zeros(_BINS, np.int64), np.zeros(_BINS, np.int64)
    for rows in blocks(len(labels), values.shape[1]):
        some: NDArray[Any] = np.asarray(values[rows])[answered[rows]]
        if some.min(initial=0.0) < -_ROUNDING or some.max(initial=0.0) > 1 + _ROUNDING:
            return ()
        best, said = some.max(axis=1), some.argmax(axis=1)
        at = np.clip((best * _BINS).astype(np.int64), 0, _BINS - 1)
        np.add.at(sums, at, best)
        np.add.at(counts, at, 1)
        np.add.at(right, at, said == labels[rows][answered[rows]])
    return tuple(
        Calibration(total / n, n, ok, lower(ok, n, _ERROR), upper(ok, n, _ERROR))
        for total, n, ok in zip(sums.tolist(), counts.tolist(), right.tolist(), strict=True)
        if n
    )
