"""`goldwatch compare`: one golden set across targets, as a leaderboard that separates real differences from noise.

The targets take turns, round by round, so that a machine that grows slower grows slower for all of them. Accuracy is
compared example by example with that of the first target (McNemar's exact test); speed by the ratio of the medians in
each round (a t-interval of its logarithm over the rounds), and costs in the same way. The cost of a target is that of
the time in which its requests were in flight: what goldwatch itself takes between two requests is not the model's.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from typing import Any

from goldwatch.commands.gate import ERROR
from goldwatch.core.judgement import Judgement, Quantile, Score, Validity
from goldwatch.core.latency import quantiles
from goldwatch.core.load_plan import OPEN
from goldwatch.daemon.engine import Replay
from goldwatch.daemon.in_force import Assignment, CannotStart, InForce
from goldwatch.daemon.pipeline import judge, replay, run
from goldwatch.energy.attribution import Energy, Interval
from goldwatch.energy.footprint import Footprint, Load, footprint
from goldwatch.ipc.judging_jobs import PARITY, Parity, ParityRequest
from goldwatch.ipc.workers import JUDGES, JobFailed, WorkerDied, Workers
from goldwatch.scratch import ascending, numbers

MAX_WIDTH = 4.0
"""An interval of speed whose bounds are further apart than this ratio states nothing: the rounds are too few."""


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

    @property
    def known(self) -> bool:
        """Whether the rounds are enough to state a speed: it is real, or the interval is narrow."""
        return self.real or self.high <= MAX_WIDTH * self.low


@dataclass(frozen=True, slots=True)
class Row:
    """One target.

    `parity` and `speed` are None for the first target, and if one of the two did not answer. `reaches_bound` is
    whether the accuracy is good enough; `best_for` has the frontiers that the target is on, `joules` or `cost`: no
    other target that is as accurate takes less beyond noise. `throughputs` are those of the rounds, `rates` the
    examples a second of the time with requests in flight, `costs` the money of an inference by these; None for a round
    without. There are no `costs` where more than the machine's time has a price, for that is measured once.
    """

    assignment: Assignment
    judgement: Judgement
    latency: tuple[Quantile, ...]
    throughput: float | None
    parity: Parity | None
    speed: Speed | None
    accuracy_differs: bool
    energy: Energy | None = None
    energy_missing: str = ""
    footprint: Footprint | None = None
    reaches_bound: bool = True
    best_for: frozenset[str] = frozenset()
    throughputs: tuple[float | None, ...] = ()
    rates: tuple[float | None, ...] = ()
    costs: tuple[float | None, ...] = ()

    @property
    def throughput_interval(self) -> Interval | None:
        """The throughput with a 99 % t-interval over the rounds; None for fewer than two."""
        return _over_rounds(self.throughputs)

    @property
    def cost_interval(self) -> Interval | None:
        """The cost of an inference with a 99 % t-interval over the rounds; None for fewer than two, or if unknown."""
        return _over_rounds(self.costs)

    @property
    def joules(self) -> float | None:
        """The gross joules of an inference, if they were measured."""
        return self.energy.gross_per_inference_j.value if self.energy else None

    @property
    def cost(self) -> float | None:
        """The cost of an inference, if it is known."""
        return self.footprint.inference.money if self.footprint else None

    @property
    def joules_of_right_answer(self) -> float | None:
        """The gross joules of a right answer, if they are known."""
        per = self.footprint.right_answer if self.footprint else None
        return per.gross_j.value if per and per.gross_j else None

    @property
    def joules_of_token(self) -> float | None:
        """The gross joules of an output token, if they are known."""
        per = self.footprint.token if self.footprint else None
        return per.gross_j.value if per and per.gross_j else None

    @property
    def accuracy(self) -> Score | None:
        """The score that counts, if it could be measured."""
        return self.judgement.headline


@dataclass(frozen=True, slots=True)
class Board:
    """The targets of one watch, as they were measured; the first one is what the others are compared with.

    `pairs` compares every two targets that answered, by their places in `rows`, the smaller first.
    """

    watch: str
    golden: str
    rows: tuple[Row, ...]
    pairs: Mapping[tuple[int, int], Parity] = field(default_factory=dict)

    def differ(self, pair: Parity) -> bool:
        """Return whether two of the targets differ in accuracy beyond chance: 1 % for all pairs (Bonferroni)."""
        return pair.p_value <= ERROR / max(len(self.pairs), 1)


def compare(
    wanted: InForce,
    workers: Workers,
    rounds: int,
    bound: float = 0.0,
    told: Callable[[Assignment], None] = lambda _: None,
) -> list[Board]:
    """Measure every watch of a config, each target in `rounds` rounds; `bound` is the least accuracy that counts.

    `told` hears of each replay as it ends.
    """
    boards = []
    for name in wanted.config.watches:
        assignments = [_warm(a) for a in wanted.assignments if a.watch.name == name]
        rows, pairs = _rows(assignments, workers, rounds, told)
        boards.append(Board(name, str(assignments[0].golden), frontier(rows, bound), pairs))
    return boards


def _warm(assignment: Assignment) -> Assignment:
    """Keep models loaded between the rounds: a cold start is not what is compared."""
    return replace(assignment, target=assignment.target.model_copy(update={"warm": True}))


Pairs = dict[tuple[int, int], Parity]


def _rows(
    assignments: Sequence[Assignment], workers: Workers, rounds: int, told: Callable[[Assignment], None]
) -> tuple[tuple[Row, ...], Pairs]:
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
                told(assignment)
        answered = [i for i, judgements in enumerate(judged) if judgements[0].headline is not None]
        each = combinations(answered, 2)  # nothing is claimed about a target that could not be measured
        every = {(i, j): _parity(assignments[i], first_round[i], first_round[j], workers) for i, j in each}
        pairs = [every.get((0, j)) for j in range(1, len(assignments))]
    finally:
        for result in first_round:
            result.columns.close()
    metered = [_metered(a, js[0], workers) for a, js in zip(assignments, judged, strict=True)]
    limit = ERROR / max(sum(pair is not None for pair in pairs), 1)
    rows = [
        _row(assignment, judgements, None if i == 0 else pairs[i - 1], None if i == 0 else judged[0], limit)
        for i, (assignment, judgements) in enumerate(zip(assignments, judged, strict=True))
    ]
    measured = tuple(_with_energy(row, found) for row, found in zip(rows, metered, strict=True))
    return measured, {places: pair for places, pair in every.items() if pair is not None}


def _with_energy(row: Row, metered: Judgement) -> Row:
    rates = row.rates if _is_of_time(row.assignment) else ()
    each = [None if rate is None else _comes_to(row, metered, rate) for rate in rates]
    return replace(
        row,
        energy=metered.extras.energy,
        energy_missing=metered.extras.energy_missing,
        footprint=_comes_to(row, metered, _middle(row.rates)),
        costs=tuple(found.inference.money if found else None for found in each),
    )


def _is_of_time(assignment: Assignment) -> bool:
    """Say whether the machine's time is all that is paid: energy and tokens are measured once, not in each round."""
    return assignment.energy is not None and assignment.energy.price.written == (assignment.energy.price.machine,)


