"""What an alert says: the evidence, the examples, since when, and what else changed. As values, and as text.

It is made when the alert opens, and again when another monitor joins it. The API gives the values; the log, the command
and the page the text. Nothing is said that is not known.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from goldwatch.alerting.event import Event
from goldwatch.judgement import Difference, Flip, Judgement, LiveWindow, Score, Severity, SliceShare, Verdict
from goldwatch.monitor import kinds

_EXAMPLES_SHOWN = 12
_ERRORS_SHOWN = 3
_SLICES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an alert says beside the judgement. Times are Unix seconds.

    `last_good_at` is the last valid replay before the onset; `events` what changed since shortly before it, and
    `unchanged` the names of what is known not to have. `tolerance` and `budget` are text; `runbooks` and `page` are
    addresses, empty if there are none; `config` is the file as it was named.
    """

    last_good_at: float | None
    events: Sequence[Event]
    tolerance: str
    budget: str
    unchanged: Sequence[str] = ()
    runbooks: str = ""
    page: str = ""
    config: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """An example as people can see it: the lines of text that draw it or spell it out."""

    example: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """An alert as values. `verdicts` are those of the alerting monitors, the one that names the alert first.

    `scores` and `difference` are those of the replay that raised it; `pictures` show the first of the flips,
    and `live` is the window of live rows that it judged, where *drift* is one of the monitors.
    """

    watch: str
    target: str
    golden: str
    examples: int
    severity: Severity
    verdicts: tuple[Verdict, ...]
    scores: tuple[Score, ...]
    difference: Difference | None
    errors: tuple[str, ...]
    since: float | None
    last_good_at: float | None
    events: tuple[Event, ...]
    unchanged: tuple[str, ...]
    tolerance: str
    budget: str
    runbook: str
    page: str
    config: str
    pictures: tuple[Picture, ...] = ()
    live: LiveWindow | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values that JSON can carry; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Explanation:
        """Make an explanation of what `to_json` returned. Raises pydantic's ValidationError for anything else."""
        return _adapter().validate_python(values)

    def with_pictures(self, pictures: Sequence[Picture]) -> Explanation:
        """Return the same with pictures of examples."""
        return replace(self, pictures=tuple(pictures))

    @property
    def headline(self) -> str:
        """What has happened, in one line."""
        return f"[{self.severity}] {self.target} is {self._state}: {self._what()}"

    @property
    def _state(self) -> str:
        return kinds.of(self.verdicts[0].monitor).said or self.verdicts[0].monitor

    def text(self) -> str:
        """Write the alert for the person on call. Every line is there only if it is known."""
        lines = [self.headline, self._numbers()]
        lines += [_line("also", f"{v.monitor}: {v.summary}") for v in self.verdicts[1:]]
        lines += self._since()
        lines += self._live_rows()
        lines += [_line("errors", error) for error in self.errors]
        lines += self._where()
        lines += self._changed()
        lines += self._examples()
        lines += [_line("page", self.page)] if self.page else []
        lines += [_line("runbook", self.runbook)] if self.runbook else []
        return "\n".join(line for line in lines if line)

    def _what(self) -> str:
        found = self.difference
        if kinds.of(self.verdicts[0].monitor).about_answers and found is not None and found.harmful:
            return (
                f"{found.harmful:,} of {self.examples:,} golden examples now wrong that were right"
                f" ({found.helpful:,} the other way)"
            )
        return self.verdicts[0].summary

    def _numbers(self) -> str:
        first = self.verdicts[0]
        about_answers = kinds.of(first.monitor).about_answers
        parts = [f"{_moved(s)}, tolerance {self.tolerance}" for s in self.scores[:1] if about_answers]
        if first.evidence is not None and first.threshold is not None:
            parts.append(f"evidence {first.evidence:.1f} of {first.threshold:.1f} needed · budget {self.budget}")
        return " · ".join(parts)

    def _since(self) -> list[str]:
        if self.since is None:
            return []
        between = ""
        if self.last_good_at is not None and self.last_good_at < self.since:
            between = f" (between the replays of {clock(self.last_good_at)} and {clock(self.since)})"
        return [_line("since", f"{clock(self.since)} UTC{between}")]

    def _live_rows(self) -> list[str]:
        """Say which columns of live rows moved, and what these rows were."""
        if (found := self.live) is None:
            return []
        lines = [_line("column", f"{m.column}: {m.then} in the reference\n{_line('', m.now)} now") for m in found.moves]
        between = f"between {clock(found.began_at)} and {clock(found.ended_at)} UTC"
        unread = f", {found.unreadable:,} could not be read" if found.unreadable else ""
        if found.cut:
            unread += f", {found.cut:,} left out as too many of one cluster"
        lines.append(_line("rows", f"{found.rows:,} of {found.requests:,} live requests {between}{unread}"))
        return [*lines, *(_line("unread", f"{count:,}: {reason}") for reason, count in found.reasons.items())]

    def _where(self) -> list[str]:
        found = self.difference
        if found is None or not found.where:
            return []
        parts = [
            f"{share.flips:,} of the {found.harmful:,} are in slice {share.slice}={share.value}"
            f" ({share.examples / found.compared:.0%} of the set)"
            for share in found.where[:_SLICES_SHOWN]
        ]
        return [_line("where", " · ".join(parts))]

    def _changed(self) -> list[str]:
        lines = [
            _line("changed", f"{clock(e.at)} {e.field} {e.before or '?'} -> {e.after or '?'}") for e in self.events
        ]
        same = ", ".join(self.unchanged)
        return [*lines, _line("the same", same)] if lines and same else lines

    def _examples(self) -> list[str]:
        if self.difference is None or not self.difference.flips:
            return []
        flips = self.difference.flips
        shown = ", ".join(str(f.example) for f in flips[:_EXAMPLES_SHOWN])
        lines = [_line("examples", f"{shown}{', ...' if len(flips) > _EXAMPLES_SHOWN else ''}")]
        if self.config:
            numbers = ",".join(str(f.example) for f in flips[:_EXAMPLES_SHOWN])
            config, watch = shlex.quote(self.config), shlex.quote(self.watch)
            lines.append(_line("", f"goldwatch replay {config} --watch {watch} --examples {numbers}"))
        return lines


