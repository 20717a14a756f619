"""How the judged output of a classifier becomes scores of its classes, whatever form it has.

An output of one score for each class is what it is. One score with a threshold, as of a sigmoid, and a predicted class,
as a number or text, become such scores as rows are read, so that all that counts classes has one form to count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from goldwatch.golden.lines import TextColumn
from goldwatch.golden.manifest import Manifest
from goldwatch.scratch import blocks


class Decision(Protocol):
    """Reads one kind of judged output; `ranked` is whether it orders the classes beyond the first."""

    ranked: bool

    def scores(self, kept: Any) -> Any:  # noqa: ANN401 - an array, or what is read like one
        """Return scores [n, classes], whose largest is the answer, of an output [n, ...] that a replay kept."""

    def spread(self, kept: Any) -> Any:  # noqa: ANN401
        """Return probabilities or logits [n, classes] of the same, which have a distance."""


def decision_of(manifest: Manifest) -> Decision:
    """Return what reads the judged output of a set with classes."""
    output, labels = manifest.outputs[manifest.decision], manifest.labels
    classes = labels.classes if labels is not None and labels.classes is not None else ()
    if labels is not None and labels.threshold is not None:
        return _OneScore(labels.threshold)
    if output.in_lines or output.is_single:
        return _Predicted(classes)
    return _EachClass()


@dataclass(frozen=True, slots=True, eq=False)
class Rows(ABC):
    """An output as scores of classes, made of the rows that are asked for."""

    kept: Any
    classes: int

    @abstractmethod
    def _read(self, some: Any) -> NDArray[Any]:  # noqa: ANN401
        """Return scores [k, classes] of some rows [k, ...]."""

    @property
    def ndim(self) -> int:
        """Two: examples and classes."""
        return 2

    @property
    def shape(self) -> tuple[int, int]:
        """How many examples and classes there are."""
        return len(self.kept), self.classes

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, rows: Any) -> Any:  # noqa: ANN401 - a number, a slice or an array of numbers
        if isinstance(rows, (int, np.integer)):
            return self._read(self.kept[int(rows) : int(rows) + 1])[0]
        if isinstance(self.kept, TextColumn) and not isinstance(rows, slice):
            return np.concatenate([self[int(row) : int(row) + 1] for row in rows])
        return self._read(self.kept[rows])


class _EachClass:
    ranked = True

    def scores(self, kept: Any) -> Any:  # noqa: ANN401
        return kept

    spread = scores


class _OneScore:
    """A score of the second of two classes, which is the answer above the threshold."""

    ranked = False

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._logits: bool | None = None  # decided by the reference, which is read first

    def scores(self, kept: Any) -> Rows:  # noqa: ANN401
        return _Above(kept, 2, self._threshold)

    def spread(self, kept: Any) -> Rows:  # noqa: ANN401
        if self._logits is None:
            self._logits = any(not _in_0_to_1(kept[rows]) for rows in blocks(len(kept)))
        return _Pair(kept, 2, self._logits)


@dataclass(frozen=True, slots=True, eq=False)
class _Above(Rows):
    threshold: float

    def _read(self, some: NDArray[Any]) -> NDArray[Any]:
        one = _single(some)
        return np.stack([np.full(len(one), self.threshold), one], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair(Rows):
    logits: bool

    def _read(self, some: NDArray[Any]) -> NDArray[Any]:
        one = _single(some)
        return np.stack([np.zeros(len(one)) if self.logits else 1 - one, one], axis=1)


class _Predicted:
    """A predicted class: its name, or its number where the names of the classes are no numbers."""

    ranked = False

    def __init__(self, classes: tuple[str, ...]) -> None:
        numbers = _numbers(classes)
        self._places: Mapping[Any, int] = {name: place for place, name in enumerate(classes)}
        self._of_number = {number: place for place, number in enumerate(numbers or range(len(classes)))}

    def scores(self, kept: Any) -> Rows:  # noqa: ANN401
        return _OneHot(kept, len(self._places) + 1, self._places, self._of_number)

    spread = scores


@dataclass(frozen=True, slots=True, eq=False)
class _OneHot(Rows):
    """A one at the predicted class; the last column is of what is no class."""

    places: Mapping[Any, int]
    of_number: Mapping[float, int]

    def _read(self, some: NDArray[Any]) -> NDArray[Any]:
        flat, other = np.asarray(some).reshape(len(some)), self.classes - 1
        if flat.dtype.kind in "SOU":
            texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in flat]
            codes = [self._of_text(text) for text in texts]
        else:
            codes = [self.of_number.get(float(value), other) for value in flat.tolist()]
        found = np.zeros((len(flat), self.classes), dtype=np.float32)
        found[np.arange(len(flat)), codes] = 1
        return found

    def _of_text(self, text: str) -> int:
        return self.places.get(text, self.places.get(text.strip(), self.classes - 1))


def _single(some: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(some, dtype=np.float64).reshape(len(some))


def _in_0_to_1(some: NDArray[Any]) -> bool:
    one = _single(some)
    return bool(((one >= 0) & (one <= 1)).all())


def _numbers(classes: tuple[str, ...]) -> list[float]:
    """Return the numbers that the names of classes are; none if one of them is no number."""
    try:
        return [float(name) for name in classes]
    except ValueError:
        return []
