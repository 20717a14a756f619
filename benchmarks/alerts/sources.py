"""Streams of replays for each kind of monitor: a reference, then replays without a change, or with one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.evaluators.slices import Slicing
from goldwatch.worker.monitors.bands import Drift
from goldwatch.worker.monitors.baseline import learn
from goldwatch.worker.monitors.columns import Column, Numbers, columns
from goldwatch.worker.monitors.costly import Usual
from goldwatch.worker.monitors.dependence import Dependence
from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.forecast import MIN_REPLAYS, surprise
from goldwatch.worker.monitors.gap import GapMonitor, GapObjective
from goldwatch.worker.monitors.means import Means, Values
from goldwatch.worker.monitors.rates import log_ratios
from goldwatch.worker.monitors.share import ShareMonitor
from goldwatch.worker.monitors.slower import SHIFTS, log_e
from goldwatch.worker.monitors.worse import Worse

from benchmarks.alerts.fleet import DAY, INTERVAL_S, alpha

EXAMPLES, HALF, ACCURACY = 200, 144, 0.92
ALWAYS, NEVER, AT_RANDOM = 180, 12, 8
LEARNED = 14 * DAY

Random = np.random.Generator
Wander = Callable[[int], FloatArray]
"""How bad each stream is at a replay, between 0 and 1 [streams, 1]."""
Wandering = Callable[[int, Random], Wander]
"""Makes so many streams wander."""


def steady(streams: int, random: Random, level: float = 0.0) -> Wander:
    """Return streams that are always as bad."""
    return lambda replay: np.full((streams, 1), level)


def wandering(streams: int, random: Random, memory: float = 0.98) -> Wander:
    """Return streams whose badness has a memory: the normal probability of an AR(1) process."""
    from scipy.special import ndtr  # noqa: PLC0415 - only here

    level = random.normal(size=(streams, 1))

    def at(replay: int) -> FloatArray:
        nonlocal level
        level = memory * level + math.sqrt(1 - memory**2) * random.normal(size=(streams, 1))
        return np.asarray(ndtr(level))

    return at


def daily(streams: int, random: Random) -> Wander:
    """Return streams that are as bad as can be in the afternoon, and not at all at night."""
    return lambda replay: np.full((streams, 1), (1 + math.sin(2 * math.pi * replay / DAY)) / 2)


class Outcomes:
    """*Worse* on outcomes 0/1: 200 examples, accuracy 0.92 in 288 reference replays.

    At random every example is right with the same probability; `paired`, 180 are always right, 12 never and 8 at
    random, and a change turns right ones wrong for good. `wander` is how the tolerated loss varies.
    """

    def __init__(self, paired: bool, tolerance: float, wander: Wander, streams: int, random: Random) -> None:
        self._paired, self._tolerance, self._wander = paired, tolerance, wander
        self._streams, self._random = streams, random
        rates = np.repeat([1.0, 0.0, 0.5], [ALWAYS, NEVER, AT_RANDOM]) if paired else np.full(EXAMPLES, ACCURACY)
        monitors = [
            Worse(random.binomial(HALF, rates, (2, EXAMPLES)), (HALF, HALF), tolerance, alpha()) for _ in range(streams)
        ]
        tables = [list(_bets(each)) for each in monitors]
        widest = max(len(table) for table in tables)
        # A bet that is not there gets no weight.
        padded = [table + [(0, 1.0, 0.5, 0.5, 0.0)] * (widest - len(table)) for table in tables]
        group, self._sizes, self._null, self._alternative, weights = np.moveaxis(np.array(padded), 2, 0)
        self._group = group.astype(np.int64)
        with np.errstate(divide="ignore"):
            self.log_weights: FloatArray = np.log(weights)

    def log_e(self, replay: int, change: float) -> FloatArray:
        """Return those of one replay; `change` is the accuracy lost."""
        lost = change + self._tolerance * self._wander(replay)[:, 0]
        if self._paired:
            turned = np.floor(lost * EXAMPLES)
            failed = [turned + NEVER + self._random.binomial(AT_RANDOM, 0.5, self._streams), turned]
        else:
            failed = [self._random.binomial(EXAMPLES, 1 - ACCURACY + lost), np.zeros(self._streams)]
        counts = np.take_along_axis(np.stack(failed, axis=1).astype(np.float64), self._group, axis=1)
        return log_ratios(counts, self._sizes, self._null, self._alternative)


def _bets(each: Worse) -> Iterator[tuple[int, float, float, float, float]]:
    for index, group in enumerate(each.groups):
        for rate, weight in zip(group.alternatives, group.weights, strict=True):
            yield index, group.size, group.limit, rate, weight / len(each.groups)


class Shares:
    """*Failing* and *slow*: `share` draws what share of each stream's requests misses the objective [streams, 1]."""

    def __init__(self, monitor: ShareMonitor, share: Wander) -> None:
        self._monitor, self._share = monitor, share
        self.log_weights: FloatArray = monitor.log_weights

    def log_e(self, replay: int, change: float) -> FloatArray:
        """Return those of one replay."""
        return self._monitor.log_e(np.minimum(self._share(replay) + change, 1.0))


