"""`goldwatch mlperf`: MLPerf's own LoadGen over any probe, with its logs, and its verdict as the exit code.

The test runs in a worker process (`goldwatch.worker.load.loadgen`). Whether it is VALID is read from the summary that
LoadGen writes. Added to it is only what LoadGen cannot know: requests that failed, and answers that are wrong.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from goldwatch.commands.gate import Result
from goldwatch.config import format_request_rate
from goldwatch.config.busy import Busy
from goldwatch.core.judgement import Score
from goldwatch.daemon.courtesy import Courtesy
from goldwatch.daemon.engine import STEPPED_BACK
from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.pipeline import plan_of
from goldwatch.ipc import jobs, judging_jobs
from goldwatch.ipc.jobs import LoadGenRequest, LoadGenResponse, LoadGenSettings
from goldwatch.ipc.judging_jobs import AccuracyRequest
from goldwatch.ipc.workers import JUDGES, JobFailed, WorkerDied, Workers
from goldwatch.redaction import redact

SUMMARY = "mlperf_log_summary.txt"
DETAIL = "mlperf_log_detail.txt"
ACCURACY = "mlperf_log_accuracy.json"
LOADGENS_QPS = 1.0
"""LoadGen's own `server_target_qps`."""

NOTHING = "nothing"
"""What LoadGen says of a test of accuracy, of which it only keeps the answers, and of one that it could not end."""

_LINE = re.compile(r"^([A-Za-z0-9][^:\n]*?)\s*:\s*(\S.*)$", re.MULTILINE)
_REASON = re.compile(r"^  (.+?)\s*: NO$", re.MULTILINE)
_ADVICE = re.compile(r"^ \* (.+(?:\n .+)*)", re.MULTILINE)
_MOST_WARNINGS, _MOST_TOLD = 5, 300
_LATE_S = 600.0
"""LoadGen ends by itself; a worker that has not, so long after ten times the shortest duration, hangs."""


@dataclass(frozen=True, slots=True)
class Tested:
    """One test: the result as of the gate, LoadGen's own word, the figures of its summary, and reasons and advice."""

    assignment: Assignment
    result: Result
    said: str
    figures: Mapping[str, str]
    reasons: tuple[str, ...]
    logs: Path
    accuracy: Score | None = None
    warnings: tuple[str, ...] = ()


def test(assignment: Assignment, workers: Workers, wanted: LoadGenSettings, output: Path) -> Tested:
    """Run LoadGen once against a target, with its logs in a folder. Raises OSError if that cannot be made."""
    logs = output.absolute() / assignment.watch.name / assignment.target.name
    logs.mkdir(parents=True, exist_ok=True)
    if (forbidden := _over_budget(assignment, wanted)) is not None:
        return Tested(assignment, Result.UNMEASURED, NOTHING, {}, (forbidden,), logs)
    try:
        done = _run(assignment, workers, wanted, logs)
        summary = (logs / SUMMARY).read_text()
        told = warnings(logs / DETAIL)
        accuracy = _accuracy(assignment, workers, logs) if wanted.mode == "accuracy" else None
    except (JobFailed, WorkerDied, OSError) as error:
        return Tested(assignment, Result.UNMEASURED, NOTHING, {}, (str(error),), logs)
    failed = sum(done.errors.values())
    reasons = [f"{failed:,} of {done.requests:,} requests failed: {why}" for why in list(done.errors)[:1]]
    if wanted.mode == "accuracy":
        return replace(_of_accuracy(assignment, accuracy, reasons, logs), warnings=told)
    said, figures, why = read(summary)
    result = Result.PASS if said == "VALID" and not failed else Result.REGRESSION
    return Tested(assignment, result, said, figures, (*reasons, *why), logs, warnings=told)


def _over_budget(assignment: Assignment, wanted: LoadGenSettings) -> str | None:
    """Return why the budgets of watch or target forbid the test: LoadGen alone decides when it sends.

    Its requests are never delayed, since that would be in its times.
    """
    load = plan_of(assignment).load
    if load.tokens_per_s is not None or load.cpu_share is not None:
        return "LoadGen keeps no budget of tokens or CPU: leave out `tokens_at_most` and `cpu_at_most` for the test"
    if load.most_per_s is None:
        return None
    allowed = f"`at_most` allows {format_request_rate(load.most_per_s)}"
    if wanted.scenario != "Server":
        return f"{allowed}, and in {wanted.scenario} LoadGen sends as fast as it is answered; take the scenario Server"
    rate = wanted.target_qps or LOADGENS_QPS
    return f"{allowed}, --target-qps is {rate:g}; lower it" if rate > load.most_per_s else None


