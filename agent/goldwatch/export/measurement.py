"""Turns a judgement, or an event of the service, into measurements. Pure functions.

An unknown value gives no measurement: a score that could not be computed is absent, never zero. Exporters keep the
last value that they were given, so after a replay that could not be judged the last known scores stay, with their
age in `goldwatch_replay_last_valid_timestamp_seconds`, and with verdicts of unknown.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from goldwatch.config import Rejection
from goldwatch.core.judgement import (
    Difference,
    Judgement,
    Judging,
    Passed,
    Score,
    Severity,
    State,
    Subject,
    Validity,
    Verdict,
)
from goldwatch.core.outcome import Outcome
from goldwatch.core.score_spec import UnscoredReason
from goldwatch.core.trace import Traced
from goldwatch.energy.footprint import Footprint
from goldwatch.export import catalogue as c
from goldwatch.export.metric import Kind, Metric
from goldwatch.probe import TIME_UNKNOWN

_LONGEST_FACT = 128
_DIGEST_DIGITS = 12


class SkipReason(StrEnum):
    """Why a replay that was due did not take place. Label values: few, and fixed."""

    STILL_RUNNING = "still_running"
    WAITING = "waiting"
    INTERNAL_ERROR = "internal_error"
    BUSY = "busy"
    ENERGY = "energy"


class Fate(StrEnum):
    """The outcome of a live request."""

    JUDGED = "judged"
    SAMPLED_OUT = "sampled_out"
    SYNTHETIC = "synthetic"
    REFUSED = "refused"


class JudgeCall(StrEnum):
    """What became of an answer that a judge was to grade."""

    GRADED = "graded"
    REUSED = "reused"
    FAILED = "failed"


class Step(StrEnum):
    """How goldwatch stepped back from a target that had no room."""

    WAITED = "waited"
    HELD = "held"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Exemplar:
    """The trace and span (32 and 16 hexadecimal digits) of one observation, and its Unix time in seconds."""

    value: float
    trace_id: str
    span_id: str
    at: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of one series, in the unit of its metric.

    A counter is given its increase, a histogram all new observations, any other kind its value, NaN if there is none
    any longer. `exemplars` are some of
    the observations of a histogram, `bounds` the upper bounds of its buckets where they are not those of its metric.
    """

    metric: Metric
    labels: Mapping[str, str]
    value: float | Sequence[float]
    exemplars: tuple[Exemplar, ...] = ()
    bounds: tuple[float, ...] = ()
    key: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if self.labels.keys() != set(self.metric.labels):
            raise ValueError(f"{self.metric.name} has the labels {self.metric.labels}, not {tuple(self.labels)}")
        if isinstance(self.value, Sequence) != (self.metric.kind is Kind.HISTOGRAM):
            raise ValueError(f"{self.metric.name} is a {self.metric.kind}: {type(self.value).__name__} does not fit")
        if self.metric.kind is Kind.COUNTER and not (isinstance(self.value, int | float) and self.value >= 0):
            raise ValueError(f"{self.metric.name} is a counter and cannot change by {self.value}")
        object.__setattr__(self, "key", tuple(self.labels[label] for label in self.metric.labels))


def exemplars(traced: Traced | None) -> tuple[Exemplar, ...]:
    """Return the answered requests that have a span."""
    if traced is None:
        return ()
    trace_id = traced.trace.trace_id
    return tuple(
        Exemplar(asked.latency_s, trace_id, f"{asked.span_id:016x}", (asked.started_ns + asked.duration_ns) / 1e9)
        for asked in traced.asked
        if asked.spanned and asked.outcome is Outcome.OK
    )