class Pools:
    """Bounded means: replays drawn from pools that were made beforehand, one of each reference and level of badness.

    `make` draws a monitor with its reference; `draw` the values of a replay at a level between 0 and 1, or at a change.
    """

    _LEVELS = 5

    def __init__(
        self,
        make: Callable[[Random], tuple[Means, Callable[[float, float], FloatArray]]],
        wander: Wander,
        random: Random,
        sizes: tuple[int, int] = (20, 600),
        changes: Sequence[float] = (0.0,),
    ) -> None:
        references, replays = sizes
        self._random, self._wander, self._replays = random, wander, replays
        self._changes = list(changes)
        answered = np.ones(EXAMPLES, dtype=np.bool_)
        levels = np.linspace(0, 1, self._LEVELS)
        pools = []
        for _ in range(references):
            monitor, draw = make(random)
            pools.append(
                [
                    [monitor.log_e(Values(draw(level, change), answered)) for _ in range(replays)]
                    for change in changes
                    for level in levels
                ]
            )
        self._pools = np.array(pools)
        self.log_weights: FloatArray = np.full(self._pools.shape[-1], -math.log(self._pools.shape[-1]))

    def log_e(self, replay: int, change: float) -> FloatArray:
        """Return those of one replay."""
        level = np.ceil(self._wander(replay)[:, 0] * (self._LEVELS - 1)).astype(np.int64)
        which = self._changes.index(change) * self._LEVELS + level
        streams = np.arange(len(level))
        drawn = self._random.integers(self._replays, size=len(level))
        return np.asarray(self._pools[streams % len(self._pools), which, drawn])


SMALL = 50
"""Examples of the smaller of two groups; the other has the rest."""
GROUPS = Slicing(np.repeat([0, 1], [SMALL, EXAMPLES - SMALL]), ("small", "large"))
RIGHT = (0.90, 0.92)
"""How often either group is usually right."""
AT_MOST = 0.05


class Gaps:
    """*Gap* with an objective `at most` 5 points: groups of 50 and 150 examples, usually right at 0.90 and 0.92.

    `wander` is how much of what is allowed the smaller one is behind; or, if `together`, how much of 40 points both
    lose. Replays are drawn afresh: the log e-values of each pair of counts of right answers are worked out beforehand.
    """

    def __init__(self, wander: Wander, streams: int, random: Random, *, together: bool = False) -> None:
        usual, large = np.repeat(RIGHT, [SMALL, EXAMPLES - SMALL]), EXAMPLES - SMALL
        monitor = GapMonitor(GapObjective("accuracy", "group", at_most=AT_MOST), GROUPS, usual, alpha())
        answered = np.ones(EXAMPLES, dtype=np.bool_)
        right = np.arange(SMALL)[np.newaxis] < np.arange(SMALL + 1)[:, np.newaxis]
        others = np.arange(large)[np.newaxis] < np.arange(large + 1)[:, np.newaxis]
        self._table = np.array(
            [
                [monitor.log_e(Values(np.concatenate([of, rest]).astype(np.float64), answered)) for rest in others]
                for of in right
            ]
        )
        self._wander, self._streams, self._random, self._together = wander, streams, random, together
        self.log_weights: FloatArray = np.full(self._table.shape[-1], -math.log(self._table.shape[-1]))

    def log_e(self, replay: int, change: float) -> FloatArray:
        """Return those of one replay; `change` is what the smaller group loses."""
        level = self._wander(replay)[:, 0]
        both, one = (0.4 * level, 0.0) if self._together else (0.0, (AT_MOST - RIGHT[1] + RIGHT[0]) * level)
        small = self._random.binomial(SMALL, RIGHT[0] - both - one - change, self._streams)
        return np.asarray(self._table[small, self._random.binomial(EXAMPLES - SMALL, RIGHT[1] - both, self._streams)])


BLOCK = 36
"""Replays in a block of *slower*: three hours of them."""

