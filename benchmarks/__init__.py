"""Measurements of goldwatch, side by side with what they are compared with: `python -m benchmarks`."""

from __future__ import annotations

from goldwatch.ipc.jobs import Emit, Job, Plain, handles

NOTHING: Job[Plain, Plain] = Job("benchmarks:nothing", dict, dict)


@handles(NOTHING)
def nothing(argument: Plain, descriptors: list[int], emit: Emit) -> Plain:  # noqa: ARG001 - a Handler
    """Do nothing: a job for a worker, in a module that imports little."""
    return {}
