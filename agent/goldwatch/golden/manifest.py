"""The manifest of a golden set, `golden.json`, as types: the set's description of itself.

The digest of the manifest's bytes is the identity of the set, and the manifest holds the digest of every other file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from goldwatch.bounded_json import parse_json
from goldwatch.core.people import People
from goldwatch.golden.decision import check_decision
from goldwatch.golden.error import GoldenError, quoted
from goldwatch.golden.lines import JSON, LINES, TEXT
from goldwatch.golden.tensors import NUMPY_DTYPES, unique_keys
from goldwatch.probe import BatchAxes

MANIFEST = "golden.json"
TENSORS = "tensors.safetensors"
FORMAT = 6
"""The newest format that is read: 2 has text, structured inputs and more tasks, 3 what is kept of reference replays, 4
clusters of examples, 5 more matches, and `exact` and `contains` by the words of `goldwatch.worker.evaluators.words`, 6
the values of scores in each reference replay, regression, thresholds, predicted classes, judged outputs of any shape,
text next to them, batch axes other than the first, files that inputs refer to, answers that people have graded, the
match `first`, and fields that only scores read."""

MATCHES = ("exact", "contains", "number", "choice", "json", "regex", "first")
_FIRST_MATCHES = ("exact", "contains")
"""The matches of formats 2 to 4, which compared texts by the normalisation of SQuAD."""

KEPT = ("scores", "distances")

MAX_KEYS = 20_000
"""In all objects of a manifest: each could be a problem, which takes a kilobyte to report."""
_MAX_SHOWN = 20

MAX_BYTES = 4096
"""The bytes kept of an answer in text, if the set does not say otherwise."""


class Task(StrEnum):
    """The task of the model, which decides the scores and monitors that make sense."""

    CLASSIFICATION = "classification"
    GENERATION = "generation"
    EMBEDDING = "embedding"
    REGRESSION = "regression"


T = TypeVar("T")


def _named(found: Mapping[str, T]) -> Mapping[str, T]:
    """Sort by name, so that the order of a user's list does not change a set's identity."""
    if "" in found:
        raise ValueError("a name is empty")
    return dict(sorted(found.items()))


def _distinct(found: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(found)) < len(found):
        raise ValueError("some of the values are the same")
    return found


def _known_dtype(found: str) -> str:
    if found not in NUMPY_DTYPES | {TEXT, JSON}:
        known = ", ".join([TEXT, JSON, *sorted(NUMPY_DTYPES)])
        raise ValueError(f"{quoted(found)} is not a dtype; expected one of {known}")
    return found


Named = Annotated[Mapping[str, T], AfterValidator(_named)]
Distinct = Annotated[tuple[str, ...], Field(fail_fast=True), AfterValidator(_distinct)]
Size = Annotated[int, Field(ge=1, lt=2**63)]
Plain = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
"""A name that can be part of a path, a label and a command without quotes."""


def plain_problem(name: str) -> str:
    """Say what is wrong with a name or version, empty if nothing is."""
    try:
        TypeAdapter(Plain).validate_python(name)
    except ValidationError:
        return f"{quoted(name)} is no plain name; write letters, digits, dot, _ and -, a letter or digit first"
    return ""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Input(_Part):
    """One input; `shape` is that of one example. A `dtype` of text or json is one text or JSON value an example.

    `batch_axis` is the place of the batch axis in the model's tensor, "none" if it has none: then a request has one
    example, unless the examples of a request are equal in it. The tensors of the set have the examples first anyway.
    """

    dtype: Annotated[str, AfterValidator(_known_dtype)]
    shape: Annotated[tuple[Size, ...], Field(max_length=31, fail_fast=True)]
    batch_axis: Annotated[int, Field(ge=0)] | Literal["none"] | None = None

    @field_validator("shape")
    @classmethod
    def _text_has_none(cls, found: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if found and info.data.get("dtype") in (TEXT, JSON):
            raise ValueError(f"{list(found)} is not a shape of {info.data['dtype']}; expected []")
        return found

    @field_validator("batch_axis")
    @classmethod
    def _is_an_axis(cls, found: int | str | None, info: ValidationInfo) -> int | str | None:
        shape = info.data.get("shape", ())
        if isinstance(found, int) and found > len(shape):
            raise ValueError(f"{found} is no axis of a tensor with {len(shape) + 1} axes, the batch axis among them")
        return found or None  # the first axis is what an older goldwatch takes it for

    @property
    def axis(self) -> int | None:
        """The place of the batch axis in the model's tensor; None if it has none."""
        return None if self.batch_axis == "none" else self.batch_axis or 0

    @property
    def in_lines(self) -> bool:
        """Whether it is in the file of examples rather than among the tensors."""
        return self.dtype in (TEXT, JSON)

    @property
    def is_single(self) -> bool:
        """Whether an example has one value of it."""
        return math.prod(self.shape) == 1


