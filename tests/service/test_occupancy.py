"""How much of the replay slots is in use, under a fake clock."""

from __future__ import annotations

import pytest

from goldwatch.daemon.occupancy import OVER_S, Occupancy
from goldwatch.testing.clock import FakeClock


def test_busy_seconds_add_up_over_the_slots() -> None:
    clock = FakeClock()
    occupancy = Occupancy(clock.monotonic)
    assert occupancy.share() is None
    assert occupancy.note(2, 4) == 0
    clock.advance(30)
    assert occupancy.note(4, 4) == 60
    clock.advance(10)
    assert occupancy.note(0, 4) == 40
    assert occupancy.share() == pytest.approx(100 / 160)


def test_only_the_last_minutes_count() -> None:
    clock = FakeClock()
    occupancy = Occupancy(clock.monotonic)
    for occupied, seconds in ((2, 3600), (0, OVER_S)):
        for _ in range(round(seconds / 10)):
            occupancy.note(occupied, 2)
            clock.advance(10)
    occupancy.note(1, 2)
    assert occupancy.share() == 0
    clock.advance(OVER_S / 2)
    occupancy.note(1, 2)
    assert occupancy.share() == pytest.approx(1 / 4)


def test_a_reload_with_fewer_slots_is_not_more_than_full() -> None:
    clock = FakeClock()
    occupancy = Occupancy(clock.monotonic)
    occupancy.note(4, 4)
    occupancy.note(4, 2)
    clock.advance(60)
    occupancy.note(4, 2)
    assert occupancy.share() == 1
