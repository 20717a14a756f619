"""The footprint of an inference: joules, grams of CO2e and money, for each inference, right answer and token."""

from __future__ import annotations

from dataclasses import dataclass, replace

from goldwatch.energy.attribution import Energy, Interval
from goldwatch.energy.carbon import J_PER_KWH

DAWNBENCH_INFERENCES = 10_000
"""DAWNBench states the cost of inference for 10,000 images (Coleman et al. 2017)."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in one currency. None costs nothing."""

    currency: str
    machine_per_hour: float | None = None
    energy_per_kwh: float | None = None
    per_input_token: float | None = None
    per_output_token: float | None = None


@dataclass(frozen=True, slots=True)
class Metered:
    """The result of a measurement after a replay: the energy, or in `missing` why there is none; intensity and prices.

    `grams_per_kwh` is the intensity of the grid at that time, None if it is not known. `dropped` counts the readings
    of meters that were implausible.
    """

    energy: Energy | None
    missing: str = ""
    prices: Prices | None = None
    grams_per_kwh: float | None = None
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """The work done: inferences per second, the share of right answers and tokens per inference, where known."""

    inferences_per_s: float | None
    right_ratio: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Per:
    """Figures for one unit: gross and net joules, grams of CO2e of the gross, and money."""

    gross_j: Interval | None
    net_j: Interval | None
    grams: Interval | None
    money: float | None

    def over(self, many: float | None) -> Per | None:
        """Return the same for each of `many` in one, None if that is not known or zero."""
        if not many:
            return None
        scale = 1 / many
        return Per(
            self.gross_j.times(scale) if self.gross_j else None,
            self.net_j.times(scale) if self.net_j else None,
            self.grams.times(scale) if self.grams else None,
            self.money * scale if self.money is not None else None,
        )


@dataclass(frozen=True, slots=True)
class Footprint:
    """An inference, a right answer and an output token. `currency` is empty where nothing has a price.

    Joules and grams of a token are over those of the measurement's own answers, money over those of the replay.
    """

    inference: Per
    right_answer: Per | None
    token: Per | None
    currency: str = ""
    grams_per_kwh: float | None = None


def footprint(
    energy: Energy | None, load: Load, prices: Prices | None, grams_per_kwh: float | None
) -> Footprint | None:
    """Work it out of what is known, None if that is nothing. Money is the sum of all that has a price."""
    gross = energy.gross_per_inference_j if energy else None
    net = energy.net_per_inference_j if energy else None
    grams = gross.times(grams_per_kwh / J_PER_KWH) if gross and grams_per_kwh is not None else None
    money = _money(gross, load, prices) if prices else None
    if gross is None and money is None:
        return None
    inference = Per(gross, net, grams, money)
    return Footprint(
        inference=inference,
        right_answer=inference.over(load.right_ratio),
        token=_token(inference, load, energy.output_tokens_each if energy else None),
        currency=prices.currency if prices and money is not None else "",
        grams_per_kwh=grams_per_kwh,
    )


def _token(inference: Per, load: Load, metered: float | None) -> Per | None:
    """Return what an output token comes to; `metered` is how many an inference of the measurement made."""
    taken, paid = inference.over(metered), inference.over(load.output_tokens)
    money = paid.money if paid else None
    if taken is None:
        return Per(None, None, None, money) if money is not None else None
    return replace(taken, money=money)


def _money(gross: Interval | None, load: Load, prices: Prices) -> float | None:
    """Return the price of an inference, None if a part of it is not known: a part is not shown for the whole."""
    parts: list[float | None] = []
    if prices.machine_per_hour is not None:
        parts.append(prices.machine_per_hour / 3600 / load.inferences_per_s if load.inferences_per_s else None)
    if prices.energy_per_kwh is not None:
        parts.append(prices.energy_per_kwh * gross.value / J_PER_KWH if gross else None)
    for price, tokens in ((prices.per_input_token, load.input_tokens), (prices.per_output_token, load.output_tokens)):
        if price is not None:
            parts.append(price * tokens if tokens is not None else None)
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None
