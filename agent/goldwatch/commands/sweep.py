"""`goldwatch sweep`: the highest rate of arrivals at which a target still keeps its latency objective.

Each *step* replays the golden set at one rate, as the scenario `server` does (Poisson arrivals, latency from the
scheduled time), until one replay shows, with 99 % confidence, that the rate keeps the objective, or two of three show
that it does not: one stall decides nothing. Requests in a queue depend on each other, so a replay counts for its
effective number of requests (`core.dependence`), and the next is longer if that was too few. A rate at which the target
fails or answers otherwise than it was validated is not kept, however fast it is: as in MLPerf, accuracy that
is sampled while performance is measured must agree. Rates rise until one is not kept; bisection follows. Requests that
goldwatch itself could not send in time do not count against the target.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from goldwatch.commands.histogram import Histogram
from goldwatch.config import LatencyObjective, format_points, format_request_rate
from goldwatch.config.traffic import NO_BUDGET
from goldwatch.core.dependence import LEAST, effect_over, far_below, tail_share
from goldwatch.core.disturbances import Found as Disturbances
from goldwatch.core.latency import needed, quantile
from goldwatch.core.load_plan import LoadPlan
from goldwatch.core.outcome import Outcome
from goldwatch.core.validity import disturbed
from goldwatch.daemon.engine import STEPPED_BACK, Replay
from goldwatch.daemon.in_force import Assignment, CannotStart
from goldwatch.daemon.pipeline import considerate, plan_of
from goldwatch.daemon.plan import Plan
from goldwatch.ipc.columns import MOST_IN_FLIGHT
from goldwatch.ipc.judging_jobs import AGREEMENT, AgreementRequest
from goldwatch.ipc.workers import JUDGES, JobFailed, WorkerDied, Workers
from goldwatch.scratch import ascending, numbers
from goldwatch.worker.monitors.bounds import lower, upper

REPLAYS = 3
"""So often at most a rate is replayed, until it is known what it is. Each replay is judged by itself."""

MET_ERROR = 0.002
"""The nominal error of a replay that shows that the objective is kept.

