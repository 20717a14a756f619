"""All that the page of a watch shows, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from goldwatch.core.judgement import Judgement
from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.trend import Trend


@dataclass(frozen=True, slots=True)
class WatchView:
    """One watch and target at Unix time `at`.

    `row` is what `Status.watches` has of it, `targets` are those of the watch, `last` is the newest valid replay, and
    `settings` are the keys of its config that have a value, with secrets masked.
    """

    at: float
    days: int
    row: Mapping[str, Any]
    targets: tuple[str, ...]
    assignment: Assignment
    false_alarms_per_year: float
    last: Judgement | None
    trend: Trend
    settings: tuple[tuple[str, str], ...]
