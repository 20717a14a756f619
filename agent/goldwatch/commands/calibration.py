"""A new version of a golden set, whose reference is repeated replays of the validated model as it is deployed.

They show how much its answers vary from replay to replay, which the monitors must not take for a change.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from goldwatch import __version__
from goldwatch.commands.gate import Result, accuracy
from goldwatch.commands.memory import compare, fresh, remembered
from goldwatch.config import Golden
from goldwatch.core import kinds
from goldwatch.core.judgement import Judgement, Validity
from goldwatch.core.score_spec import controls_problem, freezing_limit_s, judging_limit_s
from goldwatch.daemon.in_force import Assignment, inspect
from goldwatch.daemon.pipeline import considerate, judge
from goldwatch.errors import GoldwatchError
from goldwatch.golden.error import reason
from goldwatch.golden.manifest import plain_problem
from goldwatch.ipc.judging_jobs import FREEZE, KEEP, Calibrated, FreezeRequest, KeepRequest
from goldwatch.ipc.workers import CALL_LIMIT_S, JUDGES, Workers

_SAYS = ("model", "version", "digest", "framework", "framework_version", "device")
_REMEDY = {
    False: "no replay of it can be repeated: reset its state before each request, for example by the probe `python`, "
    "or export it with its state as an input and an output",
    True: "goldwatch cannot reset the state of a server: turn it off there, such as a session or a cache of prompts",
}
"""By whether the target is served."""

LEAST_REPLAYS = 2
"""One for each half of the reference."""


@dataclass(frozen=True, slots=True)
class FreezeOptions:
    """Options of a freeze: the new folder, the version, and the number of replays.

    With `outputs` the answers of the first replay become the reference outputs; without, those of the set are kept.
    """

    folder: Path
    version: str
    replays: int
    outputs: bool = False


def calibrate(
    assignment: Assignment,
    wanted: FreezeOptions,
    workers: Workers,
    told: Callable[[int, Judgement], None] = lambda *_: None,
) -> Calibrated:
    """Replay the model and freeze; `told` hears of each replay, counted from 1. Raises GoldwatchError.

    In process each replay begins with a newly loaded model. A replay that is not valid, or an example without an
    answer, ends it: they are no reference. A model whose answers depend on what it was asked before ends it too. So
    does a first replay that the gate would call a regression in accuracy, unless the model's answers are to be the new
    reference.
    """
    if os.path.lexists(wanted.folder):
        raise GoldwatchError(f"{wanted.folder}: exists already; a golden set is never changed: name a new folder")
    if wanted.replays < LEAST_REPLAYS:
        raise GoldwatchError(f"{wanted.replays} replays cannot be halved; make it {LEAST_REPLAYS} or more")
    if problem := controls_problem(assignment.scores, assignment.golden.examples):
        raise GoldwatchError(problem)
    _check_place(wanted)
    assignment = _without_scores_watched(assignment)
    with tempfile.TemporaryDirectory(prefix="goldwatch-") as kept:
        assignment = _judged_anew(assignment, Path(kept))
        if wanted.outputs:
            assignment = _answering_as_now(assignment, workers, Path(kept))
        return _calibrated(assignment, wanted, workers, Path(kept), told)


def _check_place(wanted: FreezeOptions) -> None:
    """Look at what would otherwise be found out after the last replay."""
    parent = wanted.folder.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GoldwatchError(f"{parent} cannot be made: {reason(error)}") from None
    if not os.access(parent, os.W_OK):
        raise GoldwatchError(f"{parent} cannot be written to; name another folder")
    if wanted.version and (problem := plain_problem(wanted.version)):
        raise GoldwatchError(f"--version: {problem}")


def _calibrated(
    assignment: Assignment, wanted: FreezeOptions, workers: Workers, kept: Path, told: Callable[[int, Judgement], None]
) -> Calibrated:
    made_with: dict[str, str] = {}
    first = kept / "1.safetensors"
    gaps = [kept / f"gap-{number}.safetensors" for number in range(2, wanted.replays + 1)]
    for number in range(1, wanted.replays + 1):
        gap = None if number == 1 else (first, gaps[number - 2])
        judgement = _once(assignment, workers, kept / f"{number}.safetensors", outputs=number == 1, gap=gap)
        told(number, judgement)
        if number == 1:
            if not wanted.outputs:
                _check_same_model(assignment, judgement)
            made_with = _made_with(assignment, judgement)
    if (memory := remembered(assignment, workers, first, gaps, kept)) is not None:
        raise GoldwatchError(f"{memory}; {_REMEDY[assignment.target.served]}")
    files = tuple(str(kept / f"{number}.safetensors") for number in range(1, wanted.replays + 1))
    request = FreezeRequest(
        assignment.golden.place,
        str(wanted.folder),
        files,
        wanted.version,
        made_with=made_with,
        scores=assignment.scores,
    )
    limit_s = CALL_LIMIT_S + freezing_limit_s(assignment.scores)
    return workers.call(JUDGES, FREEZE, request, limit_s=limit_s)


def _answering_as_now(assignment: Assignment, workers: Workers, kept: Path) -> Assignment:
    """Return the assignment over a set, for now, whose reference outputs are the answers of one replay."""
    file, folder = kept / "outputs.safetensors", kept / "answers"
    bare = replace(assignment, settings={**assignment.settings, "scores": ()})  # there is no reference of them
    _once(bare, workers, file, outputs=True)
    request = FreezeRequest(assignment.golden.place, str(folder), (str(file), str(file)), outputs=str(file))
    workers.call(JUDGES, FREEZE, request)
    return replace(assignment, golden=inspect(workers, Golden(name=assignment.golden.name, path=folder)))


def _without_scores_watched(assignment: Assignment) -> Assignment:
    """Return the assignment without the monitors of scores, whose reference this command takes."""
    alphas = assignment.settings["alphas"]
    kept = {
        name: alpha
        for name, alpha in alphas.items()
        if kinds.watched_score(name) is None and kinds.judged_score(name) is None and name != kinds.GAP.name
    }
    return replace(assignment, settings={**assignment.settings, "alphas": kept})


def _judged_anew(assignment: Assignment, kept: Path) -> Assignment:
    """Return the assignment with a store of grades of its own: a reference has none of a judge of another day."""
    scores = [
        {**score, "judge": score["judge"] and {**score["judge"], "store": str(kept / "judgings.db")}}
        for score in assignment.settings.get("scores", ())
    ]
    return replace(assignment, settings={**assignment.settings, "scores": scores}) if scores else assignment


def _once(
    assignment: Assignment,
    workers: Workers,
    file: Path,
    *,
    outputs: bool = False,
    gap: tuple[Path, Path] | None = None,
) -> Judgement:
    """Replay once, and keep in a file what the reference needs of it.

    With `gap`, the files of the first replay and of what to write, keep also how the answers differ from the first.
    """
    result = considerate(fresh(assignment), assignment.target.busy, workers)
    try:
        judgement = judge(assignment, result, workers, {}).judgement
        if judgement.findings.validity is not Validity.VALID:
            raise GoldwatchError(f"a replay was {judgement.findings.validity}: {'; '.join(judgement.findings.reasons)}")
        request = KeepRequest(assignment.golden.place, str(file), outputs, assignment.scores)
        limit_s = CALL_LIMIT_S + judging_limit_s(assignment.scores)
        workers.call(JUDGES, KEEP, request, (result.columns.fd,), limit_s)
        if gap is not None:
            compare(assignment, workers, *gap, result.columns.fd)
    finally:
        result.columns.close()
    return judgement


def _made_with(assignment: Assignment, judgement: Judgement) -> dict[str, str]:
    found = judgement.run.description
    said = {name: getattr(found, name) for name in _SAYS} if found is not None else {}
    return {"goldwatch": __version__, "probe": assignment.target.probe} | {k: v for k, v in said.items() if v}


def _check_same_model(assignment: Assignment, judgement: Judgement) -> None:
    found = accuracy(assignment, judgement)
    if found.result is not Result.PASS:
        raise GoldwatchError(
            f"this is not the model of {assignment.golden}: {found.reason}; calibrate with the validated model, or "
            "take the answers of this one for the new reference with --outputs"
        )
