"""What the screens in a terminal share: states, evidence bars and alerts, drawn with rich for `demo` and `top`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

BAR = 30
"""Characters of a full evidence bar."""

_STYLES = {"steady": "green", "recovered": "green", "suspect": "yellow", "alerting": "bold red", "unknown": "dim"}


class Monitored(Protocol):
    """What is drawn of a monitor's verdict; evidence and threshold are log10, None where there are none."""

    @property
    def monitor(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def evidence(self) -> float | None: ...  # noqa: D102
    @property
    def threshold(self) -> float | None: ...  # noqa: D102
    @property
    def summary(self) -> str: ...  # noqa: D102


def state_text(state: str) -> Text:
    """Return a state by word and colour."""
    return Text(state, _STYLES[state])


def bar(share: float, state: str, size: int = BAR) -> Text:
    """Return an evidence bar; `share` is the evidence for each unit that is needed, and full from 1 on."""
    full = round(min(max(share, 0.0), 1.0) * size)
    return Text("█" * full, _STYLES[state]) + Text("░" * (size - full), "dim")


def evidence_bars(verdicts: Iterable[Monitored], *, summaries: bool = False) -> Table:
    """Return a row for each monitor: its evidence and what is needed, and its state; with `summaries` in words too."""
    table = plain_table()
    for verdict in verdicts:
        cells = [Text(verdict.monitor)]
        if verdict.evidence is None or verdict.threshold is None:
            known = "a fact, not evidence" if verdict.state != "unknown" else "not known"
            cells += [Text(), Text(known)]
        else:
            share = verdict.evidence / verdict.threshold
            cells += [bar(share, verdict.state), Text(f"evidence {verdict.evidence:.1f} of {verdict.threshold:.1f}")]
        cells.append(state_text(verdict.state))
        table.add_row(*cells, *([Text(verdict.summary, "dim")] if summaries else []))
    return table


def alert_panel(number: int, text: str) -> Panel:
    """Return an alert with its text in a frame."""
    return Panel(Text(text), title=f"alert {number}", border_style="red", title_align="left")


def plain_table(*headings: str) -> Table:
    """Return an empty table without lines."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=bool(headings))
    for heading in headings:
        table.add_column(heading)
    return table
