"""Text and structured examples on disk: JSON Lines, one example a line, read in place.

A line is an object: `inputs` by name (text, or any JSON value for a structured input), `outputs` by name (the text of
the validated model), `fields` that only scores read, if there are any, and, if the set is labelled, `answers`, the
texts that count as right. Only the beginnings of the
lines are held in memory. Workers read it too, some of them in old interpreters: standard library and numpy alone.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch import scratch
from goldwatch.golden.attached import Attached, references
from goldwatch.golden.error import GoldenError, quoted, reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINES = "examples.jsonl"
TEXT = "text"
JSON = "json"
MOST_LINE_BYTES = 2**20
MOST_DEPTH = 200
"""Of JSON within JSON: more is no example, and takes more calls within calls than an interpreter has."""
_BYTES_AT_ONCE = 2**20


class Lines:
    """An opened file of examples, mapped into memory. Raises GoldenError if it cannot be read, or has a line too long.

    `file` is expected to be unchanged since its digest was verified.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            with file.open("rb") as stream:
                self._memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if stream.seek(0, 2) else b""
        except OSError as error:
            raise GoldenError(file.parent, f"{file.name} cannot be read: {reason(error)}") from error
        self._starts = self._beginnings()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one example, counted from 0. Raises GoldenError if its line is no JSON object, IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        raw = self._memory[int(self._starts[index]) : int(self._starts[index + 1])]
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise self.error(index, f"not JSON: {error}") from error
        if not isinstance(found, dict):
            raise self.error(index, f"{type(found).__name__}, expected an object with inputs and outputs")
        if raw.count(b"[") + raw.count(b"{") > MOST_DEPTH and _is_deeper(found, MOST_DEPTH):
            raise self.error(index, f"nested more than {MOST_DEPTH} deep; leave this example out")
        return found

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def error(self, index: int, problem: str) -> GoldenError:
        """Return the error of one line."""
        return GoldenError(self.file.parent, f"{self.file.name}:{index + 1}: {problem}")

    def _beginnings(self) -> NDArray[Any]:
        """Return where each line begins, and where the last one ends."""
        import numpy as np  # noqa: PLC0415 - the agent opens sets, but reads no examples

        size = len(self._memory)
        lines = sum(len(ends) for ends in self._ends())
        unfinished = bool(size) and self._memory[size - 1 :] != b"\n"
        starts = scratch.zeros(lines + unfinished + 1, np.int64)
        position = 1
        for ends in self._ends():
            starts[position : position + len(ends)] = ends
            position += len(ends)
        if unfinished:
            starts[-1] = size
        for some in scratch.blocks(len(starts) - 1):
            long = np.flatnonzero(np.diff(starts[some.start : some.stop + 1]) > MOST_LINE_BYTES)
            if long.size:
                why = f"longer than {MOST_LINE_BYTES:,} bytes; leave this example out"
                raise self.error(some.start + int(long[0]), why)
        return starts

    def _ends(self) -> Iterator[NDArray[Any]]:
        """Yield where lines end, some bytes at a time."""
        import numpy as np  # noqa: PLC0415 - as above

        for start in range(0, len(self._memory), _BYTES_AT_ONCE):
            some = np.frombuffer(self._memory[start : start + _BYTES_AT_ONCE], np.uint8)
            yield start + 1 + np.flatnonzero(some == ord("\n"))


def _is_deeper(value: object, most: int) -> bool:
    """Return whether lists and objects are nested more than `most` deep."""
    level: list[Any] = [value]
    for _ in range(most):
        parts = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, (dict, list))]
        if not parts:
            return False
        level = [each for part in parts for each in part]
    return any(isinstance(each, (dict, list)) for each in level)


class TextColumn:
    """One text of every example, as if it were an array [n] of `str`: what a tensor is for a tensor input.

    A structured input is its JSON text, with the contents of the files it refers to if `attached` has them. Slices and
    integers give numpy arrays of objects and `str`.
    """

    def __init__(self, lines: Lines, part: str, name: str, kind: str = TEXT, attached: Attached | None = None) -> None:
        self._lines, self._part, self._name, self._kind, self._attached = lines, part, name, kind, attached
        self.shape = (len(lines),)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice) -> Any:  # noqa: ANN401 - as an array has it
        import numpy as np  # noqa: PLC0415

        if isinstance(index, int):
            return self._value(index)
        chosen = range(*index.indices(len(self)))
        found: NDArray[Any] = np.empty(len(chosen), dtype=object)
        found[:] = [self._value(i) for i in chosen]
        return found

    def _value(self, index: int) -> str:
        value = self._lines[index][self._part][self._name]
        if self._kind == TEXT:
            return str(value)
        return json.dumps(value if self._attached is None else self._attached.sent(value), ensure_ascii=False)


def column(file: str, part: str, name: str, kind: str) -> TextColumn:
    """Open one column by plain values, as a worker receives them, with the files it refers to. Raises GoldenError."""
    return TextColumn(Lines(Path(file)), part, name, kind, Attached(Path(file).parent))


