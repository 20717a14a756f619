"""The demo's screen: replays as they come, evidence bars, and the digits that flipped. Calm, and one screen high."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from goldwatch.config import format_seconds
from goldwatch.core.judgement import Flip, Judgement, State, Verdict
from goldwatch.daemon.alert import Alert
from goldwatch.face.terminal import alert_panel, evidence_bars, plain_table, state_text
from goldwatch.golden.picture import half_blocks

_ROWS = 8


def screen(
    title: str, judgements: Sequence[Judgement], alert: Alert | None, pictures: str, footer: str
) -> RenderableType:
    """Put the whole screen together."""
    parts: list[RenderableType] = [Text(title, "bold"), _replays(judgements[-_ROWS:])]
    if judgements:
        parts.append(evidence_bars(judgements[-1].verdicts))
    if alert is not None:
        parts.append(alert_panel(alert.number, alert.text + (f"\n\n{pictures}" if pictures else "")))
    parts.append(Text(footer, "dim"))
    return Group(*parts)


def line(judgement: Judgement) -> str:
    """Write a replay in one line, for output that is not a terminal."""
    cells = " ".join(_cells(judgement))
    states = " ".join(f"{v.monitor}:{v.state}{_percent(v)}" for v in judgement.verdicts)
    return f"{cells}  {states}"


def digits(images: NDArray[Any], flips: Sequence[Flip], most: int = 7) -> str:
    """Draw the flipped examples of `images` [n, 8, 8] side by side in half blocks, with what they were and are now."""
    shown = flips[:most]
    drawn = [half_blocks(images[flip.example]) for flip in shown]
    rows = ["   ".join(lines) for lines in zip(*drawn, strict=True)]
    captions = "   ".join(f"{f'{flip.reference} -> {flip.now}':^8}" for flip in shown)
    return "\n".join([*rows, captions]) if shown else ""


def texts(questions: Sequence[str], flips: Sequence[Flip], most: int = 3) -> str:
    """Write the answers that flipped below their `questions`, with what they were and are now."""
    return "\n".join(f"{questions[flip.example]}\n- {flip.reference}\n+ {flip.now}" for flip in flips[:most])


def _replays(judgements: Sequence[Judgement]) -> Table:
    table = plain_table("replay", "accuracy", "same as reference", "p50", "p90", "verdict")
    for judgement in judgements:
        table.add_row(*_cells(judgement), state_text(_worst(judgement.verdicts)))
    return table


def _cells(judgement: Judgement) -> list[str]:
    at = datetime.fromtimestamp(judgement.run.started_at, UTC).strftime("%H:%M:%S")
    accuracy = next((f"{s.value:.3f}" for s in judgement.findings.scores if s.name == "accuracy"), "-")
    difference = judgement.findings.difference
    same = f"{difference.compared - difference.moved}/{judgement.subject.examples}" if difference else "-"
    latency = {q.q: format_seconds(q.latency_s) for q in judgement.findings.quantiles if q.latency_s is not None}
    return [at, accuracy, same, latency.get(0.5, "-"), latency.get(0.9, "-")]


def _worst(verdicts: Sequence[Verdict]) -> State:
    order = (State.ALERTING, State.SUSPECT, State.UNKNOWN, State.RECOVERED, State.STEADY)
    return min((v.state for v in verdicts), key=order.index, default=State.UNKNOWN)


def _percent(verdict: Verdict) -> str:
    return "" if verdict.evidence is None else f"({verdict.evidence:.1f}/{verdict.threshold:.1f})"
