"""How soon the monitors page: median replays from a change, and the false pages in 90 days without one.

The streams are described in the table that is made of them; the prototype's figures are those of the prototype that
goldwatch was planned with, on streams of the same description.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.means import Means
from goldwatch.worker.monitors.scored import WorseScores

from benchmarks.alerts.cells import ALIKE, STATED, growth
from benchmarks.alerts.fleet import DAY, INTERVAL_S, QUARTER, Source, alpha, delays, pages
from benchmarks.alerts.parallel import Jobs
from benchmarks.alerts.seasons import Season, season_delays, season_pages
from benchmarks.alerts.sources import (
    BLOCK,
    EXAMPLES,
    INDEPENDENT,
    Gaps,
    Outcomes,
    Pools,
    Random,
    Sessions,
    Slowness,
    Table,
    Windows,
    latencies,
    steady,
)

LONGEST = 3000

Change = float | Sequence[float]


@dataclass(frozen=True, slots=True)
class Stream:
    """Streams with a change: how they are drawn, how many of them, and the changes with their names.

    The monitor looks once in `looks_every` replays. Streams with a `season` (see `seasons`) are made of nothing else;
    their delays are in hours. `prototype` are the prototype's figures: false pages in 90 days,
    then the median delay of each change.
    """

    name: str
    make: Callable[[int, Random], Source]
    streams: int
    changes: tuple[tuple[str, Change], ...]
    prototype: tuple[float | None, ...]
    looks_every: int = 1
    season: Season | None = None


def _outcomes(streams: int, random: Random, paired: bool) -> Source:
    return Outcomes(paired, 0.0, steady(streams, random), streams, random)


def _latency(streams: int, random: Random, lost: float = 0.0, p99: bool = False) -> Source:
    return Slowness(latencies(streams, random, p99=p99), lost, random)


def features(random: Random) -> Table:
    """Return how to draw rows of ten columns: six normal, two log-normal, one uniform, one of two modes."""

    def draw(rows: int, change: float | FloatArray) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {f"normal_{i}": random.normal(0, 1, rows) for i in range(6)}
        found["normal_0"] = found["normal_0"] + change
        found |= {f"log_normal_{i}": random.lognormal(0, 1, rows) for i in range(2)}
        found["uniform"] = random.random(rows)
        found["modes"] = random.normal(np.where(random.random(rows) < 0.5, -2, 2), 1)
        return found

    return draw


def categories(random: Random) -> Table:
    """Return the same with a column of five categories in place of the changing one; a change goes to its third."""
    plain, names = features(random), np.array(["a", "b", "c", "d", "e"])
    usual = np.array([0.4, 0.25, 0.2, 0.1, 0.05])

    def draw(rows: int, change: float | FloatArray) -> dict[str, NDArray[Any]]:
        found = plain(rows, 0.0)
        moved = float(np.max(change))
        shares = usual * (1 - moved / 0.8)
        shares[2] = 0.2 + moved
        found["normal_0"] = random.choice(names, rows, p=shares / shares.sum())
        return found

    return draw


def _windows(
    streams: int, random: Random, table: Callable[[Random], Table], sessions: Sessions = INDEPENDENT
) -> Source:
    return Windows(table(random), steady(streams, random), sessions=replace(sessions, random=random))


def _paired_score(random: Random) -> tuple[Means, Callable[[float, float], FloatArray]]:
    """Return STATISTICS' bounded score: means of Beta(8, 2), noise of 0.03, 288 reference replays, no tolerance."""
    means = random.beta(8, 2, EXAMPLES)

    def draw(level: float, change: float) -> FloatArray:
        return np.asarray(np.clip(means - change + random.normal(0, 0.03, EXAMPLES), 0, 1))

    reference = np.array([draw(0, 0) for _ in range(288)])
    return WorseScores(reference[:144].mean(axis=0), 0.0, alpha(), reference[144:]), draw


