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
