"""The config as a user writes it. The JSON schema comes from these types; `model` has what they become."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)

from goldwatch.config import quantities as q
from goldwatch.config.base import Quantity, Section
from goldwatch.config.busy import Busy
from goldwatch.config.energy import Energy
from goldwatch.config.live import Live
from goldwatch.config.policy import Policy
from goldwatch.config.schedule import Schedule, format_schedule, parse_schedule, timezone
from goldwatch.config.scores import ScoreEntry
from goldwatch.config.sections import (
    Alerts,
    Cluster,
    Deadline,
    Exporters,
    Jitter,
    Log,
    Objectives,
    Replays,
    Url,
    empty_is_mapping,
)
from goldwatch.config.traffic import Load, RequestRate, Share, TokenRate

Name = Annotated[str, Quantity(q.parse_name, str, q.NAME_PATTERN, ("fraud", "fraud-2026q3"))]

_SCHEDULE = rf"{q.DURATION_PATTERN}|{q.CRON_PATTERN}"
_Every = Annotated[Schedule, Quantity(parse_schedule, format_schedule, _SCHEDULE, ("5m", "2h", "*/5 * * * *"))]


def _parse_folder(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise q.QuantityError(value, "is not the path of a folder; write one such as ./golden/fraud-2026q3")
    if "://" in value:
        raise q.QuantityError(value, "is not the path of a folder; of one that lies elsewhere write `url` and `digest`")
    return value


def _parse_file(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise q.QuantityError(value, "is not the path of a file; write one such as goldwatch.db")
    return value


def _parse_digest(value: object) -> str:
    if not (isinstance(value, str) and re.match(_DIGEST, value)):
        raise q.QuantityError(value, "is not a digest; write sha256: and at least 12 of its hexadecimal digits")
    return value


def _parse_deployment(value: object) -> str:
    if not (isinstance(value, str) and re.fullmatch(_DEPLOYMENT, value)):
        raise q.QuantityError(value, "is not the name of a Deployment; write NAME or NAMESPACE/NAME")
    return value


_DEPLOYMENT = "^([a-z0-9][-a-z0-9]{0,62}/)?[a-z0-9][-a-z0-9.]{0,252}$"
_DIGEST = "^(sha256:[0-9a-f]{12,64})?$"
_WHOLE_DIGEST = len("sha256:") + 64
Digest = Annotated[str, Quantity(_parse_digest, str, _DIGEST, ("sha256:5ce757ab9d4f",))]
MEMORY = (16 * 2**20, 2**50)
"""The least and the most memory that a worker can be allowed, in bytes."""
Memory = Annotated[
    int | None, Quantity(lambda value: q.parse_size(value, *MEMORY), q.format_size, q.SIZE_PATTERN, ("512MiB", "2GiB"))
]
Deployment = Annotated[str, Quantity(_parse_deployment, str, _DEPLOYMENT, ("fraud", "models/fraud"))]
Folder = Annotated[str, Quantity(_parse_folder, str, "^(?!.*://).+", ("./golden/fraud-2026q3",))]
File = Annotated[str, Quantity(_parse_file, str, "^.+", ("goldwatch.db",))]


class Names(Section):
    """The names of inputs and outputs at the model that differ from those in the golden set."""

    inputs: dict[str, str] = Field(
        default={}, description="Names of inputs, each `NAME IN THE SET: NAME AT THE MODEL`."
    )
    outputs: dict[str, str] = Field(
        default={}, description="Names of outputs, each `NAME IN THE SET: NAME AT THE MODEL`."
    )

    @model_validator(mode="after")
    def _are_distinct(self) -> Self:
        for part in (self.inputs, self.outputs):
            if len(set(part.values())) < len(part):
                raise ValueError("two names stand for one tensor of the model; write each once")
        return self


class TargetEntry(Section):
    """A deployed model. The keys besides those below are the probe's own options, which it checks."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    probe: Name = Field(description="The probe that speaks to it; `goldwatch doctor` lists those that are installed.")
    warm: bool = Field(
        default=False, description="Keep the worker, and with it an in-process model, alive between replays."
    )
    meters: Annotated[tuple[Name, ...], Strict(False)] = Field(
        default=(), description="The meters of `energy.meters` that measure it; if not written, all of them."
    )
    python: str = Field(
        default="", description="Another Python interpreter to run the worker, for a framework that needs its own."
    )
    memory: Memory = Field(
        default=None, description="The most resident memory of the worker; a model that takes more is ended."
    )
    names: Annotated[Names | None, BeforeValidator(empty_is_mapping)] = Field(
        default=None, description="What the model calls inputs and outputs that have other names in the golden set."
    )
    deployment: Deployment = Field(
        default="",
        description="In Kubernetes, the Deployment that serves it, as NAME or NAMESPACE/NAME: its rollouts silence.",
    )
    most_per_s: RequestRate = Field(
        default=None, alias="at_most", description="The budget of this target: no more requests a second in a replay."
    )
    most_tokens_per_s: TokenRate = Field(
        default=None,
        alias="tokens_at_most",
        description="The budget of this target in tokens, read and written, for a probe that counts them.",
    )
    most_cpu: Share = Field(
        default=None,
        alias="cpu_at_most",
        description="How much of one core its worker may take in a replay, a model in process included.",
    )
    busy: Annotated[Busy | None, BeforeValidator(empty_is_mapping)] = Field(
        default=None, description="When it has no room for replays; without this section that is not checked."
    )


