"""How far a score differs between the values of a slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from goldwatch.core.judgement import SliceStanding


@dataclass(frozen=True, slots=True)
class Gap:
    """The difference of a score between its `highest` and `lowest` value of a slice, on the scale of the score.

    `highest` and `lowest` are values of the slice. `reference` is the largest such difference in the reference
    replays, and `growth` the most that one value has lost against another since; None if that is not known.
    """

    score: str
    slice: str
    size: float
    highest: str
    lowest: str
    reference: float | None = None
    growth: float | None = None

    @classmethod
    def between(cls, score: str, name: str, standings: Sequence[SliceStanding]) -> Gap | None:
        """Return the gap of the slice `name` by the standings of all slices; None if fewer than two values have one."""
        found = [each for each in standings if each.slice == name]
        if len(found) < 2:
            return None
        high = max(found, key=lambda each: each.right)
        low = min(reversed(found), key=lambda each: each.right)  # another value, also if all means are equal
        usual = [each.reference for each in found if each.reference is not None]
        if len(usual) < len(found):
            return cls(score, name, high.right - low.right, high.value, low.value)
        lost = [then - each.right for then, each in zip(usual, found, strict=True)]
        reference, growth = max(usual) - min(usual), max(lost) - min(lost)
        return cls(score, name, high.right - low.right, high.value, low.value, reference, growth)