def _worthless_score(random: Random) -> tuple[Means, Callable[[float, float], FloatArray]]:
    """Return the same with 40 reference replays and a point tolerated; a change is a share that score 0."""
    means = random.beta(8, 2, EXAMPLES)

    def draw(level: float, change: float) -> FloatArray:
        kept = np.arange(EXAMPLES) >= round(change * EXAMPLES)
        return np.asarray(np.clip(means * kept + random.normal(0, 0.03, EXAMPLES), 0, 1))

    reference = np.array([draw(0, 0) for _ in range(40)])
    return WorseScores(reference[:20].mean(axis=0), 0.01, alpha(), reference[20:]), draw


_LOSSES = (0.005, 0.01, 0.1)
_BEHIND = (0.05, 0.1, 0.2)
_WORTHLESS = (0.02, 0.05, 0.1)


def _scores(streams: int, random: Random) -> Source:
    return Pools(_paired_score, steady(streams, random), random, (20, 400), (0.0, *_LOSSES))


def _growth(streams: int, random: Random, noise: str) -> Source:
    make = partial(growth, noise=noise)
    return Pools(make, steady(streams, random), random, (20, 400), (0.0, *_BEHIND))


def _gaps(streams: int, random: Random) -> Source:
    return Gaps(steady(streams, random), streams, random)


def _worthless(streams: int, random: Random) -> Source:
    return Pools(_worthless_score, steady(streams, random), random, (20, 400), (0.0, *_WORTHLESS))


BEHIND = tuple((f"{x * 100:g} points", x) for x in _BEHIND)
ACCURACY = (("0.90", 0.02), ("0.85", 0.07), ("0.50", 0.42))
SLOWER = (("+10 %", math.log(1.1)), ("+30 %", math.log(1.3)), ("x 2", math.log(2.0)))
SHIFTS = ((".1 sd", 0.1), (".25 sd", 0.25), (".5 sd", 0.5))
TREND = (
    ("+1 % a day", [math.log(1.01) * after / DAY for after in range(LONGEST)]),
    ("+5 % a day", [math.log(1.05) * after / DAY for after in range(LONGEST)]),
    ("+20 % a day", [math.log(1.2) * after / DAY for after in range(LONGEST)]),
)


def _incidents(every: int) -> list[float]:
    """Return a loss of seven points of accuracy in two of `every` replays."""
    return [0.07 if after % every < 2 else 0.0 for after in range(LONGEST)]


INCIDENTS = (
    ("two of 288 replays at 0.85", _incidents(288)),
    ("two of 36", _incidents(36)),
    ("two of 12", _incidents(12)),
)

SEASON = Season(numbers=10, categories=False)