class GoldenEntry(Section):
    """A golden set: the path of its folder, by itself or as `path:`; or where it is fetched from, and its digest."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["path"]}, {"required": ["url", "digest"]}]})

    url: Url = Field(
        default="", description="The address to fetch the folder from, once, without /golden.json at its end."
    )
    path: Folder = Field(
        default="",
        description="The folder of the golden set, relative to that of the config; with `url`, where it is kept.",
    )
    digest: Digest = Field(
        default="",
        description="The required beginning of the set's digest: it pins the set. With `url`, all of it.",
    )
    headers: Mapping[str, SecretStr] = Field(
        default_factory=dict,
        description="With `url`: headers of each request, each value a reference (${NAME} or ${file:PATH}).",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if not (self.path or self.url):
            raise ValueError("names no golden set; write `path`, its folder, or `url` and `digest`")
        if self.url and len(self.digest) != _WHOLE_DIGEST:
            raise ValueError(
                "`url` needs the whole `digest`, sha256: and 64 hexadecimal digits, so that nobody on the way can put "
                "another set in its place; `goldwatch golden verify FOLDER` prints it"
            )
        if self.headers and not self.url:
            raise ValueError("`headers` are for `url`; a folder has none")
        return self


class WatchEntry(Section):
    """A standing job: golden set x targets x schedule x load x objectives."""

    golden: Name = Field(
        default="", description="The golden set; if not written, the one named like the watch, or the only one."
    )
    targets: Annotated[tuple[Name, ...], Strict(False)] = Field(  # a list in the file
        default=(),
        min_length=1,
        description="The targets; if not written, the one named like the watch, or the only one.",
    )
    target: Name = Field(default="", description="Short for `targets` with one name.")
    every: _Every = Field(default=Schedule(interval_s=300.0), description="How often: a duration, or a cron line.")
    timezone: str | None = Field(
        default=None, description="The time zone of the cron line, such as Europe/Berlin; if not written, UTC."
    )
    jitter_s: Jitter = Field(
        default=None,
        alias="jitter",
        description="By how much the first replay, and each of a cron line, is spread: each watch of each agent has a "
        "share of it that stays; if not written, a tenth of the interval, at most 30s, and 0s for a cron line.",
    )
    deadline_s: Deadline = Field(
        default=None,
        alias="deadline",
        description="A replay is ended after this; if not written, the interval, at most 1h, and 1h for a cron line.",
    )
    load: Load = Field(default_factory=Load, description="How requests are issued.")
    objectives: Objectives = Field(default_factory=Objectives, description="The objectives of the model.")
    scores: Annotated[tuple[Name, ...], Strict(False)] = Field(  # a list in the file
        default=(),
        description="The scores that are computed of each replay, besides those of the golden set's task: keys of the "
        "section `scores`, or built-in scores.",
    )
    live: Annotated[Live | None, BeforeValidator(empty_is_mapping)] = Field(
        default=None, description="Live traffic, whose drift is watched; without this section it is not."
    )

    @field_validator("timezone")
    @classmethod
    def _of_a_cron_line(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None:
            timezone(name)
            if "every" in info.data and info.data["every"].cron is None:
                raise ValueError("is for a cron line, and `every` is a duration; leave it out, or write a cron line")
        return name

    @field_validator("jitter_s")
    @classmethod
    def _within_interval(cls, jitter_s: float | None, info: ValidationInfo) -> float | None:
        every = info.data.get("every")
        if jitter_s and every and every.interval_s and jitter_s > every.interval_s:
            raise q.QuantityError(jitter_s, f"is longer than the interval, {format_schedule(every)}")
        return jitter_s

    @field_validator("target")
    @classmethod
    def _either_form(cls, target: str, info: ValidationInfo) -> str:
        if info.data.get("targets"):
            raise ValueError("`target` is short for `targets` with one name; keep one of the two")
        return target

    @field_validator("objectives")
    @classmethod
    def _latency_can_be_seen(cls, objectives: Objectives, info: ValidationInfo) -> Objectives:
        latency, load = objectives.latency, info.data.get("load")
        if latency and load and load.scenario == "offline":
            raise ValueError(
                "the scenario offline measures throughput and has no `latency`; leave it out, or write another scenario"
            )
        if latency and load and latency.limit_s > load.time_limit_s:
            raise ValueError(
                "no request can take as long as `latency` says, because `load.time_limit` ends it before; "
                f"write a time_limit of at least {q.format_duration(latency.limit_s)}"
            )
        return objectives


class ConfigFile(Section):
    """The whole file."""

    targets: dict[Name, TargetEntry] = Field(min_length=1, description="The deployed models, by name.")
    golden: dict[Name, GoldenEntry] = Field(min_length=1, description="The golden sets, by name.")
    watches: dict[Name, WatchEntry] = Field(min_length=1, description="The standing jobs, by name.")
    scores: dict[Name, ScoreEntry] = Field(default_factory=dict, description="The scores that watches name, by name.")
    replays: Replays = Field(default_factory=Replays, description="How the replays of all watches share the agent.")
    alerts: Alerts = Field(default_factory=Alerts, description="How sure to be before anyone is called.")
    exporters: Exporters = Field(default_factory=Exporters, description="Where metrics go.")
    energy: Annotated[Energy | None, BeforeValidator(empty_is_mapping)] = Field(
        default=None, description="The energy of an inference; without this section nothing is measured."
    )
    ledger: File = Field(
        default="goldwatch.db", description="The file that keeps history and evidence, relative to the config's folder."
    )
    cluster: Cluster = Field(default_factory=Cluster, description="The part of one replica among several.")
    log: Log = Field(default_factory=Log, description="The agent's log on standard error.")
    policy: Annotated[Policy | None, BeforeValidator(empty_is_mapping)] = Field(
        default=None,
        description="Limits on watches that come from Watch resources; without this section there are none.",
    )
