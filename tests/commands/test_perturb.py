"""Altered copies of examples: what they keep, what changes, and that each file is written alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.commands.perturb import perturb
from goldwatch.golden.error import GoldenError

LINE = {
    "inputs": {"prompt": "What is the capital of France?", "lang": "en"},
    "answers": ["Paris"],
    "slices": {"topic": "places"},
    "identity": "q1",
    "human": [{"answer": "Rome", "grades": {"grounded": 1}}],
}


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "examples.jsonl"
    file.write_text(json.dumps(LINE) + "\n" + json.dumps({**LINE, "cluster": {"chat": "7"}}) + "\n")
    return file


def test_copies_of_lines_keep_answers_and_cluster(texts: Path, tmp_path: Path) -> None:
    to = tmp_path / "more.jsonl"
    command = ["golden", "perturb", str(texts), "--to", str(to), "--strength", "0.5"]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.output) == (0, f"wrote 8 examples to {to}\n")
    found = lines(to)
    assert [line["slices"]["strength"] for line in found[::2]] == ["none", "typos 0.5", "case 0.5", "whitespace 0.5"]  # type: ignore[index]
    assert found[0]["inputs"] == LINE["inputs"]
    assert "human" in found[0]
    for line in found[2::2]:
        assert (line["answers"], line["cluster"]) == (["Paris"], {"chat": "original 0"})
        assert line["slices"]["topic"] == "places"  # type: ignore[index]
        assert line["inputs"]["prompt"] != LINE["inputs"]["prompt"]  # type: ignore[index]
        assert line["identity"] == f"q1 {line['slices']['strength']}"  # type: ignore[index]
        assert "human" not in line
    assert {json.dumps(line["cluster"]) for line in found[1::2]} == {'{"chat": "7"}'}
    typos, case, blanks = (line["inputs"]["prompt"] for line in found[2::2])  # type: ignore[index]
    original = str(LINE["inputs"]["prompt"])  # type: ignore[index]
    assert sorted(typos) == sorted(original)
    assert case.lower() == original.lower()
    assert blanks.split() == original.split()
    perturb(texts, tmp_path / "again.jsonl", (), [0.5])
    assert (tmp_path / "again.jsonl").read_bytes() == to.read_bytes()


def test_copies_of_arrays(tmp_path: Path) -> None:
    file, to = tmp_path / "examples.npz", tmp_path / "more.npz"
    image = np.linspace(0, 1, 40, dtype=np.float32).reshape(10, 4)
    names = np.array([f"row-{i}" for i in range(10)])
    np.savez(file, image=image, size=np.arange(10), labels=np.arange(10) % 2, identity=names)
    assert perturb(file, to, [], [0.1]) == 50
    found = np.load(to)
    assert found["image"].dtype == np.float32
    assert np.array_equal(found["image"][:10], image)
    assert np.array_equal(found["labels"], np.tile(np.arange(10) % 2, 5))
    assert np.array_equal(found["size"], np.tile(np.arange(10), 5))
    assert np.array_equal(found["cluster.original"], np.tile(np.arange(10), 5))
    assert found["slice.strength"][::10].tolist() == ["none", "noise 0.1", "brightness 0.1", "scale 0.1", "missing 0.1"]
    assert found["identity"][[0, 10]].tolist() == ["row-0", "row-0 noise 0.1"]
    noise, brighter, scaled, missing = (found["image"][10 * k : 10 * k + 10] for k in range(1, 5))
    assert 0 < np.abs(noise - image).mean() < 0.1
    assert brighter == pytest.approx(image + 0.1)
    assert scaled == pytest.approx(image * 1.1)
    assert 0 < np.mean(missing != image) < 0.5


def test_what_cannot_be_altered_is_told(texts: Path, tmp_path: Path) -> None:
    to = tmp_path / "more.jsonl"
    with pytest.raises(GoldenError, match='no perturbation "noise" of such examples; expected typos, case, whitespace'):
        perturb(texts, to, ["noise"], [0.1])
    with pytest.raises(GoldenError, match="a strength is more than 0 and at most 1, not 2"):
        perturb(texts, to, [], [2])
    with pytest.raises(GoldenError, match="cannot be written: no such file or directory"):
        perturb(texts, tmp_path / "no" / "such.jsonl", [], [0.1])
    with pytest.raises(GoldenError, match="exists already"):
        perturb(texts, texts, [], [0.1])
    texts.write_text('{"inputs": {"chat": {"a": 1}}}\n')
    with pytest.raises(GoldenError, match=r"examples\.jsonl:1: has no input of text"):
        perturb(texts, to, [], [0.1])
    result = CliRunner().invoke(app, ["golden", "perturb", str(texts), "--to", str(tmp_path / "x.npz")])
    assert result.exit_code != 0
    assert "expected a file that ends with .jsonl" in result.output


def test_an_example_in_no_cluster_gets_one_of_its_own_with_its_copies(tmp_path: Path) -> None:
    file = tmp_path / "examples.jsonl"
    clusters: list[object] = [{"chat": None}, {"chat": "-1"}, {"chat": ""}, None, {"chat": "7"}]
    file.write_text("".join(json.dumps({**LINE, "cluster": cluster}) + "\n" for cluster in clusters))
    perturb(file, tmp_path / "lines.jsonl", ["case"], [0.1])
    found = [line["cluster"] for line in lines(tmp_path / "lines.jsonl")]
    assert found[:5] == [*({"chat": f"original {i}"} for i in range(4)), {"chat": "7"}]
    assert found[5:] == found[:5]
    for codes, together in (
        (np.array([3, -1, 3, -1]), [0, 2]),
        (np.array([0.5, np.nan, 0.5, -1]), [0, 2]),
        (np.array(["a", "", "a", "-1"]), [0, 2]),
    ):
        given, to = tmp_path / f"{codes.dtype.kind}.npz", tmp_path / f"{codes.dtype.kind}-more.npz"
        np.savez(given, **{"x": np.linspace(0, 1, 4), "cluster.patient": codes})  # type: ignore[arg-type]
        perturb(given, to, ["scale"], [0.1])
        written = np.load(to)["cluster.patient"]
        assert np.array_equal(written[:4], written[4:])
        assert len(set(written.tolist())) == 3
        assert written[together[0]] == written[together[1]]


def test_what_is_no_line_of_examples_is_told(tmp_path: Path) -> None:
    file = tmp_path / "examples.jsonl"
    file.write_text(json.dumps({**LINE, "slices": ["a"]}) + "\n")
    with pytest.raises(GoldenError, match=r"examples\.jsonl:1: slices must be an object"):
        perturb(file, tmp_path / "more.jsonl", (), [0.1])
    with pytest.raises(GoldenError, match=r'found ".csv"; expected a file of .jsonl, .npz or .safetensors'):
        perturb(tmp_path / "rows.csv", tmp_path / "more.npz", (), [0.1])
