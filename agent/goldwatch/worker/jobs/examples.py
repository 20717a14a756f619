"""Freezes the examples of a user's file, with placeholders for the answers of the model.

Runs in a worker, with numpy; the agent's side of `golden build` knows `Examples` alone.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch.golden.error import GoldenError, quoted
from goldwatch.golden.examples import Examples
from goldwatch.golden.lines import JSON, LINES, TEXT, Lines
from goldwatch.golden.manifest import MANIFEST, TENSORS
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import FREEZE_EXAMPLES, ExampleNotes, FreezeExamplesRequest
from goldwatch.worker.jobs.answered import LABELS, Parts, answered, axis_of, coded, nothing, one_name
from goldwatch.worker.jobs.attaching import Attaching
from goldwatch.worker.jobs.examples_of_lines import fields_of, inputs_of, of_lines, unanswered
from goldwatch.worker.jobs.labels import conflicts, input_keys, numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from goldwatch.worker.sources.found import Found

SLICE, CLUSTER = "slice.", "cluster."


@handles(FREEZE_EXAMPLES)
def frozen(request: FreezeExamplesRequest, descriptors: list[int], emit: Emit) -> ExampleNotes:  # noqa: ARG001 - a Handler
    """Freeze a provisional set. Raises GoldenError."""
    from goldwatch.golden.freeze import freeze  # noqa: PLC0415 - it brings numpy
    from goldwatch.worker.sources.found import find  # noqa: PLC0415 - as above

    examples = request.examples
    notes: list[str] = []
    attaching = Attaching(examples.file.parent)
    with tempfile.TemporaryDirectory(prefix="goldwatch-") as rewritten:
        found = find(examples, Path(rewritten), notes)
        examples = replace(examples, classes=examples.classes or found.classes)
        if found.lines is not None and not found.arrays:
            manifest, tensors = _as_of(found, examples, partial(of_lines, examples, found.lines, attaching, notes))
        else:
            manifest, tensors = _of_arrays(examples, found, attaching, notes)
        texts = _texts_of(manifest)
        line = {"inputs": {}, "outputs": dict.fromkeys(texts, "")}
        lines = iter([line] * manifest["examples"] if texts else ())
        if found.lines is not None:
            lines = unanswered(found.lines, attaching, texts)
        try:
            freeze(
                Path(request.folder),
                _about(examples, found.drawn, manifest),
                tensors,
                lines,
                found.identities,
                attaching.files,
            )
        except GoldenError as error:
            raise GoldenError(examples.file, *(_as_given(each, found) for each in error.problems)) from None
    return ExampleNotes(tuple(notes))


def _as_of(found: Found, examples: Examples, read: Callable[[], Parts]) -> Parts:
    """Read lines. The place in an error is that in the user's file, also if its rows were rewritten as lines."""
    try:
        return read()
    except GoldenError as error:
        own = re.match(rf"{LINES}:(\d+): (.*)", error.problems[0], re.DOTALL)
        if own is None or found.lines is None or found.lines.file == examples.file:
            raise
        raise GoldenError(examples.file, f"{found.place(int(own[1]) - 1)}: {own[2]}") from None


def _texts_of(manifest: Mapping[str, Any]) -> list[str]:
    """Return the names of the outputs that are text or JSON."""
    return [name for name, output in manifest["outputs"].items() if output["dtype"] in (TEXT, JSON)]


def _as_given(problem: str, found: Found) -> str:
    """Reword a problem of the provisional set, whose files users do not know, as one of the file that was given."""
    if line := re.match(rf"{LINES}:(\d+)(.*)", problem, re.DOTALL):
        return f"cannot be frozen: {found.place(int(line[1]) - 1)}{line[2]}"
    for own in (f"{TENSORS}: ", f"{MANIFEST}: "):
        if problem.startswith(own):
            return f"cannot be frozen: {problem.removeprefix(own)}"
    return f"cannot be frozen: {problem}"


def _about(examples: Examples, drawn: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": examples.name,
        "version": "0",
        "reference": {"replays": [1, 1], "deterministic": False},
        "provenance": {"source": examples.source} | ({"notes": drawn} if drawn else {}),
        "licence": examples.licence,
        **manifest,
    }


def _of_arrays(examples: Examples, found: Found, attaching: Attaching, notes: list[str]) -> Parts:
    """Return manifest and tensors of arrays: a classifier's if there are labels, else vectors'. Adds `notes`."""
    import numpy as np  # noqa: PLC0415 - the agent's side of this module does without

    arrays, lines = found.arrays, found.lines
    inputs = {n: a for n, a in arrays.items() if n != LABELS and not n.startswith((SLICE, CLUSTER))}
    n = _length(examples, inputs, arrays, lines)
    texts = {} if lines is None else inputs_of(lines)
    tensors = {f"inputs.{name}": array for name, array in inputs.items()}
    manifest: dict[str, Any] = {"task": "embedding", "examples": n, "slices": {}}
    axes = examples.batch_axes
    if unknown := [name for name in axes.inputs if name not in inputs]:
        raise examples.error(f"--batch-axis: there is no input {quoted(unknown[0])}; it holds {', '.join(inputs)}")
    manifest |= {} if lines is None else fields_of(lines)
    for row, line in enumerate(lines or ()):
        if problem := attaching.problem(line["inputs"]):
            raise examples.error(f"{found.place(row)}: {problem}")
    manifest["inputs"] = texts | {
        name: {"dtype": a.dtype.name, "shape": list(a.shape[1:])} | axis_of(name, axes.inputs)
        for name, a in inputs.items()
    }
    about, more = answered(examples, n, arrays.get(LABELS), notes)
    manifest |= about
    tensors |= more
    if manifest["task"] == "classification":
        keys = input_keys(inputs, n, lines if texts else None) if found.keys is None else found.keys
        notes += filter(None, [conflicts(keys, tensors[LABELS])])
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


def _length(
    examples: Examples, inputs: Mapping[str, NDArray[Any]], arrays: Mapping[str, NDArray[Any]], lines: Lines | None
) -> int:
    """Return how many examples there are. Raises GoldenError for none, and for arrays that do not fit."""
    if not (inputs or lines) or any(not array.ndim for array in arrays.values()):
        raise examples.error("holds no array of inputs; write one [n, ...] for each input of the model")
    first, n = next(((name, len(array)) for name, array in inputs.items()), ("the file", len(lines or ())))
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