class Output(Input):
    """One output; `tolerance` is the largest absolute difference that counts as the same.

    Text is the same only if it is equal, JSON if it is equal but for numbers that differ by at most the tolerance;
    `max_bytes` of it, as UTF-8, are kept of an answer.
    """

    tolerance: float = Field(ge=0, allow_inf_nan=False)
    max_bytes: Annotated[int, Field(ge=1, le=65_536)] | None = None

    @field_validator("tolerance")
    @classmethod
    def _text_is_equal_or_not(cls, found: float, info: ValidationInfo) -> float:
        if found and info.data.get("dtype") == TEXT:
            raise ValueError(f"{found:g} is no tolerance of text, which is equal or not; expected 0")
        return found

    @field_validator("max_bytes")
    @classmethod
    def _only_of_text(cls, found: int | None, info: ValidationInfo) -> int | None:
        if found is not None and info.data.get("dtype") not in (TEXT, JSON):
            raise ValueError("only an output of dtype text or json has max_bytes")
        return found

    @property
    def kept_dtype(self) -> str:
        """The dtype of an output in a replay; for texts and JSON it gives the maximum number of bytes."""
        return f"{'J' if self.dtype == JSON else 'S'}{self.kept_bytes}" if self.in_lines else self.dtype

    @property
    def kept_bytes(self) -> int:
        """How many bytes of an answer in text are kept."""
        return self.max_bytes or MAX_BYTES


class Labels(_Part):
    """The ground truth: for classification the classes that the labels index, for generation how an answer is matched.

    `threshold` is for a classifier of two classes with one score: above it, the answer is the second. `within` is for
    regression: the largest error of a right value. docs/golden-sets.md has a table of the matches;
    `goldwatch.worker.evaluators.matching` has their rules.
    """

    classes: Annotated[Distinct, Field(min_length=2)] | None = None
    match: Literal["exact", "contains", "number", "choice", "json", "regex", "first"] | None = None
    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    within: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _threshold_of_two(self) -> Labels:
        if self.threshold is not None and len(self.classes or ()) != 2:
            raise ValueError(f"a threshold is between two classes, not {len(self.classes or ())}")
        return self


class Slice(_Part):
    """One way to divide the examples; the slice's codes index `values`, -1 is none of them."""

    values: Distinct = Field(min_length=1)


class Clusters(_Part):
    """Dependent examples, such as those of one patient: `by` names what they share.

    Those with the same code in the tensor `clusters` are one cluster; one with the code -1 is a cluster by itself.
    """

    by: str = Field(min_length=1, max_length=100)


class WholeScore(_Part):
    """A score of the whole replay: its `fingerprint`, and its value in each reference replay, on its own scale."""

    fingerprint: str = Field(min_length=1)
    values: tuple[float, ...]

    @field_validator("values")
    @classmethod
    def _finite(cls, found: tuple[float, ...]) -> tuple[float, ...]:
        if not all(map(math.isfinite, found)):
            raise ValueError("a value is no finite number")
        return found


class Controls(_Part):
    """Answers that a judge graded again and again when the set was frozen: how many, and how often each."""

    answers: Size
    judgings: Size


class PeopleCounts(_Part):
    """How the judge of a score, of this `fingerprint`, compared with people: see `People` in `goldwatch.core`."""

    fingerprint: str = Field(min_length=1)
    both_good: Annotated[int, Field(ge=0)]
    both_bad: Annotated[int, Field(ge=0)]
    false_good: Annotated[int, Field(ge=0)]
    false_bad: Annotated[int, Field(ge=0)]

    @property
    def of(self) -> People:
        """The counts alone."""
        return People(self.both_good, self.both_bad, self.false_good, self.false_bad)


