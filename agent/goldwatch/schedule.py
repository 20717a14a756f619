"""Schedules as APScheduler's triggers, and how often they fire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from goldwatch.config import Schedule

_MOST_FIRES = 2000
_LONGEST = timedelta(days=366)


def trigger(schedule: Schedule, jitter_s: float, start: datetime | None = None) -> BaseTrigger:
    """Return the trigger of a schedule, in UTC; an interval begins at `start`, which is now if it is not given."""
    jitter = jitter_s or None
    if schedule.cron is not None:
        cron: CronTrigger = CronTrigger.from_crontab(schedule.cron, timezone=UTC)
        cron.jitter = jitter
        return cron
    return IntervalTrigger(seconds=schedule.interval_s, jitter=jitter, timezone=UTC, start_date=start)


@cache
def mean_interval_s(schedule: Schedule) -> float:
    """Return the mean time between two replays in seconds; for a cron line, counted over up to a year of its fires."""
    if schedule.interval_s is not None:
        return schedule.interval_s
    cron = trigger(schedule, 0)
    first = at = cron.get_next_fire_time(None, datetime(2027, 1, 1, tzinfo=UTC))
    fires = 0
    while at is not None and fires < _MOST_FIRES and at - first < _LONGEST:
        last = at
        at = cron.get_next_fire_time(at, at + timedelta(microseconds=1))
        fires += 1
    span: timedelta = last - first
    return span.total_seconds() / (fires - 1) if fires > 1 else _LONGEST.total_seconds()
