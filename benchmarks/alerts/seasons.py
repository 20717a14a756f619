"""Streams of *drift* with a season: hours of 200 live rows with a daily and a weekly cycle, in blocks of the week.

The rows of an hour are drawn as counts of cells, from the law of the hour, so a thousand streams a year long take
minutes. Streams begin on a Monday; a step is an hour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.monitors.blocks import Block, BlockBets
from goldwatch.worker.monitors.columns import Categories, Numbers
from goldwatch.worker.monitors.detector import FloatArray, grown, total
from goldwatch.worker.monitors.ladder import alphas
from goldwatch.worker.monitors.season import DAY_H, HOUR_S, WEEK_H, Usual, levels_of, weigh

from benchmarks.alerts.fleet import alpha
from benchmarks.alerts.sources import Random

ROWS = 200
REFERENCES = 5
_MONDAY = 4 * DAY_H  # the number of the first hour of a stream
_DAILY, _WEEKEND, _SWING = 0.5, 0.3, 0.8
_MISSING = 0.02
_NAMES = ("a", "b", "c", "d", "e")


@dataclass(frozen=True, slots=True)
class Season:
    """Describes the streams: numeric columns with phases of their own and, with `categories`, one column of text.

    The reference has `rows` of four weeks, whose times are known if `timed`. With `swings` the number of requests moves
    by 80 % in a day; the level of each column and day has a standard deviation of `wander`.
    """

    numbers: int = 2
    categories: bool = True
    rows: int = 40_000
    timed: bool = True
    swings: bool = False
    wander: float = 0.0
    tolerance: float = 0.0

    @property
    def volume(self) -> FloatArray:
        """The requests of each hour of the week [168], with a mean of 1."""
        at = np.arange(WEEK_H)
        return np.asarray(1 + (_SWING if self.swings else 0.0) * np.sin(2 * math.pi * at / DAY_H))

    def means(self) -> FloatArray:
        """Return the mean of each numeric column in each hour of the week [168, numbers], in standard deviations."""
        at = np.arange(WEEK_H)[:, np.newaxis]
        phases = np.random.default_rng(1).integers(0, DAY_H, self.numbers)
        return np.asarray(_DAILY * np.sin(2 * math.pi * (at + phases) / DAY_H) + _WEEKEND * (at >= 5 * DAY_H))

    def shares(self) -> FloatArray:
        """Return the share of each category in each hour of the week [168, 5]."""
        odds = np.array([0.4, 0.3, 0.2, 0.09, 0.01]) * np.ones((WEEK_H, 1))
        odds[:, 0] *= np.exp(0.5 * np.sin(2 * math.pi * np.arange(WEEK_H) / DAY_H))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def reference(self, random: Random) -> Usual:
        """Draw the reference."""
        hours = np.arange(4 * WEEK_H)
        each = np.diff(np.rint(np.cumsum(np.tile(self.volume, 4)) / len(hours) * self.rows), prepend=0).astype(np.int64)
        at = np.repeat(hours, each)
        levels = random.normal(0, self.wander, (4 * 7, self.numbers)) if self.wander else np.zeros((28, self.numbers))
        means = self.means()[at % WEEK_H] + levels[at // DAY_H]
        table = {f"number {i}": random.normal(means[:, i], 1) for i in range(self.numbers)}
        for values in table.values():
            values[random.random(len(at)) < _MISSING] = np.nan
        if self.categories:
            up_to = self.shares().cumsum(axis=1)[at % WEEK_H]
            codes = np.minimum((random.random((len(at), 1)) > up_to).sum(axis=1), len(_NAMES) - 1)
            table["kind"] = np.array(_NAMES, dtype=object)[codes]
        return Usual.of(table, _MONDAY + at if self.timed else None)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A reference and the bets against it, which remember their bands."""

    usual: Usual
    bets: tuple[BlockBets, ...]

    @classmethod
    def draw(cls, season: Season, random: Random) -> Reference:
        """Draw the rows."""
        usual = season.reference(random)
        judged, _ = levels_of(usual)
        return cls(usual, tuple(BlockBets(each, len(judged), usual, season.tolerance, 1) for each in judged))


@cache
def _references(season: Season) -> tuple[Reference, ...]:
    """Return the references of streams with a change: the bands of ten columns take minutes."""
    random = np.random.default_rng(4)
    return tuple(Reference.draw(season, random) for _ in range(REFERENCES))


class Seasonal:
    """Streams that share five references, judged by the bets of the ladder itself."""

    def __init__(self, season: Season, streams: int, random: Random, references: Sequence[Reference] = ()) -> None:
        self._season, self._random = season, random
        known = references or [Reference.draw(season, random) for _ in range(REFERENCES)]
        self._means, self._shares = season.means(), season.shares()
        self._volume = season.volume / season.volume.max()
        self._groups = [_Group(season, each, len(range(i, streams, len(known)))) for i, each in enumerate(known)]

    def hours(self, count: int, change: float = 0.0, since: NDArray[np.int64] | None = None) -> Iterator[FloatArray]:
        """Yield, hour by hour, how many detectors of each stream page [streams], in the order of the references.

        The first column moves by `change` standard deviations from the hour `since` [streams] on.
        """
        from scipy.special import ndtr  # noqa: PLC0415 - only here

        for hour in range(count):
            at = hour % WEEK_H
            found, first = [], 0
            for group in self._groups:
                if hour % DAY_H == 0:
                    group.wander(self._random, self._season)
                means = self._means[at] + group.levels
                if since is not None:
                    means[:, 0] += change * (hour >= since[first : first + group.streams])
                    first += group.streams
                parts = [
                    _numbers(self._random, kind, ndtr(kind.edges - means[:, [i]]))
                    if isinstance(kind, Numbers)
                    else _texts(self._random, kind, self._shares[at], group.streams)
                    for i, kind in enumerate(group.usual.kinds.values())
                ]
                found.append(group.hour(hour, np.concatenate(parts, axis=1), self._volume))
            yield np.concatenate(found)


