"""Measurements of a watch before its first replay: its objectives, its interval, and when it is due. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from goldwatch.config import Watch
from goldwatch.core.load_plan import OPEN
from goldwatch.daemon.schedule import mean_interval_s
from goldwatch.export import catalogue as c
from goldwatch.export.measurement import Fate, Measurement


def of_promises(watch: Watch, target: str) -> Iterator[Measurement]:
    """Yield how often a watch replays and what its objectives allow."""
    where = {"watch": watch.name, "target": target}
    owed = watch.objectives
    allowed = {"errors": owed.error_rate, "accuracy_loss": owed.accuracy_loss}
    if owed.latency is not None:
        allowed["latency"] = 1 - owed.latency.quantile
        yield Measurement(c.REQUESTS_LATE, where, 0)
    if owed.output_distance is not None:
        allowed["outputs"] = owed.output_distance
    if (gap := owed.gap) is not None:
        allowed["gap" if gap.at_most is not None else "gap_growth"] = gap.at_most or gap.growth or 0.0
    limit_s = owed.latency.limit_s if owed.latency is not None else None
    yield Measurement(c.REQUEST_LATENCY, where, (), bounds=c.latency_buckets(limit_s))
    if watch.load.scenario in OPEN:
        yield Measurement(c.DISPATCH_LATENESS, where, ())
    if watch.live is not None:
        yield from of_tap(where)
    yield Measurement(c.WATCH_INTERVAL, where, mean_interval_s(watch.every))
    yield Measurement(c.OBJECTIVE_LATENCY, where, owed.latency.limit_s if owed.latency else math.inf)
    for metric, most in ((c.OBJECTIVE_ENERGY, owed.energy), (c.OBJECTIVE_COST, owed.cost)):
        if most is not None and most.limit is not None:
            per = {"per": most.per.replace(" ", "_")}
            labels = per if metric is c.OBJECTIVE_ENERGY else per | {"currency": most.unit}
            yield Measurement(metric, where | labels, most.limit)
    for objective, share in allowed.items():
        yield Measurement(c.OBJECTIVE, {**where, "objective": objective}, share)


def of_tap(where: Mapping[str, str]) -> Iterator[Measurement]:
    """Yield the counters of live traffic at zero, so that Prometheus sees their first increase."""
    for fate in Fate:
        yield Measurement(c.LIVE_REQUESTS, {**where, "fate": fate}, 0)
    for read in ("yes", "no"):
        yield Measurement(c.LIVE_ROWS, {**where, "read": read}, 0)
    yield Measurement(c.LIVE_WINDOWS, where, 0)


def of_due(watch: str, target: str, due_at: float) -> Iterator[Measurement]:
    """Yield the Unix time at which the next replay is due."""
    yield Measurement(c.REPLAY_NEXT, {"watch": watch, "target": target}, due_at)
