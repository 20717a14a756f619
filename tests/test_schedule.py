"""Schedules: when they fire, and how often in the mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from apscheduler.triggers.base import BaseTrigger

from goldwatch.config import Schedule
from goldwatch.schedule import mean_interval_s, trigger

NOON = datetime(2027, 6, 1, 12, tzinfo=UTC)
DAY_S = 86_400


def fires(made: BaseTrigger, count: int, now: datetime = NOON) -> list[datetime]:
    found: list[datetime] = []
    for _ in range(count):
        found.append(made.get_next_fire_time(found[-1] if found else None, now))
        now = found[-1] + timedelta(microseconds=1)
    return found


def test_an_interval_fires_evenly() -> None:
    made = trigger(Schedule(interval_s=90))
    times = fires(made, 3)
    assert [(b - a).total_seconds() for a, b in pairwise(times)] == [90, 90]


def test_an_interval_of_less_than_a_minute_keeps_its_fraction() -> None:
    times = fires(trigger(Schedule(interval_s=1.5)), 3)
    assert [(b - a).total_seconds() for a, b in pairwise(times)] == [1.5, 1.5]


def test_a_cron_line_is_read_in_utc() -> None:
    made = trigger(Schedule(cron="30 2 * * mon-fri"))
    friday = datetime(2027, 6, 4, 12, tzinfo=UTC)
    assert fires(made, 1, friday) == [datetime(2027, 6, 7, 2, 30, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        (Schedule(interval_s=1), 1),
        (Schedule(interval_s=7200), 7200),
        (Schedule(cron="* * * * *"), 60),
        (Schedule(cron="*/5 * * * *"), 300),
        (Schedule(cron="0 0 * * *"), DAY_S),
        (Schedule(cron="0 9 * * mon-fri"), 7 / 5 * DAY_S),
        (Schedule(cron="0 9,21 * * *"), DAY_S / 2),
        (Schedule(cron="0 0 1 * *"), 365 / 12 * DAY_S),
        (Schedule(cron="0 0 1 jan *"), 365 * DAY_S),
        (Schedule(cron="* * 31 dec *"), 365 * DAY_S / 1440),
        (Schedule(cron="*/10 8-17 * * mon-fri"), 7 / 5 * DAY_S / 60),
    ],
)
def test_the_mean_interval(schedule: Schedule, seconds: float) -> None:
    assert mean_interval_s(schedule) == pytest.approx(seconds, rel=0.01)


def test_a_cron_line_that_comes_every_few_years_counts_as_yearly() -> None:
    assert mean_interval_s(Schedule(cron="0 0 29 feb *")) == 365 * DAY_S
