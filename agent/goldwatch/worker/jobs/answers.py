"""Compares the answers of some examples with their reference, for `goldwatch replay`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.outcome import Outcome
from goldwatch.golden import picture
from goldwatch.golden.manifest import Task
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.columns import Columns
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import ANSWERS, AnswersRequest, RerunAnswer, RerunAnswers
from goldwatch.worker.evaluators.agreement import furthest
from goldwatch.worker.jobs.opening import replayed

_NUMBERS = 4


@handles(ANSWERS)
def answers(request: AnswersRequest, descriptors: list[int], emit: Emit) -> RerunAnswers:  # noqa: ARG001 - a Handler
    """Compare each answer with its reference. Raises GoldenError."""
    with replayed(request.golden, descriptors, len(request.examples)) as (golden, columns):
        return RerunAnswers(tuple(_answer(golden, columns, row, e) for row, e in enumerate(request.examples)))


def _answer(golden: GoldenSet, columns: Columns, row: int, example: int) -> RerunAnswer:
    outcome = Outcome(columns.outcome[row])
    ok = outcome is Outcome.OK
    label, then, now = _words(golden, columns, row, example)
    return RerunAnswer(
        example=example,
        lines=tuple(picture.draw(golden, example)),
        label=label,
        reference=then,
        now=now if ok else outcome.label.replace("_", " "),
        distance=_distance(golden, columns, row, example) if ok else None,
        latency_s=columns.latency_ns[row] / 1e9 if ok else None,
        same=ok and _same(golden, columns, row, example),
        identity=golden.identity(example),
    )


def _words(golden: GoldenSet, columns: Columns, row: int, example: int) -> tuple[str, str, str]:
    """Return the right answer, the reference's and the target's now, as text; empty if there is no text for one."""
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
    name = golden.manifest.decision
    now, then = columns.array(f"output.{name}")[row], golden.tensor(f"outputs.{name}")[example]
    return bool(furthest(now[np.newaxis], then[np.newaxis])[0] <= golden.manifest.outputs[name].tolerance)


def _distance(golden: GoldenSet, columns: Columns, row: int, example: int) -> float | None:
    """Return the largest absolute difference in any tensor; None if all outputs are text."""
    pairs = [
        (columns.array(f"output.{name}")[row], golden.tensor(f"outputs.{name}")[example])
        for name, spec in golden.manifest.outputs.items()
        if not spec.in_lines
    ]
    return max((float(furthest(a[np.newaxis], b[np.newaxis])[0]) for a, b in pairs), default=None)
