"""Fetches a golden set that lies behind an address."""

from __future__ import annotations

import os
from pathlib import Path

from goldwatch.golden import kept
from goldwatch.golden.fetch import fetch_set
from goldwatch.ipc import jobs
from goldwatch.ipc.jobs import Emit, Plain, handles


@handles(jobs.FETCH)
def fetch(argument: Plain, descriptors: list[int], emit: Emit) -> Plain:  # noqa: ARG001 - a Handler
    """Fetch the set of `digest` at `url`, by `headers`, into the folder `path` if it is not there: a job for a worker.

    Raises GoldenError.
    """
    path = Path(argument["path"])
    kept.name(path)
    if not os.path.lexists(path):
        fetch_set(argument["url"], path, argument["digest"], argument["headers"])
    return {}
