"""Finds problems in the values of a golden set; it reads all of them, so it needs numpy and some time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from goldwatch.golden.attached import FILES_SINCE
from goldwatch.golden.error import quoted
from goldwatch.golden.lines import LINES, Lines, line_problems
from goldwatch.golden.manifest import TENSORS, Manifest, Task
from goldwatch.probe import usable
from goldwatch.scratch import blocks

Tensor: TypeAlias = Callable[[str], NDArray[Any]]


def value_problems(manifest: Manifest, tensor: Tensor, lines: Lines | None) -> Iterator[str]:
    """Yield one message for each tensor with values that no golden set may have, and for the first bad examples."""
    for name in manifest.tensors():
        if name.startswith(("inputs.", "outputs.")) or (name == "labels" and manifest.task is Task.REGRESSION):
            masked = manifest.task is Task.CLASSIFICATION and name == f"outputs.{manifest.decision}"
            yield from _not_finite(name, tensor(name), masked=masked)
    if manifest.labels is not None and manifest.labels.classes is not None:
        classes = len(manifest.labels.classes)
        yield from _out_of_range("labels", tensor("labels"), 0, classes - 1, f"labels.classes has {classes}")
    if lines is not None:
        yield from _line_problems(manifest, lines)
    for name, kind in manifest.slices.items():
        count = len(kind.values)
        why = f"slices.{name} has {count}, -1 is none"
        yield from _out_of_range(f"slices.{name}", tensor(f"slices.{name}"), -1, count - 1, why)
    if manifest.clusters is not None:
        codes = tensor("clusters")
        yield from _out_of_range("clusters", codes, -1, len(codes) - 1, "a number for each cluster, -1 is none")
    for half, replays in enumerate(manifest.reference.replays):
        why = f"reference.replays has {replays} in half {half + 1}"
        yield from _out_of_range("reference.right", tensor("reference.right")[half], 0, replays, why)
    for kept in manifest.reference.keeps or ():
        yield from _outside_0_to_1(f"reference.{kept}", tensor(f"reference.{kept}"))
    of_scores = [f"reference.scores.{score}" for score in manifest.reference.scores or ()]
    of_controls = [f"reference.controls.{score}" for score in manifest.reference.controls or ()]
    for name in (*of_scores, *of_controls):
        yield from _outside_0_to_1(name, tensor(name), gaps=True)


def _line_problems(manifest: Manifest, lines: Lines) -> Iterator[str]:
    if len(lines) != manifest.examples:
        yield (
            f"{LINES} has {len(lines):,} lines, golden.json says {manifest.examples:,} examples; "
            "correct the one that is wrong and freeze the set again"
        )
    inputs = {name: spec.dtype for name, spec in manifest.inputs.items() if spec.in_lines}
    outputs = {name: spec.kept_bytes for name, spec in manifest.outputs.items() if spec.in_lines}
    labelled = manifest.labels is not None and manifest.labels.match is not None
    fields, human = manifest.fields or (), manifest.human
    files = manifest.files if manifest.format >= FILES_SINCE else None
    yield from line_problems(lines, inputs, outputs, answers=labelled, fields=fields, files=files, human=human)


def _not_finite(name: str, values: NDArray[Any], *, masked: bool) -> Iterator[str]:
    """Report the examples that hold NaN or infinity; where classes can be `masked`, -inf is a score."""
    if values.dtype.kind != "f":
        return

    def endless(rows: slice) -> NDArray[np.bool_]:
        block = values[rows].reshape(rows.stop - rows.start, -1)
        return np.asarray(~(usable(block) if masked else np.isfinite(block).all(axis=1)))

    count, first = _bad(len(values), endless, values[:1].size)
    if count:
        yield (
            f"{TENSORS}: tensor {quoted(name)} holds NaN or infinity in {count:,} of {len(values):,} examples, "
            f"the first is example {first}; repair or leave out these examples and freeze the set again"
        )


def _bad(rows: int, which: Callable[[slice], NDArray[np.bool_]], width: int = 1) -> tuple[int, int]:
    """Return how many of the rows are bad, and the first of them; a block at a time, since a set may exceed memory."""
    count, first = 0, -1
    for block in blocks(rows, width):
        bad = np.flatnonzero(which(block))
        if first < 0 and len(bad):
            first = block.start + int(bad[0])
        count += len(bad)
    return count, first


def _out_of_range(name: str, values: NDArray[Any], low: int, high: int, why: str) -> Iterator[str]:
    count, first = _bad(len(values), lambda rows: (values[rows] < low) | (values[rows] > high))
    if count:
        yield (
            f"{TENSORS}: tensor {quoted(name)} is out of range in {count:,} of {len(values):,} examples, "
            f"the first is example {first} with {values[first]}; expected {low} to {high} ({why}); "
            "correct these values and freeze the set again"
        )


def _outside_0_to_1(name: str, values: NDArray[Any], *, gaps: bool = False) -> Iterator[str]:
    """Report the places outside of the range; NaN is outside unless there may be `gaps`."""
    every = values.reshape(-1)

    def outside(rows: slice) -> NDArray[np.bool_]:
        inside = (every[rows] >= 0) & (every[rows] <= 1)
        return np.asarray(~(inside | np.isnan(every[rows])) if gaps else ~inside)

    count, first = _bad(every.size, outside)
    if count:
        replay, example = divmod(first, values.shape[1])
        yield (
            f"{TENSORS}: tensor {quoted(name)} is out of range in {count:,} of {values.size:,} places, the first is "
            f"example {example} of replay {replay} with {values[replay, example]}; expected 0 to 1; freeze it again"
        )
