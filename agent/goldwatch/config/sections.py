"""The sections of the config that need no resolution: objectives, alerts, exporters, log.

The file has shorter keys (`time_limit`) than Python (`time_limit_s`), whose names include the unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, SecretStr, Strict, ValidationInfo, field_validator

from goldwatch.config import costs
from goldwatch.config import quantities as q
from goldwatch.config.access import Authorization, TlsServer
from goldwatch.config.base import Quantity, Section
from goldwatch.config.scores import Gap, Objective

_EXAMPLES = ("30s", "5m", "2h")
_duration = partial(Quantity, form=q.format_duration, pattern=q.DURATION_PATTERN, examples=_EXAMPLES)

ExportInterval = Annotated[float, _duration(partial(q.parse_duration, low_s=1, high_s=3600))]
LeaseTime = Annotated[float, _duration(partial(q.parse_duration, low_s=1, high_s=300))]
RetryPeriod = Annotated[float, _duration(partial(q.parse_duration, low_s=0.5, high_s=60), examples=("500ms", "2s"))]
Jitter = Annotated[float | None, _duration(partial(q.parse_duration, low_s=0, high_s=86400))]
Deadline = Annotated[float | None, _duration(partial(q.parse_duration, low_s=1, high_s=86400))]
Percentage = Annotated[float, Quantity(q.parse_percentage, q.format_percentage, q.PERCENTAGE_PATTERN, ("0.1%", "5%"))]
OptionalPercentage = Annotated[
    float | None, Quantity(q.parse_percentage, q.format_percentage, q.PERCENTAGE_PATTERN, ("0.5%", "20%"))
]
Points = Annotated[
    float, Quantity(q.parse_points, q.format_points, q.POINTS_PATTERN, ("no worse than 1 point", "0.5 points"))
]
Latency = Annotated[
    q.LatencyObjective | None, Quantity(q.parse_latency, q.format_latency, q.LATENCY_PATTERN, ("50ms at p99",))
]
EnergyMost = Annotated[
    costs.CostObjective | None,
    Quantity(
        costs.parse_energy,
        costs.format_objective,
        costs.ENERGY_PATTERN,
        ("2 J per inference", "300 mJ per right answer", "20% above usual"),
    ),
]
CostMost = Annotated[
    costs.CostObjective | None,
    Quantity(
        costs.parse_cost,
        costs.format_objective,
        costs.COST_PATTERN,
        ("2 USD per thousand inferences", "3 USD per million output tokens", "20% above usual"),
    ),
]
Rate = Annotated[float, Quantity(q.parse_rate, q.format_rate, q.RATE_PATTERN, ("1 per year", "2 per quarter"))]
Address = Annotated[
    q.Listen, Quantity(q.parse_listen, q.format_listen, q.LISTEN_PATTERN, (":9870", "127.0.0.1:9870", "0.0.0.0:9870"))
]


Moment = Annotated[float, Quantity(q.parse_moment, q.format_moment, q.MOMENT_PATTERN, ("2026-12-01 22:00",))]
Rollout = Annotated[float, _duration(partial(q.parse_duration, low_s=0, high_s=86400), examples=("5m", "0s"))]
ScoreName = Annotated[str, Quantity(q.parse_name, str, q.NAME_PATTERN, ("polite",))]
Weight = Annotated[float, Field(ge=0.01, le=100, strict=False)]


def _parse_url(value: object) -> str:
    if not (isinstance(value, str) and q.is_address(value)):
        raise q.QuantityError(value, q.NO_ADDRESS)
    return value.strip()


def _parse_lease_name(value: object) -> str:
    if not (isinstance(value, str) and re.fullmatch(_LEASE_NAME, value)):
        raise q.QuantityError(value, "is not the name of a Lease; write small letters, digits and dashes, at most 63")
    return value


_LEASE_NAME = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
LeaseName = Annotated[str, Quantity(_parse_lease_name, str, _LEASE_NAME, ("fraud-goldwatch",))]
HostName = Annotated[str, Quantity(q.parse_host, str, q.HOST_PATTERN, ("goldwatch.example", ".corp.example"))]
Url = Annotated[str, Quantity(_parse_url, str, "^https?://", ("http://collector:4318",))]


def empty_is_mapping(value: object, info: ValidationInfo) -> object:
    """Report a section such as `otlp:` with nothing below it as lacking an endpoint, rather than ignore it."""
    return {} if value is None and info.mode == "json" else value


class Replays(Section):
    """How the replays of all watches share the agent."""

    concurrent: int = Field(
        default=1,
        ge=1,
        le=32,
        description="How many served targets are replayed at once, each on another server; models in process never.",
    )


class Objectives(Section):
    """The objectives of the deployed model. A page means that one of these no longer holds."""

    accuracy_loss: Points = Field(
        default=0.01, alias="accuracy", description="How much worse than the validated model it may be."
    )
    error_rate: Percentage = Field(default=0.01, alias="errors", description="The share of requests that may fail.")
    latency: Latency = Field(
        default=None, description="What a quantile of the requests must be answered within; without it none is watched."
    )
    output_distance: OptionalPercentage = Field(
        default=None,
        alias="outputs",
        description="How far the outputs may be from those of the reference on average; without it none is watched.",
    )
    slowdown: OptionalPercentage = Field(
        default=None,
        description="How much slower than usual at this hour it may be lastingly; without it that is not watched.",
    )
    energy: EnergyMost = Field(
        default=None,
        description="The most joules that an inference, right answer or output token may take; needs the section "
        "`energy`. Without it none is watched.",
    )
    cost: CostMost = Field(
        default=None,
        description="The most that inferences, right answers or output tokens may cost; needs `energy.price`. Without "
        "it none is watched.",
    )
    scores: Mapping[ScoreName, Objective] = Field(
        default_factory=dict,
        description="What the scores of the watch must keep to, each as no worse than 1 point or 0.05, at least 95%, "
        "or at most 0.2.",
    )
    gap: Gap | None = Field(
        default=None,
        description="How far a score may differ between the values of a slice; without it that is not watched.",
    )


class SilenceEntry(Section):
    """A time window: alerts are gathered and shown, without notifications."""

    begins_at: Moment = Field(alias="from", description="When it begins; UTC unless an offset is written.")
    ends_at: Moment = Field(alias="until", description="When it ends; an alert that still holds then is raised.")
    why: str = Field(min_length=1, max_length=200, description="The reason, which is shown with the alert.")
    watch: str = Field(default="", description="The watch that it is for; without one, it is for all.")

    @field_validator("ends_at")
    @classmethod
    def _ends_after_it_begins(cls, ends_at: float, info: ValidationInfo) -> float:
        if (begins_at := info.data.get("begins_at")) is not None and ends_at <= begins_at:
            raise q.QuantityError(q.format_moment(ends_at), "is no later than `from`")
        return ends_at


class Alerts(Section):
    """How sure to be before anyone is called."""

    false_alarms_per_year: Rate = Field(
        default=1.0,
        alias="false_alarms",
        description="The expected false alarms of one model, over all its monitors together.",
    )
    weights: Mapping[str, Weight] = Field(
        default_factory=dict,
        description="The weight of each monitor in the budget; 1 for one that is not named here.",
    )
    silences: Annotated[tuple[SilenceEntry, ...], Strict(False)] = Field(  # a list in the file
        default=(), description="Times without notifications, such as a maintenance."
    )
    rollout_s: Rollout = Field(
        default=300.0,
        alias="rollout",
        description="How long there are no notifications after a model's version, name or digest has changed.",
    )
    runbooks: str = Field(
        default="", description="The address of the folder of runbooks, one a monitor: worse.md and so on."
    )
    actions: Mapping[str, str] = Field(
        default_factory=dict,
        description=(
            "The command to show first in the alerts of a monitor; {target}, {watch}, {from} and {to} are filled in. "
            "It is shown, never run."
        ),
    )


class Prometheus(Section):
    """The pull side: /metrics."""

    listen: Address = Field(
        default=q.Listen("", 9870),
        description="The address for /metrics, /healthz and /readyz; without a host, all addresses.",
    )
    tls_server_config: Annotated[TlsServer | None, BeforeValidator(empty_is_mapping)] = Field(
        default=None, description="Serve over TLS, by this certificate; without this section over plain HTTP."
    )
    authorization: Annotated[Authorization | None, BeforeValidator(empty_is_mapping)] = Field(
        default=None, description="The tokens that requests must carry; without this section they need none."
    )
    external_url: Url = Field(
        default="",
        description="Where people open the agent's pages, such as https://goldwatch.example/fraud: links begin so.",
    )
    allowed_hosts: Annotated[tuple[HostName, ...], Strict(False)] = Field(  # a list in the file
        default=(),
        description="More names under which browsers may open the agent's pages; .corp.example is all names below it.",
    )
    most_series: int = Field(
        default=400_000, ge=100, le=10_000_000, description="A config that would make more series is refused."
    )


class Traces(Section):
    """Replays as traces. The server's own spans join those of the requests that are sampled."""

    share: Percentage = Field(
        default=0.01, alias="requests", description="The share of the requests of a replay that are sampled."
    )
    most: int = Field(default=100, ge=1, le=1000, description="The most of them in one replay.")


