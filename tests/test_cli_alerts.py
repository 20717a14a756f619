"""The on-call commands, on a ledger that an agent has open."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.core.judgement import Severity, State
from goldwatch.daemon.alert import Alert, advance
from goldwatch.daemon.alert_explanation import Picture, Surroundings
from goldwatch.daemon.ledger import Ledger
from goldwatch.golden.freeze import freeze

from tests.builders import difference, judgement, verdict

DIGITS = Path(__file__).parents[1] / "agent/goldwatch/demo/digits"
CONFIG = f"""\
targets: {{digits: {{probe: onnx-runtime, file: {DIGITS}/digits.onnx}}}}
golden: {{digits: {DIGITS}/golden}}
watches: {{digits: {{every: 5m}}}}
"""


def damaged(folder: Path) -> Path:
    """Return a config that watches a copy of the model with its weights in 3 bits."""
    path = folder / "goldwatch.yaml"
    path.write_text(CONFIG.replace("digits.onnx", "digits-quantised.onnx"))
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "goldwatch.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def ledger(config: Path) -> Iterator[Ledger]:
    with Ledger(config.with_name("goldwatch.db")) as opened:
        yield opened


def goldwatch(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_silence_is_begun_and_ended(config: Path, ledger: Ledger) -> None:
    begun = goldwatch("silence", config, "--for", "2h", "--why", "moving", "--watch", "digits")
    assert begun.exit_code == 0, begun.output
    (silence,) = ledger.silences(time.time())
    assert (silence.why, silence.watch) == ("moving", "digits")
    assert silence.ends_at - silence.begins_at == pytest.approx(7200)
    assert begun.stdout.startswith("digits silenced until 20")
    assert goldwatch("silence", config, "--end").stdout == "1 silence ended\n"
    assert ledger.silences(time.time()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "silence for how long, and why? Write --for 2h --why 'moving the database', or --end"),
        (("--for", "2h"), "silence for how long, and why?"),
        (("--for", "soon", "--why", "x"), '--for: "soon" is not a duration; write 250ms, 30s, 5m or 2h'),
        (("--for", "30d", "--why", "x"), '--for: "30d" is out of range; write 1s to 7d'),
        (("--for", "2h", "--why", "x", "--watch", "other"), 'no watch is named "other"; there are digits'),
    ],
)
def test_a_silence_that_says_too_little_is_refused(
    config: Path, ledger: Ledger, arguments: tuple[str, ...], says: str
) -> None:
    result = goldwatch("silence", config, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(says)
    assert ledger.silences(0) == []


def test_without_a_ledger_there_is_nothing_to_silence(config: Path) -> None:
    result = goldwatch("silence", config, "--for", "2h", "--why", "x")
    assert (result.exit_code, "no such ledger; it is made by `goldwatch run`" in result.stderr) == (2, True)


@pytest.mark.slow
def test_examples_are_replayed_beside_their_reference(tmp_path: Path) -> None:
    result = goldwatch("replay", damaged(tmp_path), "--examples", "8, 1")
    assert result.exit_code == 0, result.output
    *drawn, said = result.stdout.split("\n\n")[0].splitlines()
    assert len(drawn) == 4
    assert said.startswith("example 8: right is 0, reference 0, now 5")
    assert "largest difference 0." in said
    assert said.endswith((" ms", " µs"))
    assert result.stdout.splitlines()[-1] == "1 of 2 answered as in the reference"
    assert not tmp_path.joinpath("goldwatch.db").exists()


@pytest.mark.slow
def test_a_vector_is_as_in_the_reference_within_its_tolerance(tmp_path: Path) -> None:
    """A set without labels has no text for its answers: any answer was reported as that of the reference."""
    x = np.array([[1.0], [2.0]], np.float32)
    manifest = {
        "name": "price",
        "version": "1",
        "task": "embedding",
        "examples": 2,
        "inputs": {"x": {"dtype": "float32", "shape": [1]}},
        "outputs": {"y": {"dtype": "float32", "shape": [1], "tolerance": 0.5}},
        "reference": {"replays": [1, 1], "deterministic": True},
        "provenance": {"source": "made up"},
        "licence": "CC0-1.0",
    }
    tensors: dict[str, Any] = {"inputs.x": x, "outputs.y": 2 * x, "reference.right": np.ones((2, 2), np.int64)}
    freeze(tmp_path / "golden", manifest, tensors)
    (tmp_path / "mine.py").write_text("def price(request):\n    return request['x'] ** 2 + 1\n")
    (tmp_path / "goldwatch.yaml").write_text(
        "targets: {price: {probe: python, path: ., callable: 'mine:price', outputs: [y]}}\n"
        "golden: {price: ./golden}\nwatches: {price: {every: 5m}}\n"
    )
    result = goldwatch("replay", tmp_path / "goldwatch.yaml", "--examples", "0,1")
    assert "example 0: reference 2, now 2 · largest difference 0 · " in result.stdout
    assert "example 1: reference 4, now 5 · largest difference 1 · " in result.stdout
    assert result.stdout.splitlines()[-1] == "1 of 2 answered as in the reference"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--examples", "8,x"), '--examples: "8,x" is not a list of examples; write their numbers, such as 17,203,911'),
        (("--examples", "600"), "golden set digits@5ce757358f39 has examples 0 to 599, and not 600"),
        (("--examples", "8", "--watch", "x"), 'no watch is named "x"; there are digits'),
        (("--examples", "8", "--target", "x"), 'watch digits has no target "x"; it has digits'),
    ],
)
def test_examples_that_cannot_be_replayed(config: Path, arguments: tuple[str, ...], says: str) -> None:
    result = goldwatch("replay", config, *arguments)
    assert (result.exit_code, result.stderr) == (2, f"{says}\n")


def test_a_model_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "goldwatch.yaml"
    path.write_text(CONFIG.replace("digits.onnx", "none.onnx"))
    result = goldwatch("replay", path, "--examples", "8")
    assert result.exit_code == 2
    assert "none.onnx" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_alert_is_shown_with_the_examples_that_flipped(config: Path, ledger: Ledger) -> None:
    worse = verdict("worse", State.ALERTING, evidence=7.9, since=1_800_000_000.0)
    told = judgement(verdicts=(worse,), difference=difference())
    alert = advance(None, told, Surroundings(None, [], "1 point", "1 false alarm a year"), 1)
    assert alert is not None
    assert alert.explanation is not None
    pictures = [Picture(i, ("▀▄", "▄▀")) for i in range(4)]
    ledger.record(told, {}, replace(alert, explanation=alert.explanation.with_pictures(pictures)))
    for arguments in (("alert", config), ("alert", config, "1")):
        shown = goldwatch(*arguments)
        assert shown.exit_code == 0, shown.output
        head, rest = shown.stdout.split("\n\n", 1)
        assert head == "alert 1 of watch digits: opened 2027-01-15 08:00:01Z, open"
        assert rest.startswith(f"{alert.text}\n\n")
        first, second = rest.removeprefix(f"{alert.text}\n\n").split("\n\n")
        assert [line.split() for line in first.splitlines()[:2]] == [["▀▄"] * 3, ["▄▀"] * 3]
        assert second.splitlines() == ["▀▄", "▄▀", "3: 8 -> 1, right is 8"]
    told_as_json = json.loads(goldwatch("alert", config, "--json").stdout)
    assert told_as_json["explanation"]["pictures"][0]["lines"] == ["▀▄", "▄▀"]


def test_an_alert_that_is_not_there(config: Path, ledger: Ledger) -> None:
    assert goldwatch("alert", config).stderr == "there has been no alert\n"
    ledger.keep_alert(Alert(3, "digits", "digits", Severity.PAGE, ("worse",), 0.0, "it is worse"))
    assert goldwatch("alert", config, "4").stderr == "there is no alert 4\n"
    assert "it is worse" in goldwatch("alert", config).stdout


def test_what_is_usual_is_learned_anew_on_demand(config: Path, ledger: Ledger) -> None:
    ledger.record(judgement(watch="digits", target="digits"), {"slower": {"ticks": "..."}, "worse": {"n": 1}})
    first = goldwatch("relearn", config)
    assert (first.exit_code, first.stdout) == (0, "digits digits: learning again from the next replay on\n")
    assert ledger.states("digits", "digits", judgement().subject.golden_digest) == {"worse": {"n": 1}}
    assert goldwatch("relearn", config).stdout == "digits digits: nothing had been learned\n"
    wrong = goldwatch("relearn", config, "--target", "other")
    assert (wrong.exit_code, wrong.stderr) == (2, 'watch digits has no target "other"; it has digits\n')


def test_an_alert_of_an_old_ledger_moves_no_cursor(config: Path, ledger: Ledger) -> None:
    text = "[PAGE] \x1b[2J\u202edigits\nis worse\x07"
    ledger.record(judgement(), {}, Alert(1, "digits", "served", Severity.PAGE, ("worse",), 1_800_000_001.5, text))
    shown = goldwatch("alert", config).output
    assert "[PAGE] \\x1b[2J\\u202edigits\nis worse\\x07\n" in shown
    assert shown.replace("\n", "").isprintable()


def test_commands_write_in_one_place() -> None:
    commands = set((DIGITS.parents[1] / "cli").glob("*.py"))
    assert {file.name for file in commands if re.search(r"\bprint\(|sys\.std", file.read_text())} == {
        "app.py",
        "base.py",
        "progress.py",  # asks whether stderr is a terminal
        "top.py",  # asks whether stdout is one
    }
