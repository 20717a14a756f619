"""A first golden set: the examples from a file, the reference from the validated model as it is deployed.

What the outputs are the target says itself. A set with nothing in their place is made first, for as long as it takes to
ask; what is frozen in the end is calibrated like any other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch.commands.calibration import Calibrated, CannotCalibrate, Wanted, calibrate
from goldwatch.config import Golden, Target, Watch
from goldwatch.golden.error import GoldenError
from goldwatch.golden.lines import Lines
from goldwatch.judgement import Judgement
from goldwatch.pipeline.in_force import Assignment, UnusableSet, inspect
from goldwatch.pipeline.pipeline import considerate, plan_of
from goldwatch.replay.workers import JUDGES, JobFailed, WorkerDied, Workers
from goldwatch.scratch import column, distinct, zeros

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

TEXT_OUTPUT = ("text", "text", ())
LABELS, SLICE, CLUSTER = "labels", "slice.", "cluster."

_ALONE = ("", "-1")
"""The clusters of examples that are in none."""

Spec = tuple[str, str, tuple[int, ...]]
"""The name, dtype and shape of an output."""
Parts = tuple[dict[str, Any], "dict[str, NDArray[Any]]"]
"""A part of a manifest, and the tensors that it tells of."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Where the examples are, and what a set says of them.

    `file` is .npz or .safetensors: an array [n, ...] for each input, `labels` [n] (class numbers or names), any number
    of `slice.NAME` [n], and one `cluster.NAME` [n], which is alike for examples that stand or fall together; or .jsonl:
    an object a line with `inputs` and, if there are any, `answers`, `slices` and `cluster`, of one name.
    `classes` names the class numbers. `outputs` is what the target gives, empty where it says so itself; `decision` is
    the one that is judged.
    """

    file: Path
    name: str
    licence: str
    source: str
    tolerance: float = 0.001
    classes: tuple[str, ...] = ()
    outputs: tuple[Spec, ...] = ()
    decision: str = ""


def build(
    watch: Watch,
    target: Target,
    examples: Examples,
    wanted: Wanted,
    workers: Workers,
    told: Callable[[int, Judgement], None] = lambda *_: None,
) -> Calibrated:
    """Freeze the examples with the answers of a target for their reference. Raises CannotCalibrate."""
    with tempfile.TemporaryDirectory(prefix="goldwatch-") as folder:
        try:
            if not examples.outputs:
                asked = _provisional(Path(folder) / "asked", watch, target, examples, workers)
                examples = replace(examples, outputs=_outputs(asked, examples, workers))
            empty = _provisional(Path(folder) / "empty", watch, target, examples, workers)
        except (JobFailed, WorkerDied, UnusableSet) as error:
            raise CannotCalibrate(str(error)) from None
        return calibrate(empty, replace(wanted, outputs=True), workers, told)


def _provisional(folder: Path, watch: Watch, target: Target, examples: Examples, workers: Workers) -> Assignment:
    """Return an assignment over a set of these examples that has nothing yet where the outputs will be."""
    argument = asdict(examples) | {"file": str(examples.file), "folder": str(folder)}
    workers.call(JUDGES, "goldwatch.commands.building:frozen", argument)
    facts = inspect(workers, Golden(name=examples.name, path=folder))
    objectives = watch.objectives
    settings = {"accuracy_loss": objectives.accuracy_loss, "error_rate": objectives.error_rate, "alphas": {}}
    return Assignment(watch, target, facts, settings)


def _outputs(assignment: Assignment, examples: Examples, workers: Workers) -> tuple[Spec, ...]:
    """Ask the target what its outputs are."""
    if examples.file.suffix == ".jsonl":
        return (TEXT_OUTPUT,)
    plan = replace(plan_of(assignment), examples=range(1), outputs=(), warmup=0)
    result = considerate(plan, assignment.target.busy, workers)
    result.columns.close()
    if why := result.failure or result.ended:
        raise CannotCalibrate(why)
    found = result.description.outputs if result.description is not None else ()
    if not found:
        how = "write each as --output NAME:DTYPE:SHAPE, such as probabilities:float32:10"
        raise CannotCalibrate(f"target {assignment.target.name} does not say what its outputs are; {how}")
    return tuple((spec.name, spec.dtype, tuple(spec.shape)) for spec in found)


def frozen(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:  # noqa: ARG001 - a Job
    """Freeze a provisional set into `folder`: a job for a worker. Takes Examples. Raises GoldenError."""
    from goldwatch.golden import arrays  # noqa: PLC0415 - it brings numpy
    from goldwatch.golden.freeze import freeze  # noqa: PLC0415 - as above

    fields = {name: argument[name] for name in Examples.__dataclass_fields__}
    examples = Examples(**fields | {"file": Path(argument["file"])})
    if examples.file.suffix == ".jsonl":
        given = Lines(examples.file)
        manifest, tensors = _of_text(examples, given)
        lines = _unanswered(given, next(iter(manifest["outputs"])))
    else:
        found = arrays.read(examples.file)
        manifest, tensors = _of_arrays(examples, {name.removeprefix("inputs."): found[name] for name in found})
        lines = iter(())
    freeze(Path(argument["folder"]), _about(examples, manifest), tensors, lines)
    return {}


def _about(examples: Examples, manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": examples.name,
        "version": "0",
        "reference": {"replays": [1, 1], "deterministic": False},
        "provenance": {"source": examples.source},
        "licence": examples.licence,
        **({"decision": examples.decision} if examples.decision and examples.outputs else {}),
        **manifest,
    }


def _of_arrays(
    examples: Examples, arrays: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return manifest and tensors of arrays: a classifier's if there are labels, else vectors'."""
    import numpy as np  # noqa: PLC0415 - the agent's side of this module does without

    inputs = {n: a for n, a in arrays.items() if n != LABELS and not n.startswith((SLICE, CLUSTER))}
    if not inputs or any(not array.ndim for array in arrays.values()):
        raise GoldenError(
            Path(examples.file), "holds no array of inputs; write one [n, ...] for each input of the model"
        )
    for name, array in arrays.items():
        if name not in inputs and array.ndim != 1:
            raise GoldenError(examples.file, f"{name} has the shape {list(array.shape)}; expected one value an example")
    n = len(next(iter(inputs.values())))
    tensors = {f"inputs.{name}": array for name, array in inputs.items()}
    manifest: dict[str, Any] = {"task": "embedding", "examples": n, "slices": {}}
    manifest["inputs"] = {name: {"dtype": a.dtype.name, "shape": list(a.shape[1:])} for name, a in inputs.items()}
    width = 1
    if LABELS in arrays:
        codes, classes = _codes(arrays[LABELS], examples.classes)
        tensors[LABELS], width = codes, len(classes)
        manifest |= {"task": "classification", "labels": {"classes": list(classes)}}
    for name in (name for name in arrays if name.startswith(SLICE)):
        codes, values = _codes(arrays[name], ())
        tensors[f"slices.{name.removeprefix(SLICE)}"] = codes
        manifest["slices"][name.removeprefix(SLICE)] = {"values": list(values)}
    clusters = [name for name in arrays if name.startswith(CLUSTER)]
    if clusters:
        manifest["clusters"] = {"by": _one(examples, [name.removeprefix(CLUSTER) for name in clusters])}
        tensors["clusters"] = _numbered(arrays[clusters[0]])
    outputs = examples.outputs or (("answer", "float32", (width,)),)
    manifest["outputs"] = {
        name: {"dtype": dtype, "shape": list(shape), "tolerance": examples.tolerance} for name, dtype, shape in outputs
    }
    tensors |= {f"outputs.{name}": _nothing((n, *shape), dtype) for name, dtype, shape in outputs}
    tensors["reference.right"] = _nothing((2, n), np.int64)
    return manifest, tensors


