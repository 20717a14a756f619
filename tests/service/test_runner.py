"""The exports of the runner: while the ledger cannot be written, and while a suspicion is not settled."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from goldwatch.core.judgement import State
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import prepare
from goldwatch.daemon.ledger import Ledger, LedgerError
from goldwatch.daemon.runner import Runner
from goldwatch.ipc.workers import Workers

from tests.builders import fill, judged, judgement, verdict

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


def test_a_suspicion_is_not_the_all_clear(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = prepare(EXAMPLE, workers)
    (assignment,) = wanted.assignments
    exports = Exports()
    watch, target = assignment.key

    def replayed(state: State) -> str:
        found = judgement(watch=watch, target=target, verdicts=(verdict("worse", state),))
        monkeypatch.setattr("goldwatch.daemon.runner.run", lambda *_, **__: judged(found))
        runner.tick(assignment, wanted.config, time.time())
        text = exports.page.render("")[0].decode()
        return "".join(line for line in text.splitlines() if line.startswith("goldwatch_alert_active{"))

    with Ledger(tmp_path / "goldwatch.db") as ledger:
        runner = Runner(workers, ledger, exports, threading.Event())
        assert replayed(State.SUSPECT) == "", "a page that Prometheus holds must not end"
        cleared = replayed(State.STEADY)
        assert 'severity="page",monitor=""} 0.0' in cleared
        assert replayed(State.SUSPECT) == cleared
        assert 'severity="page",monitor="worse"} 1.0' in replayed(State.ALERTING)
        assert replayed(State.STEADY) == cleared
