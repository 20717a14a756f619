"""The soak in short, and its arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.soak.__main__ import soak
from benchmarks.soak.findings import Ledger, Row, fates
from benchmarks.soak.readings import slope_per_h
from benchmarks.soak.report import SOUND_STATES, missed


def row(started_at: float, duration_s: float = 1.0) -> Row:
    return Row(1, "digits", started_at, duration_s, "valid")


def test_a_replay_that_nobody_ended_and_nobody_recorded_is_lost() -> None:
    recorded = [row(100), row(110), row(130)]
    asked = [100.1, 100.2, 110.0, 110.9, 120.0, 120.1, 130.0, 140.0]  # twice a replay, and again in another worker
    assert fates(asked, recorded, ended=[140.5]) == (3, 1, 1)
    assert fates(asked, recorded, ended=[]) == (3, 0, 2)
    assert fates([100.1, 120.0, 125.0], recorded, ended=[126.0]) == (1, 1, 0)  # in a second worker, as the first died
    assert fates([100.1, 120.0, 125.0], recorded, ended=[124.0, 126.0]) == (1, 2, 0)
    assert fates([], recorded, ended=[]) == (0, 0, 0)


def test_a_gap_in_the_sequence_is_seen() -> None:
    rows = [Row(number, "digits", 100, 1, "valid") for number in (1, 2, 4)]
    assert (Ledger(rows, {}, "ok").missing(), Ledger(rows[:2], {}, "ok").missing()) == (1, 0)


def test_the_slope_is_that_of_a_line() -> None:
    assert slope_per_h([(0, 70), (1800, 71), (3600, 72)]) == pytest.approx(2)
    assert slope_per_h([(0, 70)]) == 0


FINE: dict[str, Any] = {
    "replays": {
        "lost": 0,
        "logged_and_not_in_the_ledger": 0,
        "missing_in_the_sequence": 0,
        "integrity_check": "ok",
        "states_of_the_sound_model": {"steady": 100, "unknown": 1},
    },
    "kills": {"ended_by_itself": 0},
    "scrapes": {"p99_ms": 100},
    "memory": {"agent_mb_per_hour": 1},
    "sigterm_s_most": 2,
}


@pytest.mark.parametrize(
    ("part", "bad"),
    [
        ("replays", {"lost": 1}),
        ("replays", {"logged_and_not_in_the_ledger": 1}),
        ("replays", {"missing_in_the_sequence": 1}),
        ("replays", {"integrity_check": "row 1 missing"}),
        ("replays", {"states_of_the_sound_model": {"steady": 100, "suspect": 1}}),
        ("replays", {"states_of_the_sound_model": {"unknown": 1}}),
        ("kills", {"ended_by_itself": 1}),
        ("scrapes", {"p99_ms": 250}),
        ("memory", {"agent_mb_per_hour": 8}),
    ],
)
def test_each_aim_can_be_missed(part: str, bad: dict[str, Any]) -> None:
    assert missed(FINE) == []
    assert missed(FINE | {"sigterm_s_most": 5}) == ["SIGTERM took 5 s"]
    assert len(missed(FINE | {part: FINE[part] | bad})) == 1


@pytest.mark.slow
def test_nothing_is_lost_in_a_short_soak(tmp_path: Path) -> None:
    found = soak(0.25, tmp_path)
    replays = found["replays"]
    assert found["kills"]["agent"] == 2
    assert found["kills"]["ended_by_itself"] == 0
    assert replays["recorded"] > 0
    assert (replays["lost"], replays["logged_and_not_in_the_ledger"], replays["missing_in_the_sequence"]) == (0, 0, 0)
    assert replays["integrity_check"] == "ok"
    assert set(replays["states_of_the_sound_model"]) <= SOUND_STATES
