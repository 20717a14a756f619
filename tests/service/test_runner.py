"""What the runner does where the ledger cannot be written: real replays, and SQLite that finds no room."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from goldwatch.ledger.ledger import Ledger, LedgerError
from goldwatch.pipeline.in_force import prepare
from goldwatch.replay.workers import Workers
from goldwatch.service.exports import Exports
from goldwatch.service.runner import Runner

from tests.builders import fill

EXAMPLE = Path(__file__).parents[2] / "examples/digits.yaml"


def test_what_cannot_be_kept_is_not_shown_as_good(tmp_path: Path, workers: Workers) -> None:
    wanted = prepare(EXAMPLE, workers)
    (assignment,) = wanted.assignments
    exports = Exports()

    def states() -> set[str]:
        text = exports.page.render("")[0].decode()
        ones = [line for line in text.splitlines() if line.startswith("goldwatch_verdict{") and line.endswith(" 1.0")]
        return {line.partition('state="')[2].partition('"')[0] for line in ones}

    with Ledger(tmp_path / "goldwatch.db") as ledger:
        runner = Runner(workers, ledger, exports, threading.Event())
        runner.tick(assignment, wanted.config, time.time())
        assert states() == {"steady"}
        fill(ledger)
        with pytest.raises(LedgerError, match="cannot be written: database or disk is full"):
            runner.tick(assignment, wanted.config, time.time())
        assert states() == {"unknown"}
