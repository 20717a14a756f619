"""The one way of a monitor from steady through alerting to recovered, and what of it is saved.

The forward detector looks for a change, by evidence. Its page begins an episode. Within it, a `Recovery` looks for the
end: the same test turned round (`TurnedRound`, with the null "it is still at least that bad"), or a rule of the
monitor's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from goldwatch.core.judgement import Severity, State, Verdict
from goldwatch.worker.monitors.contract import grade
from goldwatch.worker.monitors.detector import Detector, FloatArray, Step, Sums

FALSE_RECOVERY = 0.05
"""The probability, for an alert however long, of calling recovered what is clearly still broken."""


@dataclass(frozen=True, slots=True)
class Watching:
    """The monitor's name, its severity, and one line for an alert without news."""

    monitor: str
    severity: Severity
    broken: str


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """An alert from its page on: `since` in Unix seconds, and the highest log10 `evidence` so far."""

    since: float
    evidence: float


Course = TypeVar("Course", bound=Episode)
Seen_contra = TypeVar("Seen_contra", contravariant=True)
Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True, eq=False)
class Progress(Generic[Course]):
    """The state between replays: the sums of the forward detector, and the alert, if there is one."""

    forward: Sums
    episode: Course | None


class Recovery(Protocol[Course, Seen_contra]):
    """How an alert ends."""

    def begin(self, page: Step, seen: Seen_contra) -> Course:
        """Return the episode that a replay begins."""

    def goes_on(self, episode: Course, seen: Seen_contra, at: float) -> Course | None:
        """Return the episode after one more replay at Unix time `at`; None if it is over."""

    def save(self, episode: Course) -> dict[str, object]:
        """Return all of an episode but its base as a value that JSON can hold without loss."""

    def restore(self, since: float, evidence: float, saved: Mapping[str, Any], bets: int) -> Course:
        """Return a saved episode of one of so many bets. Raises KeyError, TypeError or ValueError for a damaged one."""


class Episodes(Generic[Course, Seen]):
    """The way from steady through alerting to recovered, by the `forward` detector and a `recovery`."""

    def __init__(self, watching: Watching, forward: Detector, recovery: Recovery[Course, Seen]) -> None:
        self._watching = watching
        self._forward = forward
        self._recovery = recovery

    def fresh(self) -> Progress[Course]:
        """Return what there is before the first replay."""
        return Progress(self._forward.fresh(), None)

    def update(
        self,
        before: Progress[Course],
        log_e: FloatArray,
        seen: Seen,
        at: float,
        summary: str,
        log_stake: float | FloatArray = 0.0,
    ) -> tuple[Progress[Course], Verdict]:
        """Add one replay at Unix time `at` with its log e-values [bets], and the logs of their stakes (see Detector).

        `seen` is what the recovery looks at.
        """
        step = self._forward.update(before.forward, log_e, at, log_stake=log_stake)
        if before.episode is not None:
            return self._goes_on(before.episode, step, seen, at, summary)
        if step.paged:
            episode = self._recovery.begin(step, seen)
            return Progress(step.sums, episode), self._verdict(State.ALERTING, step.evidence, step.since, summary)
        level = grade(step.evidence, self._forward.threshold)
        since = step.since if level is State.SUSPECT else None
        return Progress(step.sums, None), self._verdict(level, step.evidence, since, summary)

    def standing(self, state: Progress[Course]) -> Verdict:
        """Say again what is known, without a new replay."""
        if (episode := state.episode) is not None:
            return self._verdict(State.ALERTING, episode.evidence, episode.since, self._watching.broken)
        evidence = self._forward.evidence(state.forward)
        return self._verdict(grade(evidence, self._forward.threshold), evidence, None, "no new replay")

    def save(self, state: Progress[Course]) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        saved: dict[str, object] = {"forward": self._forward.save(state.forward), "episode": None}
        if (episode := state.episode) is not None:
            base = {"since": episode.since, "evidence": episode.evidence}
            saved["episode"] = base | self._recovery.save(episode)
        return saved

    def restore(self, saved: object) -> tuple[Progress[Course], str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping):
            return self.fresh(), "the saved state is damaged"
        forward, refused = self._forward.restore(saved.get("forward"))
        episode = saved.get("episode")
        if refused or episode is None:
            return Progress(forward, None), refused
        try:
            since, evidence = (_number(episode[name]) for name in ("since", "evidence"))
            restored = self._recovery.restore(since, evidence, episode, len(forward.log_m))
        except (KeyError, TypeError, ValueError):
            return self.fresh(), "the saved alert is damaged"
        return Progress(forward, restored), None

    def _goes_on(
        self, before: Course, step: Step, seen: Seen, at: float, summary: str
    ) -> tuple[Progress[Course], Verdict]:
        episode = self._recovery.goes_on(before, seen, at)
        if episode is None:
            # Restarting the forward test is always allowed: it only takes evidence away.
            return self.fresh(), self._verdict(State.RECOVERED, 0.0, before.since, summary)
        highest = max(before.evidence, step.evidence)
        episode = replace(episode, evidence=highest)
        return Progress(step.sums, episode), self._verdict(State.ALERTING, highest, episode.since, summary)

    def _verdict(self, state: State, evidence: float, since: float | None, summary: str) -> Verdict:
        # Sums below 1 are no evidence: shown as 0, which JSON can hold and needs no interpretation.
        shown, threshold, who = max(evidence, 0.0), self._forward.threshold, self._watching
        return Verdict(who.monitor, state, who.severity, shown, threshold, since, confirm=False, summary=summary)


