"""The built-in scores of segmentation: how much of two masks is common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.errors import GoldwatchError


def iou(output: Any, expected: Any, threshold: float | None = None) -> float:  # noqa: ANN401 - nested lists
    """Return the intersection over the union of the classes of two masks, the mean over classes in either.

    A mask has a whole number for each pixel, its class; all classes count. With `threshold` it has a number, and is
    true above that. Two masks without a true pixel are equal: 1.
    """
    now, true = _masks(output, expected, threshold)
    return _mean([_ratio((a & b).sum(), (a | b).sum()) for a, b in _pairs(now, true, threshold)])


def dice(output: Any, expected: Any, threshold: float | None = None) -> float:  # noqa: ANN401 - as above
    """Return the Dice coefficient of two masks, the F1 of their pixels, the mean over classes; see `iou`."""
    now, true = _masks(output, expected, threshold)
    return _mean([_ratio(2 * (a & b).sum(), a.sum() + b.sum()) for a, b in _pairs(now, true, threshold)])


def _masks(output: Any, expected: Any, threshold: float | None) -> tuple[NDArray[Any], NDArray[Any]]:  # noqa: ANN401
    now, true = np.asarray(output), np.asarray(expected)
    if now.shape != true.shape:
        raise GoldwatchError(f"the masks have the shapes {list(now.shape)} and {list(true.shape)}; they must be equal")
    if threshold is None and any(np.any(mask != np.floor(mask)) for mask in (now, true)):
        raise GoldwatchError("a mask has numbers that are no classes; write the option threshold")
    return now, true


def _pairs(
    now: NDArray[Any], true: NDArray[Any], threshold: float | None
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    if threshold is not None:
        return [(now > threshold, true > threshold)]
    return [(now == code, true == code) for code in np.union1d(now, true)]


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else 1.0


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 1.0
