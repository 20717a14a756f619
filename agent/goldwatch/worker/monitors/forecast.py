"""Forecasts a latency block by block: its usual course over the day and week, and the next block from the last.

A block is some hours long; its value is the median of its replays' differences from the course. Bursts much shorter
than a block do not move it. The next block is forecast by a regression on the one before. A surprise moves the memory
by at most three standard deviations, so that a spike does not spoil the forecasts after it. Runs in workers, with
numpy; `slower` bets on the surprises. All functions work on many streams at once, which the simulations use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.monitors.detector import FloatArray

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
MIN_REPLAYS = 3
"""A block of fewer replays has no value: a single spike could make its median."""
MIN_BLOCKS = 24

_DAILY, _WEEKLY, _WEEKS = 3, 2, 1.9
_MAX_SURPRISE = 3.0
_MIN_SPREAD = 1e-3
_MAX_MEMORY = 0.99
_BOUND_ERROR = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The usual value at an hour of the week: `coefficients` [..., 1 + 2 periods], a mean, then sines and cosines."""

    periods_s: tuple[float, ...]
    coefficients: FloatArray

    def at(self, at: FloatArray) -> FloatArray:
        """Return what is usual at the Unix times `at` [n], as [n, ...]."""
        return np.asarray(_waves(at, self.periods_s) @ self.coefficients.T)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The medians [blocks, streams] of the blocks with these numbers, and how many replays each is of."""

    numbers: NDArray[np.int64]
    replays: NDArray[np.int64]
    medians: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """How blocks vary about the course, all but `replays` [...].

    `memory` is the slope of a block on the one before. `mean` and `spread` are upper bounds, at a joint error of 1 %,
    of the mean and standard deviation of the surprises. Blocks of the baseline had `replays` replays, in the median.
    """

    memory: FloatArray
    mean: FloatArray
    spread: FloatArray
    replays: float

    @property
    def level(self) -> FloatArray:
        """The standard deviation of blocks about the course."""
        return np.asarray(self.spread / np.sqrt(1 - self.memory**2))


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """The number of the last block that had a value, and that value [...], as far as it is believed."""

    block: int
    value: FloatArray


def fit_course(at: FloatArray, values: FloatArray) -> Course:
    """Fit the course of `values` [n, streams] at the Unix times `at` [n], rising.

    Least squares, twice more with residuals clipped at three robust standard deviations: bursts do not bend it.
    """
    periods = _periods(float(at[-1] - at[0]))
    waves = _waves(at, periods)
    coefficients = np.linalg.lstsq(waves, values, rcond=None)[0]
    for _ in range(2):
        usual = waves @ coefficients
        rest = values - usual
        limit = 3 * 1.4826 * np.median(np.abs(rest), axis=0)
        coefficients = np.linalg.lstsq(waves, usual + np.clip(rest, -limit, limit), rcond=None)[0]
    return Course(periods, np.ascontiguousarray(coefficients.T))


def in_blocks(at: FloatArray, rest: FloatArray, block_s: float) -> Blocks:
    """Cut `rest` [n, streams] at the Unix times `at` [n], rising, into blocks; leave out those of too few replays."""
    numbers, first, replays = np.unique(np.floor(at / block_s).astype(np.int64), return_index=True, return_counts=True)
    enough = replays >= MIN_REPLAYS
    medians = [np.median(rest[i : i + n], axis=0) for i, n in zip(first[enough], replays[enough], strict=True)]
    return Blocks(numbers[enough], replays[enough], np.array(medians).reshape(-1, rest.shape[1]))


def fit_noise(halves: tuple[Blocks, Blocks]) -> Noise:
    """Fit the noise to the blocks of both halves of a baseline.

    The surprises of each half are those of a forecast with the slope of the other. Raises ValueError for fewer than
    `MIN_BLOCKS` blocks that follow another.
    """
    from scipy.special import chdtri, stdtrit  # noqa: PLC0415 - slow to import, and only needed here

    pairs = [_pairs(half) for half in halves]
    slopes = [_slope(*pair) for pair in reversed(pairs)]
    missed = np.concatenate([after - slope * before for (before, after), slope in zip(pairs, slopes, strict=True)])
    n = len(missed)
    if n < MIN_BLOCKS:
        raise ValueError(f"{n} blocks are too few to learn from; {MIN_BLOCKS} are needed")
    spread = np.maximum(missed.std(axis=0, ddof=1), _MIN_SPREAD)
    mean = missed.mean(axis=0) + stdtrit(n - 1, 1 - _BOUND_ERROR / 2) * spread / math.sqrt(n)
    # chdtri takes the probability of a larger value.
    widest = spread * math.sqrt((n - 1) / chdtri(n - 1, 1 - _BOUND_ERROR / 2))
    together = [np.concatenate(part) for part in zip(*pairs, strict=True)]
    replays = float(np.median(np.concatenate([half.replays for half in halves])))
    return Noise(_slope(*together), mean, widest, replays)


def surprise(noise: Noise, memory: Memory, block: int, value: FloatArray, replays: int) -> tuple[FloatArray, Memory]:
    """Return by how many standard deviations a block's `value` [...] exceeds its forecast, and what is known after it.

    A forecast is never below 0: a lower one would make a surprise of a value that is still usual.
    After missing blocks the forecast is wider. So it is for a block of fewer `replays` than the baseline's, as if all
    noise were that of single replays, which is the most that it can be.
    """
    kept = noise.memory ** (block - memory.block)
    forecast = kept * np.maximum(memory.value, 0.0)
    steps = (1 - kept) / (1 - noise.memory)
    wider = np.sqrt((1 - kept**2) / (1 - noise.memory**2)) * math.sqrt(max(noise.replays / replays, 1.0))
    spread, missed = noise.spread * wider, value - forecast
    after = forecast + np.clip(missed, -_MAX_SURPRISE * spread, _MAX_SURPRISE * spread)
    return (missed - steps * noise.mean) / spread, Memory(block, after)


def trend(blocks: Blocks) -> FloatArray:
    """Return by how much the blocks rose from the first to the last [streams], 0 where that may be chance.

    A line by least squares; its error allows for the memory of what is left. Three standard errors are no chance.
    """
    x = blocks.numbers - blocks.numbers.mean()
    slope = x @ blocks.medians / (x @ x)
    rest = blocks.medians - blocks.medians.mean(axis=0) - np.outer(x, slope)
    memory = np.clip((rest[1:] * rest[:-1]).sum(axis=0) / np.maximum((rest**2).sum(axis=0), 1e-12), 0, _MAX_MEMORY)
    error = np.sqrt((rest**2).mean(axis=0) / (x @ x) * (1 + memory) / (1 - memory))
    return np.where(np.abs(slope) > 3 * error, slope * (x[-1] - x[0]), 0.0)


def _pairs(blocks: Blocks) -> tuple[FloatArray, FloatArray]:
    """Return the blocks that are followed by the next, and those."""
    follows = np.flatnonzero(np.diff(blocks.numbers) == 1)
    return blocks.medians[follows], blocks.medians[follows + 1]


def _slope(before: FloatArray, after: FloatArray) -> FloatArray:
    if not len(before):
        return np.zeros(before.shape[1])
    mean = np.concatenate([before, after]).mean(axis=0)
    squares = np.maximum(((before - mean) ** 2).sum(axis=0), 1e-12)
    return np.asarray(np.clip(((before - mean) * (after - mean)).sum(axis=0) / squares, 0, _MAX_MEMORY))


def _periods(span_s: float) -> tuple[float, ...]:
    daily = [DAY_S / k for k in range(1, _DAILY + 1)] if span_s >= 2 * DAY_S else []
    weekly = [WEEK_S / k for k in range(1, _WEEKLY + 1)] if span_s >= _WEEKS * WEEK_S else []
    return (*daily, *weekly)


def _waves(at: FloatArray, periods_s: tuple[float, ...]) -> FloatArray:
    turns = [2 * math.pi * at / period for period in periods_s]
    return np.stack([np.ones_like(at), *(wave(turn) for turn in turns for wave in (np.sin, np.cos))], axis=1)
