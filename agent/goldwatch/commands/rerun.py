"""Replays some examples of a golden set once more by hand: each answer with its reference.

It shows what the model does now; no monitor sees it and no ledger has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.pipeline import replay
from goldwatch.errors import GoldwatchError
from goldwatch.ipc.judging_jobs import ANSWERS, AnswersRequest, RerunAnswer
from goldwatch.ipc.workers import JUDGES, Workers


@dataclass(frozen=True, slots=True)
class Rerun:
    """The answers, in the order requested, and the errors, by message."""

    answers: tuple[RerunAnswer, ...]
    errors: dict[str, int]


def rerun(assignment: Assignment, examples: Sequence[int], workers: Workers) -> Rerun:
    """Replay some examples. Raises GoldwatchError."""
    most = assignment.golden.examples
    if wrong := [e for e in examples if not 0 <= e < most]:
        raise GoldwatchError(f"golden set {assignment.golden} has examples 0 to {most - 1}, and not {wrong[0]}")
    result = replay(assignment, workers, examples=examples)
    try:
        if why := result.failure or result.ended:
            raise GoldwatchError(why)
        request = AnswersRequest(assignment.golden.place, tuple(examples))
        found = workers.call(JUDGES, ANSWERS, request, (result.columns.fd,))
    finally:
        result.columns.close()
    return Rerun(found.answers, dict(result.errors))
