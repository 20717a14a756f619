"""The streams without a change: each kind of monitor under each kind of noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.monitors.costly import ALLOWED as ALLOWED_OVER
from goldwatch.worker.monitors.dependence import Dependence
from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.failing import Failing
from goldwatch.worker.monitors.gap import GapMonitor, GapObjective
from goldwatch.worker.monitors.means import Means
from goldwatch.worker.monitors.moved import Moved
from goldwatch.worker.monitors.scored import WorseScores
from goldwatch.worker.monitors.share import ShareMonitor

from benchmarks.alerts.fleet import DAY, INTERVAL_S, Source, alpha
from benchmarks.alerts.seasons import Season
from benchmarks.alerts.sources import (
    BLOCK,
    EXAMPLES,
    GROUPS,
    INDEPENDENT,
    LEARNED,
    RIGHT,
    SMALL,
    Costs,
    Extra,
    Gaps,
    Outcomes,
    Pools,
    Random,
    Sessions,
    Shares,
    Slowness,
    Table,
    Wander,
    Wandering,
    Windows,
    daily,
    latencies,
    steady,
    wandering,
)

Make = Callable[[int, Random], Source]
MakeMeans = Callable[[Random], tuple[Means, Callable[[float, float], FloatArray]]]
Extras = Callable[[int, Random], Extra]


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of monitor under one kind of noise, and whether its rate is promised or only calibrated.

    One with a `season` is drawn and judged by the hour of the week (see `seasons`), and made of nothing else.
    """

    monitor: str
    noise: str
    make: Make
    promised: bool = True
    interval_s: float = 300.0
    season: Season | None = None


TOLERANCE = 0.01
ALLOWED = 0.01


def _outcomes(streams: int, random: Random, paired: bool, wander: Wandering) -> Source:
    return Outcomes(paired, TOLERANCE, wander(streams, random), streams, random)


def _shares(streams: int, random: Random, share: Callable[[int, Random], Wander]) -> Source:
    return Shares(Failing(ALLOWED, alpha()), share(streams, random))


def _binomial(streams: int, random: Random, wander: Wandering) -> Wander:
    """Return shares of 200 requests that miss independently, at a rate up to what is allowed."""
    rate = wander(streams, random)
    return lambda replay: random.binomial(200, ALLOWED * rate(replay)) / 200


def _together(streams: int, random: Random) -> Wander:
    return lambda replay: (random.random((streams, 1)) < ALLOWED).astype(np.float64)


def _heavy(streams: int, random: Random) -> Wander:
    """Return shares with the tail of a Pareto law of index 1.5, capped at 1; their mean is a little under the limit."""
    return lambda replay: np.minimum(ALLOWED / 3 * (1 + random.pareto(1.5, (streams, 1))), 1.0)


def score(random: Random, noise: str = "normal") -> tuple[Means, Callable[[float, float], FloatArray]]:
    """Return the monitor of a score with means from Beta(8, 2) and ten reference replays, and how to draw a replay."""
    means = random.beta(8, 2, EXAMPLES)
    flaky = np.where(random.random(EXAMPLES) < 0.2, 0.15, 0.0) if noise == "flaky" else np.zeros(EXAMPLES)

    def draw(level: float, change: float) -> FloatArray:
        shape = (EXAMPLES,)
        spread = 0.02 * random.standard_t(3, shape) if noise == "heavy" else random.normal(0, 0.03, shape)
        answer = flaky * random.choice([-1.0, 1.0], shape)
        return np.asarray(np.clip(means - TOLERANCE * level - change + spread + answer, 0, 1))

    reference = np.array([draw(0, 0) for _ in range(10)])
    return WorseScores(draw(0, 0), TOLERANCE, alpha(), reference), draw


def distance(random: Random, noise: str = "normal") -> tuple[Means, Callable[[float, float], FloatArray]]:
    """Return the monitor of distances of 0.004 on average, and ten reference replays, and how to draw a replay."""
    flaky = random.random(EXAMPLES) < 0.05

    def draw(level: float, change: float) -> FloatArray:
        heavy = noise == "heavy"
        found = 0.002 * random.pareto(1.5, EXAMPLES) if heavy else random.exponential(0.004, EXAMPLES)
        if noise == "flaky":
            found = np.where(flaky & (random.random(EXAMPLES) < 0.5), 0.3, found)
        return np.asarray(np.minimum(found + 0.002 * level + change, 1))

    reference = np.array([draw(0, 0) for _ in range(10)])
    return Moved(EXAMPLES, 0.002, alpha(), reference), draw