class _Group:
    """The streams of one reference."""

    def __init__(self, season: Season, reference: Reference, streams: int) -> None:
        self.streams = streams
        self.usual = reference.usual
        self.levels = np.zeros((streams, season.numbers))
        self._kept: list[FloatArray] = []
        spend = alphas([bets.level for bets in reference.bets], alpha(HOUR_S))
        self._levels = [_Judged(bets, streams, spend[bets.level.name]) for bets in reference.bets]

    def wander(self, random: Random, season: Season) -> None:
        """Begin a day, on which each column has a level of its own."""
        if season.wander:
            self.levels = random.normal(0, season.wander, self.levels.shape)

    def hour(self, hour: int, counts: NDArray[np.int64], volume: FloatArray) -> FloatArray:
        """Add an hour [streams, cells], and return how many detectors page [streams]."""
        self._kept = [*self._kept[-(WEEK_H - 1) :], counts.astype(np.float64)]
        pages = np.zeros(self.streams)
        number = _MONDAY + hour
        for judged in self._levels:
            level = judged.bets.level
            first = number - level.hours + 1
            if not level.ends_with(number) or first < _MONDAY:
                continue
            hours = range(first, number + 1)
            mass = self.usual.mass(hours)
            if mass is None:
                own = volume[[(each - _MONDAY) % WEEK_H for each in hours]]
                mass = own / own.sum()
            weights, short = weigh(np.full(level.hours, float(ROWS)), mass)
            kept = self._kept[-level.hours :]
            whole = sum((w * c for w, c in zip(weights, kept, strict=True)), np.zeros(counts.shape))
            place, detector = level.place(first)
            pages += judged.add(detector, Block(place, float(weights.sum() * ROWS), whole, short))
        return pages


class _Judged:
    """The detectors of a level, each for all streams."""

    def __init__(self, bets: BlockBets, streams: int, spend: float) -> None:
        self.bets, self._terms = bets, cache(bets.terms)
        self._log_weights = np.log(bets.weights)
        self._threshold = -math.log(spend)
        shape = streams, len(bets.weights)
        self._log_m = [np.full(shape, -np.inf) for _ in range(bets.level.detectors)]

    def add(self, detector: int, block: Block) -> NDArray[np.bool_]:
        """Add a block of each stream, and return which streams page [streams]; those start again."""
        terms = self._terms(block.place, block.short)
        log_m = grown(self._log_m[detector], terms.log_e(block.rows, block.counts), terms.log_stakes)
        weighted = log_m + self._log_weights
        paged: NDArray[np.bool_] = np.zeros(len(log_m), dtype=np.bool_)
        near = np.flatnonzero(weighted.max(axis=1) >= self._threshold - math.log(weighted.shape[1]))
        paged[near] = total(log_m[near], self._log_weights) >= self._threshold
        log_m[paged] = -np.inf
        self._log_m[detector] = log_m
        return paged


def _numbers(random: Random, kind: Numbers, up_to: FloatArray) -> NDArray[np.int64]:
    """Draw the counts [streams, cells] of a column whose laws have `up_to` [streams, edges] at or below its edges."""
    missing = random.binomial(ROWS, _MISSING, len(up_to))
    whole = np.concatenate([np.zeros((len(up_to), 1)), up_to, np.ones((len(up_to), 1))], axis=1)
    between = random.multinomial(ROWS - missing, np.diff(whole, axis=1))
    at_most = between.cumsum(axis=1)[:, :-1]
    return kind.of_nested(at_most, at_most, missing)


def _texts(random: Random, kind: Categories, shares: Sequence[float] | FloatArray, streams: int) -> NDArray[np.int64]:
    counts = random.multinomial(ROWS, shares, size=streams)
    own = [counts[:, _NAMES.index(name)] for name in kind.names]
    other = ROWS - np.sum(own, axis=0)
    return np.stack([*own, other, np.zeros_like(other)], axis=1)


def season_pages(
    season: Season, streams: int, random: Random, hours: int, *, shared: bool = False
) -> NDArray[np.int64]:
    """Return how many false pages each stream has in a number of hours without a change [streams].

    The references are those of streams with a change if `shared`.
    """
    source = Seasonal(season, streams, random, _references(season) if shared else ())
    return np.asarray(np.sum(list(source.hours(hours)), axis=0), dtype=np.int64)


def season_delays(season: Season, change: float, streams: int, random: Random, longest: int) -> FloatArray:
    """Return the hours from a change to the first page of each stream [streams], inf for more than `longest`.

    Two quiet weeks come first; a change begins at any hour of the week.
    """
    quiet = 2 * WEEK_H
    since = quiet + random.integers(0, WEEK_H, streams)
    first = np.full(streams, np.inf)
    for hour, pages in enumerate(
        Seasonal(season, streams, random, _references(season)).hours(quiet + WEEK_H + longest, change, since)
    ):
        new = (pages > 0) & (hour >= since) & np.isinf(first)
        first[new] = hour - since[new] + 1
        if np.isfinite(first).all():
            break
    return np.where(first > longest, np.inf, first)
