"""The gate's report as a page for people: one complete file, for a browser, a mail or paper."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from goldwatch import __version__
from goldwatch.commands.gate import EXIT_CODES, Report, Result, worst
from goldwatch.commands.gate_report import details, title_of
from goldwatch.commands.report_charts import calibration, confusion_matrix, latency_chart
from goldwatch.commands.report_examples import examples
from goldwatch.commands.report_tables import scores_table, slices_table
from goldwatch.core.judgement import Validity
from goldwatch.face.html import Column, Content, Html, Table, join, name, pairs, section, tag
from goldwatch.face.page import hero, page, verdict

KINDS = {Result.REGRESSION: "bad", Result.PASS: "ok", Result.UNMEASURED: "un"}


def as_html(reports: Sequence[Report]) -> str:
    """Write the page."""
    result = worst(report.result for report in reports)
    names = ", ".join(dict.fromkeys(title_of(report) for report in reports))
    most = max(report.replays for report in reports)
    each = "one replay each" if most == 1 else f"up to {most:,} replays each"
    began = min(report.judgement.run.started_at for report in reports)
    top = join(
        (
            tag("b", "goldwatch check", class_="brand"),
            tag("span", f"{len(reports):,} watch{'' if len(reports) == 1 else 'es'}: ", name(names)),
            tag("span", "exit code ", tag("b", str(EXIT_CODES[result]))),
            tag("span", f"{_moment(began)} · goldwatch {__version__} · {each}", class_="q"),
        )
    )
    foot = tag(
        "footer",
        "Written by ",
        tag("code", "goldwatch check --output report.html"),
        ". This file stands alone: no network, no script. It holds examples of the golden set.",
        class_="foot",
    )
    return page(f"goldwatch check: {names[:200]}, {result}", top, *map(_report, sorted(reports, key=_urgency)), foot)


def _urgency(report: Report) -> int:
    """Return the place of a report on the page: what failed is read first."""
    return (Result.REGRESSION, Result.UNMEASURED, Result.PASS).index(report.result)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _report(report: Report) -> Html:
    judgement = report.judgement
    limit = report.assignment.watch.objectives.latency
    return tag(
        "article",
        hero(KINDS[report.result], str(report.result).upper(), _sentence(report), _rests_on(report)),
        section("Objectives", _objectives(report)),
        section("Scores", scores_table(report)),
        section("Slices", slices_table(report)),
        section("Labels and answers", *confusion_matrix(report.exhibit), *calibration(report.exhibit)),
        section("What this report lacks", _lacks(report)),
        section("Latency", latency_chart(judgement, limit.limit_s if limit is not None else None)),
        section("Throughput, tokens, energy", pairs(details(report)) if details(report) else None),
        section("Examples whose answers changed", *examples(report)),
        section("What ran where", _where(report)),
        section("What this report cannot say", tag("p", _CANNOT)),
    )


_CANNOT = (
    "It is one look at the golden set: a loss within the tolerance passes, and inputs that the set does not hold "
    "may fare worse. What could not be measured is unknown, not good."
)


def _lacks(report: Report) -> Html | None:
    if not report.not_shown:
        return None
    return tag("p", "The charts of labels and answers, and the examples, could not be made: ", name(report.not_shown))


def _sentence(report: Report) -> Html:
    """Return the answer, with its numbers."""
    who, score = name(title_of(report)), report.judgement.headline
    change = ""
    if score is not None:
        before = f"{score.reference:.4f} → " if score.reference is not None else ""
        change = f": {score.name} {before}{score.value:.4f}"
    broken = [f.objective for f in report.findings if f.result is Result.REGRESSION]
    if "accuracy" in broken:
        return join((who, f" is worse{change}"))
    if broken:
        return join((who, f" does not keep {' and '.join(broken)}{change}"))
    unknown = [f.objective for f in report.findings if f.result is Result.UNMEASURED]
    if report.judgement.findings.validity is not Validity.VALID:
        return join((who, " could not be measured"))
    if unknown:
        return join((who, f": {' and '.join(unknown)} could not be certified{change}"))
    looked = "one replay" if report.replays == 1 else f"{report.replays:,} replays"
    return join((who, f" keeps its objectives, as far as {looked} can show{change}"))


def _rests_on(report: Report) -> str:
    """Say what changed and where, and what could not be measured."""
    found = report.judgement.findings
    parts = []
    if (difference := found.difference) is not None:
        what = "golden examples are wrong that were right" if difference.harmful else "golden examples turned wrong"
        parts.append(f"{difference.harmful:,} of {difference.compared:,} {what}, {difference.helpful:,} the other way")
        parts += [
            f"{cut.flips:,} of the {difference.harmful:,} are in {cut.slice}={cut.value}"
            for cut in difference.where[:2]
            if cut.beyond_chance
        ]
    parts += [f"{f.objective}: {f.reason}" for f in report.findings if f.result is Result.UNMEASURED]
    return ". ".join([*parts, ""]).strip() if parts else ""


def _objectives(report: Report) -> Html:
    columns = (Column("objective"), Column("measured"), Column("verdict"))
    caption = "Each test calls a model that just keeps its objective a regression in at most one run of a hundred."
    rows: list[Sequence[Content]] = [
        (f.objective, f.reason, verdict(KINDS[f.result], str(f.result))) for f in report.findings
    ]
    return Table(caption, columns, rows).html()


def _where(report: Report) -> Html:
    """Show what ran, next to what the reference ran on."""
    judgement, golden = report.judgement, report.assignment.golden
    made = dict(report.exhibit.made_with) if report.exhibit is not None else {}
    run, said = judgement.run, judgement.run.description
    target = report.assignment.target
    now = {
        "golden set": f"{golden}, {golden.examples:,} examples",
        "target": " ".join(filter(None, (target.name, str(target.options.get("url", "")).partition("?")[0]))),
        "probe": target.probe,
        **({key: getattr(said, key) for key in _SAYS} if said is not None else {}),
        "load": f"{run.scenario}, {len(run.latencies_s):,} answers in {run.duration_s:.1f} s",
        "replays": _replays(report),
        "goldwatch": __version__,
    }
    rows: list[Sequence[Content]] = []
    for key, value in now.items():
        before = made.get(key, "")
        differs = bool(before) and before != value
        told = tag("span", "reference: ", name(before), class_="loss") if differs else ("same" if before else "")
        if value or before:
            rows.append((key.replace("_", " "), name(value) if value else "not reported", told))
    columns = (Column("what"), Column("in this check"), Column("against the reference"))
    return Table("Rows that the target does not report are left out.", columns, rows).html()


def _replays(report: Report) -> str:
    """Say how many replays there were, what is of which, and why no more followed."""
    taken = f"{report.replays:,}: latency and failed requests of all, the rest of the first"
    return "; ".join(filter(None, ("1" if report.replays == 1 else taken, report.stopped)))


_SAYS = ("model", "version", "digest", "framework", "framework_version", "device")