def of_judgement(
    j: Judgement, latency_limit_s: float | None = None, slow: tuple[Exemplar, ...] = ()
) -> Iterator[Measurement]:
    """Yield all measurements of a replay and its judgement. The times of an invalid replay are not the target's.

    `latency_limit_s` is the objective, if there is one; `slow` are requests that have a span.
    """
    where = {"watch": j.subject.watch, "target": j.subject.target}
    yield from _of_courtesy(j, where)
    yield from _of_live(j, where)
    if j.extras.skipped:
        yield from of_skip(j.subject.watch, j.subject.target, j.extras.skipped)
        yield from of_verdicts(j.subject, j.verdicts)
        return
    yield from _of_replay(j, where)
    if j.findings.validity is Validity.INVALID:
        j, slow = _without_times(j), ()
    yield from _of_requests(j, where, latency_limit_s, slow)
    yield from _of_late(j, where, latency_limit_s)
    yield from _of_tokens(j, where)
    yield from _of_infos(j, where)
    yield from _of_difference(j, where)
    if j.findings.validity is Validity.VALID:
        yield from _ended(where, c.JUDGE_AGREEMENT, c.JUDGE_KAPPA, c.JUDGE_FALSE)
    for score in j.findings.scores:
        yield from _of_score(score, where | {"score": score.name})
    yield from _of_slices(j, where)
    yield from _of_scores_by_slice(j, where)
    yield from _of_gap(j, where)
    for check in j.findings.checks:
        failed = None if check.passed is Passed.UNKNOWN else float(check.passed is Passed.NO)
        yield from _gauge(c.CHECK_FAILED, {**where, "check": check.name}, failed)
    yield from _of_energy(j, where)
    yield from of_verdicts(j.subject, j.verdicts)


def of_watch(watch: str, target: str, scores: Iterable[str] = (), judged: Iterable[str] = ()) -> Iterator[Measurement]:
    """Yield the counters of a new watch with these scores at zero, so that Prometheus sees their first increase.

    `judged` are the scores that have a judge.
    """
    where = {"watch": watch, "target": target}
    for validity in Validity:
        yield Measurement(c.REPLAYS, where | {"validity": validity}, 0)
    for reason in SkipReason:
        yield Measurement(c.REPLAYS_SKIPPED, where | {"reason": reason}, 0)
    for outcome in Outcome:
        yield Measurement(c.REQUESTS, where | {"outcome": outcome.label}, 0)
    for step in Step:
        yield Measurement(c.STEPPED_BACK, where | {"step": step}, 0)
    yield from _of_unscored(where, {score: {} for score in scores})
    yield from _of_judgings(where, [Judging(score) for score in judged])


def _of_judgings(where: Mapping[str, str], judgings: Iterable[Judging]) -> Iterator[Measurement]:
    """Yield the calls to the judges of scores and their tokens, zeros included."""
    for judging in judgings:
        of = {**where, "score": judging.score}
        yield Measurement(c.JUDGE_CALLS, {**of, "call": JudgeCall.GRADED}, judging.calls - judging.failed)
        yield Measurement(c.JUDGE_CALLS, {**of, "call": JudgeCall.REUSED}, judging.reused)
        yield Measurement(c.JUDGE_CALLS, {**of, "call": JudgeCall.FAILED}, judging.failed)
        yield Measurement(c.JUDGE_TOKENS, {**of, "type": "input"}, judging.input_tokens)
        yield Measurement(c.JUDGE_TOKENS, {**of, "type": "output"}, judging.output_tokens)


def _of_unscored(where: Mapping[str, str], counts: Mapping[str, Mapping[str, int]]) -> Iterator[Measurement]:
    """Yield the examples without a score by score and reason, zeros included."""
    for score, of in counts.items():
        for reason in UnscoredReason:
            labels = {**where, "score": score, "reason": reason}
            yield Measurement(c.SCORE_UNSCORED, labels, of.get(reason, 0))


def of_skip(watch: str, target: str, reason: str) -> Iterator[Measurement]:
    """Yield one replay that did not take place. Raises ValueError if `reason` is none of SkipReason."""
    yield Measurement(c.REPLAYS_SKIPPED, {"watch": watch, "target": target, "reason": SkipReason(reason)}, 1)


def of_slots(slots: int, busy_s: float, waiting: int) -> Iterator[Measurement]:
    """Yield how many replays may run at once, for how long they did since the last call, and how many wait for it."""
    yield Measurement(c.REPLAY_SLOTS, {}, slots)
    yield Measurement(c.REPLAY_SLOTS_BUSY, {}, busy_s)
    yield Measurement(c.REPLAYS_WAITING, {}, waiting)


def of_verdicts(subject: Subject, verdicts: Iterable[Verdict]) -> Iterator[Measurement]:
    """Yield the monitors' verdicts alone, if nothing else is known."""
    for verdict in verdicts:
        where = {"watch": subject.watch, "target": subject.target, "monitor": verdict.monitor}
        yield from _of_verdict(verdict, where)


