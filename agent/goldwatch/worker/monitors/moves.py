"""Words for how a column of live rows has moved: quantiles of numbers, shares of categories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from goldwatch.core.judgement import Move
from goldwatch.worker.monitors.columns import Column, Numbers, Values
from goldwatch.worker.monitors.detector import FloatArray

_QUANTILES = (0.1, 0.5, 0.9)


def describe_move(column: Column, then: Values, now: Values) -> Move:
    """Put what is known of a column then and now into words: quantiles of numbers, shares of categories."""
    say = _quantiles if isinstance(column.kind, Numbers) else _shares
    return Move(column.name, *say(column, then, now))


def _quantiles(_: Column, then: Values, now: Values) -> tuple[str, str]:
    return _numbers(then.astype(np.float64)), _numbers(now.astype(np.float64))


def _numbers(values: FloatArray) -> str:
    missing = np.isnan(values)
    there = values[~missing]
    found = np.quantile(there, _QUANTILES, method="inverted_cdf").tolist() if len(there) else []
    parts = [f"{quantile * 100:.0f}% below {value:.4g}" for quantile, value in zip(_QUANTILES, found, strict=False)]
    return ", ".join([*parts, *([f"{missing.mean():.1%} missing"] if missing.any() else [])])


def _shares(column: Column, then: Values, now: Values) -> tuple[str, str]:
    """Name the categories whose shares have moved most."""
    before, after = (column.kind.count(values) / max(len(values), 1) for values in (then, now))
    most: Sequence[int] = np.argsort(-np.abs(after - before), kind="stable")[:3].tolist()
    return tuple(  # type: ignore[return-value] # of two
        ", ".join(f"{share[cell]:.1%} {column.kind.cells[cell]}" for cell in most) for share in (before, after)
    )
