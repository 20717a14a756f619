"""Freezes the examples of a user's file, with placeholders for the answers of the model.

Runs in a worker, with numpy; the agent's side of `golden build` knows `Examples` alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch.golden import identities
from goldwatch.golden.error import GoldenError, quoted
from goldwatch.golden.examples import TEXT_OUTPUT, Examples
from goldwatch.golden.lines import LINES, TEXT, Lines
from goldwatch.golden.manifest import MANIFEST, TENSORS
from goldwatch.golden.tensors import NUMPY_DTYPES
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import FREEZE_EXAMPLES, ExampleNotes, FreezeExamplesRequest
from goldwatch.probe import Axes
from goldwatch.scratch import blocks, column, distinct
from goldwatch.worker.jobs.judged import is_regression, judged
from goldwatch.worker.jobs.labels import (
    LabelledAnswers,
    alike,
    class_numbers,
    cluster_key,
    conflicts,
    input_keys,
    is_missing,
    key,
    name_order,
    numbered,
)

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

LABELS, SLICE, CLUSTER = "labels", "slice.", "cluster."

_KEYS = ("inputs", "answers", "slices", "cluster", identities.KEY)
_FROM_PYTHON = (
    "write lines (.jsonl) for a model that answers in text, and freeze a set of text for any other from Python "
    "(docs/golden-sets.md)"
)
Parts = tuple[dict[str, Any], "dict[str, NDArray[Any]]"]
"""A part of a manifest, and the tensors that it tells of."""


@handles(FREEZE_EXAMPLES)
def frozen(request: FreezeExamplesRequest, descriptors: list[int], emit: Emit) -> ExampleNotes:  # noqa: ARG001 - a Handler
    """Freeze a provisional set. Raises GoldenError."""
    from goldwatch.golden import arrays  # noqa: PLC0415 - it brings numpy
    from goldwatch.golden.freeze import freeze  # noqa: PLC0415 - as above

    examples = request.examples
    notes: list[str] = []
    if examples.file.suffix == ".jsonl":
        given = Lines(examples.file)
        manifest, tensors = _of_text(examples, given, notes)
        lines = _unanswered(given, next(iter(manifest["outputs"])))
        names = identities.of_lines(given)
    else:
        found = arrays.read(examples.file)
        names = identities.of_array(examples.file, found.pop(identities.KEY)) if identities.KEY in found else []
        manifest, tensors = _of_arrays(examples, {name.removeprefix("inputs."): found[name] for name in found}, notes)
        texts = [name for name, output in manifest["outputs"].items() if output["dtype"] == TEXT]
        line = {"inputs": {}, "outputs": dict.fromkeys(texts, "")}
        lines = iter([line] * manifest["examples"] if texts else ())
    try:
        freeze(Path(request.folder), _about(examples, manifest), tensors, lines, names)
    except GoldenError as error:
        raise GoldenError(examples.file, *map(_as_given, error.problems)) from None
    return ExampleNotes(tuple(notes))


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
        name: {"dtype": a.dtype.name, "shape": list(a.shape[1:])} | _axis(name, axes.inputs)
        for name, a in inputs.items()
    }
    if not examples.outputs and LABELS in arrays and not is_regression(examples, arrays[LABELS]):
        _labelled(examples, arrays[LABELS], None)  # what is wrong with them is wrong with any output
    if unknown := [dtype for _, dtype, _ in examples.outputs if dtype not in NUMPY_DTYPES | {TEXT}]:
        raise examples.error(
            f"an output of dtype {quoted(unknown[0])}; expected one of {', '.join(sorted(NUMPY_DTYPES))}, {TEXT}"
        )
    if examples.outputs:
        about, labels = _judged(examples, arrays.get(LABELS), notes)
        manifest |= about
        if labels is not None:
            tensors[LABELS] = labels
        if manifest["task"] == "classification":
            notes += filter(None, [conflicts(input_keys(inputs, n), tensors[LABELS])])
    for name in (name for name in arrays if name.startswith(SLICE)):
        codes, values = _coded(arrays[name])
        tensors[f"slices.{name.removeprefix(SLICE)}"] = codes
        manifest["slices"][name.removeprefix(SLICE)] = {"values": values}
    clusters = [name for name in arrays if name.startswith(CLUSTER)]
    if clusters:
        manifest["clusters"] = {"by": _one(examples, [name.removeprefix(CLUSTER) for name in clusters])}
        tensors["clusters"] = numbered(arrays[clusters[0]])
    outputs = examples.outputs or (("answer", "float32", (1,)),)
    manifest["outputs"] = {
        name: {"dtype": dtype, "shape": list(shape), "tolerance": 0 if dtype == TEXT else examples.tolerance}
        | _axis(name, axes.outputs)
        for name, dtype, shape in outputs
    }
    tensors |= {f"outputs.{name}": _nothing((n, *shape), dtype) for name, dtype, shape in outputs if dtype != TEXT}
    tensors["reference.right"] = _nothing((2, n), np.int64)
    return manifest, tensors


def _axis(name: str, axes: Axes) -> dict[str, Any]:
    """Return what the manifest says of the batch axis of a tensor: nothing if it is the first."""
    axis = axes.get(name, 0)
    return {} if axis == 0 else {"batch_axis": "none" if axis is None else axis}


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
            raise examples.error(f"{name} is text, which arrays of a golden set do not hold; {_FROM_PYTHON}")
    return n


def _nothing(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return zeros, which take no room until they are written."""
    import numpy as np  # noqa: PLC0415 - as above

    return np.broadcast_to(np.zeros((), dtype), shape)


