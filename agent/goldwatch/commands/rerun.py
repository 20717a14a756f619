"""Some examples of a golden set, replayed once more by hand: each answer beside its reference.

It says what the model does now; it is shown to no monitor and written to no ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.pipeline import replay
from goldwatch.errors import GoldwatchError
from goldwatch.ipc import jobs
from goldwatch.ipc.workers import JUDGES, Workers


@dataclass(frozen=True, slots=True)
class RerunAnswer:
    """One example: how it looks, what is right, what the reference said, and what the model says now.

    `now` is the outcome of the request in words if there is no answer; `distance` is the largest absolute difference
    of any tensor from the reference, None without an answer or if all outputs are text. `same` states whether the
    answer is that of the reference: the class, the text, or a vector within the tolerance. `identity` is its name
    in the set, empty if it has none.
    """

    example: int
    lines: tuple[str, ...]
    label: str
    reference: str
    now: str
    distance: float | None
    latency_s: float | None
    same: bool
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Rerun:
    """The answers, in the order in which they were asked for, and what went wrong, by message."""

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
        argument = assignment.golden.place | {"examples": list(examples)}
        found = workers.call(JUDGES, jobs.ANSWERS, argument, (result.columns.fd,))
    finally:
        result.columns.close()
    answers = tuple(RerunAnswer(**a | {"lines": tuple(a["lines"])}) for a in found["answers"])
    return Rerun(answers, dict(result.errors))