GROWTH = 0.02


def growth(
    random: Random, noise: str = "random", replays: int = 288
) -> tuple[Means, Callable[[float, float], FloatArray]]:
    """Return *gap* with `no worse than 2 points`, by so many replays in each half of the reference, and replays.

    At `random` all examples are; else 4 % of them are coins and the rest is fixed, and a change turns right ones wrong
    for good. Both a level and a change are losses of the smaller group.
    """
    small = GROUPS.codes == 0
    fixed = np.concatenate([np.resize(np.repeat([1.0, 0.5, 0.0], of), sum(of)) for of in ((45, 2, 3), (135, 6, 9))])
    usual = np.where(small, *RIGHT) if noise == "random" else fixed

    def draw(level: float, change: float) -> FloatArray:
        lost = GROWTH * level + change
        now = np.where(small, usual - lost, usual) if noise == "random" else usual.copy()
        if noise != "random":
            now[: round(lost * SMALL)] = 0.0
        return (random.random(EXAMPLES) < now).astype(np.float64)

    first, second = (np.array([draw(0, 0) for _ in range(replays)]) for _ in range(2))
    objective = GapObjective("accuracy", "group", growth=GROWTH)
    return GapMonitor(objective, GROUPS, first.mean(axis=0), alpha(), second), draw


def _gaps(streams: int, random: Random, wander: Wandering, *, together: bool = False) -> Source:
    return Gaps(wander(streams, random), streams, random, together=together)


def _pools(streams: int, random: Random, make: MakeMeans, wander: Wandering) -> Source:
    return Pools(make, wander(streams, random), random)


def _nothing(streams: int, random: Random) -> Extra:
    return lambda replays: 0.0


def _slowness(
    streams: int,
    random: Random,
    memory: float = 0.9,
    extra: Extras = _nothing,
    lost: float = 0.0,
    later: float | None = None,
    *,
    heavy: bool = False,
) -> Source:
    return Slowness(latencies(streams, random, memory, extra(streams, random), heavy=heavy), lost, random, later)


def _spikes(streams: int, random: Random) -> Extra:
    """Return spikes in one replay of a hundred, of a heavy tail: the factor of latency has index 2."""

    def at(replays: NDArray[np.int64]) -> FloatArray:
        shape = (len(replays), streams)
        return np.where(random.random(shape) < 0.01, np.log1p(random.pareto(2, shape)), 0.0)

    return at


def _weekly(streams: int, random: Random) -> Extra:
    return lambda replays: 0.05 * np.sin(2 * math.pi * replays / (7 * DAY))


def _bursts(streams: int, random: Random, replays: int = 6, begin_at: int = 0) -> Extra:
    """Return bursts of `replays` replays that are 50 % slower, every two days, at a time of each stream's own."""
    begin = random.integers(0, 2 * DAY, streams)
    return lambda at: np.where(((at - begin) % (2 * DAY) < replays) & (at >= begin_at), math.log(1.5), 0.0)


def table(random: Random) -> Table:
    """Return how to draw rows of a normal and a log-normal column, 2 % of it missing, and one of five categories."""
    names = np.array(["a", "b", "c", "d", "e"])

    def draw(rows: int, change: float | FloatArray) -> dict[str, NDArray[Any]]:
        amount = random.lognormal(0, 1, rows)
        amount[random.random(rows) < 0.02] = np.nan
        kind = random.choice(names, rows, p=[0.4, 0.3, 0.2, 0.09, 0.01])
        return {"normal": random.normal(change, 1, rows), "amount": amount, "kind": kind}

    return draw


def _windows(
    streams: int,
    random: Random,
    wander: Wandering = steady,
    sessions: Sessions = INDEPENDENT,
    tolerance: float = 0.0,
) -> Source:
    own = replace(sessions, random=random)
    return Windows(table(random), wander(streams, random), sessions=own, tolerance=tolerance)


