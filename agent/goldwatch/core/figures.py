"""The figures of *costly*: energy or cost of one unit, as far as measured. Needs no numpy.

An estimate, joules that others on the machine may have used, and an insufficient measurement are no evidence. Each of
them gives a reason as text instead of a figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from goldwatch.energy.attribution import Energy
from goldwatch.energy.footprint import Footprint, Per


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The maximum for one unit: at most `limit`, or a ratio `above_usual` over its usual figure.

    `quantity` is `energy` (gross, `unit` J) or `cost` (`unit` a currency), `per` is `inference`, `right answer` or
    `output token`. `metered` means that joules are a part of it, so they must have been measured.
    """

    quantity: str
    per: str
    unit: str = ""
    limit: float | None = None
    above_usual: float | None = None
    metered: bool = True

    @property
    def name(self) -> str:
        """The name of its figures."""
        return f"{self.quantity} per {self.per}"

    @property
    def one(self) -> str:
        """Its unit, as text."""
        return f"{'an' if self.per[0] in 'aeiou' else 'a'} {self.per}"


@dataclass(frozen=True, slots=True)
class Figure:
    """The figure of one unit: the value, and the bounds of its 95 % interval, the value itself if there is none."""

    value: float
    low: float
    high: float
    unit: str = ""

    @classmethod
    def exact(cls, value: float, unit: str) -> Figure:
        """Return one that has no interval."""
        return cls(value, value, value, unit)

    def __str__(self) -> str:
        bounds = "" if self.low == self.high else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.value:.3g} {self.unit}{bounds}"


@dataclass(frozen=True, slots=True)
class Figures:
    """The figure of each ceiling by its name, or the reason why there is none. Empty if nothing was to be measured."""

    of: Mapping[str, Figure | str] = field(default_factory=dict)


def figures(ceilings: Sequence[Ceiling], energy: Energy | None, footprint: Footprint | None, missing: str) -> Figures:
    """Return the figure of each ceiling from a measurement; `missing` is why it has no joules, if it has none."""
    return Figures({ceiling.name: _checked(_figure(ceiling, energy, footprint, missing)) for ceiling in ceilings})


def _checked(found: Figure | str) -> Figure | str:
    if isinstance(found, Figure) and not all(map(math.isfinite, (found.value, found.low, found.high))):
        return f"{found.value} is no figure"
    return found


def _figure(ceiling: Ceiling, energy: Energy | None, footprint: Footprint | None, missing: str) -> Figure | str:
    if ceiling.metered and (why := _no_evidence(energy, missing)):
        return why
    per = _per(ceiling, footprint)
    if ceiling.quantity == "energy":
        if per is None or per.gross_j is None:
            return f"how many {ceiling.per}s there were is not known"
        return Figure(per.gross_j.value, per.gross_j.low, per.gross_j.high, "J")
    if footprint is None or per is None or per.money is None:
        return "a part of the price is not known"
    return Figure.exact(per.money, footprint.currency)


def _no_evidence(energy: Energy | None, missing: str) -> str:
    """Return why joules may not be judged, "" if they may."""
    if energy is None:
        return missing or "energy was not measured"
    if energy.estimated:
        return f"{energy.source} is an estimate, which is no evidence"
    if energy.attribution != "exclusive":
        return (
            f"{energy.source} counts {energy.shared_with} too; if that is the target alone, write `exclusive: true` "
            "for its meter"
        )
    return ""


def _per(ceiling: Ceiling, footprint: Footprint | None) -> Per | None:
    if footprint is None:
        return None
    by_name = {"right answer": footprint.right_answer, "output token": footprint.token}
    return by_name.get(ceiling.per, footprint.inference)
