"""Schedules as APScheduler's triggers, how often they fire, and when a watch is due."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from goldwatch.config import Schedule, cron_lines, timezone

_START, _YEAR = datetime(2027, 1, 1, tzinfo=UTC), timedelta(days=365)


def trigger(schedule: Schedule) -> BaseTrigger:
    """Return the trigger of a schedule."""
    if schedule.cron is not None:
        return _cron(schedule.cron, timezone(schedule.timezone))
    return IntervalTrigger(seconds=schedule.interval_s, timezone=UTC)


def _cron(line: str, zone: tzinfo) -> BaseTrigger:
    """Return the trigger of a cron line in a time zone.

    A time that the clocks skip fires as much later as they skip; a time that they repeat fires twice.
    """
    triggers = [CronTrigger.from_crontab(each, timezone=zone) for each in cron_lines(line)]
    # A day that never comes, such as 30 February, is searched for until the year 9999 each time.
    return OrTrigger([each for each in triggers if each.get_next_fire_time(None, _START) is not None])


@cache
def mean_interval_s(schedule: Schedule) -> float:
    """Return the mean time between two replays in seconds; for a cron line, over the year 2027 in UTC."""
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
    cron = _cron(line, UTC)
    count, at = 0, cron.get_next_fire_time(None, _START)
    while at is not None and at < _START + span:
        count += 1
        at = cron.get_next_fire_time(at, at + timedelta(microseconds=1))
    return count


def due_after(schedule: Schedule, at: float) -> float:
    """Return the Unix time in seconds of the next replay after one at `at`, jitter aside; inf if there is none."""
    if schedule.interval_s is not None:
        return at + schedule.interval_s
    fires = trigger(schedule).get_next_fire_time(None, datetime.fromtimestamp(at, UTC) + timedelta(milliseconds=1))
    return math.inf if fires is None else fires.timestamp()


class Timetable:
    """When one watch is due, in Unix seconds: on a grid of its own, which does not move when the agent is restarted.

    The grid of an interval is shifted by a share of the interval, that of a cron line by a share of `spread_s`. The
    share is a hash of `identity`, so that the replays of many watches, and of many agents, do not come together.
    """

    def __init__(self, schedule: Schedule, spread_s: float, identity: str) -> None:
        self._schedule = schedule
        self._trigger = None if schedule.interval_s is not None else trigger(schedule)
        share = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8]) / 2**64
        self._shift_s = share * (spread_s if schedule.interval_s is None else schedule.interval_s)
        self._spread_s = share * spread_s

    def first(self, now: float, last: float | None) -> float:
        """Return when it is due in an agent that starts now, with the last replay at `last`; in the past if overdue.

        A watch with an interval that has never been replayed is due now, but for its share of the spread.
        """
        if last is not None:
            return self.after(min(last, now))
        return self.after(now) if self._schedule.interval_s is None else now + self._spread_s

    def after(self, at: float) -> float:
        """Return when it is due next after a replay that was due, or started, at `at`.

        An interval leaves at least half of itself between the two: a replay off the grid is followed by none at once.
        """
        interval_s = self._schedule.interval_s
        if interval_s is not None:
            passed = math.floor((at + interval_s / 2 - self._shift_s) / interval_s)
            return self._shift_s + (passed + 1) * interval_s
        assert self._trigger is not None  # noqa: S101 - it is one or the other
        since = datetime.fromtimestamp(at - self._shift_s, UTC) + timedelta(milliseconds=1)
        fires = self._trigger.get_next_fire_time(None, since)
        return math.inf if fires is None else fires.timestamp() + self._shift_s