def of_alert(
    watch: str,
    target: str,
    severity: str | None,
    monitors: Iterable[str],
    *,
    silenced: bool = False,
    number: int = 0,
    says: Mapping[str, str] | None = None,
) -> Iterator[Measurement]:
    """Yield the open alert by severity and monitor, or zeros if `severity` is None.

    A silenced alert notifies no one, so it is not active. `says` has the text for the labels of
    `goldwatch_alert_info`. Raises ValueError for an unknown severity.
    """
    opened = None if severity is None else Severity(severity)
    texts = {name: (says or {}).get(name, "") for name in c.ALERT_INFO.labels if name not in ("watch", "target")}
    yield Measurement(c.ALERT_INFO, {"watch": watch, "target": target} | texts, 1)
    yield Measurement(c.ALERT_NUMBER, {"watch": watch, "target": target}, number if opened is not None else 0)
    for each in Severity:
        labels = {"watch": watch, "target": target, "severity": each}
        active = each is opened and not silenced
        for monitor in monitors if active else ("",):
            yield Measurement(c.ALERT_ACTIVE, labels | {"monitor": monitor}, float(active))
        yield Measurement(c.ALERT_SILENCED, labels, float(each is opened and silenced))


def of_accepted_config(at: float) -> Iterator[Measurement]:
    """Yield that a config was loaded at Unix time `at`."""
    yield Measurement(c.RELOAD_SUCCESSFUL, {}, 1)
    yield Measurement(c.RELOAD_SUCCESS_TIMESTAMP, {}, at)
    yield from _of_rejection(None, 0)


def of_rejected_config(reason: Rejection, since: float) -> Iterator[Measurement]:
    """Yield that a config was refused, as every one since Unix time `since`."""
    yield Measurement(c.RELOAD_SUCCESSFUL, {}, 0)
    yield from _of_rejection(reason, since)


def _of_rejection(reason: Rejection | None, since: float) -> Iterator[Measurement]:
    for each in Rejection:
        yield Measurement(c.REJECTED, {"reason": each}, float(each is reason))
    yield Measurement(c.REJECTED_TIMESTAMP, {}, since)


def of_pusher(signals: Iterable[str]) -> Iterator[Measurement]:
    """Yield the counters of a pusher to a collector at zero."""
    for signal in signals:
        yield Measurement(c.PUSHES_FAILED, {"signal": signal}, 0)
        yield Measurement(c.RECORDS_LOST, {"signal": signal}, 0)


def of_lost_records(signal: str, count: int) -> Iterator[Measurement]:
    """Yield records of a signal that were given up, or that the collector rejected."""
    yield Measurement(c.RECORDS_LOST, {"signal": signal}, count)


def of_failed_push(signal: str) -> Iterator[Measurement]:
    """Yield one push that a collector did not take."""
    yield Measurement(c.PUSHES_FAILED, {"signal": signal}, 1)


def of_lease(lease: str, *, leads: bool, errors: int = 0) -> Iterator[Measurement]:
    """Yield whether this replica holds the lease, and how many attempts at it have failed since the last call."""
    yield Measurement(c.LEADER, {"lease": lease}, float(leads))
    yield Measurement(c.LEASE_ERRORS, {"lease": lease}, errors)


def of_external_url(url: str) -> Iterator[Measurement]:
    """Yield the address of the agent's pages for people, "" if the config has none."""
    yield Measurement(c.EXTERNAL_URL, {"address": url.rstrip("/")}, 1)


def of_build(version: str) -> Iterator[Measurement]:
    """Yield what runs."""
    yield Measurement(c.BUILD_INFO, {"version": version, "python": platform.python_version()}, 1)


def _gauge(metric: Metric, labels: Mapping[str, str], value: float | None) -> Iterator[Measurement]:
    """Yield the value if there is one."""
    if value is not None and not math.isnan(value):
        yield Measurement(metric, labels, value)


def _ended(where: Mapping[str, str], *metrics: Metric) -> Iterator[Measurement]:
    """Yield NaN, which ends the series of a watch and target of metrics that are replaced whole."""
    for metric in metrics:
        yield Measurement(metric, {label: where.get(label, "") for label in metric.labels}, math.nan)


