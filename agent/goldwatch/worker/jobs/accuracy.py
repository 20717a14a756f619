"""Scores the answers in the log of an accuracy test of LoadGen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc import jobs
from goldwatch.ipc.jobs import Emit, Plain, handles
from goldwatch.worker.evaluators.tasks import judged as judged_task
from goldwatch.worker.jobs.opening import output_specs


@handles(jobs.ACCURACY)
def accuracy(argument: Plain, descriptors: list[int], emit: Emit) -> Plain:  # noqa: ARG001 - a Handler
    """Score the answers in LoadGen's accuracy log at `log` by the golden set at `path`: a job for a worker.

    Returns the `headline`: accuracy, or agreement with the validated model where there are no labels.
    """
    golden = GoldenSet.open(Path(argument["path"]))
    (spec,) = (output for output in output_specs(golden) if output.name == golden.manifest.decision)
    now, answered = np.zeros((golden.examples, *spec.shape), spec.dtype), np.zeros(golden.examples, bool)
    for entry in json.loads(Path(argument["log"]).read_text()):
        if entry["data"]:
            now[entry["qsl_idx"]] = np.frombuffer(bytes.fromhex(entry["data"]), now.dtype).reshape(spec.shape)
            answered[entry["qsl_idx"]] = True
    found = judged_task(golden).scores({spec.name: now}, answered) if answered.any() else ()
    return {"headline": dataclasses.asdict(found[0]) if found else None}
