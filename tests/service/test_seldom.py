"""Work after some replays only: how often, over the life of an agent and over its restarts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from goldwatch.core.judgement import Check, Passed
from goldwatch.daemon import seldom
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.seldom import Seldom
from goldwatch.testing.clock import FakeClock

from tests.builders import energy, judgement

KEY = ("digits", "served")
HOUR_S = 3600.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "goldwatch.db") as opened:
        yield opened


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    found = FakeClock(1.8e9)
    monkeypatch.setattr(seldom, "time", found)
    return found


def test_it_is_due_at_first_and_then_once_an_hour(clock: FakeClock, ledger: Ledger) -> None:
    every_minute, due = Seldom(), 0
    for _ in range(180):
        if every_minute.is_due(KEY, HOUR_S, ledger.last_metered_at):
            due += 1
            every_minute.done(KEY)
        clock.advance(60)
    assert due == 3


@pytest.mark.parametrize("of", [{"energy": energy()}, {"energy_missing": "insufficient: the windows differ"}])
def test_a_restart_is_no_reason_to_measure_again(clock: FakeClock, ledger: Ledger, of: dict[str, object]) -> None:
    ledger.record(judgement(started_at=clock.time(), **of), {})
    for minutes in range(1, 60):
        ledger.record(judgement(started_at=clock.time() + 60 * minutes), {})
    clock.advance(HOUR_S - 1)
    assert not Seldom().is_due(KEY, HOUR_S, ledger.last_metered_at)
    assert Seldom().is_due(("digits", "other"), HOUR_S, ledger.last_metered_at)
    assert Seldom().is_due(KEY, HOUR_S, ledger.last_asked_twice_at)
    clock.advance(1)
    assert Seldom().is_due(KEY, HOUR_S, ledger.last_metered_at)


def test_a_restart_is_no_reason_to_ask_twice_again(clock: FakeClock, ledger: Ledger) -> None:
    checks = (Check("lengths", Passed.YES, "as long"), Check("repeats", Passed.YES, "in 0 of 12 pairs"))
    ledger.record(judgement(started_at=clock.time(), checks=checks), {})
    ledger.record(judgement(started_at=clock.time() + 60, checks=checks[:1]), {})
    clock.advance(HOUR_S - 1)
    assert not Seldom().is_due(KEY, HOUR_S, ledger.last_asked_twice_at)
    assert Seldom().is_due(KEY, HOUR_S, ledger.last_metered_at)
    clock.advance(1)
    assert Seldom().is_due(KEY, HOUR_S, ledger.last_asked_twice_at)
