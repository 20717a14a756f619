"""A new version of a golden set, whose reference is repeated replays of the validated model as it is deployed.

They show how much its answers vary from replay to replay, which the monitors must not take for a change.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch import __version__
from goldwatch.commands.gate import Result, accuracy
from goldwatch.commands.memory import compare, fresh, remembered
from goldwatch.config import Golden
from goldwatch.core.judgement import Judgement, Validity
from goldwatch.core.outcome import Outcome
from goldwatch.errors import GoldwatchError
from goldwatch.golden.error import GoldenError, reason
from goldwatch.golden.manifest import KEPT, plain_problem
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.workers import JUDGES, Workers
from goldwatch.pipeline.in_force import Assignment, inspect
from goldwatch.pipeline.pipeline import considerate, judge
from goldwatch.scratch import blocks, column, zeros
from goldwatch.worker.jobs.opening import open_as, replayed

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
class Calibrated:
    """What was frozen: its name with the short digest, and what the replays of the reference showed.

    `accuracy` is the share of right answers over all of them, `moved` the most examples of a replay that differed from
    the reference outputs beyond the tolerance. `score` is what that share is called: without labels, agreement.
    """

    golden: str
    digest: str
    deterministic: bool
    accuracy: float
    moved: int
    score: str = "accuracy"


@dataclass(frozen=True, slots=True)
class FreezeOptions:
    """What to freeze: into which new folder, as which version, from how many replays.

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
    _check_place(wanted)
    with tempfile.TemporaryDirectory(prefix="goldwatch-") as kept:
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
    files = [str(kept / f"{number}.safetensors") for number in range(1, wanted.replays + 1)]
    facts = {"version": wanted.version, "made_with": made_with}
    return Calibrated(**_frozen(assignment, workers, wanted.folder, files, facts))


def _answering_as_now(assignment: Assignment, workers: Workers, kept: Path) -> Assignment:
    """Return the assignment over a set, for now, whose reference outputs are the answers of one replay."""
    file, folder = kept / "outputs.safetensors", kept / "answers"
    _once(assignment, workers, file, outputs=True)
    _frozen(assignment, workers, folder, [str(file), str(file)], {"outputs": str(file)})
    return replace(assignment, golden=inspect(workers, Golden(name=assignment.golden.name, path=folder)))


def _frozen(
    assignment: Assignment, workers: Workers, folder: Path, files: Sequence[str], facts: Mapping[str, Any]
) -> dict[str, Any]:
    rest = {"folder": str(folder), "files": files, "version": None, "outputs": None}
    return workers.call(JUDGES, "goldwatch.commands.calibration:frozen", assignment.golden.place | rest | dict(facts))


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
        if judgement.validity is not Validity.VALID:
            raise GoldwatchError(f"a replay was {judgement.validity}: {'; '.join(judgement.reasons)}")
        argument = assignment.golden.place | {"file": str(file), "outputs": outputs}
        workers.call(JUDGES, "goldwatch.commands.calibration:keep", argument, (result.columns.fd,))
        if gap is not None:
            compare(assignment, workers, *gap, result.columns.fd)
    finally:
        result.columns.close()
    return judgement


def _made_with(assignment: Assignment, judgement: Judgement) -> dict[str, str]:
    found = judgement.description
    said = {name: getattr(found, name) for name in _SAYS} if found is not None else {}
    return {"goldwatch": __version__, "probe": assignment.target.probe} | {k: v for k, v in said.items() if v}


def _check_same_model(assignment: Assignment, judgement: Judgement) -> None:
    found = accuracy(assignment, judgement)
    if found.result is not Result.PASS:
        raise GoldwatchError(
            f"this is not the model of {assignment.golden}: {found.reason}; calibrate with the validated model, or "
            "take the answers of this one for the new reference with --outputs"
        )


