"""Errors of a regression: MAE, RMSE and R², each with a 95 % interval over examples, or over their clusters.

Intervals are normal, with the variance of the linearised score (delta method) between examples, or between the sums of
clusters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Score
from goldwatch.scratch import blocks

_SCALES = {"mae": (0.0, None), "rmse": (0.0, None), "r2": (None, 1.0)}
_NORMAL = 1.959963984540054

FloatArray = NDArray[np.float64]


def error_scores(
    now: NDArray[Any],
    then: NDArray[Any] | None,
    truth: NDArray[Any],
    answered: NDArray[np.bool_],
    clusters: NDArray[np.int64] | None = None,
) -> tuple[Score, ...]:
    """Return the scores of values `now` [n, ...] against the `truth` [n, ...] over the answered examples.

    An example with several values has the means over them. `then` [n, ...] are the values of the reference, None where
    it is not known. R² is left out if all true values are equal.
    """
    found = _Errors(now, truth, answered, clusters)
    usual = None if then is None else _Errors(then, truth, answered, None).values()
    return tuple(
        Score(name, value, *interval, found.n, None if usual is None else usual[name], scale=_SCALES[name])
        for name, (value, interval) in found.with_intervals().items()
    )


class _Errors:
    """Sums over the answered examples, added up some rows at a time."""

    def __init__(
        self, now: NDArray[Any], truth: NDArray[Any], answered: NDArray[np.bool_], clusters: NDArray[np.int64] | None
    ) -> None:
        self._now, self._truth, self._answered, self._clusters = now, truth, answered, clusters
        self.n = int(np.count_nonzero(answered))
        self._width = max(truth[:1].size, 1)
        self._mean = sum(float(_means(true).sum()) for _, true, _ in self._rows()) / self.n
        self._sums = np.zeros(3)
        for error, true, _ in self._rows():
            off = _means((true - self._mean) ** 2)
            self._sums += _means(np.abs(error)).sum(), _means(error**2).sum(), off.sum()

    def values(self) -> dict[str, float]:
        """Return each score by its name."""
        absolute, squared, spread = self._sums
        found = {"mae": absolute / self.n, "rmse": float(np.sqrt(squared / self.n))}
        return found | ({"r2": 1 - squared / spread} if spread > 0 else {})

    def with_intervals(self) -> dict[str, tuple[float, tuple[float, float]]]:
        """Return each score with its interval."""
        values, (_, squared, spread) = self.values(), self._sums
        units: dict[str, dict[int, float]] = {name: {} for name in values}
        alone = dict.fromkeys(values, 0.0)
        count = 0
        for error, true, codes in self._rows():
            influence = {"mae": _means(np.abs(error)) - values["mae"]}
            rmse = values["rmse"]
            influence["rmse"] = (_means(error**2) - rmse**2) / (2 * rmse) if rmse > 0 else np.zeros(len(error))
            if "r2" in values:
                off = _means((true - self._mean) ** 2)
                influence["r2"] = -(_means(error**2) - squared / spread * off) / (spread / self.n)
            single = codes < 0
            count += int(np.count_nonzero(single))
            for name, each in influence.items():
                alone[name] += float((each[single] ** 2).sum())
                for code, value in zip(codes[~single].tolist(), each[~single].tolist(), strict=True):
                    units[name][code] = units[name].get(code, 0.0) + value
        return {
            name: (value, self._interval(name, value, units[name], alone[name], count))
            for name, value in values.items()
        }

    def _interval(
        self, name: str, value: float, units: dict[int, float], alone: float, count: int
    ) -> tuple[float, float]:
        independent = count + len(units)
        if independent < 2:
            return (-np.inf, 1.0) if name == "r2" else (0.0, np.inf)
        squares = alone + sum(each**2 for each in units.values())
        half = _NORMAL * float(np.sqrt(squares * independent / (independent - 1))) / self.n
        low, high = value - half, value + half
        return (low, min(high, 1.0)) if name == "r2" else (max(low, 0.0), high)

    def _rows(self) -> Any:  # noqa: ANN401 - errors [k, values], true values, and cluster codes [k]
        for rows in blocks(len(self._answered), self._width):
            some = self._answered[rows]
            true = self._truth[rows][some].astype(np.float64).reshape(int(some.sum()), -1)
            error = self._now[rows][some].astype(np.float64).reshape(true.shape) - true
            codes = np.full(len(true), -1) if self._clusters is None else self._clusters[rows][some]
            yield error, true, codes


def _means(values: FloatArray) -> FloatArray:
    return np.asarray(values.mean(axis=1))
