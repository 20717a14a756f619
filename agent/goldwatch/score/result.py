"""The value that every score returns."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """One number from a replay, with the bounds of its 95 % interval over examples.

    `reference` is the same score of the reference outputs, None where it has no meaning; `n` is the number of
    examples that the value rests on.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    reference: float | None = None
