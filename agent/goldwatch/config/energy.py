"""The section `energy` of the config: which meters, how often, and the carbon and prices of a kilowatt-hour or hour."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, Strict, model_validator

from goldwatch.config import quantities as q
from goldwatch.config.base import Quantity, Section
from goldwatch.config.sections import Percentage, Url

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_CARBON = rf"^{_NUMBER} *gCO2e/kWh$"
_WATTS = rf"^{_NUMBER} *W$"
_PRICE = rf"^{_NUMBER} +[A-Z]{{3}} +per +"


def _parse(value: object, pattern: str, complaint: str) -> float:
    if not isinstance(value, str) or not re.match(pattern, value.strip()):
        raise q.QuantityError(value, complaint)
    found = re.match(_NUMBER, value.strip())
    return float(found[0]) if found else 0.0


class Price(str):
    """A price as it is written, with its amount and currency."""

    __slots__ = ()

    @property
    def amount(self) -> float:
        """The number."""
        return float(self.split()[0])

    @property
    def currency(self) -> str:
        """The three letters."""
        return self.split()[1]


def _parse_price(value: object, per: str) -> Price:
    pattern = f"{_PRICE}{per.replace(' ', ' +')}$"
    _parse(value, pattern, f"is not a price; write 2.10 USD per {per}")
    return Price(" ".join(str(value).split()))


def _price(per: str) -> Quantity:
    return Quantity(partial(_parse_price, per=per), str, f"{_PRICE}{per}$", (f"2.10 USD per {per}",))


Carbon = Annotated[
    float | None,
    Quantity(
        partial(_parse, pattern=_CARBON, complaint="is not an intensity; write 350 gCO2e/kWh"),
        lambda grams: f"{grams:g} gCO2e/kWh",
        _CARBON,
        ("350 gCO2e/kWh",),
    ),
]
Watts = Annotated[
    float | None,
    Quantity(
        partial(_parse, pattern=_WATTS, complaint="is not a power; write 12 W"),
        lambda watts: f"{watts:g} W",
        _WATTS,
        ("12 W",),
    ),
]
Interval = Annotated[
    float,
    Quantity(partial(q.parse_duration, low_s=1, high_s=7 * 86400), q.format_duration, q.DURATION_PATTERN, ("1h", "6h")),
]
Scrape = Annotated[
    float, Quantity(partial(q.parse_duration, low_s=0.1, high_s=600), q.format_duration, q.DURATION_PATTERN, ("15s",))
]


class MeterEntry(Section):
    """A source of energy readings."""

    kind: Literal["rapl", "nvml", "prometheus", "estimate"] = Field(description="The meter; docs/energy.md.")
    exclusive: bool = Field(default=False, description="Only the target uses the measured device: you state that.")
    accuracy: Annotated[float | None, Percentage.__metadata__[0]] = Field(
        default=None, description="The possible error of the source, either way; required for an estimate."
    )
    gpus: Annotated[tuple[int, ...], Strict(False)] = Field(
        default=(), description="nvml: the indices of the GPUs; if not written, all."
    )
    process: str = Field(
        default="", description="nvml: the GPUs that processes of this name use. estimate: whose processor time."
    )
    url: Url = Field(default="", description="prometheus: the address of the server.")
    query: str = Field(default="", description="prometheus: what gives one number.")
    unit: Literal["joules", "millijoules", "watthours", "kilowatthours", "watts"] = Field(
        default="joules", description="prometheus: the unit of that number; watts are integrated."
    )
    scrape_s: Scrape = Field(
        default=15.0, alias="scrape", description="prometheus: how old a sample may be, the scrape interval at least."
    )
    headers: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="prometheus: headers; each value a reference (${NAME} or ${file:PATH})."
    )
    power: Watts = Field(default=None, description="estimate: the power of one busy processor.")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        needs = {"prometheus": ("url", "query"), "estimate": ("power", "accuracy")}.get(self.kind, ())
        if missing := [key for key in needs if not getattr(self, key)]:
            raise ValueError(f"a meter of the kind {self.kind} needs {' and '.join(f'`{key}`' for key in missing)}")
        return self


class CarbonApi(Section):
    """An HTTP API for the carbon intensity of the grid, such as that of Electricity Maps."""

    url: str = Field(pattern=r"^https?://", description="The address, with its query.")
    key: str = Field(default="carbonIntensity", description="The path of the number, as in data.0.intensity.actual.")
    headers: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="Headers, such as a token; each value a reference (${NAME} or ${file:PATH})."
    )


class Prices(Section):
    """Prices in one currency. The cost of an inference is the sum of the prices given."""

    machine: Annotated[Price | None, _price("hour")] = Field(default=None, description="The machine, by the hour.")
    energy: Annotated[Price | None, _price("kWh")] = Field(default=None, description="Energy, where it is metered.")
    tokens: Annotated[Price | None, _price("million tokens")] = Field(
        default=None, description="A million tokens, in and out alike."
    )
    input_tokens: Annotated[Price | None, _price("million tokens")] = Field(
        default=None, description="A million tokens of input, where they have a price of their own."
    )
    output_tokens: Annotated[Price | None, _price("million tokens")] = Field(
        default=None, description="A million tokens of output, where they have a price of their own."
    )

    @property
    def written(self) -> tuple[Price, ...]:
        """All prices that there are."""
        all_of_them = (self.machine, self.energy, self.tokens, self.input_tokens, self.output_tokens)
        return tuple(price for price in all_of_them if price is not None)

    @model_validator(mode="after")
    def _says_nothing_twice(self) -> Self:
        if self.tokens is not None and (self.input_tokens is not None or self.output_tokens is not None):
            raise ValueError("`tokens` is the price of input and output alike; keep it, or keep the other two")
        return self

    @model_validator(mode="after")
    def _in_one_currency(self) -> Self:
        found = {price.currency for price in self.written}
        if len(found) > 1:
            raise ValueError(f"the prices are in {' and '.join(sorted(found))}; write all of them in one currency")
        return self


class Energy(Section):
    """The energy of an inference. An empty section measures with the meters of this machine that can be read."""

    meters: Mapping[str, MeterEntry] = Field(
        default_factory=dict, description="The meters, by name; if none is written, rapl and nvml where readable."
    )
    every_s: Interval = Field(
        default=3600.0, alias="every", description="The least time between two measurements of a watch."
    )
    windows: int = Field(default=4, ge=3, le=20, description="How often the load is repeated, for the uncertainty.")
    carbon: Carbon = Field(default=None, description="The intensity of the grid, where it is always the same.")
    carbon_file: str = Field(
        default="", description="A CSV file with the columns hour and gCO2e_per_kWh, relative to the config's folder."
    )
    carbon_api: CarbonApi | None = Field(default=None, description="An API for the intensity.")
    price: Prices = Field(default_factory=Prices, description="What things cost.")

    @model_validator(mode="after")
    def _one_intensity(self) -> Self:
        if sum((self.carbon is not None, bool(self.carbon_file), self.carbon_api is not None)) > 1:
            raise ValueError("`carbon`, `carbon_file` and `carbon_api` are alternatives; keep one of them")
        return self
