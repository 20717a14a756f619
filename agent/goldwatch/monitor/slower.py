"""The monitor *slower*: whether replays take longer than they usually do at this hour. A ticket.

It learns what is usual from the first replays that it is shown, then never again: the baseline is frozen in its state,
and says of itself from when it is. Each replay is the mean of the logs of its latencies; what a forecast from the
baseline misses it by is bet on (see `forecast` and `tails`). Its rate of false alarms is calibrated, not guaranteed:
the bounds hold if the surprises are like those of the baseline, which bursts of load are not.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goldwatch.judgement import Severity, State, Verdict
from goldwatch.monitor.budget import threshold_log10
from goldwatch.monitor.detector import Detector, FloatArray, grown, total
from goldwatch.monitor.episode import Episodes, Standing, Watching, turned_round
from goldwatch.monitor.forecast import DAY_S, Belief, Course, Noise, fit, initial, lasting, surprise, surprises
from goldwatch.monitor.tails import Tails, tails

SHIFTS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""What is bet on: surprises that are higher by so many standard deviations."""

BOUND_ERROR = 0.01
LEARNED_S = 14 * DAY_S
LEAST_REPLAYS = 400

_VERSION = 1
_TICKS = 10_000  # latencies are learned in steps of 0.01 %, so that what is saved is what is known
_SETTLING = 20
_HIGH_LEVEL = 2.0
_POWERS = (1.0, 0.8, 0.6, 0.45, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05)


@dataclass(frozen=True, slots=True)
class Latency:
    """The mean of the natural logs of a replay's latencies in seconds."""

    log_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What is usual, learned from `replays` between two Unix times; it never changes."""

    course: Course
    noise: Noise
    up: Tails
    down: Tails
    replays: int
    learned: tuple[float, float]

    def __post_init__(self) -> None:
        parts = (self.up, self.down)
        arrays = (self.course.coefficients, *(array for part in parts for array in (part.cuts, part.log_e)))
        for array in arrays:
            array.setflags(write=False)


@dataclass(frozen=True, slots=True, eq=False)
class SlowerState:
    """What *slower* remembers: what it learned so far, as seconds and ticks, or the baseline and where it stands."""

    seconds: tuple[int, ...] = ()
    ticks: tuple[int, ...] = ()
    baseline: Baseline | None = None
    belief: Belief | None = None
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class Learning:
    """From how long and how many replays the baseline is learned, and whose it is: another owner's is refused."""

    least_s: float = LEARNED_S
    least_replays: int = LEAST_REPLAYS
    owner: str = ""

    def __post_init__(self) -> None:
        if not (self.least_s > 0 and self.least_replays >= 100):
            raise ValueError("a baseline needs some time, and at least 100 replays")


