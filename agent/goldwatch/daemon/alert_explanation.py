"""An alert as values: the evidence, the size of the change, since when, where, what else changed, and what to do first.

It is composed when the alert opens, and again when another monitor joins it. The text, the page, the API, the log and
the annotations of Prometheus all render these values. A value that is not known is left out and listed as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from goldwatch.core import kinds
from goldwatch.core.event import Event
from goldwatch.core.judgement import Difference, Flip, Judgement, LiveWindow, Score, Severity, Verdict
from goldwatch.daemon.alert_action import Action, Scene, first_action, replay_command, silence_command
from goldwatch.daemon.alert_size import Allowed, Size, not_known, sizes

_ERRORS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The facts of an alert from outside the judgement. Times are Unix seconds.

    `last_good_at` is the last valid replay before the onset; `events` what changed since shortly before it, `unchanged`
    and `unreported` the names of what is known not to have, and of what nothing reports. `tolerance` and `budget` are
    text. `runbooks` is the address of a folder, `served_at` that of the agent and `page` that of the alert, as readers
    can open them; empty if they cannot. `config` is the file as it was named. `deployment`, `actions` and `cause` are
    as in `Scene`; `cause_text` is for people.
    """

    last_good_at: float | None
    events: Sequence[Event]
    tolerance: str
    budget: str
    unchanged: Sequence[str] = ()
    runbooks: str = ""
    page: str = ""
    config: str = ""
    served_at: str = ""
    unreported: Sequence[str] = ()
    allowed: Allowed | None = None
    deployment: str = ""
    actions: Mapping[str, str] | None = None
    cause: str = ""
    cause_text: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """An example as people can see it: the lines of text that draw it or spell it out."""

    example: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """An alert as values. `verdicts` are those of the alerting monitors, the one that names the alert first.

    `scores` and `difference` are those of the replay that raised it; `pictures` show the first of the flips,
    and `live` is the window of live rows that it judged, where *drift* is one of the monitors. `sizes`, `action` and
    the fields after them are empty in alerts of an older goldwatch. `replay` and `silence` are commands.
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
    sizes: tuple[Size, ...] = ()
    action: Action | None = None
    replay: str = ""
    silence: str = ""
    cause: str = ""
    not_known: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values that JSON can carry; `from_json` is the way back."""
        return asdict(self) | {"headline": self.headline}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Explanation:
        """Make an explanation of what `to_json` returned. Raises pydantic's ValidationError for anything else."""
        return _adapter().validate_python({name: value for name, value in values.items() if name != "headline"})

    def with_pictures(self, pictures: Sequence[Picture]) -> Explanation:
        """Return the same with pictures of examples."""
        return replace(self, pictures=tuple(pictures))

    @property
    def headline(self) -> str:
        """The target, its state and the finding, in one line."""
        return f"{self.target} is {self.state}: {self._what()}"

    @property
    def state(self) -> str:
        """The state of the target, by the monitor that names the alert: worse, failing, drifting."""
        return kinds.of(self.verdicts[0].monitor).said or self.verdicts[0].monitor

    @property
    def monitor(self) -> str:
        """The monitor that names the alert."""
        return self.verdicts[0].monitor

    @property
    def is_about_answers(self) -> bool:
        """Whether examples, slices and mistakes explain one of its monitors."""
        return any(kinds.of(verdict.monitor).about_answers for verdict in self.verdicts)

    def _what(self) -> str:
        found = self.difference
        if self._counts_answers and found is not None and found.harmful:
            return (
                f"{found.harmful:,} of {self.examples:,} golden examples now wrong that were right"
                f" ({found.helpful:,} the other way)"
            )
        return self.verdicts[0].summary

    @property
    def _counts_answers(self) -> bool:
        """Whether the count of flips is the best headline. *changed* and *moved* have their own summary."""
        return self.monitor == kinds.WORSE.name


