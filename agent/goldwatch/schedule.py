"""Schedules as APScheduler's triggers, and how often they fire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from goldwatch.config import Schedule

_YEAR = timedelta(days=365)


def trigger(schedule: Schedule) -> BaseTrigger:
    """Return the trigger of a schedule, in UTC."""
    if schedule.cron is not None:
        return CronTrigger.from_crontab(schedule.cron, timezone=UTC)
    return IntervalTrigger(seconds=schedule.interval_s, timezone=UTC)


@cache
def mean_interval_s(schedule: Schedule) -> float:
    """Return the mean time between two replays in seconds; for a cron line, over the year 2027."""
    if schedule.interval_s is not None:
        return schedule.interval_s
    assert schedule.cron is not None  # noqa: S101 - it is one or the other
    minute, hour, *day = schedule.cron.split()
    # On which days and at which times of a day it fires are independent: no need to go through a year's minutes.
    days = _fires(f"0 0 {' '.join(day)}", _YEAR)
    fires = days * _fires(f"{minute} {hour} * * *", timedelta(days=1))
    return _YEAR.total_seconds() / max(fires, 1)


def _fires(line: str, span: timedelta) -> int:
    """Count the fires of a cron line from the beginning of 2027 on, within a time."""
    cron = CronTrigger.from_crontab(line, timezone=UTC)
    start = datetime(2027, 1, 1, tzinfo=UTC)
    count, at = 0, cron.get_next_fire_time(None, start)
    while at is not None and at < start + span:
        count += 1
        at = cron.get_next_fire_time(at, at + timedelta(microseconds=1))
    return count
