"""What a first golden set says of the outputs of a model, and of the labels that are given for them.

Runs in a worker, next to `goldwatch.worker.jobs.examples`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from goldwatch.golden.error import quoted
from goldwatch.golden.examples import Examples
from goldwatch.golden.lines import JSON, TEXT
from goldwatch.golden.tensors import NUMPY_DTYPES
from goldwatch.probe import Axes
from goldwatch.scratch import blocks, column, distinct
from goldwatch.worker.jobs.judged import is_regression, judged
from goldwatch.worker.jobs.labels import alike, class_numbers, is_missing, name_order

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

LABELS = "labels"

_JSON_BYTES = 16_384
"""Kept of a JSON output: 200 boxes of six numbers."""

Parts = tuple[dict[str, Any], "dict[str, NDArray[Any]]"]
"""A part of a manifest, and the tensors that it tells of."""


def answered(examples: Examples, n: int, labels: NDArray[Any] | None, notes: list[str]) -> Parts:
    """Return what the manifest and tensors say of outputs and labels, of `n` examples. Adds `notes`.

    Outputs that are still unknown are one number, so that a target can be asked what they are.
    """
    if not examples.outputs and labels is not None and not is_regression(examples, labels):
        _labelled(examples, labels, None)  # what is wrong with them is wrong with any output
    if unknown := [dtype for _, dtype, _ in examples.outputs if dtype not in NUMPY_DTYPES | {TEXT, JSON}]:
        expected = ", ".join([*sorted(NUMPY_DTYPES), TEXT, JSON])
        raise examples.error(f"an output of dtype {quoted(unknown[0])}; expected one of {expected}")
    manifest: dict[str, Any] = {"task": "embedding"}
    tensors: dict[str, NDArray[Any]] = {}
    if examples.outputs:
        about, found = _judged(examples, labels, notes)
        manifest |= about
        tensors |= {} if found is None else {LABELS: found}
    outputs = examples.outputs or (("answer", "float32", (1,)),)
    manifest["outputs"] = {
        name: {"dtype": dtype, "shape": list(shape), "tolerance": 0 if dtype == TEXT else examples.tolerance}
        | axis_of(name, examples.batch_axes.outputs)
        | ({"max_bytes": _JSON_BYTES} if dtype == JSON else {})
        for name, dtype, shape in outputs
    }
    numbers = [output for output in outputs if output[1] in NUMPY_DTYPES]
    tensors |= {f"outputs.{name}": nothing((n, *shape), dtype) for name, dtype, shape in numbers}
    return manifest, tensors


def axis_of(name: str, axes: Axes) -> dict[str, Any]:
    """Return what the manifest says of the batch axis of a tensor: nothing if it is the first."""
    axis = axes.get(name, 0)
    return {} if axis == 0 else {"batch_axis": "none" if axis is None else axis}


def nothing(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return zeros, which take no room until they are written."""
    import numpy as np  # noqa: PLC0415 - as above

    return np.broadcast_to(np.zeros((), dtype), shape)


def _judged(
    examples: Examples, labels: NDArray[Any] | None, notes: list[str]
) -> tuple[dict[str, Any], NDArray[Any] | None]:
    """Return what the manifest says of the output that is judged, and the labels. Adds `notes`."""
    import numpy as np  # noqa: PLC0415 - as above

    found = judged(examples, labels)
    notes += found.notes
    about: dict[str, Any] = {"task": str(found.task), "decision": found.output[0]}
    if labels is None:
        return about, None
    if found.within is not None:
        return about | {"labels": {"within": found.within}}, labels.astype(np.float64).reshape(-1, *found.output[2])
    codes, classes = _labelled(examples, labels, found.width)
    threshold = {} if found.threshold is None else {"threshold": found.threshold}
    return about | {"labels": {"classes": list(classes), **threshold}}, codes


