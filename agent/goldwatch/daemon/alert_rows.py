"""The parts of an alert as rows of plain text: what every renderer shows, in the same words and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from goldwatch.core.judgement import Flip
from goldwatch.daemon.alert_explanation import Explanation, flips
from goldwatch.daemon.alert_size import Size
from goldwatch.daemon.words import amount, clock, pair, plain

_NAME = 60
_UNKNOWN = "unknown"


class SizeRow(NamedTuple):
    """A quantity: its name, its values before and now with units, and what the change comes to."""

    name: str
    values: str
    note: str


class Share(NamedTuple):
    """A slice or a mistake, the flips that it holds, its size, and whether the flips are beyond chance (`p_value`)."""

    name: str
    flips: str
    size: str
    beyond: bool
    p_value: float | None

    @property
    def chance(self) -> str:
        """Whether the flips are beyond chance, for people."""
        return "beyond chance" if self.beyond else "not beyond chance"


class Change(NamedTuple):
    """A change: its time, the fact, and its values before and after."""

    at: str
    field: str
    before: str
    after: str


class Example(NamedTuple):
    """An example: its number, its name or the beginning of its text, and what became of the answer."""

    number: int
    name: str
    words: str


def size_rows(told: Explanation) -> Iterator[SizeRow]:
    """Yield the size of the change, and the evidence."""
    for size in told.sizes:
        yield SizeRow(size.name, _values(size), size.note)
    first = told.verdicts[0]
    if first.evidence is not None and first.threshold is not None:
        needed = f"{first.evidence:.1f} of {first.threshold:.1f} needed"
        yield SizeRow("evidence", needed, f"budget {told.budget}")


def _values(size: Size) -> str:
    if size.unit == "requests":
        counts = [_count(size.before, size.before_of), _count(size.now, size.now_of)]
        return " -> ".join(counts)
    if size.before is not None and size.now is not None:
        return pair(size.before, size.now, size.unit)
    known = [_UNKNOWN if value is None else amount(value, size.unit) for value in (size.before, size.now)]
    return " -> ".join(known)


def _count(value: float | None, of: int | None) -> str:
    return _UNKNOWN if value is None or of is None else f"{value:,.0f} of {of:,}"


def since(told: Explanation) -> str:
    """Return when it began; empty if that is not known."""
    if told.since is None:
        return ""
    between = ""
    if told.last_good_at is not None and told.last_good_at < told.since:
        between = f" (between the replays of {clock(told.last_good_at)} and {clock(told.since)})"
    return f"{clock(told.since)} UTC{between}"


def slice_rows(told: Explanation) -> list[Share]:
    """Return the worst slices, those beyond chance first."""
    if told.difference is None or not told.is_about_answers:
        return []
    harmful, compared = told.difference.harmful, told.difference.compared
    return [
        Share(
            f"{plain(share.slice, _NAME)}={plain(share.value, _NAME)}",
            f"{share.flips:,} of the {harmful:,}",
            f"{share.examples / compared:.0%} of the set" if compared else "",
            share.beyond_chance,
            share.p_value,
        )
        for share in told.difference.where
    ]


def mistake_rows(told: Explanation) -> list[Share]:
    """Return the mistakes that have become more frequent, those beyond chance first."""
    if told.difference is None or not told.is_about_answers:
        return []
    harmful = told.difference.harmful
    return [
        Share(
            f"{plain(each.label, _NAME)} -> {plain(each.said, _NAME)}",
            f"{each.flips:,} of the {harmful:,}",
            f"{each.reference:,} -> {each.now:,}",
            each.beyond_chance,
            each.p_value,
        )
        for each in told.difference.confusions
    ]


def change_rows(told: Explanation) -> list[Change]:
    """Return what changed shortly before the onset or since, oldest first."""
    return [
        Change(clock(e.at), plain(e.field), plain(e.before or "?", _NAME), plain(e.after or "?", _NAME))
        for e in told.events
    ]


def example_rows(told: Explanation) -> list[Example]:
    """Return the listed examples, the harmful flips first."""
    return [_example(flip) for flip in flips(told)] if told.is_about_answers else []


def _example(flip: Flip) -> Example:
    name = plain(flip.identity, _NAME) if flip.identity else ""
    if not name and flip.excerpt:
        name = f'"{plain(flip.excerpt, _NAME)}"'
    return Example(flip.example, name, plain(flip.words))


def column_rows(told: Explanation) -> Iterator[tuple[str, str, str]]:
    """Yield the columns of live rows that moved: name, values in the reference, values now."""
    for move in told.live.moves if told.live is not None else ():
        yield plain(move.column, _NAME), plain(move.then), plain(move.now)


def live_rows(told: Explanation) -> str:
    """Return which live rows were judged; empty without any."""
    if (found := told.live) is None:
        return ""
    between = f"between {clock(found.began_at)} and {clock(found.ended_at)} UTC"
    unread = f", {found.unreadable:,} could not be read" if found.unreadable else ""
    if found.cut:
        unread += f", {found.cut:,} left out as too many of one cluster"
    return f"{found.rows:,} of {found.requests:,} live requests {between}{unread}"
