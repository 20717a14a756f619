"""A first golden set: the examples from a file, the reference from the validated model as it is deployed.

The outputs are read off the first answers of the target. A temporary set without outputs is made first, only to ask
for them; the set that is frozen in the end is calibrated like any other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from goldwatch.commands.calibration import FreezeOptions, calibrate
from goldwatch.commands.discovery import describe
from goldwatch.config import Golden, Target, Watch
from goldwatch.core.judgement import Judgement
from goldwatch.core.monitors.worse import scores_of
from goldwatch.daemon.in_force import Assignment, inspect
from goldwatch.daemon.pipeline import considerate, plan_of
from goldwatch.errors import GoldwatchError
from goldwatch.export import cardinality
from goldwatch.golden.examples import NO_BATCH, TEXT_OUTPUT, Examples, Spec, is_table
from goldwatch.golden.lines import JSON, TEXT
from goldwatch.golden.manifest import Task
from goldwatch.golden.tensors import NUMPY_DTYPES
from goldwatch.ipc.judging_jobs import (
    COMPARE_WITH_CHANCE,
    FREEZE_EXAMPLES,
    Calibrated,
    ChanceRequest,
    FreezeExamplesRequest,
)
from goldwatch.ipc.workers import JUDGES, Workers
from goldwatch.probe import TensorSpec

_ASKED = 8
"""Of how many examples the answers are looked at, to see what outputs are and whether their shapes vary."""


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
    examples = replace(examples, takes=_takes(target, workers) if is_table(examples.file) else ())
    with tempfile.TemporaryDirectory(prefix="goldwatch-") as folder:
        if not examples.outputs or any(not dtype for _, dtype, _ in examples.outputs):
            silent = replace(examples, outputs=())
            asked = _provisional(Path(folder) / "asked", watch, target, silent, workers)
            examples = replace(examples, outputs=_outputs(asked, examples, workers, note))
        empty = _provisional(Path(folder) / "empty", watch, target, examples, workers, note)

        def checked(number: int, judgement: Judgement) -> None:
            if number == 1:
                _check_chance(empty, judgement, workers, note)
            told(number, judgement)

        return calibrate(empty, replace(wanted, outputs=True), workers, checked)


def _takes(target: Target, workers: Workers) -> tuple[TensorSpec, ...]:
    """Return the inputs that a target describes; none if it describes none."""
    try:
        return describe(target, workers).inputs
    except GoldwatchError:  # a model in another interpreter; one that cannot be opened fails in the first replay
        return ()


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
    settings |= scores_of(watch)
    return Assignment(watch, target, facts, settings)


def _outputs(
    assignment: Assignment, examples: Examples, workers: Workers, note: Callable[[str], None]
) -> tuple[Spec, ...]:
    """Read off the answers to the first examples what the outputs are; of those that `examples` names, if it does."""
    if assignment.golden.task == Task.GENERATION and not examples.outputs:
        return (TEXT_OUTPUT,)  # lines without labels
    few = range(min(_ASKED, assignment.golden.examples))
    result = considerate(
        replace(plan_of(assignment), examples=few, outputs=(), warmup=0, batch_axes=examples.batch_axes),
        assignment.target.busy,
        workers,
    )
    result.columns.close()
    target = f"target {assignment.target.name}"
    if why := result.failure or result.ended or next(iter(result.errors), ""):
        raise GoldwatchError(f"{target}: {why}")
    answered = {spec.name: spec for spec in result.answered}
    if not answered:
        raise GoldwatchError(f"{target} answers without any output; name one by --output NAME:DTYPE:SHAPE")
    return tuple(_chosen(examples, answered, target)) or tuple(_usable(answered, target, note))


def _chosen(examples: Examples, answered: Mapping[str, TensorSpec], target: str) -> Iterator[Spec]:
    """Yield the outputs that are named, each as it is described, or as it is answered."""
    for name, dtype, shape in examples.outputs:
        if dtype:
            yield name, dtype, shape
        elif name in answered:
            yield name, answered[name].dtype, tuple(answered[name].shape)
        else:
            raise GoldwatchError(f'--output: {target} has no output "{name}"; it answers {", ".join(answered)}')


def _usable(answered: Mapping[str, TensorSpec], target: str, note: Callable[[str], None]) -> Iterator[Spec]:
    """Yield the outputs that a golden set can hold, and note the others. Raises GoldwatchError if there is none."""
    others = [spec for spec in answered.values() if spec.dtype not in NUMPY_DTYPES | {TEXT, JSON}]
    if len(others) == len(answered):
        said = ", ".join(f"{spec.name} ({spec.dtype} {list(spec.shape)})" for spec in others)
        raise GoldwatchError(f"{target} has no output that a golden set can hold: {said}{_how(others)}")
    for spec in others:
        note(f"left out: output {spec.name}, {spec.dtype} {list(spec.shape)}{_how([spec])}")
    yield from ((spec.name, spec.dtype, tuple(spec.shape)) for spec in answered.values() if spec not in others)


def _how(left_out: Sequence[TensorSpec]) -> str:
    """Say how outputs without a batch axis can be held."""
    axes = " ".join(f"--batch-axis outputs.{spec.name}=none" for spec in left_out if spec.dtype == NO_BATCH)
    return f"; if that is one example's, {axes}" if axes else ""
