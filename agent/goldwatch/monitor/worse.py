"""The monitor *worse*: whether the model is less often right on its golden set than the reference allows.

Half of the weight bets on the accuracy of the whole set, half on the examples that were always right (see `rates`).
While it alerts, the same test runs with its null turned round, to tell a recovery from luck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from goldwatch.judgement import Severity, State, Verdict
from goldwatch.monitor.contract import grade
from goldwatch.monitor.detector import Detector, FloatArray, Sums
from goldwatch.monitor.rates import Group, groups, log_ratios

FALSE_RECOVERY = 0.05
"""The probability, for an alert however long, of calling a model recovered whose broken limit is clearly broken yet."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A replay's outcomes: `right` [n] and `answered` [n], both bool; an unanswered example counts as neither."""

    right: NDArray[np.bool_]
    answered: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """An alert from its page on.

    `group` is the index of the group whose bet explained it best, `replays` how many followed the page, `recovery`
    the evidence that the group is back, `evidence` the highest log10 so far, `since` Unix time in seconds.
    """

    since: float
    evidence: float
    group: int
    replays: int
    recovery: Sums


@dataclass(frozen=True, slots=True, eq=False)
class WorseState:
    """What *worse* remembers between replays."""

    forward: Sums
    episode: Episode | None


class Worse:
    """Outcomes 0/1 against exact bounds from the reference; pages.

    `right` int [2, n] counts how often each example was right in either half of the reference, of `replays`.
    `accuracy_loss` is the share of the set that may be lost; `alpha` the false pages per replay that may be spent.
    Raises ValueError for counts that do not fit, or a reference too poor to lose anything.
    """

    name = "worse"

    def __init__(self, right: NDArray[np.int64], replays: tuple[int, int], accuracy_loss: float, alpha: float) -> None:
        self.groups = groups(right, replays, accuracy_loss)
        self._group_of_bet = np.array([i for i, group in enumerate(self.groups) for _ in group.alternatives])
        self._null = np.array([group.limit for group in self.groups for _ in group.alternatives])
        self._alternative = np.array([rate for group in self.groups for rate in group.alternatives])
        self._sizes = np.array([group.size for group in self.groups], dtype=np.float64)
        weights = [1 / len(group.alternatives) for group in self.groups for _ in group.alternatives]
        parameters = [*self._null, *self._alternative, *self._sizes]
        self._detector = Detector(weights, alpha, parameters)
        self._recoveries = tuple(_Recovery(group) for group in self.groups)

    def fresh(self) -> WorseState:
        """Return the state before the first replay."""
        return WorseState(self._detector.fresh(), None)

    def update(self, observation: Answers, state: WorseState, at: float) -> tuple[WorseState, Verdict]:
        """Add one valid replay that started at Unix time `at`. Raises ValueError for outcomes of another length."""
        self._check(observation)
        step = self._detector.update(state.forward, self.log_e(observation), at)
        summary = self._summary(observation)
        if state.episode is not None:
            evidence = max(state.episode.evidence, step.evidence)
            return self._alerting(observation, step.sums, replace(state.episode, evidence=evidence), at)
        if step.paged:
            group = int(self._group_of_bet[step.best])
            episode = Episode(step.since, step.evidence, group, 0, self._recoveries[group].detector.fresh())
            return WorseState(step.sums, episode), self._verdict(State.ALERTING, step.evidence, step.since, summary)
        level = grade(step.evidence, self._detector.threshold)
        since = step.since if level is State.SUSPECT else None
        return WorseState(step.sums, None), self._verdict(level, step.evidence, since, summary)

    def log_e(self, observation: Answers) -> FloatArray:
        """Return the log e-values [bets] of a replay.

        An unanswered example counts as right: whatever it would have been, this can only lower them. That answers are
        missing is the business of *failing*.
        """
        failed = self._failed(observation.answered & ~observation.right)[self._group_of_bet]
        return log_ratios(failed, self._sizes[self._group_of_bet], self._null, self._alternative)

    def standing(self, state: WorseState) -> Verdict:
        """Say again what is known, without a new replay."""
        if state.episode is not None:
            return self._verdict(State.ALERTING, state.episode.evidence, state.episode.since, "the model is worse")
        evidence = self._detector.evidence(state.forward)
        return self._verdict(grade(evidence, self._detector.threshold), evidence, None, "no new replay")

    def save(self, state: WorseState) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        saved: dict[str, object] = {"forward": self._detector.save(state.forward), "episode": None}
        if state.episode is not None:
            recovery = self._recoveries[state.episode.group].detector.save(state.episode.recovery)
            saved["episode"] = {
                "since": state.episode.since,
                "evidence": state.episode.evidence,
                "group": state.episode.group,
                "replays": state.episode.replays,
                "recovery": recovery,
            }
        return saved

    def restore(self, saved: object) -> tuple[WorseState, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping):
            return self.fresh(), "the saved state is damaged"
        forward, refused = self._detector.restore(saved.get("forward"))
        if refused or saved.get("episode") is None:
            return WorseState(forward, None), refused
        try:
            return WorseState(forward, self._restored_episode(saved["episode"])), None
        except (KeyError, TypeError, ValueError, IndexError):
            return self.fresh(), "the saved alert is damaged"

    def _restored_episode(self, saved: Mapping[str, object]) -> Episode:
        group, replays = saved["group"], saved["replays"]
        since, evidence = saved["since"], saved["evidence"]
        if not (isinstance(group, int) and group >= 0 and isinstance(replays, int) and replays >= 0):
            raise TypeError("group and replays are counts")
        if not (isinstance(since, int | float) and isinstance(evidence, int | float)):
            raise TypeError("since and evidence are numbers")
        recovery, refused = self._recoveries[group].detector.restore(saved["recovery"])
        if refused:
            raise ValueError(refused)
        return Episode(float(since), float(evidence), group, replays, recovery)

    def _alerting(self, observation: Answers, forward: Sums, episode: Episode, at: float) -> tuple[WorseState, Verdict]:
        recovery = self._recoveries[episode.group]
        failed = self._failed(~(observation.answered & observation.right))[episode.group]
        sums, recovered = recovery.update(episode.recovery, failed, episode.replays + 1, at)
        summary = self._summary(observation)
        if recovered:
            # Starting the forward test anew is always allowed: it only takes evidence away.
            return self.fresh(), self._verdict(State.RECOVERED, 0.0, episode.since, summary)
        episode = replace(episode, replays=episode.replays + 1, recovery=sums)
        return WorseState(forward, episode), self._verdict(State.ALERTING, episode.evidence, episode.since, summary)

    def _failed(self, wrong: NDArray[np.bool_]) -> FloatArray:
        return np.array([np.count_nonzero(wrong & group.members) for group in self.groups], dtype=np.float64)

    def _check(self, observation: Answers) -> None:
        n = self.groups[0].members.shape
        if observation.right.shape != n or observation.answered.shape != n:
            raise ValueError(f"the replay has outcomes of shape {observation.right.shape}, the reference of {n}")

    def _summary(self, observation: Answers) -> str:
        answered = int(np.count_nonzero(observation.answered))
        if answered == 0:
            return "no example was answered"
        wrong = self._failed(observation.answered & ~observation.right)
        accuracy = np.count_nonzero(observation.answered & observation.right) / answered
        parts = [f"accuracy {accuracy:.4f}"]
        for group, count in zip(self.groups, wrong, strict=True):
            if group.name == "pooled":
                parts[0] += f", at least {1 - group.limit:.4f} expected"
            else:
                parts.append(f"{count:,.0f} of {group.size:,} stable examples wrong, {group.limit:.2%} allowed")
        return "; ".join(parts)

    def _verdict(self, state: State, evidence: float, since: float | None, summary: str) -> Verdict:
        # Sums below 1 are no evidence: shown as 0, which JSON can hold and nobody has to interpret.
        shown, threshold = max(evidence, 0.0), self._detector.threshold
        return Verdict(self.name, state, Severity.PAGE, shown, threshold, since, confirm=False, summary=summary)


class _Recovery:
    """The test of one group with its null turned round: "it fails at least at the mildest rate that was bet on".

    Its alternatives are the limit and the reference's usual rate. Nobody knows which replay is the first good one, so
    every replay k of the alert starts a run, staked with 1/(k (k + 1)); the stakes sum to 1, which makes the total an
    e-process: an alert whose model is still that bad is ever called recovered with probability at most FALSE_RECOVERY.
    """

    def __init__(self, group: Group) -> None:
        self._size = np.full(2, float(group.size))
        self._null = np.full(2, group.alternatives[0])
        self._alternative = np.array([group.limit, group.usual])
        parameters = [*self._size, *self._null, *self._alternative]
        self.detector = Detector([1, 1], FALSE_RECOVERY, parameters)

    def update(self, sums: Sums, failed: float, replay: int, at: float) -> tuple[Sums, bool]:
        """Add the alert's `replay`th replay, counted from 1, in which `failed` of the group were not right."""
        log_e = log_ratios(np.full(2, failed), self._size, self._null, self._alternative)
        step = self.detector.update(sums, log_e, at, log_stake=-math.log(replay * (replay + 1)))
        return step.sums, step.paged
