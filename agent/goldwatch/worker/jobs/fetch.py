"""Fetches a golden set from an address."""

from __future__ import annotations

import os
from pathlib import Path

from goldwatch.golden import kept
from goldwatch.golden.fetch import fetch_set
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import FETCH, FetchRequest


@handles(FETCH)
def fetch(request: FetchRequest, descriptors: list[int], emit: Emit) -> None:  # noqa: ARG001 - a Handler
    """Fetch a set into its folder, unless the folder exists. Raises GoldenError."""
    path = Path(request.path)
    kept.name(path)
    if not os.path.lexists(path):
        fetch_set(request.url, path, request.digest, request.headers)
