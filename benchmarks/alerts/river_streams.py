"""Drift in river's own streams: a model fitted before it, its accuracy on labelled rows, its inputs, by windows of 200.

The accuracy is watched by *worse*, without knowing any row again, and the inputs by *drift*; river's ADWIN sees the
same errors row by row. Before the drift none should alert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import datasets, drift
from sklearn.tree import DecisionTreeClassifier

from goldwatch.core.judgement import State
from goldwatch.worker.monitors.bands import Drift
from goldwatch.worker.monitors.columns import columns
from goldwatch.worker.monitors.worse import Answers, Worse

from benchmarks.alerts.fleet import alpha

WINDOW, FITTED, REFERENCE, QUIET, AFTER = 200, 5_000, 5_000, 50, 50
_TOLERANCE = 0.01

Synth = datasets.synth


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream before its drift and after it: generators of river's with a seed."""

    name: str
    before: Callable[[], Any]
    after: Callable[[], Any]


STREAMS: Sequence[Stream] = (
    Stream("SEA, function 0 to 2", lambda: Synth.SEA(0, seed=1), lambda: Synth.SEA(2, seed=2)),
    Stream("STAGGER, function 0 to 1", lambda: Synth.STAGGER(0, seed=1), lambda: Synth.STAGGER(1, seed=2)),
    Stream("Mixed, function 0 to 1", lambda: Synth.Mixed(0, seed=1), lambda: Synth.Mixed(1, seed=2)),
    Stream("Agrawal, function 0 to 3", lambda: Synth.Agrawal(0, seed=1), lambda: Synth.Agrawal(3, seed=2)),
    Stream(
        "LED, five of its features swapped",
        lambda: Synth.LED(seed=1, noise_percentage=0.1, irrelevant_features=True),
        lambda: Synth.LEDDrift(seed=2, noise_percentage=0.1, irrelevant_features=True, n_drift_features=5),
    ),
    Stream(
        "Hyperplane, turning by 0.01 a row",
        lambda: Synth.Hyperplane(seed=1, n_drift_features=5, mag_change=0.0),
        lambda: Synth.Hyperplane(seed=1, n_drift_features=5, mag_change=0.01),
    ),
    Stream("RandomRBF, centres moving by 0.01 a row", lambda: _centres(1, 0.0), lambda: _centres(2, 0.01)),
    Stream("Sine, no drift", lambda: Synth.Sine(0, seed=1), lambda: Synth.Sine(0, seed=2)),
)


def _centres(seed: int, speed: float) -> Any:  # noqa: ANN401 - river ships no types
    return Synth.RandomRBFDrift(seed_model=1, seed_sample=seed, change_speed=speed, n_drift_centroids=20)


def measure(only: str = "", *, quick: bool = False) -> Iterator[dict[str, Any]]:
    """Watch each stream, and yield its row: when each called after the drift, and how often before it."""
    after = 10 if quick else AFTER
    for stream in STREAMS:
        if stream.name.startswith(only):
            yield _watched(stream, after)


def _watched(stream: Stream, after: int) -> dict[str, Any]:
    rows, labels = _rows(stream.before(), FITTED + REFERENCE + QUIET * WINDOW)
    new_rows, new_labels = _rows(stream.after(), after * WINDOW)
    model = DecisionTreeClassifier(max_depth=8, random_state=0).fit(rows[:FITTED], labels[:FITTED])
    right = model.predict(np.concatenate([rows, new_rows])) == np.concatenate([labels, new_labels])
    known = FITTED + REFERENCE
    usual, watched = right[FITTED:known].reshape(-1, WINDOW), right[known:].reshape(-1, WINDOW)
    worse = Worse(np.stack([usual.sum(axis=0), np.zeros(WINDOW, np.int64)]), (len(usual), 0), _TOLERANCE, alpha())
    inputs = Drift(columns(_table(rows[:known])), alpha())
    windows = np.concatenate([rows[known:], new_rows]).reshape(-1, WINDOW, rows.shape[1])
    everybody = np.ones(WINDOW, dtype=np.bool_)
    calls = {
        "worse": _calls(worse, [Answers(each, everybody) for each in watched]),
        "drift": _calls(inputs, [inputs.count(_table(each)) for each in windows]),
        "adwin": _adwin(watched),
    }
    accuracies = (float(part.mean()) for part in (watched[:QUIET], watched[QUIET:]))
    return {
        "stream": stream.name,
        "accuracy": list(accuracies),
        "quiet": QUIET,
        "after": after,
        "before": {name: sum(at < QUIET for at in found) for name, found in calls.items()},
        "windows": {name: next((at - QUIET + 1 for at in found if at >= QUIET), None) for name, found in calls.items()},
    }


def _rows(stream: Any, count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:  # noqa: ANN401 - as above
    found = [([float(value) for value in row.values()], int(label)) for row, label in islice(iter(stream), count)]
    return np.array([row for row, _ in found]), np.array([label for _, label in found])


def _table(rows: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {f"column {i}": column for i, column in enumerate(rows.T)}


def _calls(monitor: Any, windows: Sequence[Any]) -> list[int]:  # noqa: ANN401 - of two kinds
    """Return the windows at which a monitor alerts, each alert closed at once."""
    state, found = monitor.fresh(), []
    for at, window in enumerate(windows):
        state, verdict = monitor.update(window, state, float(at))
        if verdict.state is State.ALERTING:
            state = monitor.fresh()
            found.append(at)
    return found


def _adwin(right: NDArray[np.bool_]) -> list[int]:
    """Return the windows where river's ADWIN, at its defaults, finds a change in the errors row by row."""
    detector, found = drift.ADWIN(), []
    for row, value in enumerate((~right).ravel().tolist()):
        detector.update(value)
        if detector.drift_detected:
            found.append(row // WINDOW)
    return found
