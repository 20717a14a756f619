"""Passes the requests of a window from the agent to a worker: bodies in shared memory, the rest as plain values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from goldwatch import scratch
from goldwatch.core.facts import LiveFacts
from goldwatch.daemon.tap import Taken


@contextmanager
def handed_over(taken: Taken | None) -> Iterator[tuple[LiveFacts | None, tuple[int, ...]]]:
    """Yield the facts of a window for a worker, and the descriptor of its requests; None and none without a tap."""
    if taken is None:
        yield None, ()
        return
    told = LiveFacts(
        sizes=tuple(len(body) for body in taken.bodies),
        counts=asdict(taken.counts),
        began_at=taken.began_at,
        ended_at=taken.ended_at,
        waiting=taken.waiting,
        problem=taken.problem,
        hours=taken.hours,
        requests=tuple(sorted(taken.requests.items())),
    )
    if not taken.bodies:
        yield told, ()
        return
    with os.fdopen(scratch.open_file(0, own_bytes=0), "wb") as memory:
        memory.writelines(taken.bodies)
        memory.flush()
        yield told, (memory.fileno(),)
