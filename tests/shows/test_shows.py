"""Models of every kind, from `golden build` to the damage that `check` finds, and the numbers of frameworks alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.commands.building import build
from goldwatch.commands.calibration import FreezeOptions
from goldwatch.config import load
from goldwatch.golden.examples import Examples
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.workers import Workers

from .models import SHOWS, Array, Show

pytest.importorskip("openvino")
pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]

TARGETS = ("first", "other", "damaged")


@dataclass(frozen=True)
class Shown:
    """All shows, built, checked once and compared once: results by name of the show and of the target."""

    folder: Path
    shows: Mapping[str, Show]
    checked: Mapping[tuple[str, str], Any]
    compared: Mapping[tuple[str, str], Any]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("shows")
    shows = {name: make(folder) for name, make in SHOWS.items()}
    config = {
        "targets": {f"{n}-{target}": dict(show.targets[target]) for n, show in shows.items() for target in TARGETS},
        "golden": {name: str(folder / "golden" / name) for name in shows},
        "watches": {
            name: {"targets": [f"{name}-{target}" for target in TARGETS], "golden": name, "load": {"time_limit": "30s"}}
            for name in shows
        },
    }
    file = folder / "goldwatch.yaml"
    file.write_text(yaml.safe_dump(config))
    found, workers = load(file), Workers()
    try:
        for name, show in shows.items():
            asked = Examples(written(folder, name, show), name, "CC0-1.0", "made up", **show.options)
            wanted = FreezeOptions(folder / "golden" / name, "1", 2)
            build(found.watches[name], found.targets[f"{name}-first"], asked, wanted, workers)
    finally:
        workers.close()
    checked = run("check", str(file), code=1)["watches"]
    boards = run("compare", str(file), "--rounds", "1")
    return Shown(
        folder,
        shows,
        {(row["watch"], row["target"].rpartition("-")[2]): row for row in checked},
        {(board["watch"], row["target"].rpartition("-")[2]): row for board in boards for row in board["rows"]},
    )


def run(*command: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, [*command, "--format", "json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def written(folder: Path, name: str, show: Show) -> Path:
    if lines := show.examples.get("lines"):
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        file = folder / f"{name}.npz"
        np.savez(file, **show.examples)
    return file


def right(show: Show, target: str) -> Array:
    answers = show.alone(target)
    if show.right is not None:
        return np.asarray(show.right(answers))
    apart = np.abs(answers.astype(float) - show.alone("first").astype(float))
    return np.asarray(apart.reshape(len(answers), -1).max(axis=1) <= 0.001)


@pytest.mark.parametrize("name", SHOWS)
def test_a_show(shown: Shown, name: str) -> None:
    show = shown.shows[name]
    now = {target: right(show, target) for target in TARGETS}
    GoldenSet.open(shown.folder / "golden" / name).check_values()
    for target in TARGETS:
        found = shown.checked[name, target]
        assert found["validity"] == "valid", found["reasons"]
        assert found["scores"][0]["value"] == pytest.approx(now[target].mean()), found["scores"]
        assert found["difference"]["harmful"] == (now["first"] & ~now[target]).sum()
        assert found["difference"]["helpful"] == (~now["first"] & now[target]).sum()
        assert found["result"] == ("regression" if target == "damaged" else "pass"), found
    for each in shown.checked[name, "damaged"]["difference"]["outputs"]:
        apart = np.abs(show.alone("damaged", each["name"]).astype(float) - show.alone("first", each["name"]))
        by_example = (apart.swapaxes(0, 1) if len(apart) == 1 else apart).reshape(len(now["first"]), -1).max(axis=1)
        assert each["moved"] == (by_example > 0.001).sum()
        assert each["largest"] == pytest.approx(by_example.max(), rel=1e-4)
    if name == "detection":
        assert shown.checked[name, "damaged"]["difference"]["largest"] is None
    parity = shown.compared[name, "other"]["parity"]
    assert (parity["compared"], parity["flips"]) == (len(now["first"]), 0)
    assert (parity["only_first"], parity["only_other"]) == (0, 0)
    if name == "detection":
        assert (parity["largest"], parity["cosine"]) == (None, None)
    else:
        assert parity["largest"] < 1e-3
    damaged = shown.compared[name, "damaged"]["parity"]
    assert damaged["only_first"] == (now["first"] & ~now["damaged"]).sum()