def _run(assignment: Assignment, workers: Workers, wanted: LoadGenSettings, logs: Path) -> LoadGenResponse:
    target = assignment.target
    if target.python:
        raise WorkerDied(f"`python: {target.python}` is an interpreter of its own, and LoadGen runs in goldwatch's")
    request = LoadGenRequest(
        factory=target.factory,
        options=target.options,
        time_limit_s=assignment.watch.load.time_limit_s,
        path=assignment.golden.path,
        settings=wanted,
        output=str(logs),
        most_per_s=plan_of(assignment).load.most_per_s,
    )
    for log in logs.glob("mlperf_log_*"):
        log.unlink()  # an old summary is not taken for that of a test that failed
    try:
        return _driven(target.busy, workers, request, 10 * wanted.min_duration_s + _LATE_S)
    except (JobFailed, WorkerDied) as error:
        raise WorkerDied(redact(str(error), target.secrets())) from None


def _driven(busy: Busy | None, workers: Workers, request: LoadGenRequest, limit_s: float) -> LoadGenResponse:
    """Run LoadGen. Waits for a busy target before the start; a target that becomes busy ends the test."""
    if busy is None:
        return workers.call("mlperf", jobs.LOADGEN, request, limit_s=limit_s)
    courtesy = Courtesy(busy)
    if (why := courtesy.wait(threading.Event())) is None:
        with courtesy:
            return workers.call(
                "mlperf", jobs.LOADGEN, request, limit_s=limit_s, why_not=lambda: _stepped_back(courtesy.why_not())
            )
    raise WorkerDied(f"{STEPPED_BACK}{why}")


def _stepped_back(why: str | None) -> str | None:
    return None if why is None else f"{STEPPED_BACK}{why}"


def read(summary: str) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """Parse LoadGen's summary: VALID or INVALID, all its figures, and its reasons and recommendations."""
    figures = {name.strip(): value.strip() for name, value in _LINE.findall(summary)}
    unsatisfied = [f"{what.strip()}: NO" for what in _REASON.findall(summary)]
    head = summary.partition("Early Stopping Result:")[0]
    advice = [" ".join(text.split()) for text in _ADVICE.findall(head)]
    said = figures.get("Result is", NOTHING)
    return said, figures, tuple([*unsatisfied, *advice] if said != "VALID" else [])


def warnings(detail: Path) -> tuple[str, ...]:
    """Return the warnings and errors of LoadGen's detailed log, each once, with how often it came. Raises OSError."""
    found: Counter[str] = Counter()
    with detail.open() as lines:
        for line in lines:
            if '"is_warning": true' not in line and '"is_error": true' not in line:
                continue
            try:
                entry = json.loads(line[line.index("{") :])
                text = f"{entry['key']}: {entry['value']}"
            except (ValueError, KeyError, TypeError):
                text = line.strip()
            found[text[:_MOST_TOLD]] += 1
    return tuple(
        text + (f" ({times:,} times)" if times > 1 else "") for text, times in found.most_common(_MOST_WARNINGS)
    )


def _of_accuracy(assignment: Assignment, accuracy: Score | None, reasons: list[str], logs: Path) -> Tested:
    """Judge an accuracy test by the objective of the watch; LoadGen only keeps the answers."""
    if accuracy is None or accuracy.reference is None:
        return Tested(assignment, Result.UNMEASURED, NOTHING, {}, (*reasons, "no answer has a reference"), logs)
    allowed = assignment.watch.objectives.accuracy_loss
    worse = round(accuracy.reference - accuracy.value, 9) > allowed
    result = Result.REGRESSION if worse or reasons else Result.PASS
    return Tested(assignment, result, NOTHING, {}, tuple(reasons), logs, accuracy)


def _accuracy(assignment: Assignment, workers: Workers, logs: Path) -> Score | None:
    request = AccuracyRequest(assignment.golden.path, str(logs / ACCURACY))
    return workers.call(JUDGES, judging_jobs.ACCURACY, request).headline


def as_text(tested: Tested, wanted: LoadGenSettings) -> str:
    """Write what a test found, for people: LoadGen's word, the figures that the scenario is about, and the reasons."""
    assignment = tested.assignment
    lines = [f"{assignment.watch.name}  golden {assignment.golden}  {assignment.target.probe} {assignment.target.name}"]
    duration = f"at least {wanted.min_duration_s:g} s and {wanted.min_queries:,} queries"
    rows = [("scenario", f"{wanted.scenario}, {wanted.mode}" + (f", {duration}" if wanted.mode != "accuracy" else ""))]
    rows += [(name, value) for name, value in tested.figures.items() if _is_told(name)]
    if (score := tested.accuracy) is not None and score.reference is not None:
        rows.append((score.name, f"{score.value:.4f}, reference {score.reference:.4f}, {score.n:,} answers"))
    rows += [("because", reason) for reason in tested.reasons]
    rows += [("LoadGen warns", warning) for warning in tested.warnings]
    if wanted.audit is not None:
        rows.append(("audit", f"{wanted.audit}: LoadGen's word is on the test of the audit, not on a submission"))
    rows += [("LoadGen says", tested.said)] if tested.said != NOTHING else []
    rows += [("verdict", tested.result), ("logs", str(tested.logs))]
    return "\n".join([lines[0], *(f"  {name:<32}{value}" for name, value in rows)]) + "\n"


def _is_told(name: str) -> bool:
    told = ("percentile latency", "amples per second", "QPS w/o")
    return any(part in name for part in told)
