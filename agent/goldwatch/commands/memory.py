"""Whether a model remembers: whether its answers depend on what it was asked before.

A replay of such a model cannot be repeated: another warm-up, or a second replay of a loaded model, looks like a change
of the model. So `goldwatch golden build` and `calibrate` replay under conditions that must not matter: in another
order, after another number of warm-up requests, and, in process, a second time in one loaded model. The answers of some
models vary without a memory, so each such replay is compared with the ordinary ones. If these are equal bit by bit, a
difference that a repetition shows again is the model's memory. Otherwise the differences must be larger than those
between ordinary replays. The jobs run in workers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch.ipc.workers import JUDGES, WorkerDied, Workers
from goldwatch.pipeline.in_force import Assignment
from goldwatch.pipeline.pipeline import considerate, plan_of
from goldwatch.replay.plan import Plan
from goldwatch.scratch import blocks
from goldwatch.worker.jobs.opening import replayed

if TYPE_CHECKING:
    from numpy.typing import NDArray

ERROR = 1e-4
"""The chance that a model whose answers vary fails one test though it has no memory; it is refused if it fails two."""

_OTHER_WARM_UP = 3
_ROUNDING = 64
"""So many units in the last place are no difference: code that is compiled as it runs adds in another order."""


@dataclass(frozen=True, slots=True)
class MemoryFinding:
    """Evidence that a model remembers: the condition, how many answers differ, and the first of these examples."""

    after: str
    differing: int
    examples: int
    first: int

    def __str__(self) -> str:
        return (
            f"the model remembers: {self.after}, {self.differing:,} of {self.examples:,} examples were answered "
            f"differently, the first is example {self.first}, and a repetition showed it again"
        )


def fresh(assignment: Assignment) -> Plan:
    """Return the plan of a replay that begins, in process, with a newly loaded model."""
    plan = plan_of(assignment)
    return plan if plan.served else replace(plan, warm=False, key=f"{plan.key} fresh")


def compare(assignment: Assignment, workers: Workers, first: Path, file: Path, descriptor: int) -> None:
    """Keep in a file how a replay, the columns of which are given, differs from a first one that `keep` wrote."""
    argument = assignment.golden.place | {"first": str(first), "file": str(file)}
    workers.call(JUDGES, "goldwatch.commands.memory:gaps", argument, (descriptor,))


def remembered(
    assignment: Assignment, workers: Workers, first: Path, ordinary: Sequence[Path], kept: Path
) -> MemoryFinding | None:
    """Return the evidence that the model remembers, None if there is none.

    `first` is the file of the first ordinary replay, with its outputs; `ordinary` are those of the differences of each
    other replay from it; `kept` is a folder for more such files. Raises WorkerDied, and JobFailed, also
    for an example without an answer.
    """
    for number, (after, replays) in enumerate(_histories(fresh(assignment))):
        files: list[str] = []
        for turn in range(2):
            file = kept / f"history-{number}-{turn}.safetensors"
            _replay(assignment, workers, replays, first, file)
            files.append(str(file))
            argument = {"ordinary": [str(path) for path in ordinary], "files": files}
            found = workers.call(JUDGES, "goldwatch.commands.memory:judged", argument)
            if not found["suspect"]:
                break
        else:
            return MemoryFinding(after, found["differing"], assignment.golden.examples, found["first"])
    return None


def _histories(plan: Plan) -> Iterator[tuple[str, Sequence[Plan]]]:
    """Yield conditions that must not matter, each as text and with its replays; the last replay is compared."""
    other = plan.warmup // 3 or (0 if plan.warmup else _OTHER_WARM_UP)
    yield f"after {other} warm-up requests in place of {plan.warmup}", [replace(plan, warmup=other)]
    if (examples := _reordered(plan)) != list(plan.examples):
        yield "in another order", [replace(plan, examples=examples)]
    if not plan.served:
        yield "in a second replay of the loaded model", [replace(plan, warm=True), plan]


def _reordered(plan: Plan) -> list[int]:
    """Return the examples in another order, in the same requests: one that is smaller stays the last."""
    size, examples = plan.load.samples, list(plan.examples)
    whole = len(examples) // size
    queries = [examples[i * size : (i + 1) * size] for i in range(whole)]
    order = list(range(whole))
    while whole > 1 and order == sorted(order):
        random.Random(whole).shuffle(order) if whole > 2 else order.reverse()  # noqa: S311 - any order will do
    return [example for i in order for example in queries[i]] + examples[whole * size :]


def _replay(assignment: Assignment, workers: Workers, plans: Sequence[Plan], first: Path, file: Path) -> None:
    for number, plan in enumerate(plans, 1):
        result = considerate(plan, assignment.target.busy, workers)
        try:
            if why := result.ended or result.failure or result.given_up:
                raise WorkerDied(f"a replay that looks for a memory of the model: {why}")
            if number == len(plans):
                compare(assignment, workers, first, file, result.columns.fd)
        finally:
            result.columns.close()


def gaps(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:  # noqa: ARG001 - a Job
    """Keep how the answers of a replay differ from those of the `first`: a job, with the columns' descriptor.

    Writes into `file` the `gap` of each example [n], 0 for none, and whether all answers are the `same` bit by bit.
    Raises GoldenError, also for an example without an answer.
    """
    import numpy as np  # noqa: PLC0415 - the agent's side of this module does without

    from goldwatch.core.outcome import Outcome  # noqa: PLC0415
    from goldwatch.golden import arrays, tensors  # noqa: PLC0415 - as numpy
    from goldwatch.golden.error import GoldenError  # noqa: PLC0415

    reference = arrays.read(Path(argument["first"]))
    with replayed(argument, descriptors) as (golden, columns):
        if missing := int(np.count_nonzero(columns.array("outcome") != Outcome.OK)):
            raise GoldenError(golden.path, f"{missing:,} examples were not answered in a replay that looks for memory")
        examples, gap, same = columns.array("example"), np.zeros(golden.examples), True
        for name, spec in golden.manifest.outputs.items():
            before, now = reference[f"outputs.{name}"], columns.array(f"output.{name}")
            scale = 1.0 if spec.in_lines else _scale(before)
            of_dtype = np.finfo(now.dtype).eps * _ROUNDING * scale if now.dtype.kind == "f" else 0.0
            floor = max(spec.tolerance, float(of_dtype))
            for rows in blocks(golden.examples):
                chosen = examples[rows]
                theirs = np.asarray(before[chosen])
                if spec.in_lines:
                    ours = now[rows].reshape(-1, 1).view("uint8").reshape(len(chosen), -1)
                    found = np.array([_text_gap(a.tobytes(), b.tobytes()) for a, b in zip(ours, theirs, strict=True)])
                else:
                    ours = now[rows]
                    found = _number_gap(ours, theirs, floor) / scale
                same = same and ours.tobytes() == theirs.tobytes()
                gap[chosen] = np.maximum(gap[chosen], found)
        tensors.write(Path(argument["file"]), {"gap": gap, "same": np.asarray(same)})
        return {}


def _scale(values: NDArray[Any]) -> float:
    """Return the largest finite magnitude; 1 if there is none, or it is 0."""
    import numpy as np  # noqa: PLC0415 - as above

    largest = (np.abs(each[np.isfinite(each)].astype(float)).max(initial=0.0) for each in _blocks_of(values))
    return float(max(largest, default=0.0)) or 1.0


def _blocks_of(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (values[rows] for rows in blocks(len(values)))


def _number_gap(ours: NDArray[Any], theirs: NDArray[Any], floor: float) -> NDArray[Any]:
    """Return the largest difference of each example: 0 up to the floor, infinity where one alone is not finite."""
    import numpy as np  # noqa: PLC0415 - as above

    a, b = (np.asarray(values, dtype=float).reshape(len(ours), -1) for values in (ours, theirs))
    with np.errstate(invalid="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    largest = np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(axis=1, initial=0.0)
    return np.where(largest > floor, largest, 0.0)


def _text_gap(ours: bytes, theirs: bytes) -> float:
    """Return 0 for equal texts, and else the share of words that they do not have in common, but more than 0."""
    a, b = (text.rstrip(b"\0") for text in (ours, theirs))
    if a == b:
        return 0.0
    words, others = Counter(a.split()), Counter(b.split())
    return max(1 - 2 * (words & others).total() / max(words.total() + others.total(), 1), 1e-6)


def judged(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:  # noqa: ARG001 - a Job
    """Return whether replays after another history differ more than the `ordinary` ones: a job for a worker.

    Takes the `files` of `gaps`, of one replay or of it and its repetition. Returns whether the model is `suspect`, how
    many examples are `differing` in the last of them, and the `first`.
    """
    import numpy as np  # noqa: PLC0415 - as above

    from goldwatch.golden import arrays  # noqa: PLC0415 - as above

    ordinary = [arrays.read(Path(file)) for file in argument["ordinary"]]
    others = [np.asarray(arrays.read(Path(file))["gap"]) for file in argument["files"]]
    exact = all(bool(each["same"]) for each in ordinary)
    usual = np.stack([np.asarray(each["gap"]) for each in ordinary])
    repeated = all(np.array_equal(others[0], other) for other in others)
    suspect = bool(others[0].any()) if exact and repeated else all(_is_larger(usual, other) for other in others)
    differing = np.flatnonzero(others[-1])
    return {"suspect": suspect, "differing": len(differing), "first": int(differing[0]) if len(differing) else 0}


def _is_larger(usual: NDArray[Any], other: NDArray[Any]) -> bool:
    """Return whether a replay differs from the first more than the ordinary ones [replays, n] do.

    Without memory all of them are alike. So of examples with one largest difference, the replay has it in one of as
    many as there are replays: an exact binomial test, for examples that vary independently.
    """
    from scipy.special import bdtrc  # noqa: PLC0415 - as numpy

    largest = usual.max(axis=0)
    ours = int((other > largest).sum())
    tied = (usual == largest).sum(axis=0) > 1
    theirs = int(((other < largest) & ~tied).sum())
    return bool(bdtrc(ours - 1, ours + theirs, 1 / (len(usual) + 1)) < ERROR)
