"""How the requests of a window pass from the agent to a worker: in memory that both see, plain values beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from goldwatch import scratch
from goldwatch.daemon.tap import Taken


@contextmanager
def handed_over(taken: Taken | None) -> Iterator[tuple[dict[str, Any] | None, tuple[int, ...]]]:
    """Yield what a worker is told of a window, and the descriptor of its requests; None and none without a tap."""
    if taken is None:
        yield None, ()
        return
    told = {
        "sizes": [len(body) for body in taken.bodies],
        "counts": asdict(taken.counts),
        "began_at": taken.began_at,
        "ended_at": taken.ended_at,
        "waiting": taken.waiting,
        "hours": list(taken.hours),
        "requests": sorted(taken.requests.items()),
        "problem": taken.problem,
    }
    if not taken.bodies:
        yield told, ()
        return
    with os.fdopen(scratch.open_file(0, own_bytes=0), "wb") as memory:
        memory.writelines(taken.bodies)
        memory.flush()
        yield told, (memory.fileno(),)
