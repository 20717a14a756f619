"""Outside disturbances of a replay's timing, as the worker read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """Over the `seconds` of a replay, how many of them the CPU was throttled, memory stalled, or garbage collected.

    `cpu_s` is the CPU time of the worker, over all its threads: goldwatch's own, and that of a model in process.
    """

    seconds: float = 0.0
    throttled_s: float | None = None
    memory_stalled_s: float | None = None
    collecting_s: float = 0.0
    cpu_s: float = 0.0