STREAMS: Sequence[Stream] = (
    Stream("accuracy 0.92 to, at random", partial(_outcomes, paired=False), 400, ACCURACY, (0.0025, 33.5, 4, 1)),
    Stream("accuracy 0.92 to, same examples", partial(_outcomes, paired=True), 400, ACCURACY, (0.0, 2, 1, 1)),
    Stream("latency, AR(1) and daily", _latency, 400, SLOWER, (0.010, 177, 15, 3), BLOCK),
    Stream("the same, 30 % of replays missing", partial(_latency, lost=0.3), 400, SLOWER, (None,) * 4, BLOCK),
    Stream("the same, a slow trend", _latency, 400, TREND, (None,) * 4, BLOCK),
    Stream("one of ten features", partial(_windows, table=features), 40, SHIFTS, (0.0, 78.5, 7, 2)),
    *(
        Stream(
            f"the same in 20 sessions of 10 rows, half alike, `{stated}`",
            partial(_windows, table=features, sessions=Sessions((10,) * 20, ALIKE, cluster, dependence)),
            40,
            SHIFTS,
            (None,) * 4,
        )
        for stated, cluster, dependence in STATED
    ),
    Stream(
        "the same, a share of a category of 20 %",
        partial(_windows, table=categories),
        40,
        (("+5 points", 0.05), ("+10 points", 0.1), ("+20 points", 0.2)),
        (None,) * 4,
    ),
    Stream("bounded score, loss of, paired", _scores, 400, tuple((f"{x:g}", x) for x in _LOSSES), (0.0, 9, 3, 1)),
    Stream("latency again, one p99 a replay", partial(_latency, p99=True), 400, SLOWER, (0.010, 177, 15, 3), BLOCK),
    Stream(
        "accuracy at random, incidents again and again", partial(_outcomes, paired=False), 400, INCIDENTS, (None,) * 4
    ),
    Stream(
        "bounded score, a share of answers becomes worthless",
        _worthless,
        400,
        tuple((f"{x:.0%}", x) for x in _WORTHLESS),
        (0.0, 134, 6, 2),
    ),
    Stream("one of ten features with a season, hours", _latency, 100, SHIFTS, (0.0, 110, 19, 7), season=SEASON),
    Stream(
        "the same, 10,000 reference rows without times",
        _latency,
        100,
        SHIFTS,
        (0.0, 139, 65, 37),
        season=replace(SEASON, rows=10_000, timed=False),
    ),
    Stream("gap of at most 5 points, a group of 50 loses", _gaps, 400, BEHIND, (None,) * 4),
    *(
        Stream(f"gap no worse than 2 points, {noise}", partial(_growth, noise=noise), 400, BEHIND, (0.0, *prototype))
        for noise, prototype in (("random", (174, 19, 5)), ("flaky", (25, 9, 4)))
    ),
)


def measure(jobs: Jobs, only: str, *, quick: bool) -> Iterator[dict[str, Any]]:
    """Measure each stream, and yield its row: false pages in 90 days, and the median delay of each change."""
    wanted = [i for i, stream in enumerate(STREAMS) if stream.name.startswith(only)]
    found = jobs.map(_one, [(i, j, quick) for i in wanted for j in range(-1, len(STREAMS[i].changes))])
    for i in wanted:
        stream = STREAMS[i]
        false = {"false_in_90_days": next(found), "prototype_false": stream.prototype[0], "streams": stream.streams}
        delayed = [
            {"change": name, "median": next(found), "prototype": stream.prototype[j + 1]}
            for j, (name, _) in enumerate(stream.changes)
        ]
        yield {"stream": stream.name} | false | {"delays": delayed}


def _one(work: tuple[int, int, bool]) -> float | None:
    """Return the false pages of a stream in 90 days (change -1), or the median delay, None for more than LONGEST."""
    index, change, quick = work
    stream = STREAMS[index]
    spend = alpha(INTERVAL_S * stream.looks_every)
    streams = max(20, stream.streams // 20) if quick else stream.streams
    if stream.season is not None:
        random = np.random.default_rng((3, index, change + 1))
        return _seasonal(stream.season, None if change < 0 else _shift(stream.changes[change][1]), streams, random)
    source = stream.make(streams, np.random.default_rng((3, index, change + 1)))
    if change < 0:
        looks = QUARTER // stream.looks_every
        return float(pages(source, looks // 20 if quick else looks, spend).sum()) / streams
    found = delays(source, stream.changes[change][1], LONGEST, spend, stream.looks_every)
    median = float(np.median(found))
    return median if math.isfinite(median) else None


def _shift(change: Change) -> float:
    if not isinstance(change, float):
        raise TypeError("a stream with a season moves by one number")
    return change


def _seasonal(season: Season, change: float | None, streams: int, random: Random) -> float | None:
    """Return the false pages of a stream in 90 days, or the median hours to a change; None for more than 60 days."""
    if change is None:
        return float(season_pages(season, streams, random, 90 * 24, shared=True).sum()) / streams
    median = float(np.median(season_delays(season, change, streams, random, 60 * 24)))
    return median if math.isfinite(median) else None
