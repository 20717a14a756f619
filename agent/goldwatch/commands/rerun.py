"""Some examples of a golden set, replayed once more by hand: each answer beside its reference.

It says what the model does now; it is shown to no monitor and written to no ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from goldwatch.core.outcome import Outcome
from goldwatch.errors import GoldwatchError
from goldwatch.golden.manifest import Task
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.columns import Columns
from goldwatch.ipc.workers import JUDGES, Workers
from goldwatch.pipeline.in_force import Assignment
from goldwatch.pipeline.pipeline import replay
from goldwatch.worker.jobs.opening import replayed

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBERS = 4


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
        found = workers.call(JUDGES, "goldwatch.commands.rerun:answers", argument, (result.columns.fd,))
    finally:
        result.columns.close()
    answers = tuple(RerunAnswer(**a | {"lines": tuple(a["lines"])}) for a in found["answers"])
    return Rerun(answers, dict(result.errors))


def answers(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:  # noqa: ARG001 - a Job
    """Set each answer beside its reference: a job for a worker, with the descriptor of the columns.

    Takes `path` and `digest` of the golden set, and the `examples` that were replayed. Raises GoldenError.
    """
    from goldwatch.golden import picture  # noqa: PLC0415 - it imports numpy

    examples: list[int] = argument["examples"]
    with replayed(argument, descriptors, len(examples)) as (golden, columns):
        found = []
        for row, example in enumerate(examples):
            outcome = Outcome(columns.outcome[row])
            ok = outcome is Outcome.OK
            label, then, now = _words(golden, columns, row, example)
            found.append(
                {
                    "example": example,
                    "lines": picture.draw(golden, example),
                    "label": label,
                    "reference": then,
                    "now": now if ok else outcome.label.replace("_", " "),
                    "distance": _distance(golden, columns, row, example) if ok else None,
                    "latency_s": columns.latency_ns[row] / 1e9 if ok else None,
                    "same": ok and _same(golden, columns, row, example),
                    "identity": golden.identity(example),
                }
            )
        return {"answers": found}


def _words(golden: GoldenSet, columns: Columns, row: int, example: int) -> tuple[str, str, str]:
    """Return what is right, what the reference says and what the target says now; empty where there is no such word."""
    manifest = golden.manifest
    decision, now = manifest.decision, columns.array(f"output.{manifest.decision}")[row]
    if manifest.outputs[decision].in_lines:
        answers = golden.lines()[example].get("answers", [""])
        return answers[0], golden.text(f"outputs.{decision}")[example], now.decode("utf-8", "replace")
    then = golden.tensor(f"outputs.{decision}")[example]
    if manifest.labels is None or manifest.labels.classes is None:
        return "", _vector(then), _vector(now)
    classes = manifest.labels.classes
    return classes[int(golden.tensor("labels")[example])], classes[int(then.argmax())], classes[int(now.argmax())]


def _vector(values: NDArray[Any]) -> str:
    """Write a vector, of a longer one the first numbers."""
    shown = ", ".join(f"{value:.6g}" for value in values[:_NUMBERS].tolist())
    return f"{shown}, ..." if len(values) > _NUMBERS else shown


def _same(golden: GoldenSet, columns: Columns, row: int, example: int) -> bool:
    if golden.task is not Task.EMBEDDING:
        _, then, now = _words(golden, columns, row, example)
        return then == now
    import numpy as np  # noqa: PLC0415 - as above

    from goldwatch.worker.evaluators.agreement import furthest  # noqa: PLC0415 - as above

    name = golden.manifest.decision
    now, then = columns.array(f"output.{name}")[row], golden.tensor(f"outputs.{name}")[example]
    return bool(furthest(now[np.newaxis], then[np.newaxis])[0] <= golden.manifest.outputs[name].tolerance)


def _distance(golden: GoldenSet, columns: Columns, row: int, example: int) -> float | None:
    """Return the largest absolute difference in any tensor; None if all outputs are text."""
    import numpy as np  # noqa: PLC0415 - as above

    from goldwatch.worker.evaluators.agreement import furthest  # noqa: PLC0415 - as above

    pairs = [
        (columns.array(f"output.{name}")[row], golden.tensor(f"outputs.{name}")[example])
        for name, spec in golden.manifest.outputs.items()
        if not spec.in_lines
    ]
    return max((float(furthest(a[np.newaxis], b[np.newaxis])[0]) for a, b in pairs), default=None)
