"""Opens a target only to ask what it is, for `goldwatch init`."""

from __future__ import annotations

from goldwatch.ipc.jobs import DESCRIBE, DescribeRequest, Emit, handles
from goldwatch.probe import Context, Description
from goldwatch.worker.load.described import described
from goldwatch.worker.load.timed import make_probe


@handles(DESCRIBE)
def describe(request: DescribeRequest, descriptors: list[int], emit: Emit) -> Description:  # noqa: ARG001 - a Handler
    """Return the description of a target. Raises ProbeError if it cannot be used."""
    probe = make_probe(request.factory, request.options, Context(request.time_limit_s))
    try:
        probe.open()
        return described(probe)
    finally:
        probe.close()