Latencies = Callable[[int, int], FloatArray]
"""Draws the mean logs [replays, streams] of the replays from the first, as many as the second says."""
Extra = Callable[[NDArray[np.int64]], FloatArray | float]
"""What comes on top of them at these replays [replays, 1], as [replays, streams]."""


class Slowness:
    """*Slower*: a baseline of 14 days for each stream, then blocks of three hours, each of 36 replays.

    `lost` of the replays are missing, of those after the baseline `later` if it is given.
    """

    def __init__(self, draw: Latencies, lost: float, random: Random, later: float | None = None) -> None:
        self._draw, self._random, self._lost = draw, random, lost if later is None else later
        at = np.asarray(np.arange(LEARNED) * INTERVAL_S, dtype=np.float64)
        kept = random.random(LEARNED) >= lost
        self._baseline, self._memory = learn(at[kept], draw(0, LEARNED)[kept], BLOCK * INTERVAL_S)
        self.log_weights: FloatArray = np.full(len(SHIFTS), -math.log(len(SHIFTS)))

    def log_e(self, replay: int, change: float | FloatArray) -> FloatArray:
        """Return those of one block, the number `replay`; `change` is that of the log latencies [replays, streams]."""
        block = LEARNED // BLOCK + replay
        at = np.arange(block * BLOCK, (block + 1) * BLOCK, dtype=np.float64) * INTERVAL_S
        rest = self._draw(block * BLOCK, BLOCK) + change - self._baseline.course.at(at)
        kept = self._random.random(BLOCK) >= self._lost
        if (replays := int(kept.sum())) < MIN_REPLAYS:
            return np.zeros((rest.shape[1], len(SHIFTS)))
        median = np.median(rest[kept], axis=0)
        missed, self._memory = surprise(self._baseline.noise, self._memory, block, median, replays)
        return log_e(missed)


def latencies(
    streams: int,
    random: Random,
    memory: float = 0.9,
    extra: Extra = lambda replays: 0.0,
    spread: float = 0.05,
    *,
    heavy: bool = False,
    p99: bool = False,
) -> Latencies:
    """Return a stream of mean logs: 200 log-normal requests of sigma .35 around 100 ms, a daily ±10 %, an AR(1) level.

    The level moves by a t-distribution with 3 degrees of freedom if `heavy`. `p99` gives the log of the 198th of the
    200 latencies in place of the mean. Replays are drawn in order.
    """
    from scipy.signal import lfilter  # noqa: PLC0415 - only here
    from scipy.special import ndtri  # noqa: PLC0415 - only here

    state = memory * random.normal(0, spread, (1, streams))

    def draw(first: int, replays: int) -> FloatArray:
        nonlocal state
        shape = (replays, streams)
        moves = random.standard_t(3, shape) / math.sqrt(3) if heavy else random.normal(size=shape)
        level, state = lfilter([1.0], [1.0, -memory], moves * (spread * math.sqrt(1 - memory**2)), axis=0, zi=state)
        which = np.arange(first, first + replays)[:, np.newaxis]
        course = math.log(0.1) + np.log1p(0.1 * np.sin(2 * math.pi * which / DAY))
        own = ndtri(random.beta(198, 3, shape)) if p99 else random.normal(0, 1 / math.sqrt(200), shape)
        return np.asarray(course + level + 0.35 * own + extra(which))

    return draw


class Costs:
    """*Costly* against what is usual: a week of hourly figures for each stream, drawn as [streams], then as many more.

    All figures are exact; `above_usual` is the ratio that is allowed.
    """

    def __init__(self, draw: Callable[[int], FloatArray], above_usual: float) -> None:
        self._draw, learned = draw, 169
        found = np.array([draw(figure) for figure in range(learned)])
        half = learned - learned // 2
        medians = np.median(found[:half], axis=0)
        self._limits = medians * (1 + above_usual)
        over = (found[half:] > self._limits).sum(axis=0)
        allowed = [Usual(0.0, learned, int(count)).allowed for count in over]
        monitors = [ShareMonitor("costly", share, alpha(3600.0), "") for share in allowed]
        self._log_e = np.array([[monitor.log_e(share) for share in (0.0, 1.0)] for monitor in monitors])
        self._learned = learned
        self.log_weights: FloatArray = monitors[0].log_weights

    def log_e(self, replay: int, change: float) -> FloatArray:
        """Return those of one measurement; `change` is the ratio of the increase."""
        over = self._draw(self._learned + replay) * (1 + change) > self._limits
        return np.asarray(self._log_e[np.arange(len(over)), over.astype(np.int64)])


