from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldwatch.config import (
    ConfigError,
    LatencyObjective,
    QuantityError,
    Schedule,
    costs,
    format_duration,
    format_latency,
    format_percentage,
    format_points,
    format_rate,
    format_schedule,
    load,
)
from goldwatch.config import quantities as q
from goldwatch.config.schedule import parse_schedule

from tests.config.fakes import START, probes

microseconds = st.integers(1, 30 * 86400 * 10**6).map(lambda n: n / 10**6)
hundredths = st.integers(1, 9_999).map(lambda n: n / 10_000)


def any_duration(value: object) -> float:
    return q.parse_duration(value, 0, 1e15)


@given(microseconds)
def test_durations_come_back(seconds: float) -> None:
    assert any_duration(format_duration(seconds)) == seconds


@given(hundredths)
def test_percentages_and_points_come_back(ratio: float) -> None:
    assert q.parse_percentage(format_percentage(ratio)) == ratio
    assert q.parse_points(format_points(ratio)) == ratio


@given(st.integers(1, 600 * 10**6), st.integers(5000, 9999))
def test_latency_objectives_come_back(limit_us: int, quantile: int) -> None:
    objective = LatencyObjective(limit_us / 10**6, quantile / 10**4)
    assert q.parse_latency(format_latency(objective)) == objective


things = st.sampled_from(["inference", "right answer", "output token"])
amounts = st.decimals("0.000001", "999999", places=6).map(float)


@given(things, amounts, st.sampled_from([1, 1_000, 1_000_000]), hundredths)
def test_objectives_of_energy_and_cost_come_back(per: str, amount: float, count: int, ratio: float) -> None:
    usual = costs.CostObjective(per, above_usual=ratio)
    for unit, parse in (("J", costs.parse_energy), ("USD", costs.parse_cost)):
        stated = costs.CostObjective(per, amount, unit, count)
        assert parse(costs.format_objective(stated)) == stated
        assert parse(costs.format_objective(usual)) == usual


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("2 J per inference", 2.0),
        ("at most 300 mJ per right answer", 0.3),
        ("1.5kJ per thousand inferences", 1.5),
        ("4 J per million output tokens", 4e-6),
    ],
)
def test_objectives_of_energy_as_people_write_them(text: str, limit: float) -> None:
    assert costs.parse_energy(text).limit == limit


@given(st.integers(1, 3_650_000).map(lambda n: n / 1000))
def test_rates_come_back(per_year: float) -> None:
    assert q.parse_rate(format_rate(per_year)) == per_year


@given(st.integers(1, 86400))
def test_schedules_come_back(seconds: int) -> None:
    assert parse_schedule(format_schedule(Schedule(interval_s=float(seconds)))) == Schedule(interval_s=float(seconds))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5s", 1.5), ("250ms", 0.25), ("1h30m", 5400.0), ("1h 30m", 5400.0), ("5 minutes", 300.0), ("2d", 172800.0)],
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert any_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "per_year"),
    [("1 per year", 1.0), ("2 per quarter", 8.0), ("1 per month", 12.0), ("7 a week", 365.0), ("1 per day", 365.0)],
)
def test_rates_as_people_write_them(text: str, per_year: float) -> None:
    assert q.parse_rate(text) == pytest.approx(per_year)


PARSERS = [
    any_duration,
    q.parse_percentage,
    q.parse_points,
    q.parse_latency,
    q.parse_rate,
    q.parse_listen,
    q.parse_host,
    q.parse_name,
    parse_schedule,
]
pieces = st.lists(
    st.sampled_from(["1", "0.5", " ", "s", "m", "%", "point", "at p99", "per", "year", ":", "*", "/", "-", "mon", "99"])
).map("".join)


@pytest.mark.parametrize("parse", PARSERS)
@given(value=st.text() | pieces | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.text()))
@settings(max_examples=200)
def test_anything_parses_or_is_refused(parse: Callable[[object], object], value: object) -> None:
    with contextlib.suppress(QuantityError):
        parse(value)


yaml_pieces = st.lists(
    st.sampled_from(
        [
            *START.splitlines(keepends=True),
            "{",
            "}",
            "[",
            ": ",
            "- ",
            "\n  ",
            "&a ",
            "*a",
            "<<: ",
            "!!int ",
            "${X}",
            "|\n",
            '"',
            "'",
            "targets",
            "0x1F",
            "1:30",
            "2026-01-01",
            "~",
            "${file:/}",
            "!!bool x",
            "? ",
        ]
    )
).map("".join)
cut = st.tuples(st.integers(0, len(START)), st.integers(0, len(START)), st.text(max_size=5)).map(
    lambda t: START[: t[0]] + t[2] + START[t[1] :]
)


@given(text=st.text() | yaml_pieces | cut)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_file_is_a_config_or_a_config_error(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "goldwatch.yaml")
        path.write_text(text, encoding="utf-8", errors="replace")
        try:
            load(path, {"X": "1"}, probes)
        except ConfigError as error:
            problems = error.problems
        else:
            return
    assert problems
    assert list(problems) == sorted(problems, key=lambda problem: (problem.line, problem.column))
