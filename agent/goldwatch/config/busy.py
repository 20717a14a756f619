"""Detects an overloaded target: the section `busy` of a target."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Self

from pydantic import Field, GetJsonSchemaHandler, SecretStr, model_validator
from pydantic_core import CoreSchema

from goldwatch.config import quantities as q
from goldwatch.config.base import Quantity, Section
from goldwatch.config.sections import Url

SELECTOR = r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?$"
"""The name of a metric, and the labels that it must have in braces."""

LABEL = r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*'
"""One label and its value."""


@dataclass(frozen=True)
class NumberOr(Quantity):
    """A quantity that may also be written as a plain number."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Say in the JSON schema that both are accepted."""
        written = super().__get_pydantic_json_schema__(schema, handler)
        return {"anyOf": [{"type": "number", "minimum": 0}, written]}


def _parse_limit(value: object) -> float:
    if isinstance(value, str) and re.match(q.PERCENTAGE_PATTERN, value.strip()):
        return q.parse_percentage(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
        raise q.QuantityError(str(value), "is not a limit; write a number of 0 or more, such as 8, or 20%")
    return float(value)


def _parse_selector(value: object) -> str:
    found = re.match(SELECTOR, value.strip()) if isinstance(value, str) else None
    if found is None or not re.fullmatch(rf"(?:{LABEL}(?:,{LABEL})*,?)?\s*", found[2] or ""):
        raise q.QuantityError(
            value, 'is not the name of a metric; write one such as vllm:num_requests_waiting, or NAME{label="value"}'
        )
    return found[0]


def _parse_pressure(value: object) -> str:
    if not (isinstance(value, str) and value.startswith("/")):
        raise q.QuantityError(value, "is not the absolute path of a pressure file; write /proc/pressure/cpu")
    return value


Limit = Annotated[float, NumberOr(_parse_limit, "{:g}".format, q.PERCENTAGE_PATTERN, ("20%",))]
Selector = Annotated[str, Quantity(_parse_selector, str, SELECTOR, ("nv_inference_pending_request_count",))]
PressureFile = Annotated[str, Quantity(_parse_pressure, str, "^/", ("/proc/pressure/cpu",))]
Patience = Annotated[
    float,
    Quantity(partial(q.parse_duration, low_s=0, high_s=3600), q.format_duration, q.DURATION_PATTERN, ("30s", "0s")),
]


class Busy(Section):
    """When goldwatch steps back: a source for how busy the target is, one of three, and the limit."""

    query: str = Field(default="", description="A query that gives one number at a Prometheus server.")
    prometheus: Url = Field(default="", description="With `query`: the address of the server.")
    metric: Selector = Field(
        default="",
        description="A metric on the server's own page, labels in braces if need be; several series are added up.",
    )
    metrics: Url = Field(default="", description="With `metric`: the address of the page.")
    pressure: PressureFile = Field(
        default="", description="A file of pressure stall information; the share of `some` in the last ten seconds."
    )
    above: Limit = Field(description="The target is busy above this: a number, or a percentage.")
    wait_s: Patience = Field(
        default=30.0,
        alias="wait",
        description="How long a replay waits for room, before it and within it, until it is skipped or ended.",
    )
    headers: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="Headers of what is asked; each value a reference (${NAME} or ${file:PATH})."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(map(bool, (self.query, self.metric, self.pressure))) != 1:
            raise ValueError("name one source of how busy the target is: `query`, `metric` or `pressure`")
        for key, place in (("query", "prometheus"), ("metric", "metrics")):
            if bool(getattr(self, key)) != bool(getattr(self, place)):
                raise ValueError(f"`{key}` and `{place}` belong together; write both")
        if self.headers and self.pressure:
            raise ValueError("`headers` are for `query` and `metric`; a file has none")
        return self

    @property
    def what(self) -> str:
        """Name what is read."""
        return self.query or self.metric or self.pressure
