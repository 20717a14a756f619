"""A first golden set: the examples from a file, the reference from the validated model as it is deployed.

The target itself gives the outputs. A temporary set without outputs is made first, only to ask for them; the set that
is frozen in the end is calibrated like any other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from goldwatch.commands.calibration import FreezeOptions, calibrate
from goldwatch.config import Golden, Target, Watch
from goldwatch.core.judgement import Judgement
from goldwatch.daemon import in_force
from goldwatch.daemon.in_force import Assignment, inspect
from goldwatch.daemon.pipeline import considerate, plan_of
from goldwatch.errors import GoldwatchError
from goldwatch.export import cardinality
from goldwatch.golden.examples import TEXT_OUTPUT, Examples, Spec
from goldwatch.ipc.judging_jobs import (
    COMPARE_WITH_CHANCE,
    FREEZE_EXAMPLES,
    Calibrated,
    ChanceRequest,
    FreezeExamplesRequest,
)
from goldwatch.ipc.workers import JUDGES, Workers


def build(
    watch: Watch,
    target: Target,
    examples: Examples,
    wanted: FreezeOptions,
    workers: Workers,
    told: Callable[[int, Judgement], None] = lambda *_: None,
    note: Callable[[str], None] = lambda _: None,
) -> Calibrated:
    """Freeze the examples with the answers of a target for their reference. Raises GoldwatchError.

    `note` takes each remark on the labels: the match of texts and why, and what may be wrong.
    """
    with tempfile.TemporaryDirectory(prefix="goldwatch-") as folder:
        if not examples.outputs:
            asked = _provisional(Path(folder) / "asked", watch, target, examples, workers)
            examples = replace(examples, outputs=_outputs(asked, examples, workers))
        empty = _provisional(Path(folder) / "empty", watch, target, examples, workers, note)

        def checked(number: int, judgement: Judgement) -> None:
            if number == 1:
                _check_chance(empty, judgement, workers, note)
            told(number, judgement)

        return calibrate(empty, replace(wanted, outputs=True), workers, checked)


def _check_chance(assignment: Assignment, judgement: Judgement, workers: Workers, note: Callable[[str], None]) -> None:
    """Note an accuracy that guessing explains. Raises GoldwatchError for one that is worse than guessing."""
    score = judgement.headline
    if score is None or score.name != "accuracy":
        return
    request = ChanceRequest(assignment.golden.place, score.value, score.n)
    found = workers.call(JUDGES, COMPARE_WITH_CHANCE, request)
    if not found.problem:
        return
    said = f"accuracy is {score.value:.4f} of {score.n:,} examples; {found.problem}"
    if found.refuse:
        raise GoldwatchError(said)
    note(said)


def _provisional(
    folder: Path,
    watch: Watch,
    target: Target,
    examples: Examples,
    workers: Workers,
    note: Callable[[str], None] = lambda _: None,
) -> Assignment:
    """Return an assignment over a set of these examples with placeholders for the outputs."""
    request = FreezeExamplesRequest(examples, str(folder))
    for remark in workers.call(JUDGES, FREEZE_EXAMPLES, request).notes:
        note(remark)
    facts = inspect(workers, Golden(name=examples.name, path=folder))
    for warning in cardinality.warnings({watch.golden: facts.slices}):
        note(f"warning: {warning}")
    objectives = watch.objectives
    settings = {"accuracy_loss": objectives.accuracy_loss, "error_rate": objectives.error_rate, "alphas": {}}
    settings |= in_force.scores_of(watch)
    return Assignment(watch, target, facts, settings)


def _outputs(assignment: Assignment, examples: Examples, workers: Workers) -> tuple[Spec, ...]:
    """Ask the target what its outputs are."""
    if examples.file.suffix == ".jsonl":
        return (TEXT_OUTPUT,)
    plan = replace(plan_of(assignment), examples=range(1), outputs=(), warmup=0)
    result = considerate(plan, assignment.target.busy, workers)
    result.columns.close()
    if why := result.failure or result.ended:
        raise GoldwatchError(why)
    found = result.description.outputs if result.description is not None else ()
    if not found:
        how = "write each as --output NAME:DTYPE:SHAPE, such as probabilities:float32:10"
        raise GoldwatchError(f"target {assignment.target.name} does not say what its outputs are; {how}")
    return tuple((spec.name, spec.dtype, tuple(spec.shape)) for spec in found)