def _judged(
    examples: Examples, labels: NDArray[Any] | None, notes: list[str]
) -> tuple[dict[str, Any], NDArray[Any] | None]:
    """Return what the manifest says of the output that is judged, and the labels. Adds `notes`."""
    import numpy as np  # noqa: PLC0415 - as above

    found = judged(examples, labels)
    notes += found.notes
    about: dict[str, Any] = {"task": str(found.task), "decision": found.output[0]}
    if labels is None:
        return about, None
    if found.within is not None:
        return about | {"labels": {"within": found.within}}, labels.astype(np.float64).reshape(-1, *found.output[2])
    codes, classes = _labelled(examples, labels, found.width)
    threshold = {} if found.threshold is None else {"threshold": found.threshold}
    return about | {"labels": {"classes": list(classes), **threshold}}, codes


def _labelled(examples: Examples, values: NDArray[Any], width: int | None) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return class numbers [n], and the names of the classes; `width` is how many scores the target gives."""
    import numpy as np  # noqa: PLC0415 - as above

    names = examples.classes
    if width is None and not names and values.dtype.kind in "iufb" and values.min(initial=0) < 0:
        found = distinct(values)  # a predicted class may have any number
        numbers = column(len(values), np.int64, lambda rows: np.searchsorted(found, values[rows]))
        return numbers, tuple(f"{number:g}" for number in found.tolist())
    if values.dtype.kind in "iufb":
        _refuse(
            examples, values, lambda some: ~(np.isfinite(some) & (some >= 0) & (some % 1 == 0)), "is no class number"
        )
        numbers = column(len(values), np.int64, values.__getitem__)
        highest = int(numbers.max())
        most = len(names) or width or max(highest + 1, 2)
        if highest >= most:
            whose = "--classes names" if names else "the target gives scores for"
            raise examples.error(f"labels has the class number {highest:,}, and {whose} {most:,} classes, from 0")
        return numbers, names or tuple(map(str, range(most)))
    codes, known = _coded(values)
    _refuse(examples, codes, lambda some: some < 0, "is empty", values)
    if missing := [code for code, name in enumerate(known) if is_missing(name) and name not in names]:
        what = "means a missing value (name it with --classes if it is a class)"
        _refuse(examples, codes, lambda some: some == missing[0], what, values)
    if names:
        order = np.array([names.index(name) if name in names else -1 for name in known], dtype=np.int64)
        numbers = column(len(codes), np.int64, lambda rows: order[codes[rows]])
        _refuse(examples, numbers, lambda some: some < 0, "is none of --classes", values)
        return numbers, names
    if counted := class_numbers(known, width):
        as_numbers = np.array(counted, dtype=np.int64)
        return column(len(codes), np.int64, lambda rows: as_numbers[codes[rows]]), tuple(map(str, range(width or 0)))
    if pair := alike(known):
        how = "correct them, or name both with --classes"
        raise examples.error(
            f"labels has {quoted(pair[0])} and {quoted(pair[1])}, which differ in case or spaces; {how}"
        )
    if width not in (None, len(known)):
        how = "name all classes with --classes, in the order of the scores"
        raise examples.error(f"labels has {len(known):,} names, and the target gives {width:,} scores; {how}")
    ranked = name_order(known)
    places = np.argsort(ranked)
    return column(len(codes), np.int64, lambda rows: places[codes[rows]]), tuple(known[i] for i in ranked)


def _refuse(
    examples: Examples,
    values: NDArray[Any],
    bad: Callable[[NDArray[Any]], NDArray[Any]],
    what: str,
    shown: NDArray[Any] | None = None,
) -> None:
    """Raise GoldenError if some labels are `bad`, with the first of them, as it was `shown` in the file."""
    import numpy as np  # noqa: PLC0415 - as above

    for rows in blocks(len(values)):
        if (found := np.flatnonzero(bad(values[rows]))).size:
            first = rows.start + int(found[0])
            given = (values if shown is None else shown)[first]
            label = _name(given) or str(given)
            why = "correct it, or leave out examples without a label"
            raise examples.error(f"the label of example {first}, {quoted(label)}, {what}; {why}")


def _coded(values: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """Return numbers [n] and the names that they count, in rising order; -1 is a missing value, see `_name`."""
    import numpy as np  # noqa: PLC0415 - as above

    found = distinct(values)
    names = [_name(value) for value in found]
    known = {name: number for number, name in enumerate(dict.fromkeys(name for name in names if name))}
    order = np.array([known.get(name, -1) for name in names], dtype=np.int64)
    return column(len(values), np.int64, lambda rows: order[np.searchsorted(found, values[rows])]), list(known)


def _name(value: Any) -> str:  # noqa: ANN401 - a number or text, as numpy has it
    """Return what a value is called: empty for a missing one, which is NaN, -1 or the empty text."""
    if value.dtype.kind == "S":
        return str(value.decode("utf-8", "replace"))
    if value.dtype.kind not in "iuf":
        return str(value)
    if math.isnan(value) or value == -1:
        return ""
    return str(int(value)) if value % 1 == 0 else str(value)


def _one(examples: Examples, names: Iterable[str]) -> str:
    """Return the one name of clusters. Raises GoldenError for several."""
    if len(found := sorted(set(names))) > 1:
        raise examples.error(f"has clusters by {' and '.join(found)}; write those by one name")
    return found[0]


def _of_text(examples: Examples, lines: Lines, notes: list[str]) -> Parts:
    """Return manifest and tensors of lines, whose outputs are still unknown. Adds `notes`.

    Raises GoldenError with the line.
    """
    import numpy as np  # noqa: PLC0415 - as above

    if not len(lines):
        raise examples.error("holds no example")
    [(name, dtype, _), *others] = examples.outputs or (TEXT_OUTPUT,)
    if dtype != TEXT or others or examples.classes:
        raise examples.error(f"lines have one output, text, and no classes; {_FROM_PYTHON}")
    n, first = len(lines), _example(lines, 0)
    cuts: dict[str, tuple[dict[str, int], NDArray[Any]]] = {}
    by, together = set[str](), _missing(n)
    answers, keys, labels = LabelledAnswers(examples.match), _missing(n), _missing(n)
    for row in range(n):
        line = _example(lines, row, first)
        for cut, value in _named(line, "slices"):
            known, codes = cuts[cut] if cut in cuts else cuts.setdefault(cut, ({}, _missing(n)))
            codes[row] = known.setdefault(value, len(known))
        for cluster, value in _named(line, "cluster"):
            by.add(cluster)
            together[row] = cluster_key(value)
        if "answers" in line:
            answers.add(row, line["answers"])
            keys[row], labels[row] = (
                key(json.dumps(line[part], sort_keys=True).encode()) for part in ("inputs", "answers")
            )
    match, why = answers.proposed() if "answers" in first else ("", "")
    if problem := answers.problem(match):
        raise examples.error(problem)
    if match:
        notes += filter(None, [f"match: {match}, {why}", *answers.notes(), conflicts(keys, labels)])
    manifest: dict[str, Any] = {
        "task": "generation",
        "examples": n,
        "inputs": {
            k: {"dtype": "text" if isinstance(v, str) else "json", "shape": []} for k, v in first["inputs"].items()
        },
        "outputs": {name: {"dtype": "text", "shape": [], "tolerance": 0}},
        "slices": {cut: {"values": sorted(known)} for cut, (known, _) in cuts.items()},
        **({"labels": {"match": match}} if match else {}),
        **({"clusters": {"by": _one(examples, by)}} if by else {}),
    }
    tensors = {f"slices.{cut}": _in_order(known, codes) for cut, (known, codes) in cuts.items()}
    tensors["reference.right"] = _nothing((2, n), np.int64)
    return manifest, tensors | ({"clusters": numbered(together)} if by else {})


def _missing(n: int) -> NDArray[Any]:
    return column(n, "int64", lambda _: -1)


def _in_order(known: Mapping[str, int], codes: NDArray[Any]) -> NDArray[Any]:
    """Return codes [n] that count values in the order of their names, of such as count them as they came."""
    import numpy as np  # noqa: PLC0415 - as above

    place = np.argsort([known[name] for name in sorted(known)])
    return column(len(codes), np.int64, lambda rows: np.where(codes[rows] < 0, -1, place[codes[rows]]))


def _example(lines: Lines, row: int, first: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return one example, which has the parts that the first one has. Raises GoldenError with the line."""
    found = lines[row]
    if problem := _problem(found, found if first is None else first):
        raise lines.error(row, problem)
    return found


