"""How a watch sends requests: the scenario, and what is bound to it."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import Field, model_validator

from goldwatch.config import quantities as q
from goldwatch.config.base import Quantity, Section

_duration = partial(Quantity, form=q.format_duration, pattern=q.DURATION_PATTERN)

RequestLimit = Annotated[float, _duration(partial(q.parse_duration, low_s=0.001, high_s=600), examples=("250ms", "2s"))]
StartLimit = Annotated[float, _duration(partial(q.parse_duration, low_s=0.1, high_s=3600), examples=("30s", "5m"))]
RequestRate = Annotated[
    float | None,
    Quantity(q.parse_request_rate, q.format_request_rate, q.REQUEST_RATE_PATTERN, ("100 per second", "30 per minute")),
]
TokenRate = Annotated[
    float | None,
    Quantity(
        partial(q.parse_request_rate, of="tokens"),
        q.format_request_rate,
        q.REQUEST_RATE_PATTERN,
        ("20000 per minute", "100 per second"),
    ),
]
Share = Annotated[float | None, Quantity(q.parse_percentage, q.format_percentage, q.PERCENTAGE_PATTERN, ("50%", "5%"))]

_SAMPLES = {"multi-stream": 8, "offline": 32}
_IN_FLIGHT = {"server": 16, "constant": 16}
_RATED = ("server", "constant")
NO_BUDGET = "the scenario {} sends by a schedule, which a budget of tokens or CPU cannot slow down"


class Load(Section):
    """How requests are issued in a replay."""

    scenario: Literal["single-stream", "multi-stream", "server", "offline", "constant"] = Field(
        default="single-stream",
        description="The MLPerf scenario: single-stream and multi-stream send the next request after the last answer, "
        "server sends at random times (Poisson) at a rate, offline sends all there is in batches; constant sends at "
        "equal distances.",
    )
    rate_per_s: RequestRate = Field(
        default=None, alias="rate", description="Requests a second, for the scenarios server and constant only."
    )
    samples_per_query: int | None = Field(
        default=None, ge=1, le=1024, description="Examples in one request of multi-stream; 8 if not written."
    )
    batch: int | None = Field(
        default=None, ge=1, le=4096, description="Examples in one request of offline; 32 if not written."
    )
    in_flight: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="The most requests at a time, each on a connection of its own; if not written, 16 for server and "
        "constant, else 1. A model in process that cannot be asked twice at once is asked once.",
    )
    most_per_s: RequestRate = Field(
        default=None,
        alias="at_most",
        description="The budget of this watch: no more requests a second than this; a replay is slowed down to it.",
    )
    most_tokens_per_s: TokenRate = Field(
        default=None,
        alias="tokens_at_most",
        description="The budget of this watch in tokens, read and written; closed loads are slowed down to it.",
    )
    most_cpu: Share = Field(
        default=None,
        alias="cpu_at_most",
        description="How much of one core its worker may take, a model in process included; closed loads are slowed "
        "down to it.",
    )
    repeats: int = Field(
        default=12,
        ge=0,
        le=1000,
        description="How many slightly altered examples a served target is asked for twice, at most once an hour, "
        "of a language model once a day, after a replay, to find a cache that answers in its place; 0 for none.",
    )
    warmup: int = Field(
        default=10, ge=0, le=10_000, description="Requests sent before the replay, which are not measured."
    )
    time_limit_s: RequestLimit = Field(
        default=2.0, alias="time_limit", description="A request that takes longer is ended and counts as an error."
    )
    start_limit_s: StartLimit = Field(
        default=60.0, alias="start_limit", description="How long the probe may take to load the model, or to connect."
    )

    @model_validator(mode="after")
    def _fits_the_scenario(self) -> Load:
        scenario = self.scenario
        if scenario in _RATED and self.rate_per_s is None:
            raise ValueError(f"scenario {scenario} needs `rate`, such as 100 per second")
        if scenario not in _RATED and self.rate_per_s is not None:
            raise ValueError(f"`rate` is for the scenarios server and constant, not for {scenario}")
        if self.rate_per_s is not None and self.rate_per_s > (self.most_per_s or self.rate_per_s):
            raise ValueError("`rate` is more than `at_most` allows; lower the one or raise the other")
        for key, budget in (("tokens_at_most", self.most_tokens_per_s), ("cpu_at_most", self.most_cpu)):
            if scenario in _RATED and budget is not None:
                raise ValueError(f"{NO_BUDGET.format(scenario)}; leave out `{key}`, or write another scenario")
        if self.most_tokens_per_s is not None and self.samples > 1:
            raise ValueError("`tokens_at_most` needs requests of one example each, whose tokens are counted")
        if self.samples_per_query is not None and scenario != "multi-stream":
            raise ValueError(f"`samples_per_query` is for the scenario multi-stream, not for {scenario}")
        if self.batch is not None and scenario != "offline":
            raise ValueError(f"`batch` is for the scenario offline, not for {scenario}")
        if self.in_flight not in (None, 1) and scenario in ("single-stream", "multi-stream"):
            raise ValueError(f"`in_flight` is 1 in the scenario {scenario}, whose requests follow one another")
        return self

    @property
    def samples(self) -> int:
        """Examples in one request."""
        return self.samples_per_query or self.batch or _SAMPLES.get(self.scenario, 1)

    @property
    def most_in_flight(self) -> int:
        """The most requests at a time."""
        return self.in_flight or _IN_FLIGHT.get(self.scenario, 1)