def explain(severity: Severity, verdicts: Sequence[Verdict], judgement: Judgement, around: Surroundings) -> Explanation:
    """Put together what is known of an alert; `verdicts` are those of the alerting monitors, the most telling first."""
    about = [s for s in judgement.scores if s.reference is not None] or list(judgement.scores)
    known = [v.since for v in verdicts if v.since is not None]
    return Explanation(
        watch=judgement.watch,
        target=judgement.target,
        golden=judgement.golden,
        examples=judgement.examples,
        severity=severity,
        verdicts=tuple(verdicts),
        scores=tuple(about),
        difference=judgement.difference,
        errors=tuple(_errors(judgement)),
        since=min(known, default=None),
        last_good_at=around.last_good_at,
        events=tuple(around.events),
        unchanged=tuple(around.unchanged) if around.events else (),
        tolerance=around.tolerance,
        budget=around.budget,
        runbook=f"{around.runbooks.rstrip('/')}/{verdicts[0].monitor}.md" if around.runbooks else "",
        page=around.page,
        config=around.config,
        live=judgement.live if any(v.monitor == kinds.DRIFT.name for v in verdicts) else None,
    )


def over_represented(explanation: Explanation) -> tuple[SliceShare, ...]:
    """Return the slices that hold more of the harmful flips than chance would put there."""
    return explanation.difference.where if explanation.difference is not None else ()


def flips(explanation: Explanation) -> tuple[Flip, ...]:
    """Return the examples that are listed, the harmful ones first."""
    return explanation.difference.flips if explanation.difference is not None else ()


def clock(at: float) -> str:
    """Write Unix seconds as a time of day in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _line(name: str, text: str) -> str:
    return f"{name:<8} {text}"


def _moved(score: Score) -> str:
    now = f"{score.value:.3f}"
    return f"{score.name} {score.reference:.3f} -> {now}" if score.reference is not None else f"{score.name} {now}"


def _errors(judgement: Judgement) -> list[str]:
    """Say what most of the failed requests were told, or why there were none."""
    counted = sorted(judgement.errors.items(), key=lambda item: -item[1])[:_ERRORS_SHOWN]
    return [f"{count:,} x {message}" for message, count in counted] or list(judgement.reasons)


@cache
def _adapter() -> TypeAdapter[Explanation]:
    return TypeAdapter(Explanation)
