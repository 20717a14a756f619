"""`goldwatch compare`: one golden set across targets, as a leaderboard that says what is real and what is noise.

The targets take turns, round by round, so that a machine that grows slower grows slower for all of them. Accuracy is
compared example by example with that of the first target (McNemar's exact test); speed by the ratio of the medians in
each round (a t-interval of its logarithm over the rounds).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from goldwatch.judgement import Judgement, Quantile, Score, Validity
from goldwatch.pipeline import JUDGES, Assignment, CannotStart, InForce, judge, replay
from goldwatch.replay.engine import Replay
from goldwatch.replay.workers import JobFailed, WorkerDied, Workers
from goldwatch.score.latency import quantiles

ERROR = 0.01
"""The probability of calling any of a board's differences in accuracy real when none is (Bonferroni over the rows)."""


@dataclass(frozen=True, slots=True)
class Parity:
    """A target against the first, over the examples that both answered. See `goldwatch.parity`."""

    compared: int
    flips: int
    largest: float
    cosine: float
    only_first: int
    only_other: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Speed:
    """How many times as fast as the first target it answers, by the medians, with a 99 % interval over the rounds."""

    ratio: float
    low: float
    high: float

    @property
    def real(self) -> bool:
        """Whether the interval leaves no room for equality."""
        return not self.low <= 1 <= self.high


@dataclass(frozen=True, slots=True)
class Row:
    """One target. `parity` and `speed` are None for the first target, and where one of the two did not answer."""

    assignment: Assignment
    judgement: Judgement
    latency: tuple[Quantile, ...]
    throughput: float | None
    parity: Parity | None
    speed: Speed | None
    accuracy_differs: bool

    @property
    def accuracy(self) -> Score | None:
        """The score that counts, if it could be measured."""
        return self.judgement.headline


@dataclass(frozen=True, slots=True)
class Board:
    """The targets of one watch, as they were measured; the first one is what the others are compared with."""

    watch: str
    golden: str
    rows: tuple[Row, ...]


def compare(wanted: InForce, workers: Workers, rounds: int) -> list[Board]:
    """Measure every watch of a config, each target in `rounds` rounds."""
    boards = []
    for name in wanted.config.watches:
        assignments = [_warm(a) for a in wanted.assignments if a.watch.name == name]
        boards.append(Board(name, str(assignments[0].golden), _rows(assignments, workers, rounds)))
    return boards


def _warm(assignment: Assignment) -> Assignment:
    """Keep models loaded between the rounds: a cold start is not what is compared."""
    return replace(assignment, target=assignment.target.model_copy(update={"warm": True}))


def _rows(assignments: Sequence[Assignment], workers: Workers, rounds: int) -> tuple[Row, ...]:
    """Let the targets take turns; the outputs of the first round are kept for parity."""
    first_round: list[Replay] = []
    judged: list[list[Judgement]] = [[] for _ in assignments]
    try:
        for _ in range(rounds):
            for assignment, judgements in zip(assignments, judged, strict=True):
                result = replay(assignment, workers)
                judgements.append(judge(assignment, result, workers, {}).judgement)
                if len(first_round) < len(assignments):
                    first_round.append(result)
                else:
                    result.columns.close()
        pairs = [_parity(assignments[0], first_round[0], result, workers) for result in first_round[1:]]
    finally:
        for result in first_round:
            result.columns.close()
    limit = ERROR / max(len(pairs), 1)
    return tuple(
        _row(assignment, judgements, None if i == 0 else pairs[i - 1], None if i == 0 else judged[0], limit)
        for i, (assignment, judgements) in enumerate(zip(assignments, judged, strict=True))
    )


def _parity(assignment: Assignment, first: Replay, other: Replay, workers: Workers) -> Parity | None:
    argument = {"path": assignment.golden.path, "digest": assignment.golden.digest}
    try:
        found = workers.call(JUDGES, "goldwatch.parity:parity", argument, (first.columns.fd, other.columns.fd))
    except (JobFailed, WorkerDied) as error:
        raise CannotStart(f"the outputs could not be compared: {error}") from None
    return Parity(**found) if found["compared"] else None


def _row(
    assignment: Assignment,
    judgements: Sequence[Judgement],
    pair: Parity | None,
    firsts: Sequence[Judgement] | None,
    limit: float,
) -> Row:
    valid = [j for j in judgements if j.validity is Validity.VALID]
    latencies_s = [latency_s for j in valid for latency_s in j.latencies_s]
    throughputs = [j.throughput for j in valid if j.throughput is not None]
    return Row(
        assignment=assignment,
        judgement=judgements[0],
        latency=quantiles(latencies_s),
        throughput=statistics.median(throughputs) if throughputs else None,
        parity=pair,
        speed=_speed(firsts, judgements) if firsts is not None else None,
        accuracy_differs=pair is not None and pair.p_value <= limit,
    )


def _speed(firsts: Sequence[Judgement], others: Sequence[Judgement]) -> Speed | None:
    """Compare the medians round by round. Two rounds at least are needed for an interval."""
    logs = [
        math.log(statistics.median(first.latencies_s) / statistics.median(other.latencies_s))
        for first, other in zip(firsts, others, strict=True)
        if first.validity is Validity.VALID and other.validity is Validity.VALID
    ]
    if len(logs) < 2:
        return None
    from scipy.special import stdtrit  # noqa: PLC0415 - the agent never compares

    half = float(stdtrit(len(logs) - 1, 0.995)) * statistics.stdev(logs) / math.sqrt(len(logs))
    middle = statistics.fmean(logs)
    return Speed(math.exp(middle), math.exp(middle - half), math.exp(middle + half))


def sort_key(column: str) -> Any:  # noqa: ANN401 - what `sorted` takes
    """Return the key by which a leaderboard is sorted, best first; what was not measured comes last.

    `column` is accuracy, p50, p90, p99 or throughput. Raises KeyError for another.
    """

    def latency(row: Row, q: float) -> float:
        return next((x.latency_s for x in row.latency if x.q == q and x.latency_s is not None), math.inf)

    keys = {
        "accuracy": lambda row: -row.accuracy.value if row.accuracy else math.inf,
        "p50": lambda row: latency(row, 0.5),
        "p90": lambda row: latency(row, 0.9),
        "p99": lambda row: latency(row, 0.99),
        "throughput": lambda row: -row.throughput if row.throughput else math.inf,
    }
    return keys[column]
