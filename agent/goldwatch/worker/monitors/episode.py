"""From the first bet to the recovery: shared by the monitors that watch by evidence in both directions.

The forward detector looks for a change. Its page begins an episode. Within it, a second one looks for the recovery,
with the null reversed: "it is still at least that bad".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from goldwatch.core.judgement import Severity, State, Verdict
from goldwatch.worker.monitors.contract import grade
from goldwatch.worker.monitors.detector import Detector, FloatArray, Sums

FALSE_RECOVERY = 0.05
"""The probability, for an alert however long, of calling recovered what is clearly broken yet."""


@dataclass(frozen=True, slots=True)
class Watching:
    """The monitor's name, its severity, and one line for an alert without news."""

    monitor: str
    severity: Severity
    broken: str


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """An alert from its page on.

    `best` is the index of the bet that explained the page best, `replays` how many followed the page, `recovery` the
    evidence that it is over, `evidence` the highest log10 so far, `since` Unix time in seconds.
    """

    since: float
    evidence: float
    best: int
    replays: int
    recovery: Sums


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """The state between replays."""

    forward: Sums
    episode: Episode | None


def turned_round(bets: int, parameters: Sequence[float]) -> Detector:
    """Return the detector of a recovery, over `bets` bets of equal weight that the `parameters` define."""
    return Detector([1] * bets, FALSE_RECOVERY, parameters)


class Episodes:
    """The way from steady through alerting to recovered, and what of it is saved.

    `backward` returns the test turned round (see `turned_round`) for the index of the bet that explained the page.
    Nobody knows which replay is the first good one, so every replay k of an episode starts a run, staked with
    1/(k (k + 1)); the stakes sum to 1, which makes the total an e-process (Ville): an episode that goes on is ever
    called recovered with probability at most FALSE_RECOVERY.
    """

    def __init__(self, watching: Watching, forward: Detector, backward: Callable[[int], Detector]) -> None:
        self._watching = watching
        self._forward = forward
        self._backward = backward

    def fresh(self) -> Standing:
        """Return what there is before the first replay."""
        return Standing(self._forward.fresh(), None)

    def update(
        self,
        before: Standing,
        log_e: FloatArray,
        back: Callable[[int], FloatArray],
        at: float,
        summary: str,
        log_stake: float | FloatArray = 0.0,
    ) -> tuple[Standing, Verdict]:
        """Add one replay at Unix time `at` with its log e-values [bets], and the logs of their stakes (see Detector).

        `back` gives those of the test turned round [backward bets], from the index of the bet that explained the page;
        it is called only within an episode.
        """
        step = self._forward.update(before.forward, log_e, at, log_stake=log_stake)
        episode = before.episode
        if episode is not None:
            return self._goes_on(step.sums, step.evidence, episode, back(episode.best), at, summary)
        if step.paged:
            episode = Episode(step.since, step.evidence, step.best, 0, self._backward(step.best).fresh())
            return Standing(step.sums, episode), self._verdict(State.ALERTING, step.evidence, step.since, summary)
        level = grade(step.evidence, self._forward.threshold)
        since = step.since if level is State.SUSPECT else None
        return Standing(step.sums, None), self._verdict(level, step.evidence, since, summary)

    def standing(self, state: Standing) -> Verdict:
        """Say again what is known, without a new replay."""
        if state.episode is not None:
            episode = state.episode
            return self._verdict(State.ALERTING, episode.evidence, episode.since, self._watching.broken)
        evidence = self._forward.evidence(state.forward)
        return self._verdict(grade(evidence, self._forward.threshold), evidence, None, "no new replay")

    def save(self, state: Standing) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        saved: dict[str, object] = {"forward": self._forward.save(state.forward), "episode": None}
        if state.episode is not None:
            episode = state.episode
            saved["episode"] = {
                "since": episode.since,
                "evidence": episode.evidence,
                "best": episode.best,
                "replays": episode.replays,
                "recovery": self._backward(episode.best).save(episode.recovery),
            }
        return saved

    def restore(self, saved: object) -> tuple[Standing, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping):
            return self.fresh(), "the saved state is damaged"
        forward, refused = self._forward.restore(saved.get("forward"))
        episode = saved.get("episode")
        if refused or episode is None:
            return Standing(forward, None), refused
        try:
            return Standing(forward, self._restored(episode, len(forward.log_m))), None
        except (KeyError, TypeError, ValueError):
            return self.fresh(), "the saved alert is damaged"

    def _restored(self, saved: Mapping[str, object], bets: int) -> Episode:
        best, replays, since, evidence = saved["best"], saved["replays"], saved["since"], saved["evidence"]
        if not (isinstance(best, int) and 0 <= best < bets and isinstance(replays, int) and replays >= 0):
            raise TypeError("best is the index of a bet, and replays a count")
        if not (isinstance(since, int | float) and isinstance(evidence, int | float)):
            raise TypeError("since and evidence are numbers")
        recovery, refused = self._backward(best).restore(saved["recovery"])
        if refused:
            raise ValueError(refused)
        return Episode(float(since), float(evidence), best, replays, recovery)

    def _goes_on(
        self, forward: Sums, evidence: float, episode: Episode, log_e: FloatArray, at: float, summary: str
    ) -> tuple[Standing, Verdict]:
        replay = episode.replays + 1
        backward = self._backward(episode.best)
        step = backward.update(episode.recovery, log_e, at, log_stake=-math.log(replay * (replay + 1)))
        if step.paged:
            # Restarting the forward test is always allowed: it only takes evidence away.
            return self.fresh(), self._verdict(State.RECOVERED, 0.0, episode.since, summary)
        highest = max(episode.evidence, evidence)
        episode = replace(episode, evidence=highest, replays=replay, recovery=step.sums)
        return Standing(forward, episode), self._verdict(State.ALERTING, highest, episode.since, summary)

    def _verdict(self, state: State, evidence: float, since: float | None, summary: str) -> Verdict:
        # Sums below 1 are no evidence: shown as 0, which JSON can hold and needs no interpretation.
        shown, threshold, who = max(evidence, 0.0), self._forward.threshold, self._watching
        return Verdict(who.monitor, state, who.severity, shown, threshold, since, confirm=False, summary=summary)
