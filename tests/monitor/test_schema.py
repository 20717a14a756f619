"""The monitor *schema*: two windows with unreadable rows are an alert, and two readable ones end it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.judgement import State, Verdict
from goldwatch.worker.monitors.live import Live
from goldwatch.worker.monitors.schema import LiveSchema, SchemaState

MONITOR = LiveSchema(3600.0)


def window(unreadable: int, rows: int = 200) -> Live:
    table = {"x": np.zeros(rows - unreadable)} if rows > unreadable else None
    return Live(table, 0.0, unreadable=unreadable, reasons={"input x holds a str": unreadable} if unreadable else {})


def run(*windows: Live) -> tuple[SchemaState, list[Verdict]]:
    state, found = MONITOR.fresh(), []
    for at, each in enumerate(windows):
        state, verdict = MONITOR.update(each, state, float(at))
        found.append(verdict)
    return state, found


def states(*windows: Live) -> list[State]:
    return [verdict.state for verdict in run(*windows)[1]]


def test_two_windows_in_a_row_begin_an_alert_and_two_end_it() -> None:
    found = states(*map(window, (0, 100, 0, 100, 200, 0, 100, 0, 10, 0)))
    assert found == [
        *(State.STEADY, State.SUSPECT, State.STEADY, State.SUSPECT, State.ALERTING),
        *(State.ALERTING, State.ALERTING, State.ALERTING, State.RECOVERED, State.STEADY),
    ]


def test_a_few_bad_requests_of_small_windows_are_no_alert() -> None:
    assert states(*[window(2, 20)] * 4 + [window(2, 20)] * 2) == [State.SUSPECT] * 4 + [State.ALERTING] * 2


def test_without_a_window_the_last_one_holds_for_a_while_and_an_alert_for_good() -> None:
    assert MONITOR.standing(MONITOR.fresh()).state is State.UNKNOWN
    state, _ = run(window(0))
    for at, said in ((3600.0, State.STEADY), (4 * 3600.0, State.UNKNOWN)):
        same, verdict = MONITOR.update(Live(None, 0.0), state, at)
        assert (same, verdict.state) == (state, said)
    alerting, _ = run(window(100), window(100))
    _, verdict = MONITOR.update(Live(None, 0.0), alerting, 1e9)
    assert verdict.state is State.ALERTING
    assert "50.0% of live rows cannot be read: input x holds a str (100); no live rows for " in verdict.summary


@given(st.lists(st.integers(0, 200), max_size=12), st.integers(0, 12))
def test_saving_and_restoring_changes_nothing(unreadable: list[int], cut: int) -> None:
    windows = [window(count) for count in unreadable]
    before, _ = run(*windows[:cut])
    restored, refused = MONITOR.restore(json.loads(json.dumps(MONITOR.save(before))))
    assert (restored, refused) == (before, None)


@pytest.mark.parametrize(
    "saved", [None, {}, {"version": 1, "at": "x"}, {"version": 1, "bad": None}, {"version": 1, "z": 1}]
)
def test_a_damaged_state_is_refused(saved: object) -> None:
    state, refused = MONITOR.restore(saved)
    assert state == MONITOR.fresh()
    assert refused
