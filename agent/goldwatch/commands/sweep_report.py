"""The output of `goldwatch sweep`: a line for each step as it ends, and a sentence; or JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from goldwatch.commands.gate import EXIT_CODES, Result
from goldwatch.commands.sweep import REPLAYS, SweepResult, SweepStep, SweepVerdict
from goldwatch.config import format_latency, format_seconds
from goldwatch.core.latency import certifiable
from goldwatch.daemon.in_force import Assignment

_HEADINGS = ("rate /s", "requests", "over", "failed", "turned wrong", "p50", "p99", "in flight", "")
_WIDTHS = (10, 10, 8, 8, 12, 10, 10, 10, 0)


def head(assignment: Assignment) -> str:
    """Write what is swept, and the headings of its steps."""
    objective = assignment.watch.objectives.latency
    kept = f"objective {format_latency(objective)}" if objective is not None else ""
    names = [assignment.watch.name, f"golden {assignment.golden}", assignment.target.probe, assignment.target.name]
    return "  ".join([*names, kept]).rstrip() + "\n" + _cells(_HEADINGS)


def row(step: SweepStep) -> str:
    """Write one step; reasons go on lines of their own."""
    seen = step.seen
    quantiles = [_quantile(step, q) for q in (0.5, 0.99)]
    counts = [f"{n:,}" if seen.requests else "" for n in (seen.requests, seen.over, seen.failed, seen.harmful)]
    cells = (f"{step.rate_per_s:,.4g}", *counts, *quantiles, str(step.in_flight), f"{step.word}{_how_often(step)}")
    return _cells(cells) + "".join(f"    {reason}\n" for reason in step.reasons)


def _cells(cells: tuple[str, ...]) -> str:
    padded = (cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return ("  " + "  ".join(padded)).rstrip() + "\n"


def _how_often(step: SweepStep) -> str:
    """Write in how many replays a rate that was kept was not."""
    if step.word is not SweepVerdict.MET or not step.exceeded:
        return ""
    return f" (not in {step.exceeded} of {len(step.words)} replays)"


def _quantile(step: SweepStep, q: float) -> str:
    """Write a quantile of the requests that were answered, if it can be known."""
    if not certifiable(len(step.seen.latencies), q):
        return ""
    return format_seconds(step.seen.latencies.quantile(q))


def in_words(found: SweepResult) -> str:
    """Say in one sentence what was found, and what bounds it."""
    limit, bound = format_latency(found.objective), found.bound
    warning = _warning(found)
    kept = f"{_rate(found.rate_per_s)} keeps {limit}" if found.rate_per_s is not None else ""
    if bound is None:
        return f"{kept}: the highest rate that was tried; raise --max-rate to find where it ends{warning}"
    at, told = _rate(bound.rate_per_s), "; ".join(bound.reasons[-1:])
    what = {
        SweepVerdict.MISSED: f"{at} does not"
        + ("" if kept else " keep it")
        + (f": {bound.spoilt}" if bound.spoilt else ""),
        SweepVerdict.UNSURE: f"{REPLAYS} replays could not show whether {at} does{_unsure(bound)}",
        SweepVerdict.NO_ROOM: f"at {at} the target had no room: {told}",
        SweepVerdict.INVALID: f"at {at} goldwatch itself was the limit, not the target: {told}",
    }.get(bound.word, f"the sweep ended at {at}: {told}")
    if kept:
        return f"{kept}; {what}{warning}"
    further = "; lower --min-rate to look below" if bound.word in (SweepVerdict.MISSED, SweepVerdict.UNSURE) else ""
    return f"no rate was shown to keep {limit}: {what}{further}"


def _unsure(step: SweepStep) -> str:
    """Say why a step could not be certain, and what would help."""
    if step.seen.effect < 2:
        return ""
    return (
        f" (requests in its queue depend on each other: {step.seen.effect:,.0f} count as one; "
        "a longer --longest-step shows more)"
    )


def _warning(found: SweepResult) -> str:
    """Say which rates were not kept at once, but when they were repeated."""
    repeated = [step for step in found.steps if _how_often(step)]
    told = [f"{_rate(step.rate_per_s)} in {step.exceeded} of {len(step.words)} replays" for step in repeated]
    return f"; warning: {', '.join(told)} did not keep it, and did when repeated" if told else ""


def _rate(rate_per_s: float | None) -> str:
    return f"{rate_per_s:,.4g} per second"


def exit_code(found: SweepResult) -> int:
    """Return 0 for a rate that was found, 1 if the target misses its objective at the lowest, 2 if nothing is known."""
    if found.rate_per_s is not None:
        return EXIT_CODES[Result.PASS]
    missed = found.bound is not None and found.bound.word is SweepVerdict.MISSED
    return EXIT_CODES[Result.REGRESSION if missed else Result.UNMEASURED]


def as_text(found: SweepResult) -> str:
    """Write all steps, and the result."""
    return "".join([head(found.assignment), *map(row, found.steps), f"  {in_words(found)}\n"])


def as_json(found: SweepResult) -> str:
    """Write everything that was measured, times in seconds, and the exit code."""
    assignment, bound = found.assignment, found.bound
    whole = {
        "watch": assignment.watch.name,
        "target": assignment.target.name,
        "golden": str(assignment.golden),
        "objective": asdict(found.objective),
        "tried": asdict(found.wanted),
        "rate_per_s": found.rate_per_s,
        "not_kept_per_s": bound.rate_per_s if bound is not None else None,
        "bound_by": bound.word if bound is not None else None,
        "summary": in_words(found),
        "exit_code": exit_code(found),
        "steps": [_plain(step) for step in found.steps],
    }
    return json.dumps(whole, indent=2) + "\n"


def _plain(step: SweepStep) -> dict[str, Any]:
    seen = step.seen
    known = {f"p{100 * q:g}_s": q for q in (0.5, 0.9, 0.99) if certifiable(len(seen.latencies), q)}
    return {
        "rate_per_s": step.rate_per_s,
        "word": step.word,
        "requests": seen.requests,
        "over": seen.over,
        "failed": seen.failed,
        "compared": seen.compared,
        "turned_wrong": seen.harmful,
        "turned_right": seen.helpful,
        **{name: seen.latencies.quantile(q) for name, q in known.items()},
        "in_flight": step.in_flight,
        "replays": step.replays,
        "replays_say": step.words,
        "replays_not_kept": step.exceeded,
        "requests_worth_one": round(seen.effect, 3),
        "reasons": step.reasons,
    }