def _problem(found: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    if not (isinstance(found.get("inputs"), dict) and found["inputs"]):
        return 'expected an object with "inputs" by name'
    if unknown := sorted(found.keys() - set(_KEYS)):
        return f"key {quoted(unknown[0])} is not expected; a line has {', '.join(_KEYS)}"
    if ("answers" in found) != ("answers" in first):
        return "either every line has answers or none; line 1 has " + ("some" if "answers" in first else "none")
    return _inputs_problem(found["inputs"], first["inputs"]) or _labels_problem(found) or identities.line_problem(found)


def _inputs_problem(found: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    if found.keys() != first.keys():
        has, had = (", ".join(map(quoted, sorted(names))) for names in (found, first))
        return f"inputs has {has}, and that of line 1 has {had}"
    for name, value in found.items():
        if value is None or (isinstance(first[name], str) and not isinstance(value, str)):
            return f"inputs.{name} is {'null' if value is None else 'no text, and that of line 1 is'}"
    return ""


def _labels_problem(found: Mapping[str, Any]) -> str:
    answers = found.get("answers", ["none"])
    if not (isinstance(answers, list) and answers and all(isinstance(answer, str) for answer in answers)):
        return 'answers must be a list of one text or more; write [""] where no answer is right'
    for part in ("slices", "cluster"):
        named = found.get(part) or {}
        if not isinstance(named, dict) or any(isinstance(value, (list, dict)) for value in named.values()):
            return f'{part} must be an object with a text for each name, such as {{"kind": "short"}}'
    return ""


def _named(line: Mapping[str, Any], part: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of slices or clusters, but for missing values: null, and the empty text."""
    for name, value in (line.get(part) or {}).items():
        if value is not None and value != "":
            yield name, value if isinstance(value, str) else json.dumps(value)


def _unanswered(lines: Lines, output: str) -> Iterator[dict[str, Any]]:
    """Yield what a golden set keeps in its lines, with an empty answer each."""
    for line in lines:
        yield {key: line[key] for key in ("inputs", "answers") if key in line} | {"outputs": {output: ""}}