Three of them come to less than 1 %; the rest is for what the design effect, an estimate, gets wrong in short replays:
`python -m benchmarks dependence` simulates that a rate that misses is *met* in less than 1 % of steps.
"""

MISSED_ERROR = 0.025
"""The error of each of the two ways in which a replay shows a miss. Two replays of three must: 3 x 0.05^2 < 1 %."""

MISSES = 2
"""After so many replays that showed a miss, a rate is given up."""

MOST_INVALID = 3
"""After so many invalid replays of a rate, goldwatch cannot send at it."""

RISE = 2.0
_PLANNED_OVER = 5
"""A step is long enough to show that the objective is kept even if so many of its requests are over the limit."""

_MARGIN = 1.5
"""The next replay has so many times the requests that would do if none were over the limit."""

_BUSY_CLIENT = 0.8
"""The share of one core from which the sending process of a served target is taken to be its own bottleneck."""

_SPARE_S = 30.0
"""So much longer than twice its schedule a step may take."""


class SweepVerdict(StrEnum):
    """The result of a step for its rate."""

    MET = "met"
    MISSED = "missed"
    UNSURE = "not certifiable"
    INVALID = "invalid"
    NO_ROOM = "no room"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """Options: rates in requests a second, the tolerance as a ratio, the times of a replay, the rest after it."""

    lowest_per_s: float
    highest_per_s: float
    within: float = 0.05
    step_s: float = 10.0
    longest_s: float = 120.0
    rest_s: float = 1.0


@dataclass(frozen=True, slots=True)
class RateTrial:
    """A valid replay at one rate, or the sum of several: requests, those over the limit, those that failed.

    A request that failed is over the limit, and so is one that was due and not sent any more. Of the `compared` answers
    `harmful` are wrong where the reference is right, `helpful` the other way round. `effect` is how many requests are
    worth one independent request, and `memory` the same of the queue, whatever the limit.
    """

    requests: int = 0
    over: int = 0
    failed: int = 0
    compared: int = 0
    harmful: int = 0
    helpful: int = 0
    latencies: Histogram = field(default_factory=Histogram)
    effect: float = 1.0
    memory: float = 1.0

    def __add__(self, other: RateTrial) -> RateTrial:
        return RateTrial(
            self.requests + other.requests,
            self.over + other.over,
            self.failed + other.failed,
            self.compared + other.compared,
            self.harmful + other.harmful,
            self.helpful + other.helpful,
            self.latencies + other.latencies,
            max(self.effect, other.effect),
            max(self.memory, other.memory),
        )

    def word(self, q: float) -> SweepVerdict:
        """Say whether this replay shows quantile `q` to be within the limit, or beyond it.

        The bounds are exact for the effective number of requests. A miss is also shown by a share over the limit that
        is so large that, by Markov's inequality, no queue that begins empty has it by chance.
        """
        over, requests, allowed = self.over / self.effect, self.requests / self.effect, 1 - q
        if upper(over, requests, MET_ERROR) <= allowed:
            return SweepVerdict.MET
        missed = lower(over, requests, MISSED_ERROR) > allowed or MISSED_ERROR * self.over >= allowed * self.requests
        return SweepVerdict.MISSED if missed else SweepVerdict.UNSURE


def decided(words: Sequence[SweepVerdict]) -> SweepVerdict:
    """Return what the replays of a rate show together, UNSURE if it is not known yet."""
    if words[-1] is SweepVerdict.MET:
        return SweepVerdict.MET
    return SweepVerdict.MISSED if words.count(SweepVerdict.MISSED) >= MISSES else SweepVerdict.UNSURE


def requests_wanted(memory: float, q: float) -> int:
    """Return how many requests the next replay needs, of a queue in which `memory` are worth an independent one."""
    free = math.log(MET_ERROR) / math.log(q)  # independent requests, none over the limit
    return math.ceil(_MARGIN * free * memory)


@dataclass(frozen=True, slots=True)
class SweepStep:
    """One rate, what was seen at it, what follows, and why that is not only a matter of latency."""

    rate_per_s: float
    word: SweepVerdict
    seen: RateTrial
    in_flight: int
    replays: int
    reasons: tuple[str, ...] = ()
    spoilt: str = ""
    """Why the rate is not kept whatever the latency: failures, or answers that are wrong."""

    words: tuple[SweepVerdict, ...] = ()
    """What each valid replay shows by itself."""

    exceeded: int = 0
    """The replays with more requests over the limit than the objective allows, or spoilt."""


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The steps in the order taken, and their combined result."""

    assignment: Assignment
    objective: LatencyObjective
    wanted: SweepOptions
    steps: tuple[SweepStep, ...]
    rate_per_s: float | None
    """The highest rate that was shown to keep the objective; None if none was."""

    bound: SweepStep | None
    """The lowest step above that which was not; None if the highest rate kept the objective."""


def search(
    take: Callable[[float], SweepVerdict], lowest: float, highest: float, within: float
) -> tuple[float | None, float | None]:
    """Return the highest rate that is met and the lowest rate above it that is not, None for one that there is not.

    Rates double from `lowest` up to `highest`, until one is not met; then the geometric middle is tried until the two
    are within a ratio of `1 + within`, of at least 1.01. No rate above one that is not met is tried.
    """
    met: float | None = None
    not_met: float | None = None
    rate = lowest
    while (word := take(rate)) is not SweepVerdict.STOPPED:
        if word is SweepVerdict.MET:
            met = rate
        else:
            not_met = rate
        if met is None or met >= highest:
            break
        if not_met is None:
            rate = min(RISE * met, highest)
        elif not_met <= (1 + within) * met:
            break
        else:
            rate = float(f"{math.sqrt(met * not_met):.4g}")  # a number that people can repeat
    return met, not_met