def _labelled(examples: Examples, values: NDArray[Any], width: int | None) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return class numbers [n], and the names of the classes; `width` is how many scores the target gives."""
    import numpy as np  # noqa: PLC0415 - as above

    names = examples.classes
    if width is None and not names and values.dtype.kind in "iufb" and values.min(initial=0) < 0:
        found = distinct(values)  # a predicted class may have any number
        numbers = column(len(values), np.int64, lambda rows: np.searchsorted(found, values[rows]))
        return numbers, tuple(f"{number:g}" for number in found.tolist())
    if values.dtype.kind in "iufb":
        _refuse(
            examples, values, lambda some: ~(np.isfinite(some) & (some >= 0) & (some % 1 == 0)), "is no class number"
        )
        numbers = column(len(values), np.int64, values.__getitem__)
        highest = int(numbers.max())
        most = len(names) or width or max(highest + 1, 2)
        if highest >= most:
            whose = "--classes names" if names else "the target gives scores for"
            raise examples.error(f"labels has the class number {highest:,}, and {whose} {most:,} classes, from 0")
        return numbers, names or tuple(map(str, range(most)))
    codes, known = coded(values)
    _refuse(examples, codes, lambda some: some < 0, "is empty", values)
    if missing := [code for code, name in enumerate(known) if is_missing(name) and name not in names]:
        what = "means a missing value (name it with --classes if it is a class)"
        _refuse(examples, codes, lambda some: some == missing[0], what, values)
    if names:
        order = np.array([names.index(name) if name in names else -1 for name in known], dtype=np.int64)
        numbers = column(len(codes), np.int64, lambda rows: order[codes[rows]])
        _refuse(examples, numbers, lambda some: some < 0, "is none of --classes", values)
        return numbers, names
    if counted := class_numbers(known, width):
        as_numbers = np.array(counted, dtype=np.int64)
        return column(len(codes), np.int64, lambda rows: as_numbers[codes[rows]]), tuple(map(str, range(width or 0)))
    if pair := alike(known):
        how = "correct them, or name both with --classes"
        raise examples.error(
            f"labels has {quoted(pair[0])} and {quoted(pair[1])}, which differ in case or spaces; {how}"
        )
    if width not in (None, len(known)):
        how = "name all classes with --classes, in the order of the scores"
        raise examples.error(f"labels has {len(known):,} names, and the target gives {width:,} scores; {how}")
    ranked = name_order(known)
    places = np.argsort(ranked)
    return column(len(codes), np.int64, lambda rows: places[codes[rows]]), tuple(known[i] for i in ranked)


def _refuse(
    examples: Examples,
    values: NDArray[Any],
    bad: Callable[[NDArray[Any]], NDArray[Any]],
    what: str,
    shown: NDArray[Any] | None = None,
) -> None:
    """Raise GoldenError if some labels are `bad`, with the first of them, as it was `shown` in the file."""
    import numpy as np  # noqa: PLC0415 - as above

    for rows in blocks(len(values)):
        if (found := np.flatnonzero(bad(values[rows]))).size:
            first = rows.start + int(found[0])
            given = (values if shown is None else shown)[first]
            label = _name(given) or str(given)
            why = "correct it, or leave out examples without a label"
            raise examples.error(f"the label of example {first}, {quoted(label)}, {what}; {why}")


def coded(values: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """Return numbers [n] and the names that they count, in rising order; -1 is a missing value, see `_name`."""
    import numpy as np  # noqa: PLC0415 - as above

    found = distinct(values)
    names = [_name(value) for value in found]
    known = {name: number for number, name in enumerate(dict.fromkeys(name for name in names if name))}
    order = np.array([known.get(name, -1) for name in names], dtype=np.int64)
    return column(len(values), np.int64, lambda rows: order[np.searchsorted(found, values[rows])]), list(known)


def _name(value: Any) -> str:  # noqa: ANN401 - a number or text, as numpy has it
    """Return what a value is called: empty for a missing one, which is NaN, -1 or the empty text."""
    if value.dtype.kind == "S":
        return str(value.decode("utf-8", "replace"))
    if value.dtype.kind not in "iuf":
        return str(value)
    if math.isnan(value) or value == -1:
        return ""
    return str(int(value)) if value % 1 == 0 else str(value)


def one_name(examples: Examples, names: Iterable[str]) -> str:
    """Return the one name of clusters. Raises GoldenError for several."""
    if len(found := sorted(set(names))) > 1:
        raise examples.error(f"has clusters by {' and '.join(found)}; write those by one name")
    return found[0]
