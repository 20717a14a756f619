"""The config as the agent uses it: complete, checked, quantities in base units, names resolved, paths absolute.

The form that users write is in `written`; sections that need nothing from their surroundings are the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    JsonValue,
    PlainSerializer,
    SecretStr,
    computed_field,
)
from pydantic_core import CoreSchema, core_schema

from goldwatch.config.busy import Busy
from goldwatch.config.energy import Energy
from goldwatch.config.live import Live
from goldwatch.config.prompts import Prompt
from goldwatch.config.quantities import format_duration, format_size
from goldwatch.config.schedule import Schedule, format_schedule
from goldwatch.config.scores import ScoreEntry
from goldwatch.config.sections import Alerts, Cluster, Exporters, Log, Objectives, Replays
from goldwatch.config.traffic import Load, RequestRate, Share, TokenRate

MASK = "**********"

Seconds = Annotated[float, PlainSerializer(format_duration, when_used="json")]
_Every = Annotated[Schedule, PlainSerializer(format_schedule, when_used="json")]


class OptionValues(Mapping[str, JsonValue]):
    """A probe's options, safe to show: references as written, secrets masked.

    Items hold the values in clear; hand them to the probe and to nothing else.
    """

    __slots__ = ("_shown", "_values")

    def __init__(self, values: Mapping[str, JsonValue], shown: Mapping[str, JsonValue] | None = None) -> None:
        self._values = dict(values)
        self._shown = dict.fromkeys(values, MASK) if shown is None else dict(shown)

    def __getitem__(self, key: str) -> JsonValue:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._shown)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept any mapping; serialise what may be seen."""
        shown = core_schema.plain_serializer_function_ser_schema(lambda options: options._shown)
        return core_schema.no_info_plain_validator_function(cls._of, serialization=shown)

    @classmethod
    def _of(cls, value: Any) -> OptionValues:  # noqa: ANN401
        return value if isinstance(value, cls) else cls(value)


class _Resolved(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(_Resolved):
    """A deployed model: its probe, and the probe's options.

    `options` holds the keys that are written, checked, in clear and ready for `Options(**options)`, and `names`, what
    the model calls inputs and outputs (see `goldwatch.worker.load.names`); `factory` is the
    "module:Class" of the probe. `secret_options` names those that must not be shown. `python` is the
    interpreter of its workers, empty for our own; `memory_bytes` the most that they may have resident. `most_per_s` is
    the budget of requests a second, `most_tokens_per_s` that of tokens, `most_cpu` the share of one core that its
    workers may take, and `busy` defines when it has no room for any request.
    `deployment` is the Deployment that serves it, as [NAMESPACE/]NAME, empty if none is named.
    """

    name: str
    probe: str
    factory: str
    served: bool
    warm: bool = False
    python: str = ""
    memory_bytes: Annotated[int, PlainSerializer(format_size, when_used="json")] | None = None
    meters: tuple[str, ...] = ()
    deployment: str = ""
    most_per_s: RequestRate = None
    most_tokens_per_s: TokenRate = None
    most_cpu: Share = None
    busy: Busy | None = None
    options: OptionValues
    secret_options: frozenset[str] = frozenset()

    @property
    def server(self) -> str:
        """The host that serves it, as it is written; the target's own name if there is no `url`, and "" in process.

        A Unix socket is of this machine.
        """
        if not self.served:
            return ""
        url = str(self.options.get("url", ""))
        return "localhost" if url.startswith("unix:") else urlsplit(url).hostname or f"target {self.name}"

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port of what serves it; None in process, without a `url` or with a Unix socket."""
        parts = urlsplit(str(self.options.get("url", "")))
        if not self.served or parts.hostname is None:
            return None
        return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)

    def secrets(self) -> tuple[str, ...]:
        """Return the values of the secret options that are set, in clear: what must be kept out of any text."""
        values = [self.options[name] for name in self.secret_options if name in self.options]
        flat = [v for value in values for v in (value.values() if isinstance(value, Mapping) else [value])]
        return tuple(str(value) for value in flat if value)


class Golden(_Resolved):
    """A golden set: its name here, the absolute path of its folder, and what its digest must begin with.

    With a `url` the folder is fetched from there, by `headers`, if it is not there; `digest` is then the whole digest.
    """

    name: str
    url: str = ""
    path: Path
    digest: str = ""
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NamedJudge:
    """A judge of a score with what it names: its target, its prompt, and the file that keeps its grades.

    `scale` is that of the grades, `score_scale` that of the score: from 0 to 1 if an answer passes or not.
    """

    target: Target
    prompt: Prompt
    scale: tuple[float, float]
    score_scale: tuple[float, float]
    store: Path


class Watch(_Resolved):
    """A standing job: this golden set against these targets on this schedule. Names are keys of the config.

    Files of `live` are absolute paths. `entries` has what each of the `scores` is, `judges` the judges of those that
    have one.
    """

    name: str
    golden: str
    targets: tuple[str, ...]
    every: _Every
    jitter_s: Seconds
    deadline_s: Seconds
    load: Load
    objectives: Objectives
    scores: tuple[str, ...] = ()
    live: Live | None = None
    entries: Mapping[str, ScoreEntry] = Field(default_factory=dict, exclude=True)
    judges: Mapping[str, NamedJudge] = Field(default_factory=dict, exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def timezone(self) -> str | None:
        """The time zone of a cron line; None for a duration."""
        return self.every.timezone if self.every.cron is not None else None


class Config(_Resolved):
    """The whole config. `source` is the file, as it was named; `ledger` is an absolute path, and so is `fetched`.

    `fetched` is the folder of the golden sets that are fetched; `secret_variables` names the environment variables that
    hold secrets, `reference_files` the files that it refers to.
    """

    source: Path
    targets: Mapping[str, Target]
    golden: Mapping[str, Golden]
    watches: Mapping[str, Watch]
    scores: Mapping[str, ScoreEntry] = Field(default_factory=dict)
    replays: Replays = Field(default_factory=Replays)
    alerts: Alerts
    exporters: Exporters
    energy: Energy | None = None
    ledger: Path
    fetched: Path
    cluster: Cluster = Cluster()
    log: Log
    secret_variables: frozenset[str] = Field(default=frozenset(), exclude=True)
    reference_files: frozenset[Path] = Field(default=frozenset(), exclude=True)
