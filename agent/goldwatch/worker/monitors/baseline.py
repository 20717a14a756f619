"""The usual latency, as *slower* learns it once, warns of it, and saves it. Runs in workers, with numpy."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.forecast import (
    DAY_S,
    MIN_REPLAYS,
    Course,
    Memory,
    Noise,
    fit_course,
    fit_noise,
    in_blocks,
    trend,
)

_MIN_TREND = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """The usual latency, learned from `replays` between two Unix times; it never changes.

    `trend` is the rise of the log latency while it was learned, 0 if none was noticed.
    """

    course: Course
    noise: Noise
    replays: int
    learned: tuple[float, float]
    trend: float = 0.0

    def __post_init__(self) -> None:
        for array in (self.course.coefficients, self.noise.memory, self.noise.mean, self.noise.spread):
            array.setflags(write=False)


def learn(at: FloatArray, log_s: FloatArray, block_s: float) -> tuple[Baseline, Memory]:
    """Learn the baseline of `log_s` [n, streams] at rising Unix times `at` [n], and the memory after its last block.

    Each half is cut into blocks around the course of the other half; the surprises of these blocks bound the mean and
    spread. The course of both halves is the one in use from then on. Raises ValueError for too few blocks.
    """
    if len(at) < 2 * MIN_REPLAYS:
        raise ValueError(f"{len(at)} replays are too few to learn from")
    middle = int(np.searchsorted(at, (at[0] + at[-1]) / 2))
    parts = slice(None, middle), slice(middle, None)
    courses = [fit_course(at[part], log_s[part]) for part in parts]
    first, second = (
        in_blocks(at[part], log_s[part] - course.at(at[part]), block_s)
        for part, course in zip(parts, reversed(courses), strict=True)
    )
    noise, course = fit_noise((first, second)), fit_course(at, log_s)
    blocks = in_blocks(at, log_s - course.at(at), block_s)
    rise = trend(blocks)
    baseline = Baseline(course, noise, len(at), (float(at[0]), float(at[-1])), float(rise[0]))
    return baseline, Memory(int(blocks.numbers[-1]), blocks.medians[-1])


def trend_warning(baseline: Baseline) -> str:
    """Warn of a baseline that was learned while the latency rose or fell."""
    if abs(baseline.trend) < _MIN_TREND:
        return ""
    change, days = math.expm1(baseline.trend), (baseline.learned[1] - baseline.learned[0]) / DAY_S
    return (
        f"; warning: latency {'rose' if change > 0 else 'fell'} by {abs(change):.0%} in the {days:.0f} days from which "
        "the usual was learned; relearn once it is steady"
    )


def plain_baseline(baseline: Baseline) -> dict[str, object]:
    """Return a baseline as JSON can hold it without loss."""
    noise = baseline.noise
    return {
        "periods_s": list(baseline.course.periods_s),
        "coefficients": baseline.course.coefficients[0].tolist(),
        "noise": [noise.memory.item(), noise.mean.item(), noise.spread.item()],
        "block_replays": noise.replays,
        "replays": baseline.replays,
        "learned": list(baseline.learned),
        "trend": baseline.trend,
    }


def saved_baseline(saved: Mapping[str, Any]) -> Baseline:
    """Return the baseline that was saved. Raises KeyError, TypeError or ValueError for anything else."""
    coefficients = finite([saved["coefficients"]])
    periods = tuple(float(period) for period in saved["periods_s"])
    if coefficients.shape != (1, 1 + 2 * len(periods)):
        raise ValueError("the course does not fit its periods")
    memory, mean, spread = (finite([number]) for number in saved["noise"])
    replays, rise = finite([saved["block_replays"], saved["trend"]]).tolist()
    if not (0 <= memory < 1 and spread > 0 and replays >= 1):
        raise ValueError("this noise cannot be")
    first, last = (float(when) for when in saved["learned"])
    noise = Noise(memory, mean, spread, replays)
    return Baseline(Course(periods, coefficients), noise, int(saved["replays"]), (first, last), rise)


def finite(values: object) -> FloatArray:
    """Return numbers as an array. Raises ValueError if one is not finite."""
    numbers = np.array(values, dtype=np.float64)
    if not np.all(np.isfinite(numbers)):
        raise ValueError("a number is not finite")
    return numbers


def pack_steps(numbers: Sequence[int]) -> str:
    """Return whole numbers as text, by their differences."""
    steps = np.diff(np.array(numbers, dtype=np.int64), prepend=0)
    return base64.b64encode(zlib.compress(steps.tobytes(), 9)).decode()


def unpack_steps(text: str) -> tuple[int, ...]:
    """Return the numbers of such a text. Raises ValueError for a damaged one."""
    try:
        raw = zlib.decompress(base64.b64decode(text, validate=True))
    except zlib.error as error:
        raise ValueError("damaged") from error
    return tuple(np.cumsum(np.frombuffer(raw, dtype=np.int64)).tolist())