SESSIONS = (10,) * 15 + (5,) * 10
"""200 rows of 25 sessions."""
STATED = (
    ("clusters: 10", 10, Dependence.BOUNDED),
    ("clusters: {key: session}", 10, Dependence.KEYED),
    ("clusters: unknown", 1, Dependence.UNKNOWN),
)
ALIKE = 0.7
"""Two rows of a session are the same in half of the cases."""


def _at_the_limit(streams: int, random: Random) -> Source:
    """Return figures with an honest interval of 95 %, of a truth at the limit: 2.5 % are above it as a whole."""
    monitor = ShareMonitor("costly", ALLOWED_OVER, alpha(HOUR_S), "")
    return Shares(monitor, lambda figure: (random.normal(0, 1, (streams, 1)) > 1.96).astype(np.float64))


def _figures(streams: int, random: Random, memory: float = 0.0) -> Source:
    """Return joules of a lasting level with sd 5 % and noise of a heavy tail, against 20 % above usual."""
    level = random.normal(0, 0.05, streams)

    def draw(figure: int) -> FloatArray:
        nonlocal level
        level = memory * level + random.normal(0, 0.05 * math.sqrt(1 - memory**2), streams)
        return np.asarray(np.exp(level + 0.04 * random.standard_t(3, streams)))

    return Costs(draw, 0.2)


HOUR_S = 3600.0

