"""Compares replays, to see whether a model remembers; see `goldwatch.commands.memory`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.outcome import Outcome
from goldwatch.golden import arrays, tensors
from goldwatch.golden.error import GoldenError
from goldwatch.golden.lines import JSON
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import GAPS, MEMORY, GapsRequest, MemoryRequest, MemoryResponse
from goldwatch.scratch import blocks
from goldwatch.worker.evaluators import structures
from goldwatch.worker.jobs.opening import replayed

ERROR = 1e-4
"""The chance that a model whose answers vary fails one test though it has no memory; it is refused if it fails two."""


_ROUNDING = 64
"""So many units in the last place are no difference: code that is compiled as it runs adds in another order."""


@handles(GAPS)
def gaps(request: GapsRequest, descriptors: list[int], emit: Emit) -> None:  # noqa: ARG001 - a Handler
    """Write how the answers of a replay differ from those of the first one.

    Raises GoldenError, also for an example without an answer.
    """
    reference = arrays.read(Path(request.first))
    with replayed(request.golden, descriptors) as (golden, columns):
        if missing := int(np.count_nonzero(columns.array("outcome") != Outcome.OK)):
            raise GoldenError(golden.path, f"{missing:,} examples were not answered in a replay that looks for memory")
        examples, gap, same = columns.array("example"), np.zeros(golden.examples), True
        for name, spec in golden.manifest.outputs.items():
            before, now = reference[f"outputs.{name}"], columns.array(f"output.{name}")
            scale = 1.0 if spec.in_lines else _scale(before)
            of_dtype = np.finfo(now.dtype).eps * _ROUNDING * scale if now.dtype.kind == "f" else 0.0
            floor = max(spec.tolerance, float(of_dtype))
            for rows in blocks(golden.examples):
                chosen = examples[rows]
                theirs = np.asarray(before[chosen])
                if spec.in_lines:
                    ours = now[rows].reshape(-1, 1).view("uint8").reshape(len(chosen), -1)
                    texts = [(a.tobytes(), b.tobytes()) for a, b in zip(ours, theirs, strict=True)]
                    is_json = spec.dtype == JSON
                    found = np.array([_json_gap(*two, spec.tolerance) if is_json else _text_gap(*two) for two in texts])
                else:
                    ours = now[rows]
                    found = _number_gap(ours, theirs, floor) / scale
                same = same and ours.tobytes() == theirs.tobytes()
                gap[chosen] = np.maximum(gap[chosen], found)
        tensors.write(Path(request.file), {"gap": gap, "same": np.asarray(same)})


def _scale(values: NDArray[Any]) -> float:
    """Return the largest finite magnitude; 1 if there is none, or it is 0."""
    largest = (np.abs(each[np.isfinite(each)].astype(float)).max(initial=0.0) for each in _blocks_of(values))
    return float(max(largest, default=0.0)) or 1.0


def _blocks_of(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (values[rows] for rows in blocks(len(values)))


def _number_gap(ours: NDArray[Any], theirs: NDArray[Any], floor: float) -> NDArray[Any]:
    """Return the largest difference of each example: 0 up to the floor, infinity where one alone is not finite."""
    a, b = (np.asarray(values, dtype=float).reshape(len(ours), -1) for values in (ours, theirs))
    with np.errstate(invalid="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    largest = np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(axis=1, initial=0.0)
    return np.where(largest > floor, largest, 0.0)


def _json_gap(ours: bytes, theirs: bytes, tolerance: float) -> float:
    """Return how far two JSON answers are apart, from 0 to 1; 0 if they are the same within the tolerance."""
    a, b = (structures.read(text.rstrip(b"\0")) for text in (ours, theirs))
    return structures.distance(a, b, tolerance)


def _text_gap(ours: bytes, theirs: bytes) -> float:
    """Return 0 for equal texts, and else the share of words that they do not have in common, but more than 0."""
    a, b = (text.rstrip(b"\0") for text in (ours, theirs))
    if a == b:
        return 0.0
    words, others = Counter(a.split()), Counter(b.split())
    return max(1 - 2 * (words & others).total() / max(words.total() + others.total(), 1), 1e-6)


@handles(MEMORY)
def judged(request: MemoryRequest, descriptors: list[int], emit: Emit) -> MemoryResponse:  # noqa: ARG001 - a Handler
    """Say whether replays after another history differ more than the ordinary ones."""
    ordinary = [arrays.read(Path(file)) for file in request.ordinary]
    others = [np.asarray(arrays.read(Path(file))["gap"]) for file in request.files]
    exact = all(bool(each["same"]) for each in ordinary)
    usual = np.stack([np.asarray(each["gap"]) for each in ordinary])
    repeated = all(np.array_equal(others[0], other) for other in others)
    suspect = bool(others[0].any()) if exact and repeated else all(_is_larger(usual, other) for other in others)
    differing = np.flatnonzero(others[-1])
    return MemoryResponse(suspect, len(differing), int(differing[0]) if len(differing) else 0)


def _is_larger(usual: NDArray[Any], other: NDArray[Any]) -> bool:
    """Return whether a replay differs from the first more than the ordinary ones [replays, n] do.

    Without memory all of them are alike. So of examples with one largest difference, the replay has it in one of as
    many as there are replays: an exact binomial test, for examples that vary independently.
    """
    from scipy.special import bdtrc  # noqa: PLC0415 - only a model whose answers vary pays for scipy

    largest = usual.max(axis=0)
    ours = int((other > largest).sum())
    tied = (usual == largest).sum(axis=0) > 1
    theirs = int(((other < largest) & ~tied).sum())
    return bool(bdtrc(ours - 1, ours + theirs, 1 / (len(usual) + 1)) < ERROR)
