"""Rows of a window that depend on each other: each statement of them keeps its promise, and still notices a shift."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.core.judgement import State
from goldwatch.worker.monitors.bands import Drift, Window
from goldwatch.worker.monitors.columns import columns
from goldwatch.worker.monitors.dependence import Dependence, log_products

ALPHA = 1 / (105_120 * 4)
NAMES = np.array(["a", "b", "c", ""], dtype=object)


def table(rows: int, random: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
    amount = np.where(random.random(rows) < 0.05, np.nan, random.lognormal(0, 1, rows).round(1))
    return {"normal": random.normal(size=rows), "amount": amount, "code": random.choice(NAMES, rows)}


LEARNED = columns(table(4000, np.random.default_rng(0)))


def log_e(monitor: Drift, window: Window) -> np.ndarray[Any, Any]:
    return monitor.log_e(*monitor._parts(window))


@st.composite
def clusters(draw: st.DrawFn, most: int = 4) -> tuple[list[int], list[list[float]]]:
    """Draw the sizes of a few clusters, and for each the probabilities of each sum of its rows: any dependence."""
    sizes = draw(st.lists(st.integers(1, most), min_size=1, max_size=4))
    weights = [draw(st.lists(st.floats(0.01, 1), min_size=n + 1, max_size=n + 1)) for n in sizes]
    return sizes, [[w / sum(each) for w in each] for each in weights]


@given(clusters(), st.floats(0.05, 0.95), st.integers(4, 8))
def test_the_mean_is_at_most_one_whatever_hangs_together_in_clusters(
    drawn: tuple[list[int], list[list[float]]], alternative: float, most: int
) -> None:
    sizes, chances = drawn
    mean = sum(sum(s * p for s, p in enumerate(each)) for each in chances) / sum(sizes)
    total = 0.0
    for sums in itertools.product(*(range(n + 1) for n in sizes)):
        of = np.array(sums, dtype=np.float64)[:, np.newaxis]
        arrays = np.zeros(1, dtype=np.int64), np.array([mean]), np.array([alternative]), np.array(float(most))
        (log,) = log_products(of, np.array(sizes, dtype=np.float64), *arrays)
        total += float(np.exp(log)) * float(np.prod([each[s] for each, s in zip(chances, sums, strict=True)]))
    assert total <= 1 + 1e-9


@given(st.lists(st.floats(0, 1), min_size=20, max_size=20), st.floats(0.05, 0.95))
def test_a_window_that_is_one_bet_allows_any_dependence(weights: list[float], alternative: float) -> None:
    """The share of a window of 19 rows has any law at all."""
    if sum(weights) == 0:
        return
    chances = np.array(weights) / sum(weights)
    mean = float(chances @ np.arange(20)) / 19
    if not 0.01 < mean < 0.99:
        return
    rows = np.array(19.0)
    arrays = np.zeros(1, dtype=np.int64), np.array([mean]), np.array([alternative])
    logs = [log_products(np.array([[s]]), rows[np.newaxis], *arrays, rows)[0] for s in np.arange(20.0)]
    assert chances @ np.exp(logs) <= 1 + 1e-9


@given(st.integers(0, 2**32), st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_a_key_is_never_worth_less_than_the_root(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    rows = table(100, random)
    _, codes = np.unique(random.integers(0, count, 100), return_inverse=True)
    most = int(np.bincount(codes).max())
    keyed, rooted = Drift(LEARNED, ALPHA, 0.01, most, Dependence.KEYED), Drift(LEARNED, ALPHA, 0.01, most)
    window, plain = keyed.count(rows, codes), rooted.count(rows)
    for column in LEARNED:
        assert window.counts[column.name].tolist() == plain.counts[column.name].tolist()
    bets = {(b.column, b.cell, b.null, b.alternative): i for i, b in enumerate(keyed._bets)}
    same = [bets[b.column, b.cell, b.null, b.alternative] for b in rooted._bets]
    assert np.all(log_e(keyed, window)[same] >= log_e(rooted, plain) - 1e-9)


def test_with_every_row_by_itself_a_key_is_what_independent_rows_are() -> None:
    rows = table(300, np.random.default_rng(1))
    keyed, plain = Drift(LEARNED, ALPHA, 0.0, 1, Dependence.KEYED), Drift(LEARNED, ALPHA)
    assert log_e(keyed, keyed.count(rows, np.arange(300))) == pytest.approx(log_e(plain, plain.count(rows)), abs=1e-9)


STATEMENTS = [(10, Dependence.BOUNDED), (10, Dependence.KEYED), (1, Dependence.UNKNOWN)]


@pytest.mark.parametrize(("cluster", "dependence"), STATEMENTS)
def test_clients_that_repeat_a_row_raise_no_ticket_and_a_shift_does_and_ends(
    cluster: int, dependence: Dependence
) -> None:
    """Twenty clients send one row ten times each: two weeks of hourly windows, a lasting shift, and its end."""
    random = np.random.default_rng(12)
    learned, codes = columns({"amount": random.normal(size=10_000)}), np.repeat(np.arange(20), 10)
    monitor, wrong = Drift(learned, ALPHA, 0.05, cluster, dependence), Drift(learned, ALPHA, 0.05)
    states: list[list[State]] = [[], []]
    state, other = monitor.fresh(), wrong.fresh()
    for at, shift in enumerate([0.0] * 336 + [1.0] * 60 + [0.0] * 400):
        rows = {"amount": np.repeat(random.normal(shift, 1, 20), 10)}
        state, verdict = monitor.update(monitor.count(rows, codes), state, float(at))
        other, mistaken = wrong.update(wrong.count(rows), other, float(at))
        states[0].append(verdict.state)
        states[1].append(mistaken.state)
    assert State.ALERTING not in states[0][:336]
    assert State.ALERTING in states[1][:336]
    assert states[0][395] is State.ALERTING
    assert State.RECOVERED in states[0][396:]
    assert states[0][-1] is not State.ALERTING


@pytest.mark.slow
@pytest.mark.parametrize(("cluster", "dependence"), STATEMENTS)
def test_the_mean_of_each_bet_is_at_most_one_in_windows_of_sessions(cluster: int, dependence: Dependence) -> None:
    """By simulation, rows of a session half correlated, at the shares of the reference: within five standard errors."""
    random = np.random.default_rng(3)
    monitor, codes = Drift(columns({"x": random.normal(size=4000)}), ALPHA, 0.0, cluster, dependence), np.arange(60) % 6
    found = np.array(
        [
            np.exp(log_e(monitor, monitor.count({"x": (a + b) / np.sqrt(2)}, codes)))
            for a, b in ((random.normal(size=6)[codes], random.normal(size=60)) for _ in range(4000))
        ]
    )
    assert np.all(found.mean(axis=0) <= 1 + 5 * found.std(axis=0) / np.sqrt(len(found)))


def test_a_window_whose_clusters_are_not_known_or_too_large_is_refused() -> None:
    monitor = Drift(LEARNED, ALPHA, 0.0, 3, Dependence.KEYED)
    rows = table(100, np.random.default_rng(4))
    for window in (monitor.count(rows), monitor.count(rows, np.arange(100) // 4)):
        with pytest.raises(ValueError, match="which rows hang together, at most 3 of them"):
            monitor.update(window, monitor.fresh(), 0.0)
    with pytest.raises(ValueError, match=r"the columns have \[100\] rows"):
        monitor.count(rows, np.arange(99))
