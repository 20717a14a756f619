"""From the requests of live traffic that a tap handed on to what *drift* looks at, and what is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from goldwatch.drift.clusters import Key
from goldwatch.drift.reference import compared
from goldwatch.golden.opened import GoldenSet
from goldwatch.judgement import LiveWindow
from goldwatch.monitor.live import Live


def looked_at(
    golden: GoldenSet, live: Mapping[str, Any], told: Mapping[str, Any], bodies: Sequence[bytes]
) -> tuple[Live, LiveWindow | None]:
    """Read the requests of a window, by the settings `live` of *drift*; `told` is what the tap knows beside them.

    Raises ValueError for a reference that cannot be used, GoldenError.
    """
    if not bodies:
        return Live(None, told["began_at"], told["waiting"], told["problem"]), None
    clusters = live["clusters"]
    key = Key(**clusters) if isinstance(clusters, Mapping) else None
    table, read = compared(golden, live["reference"], live["inputs"]).rows(bodies, live["rows"], key)
    counts, unreadable = told["counts"], sum(read.bad.values())
    window = LiveWindow(
        requests=counts["seen"],
        synthetic=counts["synthetic"],
        refused=counts["refused"],
        sampled_out=counts["sampled_out"],
        rows=read.count,
        unreadable=unreadable,
        began_at=told["began_at"],
        ended_at=told["ended_at"],
        reasons=read.reasons,
        cut=read.cut,
    )
    found = table if read.count else None
    began_at, problem = told["began_at"], told["problem"]
    return Live(found, began_at, 0, problem, unreadable, read.reasons, read.clusters, read.cut), window
