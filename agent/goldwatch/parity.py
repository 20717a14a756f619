"""Two replays of one golden set against each other, example by example. Runs in a worker process, beside numpy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.golden.opened import GoldenSet
from goldwatch.judge import open_as, output_specs
from goldwatch.replay.columns import Columns, Layout
from goldwatch.replay.outcome import Outcome


def parity(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:  # noqa: ARG001 - a Job
    """Compare two replays: a job for a worker, with the descriptors of the first one's columns and of the other's.

    Takes `path` and `digest` of the golden set. Returns how many examples both answered (`compared`) and in how many of
    them their answers differ in class (`flips`), the `largest` absolute difference of any output, the smallest `cosine`
    of any example, how many only the first or only the other has right, and the `p_value` of that difference. Raises
    GoldenError.
    """
    golden = open_as(Path(argument["path"]), argument["digest"])
    layout = Layout(golden.examples, output_specs(golden))
    first, other = (Columns(descriptor, layout) for descriptor in descriptors)
    try:
        return _compare(golden, first, other)
    finally:
        first.close()
        other.close()


def _compare(golden: GoldenSet, first: Columns, other: Columns) -> dict[str, Any]:
    both = (first.array("outcome") == Outcome.OK) & (other.array("outcome") == Outcome.OK)
    decision = f"output.{golden.manifest.decision}"
    ours, theirs = first.array(decision)[both].argmax(axis=1), other.array(decision)[both].argmax(axis=1)
    labels = golden.tensor("labels")[both]
    only_first = int(np.count_nonzero((ours == labels) & (theirs != labels)))
    only_other = int(np.count_nonzero((ours != labels) & (theirs == labels)))
    names = [f"output.{name}" for name in golden.manifest.outputs]
    pairs = [(_flat(first.array(name)[both]), _flat(other.array(name)[both])) for name in names]
    return {
        "compared": int(both.sum()),
        "flips": int(np.count_nonzero(ours != theirs)),
        "largest": max(float(np.abs(a - b).max(initial=0.0)) for a, b in pairs),
        "cosine": min(_smallest_cosine(a, b) for a, b in pairs),
        "only_first": only_first,
        "only_other": only_other,
        "p_value": mcnemar(only_first, only_other),
    }


def mcnemar(only_first: int, only_other: int) -> float:
    """Return the two-sided p-value of McNemar's exact test, under which each of the two has them by a fair coin."""
    from scipy.special import bdtr  # noqa: PLC0415 - as everywhere, only where it is needed

    n = only_first + only_other
    return 1.0 if n == 0 else min(1.0, 2 * float(bdtr(min(only_first, only_other), n, 0.5)))


def _flat(array: NDArray[Any]) -> NDArray[np.float64]:
    return array.reshape(len(array), math.prod(array.shape[1:])).astype(np.float64)


def _smallest_cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the smallest cosine similarity of any row; rows without length are like only each other."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    products = np.einsum("ij,ij->i", a, b)
    alike = np.where((a == b).all(axis=1), 1.0, 0.0)
    cosines = np.divide(products, lengths, out=alike, where=lengths > 0)
    return float(np.clip(cosines, -1, 1).min(initial=1.0))
