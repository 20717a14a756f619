"""Output of the on-call commands: an alert with its examples, and examples that were replayed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from goldwatch.commands.rerun import Rerun
from goldwatch.config import format_moment, format_seconds
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.alert_rows import example_rows
from goldwatch.daemon.words import plain
from goldwatch.ipc.judging_jobs import RerunAnswer

_ABREAST = 6
_GAP = "   "


def alert_text(alert: Alert) -> str:
    """Write an alert, its state, and its flipped examples."""
    lines = [f"alert {alert.number} of watch {alert.watch}: {_standing(alert)}", "", alert.text]
    if alert.explanation is not None and alert.explanation.pictures:
        said = {e.number: f"{e.number} {e.name}".rstrip() + f": {e.words}" for e in example_rows(alert.explanation)}
        shown = alert.explanation.pictures
        lines += ["", *side_by_side([(p.lines, said.get(p.example, str(p.example))) for p in shown])]
    return "\n".join(lines) + "\n"


def rerun_text(found: Rerun) -> str:
    """Write each answer with its reference, and how many are unchanged."""
    lines: list[str] = []
    for answer in found.answers:
        lines += [*answer.lines, _answer(answer), ""]
    same = sum(answer.same for answer in found.answers)
    lines.append(f"{same:,} of {len(found.answers):,} answered as in the reference")
    lines += [f"{count:,} x {message}" for message, count in found.errors.items()]
    return "\n".join(lines) + "\n"


def side_by_side(pictures: Sequence[tuple[Sequence[str], str]]) -> list[str]:
    """Lay out pictures with a caption each: small ones abreast, those of one line as a list."""
    if all(len(lines) == 1 for lines, _ in pictures):
        return [f"{caption}{_GAP}{lines[0]}" for lines, caption in pictures]
    found: list[str] = []
    for start in range(0, len(pictures), _ABREAST // 2):
        row = pictures[start : start + _ABREAST // 2]
        widths = [max(len(caption), *map(len, lines)) for lines, caption in row]
        height = max(len(lines) for lines, _ in row)
        padded = [[*lines, *[""] * (height - len(lines))] for lines, _ in row]
        found += [_joined(cells, widths) for cells in zip(*padded, strict=True)]
        found += [_joined((caption for _, caption in row), widths), ""]
    return found[:-1]


def _joined(cells: Iterable[str], widths: Sequence[int]) -> str:
    return _GAP.join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _standing(alert: Alert) -> str:
    times = f"opened {format_moment(alert.opened_at)}"
    if alert.closed_at is not None:
        return f"{times}, closed {format_moment(alert.closed_at)}"
    if not alert.silenced_why:
        return f"{times}, open"
    until = f" until {format_moment(alert.silenced_until)}" if alert.silenced_until is not None else ""
    return f"{times}, open, silenced{until}: {alert.silenced_why}"


def _answer(answer: RerunAnswer) -> str:
    right = f"right is {answer.label}, " if answer.label else ""
    name = f", {plain(answer.identity)}" if answer.identity else ""
    parts = [f"example {answer.example}{name}: {right}reference {answer.reference}, now {answer.now}"]
    if answer.distance is not None:
        parts.append(f"largest difference {answer.distance:.2g}")
    if answer.latency_s is not None:
        parts.append(format_seconds(answer.latency_s))
    return " · ".join(parts)
