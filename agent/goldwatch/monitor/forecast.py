"""A one-step forecast of a quantity with a daily course and a memory, for replays at any times, missing ones included.

The quantity is harmonics of the day (and of the week, given two) plus a level that forgets, plus noise: a process
of Ornstein and Uhlenbeck seen through white noise, which at equal steps is an ARMA(1,1). Kalman's filter forecasts it,
and a missing replay is a longer step. A surprise moves the level by no more than three standard deviations, so that a
spike does not spoil the forecasts after it.

All but `fit` works on numbers and on arrays [...] of streams alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from goldwatch.monitor.detector import FloatArray

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S

_DAILY, _WEEKLY, _WEEKS = 3, 2, 1.9
_LARGEST_SURPRISE = 3.0
_LEAST_SPREAD = 1e-3
_MEMORIES = np.array([0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99, 0.995])
_SHARES = np.array([0.05, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 0.97])


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What is expected at an hour of the week: `coefficients` [..., 1 + 2 periods], a mean, then sines and cosines."""

    periods_s: tuple[float, ...]
    coefficients: FloatArray

    def at(self, at: float) -> FloatArray:
        """Return what is expected at Unix time `at` [...]."""
        return np.asarray(self.coefficients @ _waves(np.array([at]), self.periods_s)[0])


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """How the rest varies: what is left of the level's deviation after `interval_s`, and both variances, all [...]."""

    interval_s: float
    memory: FloatArray
    level: FloatArray
    white: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """What is known of the level's deviation after a replay at Unix time `at`: its mean and variance [...]."""

    at: float
    mean: FloatArray
    variance: FloatArray


def initial(noise: Noise, at: float) -> Belief:
    """Return what is known before the first replay."""
    return Belief(at, np.zeros_like(noise.level), noise.level)


def surprise(noise: Noise, belief: Belief, at: float, rest: FloatArray) -> tuple[FloatArray, Belief]:
    """Return by how many standard deviations `rest` (what is beside the course) [...] misses its forecast.

    With it comes what is known after that. Raises nothing for a clock that was set back: then no time has passed.
    """
    kept = noise.memory ** (max(at - belief.at, 0.0) / noise.interval_s)
    mean = kept * belief.mean
    variance = kept**2 * belief.variance + (1 - kept**2) * noise.level
    total = variance + noise.white
    found = (rest - mean) / np.sqrt(total)
    moved = np.clip(found, -_LARGEST_SURPRISE, _LARGEST_SURPRISE) * np.sqrt(total)
    return found, Belief(at, mean + variance / total * moved, variance * noise.white / total)


def lasting(noise: Noise, shift: float) -> FloatArray:
    """Return by how many standard deviations forecasts go on missing a quantity that is `shift` higher for good."""
    variance = noise.level
    for _ in range(100):  # Riccati's equation, which settles within a few dozen steps
        corrected = variance * noise.white / (variance + noise.white)
        variance = noise.memory**2 * corrected + (1 - noise.memory**2) * noise.level
    total = variance + noise.white
    gain = variance / total
    return np.asarray(shift * (1 - noise.memory) / (1 - noise.memory * (1 - gain)) / np.sqrt(total))


def fit(at: FloatArray, values: FloatArray, interval_s: float) -> tuple[Course, Noise]:
    """Fit both to `values` [n, streams] at the Unix times `at` [n], rising.

    The course is that of least squares; the noise has the largest likelihood on a grid, its scale profiled out.
    """
    periods = _periods(float(at[-1] - at[0]))
    waves = _waves(at, periods)
    coefficients, *_ = np.linalg.lstsq(waves, values, rcond=None)
    rest = values - waves @ coefficients
    return Course(periods, np.ascontiguousarray(coefficients.T)), _fit_noise(at, rest, interval_s)


def surprises(course: Course, noise: Noise, at: FloatArray, values: FloatArray) -> FloatArray:
    """Return the surprises [n, streams] of `values` [n, streams] at `at` [n]."""
    rest = values - _waves(at, course.periods_s) @ course.coefficients.T
    belief, found = initial(noise, float(at[0])), np.empty_like(rest)
    for i, (when, row) in enumerate(zip(at.tolist(), rest, strict=True)):
        found[i], belief = surprise(noise, belief, when, row)
    return found


def _periods(span_s: float) -> tuple[float, ...]:
    daily = [DAY_S / k for k in range(1, _DAILY + 1)] if span_s >= 2 * DAY_S else []
    weekly = [WEEK_S / k for k in range(1, _WEEKLY + 1)] if span_s >= _WEEKS * WEEK_S else []
    return (*daily, *weekly)


def _waves(at: FloatArray, periods_s: tuple[float, ...]) -> FloatArray:
    turns = [2 * math.pi * at / period for period in periods_s]
    return np.stack([np.ones_like(at), *(wave(turn) for turn in turns for wave in (np.sin, np.cos))], axis=1)


def _fit_noise(at: FloatArray, rest: FloatArray, interval_s: float) -> Noise:
    memory, share = (grid.ravel() for grid in np.meshgrid(_MEMORIES, _SHARES, indexing="ij"))
    scale = np.maximum(rest.std(axis=0), _LEAST_SPREAD)
    unit = rest / scale
    # All of the grid at once: arrays are [streams, grid].
    noise = Noise(interval_s, memory, share + np.zeros((rest.shape[1], 1)), 1 - share)
    mean, variance = np.zeros_like(noise.level), noise.level
    squares, logs = np.zeros_like(mean), np.zeros_like(mean)
    steps = np.diff(at, prepend=at[0]) / interval_s
    for step, row in zip(steps.tolist(), unit[..., np.newaxis], strict=True):
        kept = memory if abs(step - 1) < 0.1 else memory ** max(step, 0.0)
        mean, variance = kept * mean, kept**2 * variance + (1 - kept**2) * noise.level
        total = variance + noise.white
        missed = row - mean
        squares += missed**2 / total
        logs += np.log(total)
        mean, variance = mean + variance / total * missed, variance * noise.white / total
    n = len(rest)
    best = np.argmin(n * np.log(squares / n) + logs, axis=1)
    streams = np.arange(rest.shape[1])
    variance = squares[streams, best] / n * scale**2
    return Noise(interval_s, memory[best], share[best] * variance, (1 - share[best]) * variance)