class Reference(_Part):
    """How the reference outputs came about.

    `replays` counts the reference replays in the first and in the second half. `deterministic` is true if no output
    differed beyond its tolerance in any of them. `keeps` names what is kept of each of them, for models whose answers
    vary: `scores` and `distances` from the reference outputs. `scores` has the fingerprint of each score of the config
    whose values are kept, `whole` the scores of the whole replay, `controls` what is kept of judges, and `people` how
    these compare with people.
    """

    replays: tuple[Size, Size]
    deterministic: bool
    made_with: Named[str] = {}
    keeps: Annotated[Distinct, Field(min_length=1)] | None = None
    scores: Annotated[Named[str], Field(min_length=1)] | None = None
    controls: Annotated[Named[Controls], Field(min_length=1)] | None = None
    whole: Annotated[Named[WholeScore], Field(min_length=1)] | None = None
    people: Annotated[Named[PeopleCounts], Field(min_length=1)] | None = None

    @field_validator("whole")
    @classmethod
    def _of_each_replay(
        cls, found: Mapping[str, WholeScore] | None, info: ValidationInfo
    ) -> Mapping[str, WholeScore] | None:
        replays = sum(info.data.get("replays", ()))
        for name, score in (found or {}).items():
            if replays and len(score.values) != replays:
                raise ValueError(
                    f"{quoted(name)} has {len(score.values)} values; expected one for each of {replays} replays"
                )
        return found

    @field_validator("keeps")
    @classmethod
    def _known(cls, found: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if unknown := [name for name in found or () if name not in KEPT]:
            raise ValueError(f"{quoted(unknown[0])} is not kept of a replay; expected {' or '.join(KEPT)}")
        return found


class Provenance(_Part):
    """The origin of the examples."""

    source: str = Field(min_length=1)
    citation: str = ""
    made_by: str = ""
    notes: str = ""


class File(_Part):
    """The required size and digest of a file of the set."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(_Part):
    """A set's whole description of itself; besides it the set has the tensors that `tensors` names.

    `human` names the scores for which people have graded answers, which are in the lines. `fields` are members of each
    line that scores read, such as the context of a question. No model is sent them.
    """

    format: Literal[1, 2, 3, 4, 5, 6]
    name: Plain
    version: Plain
    task: Task
    examples: Size
    inputs: Named[Input] = Field(min_length=1)
    labels: Labels | None = Field(default=None, validate_default=True)
    outputs: Named[Output] = Field(min_length=1)
    decision: str = Field(default="", validate_default=True)
    fields: Annotated[Distinct, Field(min_length=1)] | None = None
    slices: Named[Slice] = {}
    clusters: Clusters | None = None
    human: Distinct = ()
    reference: Reference
    provenance: Provenance
    licence: str = Field(min_length=1)
    files: Named[File]

    @field_validator("labels")
    @classmethod
    def _fits_the_task(cls, found: Labels | None, info: ValidationInfo) -> Labels | None:
        task = info.data.get("task")
        wanted = _LABELS.get(str(task))
        kinds = ("classes", "match", "within")
        given = [name for name in kinds if found is not None and getattr(found, name) is not None]
        if task in (Task.CLASSIFICATION, Task.REGRESSION) and found is None:
            raise ValueError("missing")
        if task is not None and found is not None and given != [wanted]:
            expected = f"labels.{wanted} alone" if wanted else "none"
            raise ValueError(f"a set for {task} has {expected}, this one has {', '.join(given) or 'neither'}")
        return found

    @field_validator("decision")
    @classmethod
    def _is_what_the_task_judges(cls, found: str, info: ValidationInfo) -> str:
        outputs, task = info.data.get("outputs"), info.data.get("task")
        if outputs is None or task is None or "labels" not in info.data:  # reported already
            return found
        name = found or (next(iter(outputs)) if len(outputs) == 1 else "")
        if name not in outputs:
            names = ", ".join(map(quoted, outputs))
            raise ValueError(f"{quoted(found)} is not an output; expected the one that {_ROLES[task]}, of {names}")
        check_decision(str(task), name, outputs[name], info.data["labels"])
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

    @model_validator(mode="after")
    def _hangs_together(self) -> Manifest:
        if self.has_lines and LINES not in self.files:
            raise ValueError(f'files has no entry "{LINES}"; text and structured inputs are in this file')
        if self.human and not self.outputs[self.decision].in_lines:
            raise ValueError("human has the grades of answers in text, and the set has none")
        if self.task is Task.CLASSIFICATION and "scores" in (self.reference.keeps or ()):
            raise ValueError("reference.keeps has scores; an answer of a classifier is right or wrong")
        oldest = self.oldest_format
        if oldest == 5 and self.labels is not None and self.labels.match in _FIRST_MATCHES:
            oldest = self._oldest_format
        if self.format < oldest:
            raise ValueError(f"format is {self.format}; a set with such parts is of format {oldest}")
        return self

    @property
    def batch_axes(self) -> BatchAxes:
        """The batch axes of the inputs and outputs that do not have it first."""
        return BatchAxes(*({n: p.axis for n, p in part.items() if p.axis != 0} for part in (self.inputs, self.outputs)))

    @property
    def has_lines(self) -> bool:
        """Whether a part of the examples is in the file of examples."""
        parts = (*self.inputs.values(), *self.outputs.values())
        return self.fields is not None or any(part.in_lines for part in parts)

    @property
    def oldest_format(self) -> int:
        """The oldest format of such a set, so that an older goldwatch reads what it judges alike."""
        match = None if self.labels is None else self.labels.match
        is_new = match == "first" or self.human or self._has_any_form or self.batch_axes or self.fields
        if self.reference.scores or self.reference.whole or is_new:
            return 6
        return self._oldest_format if match is None else 5

    @property
    def _oldest_format(self) -> int:
        if self.clusters is not None:
            return 4
        if self.reference.keeps:
            return 3
        return 2 if self.has_lines or self.task is not Task.CLASSIFICATION else 1

    @property
    def _has_any_form(self) -> bool:
        """Whether the set has what formats up to 5 refuse: see `FORMAT`."""
        judged, others = self.outputs[self.decision], [o for n, o in self.outputs.items() if n != self.decision]
        if any(output.dtype == JSON for output in self.outputs.values()):
            return True
        if self.task is Task.CLASSIFICATION:
            return judged.in_lines or judged.is_single or any(output.in_lines for output in others)
        if self.task is Task.EMBEDDING:
            return len(judged.shape) != 1 or any(output.in_lines for output in others)
        return self.task is Task.REGRESSION

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return the dtype and the whole shape, examples first, of each tensor that the set must hold, by name."""
        n = self.examples
        parts = {f"inputs.{name}": spec for name, spec in self.inputs.items()}
        parts |= {f"outputs.{name}": spec for name, spec in self.outputs.items()}
        expected = {name: (spec.dtype, (n, *spec.shape)) for name, spec in parts.items() if not spec.in_lines}
        if self.task is Task.CLASSIFICATION:
            expected["labels"] = ("int64", (n,))
        elif self.task is Task.REGRESSION:
            expected["labels"] = ("float64", (n, *self.outputs[self.decision].shape))
        expected |= {f"slices.{name}": ("int64", (n,)) for name in self.slices}
        if self.clusters is not None:
            expected["clusters"] = ("int64", (n,))
        expected["reference.right"] = ("int64", (2, n))
        for kept in self.reference.keeps or ():
            expected[f"reference.{kept}"] = ("float32", (sum(self.reference.replays), n))
        for score in self.reference.scores or ():
            expected[f"reference.scores.{score}"] = ("float32", (sum(self.reference.replays), n))
        for score, kept_of in (self.reference.controls or {}).items():
            expected[f"reference.controls.{score}"] = ("float32", (kept_of.judgings, kept_of.answers))
        return expected


_LABELS: Mapping[str, str] = {
    Task.CLASSIFICATION: "classes",
    Task.GENERATION: "match",
    Task.REGRESSION: "within",
}

_ROLES = {
    Task.CLASSIFICATION: "scores the classes",
    Task.GENERATION: "is the text",
    Task.EMBEDDING: "is compared with the reference",
    Task.REGRESSION: "has the values",
}


def parse(folder: Path, raw: bytes) -> Manifest:
    """Read the bytes of a manifest. Raises GoldenError with all the problems."""
    try:
        found = parse_json(raw, _Objects().made)
    except ValueError as error:
        raise GoldenError(folder, f"{MANIFEST} is not usable JSON: {error}; restore it") from error
    version = found.get("format") if isinstance(found, dict) else None
    if type(version) is int and version > FORMAT:
        message = f"{MANIFEST} has format {version}, this goldwatch reads up to format {FORMAT}; use a newer goldwatch"
        raise GoldenError(folder, message)
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        raise GoldenError(folder, *_problems(error)) from error


class _Objects:
    """Makes the objects of one manifest: unique keys, and not too many of them."""

    def __init__(self) -> None:
        self._keys = 0

    def made(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._keys += len(pairs)
        if self._keys > MAX_KEYS:
            raise ValueError(f"more than {MAX_KEYS:,} keys")
        return unique_keys(pairs)


def _written(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest without empty parts that older sets do not have, so that their digests stay."""
    found = manifest.model_dump(mode="json", exclude_none=True)
    return found if manifest.human else {key: value for key, value in found.items() if key != "human"}


def serialise(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest: equal manifests give equal bytes."""
    return (json.dumps(_written(manifest), indent=2, ensure_ascii=False) + "\n").encode()


def _problems(error: ValidationError) -> Iterator[str]:
    details = error.errors(include_url=False, include_context=False)
    for detail in details[:_MAX_SHOWN]:
        place = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in detail["loc"]).lstrip(".")
        yield f"{MANIFEST}: {place or 'manifest'}: {_message(detail['type'], detail['msg'], detail['input'])}"
    if len(details) > _MAX_SHOWN:
        yield f"{MANIFEST}: {len(details) - _MAX_SHOWN:,} problems more"


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