def sweep(
    assignment: Assignment,
    workers: Workers,
    wanted: SweepOptions,
    stop: threading.Event | None = None,
    tell: Callable[[SweepStep], None] = lambda _: None,
) -> SweepResult:
    """Find the rate. Calls `tell` with each step as it ends. Raises CannotStart for what may not or cannot be swept."""
    objective = assignment.watch.objectives.latency
    where = f"watches.{assignment.watch.name}"
    if objective is None:
        raise CannotStart(f"{where}.objectives has no `latency` to find a rate for; write one, such as 50ms at p99")
    load = plan_of(assignment).load
    if load.tokens_per_s is not None or load.cpu_share is not None:
        raise CannotStart(
            f"{where}: {NO_BUDGET.format('server')}: a sweep needs a target without `tokens_at_most` and `cpu_at_most`"
        )
    if (allowed := load.most_per_s) is not None and wanted.highest_per_s > allowed:
        raise CannotStart(
            f"{where}: a sweep up to {format_request_rate(wanted.highest_per_s)} is more than `at_most` allows, "
            f"{format_request_rate(allowed)}; lower the one, or raise the other for as long as the sweep takes"
        )
    sweeper = _Sweeper(assignment, objective, workers, wanted, stop or threading.Event())
    steps: list[SweepStep] = []

    def take(rate: float) -> SweepVerdict:
        steps.append(step := sweeper.step(rate))
        tell(step)
        return step.word

    met, not_met = search(take, wanted.lowest_per_s, wanted.highest_per_s, wanted.within)
    by_rate = {step.rate_per_s: step for step in steps}
    bound = by_rate[not_met] if not_met is not None else None
    if steps[-1].word is SweepVerdict.STOPPED:
        bound = steps[-1]
    return SweepResult(assignment, objective, wanted, tuple(steps), met, bound)