class Otlp(Section):
    """The push side: an OpenTelemetry collector."""

    endpoint: Url = Field(description="The address of the collector.")
    protocol: Literal["http", "grpc"] = Field(default="http", description="How the collector is spoken to.")
    every_s: ExportInterval = Field(default=60.0, alias="every", description="How often metrics are pushed.")
    headers: Mapping[str, SecretStr] = Field(
        default_factory=dict,
        description="Headers of each push, such as a token; each value a reference (${NAME} or ${file:PATH}).",
    )
    ca_file: str = Field(
        default="", description="Certificate authority of an https collector, PEM, relative to the config's folder."
    )
    traces: Annotated[Traces | None, BeforeValidator(empty_is_mapping)] = Field(
        default=None, description="A trace for each replay; without this section there are none."
    )


MetricsLevel: TypeAlias = Literal["essential", "full"]
"""How many series a watch has: those that the shipped rules read, or all."""


class Exporters(Section):
    """The destinations of metrics."""

    metrics: MetricsLevel = Field(
        default="full",
        description="How many series a watch has: `full`, or `essential`, about 50: those that the shipped rules read.",
    )
    prometheus: Prometheus = Field(default_factory=Prometheus, description="Prometheus scrapes the agent.")
    otlp: Annotated[Otlp | None, BeforeValidator(empty_is_mapping)] = Field(
        default=None, description="The agent pushes to an OpenTelemetry collector; without this section it does not."
    )


