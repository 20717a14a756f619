"""Pictures of golden examples for alerts, drawn in a worker process."""

from __future__ import annotations

from collections.abc import Sequence

from goldwatch.daemon.alert import Alert
from goldwatch.daemon.alert_explanation import Explanation, Picture, flips
from goldwatch.golden.facts import GoldenPlace
from goldwatch.ipc.judging_jobs import DRAW, DrawRequest
from goldwatch.ipc.workers import JUDGES, JobFailed, WorkerDied, Workers

_DRAWN = 6


def illustrated(alert: Alert, path: str, digest: str, workers: Workers) -> Explanation | None:
    """Return the explanation of an alert, with pictures of its first flipped examples if they can be drawn."""
    told = alert.explanation
    if told is None or not flips(told):
        return told
    wanted = [flip.example for flip in flips(told)[:_DRAWN]]
    try:
        return told.with_pictures(pictures(path, digest, wanted, workers))
    except (JobFailed, WorkerDied):  # the alert goes without pictures
        return told


def pictures(path: str, digest: str, examples: Sequence[int], workers: Workers) -> list[Picture]:
    """Draw some examples of a golden set. Raises JobFailed, WorkerDied."""
    request = DrawRequest(GoldenPlace(path, digest), tuple(examples))
    found = workers.call(JUDGES, DRAW, request)
    return [Picture(example, lines) for example, lines in zip(examples, found.pictures, strict=True)]
