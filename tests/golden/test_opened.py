from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.golden.error import GoldenError
from goldwatch.golden.manifest import Manifest, Task, parse, serialise
from goldwatch.golden.opened import GoldenSet
from goldwatch.golden.tensors import write

Edit = Callable[..., None]


def problem(golden: GoldenSet) -> str:
    """The message that opening gives, without the folder at its beginning."""
    with pytest.raises(GoldenError) as caught:
        GoldenSet.open(golden.path).check_values()
    start = f"{golden.path}: "
    assert str(caught.value).startswith(start)
    return str(caught.value).removeprefix(start)


def replace_tensors(golden: GoldenSet, edit: Edit, **tensors: Any) -> None:
    """Store other tensors and make the digests match, as a tool with a bug would. `None` leaves one out."""
    found = {name: np.array(golden.tensor(name)) for name in golden.manifest.tensors()}
    found |= {name.replace("__", "."): array for name, array in tensors.items()}
    (golden.path / "tensors.safetensors").unlink()
    write(golden.path / "tensors.safetensors", {name: array for name, array in found.items() if array is not None})
    edit(lambda _: None, seal=True)


def test_a_set_says_what_it_is(golden: GoldenSet) -> None:
    found = GoldenSet.open(golden.path)
    digest = hashlib.sha256((golden.path / "golden.json").read_bytes()).hexdigest()
    assert (found.name, found.version, found.task, found.examples) == ("fruit", "2026q3", Task.CLASSIFICATION, 4)
    assert found.digest == f"sha256:{digest}"
    assert str(found) == f"fruit@{digest[:12]}"
    assert found.manifest.decision == "scores"
    assert found == golden
    assert hash(found) == hash(golden)


def test_tensors_are_mapped_once_and_read_only(golden: GoldenSet) -> None:
    array = golden.tensor("inputs.x")
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    assert golden.tensor("inputs.x") is array
    assert array.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_worker_can_map_an_input_by_itself(golden: GoldenSet) -> None:
    [place] = golden.input_locations()
    assert (place.name, place.dtype, place.shape) == ("x", "float32", (4, 2))
    assert Path(place.file).is_absolute()
    mapped = np.memmap(place.file, place.dtype, "r", place.offset, place.shape)
    assert np.array_equal(mapped, golden.tensor("inputs.x"))
    with pytest.raises(KeyError):
        golden.locate("inputs.y")


def test_a_set_whose_files_are_mounted_by_links_opens(golden: GoldenSet) -> None:
    (golden.path / "..2026_09_01").mkdir()
    (golden.path / "..data").symlink_to("..2026_09_01")
    for name in ("golden.json", "tensors.safetensors"):
        (golden.path / name).rename(golden.path / "..2026_09_01" / name)
        (golden.path / name).symlink_to(f"..data/{name}")
    assert GoldenSet.open(golden.path) == golden


CHANGED = "the set was changed after it was frozen. Restore it, or freeze a new version (docs/golden-sets.md)"


def test_truncated(golden: GoldenSet) -> None:
    file = golden.path / "tensors.safetensors"
    size = file.stat().st_size
    os.truncate(file, size - 5)
    assert problem(golden) == f"tensors.safetensors has {size - 5} bytes, the manifest says {size}; {CHANGED}"


def test_truncated_before_it_was_sealed(golden: GoldenSet, edit: Edit) -> None:
    file = golden.path / "tensors.safetensors"
    os.truncate(file, file.stat().st_size - 5)
    edit(lambda _: None, seal=True)
    assert problem(golden) == (
        "tensors.safetensors is not a valid safetensors file: its tensors need 208 bytes of data, it has 203; "
        "restore it or freeze the set again"
    )


def test_wrong_digest(golden: GoldenSet) -> None:
    file = golden.path / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    before = hashlib.sha256(content).hexdigest()
    content[-1] ^= 1
    file.write_bytes(content)
    now = hashlib.sha256(content).hexdigest()
    expected = f"tensors.safetensors has sha256 {now[:12]}..., the manifest says {before[:12]}...; {CHANGED}"
    assert problem(golden) == expected


def test_wrong_shape(golden: GoldenSet, edit: Edit) -> None:
    replace_tensors(golden, edit, inputs__x=np.zeros((4, 3), np.float32))
    assert problem(golden) == (
        'tensors.safetensors: tensor "inputs.x" is float32 [4, 3], golden.json says float32 [4, 2]; '
        "correct the one that is wrong and freeze the set again"
    )


