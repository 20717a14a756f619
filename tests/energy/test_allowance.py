"""The law of a budget of energy: no stretch of its length has more than the budget, wherever it begins."""

from __future__ import annotations

import math
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from goldwatch.energy.allowance import Allowance, Charge

HOUR = Allowance(100.0, 3600.0)


def charge(ended_at: float, joules: float | None, *, measuring: bool = False) -> Charge:
    return Charge("w", "t", "sha256:0", measuring, ended_at, 600, joules)


def most_in_a_window(spans: Iterable[tuple[float, float, float]], per_s: float) -> float:
    """Return the most joules of those that touch one stretch of `per_s`; spans are (begun at, ended at, joules).

    All of what touches it is counted as if it were within: no real stretch has more than that.
    """
    spans = list(spans)
    starts = [ended_at for _, ended_at, _ in spans]  # a stretch that begins just before one ends holds the most
    return max(
        (math.fsum(j for begun, ended, j in spans if ended >= at and begun < at + per_s) for at in starts), default=0.0
    )


@given(
    st.lists(st.tuples(st.floats(0, 90), st.floats(0, 5000), st.floats(0, 300)), max_size=60),
    st.floats(1, 200),
    st.sampled_from([60.0, 3600.0]),
)
def test_no_stretch_has_more_than_the_budget(
    wanted: list[tuple[float, float, float]], most_j: float, per_s: float
) -> None:
    """Whoever asks begins when there is room, and takes what was said, for however long."""
    budget, now = Allowance(most_j, per_s), 1.8e9
    charges: list[Charge] = []
    spans: list[tuple[float, float, float]] = []
    for joules, later_s, lasts_s in wanted:
        now += later_s
        at = budget.room_at(charges, joules, now)
        if at == math.inf:
            assert joules > most_j
            continue
        assert at >= now
        now = at + 1e-3  # a float of 1.8e9 seconds has no more digits
        assert budget.room_at(charges, joules, now) == now
        spans.append((now, now + lasts_s, joules))
        now += lasts_s
        charges.append(charge(now, joules))
    assert most_in_a_window(spans, per_s) <= most_j * (1 + 1e-9)


@given(st.lists(st.tuples(st.floats(0, 4000), st.floats(0, 60)), max_size=20), st.floats(0, 100))
def test_room_comes_no_later_than_it_must(before: list[tuple[float, float]], joules: float) -> None:
    charges = [charge(1.8e9 - ago_s, taken_j) for ago_s, taken_j in before]
    at = HOUR.room_at(charges, joules, 1.8e9)
    if at > 1.8e9:  # a moment before there is none
        assert HOUR.taken_j(charges, at - 1e-3) + joules > HOUR.joules
    assert HOUR.taken_j(charges, at + 1e-3) + joules <= HOUR.joules * (1 + 1e-9)


def test_what_takes_more_than_all_of_it_never_has_room() -> None:
    assert HOUR.room_at([], 100.0, 5.0) == 5.0
    assert HOUR.room_at([], 100.1, 5.0) == math.inf


def test_what_is_not_known_takes_nothing_yet() -> None:
    assert HOUR.taken_j([charge(1000.0, None), charge(1000.0, 7.0)], 1001.0) == 7.0


def test_replays_are_spread_over_what_measurements_leave() -> None:
    assert HOUR.spread_s(10.0, 0.0) == 360.0
    assert HOUR.spread_s(10.0, 60.0) == 900.0
    assert HOUR.spread_s(10.0, 100.0) == 0.0  # the window has no room anyway