class Lease(Section):
    """How one of several replicas is chosen to replay: a Lease, by the algorithm of client-go."""

    name: LeaseName = Field(description="The name of the Lease; all replicas that watch the same write the same.")
    namespace: str = Field(default="", description="Its namespace; if not written, that of the pod.")
    duration_s: LeaseTime = Field(
        default=15.0, alias="duration", description="Replicas take over when the holder has not been heard of for this."
    )
    renew_deadline_s: LeaseTime = Field(
        default=10.0, alias="renew_deadline", description="A holder that cannot renew stops replaying after this."
    )
    retry_period_s: RetryPeriod = Field(
        default=2.0, alias="retry_period", description="How often the lease is renewed, or tried for."
    )

    @field_validator("renew_deadline_s")
    @classmethod
    def _before_others_take_over(cls, deadline_s: float, info: ValidationInfo) -> float:
        duration_s = info.data.get("duration_s")
        if duration_s is not None and deadline_s >= duration_s:
            raise ValueError(
                "a holder must stop before others take over; "
                f"write a renew_deadline shorter than `duration`, {q.format_duration(duration_s)}"
            )
        return deadline_s

    @field_validator("retry_period_s")
    @classmethod
    def _more_than_one_try(cls, period_s: float, info: ValidationInfo) -> float:
        deadline_s = info.data.get("renew_deadline_s")
        if deadline_s is not None and period_s * 1.2 >= deadline_s:  # a fifth of jitter
            raise ValueError(
                f"one slow answer would cost the lease; write a retry_period well below `renew_deadline`, "
                f"{q.format_duration(deadline_s)}"
            )
        return period_s


class Cluster(Section):
    """Settings of the agent as one of several replicas in a Kubernetes cluster."""

    lease: Annotated[Lease | None, BeforeValidator(empty_is_mapping)] = Field(
        default=None, description="Of several replicas one replays; without this section each does."
    )


class Log(Section):
    """The agent's log on standard error."""

    format: Literal["human", "json"] = Field(
        default="human", description="For a person to read, or a line of JSON each."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The minimum level.")
