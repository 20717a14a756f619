"""The leaderboards of `goldwatch compare` as a page for people: one complete file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from goldwatch import __version__
from goldwatch.commands.compare import Board, Row, sort_key
from goldwatch.commands.compare_charts import flips, frontiers, radars
from goldwatch.commands.compare_report import board_table, measured, notes
from goldwatch.commands.report_charts import latency_chart
from goldwatch.face.html import Column, Content, Html, Table, join, name, section, tag
from goldwatch.face.page import page
from goldwatch.face.plot import interval


def as_html(boards: Sequence[Board], column: str) -> str:
    """Write the page; the leaderboards are sorted by a column."""
    watches = ", ".join(board.watch for board in boards)
    began = min(row.judgement.run.started_at for board in boards for row in board.rows)
    top = join(
        (
            tag("b", "goldwatch compare", class_="brand"),
            tag("span", name(watches)),
            tag(
                "span",
                f"{datetime.fromtimestamp(began, UTC):%Y-%m-%d %H:%M:%S} UTC · goldwatch {__version__}",
                class_="q",
            ),
        )
    )
    foot = tag(
        "footer", "This file stands alone: no network, no script. It holds no example, only counts.", class_="foot"
    )
    return page(f"goldwatch compare: {watches[:200]}", top, *(_board(board, column) for board in boards), foot)


def _board(board: Board, column: str) -> Html:
    left_out = [tag("p", note, class_="s q") for note in notes(board)]
    known = measured(board)
    return tag(
        "article",
        tag("h1", _sentence(board)),
        tag("p", f"watch {board.watch} · golden set {board.golden} · {len(board.rows):,} targets", class_="q"),
        section("Leaderboard", _leaderboard(board, column) if known else None, *left_out),
        section("What each gives up", *radars(known)),
        section("The frontier", tag("div", *charts, class_="cols") if (charts := list(frontiers(known))) else None),
        section("Who is right where another is wrong", flips(board)),
        section("Latency", *_latencies(known)),
        section("What ran where", _where(known)),
    )


def _sentence(board: Board) -> Html:
    """Say whether the accuracies differ from that of the first; no difference seen does not mean that there is none."""
    first, *others = board.rows
    worse = [row for row in others if row.accuracy_differs and _gained(row) < 0]
    better = [row for row in others if row.accuracy_differs and _gained(row) > 0]
    same = [row for row in others if row.parity is not None and not row.accuracy_differs]
    gone = [row for row in board.rows if row.accuracy is None]
    told = [
        join((name(_names(rows)), f" {'is' if len(rows) == 1 else 'are'} {word} than ", name(_names([first]))))
        for rows, word in ((better, "more accurate"), (worse, "less accurate"))
        if rows
    ]
    if same:
        told.append(join(("no difference seen in accuracy between ", name(_names([first, *same])))))
    if gone:
        told.append(join((name(_names(gone)), " could not be measured")))
    return join(told, "; ") if told else name(_names([first]))


def _gained(row: Row) -> int:
    return 0 if row.parity is None else row.parity.only_other - row.parity.only_first


def _names(rows: Sequence[Row]) -> str:
    return ", ".join(row.assignment.target.name for row in rows)


def _leaderboard(board: Board, column: str) -> Html:
    """Return the board as the terminal has it, with the interval of the accuracy drawn."""
    heads, *cells = board_table(board, column)
    ordered = sorted(measured(board), key=sort_key(column))
    known = [row.accuracy for row in ordered if row.accuracy is not None]
    span = (min((s.low for s in known), default=0.0), max((s.high for s in known), default=1.0))
    place = heads.index("accuracy")
    columns = [Column(head) for head in heads]
    columns.insert(place + 1, Column(f"{span[0]:.2f} to {span[1]:.2f}", drawn=True))
    rows: list[Sequence[Content]] = []
    for texts, row in zip(cells, ordered, strict=True):
        drawn: list[Content] = [name(texts[0]), *texts[1:]]
        score = row.accuracy
        bar = None if score is None else interval(score.value, score.low, score.high, known[0].value, span)
        drawn.insert(place + 1, bar)
        rows.append(drawn)
    caption = f"Best first, by {column}. Interval: 95%, over examples like these; mark: the first row."
    return Table(caption, columns, rows).html()


def _latencies(rows: Sequence[Row]) -> Iterator[Content]:
    """Yield a histogram for each target, of its first round."""
    for row in rows:
        limit = row.assignment.watch.objectives.latency
        chart = latency_chart(row.judgement, limit.limit_s if limit is not None else None)
        yield join((tag("h3", name(row.assignment.target.name), ", first round"), chart))


def _where(rows: Sequence[Row]) -> Content:
    heads = ("target", "probe", "model", "version", "framework", "device", "digest")
    cells: list[Sequence[Content]] = []
    for row in rows:
        said = row.judgement.run.description
        texts = [row.judgement.subject.probe]
        if said is not None:
            framework = " ".join(filter(None, (said.framework, said.framework_version)))
            texts += [said.model, said.version, framework, said.device, said.digest[:19]]
        texts += [""] * (len(heads) - 1 - len(texts))
        cells.append([name(row.assignment.target.name), *(name(text) if text else "not reported" for text in texts)])
    caption = "Targets on different machines compare the deployments, not the models alone."
    return Table(caption, [Column(head) for head in heads], cells).html() if cells else None
