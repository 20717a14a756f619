"""The output of `goldwatch compare`: a leaderboard for each watch, or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from goldwatch.commands.compare import Board, Row, sort_key
from goldwatch.commands.text_table import in_cell, text_table
from goldwatch.config import format_figure, format_seconds
from goldwatch.core.judgement import Validity
from goldwatch.energy.attribution import Interval
from goldwatch.energy.footprint import DAWNBENCH_INFERENCES, Footprint

_JOULES, _JOULES_RIGHT, _JOULES_TOKEN = "joules per inference", "per right answer", "per output token"
_COST, _COST_TOKENS = "cost of 10,000", "of a million output tokens"
_ENERGY_HEADINGS = (_JOULES, _JOULES_RIGHT, _JOULES_TOKEN, _COST, _COST_TOKENS)
"""Columns that are there only if one of the targets has something in them."""

_HEADINGS = ("target", "runs on", "accuracy", "against the first", "p50", "p99", "speed", "throughput")


def as_table(boards: Sequence[Board], column: str) -> str:
    """Write a table for each watch, best first by a column."""
    return "\n".join(_board(board, column) for board in boards)


def as_json(boards: Sequence[Board], column: str) -> str:
    """Write everything that was measured."""
    return json.dumps([_plain(board, column) for board in boards], indent=2) + "\n"


def as_markdown(boards: Sequence[Board], column: str) -> str:
    """Write a table for each watch, for pull requests."""
    lines = []
    for board in boards:
        head, *rows = [[in_cell(cell) for cell in row] for row in board_table(board, column)]
        lines += [f"### {in_cell(_title(board, column))}", "", *_row(head), "|" + "---|" * len(head)]
        lines += [line for row in rows for line in _row(row)]
        lines += ["", *(f"- {in_cell(note)}" for note in notes(board)), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _row(cells: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


FORMATS: Mapping[str, Callable[[Sequence[Board], str], str]] = {
    "table": as_table,
    "json": as_json,
    "markdown": as_markdown,
}


def _board(board: Board, column: str) -> str:
    return "\n".join([_title(board, column), *text_table(board_table(board, column)), *notes(board)]) + "\n"


def _title(board: Board, column: str) -> str:
    first = board.rows[0].assignment.target.name
    return f"{board.watch}  golden {board.golden}, compared with {first}, by {column}"


def board_table(board: Board, column: str) -> list[tuple[str, ...]]:
    """Return the cells of the leaderboard, its headings first, best first by a column."""
    ordered = sorted(measured(board), key=sort_key(column))
    energy = [_energy_cells(row) for row in ordered]
    known = [heading for heading in _ENERGY_HEADINGS if any(cells[heading] for cells in energy)]
    rows: list[tuple[str, ...]] = [(*_HEADINGS, *known)]
    rows += [(*_cells(row), *(cells[name] for name in known)) for row, cells in zip(ordered, energy, strict=True)]
    return rows


def measured(board: Board) -> list[Row]:
    """Return the targets that could be measured."""
    return [row for row in board.rows if row.judgement.findings.validity is Validity.VALID]


def notes(board: Board) -> list[str]:
    """Return the lines below the leaderboard: what could not be measured, and what marks mean."""
    known = measured(board)
    lines = [
        f"{row.assignment.target.name}: could not measure: {'; '.join(row.judgement.findings.reasons)}"
        for row in board.rows
        if row not in known
    ]
    lines += [f"{row.assignment.target.name}: no energy: {row.energy_missing}" for row in known if row.energy_missing]
    if any(row.best_for for row in known):
        lines.append("* on the frontier: no other target that is as accurate takes less, beyond noise")
    return lines


def _cells(row: Row) -> tuple[str, ...]:
    accuracy = row.accuracy
    return (
        row.assignment.target.name,
        _framework(row),
        f"{accuracy.value:.4f} [{accuracy.low:.4f}, {accuracy.high:.4f}]" if accuracy else "",
        _against(row),
        _latency(row, 0.5),
        _latency(row, 0.99),
        _speed(row),
        f"{format_figure(row.throughput)} /s{_bounds(row.throughput_interval)}" if row.throughput else "",
    )


def _energy_cells(row: Row) -> dict[str, str]:
    cells = dict.fromkeys(_ENERGY_HEADINGS, "")
    if row.energy is not None:
        found = row.energy.gross_per_inference_j
        marks = f"{' *' if 'joules' in row.best_for else ''}{' shared' if row.energy.attribution == 'shared' else ''}"
        value, low, high = (format_figure(joules) for joules in (found.value, found.low, found.high))
        cells[_JOULES] = f"{value} [{low}, {high}]{marks}"
        cells[_JOULES] += " ESTIMATE" if row.energy.estimated else ""
        for heading, joules in ((_JOULES_RIGHT, row.joules_of_right_answer), (_JOULES_TOKEN, row.joules_of_token)):
            cells[heading] = format_figure(joules) if joules is not None else ""
    if row.footprint is not None and row.cost is not None:
        cells |= _cost_cells(row, row.cost, row.footprint)
    return cells


def _cost_cells(row: Row, cost: float, found: Footprint) -> dict[str, str]:
    if not row.reaches_bound:
        return {_COST: "below the accuracy bound"}
    mark = " *" if "cost" in row.best_for else ""
    bounds = _bounds(row.cost_interval, DAWNBENCH_INFERENCES)
    cells = {_COST: f"{format_figure(cost * DAWNBENCH_INFERENCES)} {found.currency}{bounds}{mark}"}
    if found.token is not None and found.token.money is not None:
        cells[_COST_TOKENS] = f"{format_figure(found.token.money * 1e6)} {found.currency}"
    return cells


def _bounds(found: Interval | None, scale: float = 1.0) -> str:
    return f" [{format_figure(found.low * scale)}, {format_figure(found.high * scale)}]" if found else ""


def _framework(row: Row) -> str:
    model = row.judgement.run.description
    return " ".join(filter(None, (model.framework, model.framework_version))) if model else row.assignment.target.probe


def _against(row: Row) -> str:
    pair = row.parity
    if pair is None:
        return ""
    apart = f"{pair.flips:,} flips"
    if pair.largest is not None and row.judgement.subject.task != "generation":  # texts differ or not
        apart += f", largest difference {pair.largest:.1g}"
    if pair.flips == 0:
        return apart
    points = 100 * (pair.only_other - pair.only_first) / pair.compared
    apart = f"{points:+.2f} points, {apart}"
    return (
        f"{apart}, accuracy {'differs' if row.accuracy_differs else 'the same but for noise'} (p = {pair.p_value:.2g})"
    )


def _latency(row: Row, q: float) -> str:
    found = next((x.latency_s for x in row.latency if x.q == q), None)
    return format_seconds(found) if found is not None else "not certifiable"


def _speed(row: Row) -> str:
    if row.speed is None:
        return "too few rounds" if row.parity is not None else ""
    if not row.speed.known:
        return "too few rounds"
    ratio, low, high = (format_figure(value) for value in (row.speed.ratio, row.speed.low, row.speed.high))
    times = f"{ratio}x [{low}, {high}]"
    return times if row.speed.real else f"{times} noise"


def _plain(board: Board, column: str) -> dict[str, Any]:
    names = [row.assignment.target.name for row in board.rows]
    return {
        "watch": board.watch,
        "golden": board.golden,
        "first": board.rows[0].assignment.target.name,
        "pairs": [
            {"first": names[i], "other": names[j], "differ": board.differ(pair), **asdict(pair)}
            for (i, j), pair in board.pairs.items()
        ],
        "rows": [_plain_row(row) for row in sorted(board.rows, key=sort_key(column))],
    }


def _plain_row(row: Row) -> dict[str, Any]:
    judgement = row.judgement
    return {
        "target": row.assignment.target.name,
        "probe": judgement.subject.probe,
        "validity": judgement.findings.validity,
        "reasons": judgement.findings.reasons,
        "description": asdict(judgement.run.description) if judgement.run.description else None,
        "scores": [asdict(score) for score in judgement.findings.scores],
        "latency": [asdict(quantile) for quantile in row.latency],
        "throughput": row.throughput,
        "throughput_interval": asdict(row.throughput_interval) if row.throughput_interval else None,
        "cost_interval": asdict(row.cost_interval) if row.cost_interval else None,
        "parity": asdict(row.parity) if row.parity else None,
        "accuracy_differs": row.accuracy_differs,
        "energy": _energy(row),
        "footprint": asdict(row.footprint) if row.footprint else None,
        "frontier": sorted(row.best_for),
        "reaches_accuracy_bound": row.reaches_bound,
        "speed": asdict(row.speed) | {"real": row.speed.real, "known": row.speed.known} if row.speed else None,
    }


def _energy(row: Row) -> dict[str, Any] | None:
    if row.energy is None:
        return {"missing": row.energy_missing} if row.energy_missing else None
    per = {
        "gross_per_inference_j": row.energy.gross_per_inference_j,
        "net_per_inference_j": row.energy.net_per_inference_j,
    }
    return asdict(row.energy) | {name: asdict(value) for name, value in per.items()}
