"""Compares the answers of some examples with their reference, for `goldwatch replay`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.outcome import Outcome
from goldwatch.golden import picture
from goldwatch.golden.lines import JSON
from goldwatch.golden.manifest import Task
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.columns import Columns
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import ANSWERS, AnswersRequest, RerunAnswer, RerunAnswers
from goldwatch.worker.evaluators.agreement import apart_in, furthest
from goldwatch.worker.evaluators.confusions import class_name
from goldwatch.worker.evaluators.decisions import decision_of
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
    label, then, now = words(golden, columns, row, example)
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


def words(golden: GoldenSet, columns: Columns, row: int, example: int) -> tuple[str, str, str]:
    """Return the right answer, the reference's and the target's now, as text; empty if there is no text for one."""
    manifest = golden.manifest
    decision, now = manifest.decision, columns.array(f"output.{manifest.decision}")[row : row + 1]
    then = golden.reference_output(decision)[example : example + 1]
    if golden.task is Task.GENERATION:
        answers = golden.lines()[example].get("answers", [""])
        return answers[0], then[0], now[0].decode("utf-8", "replace")
    if manifest.outputs[decision].dtype == JSON:
        return "", then[0], now[0].decode("utf-8", "replace")
    if manifest.labels is None or manifest.labels.classes is None:
        label = "" if manifest.labels is None else _vector(golden.tensor("labels")[example])
        return label, _vector(then), _vector(now)
    classes, read = manifest.labels.classes, decision_of(manifest)
    before, after = (class_name(int(read.scores(each)[0].argmax()), (*classes, "no class")) for each in (then, now))
    return classes[int(golden.tensor("labels")[example])], before, after


def _vector(values: NDArray[Any]) -> str:
    """Write numbers, of many the first ones."""
    values = np.ravel(values)
    shown = ", ".join(f"{value:.6g}" for value in values[:_NUMBERS].tolist())
    return f"{shown}, ..." if len(values) > _NUMBERS else shown


def _same(golden: GoldenSet, columns: Columns, row: int, example: int) -> bool:
    if golden.task not in (Task.EMBEDDING, Task.REGRESSION):
        _, then, now = words(golden, columns, row, example)
        return then == now
    name = golden.manifest.decision
    if (spec := golden.manifest.outputs[name]).dtype == JSON:
        kept, every = columns.array(f"output.{name}")[row : row + 1], np.ones(1, np.bool_)
        known = golden.reference_output(name)[example : example + 1]
        return bool(apart_in(kept, known, every, structured=True)[0] <= spec.tolerance)
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
