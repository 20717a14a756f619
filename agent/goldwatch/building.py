"""A first golden set: the examples from a file, the reference from the validated model as it is deployed.

What the outputs are the target says itself. A set with nothing in their place is made first, for as long as it takes to
ask; what is frozen in the end is calibrated like any other.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch.calibration import Calibrated, CannotCalibrate, Wanted, calibrate
from goldwatch.config import Golden, Target, Watch
from goldwatch.golden.error import GoldenError
from goldwatch.in_force import Assignment, UnusableSet, inspect
from goldwatch.judgement import Judgement
from goldwatch.pipeline import considerate, plan_of
from goldwatch.replay.workers import JUDGES, JobFailed, WorkerDied, Workers

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXT_OUTPUT = ("text", "text", ())
LABELS, SLICE, CLUSTER = "labels", "slice.", "cluster."

_KEYS = ("inputs", "answers", "slices", "cluster")

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
    workers.call(JUDGES, "goldwatch.building:frozen", argument)
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
    from goldwatch.golden.freeze import freeze  # noqa: PLC0415 - it brings numpy

    fields = {name: argument[name] for name in Examples.__dataclass_fields__}
    examples = Examples(**fields | {"file": Path(argument["file"])})
    file, folder = examples.file, Path(argument["folder"])
    if file.suffix == ".jsonl":
        lines = list(_lines(file))
        manifest, tensors = _of_text(examples, lines)
    else:
        lines = []
        manifest, tensors = _of_arrays(examples, _arrays(file))
    freeze(folder, _about(examples, manifest), tensors, lines)
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
    clusters = {name.removeprefix(CLUSTER): arrays[name] for name in arrays if name.startswith(CLUSTER)}
    _add_clusters(manifest, tensors, examples, clusters)
    outputs = examples.outputs or (("answer", "float32", (width,)),)
    manifest["outputs"] = {
        name: {"dtype": dtype, "shape": list(shape), "tolerance": examples.tolerance} for name, dtype, shape in outputs
    }
    tensors |= {f"outputs.{name}": np.zeros((n, *shape), dtype) for name, dtype, shape in outputs}
    tensors["reference.right"] = np.zeros((2, n), np.int64)
    return manifest, tensors


def _codes(values: NDArray[Any], names: Sequence[str]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return numbers [n] and what they stand for: names sorted, or class numbers as they are."""
    import numpy as np  # noqa: PLC0415 - as above

    if values.dtype.kind in "iu":
        return values.astype(np.int64), tuple(names) or tuple(str(i) for i in range(max(int(values.max()) + 1, 2)))
    found, codes = np.unique(values.astype(str), return_inverse=True)
    known = list(names) or found.tolist()
    order = np.array([known.index(name) if name in known else -1 for name in found.tolist()], dtype=np.int64)
    return order[codes], tuple(known)


def _add_clusters(
    manifest: dict[str, Any],
    tensors: dict[str, NDArray[Any]],
    examples: Examples,
    found: Mapping[str, NDArray[Any]],
) -> None:
    """Put in the one column of clusters [n], numbered: what is alike is one, but for the empty text and -1."""
    import numpy as np  # noqa: PLC0415 - as above

    if not found:
        return
    if len(found) > 1:
        raise GoldenError(examples.file, f"has clusters by {' and '.join(sorted(found))}; write those by one name")
    ((by, values),) = found.items()
    names = values.astype(str)
    _, codes = np.unique(names, return_inverse=True)
    tensors["clusters"] = np.where((names == "") | (names == "-1"), -1, codes).astype(np.int64)
    manifest["clusters"] = {"by": by}


def _of_text(examples: Examples, lines: list[dict[str, Any]]) -> Parts:
    """Return manifest and tensors of lines, which get an empty answer each."""
    import numpy as np  # noqa: PLC0415 - as above

    name = (examples.outputs or (TEXT_OUTPUT,))[0][0]
    cuts: dict[str, list[str]] = {cut: [] for cut in lines[0].get("slices", {})}
    for line in lines:
        line["outputs"] = {name: ""}
        mine = line.pop("slices", {})
        for cut, values in cuts.items():
            values.append(str(mine.get(cut, "")))
    alike = [line.pop("cluster", {}) for line in lines]
    inputs = lines[0]["inputs"]
    manifest: dict[str, Any] = {
        "task": "generation",
        "examples": len(lines),
        "inputs": {k: {"dtype": "text" if isinstance(v, str) else "json", "shape": []} for k, v in inputs.items()},
        "outputs": {name: {"dtype": "text", "shape": [], "tolerance": 0}},
    }
    if "answers" in lines[0]:
        manifest["labels"] = {"match": "contains"}
    tensors = {"reference.right": np.zeros((2, len(lines)), np.int64)}
    names = dict.fromkeys(name for each in alike for name in each)
    found = {name: np.array([str(each.get(name, "")) for each in alike]) for name in names}
    _add_clusters(manifest, tensors, examples, found)
    manifest["slices"] = {}
    for cut, values in cuts.items():
        tensors[f"slices.{cut}"], known = _codes(np.array(values), ())
        manifest["slices"][cut] = {"values": list(known)}
    return manifest, tensors


def _arrays(file: Path) -> dict[str, NDArray[Any]]:
    """Read a file of arrays. Raises GoldenError."""
    import numpy as np  # noqa: PLC0415 - as above

    from goldwatch.golden import tensors  # noqa: PLC0415 - as above

    try:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as found:
                return {name.removeprefix("inputs."): found[name] for name in found.files}
        if file.suffix == ".safetensors":
            header = tensors.read_header(file)
            return {name.removeprefix("inputs."): tensors.map_tensor(where) for name, where in header.items()}
    except (OSError, ValueError) as error:
        raise GoldenError(file, f"cannot be read: {error}") from None
    raise GoldenError(file, "is no file of examples; expected .npz, .safetensors or .jsonl")


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """Read a file of lines. Raises GoldenError with the line."""
    number = 0
    try:
        with file.open() as stream:
            for number, line in enumerate(stream, 1):
                found = json.loads(line)
                if not (isinstance(found, dict) and isinstance(found.get("inputs"), dict) and found["inputs"]):
                    raise GoldenError(file, f'line {number}: expected an object with "inputs" by name')
                yield {key: found[key] for key in _KEYS if key in found}
    except (OSError, ValueError) as error:
        raise GoldenError(file, f"line {number}: {error}") from None
    if not number:
        raise GoldenError(file, "holds no example")
