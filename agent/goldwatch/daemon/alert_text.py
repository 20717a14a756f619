"""An alert as text for chats, phones and terminals: 72 columns, the headline and the first action on top.

Every line is there only if it is known. A command is one shell command, also where it takes several lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from goldwatch.daemon import alert_rows
from goldwatch.daemon.alert_explanation import Explanation
from goldwatch.daemon.words import INDENT, WIDTH, plain, wrapped

_SLICES, _MISTAKES, _EXAMPLES = 3, 3, 5
_GAP = "  "
_BEFORE_OPTION = re.compile(r" (?=--)(?=(?:[^']*'[^']*')*[^']*$)")
"""A space before an option, outside of single quotes."""


def as_text(told: Explanation) -> str:
    """Write an alert for the person on call."""
    parts = [_head(told), _action(told), _sizes(told), _when_and_where(told), _links(told)]
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))


def _head(told: Explanation) -> Iterator[str]:
    mark = f"[{told.severity.upper()}] "
    first, *rest = wrapped(mark + plain(told.headline, 300), 0)
    yield first
    for line in wrapped(" ".join(rest), len(mark)) if rest else ():
        yield " " * len(mark) + line


def _action(told: Explanation) -> Iterator[str]:
    if (action := told.action) is None:
        return
    yield from _line("do", action.title)
    yield from command_lines(action.command)
    yield from _line("why", told.cause)
    yield from _line("" if told.cause else "why", action.why)


def _sizes(told: Explanation) -> Iterator[str]:
    found = []
    for row in alert_rows.size_rows(told):
        label, _, rest = row.name.partition(" ") if len(row.name) >= INDENT else (row.name, "", "")
        found.append((label, f"{rest} {row.values}".strip(), row.note))
    width = max((len(values) for _, values, note in found if note), default=0)
    for label, values, note in found:
        yield from _line(label, f"{values:<{width}}{_GAP}{note}" if note else values, keep=True)
    for verdict in told.verdicts[1:]:
        yield from _line("also", f"{verdict.monitor}: {plain(verdict.summary, 300)}")


def _when_and_where(told: Explanation) -> Iterator[str]:
    yield from _line("since", alert_rows.since(told))
    for column, then, now in alert_rows.column_rows(told):
        yield from _line("column", f"{column}: {then} in the reference")
        yield from _line("", f"{now} now")
    yield from _line("rows", alert_rows.live_rows(told))
    yield from _unread(told)
    yield from _titled("messages", (plain(error) for error in told.errors))
    yield from _shares("where", alert_rows.slice_rows(told), _SLICES)
    yield from _shares("mistakes", alert_rows.mistake_rows(told), _MISTAKES)
    changes = [f"{c.at} {c.field} {c.before} -> {c.after}" for c in alert_rows.change_rows(told)]
    yield from _titled("changed", changes)
    yield from _line("same", ", ".join(map(plain, told.unchanged)))
    yield from _line("unknown", "; ".join(map(plain, told.not_known)))
    yield from _examples(told)


def _unread(told: Explanation) -> Iterator[str]:
    reasons = told.live.reasons if told.live is not None else {}
    yield from _titled("unread", (f"{count:,}: {plain(reason)}" for reason, count in reasons.items()))


def _shares(label: str, shares: Sequence[alert_rows.Share], most: int) -> Iterator[str]:
    """Yield the worst slices or mistakes: all beyond chance, and up to `most` in total."""
    beyond = [share for share in shares if share.beyond]
    shown = [*beyond, *(s for s in shares if not s.beyond)][: max(most, len(beyond))]
    name, flips = (
        max((len(text) for text in column), default=0) for column in ([s.name for s in shown], [s.flips for s in shown])
    )
    for place, share in enumerate(shown):
        text = f"{share.name:<{name}}{_GAP}{share.flips:>{flips}}, {share.size}{_GAP}{share.chance}"
        yield from _line("" if place else label, text, keep=True)


def _examples(told: Explanation) -> Iterator[str]:
    found = alert_rows.example_rows(told)
    if not found:
        return
    shown = (f"{e.number} {e.name}".rstrip() + f": {e.words}" for e in found[:_EXAMPLES])
    yield from _titled("examples", shown)
    difference = told.difference
    total = 0 if difference is None else difference.harmful + difference.helpful + difference.neutral
    if (more := total - min(len(found), _EXAMPLES)) > 0:
        yield from _line("", f"and {more:,} more")
    yield from command_lines(told.replay)


def _links(told: Explanation) -> Iterator[str]:
    yield from _line("alert", told.page, keep=True)
    yield from _line("runbook", told.runbook, keep=True)
    if told.silence:
        first, *rest = command_lines(told.silence)
        yield f"{'silence':<{INDENT}}{first.strip()}"
        yield from rest


def command_lines(command: str) -> Iterator[str]:
    """Yield the lines of a command; one that is too long goes on behind a backslash, before an option."""
    if not command:
        return
    line, first = "", True
    for part in [command] if '"' in command else _BEFORE_OPTION.split(command):
        indent = " " * (INDENT if first else INDENT + 2)
        if line and len(indent) + len(line) + len(part) + 3 > WIDTH:
            yield f"{indent}{line} \\"
            line, first = part, False
        else:
            line = f"{line} {part}".strip()
    yield " " * (INDENT if first else INDENT + 2) + line


def _titled(label: str, lines: Iterable[str]) -> Iterator[str]:
    for place, line in enumerate(lines):
        yield from _line("" if place else label, line)


def _line(label: str, text: str, *, keep: bool = False) -> Iterator[str]:
    """Yield a labelled text; `keep` leaves its columns alone if they fit."""
    if not text:
        return
    fits = keep and INDENT + len(text) <= WIDTH
    for place, line in enumerate([text] if fits or " " not in text else wrapped(text)):
        yield f"{'' if place else label:<{INDENT - 1}} {line}".rstrip()
