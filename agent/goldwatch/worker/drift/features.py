"""The columns of a row that are compared with the reference: numbers or categories, made of a golden set's inputs.

A scalar is a column, and so is each value of a vector of up to a hundred. A larger vector, a matrix or an image has
four columns, each a number that summarises the row: its mean, standard deviation, smallest and largest value. A text
is a category if the reference has few different ones, and else its length in characters. Runs in a worker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from goldwatch.golden.opened import GoldenSet

MOST_VALUES = 100
"""A vector of more values is summarised."""
MOST_COLUMNS = 200
MOST_GOLDEN_ROWS = 20_000
"""Bands are narrow enough with so many."""
MOST_CATEGORIES = 50
"""Texts of more different values are watched by their length."""

_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)(\.0+)?")

Values = NDArray[np.generic]
Rows = Mapping[str, Values]
"""Rows by input: float64 [rows, values] for numbers, objects [rows] (str or None) for text."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of the golden set. `shape` is that of one row; one that is `text` has none."""

    name: str
    shape: tuple[int, ...]
    text: bool = False

    @property
    def values(self) -> int:
        """How many values a row has of it."""
        return prod(self.shape)

    @property
    def summarised(self) -> bool:
        """Whether rows of it are watched by numbers that summarise all of their values."""
        return not self.text and (self.values > MOST_VALUES or len([size for size in self.shape if size > 1]) > 1)


def inputs_of(golden: GoldenSet, wanted: Sequence[str] = ()) -> tuple[Input, ...]:
    """Return the inputs that are watched. Raises ValueError for a name that the set has not, or too many columns."""
    known = golden.manifest.inputs
    for name in wanted:
        if name not in known:
            raise ValueError(f"live.inputs: the golden set has no input {name!r}; it has {', '.join(known)}")
    found = tuple(Input(n, spec.shape, spec.in_lines) for n, spec in known.items() if n in (wanted or known))
    count = sum(1 if i.text else 4 if i.summarised else i.values for i in found)
    if count > MOST_COLUMNS:
        raise ValueError(
            f"live: the inputs make {count} columns, at most {MOST_COLUMNS} are watched; name some in `inputs`"
        )
    return found


def golden_rows(golden: GoldenSet, inputs: Sequence[Input]) -> Rows:
    """Return the rows of the golden set itself, of a large one 20,000 at random. Raises GoldenError."""
    chosen = np.arange(golden.examples)
    if golden.examples > MOST_GOLDEN_ROWS:
        chosen = np.sort(np.random.default_rng(0).choice(golden.examples, MOST_GOLDEN_ROWS, replace=False))
    return {
        i.name: _texts(golden, i.name, chosen)
        if i.text
        else golden.tensor(f"inputs.{i.name}")[chosen].reshape(len(chosen), -1).astype(np.float64)
        for i in inputs
    }


def _texts(golden: GoldenSet, name: str, chosen: NDArray[np.int64]) -> Values:
    column = golden.text(f"inputs.{name}")
    return np.array([column[index] for index in chosen.tolist()], dtype=object)


@dataclass(frozen=True, slots=True)
class Features:
    """How rows become columns. `lengths` names the texts whose length alone is watched."""

    inputs: tuple[Input, ...]
    lengths: frozenset[str]

    @classmethod
    def of(cls, inputs: Sequence[Input], reference: Rows) -> Features:
        """Decide by the reference which texts are categories."""
        texts = [i.name for i in inputs if i.text]
        many = [name for name in texts if len({canonical(text) for text in reference[name].tolist()}) > MOST_CATEGORIES]
        return cls(tuple(inputs), frozenset(many))

    def table(self, rows: Rows) -> dict[str, Values]:
        """Return the columns [rows] by name."""
        return {name: values for i in self.inputs for name, values in self._columns(i, rows[i.name])}

    def _columns(self, of: Input, values: Values) -> Iterator[tuple[str, Values]]:
        if of.text and of.name in self.lengths:
            yield f"{of.name} length", np.array([_length(text) for text in values.tolist()], dtype=np.float64)
        elif of.text:
            yield of.name, values
        elif of.summarised:
            yield from _summaries(of.name, values.astype(np.float64))
        elif of.values == 1:
            yield of.name, values[:, 0]
        else:
            yield from ((f"{of.name}[{place}]", values[:, place]) for place in range(of.values))


def _length(text: Any) -> float:  # noqa: ANN401 - whatever the row holds
    return float("nan") if text is None else float(len(canonical(text)))


def canonical(value: object) -> str:
    """Return the text of a category, the same for a whole number in any notation: "1" for 1, 1.0, "1" and "1.0".

    Serializers differ in how they write whole numbers. Texts that no serializer makes of the same number stay apart:
    "007" and "7" may be two codes, "1.10" and "1.1" two versions.
    """
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and np.isfinite(value):
        value = repr(int(value)) if float(value).is_integer() else repr(float(value))
    text = str(value)
    if _WHOLE.fullmatch(text):
        whole = text.partition(".")[0]
        return "0" if whole == "-0" else whole
    return text


def _summaries(name: str, values: NDArray[np.float64]) -> Iterator[tuple[str, Values]]:
    """Yield a row's mean, standard deviation, smallest and largest value; a row with a missing value has none."""
    with np.errstate(invalid="ignore"):  # of infinite values there is no standard deviation: that is missing too
        yield f"{name} mean", values.mean(axis=1)
        yield f"{name} sd", values.std(axis=1)
    yield f"{name} smallest", values.min(axis=1)
    yield f"{name} largest", values.max(axis=1)
