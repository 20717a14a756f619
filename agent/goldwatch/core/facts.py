"""The agent's facts about a replay, besides its columns. The judge gets both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from goldwatch.energy.footprint import Metered

_METERED: TypeAdapter[Metered | None] = TypeAdapter(Metered | None)


@dataclass(frozen=True, slots=True)
class Facts:
    """The agent's facts about a replay, besides its columns. All of it passes into the judgement as it is.

    `failure` is why the target could not be used at all, `given_up` why the replay stopped early, and `ended` why the
    agent itself could not go on. `samples` is the number of examples of one request, and `pairs_s` has the seconds of
    requests that were made twice. `metered` has the fields of Metered if energy was to be measured after the replay.
    `live` is the report of the tap of live traffic: `sizes` of the requests in the descriptor next to the columns,
    `counts` of them all, `began_at`, `ended_at`, `waiting` and `problem`; None without a tap.
    """

    watch: str
    target: str
    golden: str
    probe: str
    started_at: float
    duration_s: float
    lateness_s: float
    description: Mapping[str, Any] | None
    confirming: bool
    open_s: float | None
    first_request_s: float | None
    errors: Mapping[str, int]
    failure: str | None
    given_up: str | None
    ended: str | None
    scenario: str = "single-stream"
    rate_per_s: float | None = None
    in_flight: int = 1
    samples: int = 1
    pairs_s: Sequence[tuple[float, float]] = ()
    disturbances: Mapping[str, Any] = field(default_factory=dict)
    description_after: Mapping[str, Any] | None = None
    metered: Mapping[str, Any] | None = None
    live: Mapping[str, Any] | None = None
    resent: int = 0

    def measured(self) -> Metered | None:
        """Return what was measured after the replay; None if nothing was to be."""
        return _METERED.validate_python(self.metered)
