"""The page of one watch: its answer, the history, the last replay in detail, what would be noticed, and its config.

Made on the server, without script. All that it shows comes from models, golden sets and servers, so all is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from goldwatch.config import format_duration, format_rate
from goldwatch.core import kinds
from goldwatch.core.budget import replays_per_year, threshold_log10
from goldwatch.core.judgement import Difference, Score, SliceStanding, State, Validity
from goldwatch.daemon import page_parts
from goldwatch.daemon.page_parts import ago, badge, kind_of, link, state, text, when
from goldwatch.daemon.schedule import mean_interval_s
from goldwatch.daemon.watch_charts import STYLE, charts
from goldwatch.daemon.watch_view import WatchView
from goldwatch.face.html import Column, Content, Html, Table, join, pairs, section, tag
from goldwatch.face.page import page
from goldwatch.face.scores import SCORE_COLUMNS, score_cells, signed

RANGES = (1, 7, 30, 90)
_EXAMPLES = 12
_SLICES = 60


def watch_page(view: WatchView) -> Html:
    """Write the page."""
    kind = kind_of(view.row)
    watch, target = view.assignment.key
    title = watch if watch == target else f"{watch} · {target}"
    home = tag("b", link("../", "goldwatch"), class_="brand")
    top = join((home, tag("span", "watch ", tag("b", title)), tag("span", f"as of {when(view.at)}", class_="q")))
    return page(
        f"{title}: {kind}",
        top,
        _hero(view, kind, title),
        _targets(view),
        section(f"{view.days} days" if view.days > 1 else "1 day", _ranges(view), *charts(view)),
        section("Monitors", _monitors(view)),
        section("Last replay against the reference", *_last(view)),
        *_difference(view),
        section("What would be noticed", *_budget(view)),
        section("Config in effect", _config(view)),
        style=page_parts.STYLE + STYLE,
    )


def _hero(view: WatchView, kind: str, title: str) -> Html:
    row, open_alerts = view.row, [a for a in view.trend.alerts if a.closed_at is None]
    first = row["scores"][0] if row["scores"] else None
    score = "" if first is None else f"{first['name']} {first['value']:.4f}"
    if first is not None and first["reference"] is not None:
        score += f", reference {first['reference']:.4f}"
    told = next((v["summary"] for v in row["verdicts"] if v["state"] in ("alerting", "suspect")), "")
    sentence: Content = {
        "unknown": f"{title} is not known to be good: {_not_known(row)}",
        "suspect": f"{title} is suspect: {told}",
        "recovered": f"{title} has recovered: {score}",
        "steady": f"{title} is steady: {score or 'no score'}",
    }.get(kind, f"{title} alerts: {told}")
    if open_alerts:
        headline = open_alerts[-1].headline.partition("] ")[2] or open_alerts[-1].headline
        sentence = join((text(headline, 300), " (", link(f"../alerts/{open_alerts[-1].number}", "alert"), ")"))
    else:
        sentence = text(str(sentence), 300)
    model = view.row["model"] or {}
    about = pairs(
        [
            ("model", text(" ".join(filter(None, (model.get("model"), model.get("version")))) or "not known yet")),
            ("target", text(f"{view.assignment.target.name}, {row['probe']}")),
            ("golden set", text(f"{row['golden']}, {row['examples']:,} examples")),
            ("last valid replay", ago(row["last_valid_replay_at"], view.at)),
        ]
    )
    hushed = tag("p", "Silenced: ", text(row["silenced"])) if kind == "silenced" else None
    return tag("div", tag("div", badge(kind)), tag("div", tag("h1", sentence), hushed, about), class_=f"hero {kind}")


def _not_known(row: Mapping[str, Any]) -> str:
    """Say why a watch is unknown: its newest replay is not valid, or monitors do not know, or its news is old."""
    if row["validity"] != Validity.VALID and row["reasons"]:
        return "; ".join(row["reasons"][:2])
    unknown = [f"{v['monitor']}: {v['summary']}" for v in row["verdicts"] if v["state"] == State.UNKNOWN]
    return "; ".join(unknown[:2]) or "no valid replay for too long"


def _targets(view: WatchView) -> Content:
    """Return links to the other targets of the watch."""
    if len(view.targets) < 2:
        return None
    here = view.assignment.target.name
    links = [
        tag(
            "li", tag("a", name, href=f"?target={name}&days={view.days}", aria_current="page" if name == here else None)
        )
        for name in view.targets
    ]
    return tag("ul", *links, class_="chips", aria_label="targets")


def _ranges(view: WatchView) -> Html:
    target = view.assignment.target.name
    links = [
        tag(
            "li",
            tag(
                "a",
                f"{days} day{'' if days == 1 else 's'}",
                href=f"?target={target}&days={days}",
                aria_current="page" if days == view.days else None,
            ),
        )
        for days in RANGES
    ]
    return tag("ul", *links, class_="chips", aria_label="time range")


def _monitors(view: WatchView) -> Content:
    rows: list[Sequence[Content]] = [
        (
            v["monitor"],
            state(v["severity"] if v["state"] == "alerting" else v["state"]),
            "states facts" if v["evidence"] is None else f"{v['evidence']:.1f} of {v['threshold']:.1f} needed",
            "no change known" if v["since"] is None else when(v["since"]),
            text(v["summary"], 300),
        )
        for v in view.row["verdicts"]
    ]
    if not rows:
        return tag("p", "No verdict yet: the first replay has not ended.")
    columns = (Column("monitor"), Column("state"), Column("evidence", numbers=True), Column("since"), Column("finding"))
    return Table("After the last replay. Evidence is log10 of an e-value.", columns, rows).html()


def _last(view: WatchView) -> Iterator[Content]:
    if view.last is None:
        yield tag("p", "No valid replay yet.")
        return
    run, findings = view.last.run, view.last.findings
    if view.row["reasons"]:
        valid = view.row["validity"] == Validity.VALID
        about = "The referee found: " if valid else "The newest replay is not valid: "
        yield tag("p", about, text("; ".join(view.row["reasons"]), 300))
    asked = sum(findings.outcomes.values())
    caption = (
        f"Replay of {when(run.started_at)}: {findings.outcomes.get('ok', 0):,} of {asked:,} requests answered, "
        f"{run.duration_s:.3g} s. Interval: over examples like these; mark: the reference."
    )
    yield Table(caption, SCORE_COLUMNS, [_score(s) for s in findings.scores]).html()


def _score(score: Score) -> Sequence[Content]:
    reference = score.reference
    return (
        text(score.name),
        *score_cells(score.value, score.low, score.high, reference),
        "not known" if reference is None else signed(score.value - reference, 4),
    )


def _difference(view: WatchView) -> Iterator[Content]:
    """Yield slices, confusions and examples of the last valid replay."""
    if view.last is None:
        return
    scored = [(s.name, cut) for s in view.last.findings.scores for cut in s.slices]
    found = view.last.findings.difference
    yield section(
        "Slices", _flipped_slices(found) if found is not None else None, _scored_slices(scored) if scored else None
    )
    if found is not None:
        yield section("Confusions", _confusions(found))
        yield section("Examples that flipped", *_examples(view, found))


def _flipped_slices(found: Difference) -> Content:
    if not found.where:
        return tag("p", f"None of the {found.compared:,} examples turned wrong in a slice that is known.", class_="q")
    rows: list[Sequence[Content]] = [
        (
            text(f"{cut.slice}={cut.value}"),
            f"{cut.flips:,} of the {found.harmful:,}",
            f"{cut.examples:,}",
            tag("b", "beyond chance") if cut.beyond_chance else "about its share",
        )
        for cut in found.where
    ]
    columns = (
        Column("slice"),
        Column("turned wrong", numbers=True),
        Column("examples", numbers=True),
        Column("against chance"),
    )
    return Table("The worst slices of the last replay.", columns, rows).html()


def _scored_slices(scored: Sequence[tuple[str, SliceStanding]]) -> Html:
    rows: list[Sequence[Content]] = [
        (
            text(f"{cut.slice}={cut.value}"),
            text(score),
            f"{cut.examples:,}",
            f"{cut.right:.4f}",
            "not kept" if cut.reference is None else f"{cut.reference:.4f}",
        )
        for score, cut in scored[:_SLICES]
    ]
    columns = (
        Column("slice"),
        Column("score"),
        Column("examples", True),
        Column("now", True),
        Column("reference", True),
    )
    more = f" {len(scored) - _SLICES:,} more are left out." if len(scored) > _SLICES else ""
    return Table(f"Scores by slice.{more}", columns, rows).html()


def _confusions(found: Difference) -> Content:
    rows: list[Sequence[Content]] = [
        (
            join((text(each.label, 60), " → ", text(each.said, 60))),
            f"{each.flips:,}",
            f"{each.reference:,} → {each.now:,}",
            tag("b", "beyond chance") if each.beyond_chance else "not beyond chance",
        )
        for each in found.confusions
    ]
    columns = (
        Column("right → said"),
        Column("turned wrong", True),
        Column("before → now", True),
        Column("against chance"),
    )
    return Table("Mistakes that have become more frequent.", columns, rows).html() if rows else None


def _examples(view: WatchView, found: Difference) -> Iterator[Content]:
    if not found.flips:
        return
    shown = found.flips[:_EXAMPLES]
    rows: list[Sequence[Content]] = [
        (str(flip.example), text(flip.identity or flip.excerpt or "not named", 60), text(flip.words.replace("->", "→")))
        for flip in shown
    ]
    total = found.harmful + found.helpful + found.neutral
    caption = f"{len(shown)} of {total:,}, those that turned wrong first."
    yield Table(caption, (Column("example"), Column("name"), Column("answer")), rows).html()
    watch, target = view.assignment.key
    numbers = ",".join(str(flip.example) for flip in shown)
    yield tag("pre", f"goldwatch replay CONFIG --watch {watch} --target {target} --examples {numbers}", class_="cmd")


def _budget(view: WatchView) -> Iterator[Content]:
    """Yield each monitor's threshold, and what it notices for certain; the rest takes a simulation."""
    terms, alphas = view.assignment.terms, view.assignment.settings["alphas"]
    every_s = mean_interval_s(view.assignment.watch.every)
    rows: list[Sequence[Content]] = []
    for kind in (*kinds.watching(terms), kinds.SILENT):
        alpha = alphas.get(kind.name)
        share = "none: a fact"
        if alpha is not None:
            share = format_rate(float(f"{alpha * replays_per_year(kind.interval_s(terms)):.3g}"))
        facts = "; ".join(f"{effect}: after {after}" for effect, after in kind.facts(terms))
        needed = "a fact" if alpha is None else f"{threshold_log10(alpha):.2f}"
        rows.append((kind.name, needed, share, text(facts, 300) if facts else "losses, see below"))
    budget = format_rate(view.false_alarms_per_year)
    columns = (Column("monitor"), Column("evidence needed", True), Column("false alarms at most"), Column("notices"))
    caption = f"A replay every {format_duration(round(every_s, 3))}; false alarms of this target: {budget} in all."
    yield Table(caption, columns, rows).html()
    yield tag("p", "How soon losses of some sizes are noticed is a simulation of some seconds; this prints it:")
    yield tag("pre", "goldwatch explain-budget CONFIG", class_="cmd")


def _config(view: WatchView) -> Html:
    rows: list[Sequence[Content]] = [(tag("code", key), tag("code", text(value, 500))) for key, value in view.settings]
    command = tag("code", "goldwatch explain CONFIG")
    caption = join(("Keys with a value. Secrets are masked. ", command, " prints where each comes from."))
    return Table(caption, (Column("key"), Column("value")), rows).html()