def explain(severity: Severity, verdicts: Sequence[Verdict], judgement: Judgement, around: Surroundings) -> Explanation:
    """Compose an alert; `verdicts` are those of the alerting monitors, the most telling first."""
    about = [s for s in judgement.findings.scores if s.reference is not None] or list(judgement.findings.scores)
    known = [v.since for v in verdicts if v.since is not None]
    monitors, allowed = [v.monitor for v in verdicts], around.allowed or Allowed(around.tolerance)
    scene, found = _scene(verdicts[0].monitor, judgement, around), sizes(judgement, monitors, allowed)
    return Explanation(
        watch=judgement.subject.watch,
        target=judgement.subject.target,
        golden=judgement.subject.golden,
        examples=judgement.subject.examples,
        severity=severity,
        verdicts=tuple(verdicts),
        scores=tuple(about),
        difference=judgement.findings.difference,
        errors=tuple(_errors(judgement)),
        since=min(known, default=None),
        last_good_at=around.last_good_at,
        events=tuple(around.events),
        unchanged=tuple(around.unchanged),
        tolerance=around.tolerance,
        budget=around.budget,
        runbook=_runbook(around, verdicts[0].monitor),
        page=around.page,
        config=around.config,
        live=judgement.findings.live if any(kinds.of(m).about_live for m in monitors) else None,
        sizes=found,
        action=first_action(scene),
        replay=replay_command(scene),
        silence=silence_command(scene),
        cause=around.cause_text if kinds.SILENT.name in monitors else "",
        not_known=tuple(_unknown(found, allowed, around.unreported)),
    )


def _unknown(found: Sequence[Size], allowed: Allowed, unreported: Sequence[str]) -> Iterator[str]:
    yield from not_known(found, allowed)
    if unreported:
        yield f"{', '.join(unreported)} (the target reports none)"


def _runbook(around: Surroundings, monitor: str) -> str:
    """Return the address of a runbook: in the folder that is configured, or served by the agent."""
    name = kinds.runbook(monitor)
    if around.runbooks:
        return f"{around.runbooks.rstrip('/')}/{name}.md"
    return f"{around.served_at}/runbooks/{name}" if around.served_at else ""


def _scene(monitor: str, judgement: Judgement, around: Surroundings) -> Scene:
    found = judgement.findings.difference
    about_answers = kinds.of(monitor).about_answers
    if monitor == kinds.SCHEMA.name:
        subject = next(iter(judgement.findings.live.reasons), "") if judgement.findings.live is not None else ""
    elif monitor == kinds.DRIFT.name:
        subject = (
            judgement.findings.live.moves[0].column
            if judgement.findings.live is not None and judgement.findings.live.moves
            else ""
        )
    else:
        subject = max(
            judgement.findings.errors,
            key=lambda e: judgement.findings.errors[e],
            default=next(iter(judgement.findings.reasons), ""),
        )
    return Scene(
        monitor=monitor,
        watch=judgement.subject.watch,
        target=judgement.subject.target,
        events=around.events,
        unchanged=around.unchanged,
        deployment=around.deployment,
        config=around.config,
        examples=[flip.example for flip in found.flips] if found is not None and about_answers else [],
        turned_wrong=found.harmful if found is not None and about_answers else 0,
        subject=subject,
        cause=around.cause,
        configured=around.actions,
    )


def flips(explanation: Explanation) -> tuple[Flip, ...]:
    """Return the examples that are listed, the harmful ones first."""
    return explanation.difference.flips if explanation.difference is not None else ()


def _errors(judgement: Judgement) -> list[str]:
    """Return the most frequent messages of failed requests, or the reasons why nothing was sent."""
    counted = sorted(judgement.findings.errors.items(), key=lambda item: -item[1])[:_ERRORS_SHOWN]
    return [f"{count:,} x {message}" for message, count in counted] or list(judgement.findings.reasons)


@cache
def _adapter() -> TypeAdapter[Explanation]:
    return TypeAdapter(Explanation)
