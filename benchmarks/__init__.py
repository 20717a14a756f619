"""Measurements of goldwatch, side by side with what they are compared with: `python -m benchmarks`."""

from __future__ import annotations

from typing import Any


def nothing(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:  # noqa: ARG001 - a Job
    """Do nothing: a job for a worker, in a module that imports nothing."""
    return {}