def _of_replay(j: Judgement, where: Mapping[str, str]) -> Iterator[Measurement]:
    yield Measurement(c.REPLAYS, {**where, "validity": j.findings.validity}, 1)
    yield from _gauge(c.REPLAY_TIMESTAMP, where, j.run.started_at)
    valid = j.findings.validity is Validity.VALID
    yield from _gauge(c.REPLAY_VALID_TIMESTAMP, where, j.run.started_at if valid else None)
    yield from _gauge(c.REPLAY_DURATION, where, j.run.duration_s)
    yield from _gauge(c.REPLAY_LATENESS, where, j.run.lateness_s)
    yield from _gauge(c.REPLAY_THROUGHPUT, where, j.findings.throughput)
    yield from _gauge(c.TARGET_OPEN, where, j.run.open_s)


def _of_courtesy(j: Judgement, where: Mapping[str, str]) -> Iterator[Measurement]:
    """Yield how busy the target was, where that is looked at, and in what ways goldwatch stepped back."""
    if (seen := j.extras.server_load) is None:
        return
    yield from _gauge(c.TARGET_LOAD, where, seen.most)
    yield Measurement(c.TARGET_LOAD_LIMIT, where, seen.limit)
    yield Measurement(c.TARGET_LOAD_UNREADABLE, where, float(bool(seen.unreadable)))
    waited = seen.waited_s > 0 and not j.extras.skipped
    for step, happened in ((Step.WAITED, waited), (Step.HELD, seen.held_s > 0), (Step.SKIPPED, bool(j.extras.skipped))):
        yield Measurement(c.STEPPED_BACK, {**where, "step": step}, float(happened))


def _without_times(j: Judgement) -> Judgement:
    tokens = None if j.findings.tokens is None else j.findings.tokens.without_times()
    return replace(j, run=replace(j.run, latencies_s=()), findings=replace(j.findings, tokens=tokens))


def _of_requests(
    j: Judgement, where: Mapping[str, str], limit_s: float | None, slow: tuple[Exemplar, ...]
) -> Iterator[Measurement]:
    for outcome in Outcome:  # zeros too: a series that is only there when something failed cannot be alerted on
        yield Measurement(c.REQUESTS, {**where, "outcome": outcome.label}, j.findings.outcomes.get(outcome.label, 0))
    yield Measurement(c.REQUESTS_RESENT, where, j.run.resent)
    yield from _gauge(c.FIRST_REQUEST, where, j.run.first_request_s)
    yield Measurement(c.REQUEST_LATENCY, where, j.run.latencies_s, slow, bounds=c.latency_buckets(limit_s))
    if j.run.late_s:
        yield Measurement(c.DISPATCH_LATENESS, where, j.run.late_s)


def _of_late(j: Judgement, where: Mapping[str, str], limit_s: float | None) -> Iterator[Measurement]:
    if limit_s is not None:
        lost = sum(j.findings.outcomes.get(outcome.label, 0) for outcome in (Outcome.TIMEOUT, Outcome.CRASHED))
        late = lost + sum(latency > limit_s for latency in j.run.latencies_s)
        yield Measurement(c.REQUESTS_LATE, where, 0 if j.findings.validity is Validity.INVALID else late)


def _of_tokens(j: Judgement, where: Mapping[str, str]) -> Iterator[Measurement]:
    if (found := j.findings.tokens) is None:
        return
    for kind, count in (("input", found.input), ("output", found.output)):
        if count is not None:
            yield Measurement(c.TOKENS, {**where, "type": kind}, count)
    for finish, count in finishes(found.finish).items():
        yield Measurement(c.ANSWERS_FINISHED, {**where, "finish": finish}, count)
    yield Measurement(c.FIRST_TOKEN, where, found.first_s)
    yield Measurement(c.OUTPUT_TOKEN, where, found.per_token_s)
    yield Measurement(c.TOKEN_GAP, where, found.gaps_s)
    if found.gaps_s:
        yield Measurement(c.LONGEST_TOKEN_GAP, where, max(found.gaps_s))
    for time, unknown in (("first", found.first_unknown), ("next", found.next_unknown)):
        for reason in TIME_UNKNOWN:
            yield Measurement(c.TOKEN_TIMES_UNKNOWN, {**where, "time": time, "reason": reason}, unknown.get(reason, 0))


def finishes(counts: Mapping[str, int]) -> dict[str, int]:
    """Count the answers by the reasons that are label values; whatever else a server calls it is `other`."""
    known = {name: counts.get(name, 0) for name in ("stop", "length")}
    return {**known, "other": sum(counts.values()) - sum(known.values())}


