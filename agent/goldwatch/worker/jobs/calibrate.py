"""A new reference of a golden set: keeps what replays of the deployed model showed, and freezes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.outcome import Outcome
from goldwatch.golden import arrays, tensors
from goldwatch.golden.attached import FILES_SINCE
from goldwatch.golden.error import GoldenError
from goldwatch.golden.freeze import freeze
from goldwatch.golden.manifest import KEPT
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import FREEZE, KEEP, Calibrated, FreezeRequest, KeepRequest
from goldwatch.scratch import blocks, column, zeros
from goldwatch.worker.evaluators.scoring import Scoring
from goldwatch.worker.evaluators.tasks import judged as judged_task
from goldwatch.worker.jobs.opening import open_as, replayed


@handles(KEEP)
def keep(request: KeepRequest, descriptors: list[int], emit: Emit) -> None:  # noqa: ARG001 - a Handler
    """Keep what a new reference needs of one replay. Raises GoldenError, also if an answer is missing, and BadScore."""
    with replayed(request.golden, descriptors) as (golden, columns):
        n, outcome = golden.examples, columns.array("outcome")
        answered = column(n, np.bool_, lambda rows: outcome[rows] == Outcome.OK)
        if not answered.all():
            missing, first = n - int(np.count_nonzero(answered)), int(np.argmin(answered))
            raise GoldenError(golden.path, f"{missing:,} examples were not answered, the first is example {first}")
        outputs = {name: columns.array(f"output.{name}") for name in golden.manifest.outputs}
        task = judged_task(golden)
        found = {"right": task.right(outputs), "distances": _as_float32(task.distance(outputs, answered))}
        found["moved"] = np.asarray(task.difference(outputs, answered).moved)
        if (scores := task.score(outputs, answered)) is not None:
            found["scores"] = _as_float32(scores)
        scoring = Scoring(golden, request.scores)
        found |= {f"scores.{s.name}": scoring.reference_column(s, outputs, answered) for s in scoring.kept}
        found |= {
            f"whole.{s.name}": np.asarray(scoring.reference_value(s, outputs, answered)) for s in scoring.kept_whole
        }
        if request.outputs:
            found |= {f"outputs.{name}": _stored(values) for name, values in outputs.items()}
        tensors.write(Path(request.file), found)


def _as_float32(values: NDArray[Any]) -> NDArray[Any]:
    return column(len(values), "float32", values.__getitem__)


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """Return outputs [n, ...] as a file of tensors holds them: text as its bytes [n, most bytes]."""
    return values.view("uint8").reshape(len(values), -1) if values.dtype.kind == "S" else values


@handles(FREEZE)
def frozen(request: FreezeRequest, descriptors: list[int], emit: Emit) -> Calibrated:  # noqa: ARG001 - a Handler
    """Freeze a golden set with a new reference. Raises GoldenError."""
    golden = open_as(request.golden)
    replays = [arrays.read(Path(file)) for file in request.files]
    half = -(-len(replays) // 2)
    right = zeros((2, golden.examples), np.int64)
    for number, each in enumerate(replays):
        for rows in blocks(golden.examples):
            right[int(number >= half), rows] += each["right"][rows]
    moved = max(int(replay["moved"]) for replay in replays)
    manifest = golden.manifest.model_dump(mode="json", exclude_none=True, exclude={"format", "files"})
    manifest["version"] = request.version or golden.version
    manifest["reference"] = {
        "replays": [half, len(replays) - half],
        "deterministic": moved == 0,
        "made_with": request.made_with,
    }
    tensors = {name: golden.tensor(name) for name in golden.manifest.tensors() if not name.startswith("reference.")}
    tensors["reference.right"] = right
    if moved:
        kept = [name for name in KEPT if name in replays[0]]
        manifest["reference"]["keeps"] = kept
        tensors |= {f"reference.{name}": _stacked([replay[name] for replay in replays]) for name in kept}
    scoring = Scoring(golden, request.scores)
    if scoring.kept:
        manifest["reference"]["scores"] = scoring.fingerprints()
        named = [f"scores.{spec.name}" for spec in scoring.kept]
        tensors |= {f"reference.{name}": _stacked([replay[name] for replay in replays]) for name in named}
    if scoring.kept_whole:
        manifest["reference"]["whole"] = {
            name: {"fingerprint": mark, "values": [float(replay[f"whole.{name}"]) for replay in replays]}
            for name, mark in scoring.fingerprints(whole=True).items()
        }
    if controls := scoring.frozen_controls():
        manifest["reference"]["controls"] = {
            name: {"answers": grades.shape[1], "judgings": len(grades)} for name, grades in controls.items()
        }
        tensors |= {f"reference.controls.{name}": grades for name, grades in controls.items()}
    if people := scoring.people():
        manifest["reference"]["people"] = {
            name: {"fingerprint": fingerprint, **asdict(counts)} for name, (fingerprint, counts) in people.items()
        }
    answers = arrays.read(Path(request.outputs)) if request.outputs else {}
    texts = {name for name, spec in golden.manifest.outputs.items() if spec.in_lines}
    tensors |= {f"outputs.{n}": answers[f"outputs.{n}"] for n in golden.manifest.outputs if answers and n not in texts}
    lines = _lines(golden, {n: answers[f"outputs.{n}"] for n in texts if answers}) if golden.manifest.has_lines else ()
    files = golden.attached if golden.manifest.format >= FILES_SINCE else None
    found = freeze(Path(request.folder), manifest, tensors, lines, golden.identities(), files)
    accuracy = float(right.sum()) / (len(replays) * golden.examples)
    score = "agreement" if golden.manifest.labels is None else "accuracy"
    return Calibrated(str(found), found.digest, moved == 0, accuracy, moved, score)


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
