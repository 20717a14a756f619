"""The hint that rows of live windows depend on each other: never for independent rows, always for sessions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from goldwatch.core.judgement import State
from goldwatch.worker.monitors.bands import Drift
from goldwatch.worker.monitors.columns import columns
from goldwatch.worker.monitors.dependence import Dependence
from goldwatch.worker.monitors.drift import LiveDrift, LiveState
from goldwatch.worker.monitors.live import Live
from goldwatch.worker.monitors.spread import FACTOR, WINDOWS, Spread

HOUR_S = 3600.0
NAMES = np.array(["a", "b", "c", "d"], dtype=object)


def table(rows: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "normal": random.normal(size=rows),
        "amount": random.lognormal(size=rows).round(1),
        "code": random.choice(NAMES, rows, p=[0.5, 0.3, 0.19, 0.01]),
    }


def seen(monitor: LiveDrift, each: int, random: np.random.Generator, windows: int) -> tuple[LiveState, list[str]]:
    """Return the state after windows of 200 rows, each row `each` times, and the notice of each window."""
    state, notices = monitor.fresh(), []
    for at in range(windows):
        before = state
        rows = {name: np.repeat(values, each) for name, values in table(200 // each, random).items()}
        state, verdict = monitor.update(Live(rows, at * HOUR_S), state, at * HOUR_S)
        notices.append(monitor.notice(before, state))
        assert ("times as much" in verdict.summary) == bool(notices[-1] or (at >= WINDOWS and notices[WINDOWS - 1]))
    return state, notices


REFERENCE = table(4000, np.random.default_rng(0))


def test_sessions_that_nobody_has_stated_are_noticed_once_and_shown_from_then_on() -> None:
    monitor = LiveDrift(REFERENCE, 1e-300, 0.05, 1, HOUR_S)
    state, notices = seen(monitor, 10, np.random.default_rng(1), WINDOWS + 3)
    assert [at for at, notice in enumerate(notices) if notice] == [WINDOWS - 1]
    assert notices[WINDOWS - 1].startswith("the first 50 windows vary ")
    assert "`live.clusters`" in notices[WINDOWS - 1]
    again, refused = monitor.restore(json.loads(json.dumps(monitor.save(state))))
    assert refused is None
    assert monitor.save(again) == monitor.save(state)
    assert "times as much" in monitor.standing(again).summary


@pytest.mark.parametrize(
    ("each", "cluster", "dependence"),
    [(1, 1, Dependence.BOUNDED), (10, 10, Dependence.BOUNDED), (10, 1, Dependence.UNKNOWN)],
)
def test_what_is_stated_and_true_is_no_hint(each: int, cluster: int, dependence: Dependence) -> None:
    monitor = LiveDrift(REFERENCE, 1e-9, 0.05, cluster, HOUR_S, dependence)
    state, notices = seen(monitor, each, np.random.default_rng(2), WINDOWS + 1)
    assert not any(notices)
    assert monitor.standing(state).state is State.STEADY


@pytest.mark.slow
def test_independent_rows_are_hardly_ever_a_hint() -> None:
    """The largest of ten columns over 200 streams: far from twice the variance."""
    random = np.random.default_rng(3)
    learned = columns({f"x{i}": random.normal(size=2000) for i in range(10)})
    counter, largest = Drift(learned, 1e-9), 0.0
    for _ in range(200):
        spread = Spread.fresh(learned)
        for _ in range(WINDOWS):
            spread = spread.add(counter.count({f"x{i}": random.normal(size=200) for i in range(10)}), learned)
        assert spread.ratio is not None
        largest = max(largest, spread.ratio)
    assert 1 < largest < FACTOR - 0.2


def test_a_damaged_or_foreign_hint_begins_afresh() -> None:
    learned = columns(REFERENCE)
    fresh = Spread.fresh(learned).save()
    for saved in (
        None,
        5,
        {},
        fresh | {"sums": [1.0]},
        fresh | {"squares": "x"},
        fresh | {"ratio": 3.0, "column": "z"},
    ):
        assert Spread.restore(saved, learned).save() == fresh
    assert Spread.restore(fresh | {"ratio": 3.0, "column": "code", "sums": []}, learned).ratio == 3.0
