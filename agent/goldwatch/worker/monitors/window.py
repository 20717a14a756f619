"""Turns the live requests from a tap into the observation of *drift*, and into a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from goldwatch.core.facts import LiveFacts
from goldwatch.core.judgement import LiveWindow
from goldwatch.golden.opened import GoldenSet
from goldwatch.worker.drift.clusters import Key
from goldwatch.worker.drift.reference import Compared
from goldwatch.worker.drift.rows import Read
from goldwatch.worker.monitors.live import Live, LiveHour, Table
from goldwatch.worker.monitors.live_reference import compared_with


def looked_at(
    golden: GoldenSet, live: Mapping[str, Any], told: LiveFacts, bodies: Sequence[bytes]
) -> tuple[Live, LiveWindow | None]:
    """Read the requests of a window, by the settings `live` of *drift*; `told` has the tap's other facts.

    Raises ValueError for a reference that cannot be used, GoldenError.
    """
    if not bodies:
        return Live(None, told.began_at, told.waiting, told.problem, until=told.began_at), None
    reference, clusters = compared_with(golden, live), live["clusters"]
    key = Key(**clusters) if isinstance(clusters, Mapping) else None
    hours: Mapping[int, LiveHour] = {}
    if live["season"] == "weekly":
        table, read, hours = _by_hour(reference, bodies, told, live["rows"])
    else:
        table, read = reference.rows(bodies, live["rows"], key)
    counts, unreadable = told.counts, sum(read.bad.values())
    window = LiveWindow(
        requests=counts["seen"],
        synthetic=counts["synthetic"],
        refused=counts["refused"],
        sampled_out=counts["sampled_out"],
        rows=read.count,
        unreadable=unreadable,
        began_at=told.began_at,
        ended_at=told.ended_at,
        reasons=read.reasons,
        cut=read.cut,
    )
    found = table if read.count else None
    live_rows = Live(
        found,
        told.began_at,
        problem=told.problem,
        unreadable=unreadable,
        reasons=read.reasons,
        clusters=read.clusters,
        cut=read.cut,
        hours=hours,
        until=told.ended_at,
    )
    return live_rows, window


def _by_hour(
    reference: Compared, bodies: Sequence[bytes], told: LiveFacts, most: int
) -> tuple[Table, Read, dict[int, LiveHour]]:
    """Read the requests of a window hour by hour, and return all of it, what could be read, and the hours."""
    requests, found, bad = dict(told.requests), {}, Counter[str]()
    for hour in sorted(set(told.hours)):
        own = [body for body, of in zip(bodies, told.hours, strict=True) if of == hour]
        table, read = reference.rows(own, most)
        found[hour] = LiveHour(requests.get(hour, len(own)), read.count, table)
        bad += read.bad
    whole = {name: np.concatenate([hour.table[name] for hour in found.values()]) for name in reference.table}
    return whole, Read({}, sum(hour.rows for hour in found.values()), bad), found