CELLS: Sequence[Cell] = (
    Cell(
        "worse",
        "independent, at the edge of the tolerance",
        partial(_outcomes, paired=False, wander=partial(steady, level=1.0)),
    ),
    Cell("worse", "independent", partial(_outcomes, paired=False, wander=steady)),
    Cell("worse", "autocorrelated within the tolerance", partial(_outcomes, paired=False, wander=wandering)),
    Cell("worse", "daily cycle within the tolerance", partial(_outcomes, paired=False, wander=daily)),
    Cell("worse", "flaky: 8 of 200 examples are coins", partial(_outcomes, paired=True, wander=steady)),
    Cell(
        "failing, slow",
        "independent, at the edge of the objective",
        partial(_shares, share=partial(_binomial, wander=partial(steady, level=1.0))),
    ),
    Cell("failing, slow", "all requests of a replay together", partial(_shares, share=_together)),
    Cell(
        "failing, slow",
        "autocorrelated within the objective",
        partial(_shares, share=partial(_binomial, wander=wandering)),
    ),
    Cell("failing, slow", "daily cycle within the objective", partial(_shares, share=partial(_binomial, wander=daily))),
    Cell("failing, slow", "heavy-tailed shares, at the edge of the objective", partial(_shares, share=_heavy)),
    Cell(
        "worse, score",
        "independent, at the edge of the tolerance",
        partial(_pools, make=score, wander=partial(steady, level=1.0)),
    ),
    Cell("worse, score", "autocorrelated within the tolerance", partial(_pools, make=score, wander=wandering)),
    Cell("worse, score", "daily cycle within the tolerance", partial(_pools, make=score, wander=daily)),
    Cell(
        "worse, score",
        "flaky: a fifth of the answers are one of two",
        partial(_pools, make=partial(score, noise="flaky"), wander=steady),
    ),
    Cell("worse, score", "heavy-tailed", partial(_pools, make=partial(score, noise="heavy"), wander=steady)),
    Cell(
        "moved",
        "independent, at the edge of the tolerance",
        partial(_pools, make=distance, wander=partial(steady, level=1.0)),
    ),
    Cell("moved", "autocorrelated within the tolerance", partial(_pools, make=distance, wander=wandering)),
    Cell("moved", "daily cycle within the tolerance", partial(_pools, make=distance, wander=daily)),
    Cell(
        "moved",
        "flaky: one in twenty outputs is a coin",
        partial(_pools, make=partial(distance, noise="flaky"), wander=steady),
    ),
    Cell("moved", "heavy-tailed", partial(_pools, make=partial(distance, noise="heavy"), wander=steady)),
    *(
        Cell("slower", noise, make, promised=False, interval_s=BLOCK * INTERVAL_S)
        for noise, make in (
            ("independent, daily cycle", partial(_slowness, memory=0.0)),
            ("autocorrelated (0.9), daily cycle", _slowness),
            ("autocorrelated (0.98), daily cycle", partial(_slowness, memory=0.98)),
            ("autocorrelated (0.995), daily cycle", partial(_slowness, memory=0.995)),
            ("as the second, a week of ±5 % too", partial(_slowness, extra=_weekly)),
            ("as the second, heavy-tailed spikes in 1 % of replays", partial(_slowness, extra=_spikes)),
            ("as the second, 30 % of replays missing", partial(_slowness, lost=0.3)),
            ("as the first, 80 % of replays missing after the baseline", partial(_slowness, memory=0.0, later=0.8)),
            ("as the second, bursts every two days, in the baseline too", partial(_slowness, extra=_bursts)),
            (
                "as the second, such bursts, none in the baseline",
                partial(_slowness, extra=partial(_bursts, begin_at=LEARNED)),
            ),
            (
                "as the second, bursts of two hours, none in the baseline",
                partial(_slowness, extra=partial(_bursts, replays=24, begin_at=LEARNED)),
            ),
            ("as the second, a level of heavy tails (t, 3 degrees)", partial(_slowness, heavy=True)),
            ("as the third, a level of heavy tails (t, 3 degrees)", partial(_slowness, memory=0.98, heavy=True)),
        )
    ),
    Cell("drift", "independent rows", _windows, interval_s=HOUR_S),
    Cell(
        "drift", "rows in clusters of 5", partial(_windows, sessions=Sessions((5,) * 40, cluster=5)), interval_s=HOUR_S
    ),
    *(
        Cell(
            "drift",
            f"sessions of 5 or 10 rows, half alike, `{stated}`",
            partial(_windows, sessions=Sessions(SESSIONS, ALIKE, cluster, dependence)),
            interval_s=HOUR_S,
        )
        for stated, cluster, dependence in STATED
    ),
    Cell(
        "drift",
        "autocorrelated within a tolerance of 0.02",
        partial(_windows, wander=wandering, tolerance=0.02),
        interval_s=HOUR_S,
    ),
    Cell(
        "drift",
        "daily cycle within a tolerance of 0.02",
        partial(_windows, wander=daily, tolerance=0.02),
        interval_s=HOUR_S,
    ),
    Cell("costly", "the truth at a stated limit, honest intervals", _at_the_limit, interval_s=HOUR_S),
    Cell("costly", "20 % above usual, independent, heavy-tailed", _figures, interval_s=HOUR_S),
    Cell(
        "costly",
        "20 % above usual, autocorrelated (0.9), heavy-tailed",
        partial(_figures, memory=0.9),
        promised=False,
        interval_s=HOUR_S,
    ),
    *(
        Cell("drift", f"season: {noise}", _windows, interval_s=HOUR_S, season=season)
        for noise, season in (
            ("daily and weekly cycle, all levels", Season()),
            ("the same, 10,000 reference rows without times: the week alone", Season(rows=10_000, timed=False)),
            ("as the first, the volume swings by 80 % in a day", Season(swings=True)),
            ("as the second, the volume swings by 80 % in a day", Season(rows=10_000, timed=False, swings=True)),
            ("as the first, days wander by 0.05 sd, tolerance 0.05", Season(wander=0.05, tolerance=0.05)),
        )
    ),
    Cell(
        "gap", "`at most`: independent, at the edge of the objective", partial(_gaps, wander=partial(steady, level=1.0))
    ),
    Cell("gap", "`at most`: autocorrelated within the objective", partial(_gaps, wander=wandering)),
    Cell("gap", "`at most`: both groups wander by 40 points together", partial(_gaps, wander=wandering, together=True)),
    Cell(
        "gap",
        "`no worse than`: independent, a loss of the whole tolerance",
        partial(_pools, make=growth, wander=partial(steady, level=1.0)),
    ),
    Cell(
        "gap",
        "`no worse than`: flaky: 4 % of examples are coins",
        partial(_pools, make=partial(growth, noise="flaky"), wander=steady),
    ),
)
