"""Whether the share of requests that miss an objective is within the allowed share: for *failing* and *slow*.

Requests of one replay fail together - a restart takes them all - so a product over requests would not be an e-value.
There is one bet a replay, 1 + lambda (share - allowed), whose mean is at most 1 under any dependence within the replay:
its only assumption is that the share's mean, given the past, is within the objective.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from goldwatch.core.judgement import Severity, Verdict
from goldwatch.worker.monitors.detector import Detector, FloatArray, Step
from goldwatch.worker.monitors.effects import SHARES, Draw, Effect, percentage
from goldwatch.worker.monitors.episode import Episode, Episodes, Episodic, Progress, Watching

_FRACTIONS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
_BOLD = 0.99
"""Half of the weight bets nearly all on every replay, so that a dead server pages at the second or third."""

_QUIET_REPLAYS = 3
_SAVED = ("share", "quiet_replays", "quiet_requests")


@dataclass(frozen=True, slots=True)
class Requests:
    """How many requests of a replay missed the objective, of how many that were sent."""

    missed: int
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class QuietEpisode(Episode):
    """An alert that ends by a good run.

    `share` is what the replay that paged missed; `quiet_replays` and `quiet_requests` count the replays since the last
    one beyond the objective.
    """

    share: float
    quiet_replays: int = 0
    quiet_requests: int = 0


ShareState = Progress[QuietEpisode]
"""The memory of a share monitor between replays."""


class QuietRun:
    """The recovery after a run of replays within the `allowed` share.

    The test turned round would need thousands of replays: its best bet gains log(1 + allowed) from a perfect one.
    So this is a rule, not a promise: three replays, and 3 / share requests: in these the share seen at the page
    would have shown itself with probability 95 % (the rule of three).
    """

    def __init__(self, allowed: float) -> None:
        self._allowed = allowed

    def begin(self, page: Step, seen: Requests) -> QuietEpisode:
        """Return the episode that a page begins."""
        return QuietEpisode(page.since, page.evidence, seen.missed / seen.total)

    def goes_on(self, episode: QuietEpisode, seen: Requests, at: float) -> QuietEpisode | None:  # noqa: ARG002 - at any time
        """Return the episode after one more replay; None if it is over."""
        good = seen.missed <= self._allowed * seen.total
        episode = replace(
            episode,
            quiet_replays=episode.quiet_replays + 1 if good else 0,
            quiet_requests=episode.quiet_requests + seen.total if good else 0,
        )
        enough = math.ceil(3 / max(episode.share, self._allowed))
        over = episode.quiet_replays >= _QUIET_REPLAYS and episode.quiet_requests >= enough
        return None if over else episode

    def save(self, episode: QuietEpisode) -> dict[str, object]:
        """Return the episode as a value that JSON can hold without loss."""
        return {name: getattr(episode, name) for name in _SAVED}

    def restore(self, since: float, evidence: float, saved: Mapping[str, Any], bets: int) -> QuietEpisode:  # noqa: ARG002 - of any bet
        """Return a saved episode. Raises KeyError or TypeError for a damaged one."""
        numbers = {name: saved[name] for name in _SAVED}
        if not all(isinstance(number, int | float) for number in numbers.values()):
            raise TypeError("the share and the good run are numbers")
        return QuietEpisode(since, evidence, **numbers)


class ShareMonitor(Episodic[QuietEpisode, Requests]):
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
        watching = Watching(name, Severity.PAGE, f"requests {missed}")
        self._episodes = Episodes(watching, self._detector, QuietRun(allowed))

    def update(self, observation: Requests, state: ShareState, at: float) -> tuple[ShareState, Verdict]:
        """Add one valid replay that started at Unix time `at`. Raises ValueError for impossible counts."""
        if not 0 <= observation.missed <= observation.total or observation.total == 0:
            raise ValueError(f"{observation.missed} of {observation.total} requests is no share")
        share = observation.missed / observation.total
        return self._episodes.update(state, self.log_e(share), observation, at, self._summary(observation, share))

    @property
    def log_weights(self) -> FloatArray:
        """The logs of the bets' weights [bets]."""
        return self._detector.log_weights

    def log_e(self, share: float | FloatArray) -> FloatArray:
        """Return the log e-values [..., bets] of a replay, or of many at once [..., 1]."""
        return np.asarray(np.log1p(self._lambda * (share - self._allowed)), dtype=np.float64)

    def standing(self, state: ShareState) -> Verdict:
        """Say again what is known, without a new replay."""
        verdict = super().standing(state)
        if state.episode is None:
            return verdict
        return replace(verdict, summary=f"{state.episode.share:.2%} of requests {self._missed} when it paged")

    def share_effects(self, requests: int, words: str) -> Iterator[Effect]:
        """Yield shares of the `requests` of a replay that miss the objective: twice what is allowed, more, and all."""
        declared = 2 * self._allowed
        if declared < 1:
            yield Effect(f"{percentage(declared)} of {words}", _missing(declared, requests), declared=True)
        for share in [share for share in SHARES if share > declared][:1]:
            yield Effect(f"{percentage(share)} of {words}", _missing(share, requests))
        yield Effect(f"all {words}", _missing(1.0, requests), fixed=True)

    def _summary(self, observation: Requests, share: float) -> str:
        counts = f"{observation.missed:,} of {observation.total:,} requests {self._missed}"
        return f"{counts} ({share:.2%}), {self._allowed:.2%} allowed"


def _missing(share: float, requests: int) -> Draw:
    return lambda rng: Requests(int(rng.binomial(requests, share)), requests)
