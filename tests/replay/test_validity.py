"""The rules that make a replay invalid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from goldwatch.core.disturbances import Found
from goldwatch.core.validity import disturbed, late_limit_s
from goldwatch.probe import Description

QUIET = Found(seconds=10.0, throttled_s=0.0, memory_stalled_s=0.0, collecting_s=0.0)


def reasons(
    late_s: Any = (), found: Found = QUIET, before: Any = None, after: Any = None, limit_s: float | None = None
) -> tuple[str, ...]:
    return disturbed(late_s, found, before, after, limit_s)


@pytest.mark.parametrize(
    ("objective_s", "limit_s"), [(None, 0.01), (0.05, 0.005), (0.001, 0.001), (5.0, 0.01)], ids=str
)
def test_late_is_a_tenth_of_the_objective_within_bounds(objective_s: float | None, limit_s: float) -> None:
    assert late_limit_s(objective_s) == pytest.approx(limit_s)


def test_more_than_one_in_a_hundred_dispatched_late_is_invalid() -> None:
    assert reasons([0.02] + [0.0] * 99) == ()
    (reason,) = reasons([0.02] * 2 + [0.0] * 98)
    assert reason.startswith("goldwatch sent 2 of 100 requests more than 10 ms after they were due")
    assert reasons([0.006] * 2 + [0.0] * 98, limit_s=0.05) != ()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Found(10.0, throttled_s=0.2), "the CPU limit of goldwatch's own container held it up for 200 ms of the 10 s"),
        (Found(10.0, memory_stalled_s=0.2), "shortage of memory held everything up for 200 ms of the 10 s"),
        (Found(10.0, collecting_s=0.2), "Python's garbage collector ran for 200 ms of the 10 s"),
    ],
)
def test_more_than_a_hundredth_of_the_time_disturbed_is_invalid(found: Found, words: str) -> None:
    assert [words in reason for reason in reasons(found=found)] == [True]


def test_a_hundredth_or_what_is_not_known_is_not() -> None:
    assert reasons(found=Found(10.0, 0.1, 0.1, 0.1)) == ()
    assert reasons(found=Found(10.0, None, None)) == ()
    assert reasons(found=Found()) == ()


def test_a_rollout_during_the_replay_is_invalid() -> None:
    v17 = Description("fraud", "v17", device="a")
    assert reasons(before=v17, after=v17) == ()
    assert reasons(before=v17, after=replace(v17, device="b")) == ()  # replicas behind one address differ in that
    assert reasons(before=v17, after=replace(v17, version="v18")) == (
        "the target changed during the replay: version v17 -> v18",
    )
    assert reasons(before=v17, after=None) == ()
