"""The examples, as their READMEs say: built, checked, damaged, found by the gate and by the agent."""

from __future__ import annotations

import runpy
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import prepare
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.runner import Runner
from goldwatch.ipc.workers import Workers

from examples.run import EXAMPLES, NAMES, copied, walk

pytestmark = pytest.mark.slow

SEEN = {
    "image": "digits is worse",
    "tabular": "country=Poland",
    "text-classification": "letters=capitals",
    "regression": "diabetes is worse",
}


def execute(place: Path, command: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int:
    if command[0] == "goldwatch":
        result = CliRunner().invoke(app, list(command[1:]))
        print(result.output, result.exception)
        return result.exit_code
    before = set(sys.modules)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", list(command[1:]))
        patch.syspath_prepend(place)
        runpy.run_path(command[1], run_name="__main__")
    for name in set(sys.modules) - before:  # a copy of this example elsewhere has modules of the same names
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(place)):
            del sys.modules[name]
    return 0


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_damaged_and_found(
    name: str, tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = copied(name, tmp_path)
    monkeypatch.chdir(place)
    walk(place, lambda command: execute(place, command, monkeypatch))
    assert "regression" in (place / "report.html").read_text()

    alerts: list[Alert | None] = []
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        runner = Runner(workers, ledger, Exports(), threading.Event(), lambda *found: alerts.append(found[2]))
        wanted = prepare(place / "goldwatch.yaml", workers)
        (assignment,) = wanted.assignments
        runner.tick(assignment, wanted.config, time.time())
    (number,) = {alert.number for alert in alerts if alert}  # the confirming replay has the same alert
    assert any(SEEN[name] in " ".join(alert.text.split()) for alert in alerts if alert and alert.number == number)


def test_every_example_is_run() -> None:
    assert {readme.parent.name for readme in EXAMPLES.glob("*/README.md")} == set(NAMES)
