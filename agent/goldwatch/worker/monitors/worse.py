"""The monitor *worse*: whether the model is less often right on its golden set than the reference allows.

Half of the weight bets on the accuracy of the whole set, half on the examples that were always right (see `rates`).
While it alerts, the same test runs with its null reversed, to distinguish a recovery from luck.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Severity, Verdict
from goldwatch.core.kinds import WORSE, watched_score
from goldwatch.scratch import blocks
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.corpus import WorseCorpus
from goldwatch.worker.monitors.detector import Detector, FloatArray
from goldwatch.worker.monitors.effects import Basis, Effect, losses
from goldwatch.worker.monitors.episode import (
    Back,
    Episodes,
    Episodic,
    Standing,
    TurnedEpisode,
    TurnedRound,
    Watching,
    turned_round,
)
from goldwatch.worker.monitors.rates import Group, groups, log_ratios
from goldwatch.worker.monitors.scored import WorseScore, WorseScores
from goldwatch.worker.monitors.strata import Counts, Strata

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.past import ReplayRecord
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A replay's outcomes: `right` [n] and `answered` [n], both bool; an unanswered example counts as neither."""

    right: NDArray[np.bool_]
    answered: NDArray[np.bool_]


class Worse(Episodic[TurnedEpisode, Back], WatchMonitor[Answers | Counts, Standing]):
    """Outcomes 0/1 against exact bounds from the reference; pages.

    `right` int [2, n] counts how often each example was right in either half of the reference, of `replays`.
    `accuracy_loss` is the share of the set that may be lost; `alpha` the false pages per replay that may be spent.
    Examples come in clusters of up to `cluster` that depend on each other: each e-value takes the root of that order.
    Raises ValueError for counts that do not fit, or a reference too poor to lose anything.
    """

    name = WORSE.name

    def __init__(
        self,
        right: NDArray[np.int64],
        replays: tuple[int, int],
        accuracy_loss: float,
        alpha: float,
        cluster: int = 1,
    ) -> None:
        self.groups = groups(right, replays, accuracy_loss, cluster)
        self._cluster = cluster
        self._group_of_bet = np.array([i for i, group in enumerate(self.groups) for _ in group.alternatives])
        self._null = np.array([group.limit for group in self.groups for _ in group.alternatives])
        self._alternative = np.array([rate for group in self.groups for rate in group.alternatives])
        self._sizes = np.array([group.size for group in self.groups], dtype=np.float64)
        weights = [weight for group in self.groups for weight in group.weights]
        parameters = [*self._null, *self._alternative, *self._sizes, *([float(cluster)] if cluster > 1 else [])]
        self._recoveries = tuple(_Recovery(group) for group in self.groups)
        watching = Watching(self.name, Severity.PAGE, "the model is worse")
        forward = Detector(weights, alpha, parameters)
        self._episodes = Episodes(watching, forward, TurnedRound(lambda best: self._recovery(best).detector))

    @classmethod
    def build(
        cls, name: str, reference: Reference, settings: Settings
    ) -> Worse | WorseScores | WorseScore | WorseCorpus:
        """Bet on right and wrong, or, without labels, on scores if the reference keeps them.

        A monitor of a score of the config is named after it.
        """
        score = watched_score(name)
        if any(spec.name == score and spec.over == "replay" for spec in settings.specs):
            return WorseCorpus.build(name, reference, settings)
        if score is not None:
            return WorseScore.build(name, reference, settings)
        if reference.scores is not None:
            return WorseScores.build(name, reference, settings)
        alpha = settings.alpha(name)
        return cls(reference.right, reference.replays, settings.accuracy_loss, alpha, reference.cluster)

    def observe(self, replay: Case) -> Answers:
        """Return which answers are right."""
        return replay.answers

    def recall(self, replay: ReplayRecord) -> Answers | None:
        """Return which answers were right."""
        if replay.right is None or replay.answered is None:
            return None
        return Answers(replay.right, replay.answered)

    def effects(self, basis: Basis) -> Iterator[Effect]:
        """Yield losses of accuracy, of the same examples in each replay and at random."""
        reference = basis.reference
        usual = Strata.of(reference, self)
        declared, *others = losses(basis.settings.accuracy_loss)
        for loss in (declared, *others):
            if loss >= usual.accuracy:
                return
            points = f"{loss * 100:g} points of accuracy are lost"
            if loss == declared:
                same = Strata.without(reference, self, math.ceil(loss * reference.examples))
                yield Effect(f"{points}, the same examples", same.draw, declared=True, fixed=same.fixed)
            yield Effect(f"{points}, at random", usual.losing(loss).draw)

    def count(self, answers: Answers) -> Counts:
        """Count a replay's outcomes. Raises ValueError for those of another length."""
        n = self.groups[0].members.shape
        if answers.right.shape != n or answers.answered.shape != n:
            raise ValueError(f"the replay has outcomes of shape {answers.right.shape}, the reference of {n}")
        answered = right = 0
        wrong_of, right_of = np.zeros(len(self.groups)), np.zeros(len(self.groups))
        for rows in blocks(answers.right.size):
            among, good = answers.answered[rows], answers.answered[rows] & answers.right[rows]
            answered += int(np.count_nonzero(among))
            right += int(np.count_nonzero(good))
            for place, group in enumerate(self.groups):
                mine = int(np.count_nonzero(good & group.members[rows]))
                right_of[place] += mine
                wrong_of[place] += int(np.count_nonzero(among & group.members[rows])) - mine
        return Counts(answered, right, wrong_of, right_of)

    def update(self, observation: Answers | Counts, state: Standing, at: float) -> tuple[Standing, Verdict]:
        """Add one valid replay that started at Unix time `at`. Raises ValueError for outcomes of another length."""
        counts, cluster = self._counted(observation), self._cluster

        def back(best: int) -> FloatArray:
            group = self._group_of_bet[best]
            return self._recovery(best).log_e(self._sizes[group] - counts.right_of[group]) / cluster

        return self._episodes.update(state, self.log_e(counts), back, at, self._summary(counts))

    def log_e(self, observation: Answers | Counts) -> FloatArray:
        """Return the log e-values [bets] of a replay.

        An unanswered example counts as right: whatever it would have been, this can only lower them. That answers are
        missing is the business of *failing*.
        """
        failed = self._counted(observation).wrong_of[self._group_of_bet]
        return log_ratios(failed, self._sizes[self._group_of_bet], self._null, self._alternative) / self._cluster

    def save(self, state: Standing) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss.

        Of the bet that explained the page its group is kept: recovery is tested for all bets of a group alike.
        """
        saved = super().save(state)
        if isinstance(episode := saved["episode"], dict):
            episode["group"] = int(self._group_of_bet[episode.pop("best")])
        return saved

    def restore(self, saved: object) -> tuple[Standing, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if isinstance(saved, Mapping) and isinstance(episode := saved.get("episode"), Mapping):
            bets = np.flatnonzero(self._group_of_bet == episode.get("group"))
            saved = {**saved, "episode": {**episode, "best": int(bets[0]) if bets.size else None}}
        return super().restore(saved)

    def _recovery(self, best: int) -> _Recovery:
        return self._recoveries[int(self._group_of_bet[best])]

    def _counted(self, observation: Answers | Counts) -> Counts:
        return observation if isinstance(observation, Counts) else self.count(observation)

    def _summary(self, counts: Counts) -> str:
        if counts.answered == 0:
            return "no example was answered"
        parts = [f"accuracy {counts.right / counts.answered:.4f}"]
        for group, wrong in zip(self.groups, counts.wrong_of, strict=True):
            if group.name == "pooled":
                parts[0] += f", at least {1 - group.limit:.4f} expected"
            else:
                parts.append(f"{wrong:,.0f} of {group.size:,} stable examples wrong, {group.limit:.2%} allowed")
        return "; ".join(parts)


class _Recovery:
    """The test of one group with its null turned round: "it fails at least at the mildest rate that was bet on".

    Its alternatives are the limit and the reference's usual rate.
    """

    def __init__(self, group: Group) -> None:
        self._size = np.full(2, float(group.size))
        self._null = np.full(2, group.alternatives[0])
        self._alternative = np.array([group.limit, group.usual])
        self.detector = turned_round(2, [*self._size, *self._null, *self._alternative])

    def log_e(self, failed: float) -> FloatArray:
        """Return the log e-values [2] of a replay with `failed` of the group not right."""
        return log_ratios(np.full(2, failed), self._size, self._null, self._alternative)