def test_nan_labels(golden: GoldenSet, edit: Edit) -> None:
    replace_tensors(golden, edit, labels=np.array([0, 1, np.nan, 1]))
    assert problem(golden) == (
        'tensors.safetensors: tensor "labels" is float64, expected int64, the index of each example\'s class; labels '
        "turn into floating numbers when some are missing (NaN): leave out these examples and freeze the set again"
    )


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "C:x", "golden.json", "a\x00b", "\x1b"]
)
def test_a_path_outside_the_folder(golden: GoldenSet, edit: Edit, name: str) -> None:
    edit(lambda m: m["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))
    shown = name.encode("unicode_escape").decode() if not name.isprintable() else name
    expected = (
        f'golden.json: files: "{shown}" is not the plain name of a file inside the folder; '
        "do not use this set unless you know who made it"
    )
    assert problem(golden) == ("golden.json: files: a name is empty" if not name else expected)


@pytest.mark.parametrize("name", ["golden.json", "tensors.safetensors"])
def test_a_link_that_leads_outside(golden: GoldenSet, tmp_path: Path, name: str) -> None:
    (golden.path / name).rename(tmp_path / "elsewhere")
    (golden.path / name).symlink_to(tmp_path / "elsewhere")
    assert problem(golden) == f"{name} is a link that leads outside of the folder; put the file itself there"


def test_things_that_are_not_files(golden: GoldenSet) -> None:
    file = golden.path / "tensors.safetensors"
    file.unlink()
    assert problem(golden) == "tensors.safetensors is missing; restore it, or name the folder of a golden set"
    os.mkfifo(file)
    assert problem(golden) == "tensors.safetensors is not a regular file; put the file itself there"
    file.unlink()
    file.symlink_to(file)
    assert problem(golden).startswith("tensors.safetensors cannot be read: ")


def test_a_folder_that_is_none(golden: GoldenSet, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 300)
    file = golden.path / "golden.json"
    for path, found in [(tmp_path / "no", "no such folder"), (file, "a file"), (long, "file name too long")]:
        with pytest.raises(GoldenError) as caught:
            GoldenSet.open(path)
        assert str(caught.value) == f"{path}: {found}; expected the folder of a golden set, with golden.json in it"


def test_missing_and_additional_tensors(golden: GoldenSet, edit: Edit) -> None:
    replace_tensors(golden, edit, labels=None, slices__size=np.zeros(4, np.int64))
    assert problem(golden).splitlines() == [
        "2 problems",
        (
            '  tensors.safetensors: tensor "labels" is missing, golden.json says int64 [4]; '
            "add it and freeze the set again"
        ),
        '  tensors.safetensors: tensor "slices.size" is not in golden.json; leave it out and freeze the set again',
    ]


def test_values_out_of_range_are_reported_together(golden: GoldenSet, edit: Edit) -> None:
    scores = np.zeros((4, 3), np.float32)
    scores[1:3, 0] = np.nan, np.inf
    replace_tensors(
        golden,
        edit,
        outputs__scores=scores,
        labels=np.array([0, -1, 2, 3]),
        slices__country=np.array([0, 1, -2, 0]),
        reference__right=np.array([[0, 0, 0, 3], [0, 0, 0, 3]]),
    )
    GoldenSet.open(golden.path)  # looks at no value
    tensor, correct = "  tensors.safetensors: tensor", "correct these values and freeze the set again"
    assert problem(golden).splitlines() == [
        "4 problems",
        (
            f'{tensor} "outputs.scores" holds NaN or infinity in 2 of 4 examples, the first is example 1; '
            "repair or leave out these examples and freeze the set again"
        ),
        (
            f'{tensor} "labels" is out of range in 2 of 4 examples, the first is example 1 with -1; '
            f"expected 0 to 2 (labels.classes has 3); {correct}"
        ),
        (
            f'{tensor} "slices.country" is out of range in 1 of 4 examples, the first is example 2 with -2; '
            f"expected -1 to 1 (slices.country has 2, -1 is none); {correct}"
        ),
        (
            f'{tensor} "reference.right" is out of range in 1 of 4 examples, the first is example 3 with 3; '
            f"expected 0 to 2 (reference.replays has 2 in half 1); {correct}"
        ),
    ]


MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "golden.json has format 7, this goldwatch reads up to format 6; use a newer goldwatch": lambda m: m.update(
        format=7
    ),
    "golden.json: format: 0: input should be 1, 2, 3, 4, 5 or 6": lambda m: m.update(format=0),
    "golden.json: licence: missing": lambda m: m.pop("licence"),
    "golden.json: colour: unknown key; format 6 has none of this name": lambda m: m.update(colour="red"),
    "golden.json: task: \"detection\": input should be 'classification', 'generation', 'embedding' "
    "or 'regression'": lambda m: m.update(task="detection"),
    "golden.json: examples: 0: input should be greater than or equal to 1": lambda m: m.update(examples=0),
    'golden.json: examples: "4": input should be a valid integer': lambda m: m.update(examples="4"),
    'golden.json: inputs.x.dtype: "float8" is not a dtype; expected one of text, json, bool, float16, float32, '
    "float64, int16, int32, int64, int8, uint16, uint32, uint64, uint8": lambda m: m["inputs"]["x"].update(
        dtype="float8"
    ),
    "golden.json: outputs.scores.tolerance: -1: input should be greater than or equal to 0": lambda m: m["outputs"][
        "scores"
    ].update(tolerance=-1),
    "golden.json: labels.classes: some of the values are the same": lambda m: m["labels"].update(classes=["a", "a"]),
    'golden.json: decision: "x" is not an output; expected the one that scores the classes, of "scores"': lambda m: (
        m.update(decision="x")
    ),
    'golden.json: decision: output "scores" has shape [3], expected [2]: one score for each of labels.classes': (
        lambda m: m["labels"].update(classes=["a", "b"])
    ),
    'golden.json: files: no entry "tensors.safetensors"; every set has this file': lambda m: m["files"].clear(),
    "golden.json: outputs: {}: dictionary should have at least 1 item after validation, not 0": lambda m: m.update(
        outputs={}
    ),
}


@pytest.mark.parametrize("message", MANIFESTS)
def test_a_wrong_manifest_is_refused_with_what_is_wrong(golden: GoldenSet, edit: Edit, message: str) -> None:
    edit(MANIFESTS[message])
    assert problem(golden) == message


def test_all_problems_of_a_manifest_are_reported_together(golden: GoldenSet, edit: Edit) -> None:
    edit(lambda m: m.update(examples=-1, licence="", name="a b"))
    assert problem(golden).splitlines() == [
        "3 problems",
        "  golden.json: name: \"a b\": string should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$'",
        "  golden.json: examples: -1: input should be greater than or equal to 1",
        '  golden.json: licence: "": string should have at least 1 character',
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"{",
            "golden.json is not usable JSON: Expecting property name enclosed in double quotes: line 1 column 2",
        ),
        (b"[" * 100_000, "golden.json is not usable JSON: nested too deeply"),
        (b'{"a": 1, "a": 1}', 'golden.json is not usable JSON: key "a" appears twice'),
        (
            b"\xff",
            "golden.json is not usable JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        (b" " * (16 * 2**20 + 1), "golden.json is longer than 16,777,216 bytes: not a manifest"),
        (b"[]", "golden.json: manifest: []: input should be an object"),
        (b"[" + b"{}," * 200_000 + b"1]", "golden.json is not usable JSON: 200,001 objects and lists"),
        (json.dumps(dict.fromkeys(map(str, range(20_001)))).encode(), "golden.json is not usable JSON: more than"),
    ],
)
def test_a_manifest_that_is_none(golden: GoldenSet, content: bytes, message: str) -> None:
    (golden.path / "golden.json").write_bytes(content)
    assert problem(golden).startswith(message)


