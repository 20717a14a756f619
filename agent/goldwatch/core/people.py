"""How a judge compares with people who graded the same answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class People:
    """Answers that people and a judge graded, counted by who called them good.

    `false_good` are those that the judge alone calls good, `false_bad` those that people alone do.
    """

    both_good: int
    both_bad: int
    false_good: int
    false_bad: int

    @property
    def answers(self) -> int:
        """How many answers both have graded."""
        return self.both_good + self.both_bad + self.false_good + self.false_bad

    @property
    def agreement(self) -> float | None:
        """The share of the answers that both call good or both call bad; None of none."""
        return (self.both_good + self.both_bad) / self.answers if self.answers else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa (1960); None if chance alone would make both agree on every answer."""
        n, agreement = self.answers, self.agreement
        if agreement is None:
            return None
        good = (self.both_good + self.false_good) * (self.both_good + self.false_bad)
        bad = (self.both_bad + self.false_bad) * (self.both_bad + self.false_good)
        chance = (good + bad) / n**2
        return None if good + bad == n**2 else (agreement - chance) / (1 - chance)

    @property
    def false_good_rate(self) -> float | None:
        """The share of the answers that people call bad and the judge calls good; None if people call none bad."""
        bad = self.both_bad + self.false_good
        return self.false_good / bad if bad else None

    @property
    def false_bad_rate(self) -> float | None:
        """The share of the answers that people call good and the judge calls bad; None if people call none good."""
        good = self.both_good + self.false_bad
        return self.false_bad / good if good else None

    def __str__(self) -> str:
        agreed = self.both_good + self.both_bad
        parts = [f"the judge agrees with people on {agreed:,} of {self.answers:,} answers"]
        if self.kappa is not None:
            parts[0] += f" (kappa {self.kappa:.2f})"
        if (bad := self.both_bad + self.false_good) > 0:
            parts.append(f"calls {self.false_good:,} of {bad:,} bad ones good")
        if (good := self.both_good + self.false_bad) > 0:
            parts.append(f"{self.false_bad:,} of {good:,} good ones bad")
        return ", ".join(parts)
