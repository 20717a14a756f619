"""Freezes the examples of a user's file, with placeholders for the answers of the model.

Runs in a worker, with numpy; the agent's side of `golden build` knows `Examples` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch.golden import identities
from goldwatch.golden.error import GoldenError, quoted
from goldwatch.golden.examples import Examples
from goldwatch.golden.lines import LINES, TEXT, Lines
from goldwatch.golden.manifest import MANIFEST, TENSORS
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import FREEZE_EXAMPLES, ExampleNotes, FreezeExamplesRequest
from goldwatch.worker.jobs.answered import LABELS, Parts, answered, axis_of, coded, nothing, one_name
from goldwatch.worker.jobs.attaching import Attaching
from goldwatch.worker.jobs.examples_of_lines import of_lines, unanswered
from goldwatch.worker.jobs.labels import conflicts, input_keys, numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLICE, CLUSTER = "slice.", "cluster."


@handles(FREEZE_EXAMPLES)
def frozen(request: FreezeExamplesRequest, descriptors: list[int], emit: Emit) -> ExampleNotes:  # noqa: ARG001 - a Handler
    """Freeze a provisional set. Raises GoldenError."""
    from goldwatch.golden import arrays  # noqa: PLC0415 - it brings numpy
    from goldwatch.golden.freeze import freeze  # noqa: PLC0415 - as above

    examples = request.examples
    notes: list[str] = []
    attaching = Attaching(examples.file.parent)
    if examples.file.suffix == ".jsonl":
        given = Lines(examples.file)
        manifest, tensors = of_lines(examples, given, attaching, notes)
        lines = unanswered(given, attaching, _texts_of(manifest))
        names = identities.of_lines(given)
    else:
        found = arrays.read(examples.file)
        names = identities.of_array(examples.file, found.pop(identities.KEY)) if identities.KEY in found else []
        manifest, tensors = _of_arrays(examples, {name.removeprefix("inputs."): found[name] for name in found}, notes)
        texts = _texts_of(manifest)
        line = {"inputs": {}, "outputs": dict.fromkeys(texts, "")}
        lines = iter([line] * manifest["examples"] if texts else ())
    try:
        freeze(Path(request.folder), _about(examples, manifest), tensors, lines, names, attaching.files)
    except GoldenError as error:
        raise GoldenError(examples.file, *map(_as_given, error.problems)) from None
    return ExampleNotes(tuple(notes))


def _texts_of(manifest: Mapping[str, Any]) -> list[str]:
    """Return the names of the outputs that are text."""
    return [name for name, output in manifest["outputs"].items() if output["dtype"] == TEXT]


def _as_given(problem: str) -> str:
    """Reword a problem of the provisional set, whose files users do not know, as one of the file that was given."""
    for own, theirs in ((f"{TENSORS}: ", ""), (f"{MANIFEST}: ", ""), (f"{LINES}:", "line ")):
        if problem.startswith(own):
            return f"cannot be frozen: {theirs}{problem.removeprefix(own)}"
    return f"cannot be frozen: {problem}"


def _about(examples: Examples, manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": examples.name,
        "version": "0",
        "reference": {"replays": [1, 1], "deterministic": False},
        "provenance": {"source": examples.source},
        "licence": examples.licence,
        **manifest,
    }


def _of_arrays(examples: Examples, arrays: Mapping[str, NDArray[Any]], notes: list[str]) -> Parts:
    """Return manifest and tensors of arrays: a classifier's if there are labels, else vectors'. Adds `notes`."""
    import numpy as np  # noqa: PLC0415 - the agent's side of this module does without

    inputs = {n: a for n, a in arrays.items() if n != LABELS and not n.startswith((SLICE, CLUSTER))}
    n = _length(examples, inputs, arrays)
    tensors = {f"inputs.{name}": array for name, array in inputs.items()}
    manifest: dict[str, Any] = {"task": "embedding", "examples": n, "slices": {}}
    axes = examples.batch_axes
    if unknown := [name for name in axes.inputs if name not in inputs]:
        raise examples.error(f"--batch-axis: there is no input {quoted(unknown[0])}; it holds {', '.join(inputs)}")
    manifest["inputs"] = {
        name: {"dtype": a.dtype.name, "shape": list(a.shape[1:])} | axis_of(name, axes.inputs)
        for name, a in inputs.items()
    }
    about, more = answered(examples, n, arrays.get(LABELS), notes)
    manifest |= about
    tensors |= more
    if manifest["task"] == "classification":
        notes += filter(None, [conflicts(input_keys(inputs, n), tensors[LABELS])])
    for name in (name for name in arrays if name.startswith(SLICE)):
        codes, values = coded(arrays[name])
        tensors[f"slices.{name.removeprefix(SLICE)}"] = codes
        manifest["slices"][name.removeprefix(SLICE)] = {"values": values}
    clusters = [name for name in arrays if name.startswith(CLUSTER)]
    if clusters:
        manifest["clusters"] = {"by": one_name(examples, [name.removeprefix(CLUSTER) for name in clusters])}
        tensors["clusters"] = numbered(arrays[clusters[0]])
    tensors["reference.right"] = nothing((2, n), np.int64)
    return manifest, tensors


def _length(examples: Examples, inputs: Mapping[str, NDArray[Any]], arrays: Mapping[str, NDArray[Any]]) -> int:
    """Return how many examples there are. Raises GoldenError for none, and for arrays that do not fit."""
    if not inputs or any(not array.ndim for array in arrays.values()):
        raise examples.error("holds no array of inputs; write one [n, ...] for each input of the model")
    first, n = next((name, len(array)) for name, array in inputs.items())
    if not n:
        raise examples.error("holds no example")
    for name, array in arrays.items():
        if name not in inputs and array.ndim != 1 and not (name == LABELS and array.dtype.kind == "f"):
            raise examples.error(f"{name} has the shape {list(array.shape)}; expected one value an example")
        if len(array) != n:
            raise examples.error(f"{name} has {len(array):,} values, and {first} has {n:,} examples")
        if name in inputs and array.dtype.kind in "US":
            raise examples.error(f"{name} is text, which arrays of a golden set do not hold; write lines (.jsonl)")
    return n
