"""When a watch replays: a duration, or a cron line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from goldwatch.config.quantities import CRON_PATTERN, QuantityError, format_duration, parse_duration

MAX_INTERVAL_S = 366 * 86400.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Every `interval_s` seconds, or at the times of a five-field `cron` line; one of the two is None.

    `timezone` is the name of the time zone of the cron line in the IANA database.
    """

    interval_s: float | None = None
    cron: str | None = None
    timezone: str = "UTC"


def parse_schedule(value: object) -> Schedule:
    """Return the schedule for `5m` or `*/5 * * * *`. Raises QuantityError."""
    if isinstance(value, str) and re.match(CRON_PATTERN, value.strip()):
        return Schedule(cron=_checked_cron(value.strip()))
    complaint = "is not a duration; write 30s, 5m, 2h or a cron line"
    return Schedule(interval_s=parse_duration(value, 1, MAX_INTERVAL_S, complaint))


def timezone(name: str) -> tzinfo:
    """Return the time zone of a name of the IANA database. Raises QuantityError."""
    if name == "UTC":  # known even where the system has no database
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        complaint = "is not a time zone that this machine knows; write UTC or a name such as Europe/Berlin"
        raise QuantityError(name, complaint) from None


def cron_lines(line: str) -> tuple[str, ...]:
    """Return lines whose times together are those of a cron line: by cron(5), either day field is enough.

    A line that restricts both the day of the month and the weekday becomes two; a field with a star restricts nothing.
    """
    minute, hour, day, month, weekday = line.split()
    if "*" in day or "*" in weekday:
        return (line,)
    return f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}"


def _checked_cron(line: str) -> str:
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - slow to import, and seldom needed

    if re.search(r"(?<![/\d])\d", line.split()[4]):
        # apscheduler counts weekdays from Monday and cron from Sunday: a number would fire on the wrong day
        raise QuantityError(line, "gives weekdays as numbers; write their names, such as mon-fri")
    try:
        triggers = [CronTrigger.from_crontab(each, timezone=UTC) for each in cron_lines(line)]
    except ValueError as error:
        raise QuantityError(line, "is not a cron line that can be read", f": {error}"[:120]) from None
    now = datetime.now(UTC)
    if all(trigger.get_next_fire_time(None, now) is None for trigger in triggers):
        raise QuantityError(line, "is a cron line that never comes")
    return line


def format_schedule(schedule: Schedule) -> str:
    """Write a schedule as a user would."""
    return schedule.cron or format_duration(schedule.interval_s or 0)