class _Sweeper:
    """Takes steps."""

    def __init__(
        self,
        assignment: Assignment,
        objective: LatencyObjective,
        workers: Workers,
        wanted: SweepOptions,
        stop: threading.Event,
    ) -> None:
        self._assignment, self._objective = assignment, objective
        self._workers, self._wanted, self._stop = workers, wanted, stop
        self._plan = plan_of(assignment)

    def step(self, rate: float) -> SweepStep:
        """Replay at a rate until it is known what it is, or known that this will not be known."""
        flight, enough = self._in_flight(rate)
        seen, reasons, invalid, words, spoilt = RateTrial(), [], 0, list[SweepVerdict](), ""
        exceeded, q = 0, self._objective.quantile
        requests = max(needed(_PLANNED_OVER, q), LEAST, math.ceil(rate * self._wanted.step_s))
        word = SweepVerdict.UNSURE
        while word is SweepVerdict.UNSURE and len(words) < REPLAYS:
            plan = self._step_plan(rate, flight, requests, seed=invalid + len(words))
            word, found, why = self._replayed(plan, flight, enough=enough)
            reasons += why
            if word is SweepVerdict.INVALID and (invalid := invalid + 1) < MOST_INVALID:
                word = SweepVerdict.UNSURE
            elif found is not None:
                seen += found
                if wrong := self._spoilt(found):
                    spoilt = wrong
                exceeded += bool(wrong) or found.over > (1 - q) * found.requests
                words.append(SweepVerdict.MISSED if wrong else found.word(q))
                word = decided(words)
                if words[-1] is SweepVerdict.UNSURE:
                    requests = self._longer(rate, requests, found)
            self._stop.wait(self._wanted.rest_s)  # what is still queued at the target is not to meet the next replay
        spoilt = spoilt if word is SweepVerdict.MISSED else ""
        told = tuple(dict.fromkeys(filter(None, [*reasons, spoilt])))
        return SweepStep(rate, word, seen, flight, invalid + len(words), told, spoilt, tuple(words), exceeded)

    def _longer(self, rate: float, requests: int, seen: RateTrial) -> int:
        """Return how many requests the next replay has: enough for how long the queue remembers, as far as may be."""
        wanted = requests_wanted(seen.memory, self._objective.quantile)
        return max(requests, min(wanted, math.ceil(rate * self._wanted.longest_s)))

    def _in_flight(self, rate: float) -> tuple[int, bool]:
        """Return how many requests may be in flight, and whether these are enough.

        They are if hardly ever more than that many arrive within the limit of the objective: then one that waits for a
        free connection waits behind one that is over the limit itself.
        """
        mean = rate * self._objective.limit_s
        most = math.ceil(mean + 4 * math.sqrt(mean)) + 1
        allowed = self._assignment.watch.load.in_flight or MOST_IN_FLIGHT
        return min(most, allowed), most <= allowed

    def _replayed(self, plan: Plan, flight: int, *, enough: bool) -> tuple[SweepVerdict, RateTrial | None, list[str]]:
        """Replay once. Returns what was seen only if it is of the target."""
        result = considerate(plan, self._assignment.target.busy, self._workers, self._stop)
        try:
            word, seen, reasons = self._judged(result, flight, enough=enough)
            if seen is not None:
                seen += self._agreement(result)
        except (JobFailed, WorkerDied) as error:
            return SweepVerdict.STOPPED, None, [f"the answers could not be compared: {error}"]
        finally:
            result.columns.close()
        return word, seen, reasons

    def _agreement(self, result: Replay) -> RateTrial:
        request = AgreementRequest(self._assignment.golden.place, result.columns.layout.rows)
        found = self._workers.call(JUDGES, AGREEMENT, request, (result.columns.fd,))
        return RateTrial(compared=found.compared, harmful=found.harmful, helpful=found.helpful)

    def _spoilt(self, seen: RateTrial) -> str:
        """Return why a rate is not kept, however short its latencies are; "" if there is no reason."""
        objectives = self._assignment.watch.objectives
        if seen.requests and lower(seen.failed, seen.requests, MISSED_ERROR) > objectives.error_rate:
            return f"{seen.failed:,} of {seen.requests:,} requests failed, {100 * objectives.error_rate:.4g}% allowed"
        lost, flips = seen.harmful - seen.helpful, seen.harmful + seen.helpful
        if lost <= round(objectives.accuracy_loss * seen.compared, 9):
            return ""
        # Where the reference varies by itself, flips one way must be more than those of a fair coin.
        if not self._assignment.golden.deterministic and lower(seen.harmful, flips, MISSED_ERROR) <= 1 / 2:
            return ""
        told = f"{seen.harmful:,} of {seen.compared:,} answers are wrong where the reference is right"
        return f"{told} ({seen.helpful:,} the other way), {format_points(objectives.accuracy_loss)}"

    def _step_plan(self, rate: float, flight: int, requests: int, seed: int) -> Plan:
        load = LoadPlan("server", rate, in_flight=flight, seed=self._plan.load.seed + seed)
        examples = len(self._plan.examples)
        return replace(
            self._plan,
            load=replace(load, most_per_s=self._plan.load.most_per_s),
            examples=[i % examples for i in range(requests)],
            warm=True,  # a model in process is not loaded again at each step
            trace=None,
            deadline_s=self._plan.start_limit_s + 2 * requests / rate + _SPARE_S,
        )

    def _judged(self, result: Replay, flight: int, *, enough: bool) -> tuple[SweepVerdict, RateTrial | None, list[str]]:
        if result.ended is not None and result.ended.startswith(STEPPED_BACK):
            return SweepVerdict.NO_ROOM, None, [result.ended.removeprefix(STEPPED_BACK)]
        if (why := result.ended or result.failure) is not None:
            return SweepVerdict.STOPPED, None, [why]
        limit_s, described = self._objective.limit_s, (result.description, result.described_after)
        reasons = [*disturbed(result.late_s(), result.disturbances, *described, limit_s)]
        seen, by_sending = _counted(result, self._objective)
        # Where only dependence leaves a doubt, the latencies are short enough, and nothing was short of something.
        if not reasons and replace(seen, effect=1.0).word(self._objective.quantile) is not SweepVerdict.MET:
            reasons = self._own_limits(result, by_sending, flight, enough=enough)
        if reasons:
            return SweepVerdict.INVALID, None, reasons
        errors = [f"{n:,} requests failed: {why}" for why, n in result.errors.most_common(1)]
        return SweepVerdict.UNSURE, seen, errors + ([result.given_up] if result.given_up else [])

    def _own_limits(self, result: Replay, by_sending: RateTrial, flight: int, *, enough: bool) -> list[str]:
        """Say why an objective that was not met may be goldwatch's doing rather than the target's."""
        found, served = result.disturbances, self._assignment.target.served
        if served and client_busy(found):
            return [f"goldwatch's own process took {100 * found.cpu_s / found.seconds:.0f} % of a core to send them"]
        if by_sending.word(self._objective.quantile) is not SweepVerdict.MET:
            return []  # what was sent took too long, however long it had waited before
        late_s, busy_s = math.fsum(result.late_s()), math.fsum(result.columns.latency_ns) / 1e9
        if late_s > self._wanted.within * (late_s + busy_s):
            share = 100 * late_s / (late_s + busy_s)
            return [f"goldwatch itself took {share:.0f} % of the time in which requests were due"]
        if not enough and _most_at_once(result) >= flight:
            why = f"all {flight} requests that may be in flight were, and the others waited in goldwatch"
            return [f"{why}; counted from sending, the objective is met"]
        return []


