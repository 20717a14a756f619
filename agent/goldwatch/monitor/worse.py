"""The monitor *worse*: whether the model is less often right on its golden set than the reference allows.

Half of the weight bets on the accuracy of the whole set, half on the examples that were always right (see `rates`).
While it alerts, the same test runs with its null turned round, to tell a recovery from luck.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.judgement import Severity, Verdict
from goldwatch.monitor.detector import Detector, FloatArray
from goldwatch.monitor.episode import Episodes, Standing, Watching, turned_round
from goldwatch.monitor.rates import Group, groups, log_ratios
from goldwatch.scratch import blocks


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A replay's outcomes: `right` [n] and `answered` [n], both bool; an unanswered example counts as neither."""

    right: NDArray[np.bool_]
    answered: NDArray[np.bool_]


class Worse:
    """Outcomes 0/1 against exact bounds from the reference; pages.

    `right` int [2, n] counts how often each example was right in either half of the reference, of `replays`.
    `accuracy_loss` is the share of the set that may be lost; `alpha` the false pages per replay that may be spent.
    Examples come in clusters of up to `cluster` that stand or fall together: each e-value takes the root of that order.
    Raises ValueError for counts that do not fit, or a reference too poor to lose anything.
    """

    name = "worse"

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
        self._episodes = Episodes(watching, forward, lambda best: self._recovery(best).detector)

    def fresh(self) -> Standing:
        """Return the state before the first replay."""
        return self._episodes.fresh()

    def update(self, observation: Answers, state: Standing, at: float) -> tuple[Standing, Verdict]:
        """Add one valid replay that started at Unix time `at`. Raises ValueError for outcomes of another length."""
        self._check(observation)
        cluster = self._cluster

        def back(best: int) -> FloatArray:
            failed = self._sizes[self._group_of_bet[best]] - self._right(observation)[self._group_of_bet[best]]
            return self._recovery(best).log_e(failed) / cluster

        return self._episodes.update(state, self.log_e(observation), back, at, self._summary(observation))

    def log_e(self, observation: Answers) -> FloatArray:
        """Return the log e-values [bets] of a replay.

        An unanswered example counts as right: whatever it would have been, this can only lower them. That answers are
        missing is the business of *failing*.
        """
        failed = self._wrong(observation)[self._group_of_bet]
        return log_ratios(failed, self._sizes[self._group_of_bet], self._null, self._alternative) / self._cluster

    def standing(self, state: Standing) -> Verdict:
        """Say again what is known, without a new replay."""
        return self._episodes.standing(state)

    def save(self, state: Standing) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss.

        Of the bet that explained the page its group is kept: recovery is tested for all bets of a group alike.
        """
        saved = self._episodes.save(state)
        if isinstance(episode := saved["episode"], dict):
            episode["group"] = int(self._group_of_bet[episode.pop("best")])
        return saved

    def restore(self, saved: object) -> tuple[Standing, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if isinstance(saved, Mapping) and isinstance(episode := saved.get("episode"), Mapping):
            bets = np.flatnonzero(self._group_of_bet == episode.get("group"))
            saved = {**saved, "episode": {**episode, "best": int(bets[0]) if bets.size else None}}
        return self._episodes.restore(saved)

    def _recovery(self, best: int) -> _Recovery:
        return self._recoveries[int(self._group_of_bet[best])]

    def _wrong(self, observation: Answers) -> FloatArray:
        """Count the wrong answers of each group [groups]."""
        return self._counted(lambda rows: observation.answered[rows] & ~observation.right[rows])

    def _right(self, observation: Answers) -> FloatArray:
        """Count the right answers of each group [groups]."""
        return self._counted(lambda rows: observation.answered[rows] & observation.right[rows])

    def _counted(self, which: Callable[[slice], NDArray[np.bool_]]) -> FloatArray:
        found = np.zeros(len(self.groups))
        for rows in blocks(self.groups[0].members.size):
            chosen = which(rows)
            found += [np.count_nonzero(chosen & group.members[rows]) for group in self.groups]
        return found

    def _check(self, observation: Answers) -> None:
        n = self.groups[0].members.shape
        if observation.right.shape != n or observation.answered.shape != n:
            raise ValueError(f"the replay has outcomes of shape {observation.right.shape}, the reference of {n}")

    def _summary(self, observation: Answers) -> str:
        answered = int(np.count_nonzero(observation.answered))
        if answered == 0:
            return "no example was answered"
        wrong = self._wrong(observation)
        right = sum(
            np.count_nonzero(observation.answered[r] & observation.right[r]) for r in blocks(observation.right.size)
        )
        accuracy = right / answered
        parts = [f"accuracy {accuracy:.4f}"]
        for group, count in zip(self.groups, wrong, strict=True):
            if group.name == "pooled":
                parts[0] += f", at least {1 - group.limit:.4f} expected"
            else:
                parts.append(f"{count:,.0f} of {group.size:,} stable examples wrong, {group.limit:.2%} allowed")
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
        """Return the log e-values [2] of a replay in which `failed` of the group were not right."""
        return log_ratios(np.full(2, failed), self._size, self._null, self._alternative)
