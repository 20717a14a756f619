"""When a watch replays: a duration, or a cron line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from goldwatch.config.quantities import CRON_PATTERN, QuantityError, format_duration, parse_duration

MAX_INTERVAL_S = 366 * 86400.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Every `interval_s` seconds, or at the times of a five-field `cron` line; one of the two is None."""

    interval_s: float | None = None
    cron: str | None = None


def parse_schedule(value: object) -> Schedule:
    """Return the schedule for `5m` or `*/5 * * * *`. Raises QuantityError."""
    if isinstance(value, str) and re.match(CRON_PATTERN, value.strip()):
        return Schedule(cron=_checked_cron(value.strip()))
    complaint = "is not a duration; write 30s, 5m, 2h or a cron line"
    return Schedule(interval_s=parse_duration(value, 1, MAX_INTERVAL_S, complaint))


def _checked_cron(line: str) -> str:
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - slow to import, and seldom needed

    if re.search(r"(?<![/\d])\d", line.split()[4]):
        # apscheduler counts weekdays from Monday and cron from Sunday: a number would fire on the wrong day
        raise QuantityError(line, "gives weekdays as numbers; write their names, such as mon-fri")
    try:
        fires = CronTrigger.from_crontab(line, timezone=UTC).get_next_fire_time(None, datetime.now(UTC))
    except ValueError as error:
        raise QuantityError(line, "is not a cron line that can be read", f": {error}"[:120]) from None
    if fires is None:
        raise QuantityError(line, "is a cron line that never comes")
    return line


def format_schedule(schedule: Schedule) -> str:
    """Write a schedule as a user would."""
    return schedule.cron or format_duration(schedule.interval_s or 0)
