"""Reads the lines of a first golden set: inputs of text or JSON, with answers, labels, slices, clusters and names.

Runs in a worker, next to `goldwatch.worker.jobs.examples`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from goldwatch.golden import identities
from goldwatch.golden.error import quoted
from goldwatch.golden.examples import TEXT_OUTPUT, Examples
from goldwatch.golden.lines import JSON, TEXT, Lines, human_problem, human_scores
from goldwatch.scratch import column
from goldwatch.worker.jobs.answered import LABELS, Parts, answered, nothing, one_name
from goldwatch.worker.jobs.attaching import Attaching
from goldwatch.worker.jobs.labels import LabelledAnswers, cluster_key, conflicts, key, numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABEL = "label"
_KEYS = ("inputs", "answers", LABEL, "slices", "cluster", "human", identities.KEY, "fields")


def of_lines(examples: Examples, lines: Lines, attaching: Attaching, notes: list[str]) -> Parts:
    """Return manifest and tensors of lines. Adds `notes` and their files. Raises GoldenError with the line."""
    import numpy as np  # noqa: PLC0415 - the agent's side of this module does without

    if not len(lines):
        raise examples.error("holds no example")
    n, first = len(lines), _example(lines, 0)
    read = _Read(examples, n)
    for row in range(n):
        line = _example(lines, row, first)
        if problem := attaching.problem(line["inputs"]):
            raise lines.error(row, problem)
        read.add(row, line)
    manifest, tensors = read.cuts()
    manifest |= {"inputs": inputs_of(lines), **fields_of(lines)}
    tensors["reference.right"] = nothing((2, n), np.int64)
    is_text = LABEL not in first and all(dtype == TEXT for _, dtype, _ in examples.outputs)
    if is_text:
        return manifest | _generation(examples, read, notes), tensors
    if "answers" in first:
        raise examples.error("has answers, and the output is no text; give each line a label, or leave them out")
    about, more = answered(examples, n, np.array(read.labels) if read.labels else None, notes)
    if about["task"] == "classification":
        notes += filter(None, [conflicts(read.keys, more[LABELS])])
    return manifest | about, tensors | more


def inputs_of(lines: Lines) -> dict[str, Any]:
    """Return what the manifest says of the inputs of lines, by the first one."""
    inputs = lines[0]["inputs"].items()
    return {name: {"dtype": TEXT if isinstance(value, str) else JSON, "shape": []} for name, value in inputs}


def fields_of(lines: Lines) -> dict[str, Any]:
    """Return what the manifest says of the fields of lines, by the first one: nothing if there are none."""
    return {"fields": sorted(lines[0]["fields"])} if lines[0].get("fields") else {}


class _Read:
    """The parts of the lines that were read, but for their inputs."""

    def __init__(self, examples: Examples, n: int) -> None:
        self._examples, self._n = examples, n
        self._cuts: dict[str, tuple[dict[str, int], NDArray[Any]]] = {}
        self._by, self._together = set[str](), _missing(n)
        self.labels: list[str | float] = []
        self.human = set[str]()
        self.answers = LabelledAnswers(examples.match)
        self.keys, self.answer_keys = _missing(n), _missing(n)
        self.ranks = False
        """Whether the inputs are those of a reranker."""

    def add(self, row: int, line: Mapping[str, Any]) -> None:
        """Take one line."""
        self.ranks = line["inputs"].keys() == {"query", "documents"}
        for cut, value in _named(line, "slices"):
            known, codes = self._cuts[cut] if cut in self._cuts else self._cuts.setdefault(cut, ({}, _missing(self._n)))
            codes[row] = known.setdefault(value, len(known))
        self.human |= human_scores(line)
        for cluster, value in _named(line, "cluster"):
            self._by.add(cluster)
            self._together[row] = cluster_key(value)
        self.keys[row] = key(json.dumps(line["inputs"], sort_keys=True).encode())
        if "answers" in line:
            self.answers.add(row, line["answers"])
            self.answer_keys[row] = key(json.dumps(line["answers"], sort_keys=True).encode())
        if LABEL in line:
            self.labels.append(line[LABEL])

    def cuts(self) -> Parts:
        """Return what there is of slices and clusters. Raises GoldenError for clusters of several names."""
        manifest: dict[str, Any] = {
            "examples": self._n,
            "slices": {cut: {"values": sorted(known)} for cut, (known, _) in self._cuts.items()},
        }
        tensors = {f"slices.{cut}": _in_order(known, codes) for cut, (known, codes) in self._cuts.items()}
        if self._by:
            manifest["clusters"] = {"by": one_name(self._examples, self._by)}
            tensors["clusters"] = numbered(self._together)
        if self.human:
            manifest["human"] = sorted(self.human)
        return manifest, tensors


def _generation(examples: Examples, read: _Read, notes: list[str]) -> dict[str, Any]:
    """Return what the manifest says of an output of text. Adds `notes`. Raises GoldenError."""
    [(name, _, _), *others] = examples.outputs or (TEXT_OUTPUT,)
    if others or examples.classes:
        raise examples.error("lines without a label have one output, text, and no classes; give each line its label")
    match, why = read.answers.proposed() if read.answers.lines else ("", "")
    if match and not examples.match and read.ranks:
        match, why = "first", "the inputs are a query and documents to rank"
    if problem := read.answers.problem(match):
        raise examples.error(problem)
    if match:
        remarks = [*read.answers.notes(), conflicts(read.keys, read.answer_keys)]
        notes += filter(None, [f"match: {match}, {why}", *remarks])
    labels = {"labels": {"match": match}} if match else {}
    return {"task": "generation", "outputs": {name: {"dtype": TEXT, "shape": [], "tolerance": 0}}} | labels


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
    for part, what in (("answers", "answers"), (LABEL, "a label")):
        if (part in found) != (part in first):
            return f"either every line has {what} or none; line 1 has " + ("some" if part in first else "none")
    return (
        _inputs_problem(found["inputs"], first["inputs"])
        or _labels_problem(found, first)
        or human_problem(found.get("human", []))
        or _fields_problem(found.get("fields", {}), first.get("fields", {}))
        or identities.line_problem(found)
    )


def _fields_problem(found: Any, first: Any) -> str:  # noqa: ANN401 - of JSON
    if isinstance(found, dict) and isinstance(first, dict) and found.keys() == first.keys():
        return ""
    return "fields must be an object with the names that it has in line 1"


def _inputs_problem(found: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    if found.keys() != first.keys():
        has, had = (", ".join(map(quoted, sorted(names))) for names in (found, first))
        return f"inputs has {has}, and that of line 1 has {had}"
    for name, value in found.items():
        if value is None or (isinstance(first[name], str) and not isinstance(value, str)):
            return f"inputs.{name} is {'null' if value is None else 'no text, and that of line 1 is'}"
    return ""


def _labels_problem(found: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    answers = found.get("answers", ["none"])
    if not (isinstance(answers, list) and answers and all(isinstance(answer, str) for answer in answers)):
        return 'answers must be a list of one text or more; write [""] where no answer is right'
    label = found.get(LABEL, "")
    if isinstance(label, bool) or not isinstance(label, str | int | float):
        return f"{LABEL} must be the name of a class, its number, or a value"
    if LABEL in found and "answers" in found:
        return f"has a {LABEL} and answers; write the {LABEL} for a class or a value, answers for a text"
    if LABEL in found and isinstance(label, str) != isinstance(first[LABEL], str):
        return f"{LABEL} is {'text' if isinstance(label, str) else 'a number'}, unlike that of line 1"
    return _names_problem(found)


def _names_problem(found: Mapping[str, Any]) -> str:
    label = found.get(LABEL, "")
    if isinstance(label, str) and len(label) > identities.MAX_LETTERS:
        return f"{LABEL} has {len(label):,} characters, expected the name of a class, up to {identities.MAX_LETTERS}"
    for part in ("slices", "cluster"):
        named = found.get(part) or {}
        if not isinstance(named, dict) or any(isinstance(value, (list, dict)) for value in named.values()):
            return f'{part} must be an object with a text for each name, such as {{"kind": "short"}}'
    for name, value in (found.get("slices") or {}).items():
        if isinstance(value, str) and len(value) > identities.MAX_LETTERS:
            return f"slices.{name} has {len(value):,} characters, expected up to {identities.MAX_LETTERS}"
    return ""


def _named(line: Mapping[str, Any], part: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of slices or clusters, but for missing values: null, and the empty text."""
    for name, value in (line.get(part) or {}).items():
        if value is not None and value != "":
            yield name, value if isinstance(value, str) else json.dumps(value)


def unanswered(lines: Lines, attaching: Attaching, outputs: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield what a golden set keeps in its lines, with an empty text for each of the outputs."""
    for line in lines:
        kept = {"inputs": attaching.renamed(line["inputs"]), "outputs": dict.fromkeys(outputs, "")}
        parts = ("answers", "human", *(["fields"] if line.get("fields") else []))
        yield kept | {part: line[part] for part in parts if part in line}
