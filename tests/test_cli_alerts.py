"""The commands for whom an alert wakes, on a ledger that an agent has open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from goldwatch.cli import app
from goldwatch.ledger import Ledger

DIGITS = Path(__file__).parents[1] / "agent/goldwatch/demo/digits"
CONFIG = f"""\
targets: {{digits: {{probe: onnx-runtime, file: {DIGITS}/digits.onnx}}}}
golden: {{digits: {DIGITS}/golden}}
watches: {{digits: {{every: 5m}}}}
"""


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