def test_of_many_problems_the_first_are_reported() -> None:
    many = WHOLE | {"labels": {"classes": [1] * 100_000}} | {f"unknown{i}": 1 for i in range(1000)}
    with pytest.raises(GoldenError) as caught:
        parse(Path("set"), json.dumps(many).encode())
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1] == "golden.json: 981 problems more"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(Manifest.model_fields)), json_values)
def test_any_value_anywhere_gives_a_manifest_or_a_golden_error(field: str, value: Any) -> None:
    raw = json.dumps({**WHOLE, field: value}).encode()
    try:
        manifest = parse(Path("set"), raw)
    except GoldenError as error:
        assert str(error).startswith("set: ")  # noqa: PT017 - most values are errors, not all
        str(error).encode()
    else:
        assert parse(Path("set"), serialise(manifest)) == manifest


WHOLE = {
    "format": 1,
    "name": "a",
    "version": "1",
    "task": "classification",
    "examples": 1,
    "inputs": {"x": {"dtype": "int64", "shape": []}},
    "labels": {"classes": ["a", "b"]},
    "outputs": {"y": {"dtype": "float64", "shape": [2], "tolerance": 0}},
    "reference": {"replays": [1, 1], "deterministic": False},
    "provenance": {"source": "s"},
    "licence": "none",
    "files": {"tensors.safetensors": {"sha256": "0" * 64, "bytes": 0}},
}
