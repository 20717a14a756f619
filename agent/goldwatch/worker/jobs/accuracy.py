"""Scores the answers in the log of an accuracy test of LoadGen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import ACCURACY, AccuracyRequest, AccuracyResponse
from goldwatch.probe import kept_as
from goldwatch.worker.evaluators.tasks import judged as judged_task
from goldwatch.worker.jobs.opening import output_specs


@handles(ACCURACY)
def accuracy(
    request: AccuracyRequest,
    descriptors: list[int],  # noqa: ARG001 - a Handler
    emit: Emit,  # noqa: ARG001 - a Handler
) -> AccuracyResponse:
    """Score the answers in LoadGen's accuracy log. Raises GoldenError."""
    golden = GoldenSet.open(Path(request.path))
    (spec,) = (output for output in output_specs(golden) if output.name == golden.manifest.decision)
    now = np.zeros((golden.examples, *spec.shape), kept_as(spec.dtype))
    answered = np.zeros(golden.examples, bool)
    for entry in json.loads(Path(request.log).read_text()):
        if entry["data"]:
            now[entry["qsl_idx"]] = np.frombuffer(bytes.fromhex(entry["data"]), now.dtype).reshape(spec.shape)
            answered[entry["qsl_idx"]] = True
    found = judged_task(golden).scores({spec.name: now}, answered) if answered.any() else ()
    return AccuracyResponse(found[0] if found else None)