class Slower:
    """Log latency against a forecast from a learned baseline.

    `interval_s` is that of the schedule; `tolerance` the lasting slowdown that is allowed (0.05 for 5 %); `alpha` the
    false tickets per replay that may be spent. Raises ValueError for a negative tolerance or no interval.
    """

    name = "slower"

    def __init__(
        self, interval_s: float, alpha: float, tolerance: float = 0.0, learning: Learning | None = None
    ) -> None:
        if not (interval_s > 0 and 0 <= tolerance < math.inf):
            raise ValueError(f"{tolerance} slower every {interval_s} seconds cannot be watched")
        self._interval_s = interval_s
        self._alpha = alpha
        self._tolerance = math.log1p(tolerance)
        self._learning = Learning() if learning is None else learning

    def fresh(self) -> SlowerState:
        """Return the state before the first replay."""
        return SlowerState()

    def update(self, observation: Latency, state: SlowerState, at: float) -> tuple[SlowerState, Verdict]:
        """Add one valid replay that started at Unix time `at`. Raises ValueError for what is no number."""
        if not math.isfinite(observation.log_s):
            raise ValueError(f"{observation.log_s} is not the mean of logs of latencies")
        if state.baseline is None or state.belief is None or state.standing is None:
            return self._learn(observation, state, at)
        return self._judge(observation, (state.baseline, state.belief, state.standing), at)

    def standing(self, state: SlowerState) -> Verdict:
        """Say again what is known, without a new replay."""
        if state.baseline is None or state.standing is None:
            return self._unknown(self._progress(state))
        return self._episodes(state.baseline).standing(state.standing)

    def save(self, state: SlowerState) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        saved: dict[str, object] = {"version": _VERSION, "owner": self._learning.owner}
        if state.baseline is None or state.belief is None or state.standing is None:
            return saved | {"seconds": _packed(state.seconds), "ticks": _packed(state.ticks)}
        belief = {"at": state.belief.at, "mean": state.belief.mean.item(), "variance": state.belief.variance.item()}
        standing = self._episodes(state.baseline).save(state.standing)
        return saved | {"baseline": _plain(state.baseline), "belief": belief, "standing": standing}

    def restore(self, saved: object) -> tuple[SlowerState, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping) or saved.get("version") != _VERSION:
            return self.fresh(), f"the saved baseline is not of version {_VERSION}; learning anew"
        if saved.get("owner") != self._learning.owner:
            return self.fresh(), "the saved baseline belongs to another golden set, load or model; learning anew"
        try:
            return self._restored(saved)
        except (KeyError, TypeError, ValueError, AttributeError):
            return self.fresh(), "the saved baseline is damaged; learning anew"

    def _restored(self, saved: Mapping[str, Any]) -> tuple[SlowerState, str | None]:
        if "baseline" not in saved:
            seconds, ticks = (_unpacked(saved[name]) for name in ("seconds", "ticks"))
            if len(seconds) != len(ticks):
                raise ValueError("times without latencies")
            return SlowerState(seconds, ticks), None
        baseline = _baseline(saved["baseline"])
        mean, variance = (np.array([float(saved["belief"][name])]) for name in ("mean", "variance"))
        belief = Belief(float(saved["belief"]["at"]), mean, variance)
        standing, refused = self._episodes(baseline).restore(saved["standing"])
        return SlowerState((), (), baseline, belief, standing), refused

    def _learn(self, observation: Latency, state: SlowerState, at: float) -> tuple[SlowerState, Verdict]:
        if state.seconds and at <= state.seconds[-1]:
            return state, self._unknown(self._progress(state))  # the clock was set back
        state = SlowerState((*state.seconds, round(at)), (*state.ticks, round(observation.log_s * _TICKS)))
        learning = self._learning
        enough = state.seconds[-1] - state.seconds[0] >= learning.least_s and len(state.ticks) >= learning.least_replays
        if not enough:
            return state, self._unknown(self._progress(state))
        times = np.array(state.seconds, dtype=np.float64)
        baseline = learn(times, np.array(state.ticks)[:, np.newaxis] / _TICKS, self._interval_s)[0]
        belief = initial(baseline.noise, at)
        return SlowerState((), (), baseline, belief, self._episodes(baseline).fresh()), self._unknown(
            f"learned what is usual from {baseline.replays:,} replays; watching from now on"
        )

    def _judge(
        self, observation: Latency, known: tuple[Baseline, Belief, Standing], at: float
    ) -> tuple[SlowerState, Verdict]:
        baseline, belief, standing = known
        usual = baseline.course.at(at)
        missed, belief = surprise(baseline.noise, belief, at, observation.log_s - usual)
        found = float(missed[0] - lasting(baseline.noise, self._tolerance)[0])
        log_back = baseline.down.of(SHIFTS[0] - found)
        if observation.log_s - usual[0] > _HIGH_LEVEL * math.sqrt(float(baseline.noise.level[0])):
            log_back = np.minimum(log_back, 0.0)  # a forecast gets used to a slow server; that is no recovery
        now, then = (math.exp(log_s) * 1000 for log_s in (observation.log_s, usual.item()))
        summary = f"{now:.3g} ms a request (geometric mean), {then:.3g} ms is usual at this hour"
        episodes = self._episodes(baseline)
        standing, verdict = episodes.update(standing, baseline.up.of(found), lambda _: log_back, at, summary)
        return SlowerState((), (), baseline, belief, standing), verdict

    def _episodes(self, baseline: Baseline) -> Episodes:
        parameters = [*baseline.up.cuts, *baseline.up.log_e.ravel(), self._tolerance]
        forward = Detector([1] * len(SHIFTS), self._alpha, parameters)
        watching = Watching(self.name, Severity.TICKET, "replays take longer than usual")
        backward = turned_round(len(SHIFTS), baseline.down.log_e.T.ravel().tolist())
        return Episodes(watching, forward, lambda _: backward)

    def _progress(self, state: SlowerState) -> str:
        days = (state.seconds[-1] - state.seconds[0]) / DAY_S if state.seconds else 0.0
        learning = self._learning
        return (
            f"learning what is usual: {len(state.ticks):,} replay{'' if len(state.ticks) == 1 else 's'} over "
            f"{days:.1f} of {learning.least_s / DAY_S:g} days"
            + ("" if len(state.ticks) >= learning.least_replays else f", at least {learning.least_replays:,} needed")
        )

    def _unknown(self, summary: str) -> Verdict:
        threshold = threshold_log10(self._alpha)
        return Verdict(self.name, State.UNKNOWN, Severity.TICKET, 0.0, threshold, None, confirm=False, summary=summary)