def write(file: Path, examples: Iterable[Mapping[str, Any]]) -> None:
    """Write examples so that equal ones give equal bytes. Raises GoldenError, OSError if the file cannot be written."""
    with file.open("x", encoding="utf-8", newline="\n") as stream:
        for index, example in enumerate(examples):
            try:
                text = json.dumps(example, ensure_ascii=False, sort_keys=True, allow_nan=False)
                stream.write(text + "\n")
            except (
                TypeError,
                ValueError,
                RecursionError,
            ) as error:  # UnicodeEncodeError, for half a surrogate pair, is one
                raise GoldenError(file.parent, f"{file.name}:{index + 1}: not plain values: {error}") from error


def line_problems(
    lines: Lines,
    inputs: Mapping[str, str],
    outputs: Mapping[str, int],
    *,
    answers: bool,
    fields: Collection[str] = (),
    files: Collection[str] | None = (),
    human: Sequence[str] = (),
) -> Iterator[str]:
    """Yield what is wrong with the first bad lines: at most ten messages.

    `inputs` is the kind (text or json) by name, `outputs` the most bytes of each by name, `fields` are the names of
    others, `files` those of the set, None if it is of a format that has none, `human`
    the scores for which people have graded answers.
    """
    found = 0
    for index in range(len(lines)):
        try:
            line = lines[index]
            problem = (
                _problem(line, inputs, outputs, fields, answers=answers)
                or _missing_file(line["inputs"], files)
                or _human_problem(line, human)
            )
        except GoldenError as error:
            yield error.problems[0]
            found += 1
            problem = ""
        if problem:
            yield f"{lines.file.name}:{index + 1}: {problem}; correct it and freeze the set again"
            found += 1
        if found == 10:
            return


def _problem(
    example: Mapping[str, Any],
    inputs: Mapping[str, str],
    outputs: Mapping[str, int],
    fields: Collection[str],
    *,
    answers: bool,
) -> str:
    expected = {"inputs": set(inputs), "outputs": set(outputs)} | ({"answers": set()} if answers else {})
    expected |= {"fields": set(fields)} if fields else {}
    if unknown := sorted(example.keys() - expected.keys() - {"human"}):
        return f"key {quoted(unknown[0])} is not expected; a line has {', '.join(expected)}"
    for part in expected.keys() - {"answers"}:
        given = example.get(part, {})
        if not isinstance(given, dict) or given.keys() != expected[part]:
            names = ", ".join(map(quoted, sorted(expected[part]))) or "nothing"
            return f"{part} must be an object with {names}, as golden.json says"
    for name, kind in inputs.items():
        if kind == TEXT and not isinstance(example["inputs"][name], str):
            return f"inputs.{name} is no text; golden.json says text"
    for name, most in outputs.items():
        if problem := _text_problem(example["outputs"][name], most):
            return f"outputs.{name} {problem}"
    accepted = example.get("answers")
    if answers and not (isinstance(accepted, list) and accepted and all(isinstance(a, str) for a in accepted)):
        return "answers must be a list of one text or more, since golden.json has labels.match"
    return ""


def _missing_file(inputs: Mapping[str, Any], files: Collection[str] | None) -> str:
    if files is None:
        return ""
    missing = [name for value in inputs.values() for name in references(value) if name not in files]
    return f"it refers to the file {quoted(missing[0])}, which the set has not" if missing else ""


def _human_problem(example: Mapping[str, Any], scores: Sequence[str]) -> str:
    if problem := human_problem(example.get("human", [])):
        return problem
    for name in human_scores(example):
        if name not in scores:
            return f"human has a grade for {quoted(name)}, which golden.json does not name in human"
    return ""


def human_problem(found: Any) -> str:  # noqa: ANN401 - whatever a line holds
    """Return what is wrong with the answers of a line that people have graded; empty if nothing is."""
    form = 'human must be a list such as [{"answer": "...", "grades": {"SCORE": 4}}]'
    if not isinstance(found, list):
        return form
    for each in found:
        if not isinstance(each, dict) or each.keys() != {"answer", "grades"} or not isinstance(each["answer"], str):
            return form
        grades = each["grades"]
        if not (isinstance(grades, dict) and grades):
            return form
        for name, grade in grades.items():
            if isinstance(grade, bool) or not isinstance(grade, int | float) or not math.isfinite(grade):
                return f"human has the grade {quoted(json.dumps(grade))} for {quoted(name)}; expected a number"
    return ""


def human_scores(example: Mapping[str, Any]) -> set[str]:
    """Return the scores for which people have graded answers of a line without problems."""
    return {name for each in example.get("human", ()) for name in each["grades"]}


def _text_problem(text: Any, most: int) -> str:  # noqa: ANN401 - whatever the line holds
    if not isinstance(text, str):
        return "is no text"
    if "\0" in text:
        return "holds the character NUL"
    size = len(text.encode("utf-8", "surrogatepass"))
    return f"has {size:,} bytes, more than its max_bytes, {most:,}" if size > most else ""
