"""Whether the share of requests that miss an objective is within the allowed share: for *failing* and *slow*.

Requests of one replay fail together - a restart takes them all - so a product over requests would not be an e-value.
There is one bet a replay, 1 + lambda (share - allowed), whose mean is at most 1 under any dependence within the replay:
its only assumption is that the share's mean, given the past, is within the objective.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from goldwatch.core.judgement import Severity, State, Verdict
from goldwatch.worker.monitors.contract import grade
from goldwatch.worker.monitors.detector import Detector, FloatArray, Sums
from goldwatch.worker.monitors.effects import SHARES, Draw, Effect, percentage

_FRACTIONS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
_BOLD = 0.99
"""Half of the weight bets nearly all on every replay, so that a dead server pages at the second or third."""

_QUIET_REPLAYS = 3


@dataclass(frozen=True, slots=True)
class Requests:
    """How many requests of a replay missed the objective, of how many that were sent."""

    missed: int
    total: int


@dataclass(frozen=True, slots=True)
class Episode:
    """An alert from its page on: since when (Unix seconds), its highest evidence, and the good run at its end.

    `share` is what the replay that paged missed; `quiet_replays` and `quiet_requests` count the replays since the last
    one beyond the objective.
    """

    since: float
    evidence: float
    share: float
    quiet_replays: int = 0
    quiet_requests: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ShareState:
    """The memory of a share monitor between replays."""

    forward: Sums
    episode: Episode | None


class ShareMonitor:
    """The share of requests that miss an objective, against the `allowed` share; pages.

    `missed` is the verb, as in "3 of 200 requests failed". `alpha` is the false pages per replay that may be spent;
    `limits` are the numbers that define a miss: evidence about other limits is refused. Raises ValueError unless the
    allowed share is between 0 and 1.
    """

    def __init__(self, name: str, allowed: float, alpha: float, missed: str, limits: Sequence[float] = ()) -> None:
        if not 0 < allowed < 1:
            raise ValueError(
                f"the allowed share of {name!r} must be between 0 and 1, not {allowed}; none at all has no test"
            )
        self.name = name
        self._allowed = allowed
        self._missed = missed
        self._lambda = np.array([*_FRACTIONS, _BOLD]) / allowed
        weights = [*(0.5 / len(_FRACTIONS) for _ in _FRACTIONS), 0.5]
        self._detector = Detector(weights, alpha, [allowed, *self._lambda, *limits])

    def fresh(self) -> ShareState:
        """Return the state before the first replay."""
        return ShareState(self._detector.fresh(), None)

    def update(self, observation: Requests, state: ShareState, at: float) -> tuple[ShareState, Verdict]:
        """Add one valid replay that started at Unix time `at`. Raises ValueError for impossible counts."""
        if not 0 <= observation.missed <= observation.total or observation.total == 0:
            raise ValueError(f"{observation.missed} of {observation.total} requests is no share")
        share = observation.missed / observation.total
        step = self._detector.update(state.forward, self.log_e(share), at)
        summary = self._summary(observation, share)
        if state.episode is not None:
            episode = replace(state.episode, evidence=max(state.episode.evidence, step.evidence))
            return self._alerting(observation, step.sums, episode, summary)
        if step.paged:
            episode = Episode(step.since, step.evidence, share)
            return ShareState(step.sums, episode), self._verdict(State.ALERTING, step.evidence, step.since, summary)
        level = grade(step.evidence, self._detector.threshold)
        since = step.since if level is State.SUSPECT else None
        return ShareState(step.sums, None), self._verdict(level, step.evidence, since, summary)

    @property
    def log_weights(self) -> FloatArray:
        """The logs of the bets' weights [bets]."""
        return self._detector.log_weights

    def log_e(self, share: float | FloatArray) -> FloatArray:
        """Return the log e-values [..., bets] of a replay, or of many at once [..., 1]."""
        return np.asarray(np.log1p(self._lambda * (share - self._allowed)), dtype=np.float64)

    def standing(self, state: ShareState) -> Verdict:
        """Say again what is known, without a new replay."""
        if state.episode is not None:
            summary = f"{state.episode.share:.2%} of requests {self._missed} when it paged"
            return self._verdict(State.ALERTING, state.episode.evidence, state.episode.since, summary)
        evidence = self._detector.evidence(state.forward)
        return self._verdict(grade(evidence, self._detector.threshold), evidence, None, "no new replay")

    def save(self, state: ShareState) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        episode = None if state.episode is None else asdict(state.episode)
        return {"forward": self._detector.save(state.forward), "episode": episode}

    def restore(self, saved: object) -> tuple[ShareState, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping):
            return self.fresh(), "the saved state is damaged"
        forward, refused = self._detector.restore(saved.get("forward"))
        episode = saved.get("episode")
        if refused or episode is None:
            return ShareState(forward, None), refused
        try:
            if not all(isinstance(number, int | float) for number in episode.values()):
                return self.fresh(), "the saved alert is damaged"
            return ShareState(forward, Episode(**episode)), None
        except (AttributeError, TypeError):
            return self.fresh(), "the saved alert is damaged"

    def share_effects(self, requests: int, words: str) -> Iterator[Effect]:
        """Yield shares of the `requests` of a replay that miss the objective: twice what is allowed, more, and all."""
        declared = 2 * self._allowed
        if declared < 1:
            yield Effect(f"{percentage(declared)} of {words}", _missing(declared, requests), declared=True)
        for share in [share for share in SHARES if share > declared][:1]:
            yield Effect(f"{percentage(share)} of {words}", _missing(share, requests))
        yield Effect(f"all {words}", _missing(1.0, requests), fixed=True)

    def _alerting(
        self, observation: Requests, forward: Sums, episode: Episode, summary: str
    ) -> tuple[ShareState, Verdict]:
        """Recover after a run of replays within the objective.

        The test turned round would need thousands of replays: its best bet gains log(1 + allowed) from a perfect one.
        So this is a rule, not a promise: three replays, and 3 / share requests: in these the share seen at the page
        would have shown itself with probability 95 % (the rule of three).
        """
        good = observation.missed <= self._allowed * observation.total
        episode = replace(
            episode,
            quiet_replays=episode.quiet_replays + 1 if good else 0,
            quiet_requests=episode.quiet_requests + observation.total if good else 0,
        )
        enough = math.ceil(3 / max(episode.share, self._allowed))
        if episode.quiet_replays >= _QUIET_REPLAYS and episode.quiet_requests >= enough:
            return self.fresh(), self._verdict(State.RECOVERED, 0.0, episode.since, summary)
        return ShareState(forward, episode), self._verdict(State.ALERTING, episode.evidence, episode.since, summary)

    def _summary(self, observation: Requests, share: float) -> str:
        counts = f"{observation.missed:,} of {observation.total:,} requests {self._missed}"
        return f"{counts} ({share:.2%}), {self._allowed:.2%} allowed"

    def _verdict(self, state: State, evidence: float, since: float | None, summary: str) -> Verdict:
        # Sums below 1 are no evidence: shown as 0, which JSON can hold and needs no interpretation.
        shown, threshold = max(evidence, 0.0), self._detector.threshold
        return Verdict(self.name, state, Severity.PAGE, shown, threshold, since, confirm=False, summary=summary)


def _missing(share: float, requests: int) -> Draw:
    return lambda rng: Requests(int(rng.binomial(requests, share)), requests)
