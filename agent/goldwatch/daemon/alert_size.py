"""The size of a change: scores, latency, failed requests, joules and money, before and now.

*Now* is the replay that raised the alert. *Before* is the reference for a score, since the monitors compare with it,
and the median of the last valid replays before the onset for everything else. A value that is not known is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from goldwatch.config import format_percentage, format_seconds
from goldwatch.core import kinds
from goldwatch.core.figures import Ceiling, Figure, figures
from goldwatch.core.judgement import Judgement, State
from goldwatch.core.outcome import UNSENT, Outcome
from goldwatch.daemon.words import times

_TYPICAL, _TAILS = 0.5, (0.99, 0.9)
_MUCH = 1.5
"""From this ratio on, up or down, the ratio of a latency is shown too."""


@dataclass(frozen=True, slots=True)
class Size:
    """One quantity before and now, in `unit`: "" for a score, "s", "J", "requests" or a currency.

    `before` or `now` is None if it is not known. Requests are counts out of `before_of` and `now_of`. `note` has the
    relative change and what is allowed.
    """

    name: str
    unit: str
    before: float | None
    now: float | None
    note: str = ""
    before_of: int | None = None
    now_of: int | None = None

    @property
    def ratio(self) -> float | None:
        """How many times as large it is as before; None if that is not known."""
        return self.now / self.before if self.before and self.now is not None else None


@dataclass(frozen=True, slots=True)
class Allowed:
    """The objectives of a watch, and the valid replays before the onset, newest first."""

    tolerance: str = ""
    latency_limit_s: float | None = None
    latency_quantile: float | None = None
    error_rate: float | None = None
    output_distance: float | None = None
    gap: str = ""
    ceilings: Sequence[Ceiling] = ()
    earlier: Sequence[Judgement] = field(default=())


def sizes(judgement: Judgement, monitors: Sequence[str], allowed: Allowed) -> tuple[Size, ...]:
    """Return what is known of the size of a change, for an alert of these monitors."""
    return tuple(
        size
        for size in (
            *_scores(judgement, monitors, allowed),
            *_gap(judgement, monitors, allowed),
            *_distance(judgement, monitors, allowed),
            *_latencies(judgement, monitors, allowed),
            *_errors(judgement, allowed),
            *_figures(judgement, monitors, allowed),
            *_tokens(judgement, monitors, allowed),
        )
        if size.before is not None or size.now is not None
    )


def not_known(found: Sequence[Size], allowed: Allowed) -> Iterator[str]:
    """Yield the names of missing values."""
    if not allowed.earlier:
        yield "latency and errors before (no valid replay before this one is kept)"
    for size in found:
        if size.now is None:
            yield f"{size.name} now"
        elif size.before is None and allowed.earlier:
            yield f"{size.name} before"


def _scores(judgement: Judgement, monitors: Sequence[str], allowed: Allowed) -> Iterator[Size]:
    """Yield the score that counts, and those that alert; of text a second one, since few texts are equal."""
    shown = 2 if judgement.subject.task == "generation" else 1
    known = [s for s in judgement.findings.scores if s.reference is not None] or list(judgement.findings.scores)
    if not known:
        last = next((j for j in allowed.earlier if j.headline is not None), None)
        if last is not None and last.headline is not None:
            yield Size(last.headline.name, "", last.headline.value, None)
        return
    named = {kinds.watched_score(monitor) for monitor in monitors}
    about_answers = any(kinds.of(monitor).about_answers for monitor in monitors)
    for place, score in enumerate([*known[:shown], *(s for s in judgement.findings.scores if s.name in named)]):
        moved = "" if score.reference is None else points(score.value - score.reference, score.scale)
        tolerance = f"tolerance {allowed.tolerance}" if allowed.tolerance and about_answers and not place else ""
        yield Size(score.name, "", score.reference, score.value, _joined(moved, tolerance))


def points(change: float, scale: tuple[float | None, float | None] = (0.0, 1.0)) -> str:
    """Write a difference of scores: -1.9 points, or the number on a scale other than 0 to 1."""
    if scale == (0.0, 1.0):
        return f"{change * 100:+.1f} points" if abs(change) >= 0.0005 else "no change"
    return f"{change:+.3g}" if abs(change) >= 0.00005 else "no change"


def _gap(judgement: Judgement, monitors: Sequence[str], allowed: Allowed) -> Iterator[Size]:
    """Yield how far the values of a slice are apart."""
    gap = judgement.findings.gap
    if kinds.GAP.name in monitors and gap is not None:
        note = _joined(f"{gap.slice}={gap.lowest} is below {gap.highest}", allowed.gap)
        yield Size(f"gap of {gap.score}", "", gap.reference, gap.size, note)


def _distance(judgement: Judgement, monitors: Sequence[str], allowed: Allowed) -> Iterator[Size]:
    if kinds.MOVED.name in monitors:
        before = _median(j.findings.output_distance for j in allowed.earlier)
        limit = allowed.output_distance
        note = "from the reference" if limit is None else f"from the reference, limit {limit:g}"
        yield Size("distance", "", before, judgement.findings.output_distance, note)


def _latencies(judgement: Judgement, monitors: Sequence[str], allowed: Allowed) -> Iterator[Size]:
    """Yield the quantile of the objective, or else the highest one that is certified; and the median."""
    now = _by_quantile(judgement)
    before = _medians(_by_quantile(j) for j in allowed.earlier)
    tails = [q for q in (allowed.latency_quantile, *_TAILS) if q is not None]
    tail = next((q for q in tails if q in now and q in before), None)
    tail = next((q for q in tails if q in now or q in before), None) if tail is None else tail
    about_latency = kinds.SILENT.name in monitors or _about_latency(monitors)
    for q in dict.fromkeys([*([_TYPICAL] if about_latency or tail is None else []), tail]):
        if q is None:
            continue
        limit = allowed.latency_limit_s if q == allowed.latency_quantile else None
        size = Size(f"latency p{q * 100:g}", "s", before.get(q), now.get(q))
        note = _joined(_times(size, judgement), f"limit {format_seconds(limit)}" if limit is not None else "")
        yield Size(size.name, "s", size.before, size.now, note)


def _times(size: Size, judgement: Judgement) -> str:
    if size.ratio is not None and (size.ratio >= _MUCH or size.ratio <= 1 / _MUCH):
        return times(size.ratio)
    watched = [v for v in judgement.verdicts if kinds.of(v.monitor).about_latency]
    return "no change known" if watched and all(v.state is State.STEADY for v in watched) else ""


def _about_latency(monitors: Iterable[str]) -> bool:
    return any(kinds.of(monitor).about_latency for monitor in monitors)


def _by_quantile(judgement: Judgement) -> dict[float, float]:
    return {q.q: q.latency_s for q in judgement.findings.quantiles if q.latency_s is not None}


def _medians(found: Iterable[Mapping[float, float]]) -> dict[float, float]:
    values: dict[float, list[float]] = {}
    for each in found:
        for q, latency_s in each.items():
            values.setdefault(q, []).append(latency_s)
    return {q: _middle(known) for q, known in values.items()}


def _errors(judgement: Judgement, allowed: Allowed) -> Iterator[Size]:
    now, before = failed([judgement]), failed(allowed.earlier)
    note = "" if allowed.error_rate is None else f"{format_percentage(allowed.error_rate)} allowed"
    yield Size(
        "errors",
        "requests",
        None if before is None else before[0],
        None if now is None else now[0],
        note,
        None if before is None else before[1],
        None if now is None else now[1],
    )


def failed(judgements: Iterable[Judgement]) -> tuple[int, int] | None:
    """Return how many requests failed, out of how many; None if none was sent.

    Requests that were not sent because the target had given no answer count as failed, as for *failing*.
    """
    failures = total = 0
    for judgement in judgements:
        sent = {name: n for name, n in judgement.findings.outcomes.items() if name not in UNSENT}
        failures += sum(n for name, n in sent.items() if name != Outcome.OK.label)
        total += sum(sent.values())
    return (failures, total) if total else None


def _figures(judgement: Judgement, monitors: Sequence[str], allowed: Allowed) -> Iterator[Size]:
    if kinds.COSTLY.name not in monitors:
        return
    now, earlier = _measured(judgement, allowed), [_measured(j, allowed) for j in allowed.earlier]
    for ceiling in allowed.ceilings:
        before = [each[ceiling.name] for each in earlier if ceiling.name in each]
        unit = next((f.unit for f in [*before, now.get(ceiling.name)] if f is not None), ceiling.unit)
        found = now.get(ceiling.name)
        size = Size(ceiling.name, unit, _median(f.value for f in before), None if found is None else found.value)
        limit = "" if ceiling.limit is None else f"limit {ceiling.limit:.3g} {unit}"
        above = "" if ceiling.above_usual is None else f"{format_percentage(ceiling.above_usual)} above usual allowed"
        yield Size(size.name, unit, size.before, size.now, _joined(_more(size), limit, above))


def _measured(judgement: Judgement, allowed: Allowed) -> dict[str, Figure]:
    found = figures(
        allowed.ceilings, judgement.extras.energy, judgement.findings.footprint, judgement.extras.energy_missing
    ).of
    return {name: figure for name, figure in found.items() if isinstance(figure, Figure)}


def _tokens(judgement: Judgement, monitors: Sequence[str], allowed: Allowed) -> Iterator[Size]:
    """Yield the tokens of an answer where they may explain what the alert is about."""
    if kinds.COSTLY.name not in monitors and not _about_latency(monitors):
        return
    before = _median(j.findings.tokens.output_each for j in allowed.earlier if j.findings.tokens is not None)
    now = judgement.findings.tokens.output_each if judgement.findings.tokens is not None else None
    size = Size("answer", "tokens", before, now)
    yield Size("answer", "tokens", before, now, _more(size))


def _more(size: Size) -> str:
    return "" if size.ratio is None else f"{size.ratio - 1:+.0%}"


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _middle(known) if known else None


def _middle(known: Sequence[float]) -> float:
    """Return the median; `statistics` would cost the agent memory."""
    ordered, half = sorted(known), len(known) // 2
    return ordered[half] if len(known) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
