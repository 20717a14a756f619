"""Golden sets of text: frozen, verified, read in place, and refused with the line that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.golden.error import GoldenError
from goldwatch.golden.freeze import freeze
from goldwatch.golden.lines import Lines, TextColumn, write
from goldwatch.golden.opened import GoldenSet

MANIFEST: dict[str, Any] = {
    "name": "capitals",
    "version": "1",
    "task": "generation",
    "examples": 2,
    "inputs": {"prompt": {"dtype": "text", "shape": []}},
    "labels": {"match": "contains"},
    "outputs": {"text": {"dtype": "text", "shape": [], "tolerance": 0, "max_bytes": 40}},
    "reference": {"replays": [1, 1], "deterministic": True},
    "provenance": {"source": "made up"},
    "licence": "CC0-1.0",
}
EXAMPLES: list[dict[str, Any]] = [
    {"inputs": {"prompt": "Capital of France?"}, "outputs": {"text": "It is Paris."}, "answers": ["Paris"]},
    {"inputs": {"prompt": "Capital of Perú?"}, "outputs": {"text": "It is Lima."}, "answers": ["Lima"]},
]
RIGHT = {"reference.right": np.ones((2, 2), np.int64)}


def test_a_set_of_text_is_returned_open(tmp_path: Path) -> None:
    golden = freeze(tmp_path / "set", MANIFEST, RIGHT, EXAMPLES)
    golden.check_values()
    assert golden.manifest.format == 5
    assert golden.text("inputs.prompt")[1] == "Capital of Perú?"
    assert golden.text("outputs.text")[:].tolist() == ["It is Paris.", "It is Lima."]
    (location,) = golden.input_locations()
    assert (location.dtype, location.shape) == ("text", (2,))


def test_equal_text_has_equal_digests(tmp_path: Path) -> None:
    turned = [dict(reversed(example.items())) for example in EXAMPLES]
    first = freeze(tmp_path / "a", MANIFEST, RIGHT, EXAMPLES)
    assert first.digest == freeze(tmp_path / "b", MANIFEST, RIGHT, turned).digest


def test_structured_inputs_are_json(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "hé"}]
    manifest = MANIFEST | {"inputs": {"messages": {"dtype": "json", "shape": []}}}
    examples = [example | {"inputs": {"messages": chat}} for example in EXAMPLES]
    column = freeze(tmp_path / "set", manifest, RIGHT, examples).text("inputs.messages")
    assert json.loads(column[0]) == chat
    assert column[0:1].shape == (1,)


Edit = Callable[[list[dict[str, Any]]], object]
WRONG: dict[str, Edit] = {
    'examples.jsonl:2: inputs must be an object with "prompt", as golden.json says; correct it and freeze the set '
    "again": lambda e: e[1].update(inputs={"question": "?"}),
    "examples.jsonl:1: inputs.prompt is no text; golden.json says text; correct it and freeze the set again": (
        lambda e: e[0].update(inputs={"prompt": 1})
    ),
    "examples.jsonl:1: outputs.text has 41 bytes, more than its max_bytes, 40; correct it and freeze the set again": (
        lambda e: e[0].update(outputs={"text": "x" * 41})
    ),
    "examples.jsonl:1: outputs.text holds the character NUL; correct it and freeze the set again": (
        lambda e: e[0].update(outputs={"text": "\0"})
    ),
    "examples.jsonl:2: answers must be a list of one text or more, since golden.json has labels.match; correct it and "
    "freeze the set again": lambda e: e[1].update(answers=[]),
    'examples.jsonl:2: key "label" is not expected; a line has inputs, outputs, answers; correct it and freeze the set '
    "again": lambda e: e[1].update(label="Lima"),
    "examples.jsonl has 1 lines, golden.json says 2 examples; correct the one that is wrong and freeze the set again": (
        lambda e: e.pop()
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_example_is_refused_with_its_line(tmp_path: Path, message: str) -> None:
    examples = json.loads(json.dumps(EXAMPLES))
    WRONG[message](examples)
    with pytest.raises(GoldenError) as caught:
        freeze(tmp_path / "set", MANIFEST, RIGHT, examples)
    assert caught.value.problems[0] == message
    assert not list(tmp_path.iterdir())


MANIFESTS: dict[str, dict[str, Any]] = {
    "golden.json: labels: a set for generation has labels.match alone, this one has classes": {
        "labels": {"classes": ["a", "b"]}
    },
    'golden.json: decision: output "text" is float32; the task generation judges an output of dtype text': {
        "outputs": {"text": {"dtype": "float32", "shape": [], "tolerance": 0}}
    },
    "golden.json: outputs.text.tolerance: 0.1 is no tolerance of text, which is equal or not; expected 0": {
        "outputs": {"text": {"dtype": "text", "shape": [], "tolerance": 0.1}}
    },
    "golden.json: inputs.prompt.shape: [3] is not a shape of text; expected []": {
        "inputs": {"prompt": {"dtype": "text", "shape": [3]}}
    },
    'golden.json: decision: output "text" is text []; the task embedding judges numbers or JSON': {
        "task": "embedding",
        "labels": None,
    },
}


@pytest.mark.parametrize("message", MANIFESTS)
def test_a_wrong_manifest_of_text_is_refused(tmp_path: Path, message: str) -> None:
    with pytest.raises(GoldenError) as caught:
        freeze(tmp_path / "set", MANIFEST | MANIFESTS[message], RIGHT, EXAMPLES)
    assert caught.value.problems[0] == message


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    golden = freeze(tmp_path / "set", MANIFEST, RIGHT, EXAMPLES)
    file = golden.path / "examples.jsonl"
    file.write_text(file.read_text().replace("Paris", "Pariz"))
    with pytest.raises(GoldenError, match=r"examples.jsonl has sha256 \w+\.\.\., the manifest says"):
        GoldenSet.open(golden.path)


def test_a_line_that_is_no_json_is_told(tmp_path: Path) -> None:
    file = tmp_path / "examples.jsonl"
    file.write_text('{"inputs": {}}\n{"inputs"\n')
    lines = Lines(file)
    assert lines[0] == {"inputs": {}}
    with pytest.raises(GoldenError, match=r"examples\.jsonl:2: not JSON"):
        lines[1]


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=20), start=st.integers(0, 25)
)
def test_a_column_is_like_the_list_that_was_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], start: int
) -> None:
    file = tmp_path_factory.mktemp("lines") / "examples.jsonl"
    write(file, [{"inputs": {"x": text}} for text in texts])
    column = TextColumn(Lines(file), "inputs", "x")
    assert column[start : start + 3].tolist() == texts[start : start + 3]
    assert len(column) == len(texts)