def keep(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:  # noqa: ARG001 - a Job
    """Keep of one replay what its part of the reference needs: a job for a worker, with the columns' descriptor.

    Takes `path` and `digest` of the golden set, the `file` to write, and whether to keep the `outputs` too. Raises
    GoldenError, also for an example without an answer.
    """
    import numpy as np  # noqa: PLC0415 - the agent's side of this module does without

    from goldwatch.golden import tensors  # noqa: PLC0415 - as numpy
    from goldwatch.worker.evaluators.tasks import judged  # noqa: PLC0415 - as numpy

    with replayed(argument, descriptors) as (golden, columns):
        n, outcome = golden.examples, columns.array("outcome")
        answered = column(n, np.bool_, lambda rows: outcome[rows] == Outcome.OK)
        if not answered.all():
            missing, first = n - int(np.count_nonzero(answered)), int(np.argmin(answered))
            raise GoldenError(golden.path, f"{missing:,} examples were not answered, the first is example {first}")
        outputs = {name: columns.array(f"output.{name}") for name in golden.manifest.outputs}
        task = judged(golden)
        found = {"right": task.right(outputs), "distances": _as_float32(task.distance(outputs, answered))}
        found["moved"] = np.asarray(task.difference(outputs, answered).moved)
        if (scores := task.score(outputs, answered)) is not None:
            found["scores"] = _as_float32(scores)
        if argument["outputs"]:
            found |= {f"outputs.{name}": _stored(values) for name, values in outputs.items()}
        tensors.write(Path(argument["file"]), found)
        return {}


def _as_float32(values: NDArray[Any]) -> NDArray[Any]:
    return column(len(values), "float32", values.__getitem__)


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """Return outputs [n, ...] as a file of tensors holds them: text as its bytes [n, most bytes]."""
    return values.view("uint8").reshape(len(values), -1) if values.dtype.kind == "S" else values


def frozen(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:  # noqa: ARG001 - a Job
    """Freeze the golden set at `path`, of `digest`, with a new reference: a job for a worker.

    Takes the new `folder`, the new `version` (None for the same), the `files` of replays that `keep` wrote, that with
    the new `outputs` if there is one, and what the reference was `made_with`. Returns a Calibrated. Raises GoldenError.
    """
    import numpy as np  # noqa: PLC0415 - as above

    from goldwatch.golden import arrays  # noqa: PLC0415 - as above
    from goldwatch.golden.freeze import freeze  # noqa: PLC0415 - as above

    golden = open_as(Path(argument["path"]), argument["digest"])
    replays = [arrays.read(Path(file)) for file in argument["files"]]
    half = -(-len(replays) // 2)
    right = zeros((2, golden.examples), np.int64)
    for number, each in enumerate(replays):
        for rows in blocks(golden.examples):
            right[int(number >= half), rows] += each["right"][rows]
    moved = max(int(replay["moved"]) for replay in replays)
    manifest = golden.manifest.model_dump(mode="json", exclude_none=True, exclude={"format", "files"})
    manifest["version"] = argument["version"] or golden.version
    manifest["reference"] = {
        "replays": [half, len(replays) - half],
        "deterministic": moved == 0,
        "made_with": argument.get("made_with", {}),
    }
    tensors = {name: golden.tensor(name) for name in golden.manifest.tensors() if not name.startswith("reference.")}
    tensors["reference.right"] = right
    if moved:
        kept = [name for name in KEPT if name in replays[0]]
        manifest["reference"]["keeps"] = kept
        tensors |= {f"reference.{name}": _stacked([replay[name] for replay in replays]) for name in kept}
    answers = arrays.read(Path(argument["outputs"])) if argument["outputs"] else {}
    texts = {name for name, spec in golden.manifest.outputs.items() if spec.in_lines}
    tensors |= {f"outputs.{n}": answers[f"outputs.{n}"] for n in golden.manifest.outputs if answers and n not in texts}
    lines = _lines(golden, {n: answers[f"outputs.{n}"] for n in texts if answers}) if golden.manifest.has_lines else ()
    found = freeze(Path(argument["folder"]), manifest, tensors, lines, golden.identities())
    accuracy = float(right.sum()) / (len(replays) * golden.examples)
    score = "agreement" if golden.manifest.labels is None else "accuracy"
    return asdict(Calibrated(str(found), found.digest, moved == 0, accuracy, moved, score))


def _stacked(replays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return values of every replay [replays, n]."""
    found = zeros((len(replays), len(replays[0])), replays[0].dtype)
    for values, into in zip(replays, found, strict=True):
        for rows in blocks(len(values)):
            into[rows] = values[rows]
    return found


def _lines(golden: GoldenSet, answers: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, Any]]:
    """Yield the examples of a set, with other texts, the bytes of each [n, most bytes], for reference outputs."""
    for index, line in enumerate(golden.lines()):
        for name, texts in answers.items():
            line["outputs"][name] = texts[index].tobytes().rstrip(b"\0").decode("utf-8", "replace")
        yield line
