"""The sensitivity of a watch's monitors: the monitors themselves, given simulated replays.

Runs in a worker process, with numpy.
"""

from __future__ import annotations

import os

from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import SENSITIVITY, Sensitivity, SensitivityRequest
from goldwatch.worker.jobs.opening import open_as
from goldwatch.worker.monitors.build import build
from goldwatch.worker.monitors.drift import LiveDrift
from goldwatch.worker.monitors.effects import Basis
from goldwatch.worker.monitors.reference import Reference
from goldwatch.worker.monitors.settings import Settings


@handles(SENSITIVITY)
def sensitivity(request: SensitivityRequest, descriptors: list[int], emit: Emit) -> Sensitivity:  # noqa: ARG001 - a Handler
    """Say how many replays each effect takes to be noticed. Raises GoldenError."""
    for descriptor in descriptors:
        os.close(descriptor)
    settings = Settings(**request.settings)
    reference = Reference.of(open_as(request.golden)).copied(request.copies)
    basis = Basis(reference, settings, request.requests * request.copies, request.most, request.declared_only)
    monitors = build(reference, settings).values()
    notices = tuple(notice for monitor in monitors for notice in monitor.notices(basis))
    season = next((monitor.season(basis) for monitor in monitors if isinstance(monitor, LiveDrift)), None)
    return Sensitivity(notices, season)