def client_busy(found: Disturbances) -> bool:
    """Say whether the process that sent the requests may have been its own bottleneck."""
    return found.cpu_s > _BUSY_CLIENT * found.seconds


def _counted(result: Replay, objective: LatencyObjective) -> tuple[RateTrial, RateTrial]:
    """Count the requests of a replay from when they were due, and from when they were sent."""
    columns, limit_s = result.columns, objective.limit_s
    rows = zip(columns.latency_ns, columns.dispatch_delay_ns, columns.outcome, strict=True)
    due_s = numbers(
        ((ns + delay) / 1e9 if outcome == Outcome.OK else math.inf for ns, delay, outcome in rows), columns.layout.rows
    )
    requests, answered_s = len(due_s), result.latencies_s()
    failed = requests - len(answered_s)
    tail_s = quantile(ascending(due_s), tail_share(objective.quantile))
    memory = 1.0 if far_below(max(answered_s, default=0.0), limit_s) else effect_over(due_s, tail_s)
    seen = RateTrial(
        requests,
        sum(s > limit_s for s in due_s),
        failed,
        latencies=Histogram.of(answered_s),
        effect=max(effect_over(due_s, limit_s), memory),
        memory=memory,
    )
    sent = zip(columns.latency_ns, columns.outcome, strict=True)
    by_sending = sum(outcome == Outcome.OK and ns > 1e9 * limit_s for ns, outcome in sent)
    return seen, RateTrial(requests, by_sending + failed, failed)


def _most_at_once(result: Replay) -> int:
    """Return the most requests that were in flight at a time."""
    columns, ends_ns, most = result.columns, list[int](), 0
    rows = zip(columns.sent_ns, columns.latency_ns, columns.outcome, strict=True)
    for sent_ns, latency_ns, outcome in sorted(rows):
        if outcome == Outcome.NOT_SENT:
            continue
        while ends_ns and ends_ns[0] <= sent_ns:
            heapq.heappop(ends_ns)
        heapq.heappush(ends_ns, sent_ns + latency_ns)
        most = max(most, len(ends_ns))
    return most