def _metered(assignment: Assignment, judgement: Judgement, workers: Workers) -> Judgement:
    """Measure what a target takes after all rounds, where the config asks and it could be measured at all."""
    if assignment.energy is None or judgement.findings.validity is not Validity.VALID:
        return judgement
    return run(assignment, workers, {}, metered=True).judgement


def _comes_to(row: Row, metered: Judgement, rate: float | None) -> Footprint | None:
    """Work out the figures for one unit; money by a rate in examples a second."""
    section, found, tokens = row.assignment.energy, metered.findings.footprint, metered.findings.tokens
    if section is None or found is None:
        return None
    from goldwatch.daemon import metering  # noqa: PLC0415 - as in the pipeline

    load = Load(
        rate,
        next((score.value for score in row.judgement.findings.scores if score.name == "accuracy"), None),
        tokens.input_each if tokens is not None else None,
        tokens.output_each if tokens is not None else None,
    )
    return footprint(metered.extras.energy, load, metering.prices(section), found.grams_per_kwh)


def frontier(rows: Sequence[Row], bound: float = 0.0) -> tuple[Row, ...]:
    """Mark who reaches the accuracy bound, and who is on the frontier of accuracy against joules and against cost.

    A target is on it unless another that is as accurate is shown to take less; where that cannot be known, it is not.
    """

    def on(row: Row, takes_less: Callable[[Row, Row], bool | None]) -> bool:
        mine = row.accuracy
        if mine is None:
            return False
        others = [other for other in rows if other is not row and other.accuracy and other.accuracy.value >= mine.value]
        return all(takes_less(other, row) is False for other in others)

    def fewer_joules(one: Row, other: Row) -> bool | None:
        if one.energy is None or other.energy is None:
            return None
        return one.energy.gross_per_inference_j.high < other.energy.gross_per_inference_j.low

    def cheaper(one: Row, other: Row) -> bool | None:
        ratio = _ratio(other.costs, one.costs)
        return None if ratio is None else ratio.low > 1

    return tuple(
        replace(
            row,
            reaches_bound=row.accuracy is not None and row.accuracy.value >= bound,
            best_for=frozenset(
                name
                for name, value, less in (("joules", row.joules, fewer_joules), ("cost", row.cost, cheaper))
                if value is not None and on(row, less)
            ),
        )
        for row in rows
    )


