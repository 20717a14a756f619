from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from goldwatch.golden.error import GoldenError
from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.golden.report import as_text


def test_equal_content_has_equal_digests(tmp_path: Path, manifest: dict[str, Any], tensors: dict[str, Any]) -> None:
    manifest["slices"]["size"] = {"values": ["small", "large"]}
    tensors["slices.size"] = np.array([0, 0, 1, 1])
    first = freeze(tmp_path / "first", manifest, tensors)
    manifest["slices"] = dict(reversed(manifest["slices"].items()))
    second = freeze(tmp_path / "second", dict(reversed(manifest.items())), dict(reversed(tensors.items())))
    assert first.digest == second.digest
    for name in ("golden.json", "tensors.safetensors"):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()


@pytest.mark.parametrize("name", ["inputs.x", "labels", "outputs.scores", "slices.country", "reference.right"])
def test_any_other_value_has_another_digest(
    tmp_path: Path, golden: GoldenSet, manifest: dict[str, Any], tensors: dict[str, Any], name: str
) -> None:
    tensors[name] = tensors[name].copy()
    tensors[name].flat[1] = 0.25 if tensors[name].dtype.kind == "f" else 0 if tensors[name].flat[1] else 1
    assert freeze(tmp_path / "other", manifest, tensors).digest != golden.digest


def test_the_set_is_returned_open(golden: GoldenSet, tensors: dict[str, Any]) -> None:
    golden.check_values()
    for name, array in tensors.items():
        assert np.array_equal(golden.tensor(name), array)
    assert safetensors.numpy.load_file(golden.path / "tensors.safetensors").keys() == tensors.keys()


def test_a_set_is_never_overwritten(golden: GoldenSet, manifest: dict[str, Any], tensors: dict[str, Any]) -> None:
    with pytest.raises(GoldenError) as caught:
        freeze(golden.path, manifest, tensors)
    message = "exists already; a golden set is never changed: freeze a new version in a new folder"
    assert str(caught.value) == f"{golden.path}: {message}"
    assert GoldenSet.open(golden.path) == golden


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("inputs.x", [[0.0, 1.0]] * 4, 'tensors.safetensors: tensor "inputs.x" is float64 [4, 2], golden.json says'),
        (
            "inputs.x",
            np.full((4, 2), np.nan, np.float32),
            'tensors.safetensors: tensor "inputs.x" holds NaN or infinity',
        ),
        ("labels", [0, 1, 2, None], 'tensor "labels" of dtype object cannot be stored; expected one of bool,'),
        ("labels", [[0], [1, 2]], 'tensor "labels" is not an array: '),
        ("labels", [0, 1, 2, 3], 'tensors.safetensors: tensor "labels" is out of range in 1 of 4 examples'),
    ],
)
def test_a_set_that_would_not_be_valid_leaves_nothing(
    tmp_path: Path, manifest: dict[str, Any], tensors: dict[str, Any], name: str, values: Any, message: str
) -> None:
    with pytest.raises(GoldenError) as caught:
        freeze(tmp_path / "set", manifest, {**tensors, name: values})
    assert str(caught.value).startswith(f"{tmp_path / 'set'}: {message}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licence": ""}, 'golden.json: licence: "": string should have at least 1 character'),
        ({"licence": Path()}, "the manifest is not plain values: Object of type PosixPath is not JSON serializable"),
        (
            {"task": "ranking"},
            (
                "golden.json: task: \"ranking\": input should be 'classification', 'generation', 'embedding' "
                "or 'regression'"
            ),
        ),
    ],
)
def test_a_wrong_manifest_leaves_nothing(
    tmp_path: Path, manifest: dict[str, Any], tensors: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(GoldenError) as caught:
        freeze(tmp_path / "set", manifest | change, tensors)
    assert str(caught.value) == f"{tmp_path / 'set'}: {message}"
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path, manifest: dict[str, Any], tensors: dict[str, Any]) -> None:
    with pytest.raises(GoldenError) as caught:
        freeze(tmp_path / "no" / "set", manifest, tensors)
    assert str(caught.value) == f"{tmp_path / 'no' / 'set'}: cannot be written: no such file or directory"


def test_clusters_are_a_column_and_cost_sets_without_them_nothing(
    tmp_path: Path, manifest: dict[str, Any], tensors: dict[str, Any]
) -> None:
    plain = freeze(tmp_path / "plain", manifest, tensors)
    assert (plain.manifest.format, plain.clusters) == (1, (4, 1))
    clustered = {"clusters": {"by": "orchard"}}
    golden = freeze(tmp_path / "set", manifest | clustered, tensors | {"clusters": np.array([7 % 4, 3, -1, 0])})
    assert golden.manifest.format == 4
    assert golden.clusters == (3, 2)
    assert as_text(golden).count("clusters    by orchard: 3, of at most 2 examples\n") == 1
    with pytest.raises(GoldenError, match=r'tensor "clusters" is out of range in 1 of 4 examples, .* expected -1 to 3'):
        freeze(tmp_path / "wrong", manifest | clustered, tensors | {"clusters": np.array([0, 1, 2, 4])})
    with pytest.raises(GoldenError, match='tensor "clusters" is missing'):
        freeze(tmp_path / "wrong", manifest | clustered, tensors)
