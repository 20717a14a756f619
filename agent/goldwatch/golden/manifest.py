"""The manifest of a golden set, `golden.json`, as types: what a set says about itself.

The digest of the manifest's bytes is the identity of the set, and the manifest holds the digest of every other file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from goldwatch.golden.error import GoldenError, quoted
from goldwatch.golden.tensors import NUMPY_DTYPES, unique_keys

MANIFEST = "golden.json"
TENSORS = "tensors.safetensors"
FORMAT = 1


class Task(StrEnum):
    """What the model does, and so which scores and monitors make sense."""

    CLASSIFICATION = "classification"


T = TypeVar("T")


def _named(found: Mapping[str, T]) -> Mapping[str, T]:
    """Sort by name, so that the order in which somebody listed things does not change a set's identity."""
    if "" in found:
        raise ValueError("a name is empty")
    return dict(sorted(found.items()))


def _distinct(found: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(found)) < len(found):
        raise ValueError("some of the values are the same")
    return found


def _known_dtype(found: str) -> str:
    if found not in NUMPY_DTYPES:
        raise ValueError(f"{quoted(found)} is not a dtype; expected one of {', '.join(sorted(NUMPY_DTYPES))}")
    return found


Named = Annotated[Mapping[str, T], AfterValidator(_named)]
Distinct = Annotated[tuple[str, ...], AfterValidator(_distinct)]
Size = Annotated[int, Field(ge=1, lt=2**63)]
Plain = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
"""A name that can be part of a path, a label and a command without quotes."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Input(_Part):
    """One input tensor; `shape` is that of one example."""

    dtype: Annotated[str, AfterValidator(_known_dtype)]
    shape: Annotated[tuple[Size, ...], Field(max_length=31)]


class Output(Input):
    """One output tensor; `tolerance` is the largest absolute difference that counts as the same."""

    tolerance: float = Field(ge=0, allow_inf_nan=False)


class Labels(_Part):
    """The classes that the labels index."""

    classes: Distinct = Field(min_length=2)


class Slice(_Part):
    """One way to divide the examples; the slice's codes index `values`, -1 is none of them."""

    values: Distinct = Field(min_length=1)


class Reference(_Part):
    """How the reference outputs came about.

    `replays` counts the reference replays in the first and in the second half. `deterministic` is true if no output
    differed beyond its tolerance in any of them.
    """

    replays: tuple[Size, Size]
    deterministic: bool
    made_with: Named[str] = {}


class Provenance(_Part):
    """Where the examples come from."""

    source: str = Field(min_length=1)
    citation: str = ""
    made_by: str = ""
    notes: str = ""


class File(_Part):
    """What a file of the set must be, byte for byte."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(_Part):
    """All that a set says about itself; what it holds beside this are the tensors that `tensors` names."""

    format: Literal[1]
    name: Plain
    version: Plain
    task: Task
    examples: Size
    inputs: Named[Input] = Field(min_length=1)
    labels: Labels
    outputs: Named[Output] = Field(min_length=1)
    decision: str = Field(default="", validate_default=True)
    slices: Named[Slice] = {}
    reference: Reference
    provenance: Provenance
    licence: str = Field(min_length=1)
    files: Named[File]

    @field_validator("decision")
    @classmethod
    def _scores_the_classes(cls, found: str, info: ValidationInfo) -> str:
        outputs, labels = info.data.get("outputs"), info.data.get("labels")
        if outputs is None or labels is None:  # reported already
            return found
        name = found or (next(iter(outputs)) if len(outputs) == 1 else "")
        if name not in outputs:
            names = ", ".join(map(quoted, outputs))
            raise ValueError(f"{quoted(found)} is not an output; expected the one that scores the classes, of {names}")
        if outputs[name].shape != (len(labels.classes),):
            raise ValueError(
                f"output {quoted(name)} has shape {list(outputs[name].shape)}, expected [{len(labels.classes)}]: "
                "one score for each of labels.classes"
            )
        return name

    @field_validator("files")
    @classmethod
    def _stays_inside(cls, found: Mapping[str, File]) -> Mapping[str, File]:
        for name in found:
            if name in (".", "..", MANIFEST) or not name.isprintable() or set(name) & set('/\\:*?"<>|'):
                raise ValueError(
                    f"{quoted(name)} is not the plain name of a file inside the folder; "
                    "do not use this set unless you know who made it"
                )
        if TENSORS not in found:
            raise ValueError(f'no entry "{TENSORS}"; every set has this file')
        return found

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return the dtype and the whole shape, examples first, of each tensor that the set must hold, by name."""
        n = self.examples
        expected = {f"inputs.{name}": (spec.dtype, (n, *spec.shape)) for name, spec in self.inputs.items()}
        expected["labels"] = ("int64", (n,))
        expected |= {f"outputs.{name}": (spec.dtype, (n, *spec.shape)) for name, spec in self.outputs.items()}
        expected |= {f"slices.{name}": ("int64", (n,)) for name in self.slices}
        expected["reference.right"] = ("int64", (2, n))
        return expected


def parse(folder: Path, raw: bytes) -> Manifest:
    """Read the bytes of a manifest. Raises GoldenError with all the problems."""
    try:
        found = json.loads(raw.decode(), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise GoldenError(folder, f"{MANIFEST} is not JSON: {error}; restore it") from error
    version = found.get("format") if isinstance(found, dict) else None
    if type(version) is int and version > FORMAT:
        message = f"{MANIFEST} has format {version}, this goldwatch reads format {FORMAT}; use a newer goldwatch"
        raise GoldenError(folder, message)
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        raise GoldenError(folder, *_problems(error)) from error


def serialise(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest: equal manifests give equal bytes."""
    return (json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n").encode()


def _problems(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False, include_context=False):
        place = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in detail["loc"]).lstrip(".")
        yield f"{MANIFEST}: {place or 'manifest'}: {_message(detail['type'], detail['msg'], detail['input'])}"


def _message(kind: str, message: str, found: Any) -> str:  # noqa: ANN401 - whatever the manifest holds there
    if kind == "missing":
        return "missing"
    if kind == "extra_forbidden":
        return f"unknown key; format {FORMAT} has none of this name"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind == "json_invalid":
        return message
    return f"{quoted(json.dumps(found, ensure_ascii=False, default=str))[1:-1]}: {message[:1].lower()}{message[1:]}"