def _ratio(these: Sequence[float | None], those: Sequence[float | None]) -> Interval | None:
    """Return the ratio of two values with a 99 % t-interval over the rounds; None for fewer than two rounds of both."""
    pairs = zip(these, those, strict=True)
    return _over_rounds([a / b if a and b else None for a, b in pairs])


def _over_rounds(values: Sequence[float | None]) -> Interval | None:
    """Return the geometric mean of positive values, with the 99 % t-interval of their logarithms' mean."""
    logs = [math.log(value) for value in values if value]
    if len(logs) < 2:
        return None
    from scipy.special import stdtrit  # noqa: PLC0415 - the agent never compares

    half = float(stdtrit(len(logs) - 1, 0.995)) * statistics.stdev(logs) / math.sqrt(len(logs))
    middle = statistics.fmean(logs)
    return Interval(*(math.exp(each) for each in (middle, middle - half, middle + half)))


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _parity(assignment: Assignment, first: Replay, other: Replay, workers: Workers) -> Parity | None:
    request = ParityRequest(assignment.golden.place)
    try:
        found = workers.call(JUDGES, PARITY, request, (first.columns.fd, other.columns.fd))
    except (JobFailed, WorkerDied) as error:
        raise CannotStart(f"the outputs could not be compared: {error}") from None
    return found if found.compared else None


def _row(
    assignment: Assignment,
    judgements: Sequence[Judgement],
    pair: Parity | None,
    firsts: Sequence[Judgement] | None,
    limit: float,
) -> Row:
    valid = [j for j in judgements if j.findings.validity is Validity.VALID]
    latencies_s = numbers(
        chain.from_iterable(j.run.latencies_s for j in valid), sum(len(j.run.latencies_s) for j in valid)
    )
    throughputs = tuple(j.findings.throughput if j.findings.validity is Validity.VALID else None for j in judgements)
    rates = tuple(
        None if each is None else _rate(assignment, j) or each for j, each in zip(judgements, throughputs, strict=True)
    )
    return Row(
        assignment=assignment,
        judgement=judgements[0],
        latency=quantiles(latencies_s, queued=judgements[0].run.scenario in OPEN),
        throughput=_middle(throughputs),
        parity=pair,
        speed=_speed(firsts, judgements) if firsts is not None else None,
        accuracy_differs=pair is not None and pair.p_value <= limit,
        throughputs=throughputs,
        rates=rates,
    )


def _rate(assignment: Assignment, judgement: Judgement) -> float | None:
    """Return the examples a second of the time with a request in flight; None where that is not known exactly.

    It is known of a load with one request at a time whose requests were all answered, or have one example each.
    """
    load, latencies_s = assignment.watch.load, judgement.run.latencies_s
    if judgement.run.scenario in OPEN or judgement.run.in_flight > 1 or not len(latencies_s):
        return None
    answered, examples = len(latencies_s) * load.samples, assignment.golden.examples
    if load.samples > 1 and answered < examples:
        return None
    return min(answered, examples) / math.fsum(latencies_s)


def _speed(firsts: Sequence[Judgement], others: Sequence[Judgement]) -> Speed | None:
    """Compare the medians round by round. Two rounds at least are needed for an interval."""
    found = _ratio([_median_of(judgement) for judgement in firsts], [_median_of(judgement) for judgement in others])
    return None if found is None else Speed(found.value, found.low, found.high)


def _median_of(judgement: Judgement) -> float | None:
    return _median(judgement.run.latencies_s) if judgement.findings.validity is Validity.VALID else None


def _median(values: Sequence[float]) -> float:
    ordered, half = ascending(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def sort_key(column: str) -> Any:  # noqa: ANN401 - what `sorted` takes
    """Return the sort key of a leaderboard, best first; targets without a measurement come last.

    `column` is accuracy, p50, p90, p99, throughput, joules, joules-per-right-answer, joules-per-token or cost. Raises
    KeyError for another.
    """

    def latency(row: Row, q: float) -> float:
        return next((x.latency_s for x in row.latency if x.q == q and x.latency_s is not None), math.inf)

    def known(value: float | None) -> float:
        return math.inf if value is None else value

    keys = {
        "accuracy": lambda row: -row.accuracy.value if row.accuracy else math.inf,
        "p50": lambda row: latency(row, 0.5),
        "p90": lambda row: latency(row, 0.9),
        "p99": lambda row: latency(row, 0.99),
        "joules": lambda row: known(row.joules),
        "joules-per-right-answer": lambda row: known(row.joules_of_right_answer),
        "joules-per-token": lambda row: known(row.joules_of_token),
        "cost": lambda row: known(row.cost),
        "throughput": lambda row: -row.throughput if row.throughput else math.inf,
    }
    return keys[column]
