"""Decide what `golden build` judges: which output, as which task, from what the outputs look like and the labels.

Runs in a worker, next to `goldwatch.worker.jobs.examples`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from goldwatch.golden.error import quoted
from goldwatch.golden.examples import Examples, Spec
from goldwatch.golden.lines import JSON, TEXT
from goldwatch.golden.manifest import Task
from goldwatch.golden.tensors import NUMPY_DTYPES
from goldwatch.scratch import blocks, distinct

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OF_STANDARD_DEVIATION = 0.25
"""The share of the labels' standard deviation that is a right value of a regression, by default."""

_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Judged:
    """The output that is judged, the task, and the content of the labels besides the classes."""

    output: Spec
    task: Task
    threshold: float | None = None
    within: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int | None:
        """How many classes have a score; None for a predicted class."""
        _, dtype, shape = self.output
        if self.threshold is not None:
            return 2
        return shape[0] if len(shape) == 1 and not _is_single(self.output) and dtype not in (TEXT, JSON) else None


def judged(examples: Examples, labels: NDArray[Any] | None) -> Judged:
    """Choose, and note each choice. Raises GoldenError with the options of `golden build` that decide."""
    if labels is None:
        return Judged(
            _one(examples, [o for o in examples.outputs if o[1] != TEXT], "are numbers or JSON"), Task.EMBEDDING
        )
    numbers = labels.dtype.kind in "iufb"
    values = len(distinct(labels)) if labels.ndim == 1 else 0
    has_values = labels.ndim > 1 or examples.within is not None or any(map(_is_single, examples.outputs))
    if is_regression(examples, labels) and has_values:
        return _regression(examples, labels)
    classes = len(examples.classes) or (_most(labels) if numbers else values)
    for fits, candidates in _candidates(examples.outputs, classes, numbers=numbers):
        if candidates:
            output = _one(examples, candidates, fits)
            if output[1].startswith("float") and _is_single(output):
                return _one_score(examples, output, labels, values or classes)
            return Judged(output, Task.CLASSIFICATION)
    raise examples.error(_no_candidate(examples, classes))


def is_regression(examples: Examples, labels: NDArray[Any]) -> bool:
    """Return whether labels are values and no classes, whatever the output."""
    numbers = labels.dtype.kind in "iufb"
    return numbers and (labels.ndim > 1 or examples.within is not None or not _whole(labels))


def _one_score(examples: Examples, output: Spec, labels: NDArray[Any], values: int) -> Judged:
    if len(examples.classes) == 2 or values == 2 or examples.threshold is not None:
        threshold = _THRESHOLD if examples.threshold is None else examples.threshold
        how = "by --threshold" if examples.threshold is not None else "as of a probability; of a logit, --threshold 0"
        note = f"threshold: {threshold:g}, above which the answer is the second class, {how}"
        return Judged(output, Task.CLASSIFICATION, threshold=threshold, notes=(note,))
    if labels.dtype.kind not in "iufb":
        raise examples.error(
            f"has {values:,} classes, and the output {quoted(output[0])} gives one score; take an output with a "
            "score for each class by --decision, or let the model give them"
        )
    return _regression(examples, labels)


def _regression(examples: Examples, labels: NDArray[Any]) -> Judged:
    import numpy as np  # noqa: PLC0415 - the agent's side of this module does without

    shape = labels.shape[1:]
    fit = [o for o in examples.outputs if o[1] in NUMPY_DTYPES and _size(o) == math.prod(shape)]
    output = _one(examples, fit, f"have {math.prod(shape)} values an example, as the labels have")
    if not np.isfinite(labels.astype(np.float64)).all():
        raise examples.error("labels has NaN or infinity; leave out examples without a true value")
    within, notes = examples.within, []
    if within is None:
        within = float(f"{_OF_STANDARD_DEVIATION * float(labels.astype(np.float64).std()):.3g}")
        if not within > 0:
            raise examples.error("labels are all equal; say with --within which error is still right")
        notes.append(
            f"regression: an error of at most {within:g} is right, a quarter of the labels' deviation (--within)"
        )
    return Judged(output, Task.REGRESSION, within=within, notes=tuple(notes))


def _candidates(outputs: Sequence[Spec], classes: int, *, numbers: bool) -> Iterator[tuple[str, list[Spec]]]:
    """Yield the outputs that may be judged, the best kind first, each with what they have in common."""
    arrays = [o for o in outputs if o[1] in NUMPY_DTYPES]
    vectors = [o for o in arrays if len(o[2]) == 1 and o[2][0] > 1]
    yield "have a score for each class", [o for o in vectors if (o[2][0] >= classes if numbers else o[2][0] == classes)]
    yield "have one score for each class", vectors
    yield "are a predicted class", [o for o in outputs if _is_class(o)]
    yield "are one score", [o for o in arrays if o[1].startswith("float") and _is_single(o)]


def _is_class(output: Spec) -> bool:
    return output[1] == TEXT or (output[1] in NUMPY_DTYPES and not output[1].startswith("float") and _is_single(output))


def _one(examples: Examples, candidates: Sequence[Spec], what: str) -> Spec:
    """Return the one that is meant. Raises GoldenError for none, and for several."""
    if examples.decision:
        named = [o for o in examples.outputs if o[0] == examples.decision]
        if not named:
            raise examples.error(
                f"--decision: {quoted(examples.decision)} is not an output; {_listed(examples.outputs)}"
            )
        return named[0]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = ", ".join(quoted(o[0]) for o in candidates)
        raise examples.error(f"several outputs {what}: {names}; name the one to judge by --decision")
    raise examples.error(f"no output can be judged; {_listed(examples.outputs)}; name one by --decision")


def _no_candidate(examples: Examples, classes: int) -> str:
    return (
        f"has labels of {classes:,} classes, and no output says a class; {_listed(examples.outputs)}; expected one "
        "score for each class [classes], a predicted class, or one score of two classes: name it by --decision, or "
        "leave the labels out, to compare values with the reference"
    )


def _listed(outputs: Sequence[Spec]) -> str:
    return "the target gives " + (
        ", ".join(f"{name}:{dtype}:{_sizes(shape)}" for name, dtype, shape in outputs) or "none"
    )


def _sizes(shape: Sequence[int]) -> str:
    return ",".join(map(str, shape))


def _size(output: Spec) -> int:
    return math.prod(output[2])


def _is_single(output: Spec) -> bool:
    return _size(output) == 1


def _whole(labels: NDArray[Any]) -> bool:
    """Return whether all numbers are whole; a missing one, NaN, is refused elsewhere as a label."""
    import numpy as np  # noqa: PLC0415 - as above

    return labels.dtype.kind in "iub" or all(bool((np.isnan(s) | (s % 1 == 0)).all()) for s in _parts(labels))


def _most(labels: NDArray[Any]) -> int:
    """Return how many classes there are at least, of class numbers from 0."""
    import numpy as np  # noqa: PLC0415 - as above

    return max(int(np.nanmax(labels, initial=0)) + 1, 2)


def _parts(labels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (labels[rows] for rows in blocks(len(labels)))