def _of_infos(j: Judgement, where: Mapping[str, str]) -> Iterator[Measurement]:
    yield Measurement(
        c.GOLDEN_INFO,
        {**where, "golden": j.subject.golden, "task": j.subject.task, "digest": _short(j.subject.golden_digest)},
        1,
    )
    yield Measurement(c.GOLDEN_EXAMPLES, where, j.subject.examples)
    if (d := j.run.description) is not None:
        said = {name: _fact(getattr(d, name)) for name in ("model", "version", "framework", "framework_version")}
        target = {"probe": j.subject.probe, **said, "device": _fact(d.device), "digest": _short(d.digest)}
        yield Measurement(c.TARGET_INFO, {**where, **target}, 1)


def _of_difference(j: Judgement, where: Mapping[str, str]) -> Iterator[Measurement]:
    if (d := j.findings.difference) is None:
        return
    yield Measurement(c.EXAMPLES_COMPARED, where, d.compared)
    yield Measurement(c.EXAMPLES_MOVED, where, d.moved)
    for effect, count in (("harmful", d.harmful), ("helpful", d.helpful), ("neutral", d.neutral)):
        yield Measurement(c.EXAMPLES_FLIPPED, {**where, "effect": effect}, count)
    if j.subject.task == "classification":
        yield from _of_confusions(d, where)
    yield from _gauge(c.OUTPUT_DISTANCE, where, j.findings.output_distance)


def _of_confusions(d: Difference, where: Mapping[str, str]) -> Iterator[Measurement]:
    """Yield the new mistakes, or a zero without labels, which ends those of the replay before."""
    found = {(_fact(mistake.label), _fact(mistake.said)): mistake.now for mistake in d.confusions}
    for (label, answer), examples in (found or {("", ""): 0}).items():
        yield Measurement(c.EXAMPLES_CONFUSED, {**where, "label": label, "answer": answer}, examples)


def _of_slices(j: Judgement, where: Mapping[str, str]) -> Iterator[Measurement]:
    for cut in j.findings.slices:
        labels = {**where, "slice": _fact(cut.slice), "value": _fact(cut.value)}
        yield Measurement(c.SLICE_RIGHT, labels, cut.right)
        yield from _gauge(c.SLICE_REFERENCE, labels, cut.reference)
        yield Measurement(c.SLICE_EXAMPLES, labels, cut.examples)


def _of_gap(j: Judgement, where: Mapping[str, str]) -> Iterator[Measurement]:
    """Yield the gap; of a valid replay without one, that the one before is not known any longer."""
    if j.findings.validity is Validity.VALID:
        yield from _ended(where, c.SLICE_GAP, c.SLICE_GAP_REFERENCE)
    if (gap := j.findings.gap) is not None:
        labels = {**where, "score": gap.score, "slice": _fact(gap.slice)}
        yield Measurement(c.SLICE_GAP, labels, gap.size)
        yield from _gauge(c.SLICE_GAP_REFERENCE, labels, gap.reference)


def _of_scores_by_slice(j: Judgement, where: Mapping[str, str]) -> Iterator[Measurement]:
    """Yield the scores of the config in each slice, and the examples that they could not score."""
    for score in j.findings.scores:
        for cut in score.slices:
            labels = {**where, "slice": _fact(cut.slice), "value": _fact(cut.value), "score": score.name}
            yield Measurement(c.SLICE_SCORE, labels, cut.right)
            yield from _gauge(c.SLICE_SCORE_REFERENCE, labels, cut.reference)
    yield from _of_unscored(where, {found.score: found.counts for found in j.findings.unscored})
    yield from _of_judgings(where, j.findings.judgings)


def _of_energy(j: Judgement, where: Mapping[str, str]) -> Iterator[Measurement]:
    """Yield what was metered after this replay: nothing where nothing was."""
    yield from _gauge(c.ENERGY_READINGS_DROPPED, {}, j.extras.readings_dropped or None)
    if (energy := j.extras.energy) is not None:
        source = {**where, "source": energy.source, "attribution": energy.attribution}
        yield Measurement(c.ENERGY, {**source, "part": "gross"}, energy.gross_j.value)
        yield Measurement(c.ENERGY, {**source, "part": "idle"}, max(energy.idle_j, 0.0))
        yield Measurement(c.ENERGY_INFERENCES, where, energy.inferences)
        yield from _gauge(c.ENERGY_IDLE_POWER, where, energy.idle_w.value)
        yield from _gauge(c.ENERGY_TIMESTAMP, where, j.run.started_at)
        each = {"gross": energy.gross_per_inference_j, "net": energy.net_per_inference_j}
        for part, joules in each.items():
            labels = {**source, "part": part}
            yield from _gauge(c.ENERGY_INFERENCE, labels, joules.value)
            yield from _gauge(c.ENERGY_INFERENCE_LOW, labels, joules.low)
            yield from _gauge(c.ENERGY_INFERENCE_HIGH, labels, joules.high)
        yield from _of_shares(j.findings.footprint, source)
    yield from _of_price(j.findings.footprint, where)


