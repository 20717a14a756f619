"""A budget of energy over a time, what was charged to it, and when it has room for more. Nothing here has a clock."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Charge:
    """What a replay, or the measurement of energy after it, is charged with.

    It asked for `examples`, and had ended by Unix time `ended_at`. `joules` is None as long as no measurement has told
    what an example takes. `priced` is a measurement that has told it.
    """

    watch: str
    target: str
    golden_digest: str
    measuring: bool
    ended_at: float
    examples: int
    joules: float | None
    priced: bool = False


def in_words(joules: float) -> str:
    """Write joules for people."""
    return f"{joules:,.0f} J" if joules >= 100 else f"{joules:.3g} J"


@dataclass(frozen=True, slots=True)
class Allowance:
    """At most `joules` in any `per_s` seconds."""

    joules: float
    per_s: float

    def counted(self, charges: Iterable[Charge], now: float) -> list[Charge]:
        """Return those of the charges that count at Unix time `now`, in the order in which they cease to."""
        found = [charge for charge in charges if charge.ended_at > now - self.per_s]
        return sorted(found, key=lambda charge: charge.ended_at)

    def taken_j(self, charges: Iterable[Charge], now: float) -> float:
        """Return how many joules are taken at Unix time `now`."""
        return math.fsum(charge.joules or 0.0 for charge in self.counted(charges, now))

    def room_at(self, charges: Iterable[Charge], joules: float, now: float) -> float:
        """Return when so many joules more are within the budget: `now`, or later, or never (infinity).

        A charge counts until `per_s` after it has ended, with all of its joules. So no stretch of that length has more
        than the budget, wherever it begins, of what began when there was room and took no more than was said.
        """
        if joules > self.joules:
            return math.inf
        counted = self.counted(charges, now)
        left_j = [*accumulate((charge.joules or 0.0 for charge in reversed(counted)), initial=0.0)]
        at = now
        for charge in counted:  # the oldest first; the last of the sums is that of all
            if left_j.pop() + joules <= self.joules:
                break
            at = charge.ended_at + self.per_s
        return at

    def spread_s(self, joules: float, measured_j: float) -> float:
        """Return the time that so many joules have to themselves, of what measurements leave of the budget.

        A replay that waits for so long after the one before is one of many at even distances: a budget that is too
        small for all replays would else be used up by the first of them, and nothing be watched for the rest of it.
        """
        return self.per_s * joules / (self.joules - measured_j) if measured_j < self.joules else 0.0
