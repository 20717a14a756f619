"""The monitor *costly*: whether an inference, a right answer or a token takes more joules or money than it may.

As in *slow* there is one bet a measurement on a share: of measurements that are over the limit, with their whole 95 %
interval where they have one. Of those one in twenty is allowed; where the limit is what is usual, as many as the
measurements that it was learned from leave possible. A ticket.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from goldwatch.core.budget import threshold_log10
from goldwatch.core.figures import Ceiling, Figure, Figures, figures
from goldwatch.core.judgement import Severity, State, Verdict
from goldwatch.core.kinds import COSTLY
from goldwatch.worker.monitors.bounds import upper
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.effects import Basis, Effect
from goldwatch.worker.monitors.share import Requests, ShareMonitor, ShareState

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.past import ReplayRecord
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings

ALLOWED = 0.05
"""The share of measurements that may be over a stated limit. Of a truth at the limit, an honest interval of 95 % lies
above it once in forty."""

BOUND_ERROR = 0.01
LEARNED_S = 7 * 86_400.0
LEAST_FIGURES = 100

_UNSTEADY = 0.25
_STALE = 3
_VERSION = 1
_DIGITS = 6
_WORST_FIRST = (State.ALERTING, State.SUSPECT, State.UNKNOWN, State.RECOVERED, State.STEADY)


@dataclass(frozen=True, slots=True)
class Usual:
    """The frozen baseline: the median of the first half of `learned` figures; of the second, `over` were too much."""

    value: float
    learned: int
    over: int

    @property
    def allowed(self) -> float:
        """The largest share of figures over the limit that the second half leaves possible, at an error of 1 %."""
        return upper(self.over, self.learned // 2, BOUND_ERROR)


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """The memory of one ceiling.

    `seconds`, `values` and `lows` are the data to learn from; `share` is set as soon as figures are judged. `at` is the
    Unix time of the last figure, and `said` its summary, or why there is none.
    """

    seconds: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    lows: tuple[float, ...] = ()
    usual: Usual | None = None
    share: ShareState | None = None
    at: float | None = None
    said: str = "nothing was measured yet"
    known: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CostlyState:
    """The memory of *costly* between replays: one part for each ceiling."""

    watched: tuple[Watched, ...]


class Costly(WatchMonitor[Figures, CostlyState]):
    """The monitor. `every_s` is the mean time between two measurements; `alpha` the false tickets for each of them.

    `owner` has what else figures depend on, the load, the meters and the prices: a baseline of another is refused.
    The ceilings share alpha alike. Raises ValueError for no ceiling.
    """

    name = COSTLY.name

    def __init__(self, ceilings: Sequence[Ceiling], alpha: float, every_s: float, owner: str = "") -> None:
        if not ceilings:
            raise ValueError("costly needs an objective of energy or cost")
        self._ceilings = tuple(ceilings)
        self._alpha = alpha / len(ceilings)
        self._every_s = every_s
        self._owner = owner

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> Costly:  # noqa: ARG003 - needs none
        """Watch with baselines that are of this load, and of these meters and prices."""
        owner = f"{settings.load} {settings.meters}"
        return cls(settings.most, settings.alpha(name), settings.measured_every_s, owner)

    def observe(self, replay: Case) -> Figures:
        """Return what one of something took; nothing where nothing was to be measured after this replay."""
        if (found := replay.facts.metered) is None:
            return Figures()
        return figures(self._ceilings, found.energy, replay.footprint, found.missing)

    def recall(self, replay: ReplayRecord) -> Figures | None:
        """Return what one of something took, if that was measured."""
        return replay.figures

    def effects(self, basis: Basis) -> Iterator[Effect]:  # noqa: ARG002 - whatever the reference
        """Yield twice as much as each stated limit."""
        for ceiling in self._ceilings:
            if ceiling.limit is not None:
                yield _too_much(ceiling, ceiling.limit)

    def fresh(self) -> CostlyState:
        """Return the state before the first replay."""
        return CostlyState(tuple(self._fresh(ceiling) for ceiling in self._ceilings))

    def update(self, observation: Figures, state: CostlyState, at: float) -> tuple[CostlyState, Verdict]:
        """Add one valid replay at Unix time `at`; if nothing was measured after it, it only grows later."""
        watched, verdicts = [], []
        for ceiling, before in zip(self._ceilings, state.watched, strict=True):
            after, verdict = self._look(ceiling, before, observation.of.get(ceiling.name), at)
            watched.append(after)
            verdicts.append(verdict)
        return CostlyState(tuple(watched)), self._together(verdicts)

    def standing(self, state: CostlyState) -> Verdict:
        """Say again what is known, without a new replay."""
        pairs = zip(self._ceilings, state.watched, strict=True)
        return self._together([self._stands(ceiling, watched) for ceiling, watched in pairs])

    def save(self, state: CostlyState) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        parts = {}
        for ceiling, watched in zip(self._ceilings, state.watched, strict=True):
            share = None if watched.share is None else self._shares(ceiling, watched.usual).save(watched.share)
            plain = {name: getattr(watched, name) for name in ("at", "said", "known")}
            learning = {name: list(getattr(watched, name)) for name in ("seconds", "values", "lows")}
            usual = None if watched.usual is None else asdict(watched.usual)
            parts[_key(ceiling)] = plain | learning | {"usual": usual, "share": share}
        return {"version": _VERSION, "owner": self._owner, "ceilings": parts}

    def restore(self, saved: object) -> tuple[CostlyState, str | None]:
        """Return a saved state, or a fresh one and the reason why (a part of) the saved one was refused."""
        if not isinstance(saved, Mapping) or saved.get("version") != _VERSION:
            return self.fresh(), f"the saved state is not of version {_VERSION}"
        parts, refused, watched = saved.get("ceilings"), None, []
        if not isinstance(parts, Mapping):
            return self.fresh(), "the saved state is damaged"
        for ceiling in self._ceilings:
            part, why = self._restored(ceiling, parts.get(_key(ceiling)), saved.get("owner") == self._owner)
            watched.append(part)
            refused = refused or why
        return CostlyState(tuple(watched)), refused

    def _restored(self, ceiling: Ceiling, saved: object, same_owner: bool) -> tuple[Watched, str | None]:
        fresh = self._fresh(ceiling)
        if saved is None:
            return fresh, "the saved evidence belongs to another objective"
        if ceiling.limit is None and not same_owner:
            return fresh, "the baseline belongs to another load, meter or price; learning again"
        try:
            found = _watched(saved)
            if found.usual is None and ceiling.limit is None:
                return found, None
            share, refused = self._shares(ceiling, found.usual).restore(saved["share"])  # type: ignore[index]
        except (KeyError, TypeError, ValueError, AttributeError):
            return fresh, "the saved state is damaged"
        return (fresh, refused) if refused else (replace(found, share=share), None)

    def _fresh(self, ceiling: Ceiling) -> Watched:
        return Watched() if ceiling.limit is None else Watched(share=self._shares(ceiling, None).fresh())

    def _shares(self, ceiling: Ceiling, usual: Usual | None) -> ShareMonitor:
        allowed = ALLOWED if usual is None else usual.allowed
        return ShareMonitor(self.name, allowed, self._alpha, "", [_limit(ceiling, usual)])

    def _look(
        self, ceiling: Ceiling, before: Watched, found: Figure | str | None, at: float
    ) -> tuple[Watched, Verdict]:
        if found is None:
            if before.known and before.at is not None and at - before.at > _STALE * self._every_s:
                before = replace(before, known=False, said="it has not been measured for three times the usual while")
            return before, self._stands(ceiling, before)
        if isinstance(found, str):
            after = replace(before, known=False, said=found)
            return after, self._stands(ceiling, after)
        if before.share is None:
            after = self._learn(ceiling, before, found, at)
            return after, self._stands(ceiling, after)
        monitor, limit = self._shares(ceiling, before.usual), _limit(ceiling, before.usual)
        share, verdict = monitor.update(Requests(int(found.low > limit), 1), before.share, at)
        said = _said(ceiling, found, before.usual)
        return replace(before, share=share, at=at, said=said, known=True), _worded(verdict, said)

    def _learn(self, ceiling: Ceiling, before: Watched, found: Figure, at: float) -> Watched:
        """Add a figure to what is learned from, and freeze what is usual as soon as that is enough.

        The median of one half is judged by the other, so that the bound on the share over it is exact. If a quarter of
        that half is over, it became another machine while it was learned from: the older half is forgotten.
        """
        if before.seconds and at <= before.seconds[-1]:
            return before  # the clock was set back
        seconds = (*before.seconds, float(round(at)))
        values, lows = (
            (*known, _rounded(new)) for known, new in ((before.values, found.value), (before.lows, found.low))
        )
        after = replace(before, seconds=seconds, values=values, lows=lows, at=at, known=False)
        if len(values) < LEAST_FIGURES or seconds[-1] - seconds[0] < LEARNED_S:
            return replace(after, said=_progress(after))
        half = len(values) - len(values) // 2
        usual = Usual(statistics.median(values[:half]), len(values), 0)
        over = sum(low > _limit(ceiling, usual) for low in lows[half:])
        if over > _UNSTEADY * (len(values) - half):
            after = replace(after, seconds=seconds[half:], values=values[half:], lows=lows[half:])
            return replace(after, said=f"it changed while it was learned from; {_progress(after)}")
        usual = replace(usual, over=over)
        said = f"learned from {len(values):,} measurements that {_amount(usual.value, found.unit)} is usual"
        return Watched(usual=usual, share=self._shares(ceiling, usual).fresh(), at=at, said=said, known=True)

    def _stands(self, ceiling: Ceiling, watched: Watched) -> Verdict:
        if watched.share is None:
            return self._unknown(f"not known: {watched.said}")
        verdict = self._shares(ceiling, watched.usual).standing(watched.share)
        if watched.known:
            return _worded(verdict, watched.said)
        if verdict.state is State.ALERTING:
            return _worded(verdict, f"too much when it was measured last; since then not known: {watched.said}")
        return replace(self._unknown(f"not known: {watched.said}"), evidence=verdict.evidence)

    def _unknown(self, summary: str) -> Verdict:
        threshold = threshold_log10(self._alpha)
        return Verdict(self.name, State.UNKNOWN, Severity.TICKET, 0.0, threshold, None, confirm=False, summary=summary)

    def _together(self, verdicts: Sequence[Verdict]) -> Verdict:
        """Return the verdict over all ceilings: the worst state, with the summaries of those that are in it."""
        state = next(state for state in _WORST_FIRST if any(v.state is state for v in verdicts))
        telling = [v for v in verdicts if v.state is state]
        return replace(
            telling[0],
            evidence=max((v.evidence or 0.0 for v in telling), default=0.0),
            since=min((v.since for v in telling if v.since is not None), default=None),
            summary="; ".join(dict.fromkeys(v.summary for v in telling)),
        )


def _too_much(ceiling: Ceiling, limit: float) -> Effect:
    taken = Figures({ceiling.name: Figure.exact(2 * limit, ceiling.unit)})
    verb = "takes" if ceiling.quantity == "energy" else "costs"
    words = f"{ceiling.one} {verb} over {limit:.4g} {ceiling.unit}"
    return Effect(words, lambda _: taken, declared=True, fixed=True)


def _limit(ceiling: Ceiling, usual: Usual | None) -> float:
    if ceiling.limit is not None:
        return ceiling.limit
    if usual is None or ceiling.above_usual is None:
        raise ValueError(f"{ceiling.name} has neither a limit nor what is usual")
    return usual.value * (1 + ceiling.above_usual)


def _key(ceiling: Ceiling) -> str:
    """Name a ceiling in what is saved: evidence about another limit is refused by its monitor, a usual one by this."""
    return ceiling.name if ceiling.above_usual is None else f"{ceiling.name}, {ceiling.above_usual:g} above usual"


def _said(ceiling: Ceiling, found: Figure, usual: Usual | None) -> str:
    now = f"{ceiling.one} {'takes' if ceiling.quantity == 'energy' else 'costs'} {found}"
    most = _amount(_limit(ceiling, usual), found.unit)
    if usual is None:
        return f"{now}, at most {most} wanted"
    return f"{now}, {_amount(usual.value, found.unit)} is usual and at most {most} wanted"


def _amount(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}"


def _progress(watched: Watched) -> str:
    days = (watched.seconds[-1] - watched.seconds[0]) / 86_400
    count = len(watched.seconds)
    return (
        f"learning what is usual: {count:,} measurement{'' if count == 1 else 's'} of at least {LEAST_FIGURES}, "
        f"over {days:.1f} of {LEARNED_S / 86_400:g} days"
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _worded(verdict: Verdict, said: str) -> Verdict:
    return replace(verdict, severity=Severity.TICKET, summary=said)


def _watched(saved: object) -> Watched:
    """Return the part of a saved state that is not evidence. Raises KeyError, TypeError or ValueError for damage."""
    if not isinstance(saved, Mapping):
        raise TypeError("a ceiling's state is a mapping")
    seconds, values, lows = (tuple(float(x) for x in saved[name]) for name in ("seconds", "values", "lows"))
    if not len(seconds) == len(values) == len(lows):
        raise ValueError("times without figures")
    usual = None if saved["usual"] is None else Usual(**saved["usual"])
    if usual is not None and not (usual.value >= 0 and 0 <= usual.over < usual.learned // 2):
        raise ValueError("what is usual is damaged")
    at = None if saved["at"] is None else float(saved["at"])
    return Watched(seconds, values, lows, usual, None, at, str(saved["said"]), bool(saved["known"]))
