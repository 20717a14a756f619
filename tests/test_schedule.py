"""Schedules: when they fire, and how often on average."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from apscheduler.triggers.base import BaseTrigger
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.config import Schedule
from goldwatch.config.schedule import parse_schedule
from goldwatch.daemon.schedule import Timetable, mean_interval_s, trigger

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


def test_a_cron_line_that_restricts_both_day_fields_fires_on_either() -> None:
    """As cron(5): the first and fifteenth of the month, and every Friday; a day that is both counts once."""
    start = datetime(2027, 1, 1, tzinfo=UTC)
    days = [start + timedelta(days=i) for i in range(365)]
    expected = [day + timedelta(hours=8) for day in days if day.day in (1, 15) or day.weekday() == 4]
    assert fires(trigger(Schedule(cron="0 8 1,15 * fri")), len(expected), start) == expected


@pytest.mark.parametrize(
    ("line", "start", "expected"),
    [
        ("30 2 * * *", "2027-03-27", ["2027-03-27T01:30", "2027-03-28T01:30", "2027-03-29T00:30"]),
        ("30 2 * * *", "2027-10-30", ["2027-10-30T00:30", "2027-10-31T00:30", "2027-10-31T01:30", "2027-11-01T01:30"]),
        ("0 9 * * mon-fri", "2027-03-26", ["2027-03-26T08:00", "2027-03-29T07:00"]),
        ("0 */12 31 10 sun", "2027-10-30T23:00", ["2027-10-31T11:00", "2028-09-30T22:00"]),
    ],
)
def test_a_cron_line_in_a_time_zone_follows_its_clock(line: str, start: str, expected: list[str]) -> None:
    """Clocks in Berlin skip from 02:00 to 03:00 on 28 March 2027, and repeat that hour on 31 October."""
    timetable = Timetable(Schedule(cron=line, timezone="Europe/Berlin"), 0.0, "fraud")
    at, times = datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp(), []
    for _ in expected:
        at = timetable.after(at)
        times.append(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M}")
    assert times == expected


def test_a_day_that_never_comes_leaves_the_other_day_field() -> None:
    schedule = parse_schedule("0 0 30 feb fri")
    days = [datetime(2027, 2, day, tzinfo=UTC) for day in (5, 12, 19, 26)]
    assert fires(trigger(schedule), 4, datetime(2027, 1, 1, tzinfo=UTC)) == days
    assert mean_interval_s(schedule) == 365 * DAY_S / 4


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
        (Schedule(cron="0 8 1,15 * fri"), 365 * DAY_S / 73),
        (Schedule(cron="* * 31 dec *"), 365 * DAY_S / 1440),
        (Schedule(cron="*/10 8-17 * * mon-fri"), 7 / 5 * DAY_S / 60),
    ],
)
def test_the_mean_interval(schedule: Schedule, seconds: float) -> None:
    assert mean_interval_s(schedule) == pytest.approx(seconds, rel=0.01)


def test_a_cron_line_that_comes_every_few_years_counts_as_yearly() -> None:
    assert mean_interval_s(Schedule(cron="0 0 29 feb *")) == 365 * DAY_S


EVERY_5M = Schedule(interval_s=300)
MOMENTS = st.floats(1.7e9, 1.9e9)


@given(st.floats(1, 1e6), st.text(), MOMENTS)
def test_an_interval_is_a_grid_that_a_restart_does_not_move(interval_s: float, identity: str, now: float) -> None:
    def made() -> Timetable:
        return Timetable(Schedule(interval_s=interval_s), 0, identity)

    due = made().after(now)
    assert interval_s / 2 <= due - now + 1e-5
    assert due - now <= 1.5 * interval_s + 1e-5
    assert made().after(due) - due == pytest.approx(interval_s, abs=1e-5)
    assert made().after(due + 0.3 * interval_s) == pytest.approx(made().after(due), abs=1e-5)


def test_an_agent_that_is_restarted_ten_times_an_hour_replays_no_more_often() -> None:
    start = NOON.timestamp()
    replays: list[float] = []
    for restart in range(11):
        now, end = start + restart * 360, start + (restart + 1) * 360
        timetable = Timetable(EVERY_5M, 30, "node fraud fraud-eu")
        due = timetable.first(now, replays[-1] if replays else None)
        while due < end:
            replays.append(max(now, due))
            due = timetable.after(replays[-1])
    hour = [at for at in replays if start <= at < start + 3600]
    assert 11 <= len(hour) <= 13
    assert min(b - a for a, b in pairwise(hour)) >= 150


def test_what_is_overdue_at_a_start_is_due_at_once_and_a_new_watch_is_too() -> None:
    timetable, now = Timetable(EVERY_5M, 30, "any"), NOON.timestamp()
    assert timetable.first(now, now - 900) <= now - 300
    assert now <= timetable.first(now, None) <= now + 30
    assert timetable.first(now, now - 10) > now
    assert timetable.first(now, now + 86_400) > now  # the clock was wrong once


def test_fifty_agents_are_spread_over_the_whole_interval() -> None:
    now = NOON.timestamp()
    due = sorted(Timetable(EVERY_5M, 0, f"node-{i} fraud fraud-eu").after(now) % 300 for i in range(50))
    gaps = [b - a for a, b in pairwise([*due, due[0] + 300])]
    assert max(gaps) < 45  # of 50 uniform ones, the longest exceeds it in 1 of 55 cases; the hash is fixed


def test_a_cron_line_keeps_its_time_but_for_a_share_of_the_spread() -> None:
    nightly, three = Schedule(cron="0 3 * * *"), datetime(2027, 6, 2, 3, tzinfo=UTC).timestamp()
    now = NOON.timestamp()
    assert Timetable(nightly, 0, "any").first(now, None) == three
    shifted = Timetable(nightly, 600, "any").first(now, None)
    assert three < shifted < three + 600
    assert Timetable(nightly, 600, "any").after(shifted) == shifted + DAY_S
    missed = Timetable(nightly, 0, "any").first(now, now - 2 * DAY_S)
    assert missed < now
