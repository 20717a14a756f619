"""*Drift* without a window: it repeats its verdict for a while, and then is unknown."""

from __future__ import annotations

import json

import numpy as np
import pytest

from goldwatch.core.judgement import State
from goldwatch.worker.monitors.drift import LiveDrift, LiveState
from goldwatch.worker.monitors.live import Live

ALPHA = 1e-3
HOUR_S = 3600.0


def table(seed: int, count: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = np.array(["a", "b", "c", None], dtype=object)[rng.choice(4, count, p=[0.5, 0.3, 0.15, 0.05])]
    return {"x": rng.normal(shift, 1, count), "code": codes}


@pytest.fixture(scope="module")
def drift() -> LiveDrift:
    return LiveDrift(table(0, 2000), ALPHA, 0.02, 1, HOUR_S)


def after(drift: LiveDrift, *shifts: float) -> LiveState:
    """Return the state after windows an hour apart, the last one at 0."""
    state = drift.fresh()
    for number, shift in enumerate(shifts):
        at = (number + 1 - len(shifts)) * HOUR_S
        state, _ = drift.update(Live(table(number + 1, 200, shift), at), state, at)
    return state


def test_before_the_first_window_nothing_is_known(drift: LiveDrift) -> None:
    state, verdict = drift.update(Live(None, 0.0), drift.fresh(), 0.0)
    assert (verdict.state, verdict.summary) == (State.UNKNOWN, "not known: no live rows yet")
    assert drift.standing(state).state is State.UNKNOWN
    _, waiting = drift.update(Live(None, 0.0, waiting=7), state, 0.0)
    assert waiting.summary == "not known: no window of live rows yet; 7 requests wait for the next window"


def test_the_last_window_holds_for_a_while_and_then_is_not_news(drift: LiveDrift) -> None:
    state = after(drift, 0.0, 0.0)
    same, verdict = drift.update(Live(None, 0.0), state, 3 * HOUR_S)
    assert (verdict.state, verdict.summary, same) == (State.STEADY, state.said, state)
    _, stale = drift.update(Live(None, 0.0), state, 3 * HOUR_S + 1)
    assert (stale.state, stale.summary) == (State.UNKNOWN, "not known: no live rows for 3h1s")
    _, unreadable = drift.update(Live(None, 0.0, problem="/logs cannot be read: Permission denied"), state, 1.0)
    assert (unreadable.state, unreadable.summary) == (
        State.UNKNOWN,
        "not known: /logs cannot be read: Permission denied",
    )


def test_no_rows_end_no_alert(drift: LiveDrift) -> None:
    state = after(drift, *[1.0] * 10)
    assert drift.standing(state).state is State.ALERTING
    _, verdict = drift.update(Live(None, 0.0), state, 100 * HOUR_S)
    assert verdict.state is State.ALERTING
    assert verdict.summary.endswith("no live rows for 4d4h")


def test_what_moved_is_said_in_quantiles_and_in_shares(drift: LiveDrift) -> None:
    window = Live(table(9, 200, shift=2.0), 0.0)
    first, *_ = drift.moves(window, drift.fresh())
    assert first.column == "x"
    assert first.then.startswith("10% below -1.")
    assert first.now.startswith("10% below 0.")
    gone = {"x": table(9, 200)["x"], "code": np.array(["b"] * 190 + [None] * 10, dtype=object)}
    (code, *_) = drift.moves(Live(gone, 0.0), drift.fresh())
    assert (code.column, code.now) == ("code", "95.0% equal to 'b', 0.0% equal to 'a', 0.0% equal to 'c'")
    assert drift.moves(Live(None, 0.0), drift.fresh()) == ()


@pytest.mark.parametrize("saved", [None, 5, {}, {"version": 1}, {"version": 1, "standing": {}, "at": "x", "said": ""}])
def test_a_damaged_state_is_refused_and_said(drift: LiveDrift, saved: object) -> None:
    state, refused = drift.restore(saved)
    assert refused
    assert drift.save(state) == drift.save(drift.fresh())
    kept = json.loads(json.dumps(drift.save(after(drift, 0.3))))
    assert drift.restore(kept)[1] is None
