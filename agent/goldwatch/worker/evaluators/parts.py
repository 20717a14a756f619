"""The parts of a golden set in the form that tasks take them: slices, clusters, and expected outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.golden.lines import JSON
from goldwatch.golden.opened import GoldenSet
from goldwatch.scratch import column
from goldwatch.worker.evaluators.agreement import Expected
from goldwatch.worker.evaluators.clusters import Clusters
from goldwatch.worker.evaluators.slices import Slicing

_NO_LABELS = np.zeros(0, dtype=np.int64)


def slices_of(golden: GoldenSet) -> dict[str, Slicing]:
    """Return the slices of a golden set by name."""
    return {n: Slicing(golden.tensor(f"slices.{n}"), s.values) for n, s in golden.manifest.slices.items()}


def clusters_of(golden: GoldenSet) -> Clusters | None:
    """Return the examples that are right or wrong together; None if all are independent."""
    return None if golden.manifest.clusters is None else Clusters(golden.tensor("clusters"))


def expected_of(
    golden: GoldenSet,
    labels: NDArray[np.int64] = _NO_LABELS,
    class_names: Sequence[str] = (),
    scores: Callable[[Any], Any] | None = None,
    *,
    but: str = "",
) -> Expected:
    """Return a golden set's expected answers, without the output `but`; `scores` reads the judged one."""
    manifest = golden.manifest
    reading = {} if scores is None else {"scores": scores}
    outputs: dict[str, Any] = {name: golden.reference_output(name) for name in manifest.outputs if name != but}
    return Expected(
        outputs=outputs,
        tolerances={name: spec.tolerance for name, spec in manifest.outputs.items()},
        decision=manifest.decision,
        labels=labels,
        class_names=class_names,
        slices=slices_of(golden),
        clusters=golden.tensor("clusters") if manifest.clusters is not None else None,
        structured=frozenset(name for name, spec in manifest.outputs.items() if spec.dtype == JSON),
        **reading,
    )


def each(
    answered: NDArray[np.bool_], values: Callable[[NDArray[np.int64]], NDArray[Any]], width: int
) -> NDArray[np.float64]:
    """Return values [n] of the answered examples, some at a time; those of others are 0, and are never read."""

    def some(rows: slice) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.zeros(rows.stop - rows.start)
        chosen = np.flatnonzero(answered[rows])
        found[chosen] = values(rows.start + chosen)
        return found

    return column(len(answered), np.float64, some, width)
