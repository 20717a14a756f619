"""From nothing to the first verdict in three commands: `goldwatch init` on files and on servers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.commands.discovery import Candidate, candidates
from goldwatch.commands.first_config import FirstConfig, name_from
from goldwatch.config import load
from goldwatch.golden.opened import GoldenSet
from goldwatch.probe import Description, TensorSpec

from tests.language_server import CAPITALS, language_server
from tests.probes.conftest import demo_server

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"
WHO = ("--licence", "CC-BY-4.0", "--source", "scikit-learn")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    shipped, file = GoldenSet.open(DIGITS / "golden"), tmp_path / "examples.npz"
    np.savez(file, image=shipped.tensor("inputs.image"), labels=shipped.tensor("labels"))
    return file


def init(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


@pytest.mark.slow
def test_a_file_and_examples_are_enough_for_a_verdict(tmp_path: Path, examples: Path) -> None:
    shutil.copy(DIGITS / "digits.onnx", tmp_path)
    made = init("digits.onnx", "--examples", examples, *WHO, "--replays", "2", "--option", "threads=1")
    assert made.exit_code == 0, made.output
    assert made.stdout.splitlines()[-1] == "next: goldwatch check goldwatch.yaml"
    assert GoldenSet.open(tmp_path / "golden/digits").manifest.licence == "CC-BY-4.0"
    text = (tmp_path / "goldwatch.yaml").read_text()
    assert "# takes image: float32 [8, 8]" in text
    assert "# latency: 50ms at p99             # now p50 " in text
    assert load(tmp_path / "goldwatch.yaml").targets["digits"].options["threads"] == 1
    checked = CliRunner().invoke(app, ["check", "goldwatch.yaml"])
    assert (checked.exit_code, checked.stdout.splitlines()[-1]) == (0, "  verdict        pass")


def test_without_examples_it_says_what_to_write(tmp_path: Path) -> None:
    made = init(DIGITS / "digits.onnx")
    assert made.exit_code == 0, made.output
    assert "image: float32 [8, 8]" in made.stdout
    assert "next: goldwatch golden build goldwatch.yaml examples.npz --name digits" in made.stdout
    written = yaml.safe_load((tmp_path / "goldwatch.yaml").read_text())
    assert written["targets"]["digits"]["probe"] == "onnx-runtime"
    again = init(DIGITS / "digits.onnx")
    assert again.exit_code == 2
    assert "exists already; init overwrites nothing" in again.stderr


@pytest.mark.slow
def test_a_config_without_its_set_does_not_stay(tmp_path: Path, examples: Path) -> None:
    np.savez(examples, image=np.zeros((4, 3, 3), np.float32), labels=np.zeros(4, np.int64))
    made = init(DIGITS / "digits.onnx", "--examples", examples, *WHO)
    assert made.exit_code == 2
    assert "image" in made.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["examples.npz"]


def test_a_licence_is_asked_for_before_anything_is_done(tmp_path: Path, examples: Path) -> None:
    made = init(DIGITS / "digits.onnx", "--examples", examples)
    assert (made.exit_code, made.stderr) == (2, "The licence of the examples, such as CC-BY-4.0? Write --licence\n")
    assert not (tmp_path / "goldwatch.yaml").exists()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with demo_server(
        "--model", f"digits={DIGITS}/digits.onnx", "--model", f"worse={DIGITS}/digits-quantised.onnx"
    ) as at:
        yield at


def test_a_server_tells_its_models(tmp_path: Path, server: str) -> None:
    several = init(server)
    assert several.exit_code == 2
    assert several.stderr == "The server has the models digits, worse. Which one? Write --model\n"
    made = init(server + "/", "--model", "worse")
    assert made.exit_code == 0, made.output
    target = load(tmp_path / "goldwatch.yaml").targets["worse"]
    assert (target.probe, dict(target.options)) == ("open-inference", {"url": server, "model": "worse"})


def test_a_model_that_is_not_there_is_named_with_the_reason(tmp_path: Path, server: str) -> None:
    made = init(server, "--model", "nobody")
    assert made.exit_code == 2
    assert made.stderr.startswith("open-inference: ")
    assert "nobody" in made.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_language_model_gets_time_and_lines(tmp_path: Path) -> None:
    lines = [{"inputs": {"prompt": f"Capital of {land}?"}, "answers": [city]} for land, city in CAPITALS.items()]
    (tmp_path / "examples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with language_server() as at:
        (found,) = candidates(at.url, tmp_path)
        assert (found.probe, dict(found.options)) == ("openai", {"url": at.url, "model": "atlas"})
        made = init(at.url, "--examples", "examples.jsonl", *WHO, "--replays", "2", "--name", "capitals")
    assert made.exit_code == 0, made.output
    assert load(tmp_path / "goldwatch.yaml").watches["capitals"].load.time_limit_s == 60


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("missing.onnx", "no such file"),
        ("notes.txt", "no file of a model that is known"),
        ("http://127.0.0.1:1", "Connection refused"),
        ("unix:/run/m.sock", "name --probe"),
    ],
)
def test_what_cannot_be_found_is_told(tmp_path: Path, place: str, says: str) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    made = init(place)
    assert made.exit_code == 2
    assert says in made.stderr
    assert "Traceback" not in made.output
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_named_probe_asks_the_server_on_a_socket(tmp_path: Path) -> None:
    made = init(f"unix:{tmp_path}/m.sock", "--probe", "open-inference", "--model", "digits")
    assert made.exit_code == 2
    assert made.stderr.startswith(f"open-inference: unix:{tmp_path}/m.sock")


def test_a_file_that_two_probes_open_goes_to_the_installed_one(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/saved_model.pb").touch()
    assert [c.probe for c in candidates("model.onnx", tmp_path)] == ["onnx-runtime", "openvino"]
    assert [c.probe for c in candidates("saved", tmp_path)] == ["tensorflow"]


@pytest.mark.parametrize(
    ("text", "name"),
    [("org/Llama-3.1 8B", "Llama-3.1-8B"), ("/models/x/", "x"), ("模型", "model"), ("-a" * 60, ("-a" * 60)[1:64])],
)
def test_any_name_of_a_model_makes_a_name_of_the_config(text: str, name: str) -> None:
    assert name_from(text) == name


def test_what_a_server_says_stays_in_its_place() -> None:
    hostile = "a # b\n  c: {\x1b[2J${HOME}"
    said = Description(hostile, framework=hostile, inputs=(TensorSpec(hostile, "float32", (-1, 3)),))
    first = FirstConfig("m", Candidate("openai", {"url": "http://h", "model": hostile}), hostile, {}, described=said)
    written = yaml.safe_load(first.text())
    assert set(written) == {"targets", "golden", "watches", "alerts"}
    assert written["targets"] == {
        "m": {"probe": "openai", "url": "http://h", "model": hostile.replace("$", "$$")},
    }
    assert "\x1b" not in first.text()
