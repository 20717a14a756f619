"""The agent's facts about a replay, besides its columns. The judge gets both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from goldwatch.core.disturbances import Found
from goldwatch.energy.footprint import Metered
from goldwatch.probe import Description


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """A window of live traffic; its requests come in a descriptor.

    `sizes` has the bytes of each request, `hours` the number of the hour when it came, and `requests` pairs of an hour
    and the number of requests that were sampled in it. `counts` has the fields of the tap's Counts. `began_at` and
    `ended_at` are Unix times in seconds. `waiting` counts the requests of a window that is not full, and `problem` is
    the reason why no request can come.
    """

    sizes: tuple[int, ...]
    counts: Mapping[str, int]
    began_at: float
    ended_at: float
    waiting: int = 0
    problem: str = ""
    hours: tuple[int, ...] = ()
    requests: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """The input of the judge, apart from the columns.

    `started_at` is Unix time in seconds. `confirming` is set if a monitor asked for the replay, apart from the
    schedule. `failure` is the reason why the target could not be used at all, `given_up` why the replay stopped asking,
    and `ended` why the agent itself could not go on. `errors` counts distinct messages of failed requests. `samples` is
    the number of examples of one request, and `pairs_s` has the seconds of requests that were made twice.
    `description` is the description of the target at the beginning, `description_after` at the end. `metered` is None
    unless energy was to be measured after the replay, `live` is None without a tap.
    """

    started_at: float
    confirming: bool = False
    errors: Mapping[str, int] = field(default_factory=dict)
    failure: str | None = None
    given_up: str | None = None
    ended: str | None = None
    scenario: str = "single-stream"
    samples: int = 1
    pairs_s: tuple[tuple[float, float], ...] = ()
    disturbances: Found = field(default_factory=Found)
    description: Description | None = None
    description_after: Description | None = None
    metered: Metered | None = None
    live: LiveFacts | None = None
