"""The examples of a golden set with the answers of a replay, as evaluators are given them: by role, in plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from goldwatch.golden.manifest import Task
from goldwatch.golden.opened import GoldenSet
from goldwatch.worker.evaluators.decisions import decision_of
from goldwatch.worker.evaluators.opened import BadScore

Read = Callable[[int], Any]
"""Takes the number of an example."""


class Examples:
    """Reads the sources that evaluators name (see `goldwatch.evaluator.ROLES`) from a golden set.

    Plain values: text, numbers, bools, lists and mappings, never arrays.
    """

    def __init__(self, golden: GoldenSet) -> None:
        self._golden = golden
        self._manifest = golden.manifest
        self._lines = golden.lines() if self._manifest.has_lines else None
        labels = self._manifest.labels
        self._classes = labels.classes if labels is not None else None
        self._decision = decision_of(self._manifest)

    @property
    def digest(self) -> str:
        """The digest of the golden set."""
        return self._golden.digest

    def check(self, sources: Iterable[str]) -> None:
        """Raise BadScore for the first source that the examples do not have."""
        for source in sources:
            self._reader(source, {})

    def readers(self, takes: Mapping[str, str], outputs: Mapping[str, Any]) -> dict[str, Read]:
        """Return what reads each parameter; `outputs` are the columns [n, ...] of a replay. Raises BadScore."""
        return {parameter: self._reader(source, outputs) for parameter, source in takes.items()}

    def _reader(self, source: str, outputs: Mapping[str, Any]) -> Read:
        if source.startswith("[") and source.endswith("]"):
            inner = self._reader(source[1:-1], outputs)
            return lambda i: [inner(i)]
        decision = self._manifest.decision
        roles: Mapping[str, Read] = {
            "input": self._input,
            "output": lambda i: self._answer(outputs[decision][i]),
            "expected": self._expected,
            "answers": self._answers,
            "classes": lambda _: list(self._classes or ()),
            "values": lambda i: outputs[decision][i].tolist(),
        }
        if source == "values" and self._manifest.outputs[decision].in_lines:
            raise BadScore("takes `values`, and the answers of this golden set are text")
        if source == "classes" and self._classes is None:
            raise BadScore("takes `classes`, and this golden set has none")
        if source in roles:
            return roles[source]
        name = source.removeprefix("fields.")
        if not source.startswith("fields.") or not self._has(name):
            raise BadScore(
                f"takes `{name}`, which is no role, no field or input of {self._golden.name} and no key of a "
                "structured input of its first example; give it by `options`, or say by `takes` what it is"
            )
        return lambda i: self._field(i, name)

    def _answer(self, kept: Any) -> Any:  # noqa: ANN401 - as the output is
        """Return an output as an evaluator takes it: text, a class by its name, a number, or a list."""
        if isinstance(kept, str):
            return kept
        if isinstance(kept, bytes):
            return kept.decode("utf-8", "replace")
        if self._manifest.task is Task.CLASSIFICATION:
            index = int(self._decision.scores(np.asarray(kept)[np.newaxis])[0].argmax())
            classes = self._classes or ()
            return classes[index] if index < len(classes) else str(kept)
        return kept.item() if kept.size == 1 else kept.tolist()

    def _expected(self, i: int) -> Any:  # noqa: ANN401 - as the output is
        manifest = self._manifest
        if self._classes is not None:
            return self._classes[int(self._golden.tensor("labels")[i])]
        if manifest.task is Task.REGRESSION:
            return self._answer(self._golden.tensor("labels")[i])
        if manifest.outputs[manifest.decision].in_lines and self._lines is not None:
            line = self._lines[i]
            return line["answers"][0] if manifest.labels is not None else line["outputs"][manifest.decision]
        return self._answer(self._golden.tensor(f"outputs.{manifest.decision}")[i])

    def _answers(self, i: int) -> list[Any]:
        labels = self._manifest.labels
        if labels is not None and labels.match is not None and self._lines is not None:
            return list(self._lines[i]["answers"])
        return [self._expected(i)]

    def _input(self, i: int) -> Any:  # noqa: ANN401 - as the inputs are
        names = list(self._manifest.inputs)
        return self._one_input(i, names[0]) if len(names) == 1 else {name: self._one_input(i, name) for name in names}

    def _one_input(self, i: int, name: str) -> Any:  # noqa: ANN401 - as the input is
        if self._manifest.inputs[name].in_lines and self._lines is not None:
            return self._lines[i]["inputs"][name]
        return self._golden.tensor(f"inputs.{name}")[i].tolist()

    def _has(self, name: str) -> bool:
        known = (*self._manifest.inputs, *(self._manifest.fields or ()))
        return name in known or self._structured(0, name) is not None

    def _field(self, i: int, name: str) -> Any:  # noqa: ANN401 - as the input is
        if self._lines is not None and name in (self._manifest.fields or ()):
            return self._lines[i]["fields"][name]
        return self._one_input(i, name) if name in self._manifest.inputs else self._structured(i, name)

    def _structured(self, i: int, name: str) -> Any:  # noqa: ANN401 - as the input is
        """Return a key of a structured input; None if no input has it."""
        if self._lines is None:
            return None
        inputs = self._lines[i].get("inputs", {})
        return next((value[name] for value in inputs.values() if isinstance(value, dict) and name in value), None)