Table = Callable[[int, Any], dict[str, NDArray[Any]]]
"""Draws so many rows, with a change that is one number or one for each row."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """The `sizes` of the sessions of a window, and what is stated of them: `cluster` and `dependence` of *drift*.

    A row is that of its session with the probability `alike`, and else one by itself.
    """

    sizes: tuple[int, ...]
    alike: float = 1.0
    cluster: int = 1
    dependence: Dependence = Dependence.BOUNDED
    random: Random = field(default_factory=lambda: np.random.default_rng(4))


INDEPENDENT = Sessions((1,) * 200)

_WANDERS = 0.05  # standard deviations of a normal column: two points of its median's share


class Windows:
    """*Drift*: windows of 200 rows, 10,000 reference rows; `references` of them, assigned to the streams cyclically.

    Rows come in `sessions`.
    """

    def __init__(
        self,
        table: Table,
        wander: Wander,
        references: int = 10,
        sessions: Sessions = INDEPENDENT,
        tolerance: float = 0.0,
    ) -> None:
        self._table, self._wander, self._sessions = table, wander, sessions
        self._drifts = [
            Drift(columns(table(10_000, 0.0), seed), alpha(), tolerance, sessions.cluster, sessions.dependence)
            for seed in range(references)
        ]
        widest = max(len(each.log_weights) for each in self._drifts)
        padded = np.full((references, widest), -np.inf)
        for row, each in zip(padded, self._drifts, strict=True):
            row[: len(each.log_weights)] = each.log_weights
        self._streams = len(wander(0))
        self.log_weights: FloatArray = padded[np.arange(self._streams) % references]

    def log_e(self, replay: int, change: float) -> FloatArray:
        """Return those of one window."""
        found = np.zeros(self.log_weights.shape)
        sizes = np.array(self._sessions.sizes)
        level = change + _WANDERS * self._wander(replay)[:, 0]
        cut = self._rows(level, len(sizes))[:, np.repeat(np.arange(len(sizes)), sizes)]
        if self._sessions.alike < 1:
            own = self._rows(level, int(sizes.sum()))
            cut = np.where(self._sessions.random.random(cut.shape) < self._sessions.alike, cut, own)
        keyed = self._sessions.dependence is Dependence.KEYED
        known = sizes if keyed else sizes.sum(keepdims=True)
        for i, drift in enumerate(self._drifts):
            part = cut[i :: len(self._drifts)]
            counts = np.concatenate([_counts(c, part[c.name], known) for c in drift.columns], axis=-1)
            rows = np.broadcast_to(known, counts.shape[:-1])
            log_e = drift.log_e(rows, counts) if keyed else drift.log_e(int(known[0]), counts[:, 0])
            found[i :: len(self._drifts), : log_e.shape[1]] = log_e
        return found

    def _rows(self, level: FloatArray, rows: int) -> NDArray[np.void]:
        """Draw `rows` rows of each stream [streams, rows], as records of the columns."""
        table = self._table(rows * self._streams, np.repeat(level, rows))
        kinds = [(name, values.dtype) for name, values in table.items()]
        found = np.empty(rows * self._streams, dtype=kinds)
        for name, values in table.items():
            found[name] = values
        return found.reshape(self._streams, rows)


def _counts(column: Column, values: NDArray[Any], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count [streams, sessions, cells] as the column does, in one go where it is cut at edges."""
    kind, first = column.kind, np.cumsum(sizes) - sizes
    if isinstance(kind, Numbers):
        # Below the first edge, at it, above it and below the next, and so on; the last bin is for missing values.
        streams, sessions, bins = len(values), len(sizes), 2 * len(kind.edges) + 2
        between = np.searchsorted(kind.edges, values) + np.searchsorted(kind.edges, values, side="right")
        between[np.isnan(values)] = bins - 1
        between += bins * np.repeat(np.arange(sessions), sizes)
        between += bins * sessions * np.arange(streams)[:, np.newaxis]
        counts = np.bincount(between.ravel(), minlength=bins * sessions * streams).reshape(streams, sessions, bins)
        up_to = counts.cumsum(axis=-1)
        return kind.of_nested(up_to[..., 1:-1:2], up_to[..., :-2:2], counts[..., -1])
    codes = [np.add.reduceat(values == name, first, axis=1, dtype=np.int64) for name in kind.names]
    other = sizes - np.sum(codes, axis=0)
    return np.stack([*codes, other, np.zeros_like(other)], axis=-1)
