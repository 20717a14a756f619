"""The tables of a report: scores against the reference, and the score by slice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from goldwatch.commands.gate import Report, Result
from goldwatch.core.judgement import Judgement, Score, SliceStanding
from goldwatch.face.html import Column, Content, Html, Table, join, name, tag
from goldwatch.face.plot import heat, heat_map, interval
from goldwatch.face.scores import SCORE_COLUMNS, score_cells, signed
from goldwatch.worker.monitors.bounds import lower, upper

_MOST_SLICES = 60
_FEW = 30
_ERROR = 0.025
"""Of each side of an interval."""


def scores_table(report: Report) -> Content:
    """Return scores with intervals against the reference; a difference has a colour only if a test supports it."""
    scores = report.judgement.findings.scores
    if not scores:
        return None
    broken = {f.objective: f for f in report.findings if f.result is Result.REGRESSION}
    reasons = {f.objective: f.reason for f in report.findings}
    rows: list[Sequence[Content]] = [_score(score, broken, reasons) for score in scores]
    columns = (*SCORE_COLUMNS, Column("tested"))
    caption = "Interval: over examples like these. Mark: the reference. Each bar spans its values, not the whole scale."
    return Table(caption, columns, rows).html()


def _score(score: Score, broken: Mapping[str, object], reasons: Mapping[str, str]) -> Sequence[Content]:
    objective = "accuracy" if score.name in ("accuracy", "agreement") else score.name
    change: Content = "not known"
    if score.reference is not None:
        difference = score.value - score.reference
        text = signed(difference, 4)
        change = tag("span", text, class_="loss") if objective in broken else text
    return (
        name(score.name),
        *score_cells(score.value, score.low, score.high, score.reference),
        change,
        reasons.get(objective, tag("span", "no objective, not tested", class_="q")),
    )


def slices_table(report: Report) -> Content:
    """Return the share of right answers by slice, the greatest loss first, and a heat map of scores with slices."""
    judgement = report.judgement
    slices = judgement.findings.slices
    tables: list[Content] = []
    if slices:
        tables.append(_rights(judgement, slices))
    scored = [score for score in judgement.findings.scores if score.slices]
    if scored:
        tables.append(_heat(scored, {spec.name for spec in report.assignment.scores if spec.lower_is_better}))
    return join(tables) if tables else None


def _rights(judgement: Judgement, slices: Sequence[SliceStanding]) -> Html:
    difference = judgement.findings.difference
    where = {(cut.slice, cut.value): cut for cut in difference.where} if difference is not None else {}
    ordered = sorted(slices, key=lambda cut: (cut.right - cut.reference) if cut.reference is not None else 0.0)
    low = min(min(cut.right, cut.reference if cut.reference is not None else 1.0) for cut in slices)
    span = (max(0.0, low - 0.1), 1.0)
    rows: list[Sequence[Content]] = []
    for cut in ordered[:_MOST_SLICES]:
        right = round(cut.right * cut.examples)
        bounds = [bound(right, cut.examples, _ERROR) for bound in (lower, upper)] if cut.examples else [0.0, 1.0]
        share = where.get((cut.slice, cut.value))
        beyond = share is not None and share.beyond_chance
        told: Content = tag("span", "not more than its share", class_="q")
        if share is not None and beyond:
            told = join(
                (tag("b", "beyond chance"), f", {share.flips:,} of the {difference.harmful if difference else 0:,}")
            )
        elif cut.examples < _FEW:
            told = tag("span", f"few: under {_FEW} examples, no claim", class_="q")
        change: Content = "not known"
        if cut.reference is not None:
            text = signed(100 * (cut.right - cut.reference), 1)
            change = tag("span", text, class_="loss") if beyond else text
        rows.append(
            (
                name(f"{cut.slice}={cut.value}"),
                f"{cut.examples:,}",
                f"{cut.right:.4f}",
                interval(cut.right, bounds[0], bounds[1], cut.reference, span),
                "not kept" if cut.reference is None else f"{cut.reference:.4f}",
                change,
                told,
            )
        )
    columns = (
        Column("slice"),
        Column("examples", numbers=True),
        Column("right now", numbers=True),
        Column(f"{span[0]:.2f} to 1", drawn=True),
        Column("reference", numbers=True),
        Column("points", numbers=True),
        Column("of those that turned wrong"),
    )
    more = len(slices) - len(rows)
    left_out = f" {more:,} more slices are left out." if more > 0 else ""
    caption = f"Greatest loss first. Bars: 95% intervals; mark: the reference.{left_out}"
    return Table(caption, columns, rows).html()


def _heat(scores: Sequence[Score], lower_is_better: Collection[str]) -> Html:
    """Return the change of each score in each slice, against the reference; of some scores, named, lower is better."""
    cuts = list(dict.fromkeys((cut.slice, cut.value) for score in scores for cut in score.slices))[:_MOST_SLICES]
    head = tag("tr", tag("th", "slice", scope="col"), *(tag("th", name(score.name), scope="col") for score in scores))
    rows = []
    for key in cuts:
        cells = [
            _heat_cell(
                score,
                next((c for c in score.slices if (c.slice, c.value) == key), None),
                -1 if score.name in lower_is_better else 1,
            )
            for score in scores
        ]
        rows.append(tag("tr", tag("th", name("=".join(key)), scope="row"), *cells))
    caption = "Scores by slice. Colour: worse (orange) or better (blue) than the reference."
    return heat_map(caption, head, rows, "Scores by slice")


def _heat_cell(score: Score, cut: SliceStanding | None, better: int) -> Html:
    """Return the score of a slice; `better` is 1 where higher is better, -1 where lower is."""
    if cut is None:
        return tag("td", "no score", class_="hx")
    if cut.examples < _FEW:
        return tag("td", "few", class_="hx", title=f"{cut.examples} examples: too few to say")
    if cut.reference is None:
        return tag("td", f"{cut.right:.3f}")
    low, high = score.scale
    width = (high - low) if low is not None and high is not None else max(abs(cut.reference), 1e-9)
    gained = better * (cut.right - cut.reference)
    return heat(
        abs(gained) / width / 0.25, "loss" if gained < 0 else "gain", f"{cut.right:.3f}", f"{cut.examples:,} examples"
    )
