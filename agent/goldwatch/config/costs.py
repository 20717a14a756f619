"""The objectives of energy and cost as people write them.

`2 J per inference`, `3 USD per million output tokens`, or `20% above usual`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from goldwatch.config.quantities import QuantityError, format_percentage, parse_percentage

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_COUNTS = {"": 1, "thousand": 1_000, "million": 1_000_000}
_JOULES = {"mJ": Decimal("0.001"), "J": Decimal(1), "kJ": Decimal(1000)}
_WHAT = "(?:inferences?|right answers?|output tokens?)"
_PER = rf"per +(?:(?:thousand|million) +)?{_WHAT}"
_USUAL = rf"{_NUMBER} *% +above +usual(?: +per +{_WHAT})?"

ENERGY_PATTERN = rf"^(?:at most +)?(?:{_NUMBER} *(?:mJ|J|kJ) +{_PER}|{_USUAL})$"
COST_PATTERN = rf"^(?:at most +)?(?:{_NUMBER} +[A-Z]{{3}} +{_PER}|{_USUAL})$"

_TAKEN_APART = re.compile(
    rf"(?:at most +)?(?P<amount>{_NUMBER}) *(?P<unit>%|[A-Za-z]+)(?: +above +usual)?"
    rf"(?: +per +(?P<count>thousand|million)?(?: *)(?P<what>{_WHAT}))?"
)


@dataclass(frozen=True, slots=True)
class CostObjective:
    """The most that `count` of something may take: `amount` of joules or of money, or a ratio above what is usual.

    `unit` is `J` or a currency, empty where nothing is stated but the ratio; `per` is `inference`, `right answer` or
    `output token`.
    """

    per: str
    amount: float | None = None
    unit: str = ""
    count: int = 1
    above_usual: float | None = None

    @property
    def limit(self) -> float | None:
        """The most that one may take, None where it is what is usual that counts."""
        return None if self.amount is None else self.amount / self.count


def parse_energy(value: object) -> CostObjective:
    """Return the objective for `at most 300 mJ per right answer` or `20% above usual`. Raises QuantityError."""
    return _parse(value, ENERGY_PATTERN, "is not an objective of energy; write 2 J per inference, or 20% above usual")


def parse_cost(value: object) -> CostObjective:
    """Return the objective for `3 USD per million output tokens` or `20% above usual`. Raises QuantityError."""
    complaint = "is not an objective of cost; write 2 USD per thousand inferences, or 20% above usual"
    return _parse(value, COST_PATTERN, complaint)


def format_objective(objective: CostObjective) -> str:
    """Write either of them as its parser reads it."""
    what = f"{objective.per}{'' if objective.count == 1 else 's'}"
    if objective.above_usual is not None:
        return f"{format_percentage(objective.above_usual)} above usual per {what}"
    amount, unit = Decimal(repr(objective.amount)), objective.unit
    if unit == "J" and amount < 1:
        amount, unit = amount * 1000, "mJ"
    count = next(name for name, count in _COUNTS.items() if count == objective.count)
    text = f"{amount:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"at most {text} {unit} per {count + ' ' if count else ''}{what}"


def _parse(value: object, pattern: str, complaint: str) -> CostObjective:
    text = value.strip() if isinstance(value, str) else ""
    found = _TAKEN_APART.fullmatch(text) if re.match(pattern, text) else None
    if found is None:
        raise QuantityError(value, complaint)
    per = (found["what"] or "inference").removesuffix("s")
    if found["unit"] == "%":
        return CostObjective(per, above_usual=parse_percentage(f"{found['amount']}%"))
    amount, unit = Decimal(found["amount"]), found["unit"]
    if unit in _JOULES:
        amount, unit = amount * _JOULES[unit], "J"
    if not amount:
        raise QuantityError(value, "is out of range; write more than 0")
    return CostObjective(per, float(amount), unit, _COUNTS[found["count"] or ""])
