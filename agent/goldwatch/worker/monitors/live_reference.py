"""The reference rows of *drift*, and which live rows depend on each other, by its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goldwatch.golden.opened import GoldenSet
from goldwatch.worker.drift.reference import Compared, compared
from goldwatch.worker.monitors.dependence import Dependence


def compared_with(golden: GoldenSet, live: Mapping[str, Any]) -> Compared:
    """Read what live rows are compared with, by the settings `live`. Raises ValueError, GoldenError."""
    return compared(golden, live["reference"], live["inputs"], live["time"])


def stated(clusters: object, rows: int) -> tuple[int, Dependence]:
    """Return how many rows of a window depend on each other at most, and their dependence by `live.clusters`.

    `rows` is the most rows of one request, which depend on each other in any case.
    """
    if isinstance(clusters, Mapping):
        return clusters["max_rows"], Dependence.KEYED
    if clusters == "unknown":
        return 1, Dependence.UNKNOWN
    return rows * (clusters if isinstance(clusters, int) else 1), Dependence.BOUNDED