def _tempered(bets: Sequence[Tails], found: FloatArray) -> list[Tails]:
    """Make bets smaller until the baseline's own surprises [n, streams] would nearly never have paged.

    A power under 1 of an e-value is one. Where surprises come in bursts, the bets of a burst multiply as if each came
    alone; the power is the largest with which no sum of the baseline reached ten times its length, as one in ten
    baselines without bursts may.
    """
    powers = np.array(_POWERS)[:, np.newaxis]
    payoffs = np.array([each.log_e for each in bets])
    bins = np.array([np.searchsorted(each.cuts, column) for each, column in zip(bets, found.T, strict=True)])
    streams = np.arange(len(bets))
    log_m = np.full((len(bets), len(_POWERS), len(SHIFTS)), -np.inf)
    highest = np.full((len(bets), len(_POWERS)), -np.inf)
    for row in bins.T:
        log_m = grown(log_m, powers * payoffs[streams, row][:, np.newaxis])
        highest = np.maximum(highest, total(log_m, np.full(len(SHIFTS), -math.log(len(SHIFTS)))))
    fits = highest <= math.log(10 * len(found))
    chosen = np.where(fits.any(axis=1), np.argmax(fits, axis=1), len(_POWERS) - 1)
    return [Tails(each.cuts, _POWERS[power] * each.log_e) for each, power in zip(bets, chosen.tolist(), strict=True)]


def learn(at: FloatArray, log_s: FloatArray, interval_s: float) -> list[Baseline]:
    """Learn the baseline of each stream from `log_s` [n, streams] at the Unix times `at` [n].

    Each half is forecast by what was fitted to the other; those surprises bound the tails, and the fit to both halves
    is what forecasts from then on. Raises ValueError for fewer than 200 replays.
    """
    if len(at) < 200:
        raise ValueError(f"{len(at)} replays are too few to learn from")
    halves = slice(None, len(at) // 2), slice(len(at) // 2, None)
    crossed = []
    for ours, theirs in (halves, halves[::-1]):
        course, noise = fit(at[theirs], log_s[theirs], interval_s)
        crossed.append(surprises(course, noise, at[ours], log_s[ours])[_SETTLING:])
    found = np.concatenate(crossed)
    course, noise = fit(at, log_s, interval_s)
    up = _tempered([tails(column, SHIFTS, BOUND_ERROR) for column in found.T], found)
    return [
        Baseline(
            Course(course.periods_s, course.coefficients[i : i + 1]),
            Noise(interval_s, *(array[i : i + 1] for array in (noise.memory, noise.level, noise.white))),
            up[i],
            tails(-found[:, i], SHIFTS, BOUND_ERROR),
            len(at),
            (float(at[0]), float(at[-1])),
        )
        for i in range(found.shape[1])
    ]


def _plain(baseline: Baseline) -> dict[str, object]:
    """Return a baseline as JSON can hold it without loss."""
    noise = baseline.noise
    return {
        "periods_s": list(baseline.course.periods_s),
        "coefficients": baseline.course.coefficients[0].tolist(),
        "interval_s": noise.interval_s,
        "noise": [noise.memory.item(), noise.level.item(), noise.white.item()],
        "tails": [[part.cuts.tolist(), part.log_e.tolist()] for part in (baseline.up, baseline.down)],
        "replays": baseline.replays,
        "learned": list(baseline.learned),
    }


def _baseline(saved: Mapping[str, Any]) -> Baseline:
    """Return the baseline that was saved. Raises KeyError, TypeError or ValueError for anything else."""
    coefficients = _numbers([saved["coefficients"]])
    periods = tuple(float(period) for period in saved["periods_s"])
    if coefficients.shape != (1, 1 + 2 * len(periods)):
        raise ValueError("the course does not fit its periods")
    up, down = (Tails(_numbers(cuts), _numbers(log_e)) for cuts, log_e in saved["tails"])
    for part in (up, down):
        if part.log_e.shape != (len(part.cuts) + 1, len(SHIFTS)):
            raise ValueError("the tails do not fit the bets")
    memory, level, white = (_numbers([number]) for number in saved["noise"])
    noise = Noise(float(saved["interval_s"]), memory, level, white)
    first, last = (float(when) for when in saved["learned"])
    return Baseline(Course(periods, coefficients), noise, up, down, int(saved["replays"]), (first, last))


def _numbers(values: object) -> FloatArray:
    found = np.array(values, dtype=np.float64)
    if not np.all(np.isfinite(found)):
        raise ValueError("a number is not finite")
    return found


def _packed(numbers: Sequence[int]) -> str:
    steps = np.diff(np.array(numbers, dtype=np.int64), prepend=0)
    return base64.b64encode(zlib.compress(steps.tobytes(), 9)).decode()


def _unpacked(text: str) -> tuple[int, ...]:
    try:
        raw = zlib.decompress(base64.b64decode(text, validate=True))
    except zlib.error as error:
        raise ValueError("damaged") from error
    return tuple(np.cumsum(np.frombuffer(raw, dtype=np.int64)).tolist())