def _nothing(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return zeros, which take no room until they are written."""
    import numpy as np  # noqa: PLC0415 - as above

    return np.broadcast_to(np.zeros((), dtype), shape)


def _codes(values: NDArray[Any], names: Sequence[str]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return numbers [n] and what they stand for: names sorted, or class numbers as they are."""
    import numpy as np  # noqa: PLC0415 - as above

    if values.dtype.kind in "iu":
        numbers = column(len(values), np.int64, values.__getitem__)
        return numbers, tuple(names) or tuple(str(i) for i in range(max(int(values.max()) + 1, 2)))
    found = distinct(values)
    texts = found.astype(str).tolist()
    known = list(names) or sorted(set(texts))
    order = np.array([known.index(text) if text in known else -1 for text in texts], dtype=np.int64)
    return column(len(values), np.int64, lambda rows: order[np.searchsorted(found, values[rows])]), tuple(known)


def _one(examples: Examples, names: Iterable[str]) -> str:
    """Return the one name of clusters. Raises GoldenError for several."""
    if len(found := sorted(set(names))) > 1:
        raise GoldenError(examples.file, f"has clusters by {' and '.join(found)}; write those by one name")
    return found[0]


def _numbered(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers [n]: what is alike has one, but for the empty text and -1, which have -1."""
    import numpy as np  # noqa: PLC0415 - as above

    found = distinct(values)

    def numbers(rows: slice) -> NDArray[Any]:
        some = values[rows]
        alone = some == -1 if some.dtype.kind in "iu" else np.isin(some.astype(str), _ALONE)
        return np.where(alone, -1, np.searchsorted(found, some))

    return column(len(values), np.int64, numbers)


def _of_text(examples: Examples, lines: Lines) -> Parts:
    """Return manifest and tensors of lines, whose answers are not known yet. Raises GoldenError with the line."""
    import numpy as np  # noqa: PLC0415 - as above

    if not len(lines):
        raise GoldenError(examples.file, "holds no example")
    name, n, first = (examples.outputs or (TEXT_OUTPUT,))[0][0], len(lines), _example(lines, 0)
    cuts = {cut: (dict[str, int](), zeros(n, np.int64)) for cut in first.get("slices", {})}
    by, alike = set[str](), column(n, np.int64, lambda _: -1)
    for row in range(n):
        line = _example(lines, row)
        mine = line.get("slices", {})
        for cut, (known, codes) in cuts.items():
            codes[row] = known.setdefault(str(mine.get(cut, "")), len(known))
        for cluster, value in line.get("cluster", {}).items():
            by.add(cluster)
            alike[row] = _told_apart(str(value))
    manifest: dict[str, Any] = {
        "task": "generation",
        "examples": n,
        "inputs": {
            k: {"dtype": "text" if isinstance(v, str) else "json", "shape": []} for k, v in first["inputs"].items()
        },
        "outputs": {name: {"dtype": "text", "shape": [], "tolerance": 0}},
        "slices": {cut: {"values": sorted(known)} for cut, (known, _) in cuts.items()},
        **({"labels": {"match": "contains"}} if "answers" in first else {}),
        **({"clusters": {"by": _one(examples, by)}} if by else {}),
    }
    tensors = {f"slices.{cut}": _in_order(known, codes) for cut, (known, codes) in cuts.items()}
    tensors["reference.right"] = _nothing((2, n), np.int64)
    return manifest, tensors | ({"clusters": _numbered(alike)} if by else {})


def _told_apart(name: str) -> int:
    """Return a number for the name of a cluster: names may be as many as examples, too many to be kept.

    That two of a million names have the same number has a probability of one in ten million.
    """
    if name in _ALONE:
        return -1
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 1


def _in_order(known: Mapping[str, int], codes: NDArray[Any]) -> NDArray[Any]:
    """Return codes [n] that count values in the order of their names, of such as count them as they came."""
    import numpy as np  # noqa: PLC0415 - as above

    place = np.argsort([known[name] for name in sorted(known)])
    return column(len(codes), np.int64, lambda rows: place[codes[rows]])


def _example(lines: Lines, row: int) -> dict[str, Any]:
    found = lines[row]
    if not (isinstance(found.get("inputs"), dict) and found["inputs"]):
        raise lines.error(row, 'expected an object with "inputs" by name')
    return found


def _unanswered(lines: Lines, output: str) -> Iterator[dict[str, Any]]:
    """Yield what a golden set keeps in its lines, with an empty answer each."""
    for line in lines:
        yield {key: line[key] for key in ("inputs", "answers") if key in line} | {"outputs": {output: ""}}