def _of_shares(found: Footprint | None, source: Mapping[str, str]) -> Iterator[Measurement]:
    """Yield the joules of a right answer and of an output token."""
    if found is not None:
        for metric, per in ((c.ENERGY_RIGHT_ANSWER, found.right_answer), (c.ENERGY_OUTPUT_TOKEN, found.token)):
            for part, joules in (("gross", per.gross_j), ("net", per.net_j)) if per is not None else ():
                yield from _gauge(metric, {**source, "part": part}, joules.value if joules is not None else None)


def _of_price(found: Footprint | None, where: Mapping[str, str]) -> Iterator[Measurement]:
    """Yield carbon and money of an inference, a right answer and an output token."""
    if found is not None:
        for carbon, cost, per in (
            (c.CARBON_INFERENCE, c.COST_INFERENCE, found.inference),
            (c.CARBON_RIGHT_ANSWER, c.COST_RIGHT_ANSWER, found.right_answer),
            (c.CARBON_OUTPUT_TOKEN, c.COST_OUTPUT_TOKEN, found.token),
        ):
            if per is not None:
                yield from _gauge(carbon, where, per.grams.value if per.grams is not None else None)
                yield from _gauge(cost, {**where, "currency": found.currency}, per.money)


def _of_live(j: Judgement, where: Mapping[str, str]) -> Iterator[Measurement]:
    """Yield what became of live requests since the window before."""
    if (found := j.findings.live) is None:
        return
    judged = found.requests - found.sampled_out - found.synthetic - found.refused
    others = {Fate.SAMPLED_OUT: found.sampled_out, Fate.SYNTHETIC: found.synthetic, Fate.REFUSED: found.refused}
    for fate, count in {Fate.JUDGED: judged, **others}.items():
        yield Measurement(c.LIVE_REQUESTS, {**where, "fate": fate}, count)
    for read, count in (("yes", found.rows), ("no", found.unreadable), ("cut", found.cut)):
        yield Measurement(c.LIVE_ROWS, {**where, "read": read}, count)
    yield Measurement(c.LIVE_WINDOWS, where, 1 if found.rows else 0)
    if found.rows:
        yield Measurement(c.LIVE_WINDOW_TIMESTAMP, where, found.began_at)


def _of_score(score: Score, labels: Mapping[str, str]) -> Iterator[Measurement]:
    yield from _gauge(c.SCORE, labels, score.value)
    yield from _gauge(c.SCORE_LOW, labels, score.low)
    yield from _gauge(c.SCORE_HIGH, labels, score.high)
    yield from _gauge(c.SCORE_REFERENCE, labels, score.reference)
    yield from _gauge(c.SCORE_EXAMPLES, labels, score.n)
    if (people := score.people) is not None:
        yield from _gauge(c.JUDGE_AGREEMENT, labels, people.agreement)
        yield from _gauge(c.JUDGE_KAPPA, labels, people.kappa)
        yield from _gauge(c.JUDGE_FALSE, {**labels, "called": "good"}, people.false_good_rate)
        yield from _gauge(c.JUDGE_FALSE, {**labels, "called": "bad"}, people.false_bad_rate)


def _of_verdict(verdict: Verdict, labels: Mapping[str, str]) -> Iterator[Measurement]:
    yield from _gauge(c.EVIDENCE, labels, verdict.evidence)
    yield from _gauge(c.EVIDENCE_THRESHOLD, labels, verdict.threshold)
    for state in State:
        yield Measurement(c.VERDICT, {**labels, "state": state}, float(state is verdict.state))


def _fact(text: str) -> str:
    """Truncate a server's text about itself, and make it valid to send: JSON may carry half a surrogate pair."""
    return text[:_LONGEST_FACT].encode("utf-8", "replace").decode()


def _short(digest: str) -> str:
    return _fact(digest.removeprefix("sha256:")[:_DIGEST_DIGITS])