class Episodic(Generic[Course, Seen]):
    """A monitor whose state is that of its episodes."""

    _episodes: Episodes[Course, Seen]

    def fresh(self) -> Progress[Course]:
        """Return the state before the first replay or window."""
        return self._episodes.fresh()

    def standing(self, state: Progress[Course]) -> Verdict:
        """Say again what is known, without a new replay or window."""
        return self._episodes.standing(state)

    def save(self, state: Progress[Course]) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        return self._episodes.save(state)

    def restore(self, saved: object) -> tuple[Progress[Course], str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        return self._episodes.restore(saved)


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value} is no number")
    return float(value)


@dataclass(frozen=True, slots=True, eq=False)
class TurnedEpisode(Episode):
    """An alert that ends by the test turned round.

    `best` is the index of the bet that explained the page best, `replays` how many followed the page, `recovery` the
    evidence that it is over.
    """

    best: int
    replays: int
    recovery: Sums


Standing = Progress[TurnedEpisode]
"""The state of a monitor that watches by evidence in both directions."""

Back = Callable[[int], FloatArray]
"""Gives the log e-values of the test turned round [backward bets], by the index of the bet that explained the page."""


class TurnedRound:
    """The recovery by evidence: `backward` returns the test turned round (see `turned_round`) by the bet that paged.

    Which replay is the first good one is unknown, so every replay k of an episode starts a run, staked with
    1/(k (k + 1)); the stakes sum to 1, which makes the total an e-process (Ville): an episode that goes on is ever
    called recovered with probability at most FALSE_RECOVERY.
    """

    def __init__(self, backward: Callable[[int], Detector]) -> None:
        self._backward = backward

    def begin(self, page: Step, seen: Back) -> TurnedEpisode:  # noqa: ARG002 - the replay that paged is no recovery
        """Return the episode that a page begins."""
        return TurnedEpisode(page.since, page.evidence, page.best, 0, self._backward(page.best).fresh())

    def goes_on(self, episode: TurnedEpisode, seen: Back, at: float) -> TurnedEpisode | None:
        """Return the episode after one more replay; None if it is over."""
        replay, stake = episode.replays + 1, -math.log((episode.replays + 1) * (episode.replays + 2))
        step = self._backward(episode.best).update(episode.recovery, seen(episode.best), at, log_stake=stake)
        return None if step.paged else replace(episode, replays=replay, recovery=step.sums)

    def save(self, episode: TurnedEpisode) -> dict[str, object]:
        """Return the episode as a value that JSON can hold without loss."""
        recovery = self._backward(episode.best).save(episode.recovery)
        return {"best": episode.best, "replays": episode.replays, "recovery": recovery}

    def restore(self, since: float, evidence: float, saved: Mapping[str, Any], bets: int) -> TurnedEpisode:
        """Return a saved episode. Raises KeyError, TypeError or ValueError for a damaged one."""
        best, replays = saved["best"], saved["replays"]
        if not (isinstance(best, int) and 0 <= best < bets and isinstance(replays, int) and replays >= 0):
            raise TypeError("best is the index of a bet, and replays a count")
        recovery, refused = self._backward(best).restore(saved["recovery"])
        if refused:
            raise ValueError(refused)
        return TurnedEpisode(since, evidence, best, replays, recovery)


def turned_round(bets: int, parameters: Sequence[float]) -> Detector:
    """Return the detector of a recovery, over `bets` bets of equal weight that the `parameters` define."""
    return Detector([1] * bets, FALSE_RECOVERY, parameters)
