"""The gate's output: a table for people, JSON for programs, JUnit for pipelines, Markdown for pull requests."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from goldwatch.commands.gate import EXIT_CODES, ObjectiveResult, Report, Result, worst
from goldwatch.commands.text_table import in_cell
from goldwatch.config import format_figure, format_seconds
from goldwatch.core.judgement import Judgement, Passed, Quantile, Score
from goldwatch.core.latency import quantile, quantiles
from goldwatch.core.outcome import UNSENT
from goldwatch.energy.attribution import Interval

Line = tuple[str, str]
"""A name, and what is told of it."""


def overall(reports: Sequence[Report]) -> Result:
    """Return the result of the whole gate."""
    return worst(report.result for report in reports)


def as_table(reports: Sequence[Report]) -> str:
    """Write a block of lines for each watch and target."""
    return "\n\n".join("\n".join(_block(report)) for report in reports) + "\n"


def as_json(reports: Sequence[Report]) -> str:
    """Write everything that was measured, and the exit code."""
    result = overall(reports)
    whole = {"result": result, "exit_code": EXIT_CODES[result], "watches": [_plain(report) for report in reports]}
    return json.dumps(whole, indent=2) + "\n"


def as_junit(reports: Sequence[Report]) -> str:
    """Write a test suite for each watch and target, with a test case for each objective."""
    root = ET.Element("testsuites", name="goldwatch")
    for report in reports:
        results = [finding.result for finding in report.findings]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=title_of(report),
            tests=str(len(results)),
            failures=str(results.count(Result.REGRESSION)),
            errors=str(results.count(Result.UNMEASURED)),
            time=f"{report.judgement.run.duration_s:.3f}",
        )
        for finding in report.findings:
            case = ET.SubElement(suite, "testcase", classname=title_of(report), name=finding.objective)
            if finding.result is not Result.PASS:
                tag = "failure" if finding.result is Result.REGRESSION else "error"
                ET.SubElement(case, tag, message=finding.reason, type=finding.result)
            elif finding.objective != "latency" and _worth_a_line(finding, report.judgement):
                ET.SubElement(case, "system-out").text = finding.reason
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def as_markdown(reports: Sequence[Report]) -> str:
    """Write one table with a row for each objective."""
    lines = [f"### goldwatch: {overall(reports)}", "", "| watch | objective | result | |", "|---|---|---|---|"]
    for report in reports:
        for finding in report.findings:
            cells = (title_of(report), finding.objective, finding.result, finding.reason)
            lines.append(f"| {' | '.join(map(in_cell, cells))} |")
    for report in reports:
        lines += ["", f"**{in_cell(title_of(report))}**", "", *(f"- {in_cell(line)}" for line in figures_of(report))]
    return "\n".join(lines) + "\n"


def figures_of(report: Report) -> list[str]:
    """Return scores, what changed, latency and throughput, a line each, as the table has them."""
    return [" ".join(f"{name} {text}".split()) for name, text in _measured(report.judgement)]


def as_github(reports: Sequence[Report]) -> str:
    """Write an annotation of GitHub Actions for each objective: an error, a warning or a notice."""
    kinds = {Result.REGRESSION: "error", Result.UNMEASURED: "warning", Result.PASS: "notice"}
    return "".join(
        f"::{kinds[finding.result]} title={_told(f'{title_of(report)} {finding.objective}: {finding.result}', ':,')}"
        f"::{_told(finding.reason)}\n"
        for report in reports
        for finding in report.findings
    )


def _told(text: str, more: str = "") -> str:
    """Escape text as a command of GitHub Actions has it; a property escapes more."""
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{more}" else c for c in text)


FORMATS: Mapping[str, Callable[[Sequence[Report]], str]] = {
    "table": as_table,
    "json": as_json,
    "junit": as_junit,
    "markdown": as_markdown,
    "github": as_github,
}


def title_of(report: Report) -> str:
    """Return the names of watch and target, once if they are the same."""
    watch, target = report.assignment.key
    return watch if watch == target else f"{watch} {target}"


def _block(report: Report) -> list[str]:
    judgement, golden = report.judgement, report.assignment.golden
    model = judgement.run.description
    head = [title_of(report), f"golden {golden} ({golden.examples:,} examples)", judgement.subject.probe]
    if model is not None:
        head.append(f"model {model.model}{' ' + model.version if model.version else ''}")
    return ["  ".join(head), *(f"  {name:<14} {text}" for name, text in _lines(report))]


def _lines(report: Report) -> list[Line]:
    judgement = report.judgement
    lines = [*_measured(judgement), *details(report)]
    lines += [("referee", f"{c.name}: {c.reason}") for c in judgement.findings.checks if c.passed is Passed.NO]
    lines += [(f.objective, f"{f.result}: {f.reason}") for f in report.findings if _worth_a_line(f, judgement)]
    return [*lines, ("verdict", str(report.result))]


def details(report: Report) -> list[Line]:
    """Return what the replay took besides latency: tokens, throughput, energy, how busy the target was."""
    judgement, lines = report.judgement, list[Line]()
    if judgement.run.late_s:
        ordered = sorted(judgement.run.late_s)
        late = "   ".join(f"p{100 * q:g} {format_seconds(quantile(ordered, q))}" for q in (0.5, 0.99))
        lines.append(("sent late", f"{late}   by goldwatch itself"))
    lines += _tokens(judgement)
    if judgement.findings.throughput is not None and math.isfinite(judgement.findings.throughput):
        lines.append(("throughput", f"{format_figure(judgement.findings.throughput)} /s   {_load(judgement)}"))
    return [*lines, *_filling(report), *_courtesy(judgement), *_energy(judgement)]


def _measured(judgement: Judgement) -> list[Line]:
    """Describe scores, what changed, and latency."""
    lines = []
    for score in judgement.findings.scores:
        lines.append((score.name, _score(score)))
        if score.people is not None:
            lines.append(("", str(score.people)))
    if (difference := judgement.findings.difference) is not None:
        same = f"{difference.compared - difference.moved:,} of {difference.compared:,}"
        parts = [f"{same} {'the same' if judgement.subject.task == 'generation' else 'within tolerance'}"]
        parts.append(f"{difference.harmful:,} turned wrong, {difference.helpful:,} right")
        lines.append(("outputs", "   ".join([*parts, *_size(difference.largest)])))
        for each in difference.outputs:
            same = f"{difference.compared - each.moved:,} of {difference.compared:,}"
            same += f" within {each.tolerance:g}" if each.tolerance or each.largest is not None else " the same"
            lines.append((f"  {each.name}", "   ".join([same, *_size(each.largest)])))
    if judgement.findings.quantiles:
        lines.append(("latency", "   ".join(_quantile(q) for q in judgement.findings.quantiles) + _requests(judgement)))
    return lines


def _size(largest: float | None) -> list[str]:
    """Say how large a difference is; nothing where it has no size, as of texts and JSON."""
    return [] if largest is None else [f"largest difference {largest:.2g}"]


def _tokens(judgement: Judgement) -> list[Line]:
    """Say what the answers of a language model were made of, and how soon they began."""
    found = judgement.findings.tokens
    if found is None:
        return []
    counts = [f"{n:,} {kind}" for kind, n in (("in", found.input), ("out", found.output)) if n is not None]
    counts += [f"{n:,} ended by {why}" for why, n in sorted(found.finish.items())]
    lines = [("tokens", "   ".join(counts))] if counts else []
    times: tuple[tuple[str, Sequence[float], Mapping[str, int]], ...] = (
        ("first token", found.first_s, found.first_unknown),
        ("next tokens", found.per_token_s, found.next_unknown),
        ("token gaps", found.gaps_s, {}),
    )
    for name, times_s, unknown in times:
        parts = [_quantile(q) for q in quantiles(times_s)] if times_s else []
        if name == "token gaps" and times_s:
            parts.append(f"longest {format_seconds(max(times_s))}")
        if unknown:
            parts.append("not known: " + ", ".join(f"{n} {why}" for why, n in sorted(unknown.items())))
        if parts:
            lines.append((name, "   ".join(parts)))
    return lines


def _filling(report: Report) -> list[Line]:
    """Say that requests were filled, where the model takes larger batches than the load sends."""
    model, load = report.judgement.run.description, report.assignment.watch.load
    sizes = {min(load.samples, report.assignment.golden.examples), report.assignment.golden.examples % load.samples}
    smaller = sorted(size for size in sizes if model is not None and 0 < size < model.batch)
    if model is None or not smaller:
        return []
    filled = " and ".join(f"{size:,}" for size in smaller)
    return [("filled", f"requests of {filled} to the model's batch of {model.batch:,}; the copies do not count")]


def _courtesy(judgement: Judgement) -> list[Line]:
    """Say how busy the target was, where that is looked at, and whether goldwatch stepped back."""
    if (seen := judgement.extras.server_load) is None:
        return []
    if seen.most is None:
        return [("busy", f"not known: {seen.unreadable}")]
    told = [f"at most {seen.most:.4g} of {seen.limit:g}", seen.what]
    told += [f"{what} {s:.1f} s" for what, s in (("waited", seen.waited_s), ("held", seen.held_s)) if s >= 1]
    return [("busy", "   ".join(told))]


def _energy(judgement: Judgement) -> list[Line]:
    """Describe the energy of an inference, or why it is unknown; nothing if the config does not ask for it."""
    lines = []
    if (energy := judgement.extras.energy) is not None:
        gross, net = (_joules(x) for x in (energy.gross_per_inference_j, energy.net_per_inference_j))
        source = f"{'ESTIMATE, ' if energy.estimated else ''}{energy.source}, {energy.attribution}"
        lines.append(("energy", f"{gross} gross   {net} net per inference   {source}"))
    elif judgement.extras.energy_missing:
        missing = judgement.extras.energy_missing
        how = missing if missing.startswith("insufficient") else f"not measurable here: {missing} (`goldwatch doctor`)"
        lines.append(("energy", how))
    if (found := judgement.findings.footprint) is not None:
        each = (("per inference", found.inference), ("right answer", found.right_answer), ("output token", found.token))
        for name, per in each:
            joules = f"{_joules(per.gross_j)} gross" if per and per.gross_j and per is not found.inference else ""
            carbon = f"{format_figure(per.grams.value)} g CO2e" if per and per.grams else ""
            cost = f"{format_figure(per.money)} {found.currency}" if per and per.money is not None else ""
            if words := "   ".join(filter(None, (joules, carbon, cost))):
                lines.append((name, words))
    return lines


def _joules(interval: Interval) -> str:
    return f"{format_figure(interval.value)} J [{format_figure(interval.low)}, {format_figure(interval.high)}]"


def _worth_a_line(finding: ObjectiveResult, judgement: Judgement) -> bool:
    """Return whether the table has a line for a finding: not for what passed, but failed requests are never hidden."""
    failed = finding.objective == "errors" and any(
        n for o, n in judgement.findings.outcomes.items() if o not in {*UNSENT, "ok"}
    )
    return finding.result is not Result.PASS or finding.objective == "latency" or failed


def _score(score: Score) -> str:
    reference = "" if score.reference is None else f"   reference {score.reference:.4f}"
    return f"{score.value:.4f}  [{score.low:.4f}, {score.high:.4f}]{reference}"


def _quantile(quantile: Quantile) -> str:
    known = "not certifiable" if quantile.latency_s is None else format_seconds(quantile.latency_s)
    return f"p{quantile.q * 100:g} {known}"


def _requests(judgement: Judgement) -> str:
    return f"   of {len(judgement.run.latencies_s):,} requests"


def _load(judgement: Judgement) -> str:
    """Say what the throughput is that of."""
    budgets = ((judgement.run.most_per_s, "{:g} /s"), (judgement.run.most_tokens_per_s, "{:g} tokens/s"))
    kept = [words.format(most) for most, words in (*budgets, (judgement.run.most_cpu, "{:.0%} of a core")) if most]
    slowed = f", slowed to {' and '.join(kept)}" if kept else ""
    if judgement.run.scenario == "single-stream":
        return f"one request at a time{slowed}"
    rate = "" if judgement.run.rate_per_s is None else f" at {judgement.run.rate_per_s:g} /s"
    return f"{judgement.run.scenario}{rate}, at most {judgement.run.in_flight} in flight{slowed}"


def _plain(report: Report) -> dict[str, Any]:
    watch, target = report.assignment.key
    values = report.judgement.to_json() | {"watch": watch, "target": target}
    for left_out in ("latencies_s", "verdicts", "lateness_s"):
        del values[left_out]
    findings = [{"objective": f.objective, "result": f.result, "reason": f.reason} for f in report.findings]
    taken = {"replays": report.replays, "stopped": report.stopped}
    return {"result": report.result, "findings": findings} | taken | values
