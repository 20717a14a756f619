"""Silences: alerts are gathered and shown meanwhile, but call no person.

They come from the config, from `goldwatch silence`, and from a rollout, of a Deployment or seen by a change of the
model. A silence takes no evidence away: an alert that still holds at its end is raised then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from goldwatch.core.event import Event, Rollout

_ROLLOUT_FIELDS = ("model", "version", "digest", "deployment revision")


@dataclass(frozen=True, slots=True)
class Silence:
    """No person is called from `begins_at` until `ends_at`, Unix seconds; for one watch, or for all if it is empty.

    `ends_at` is infinite while the end is not known.
    """

    begins_at: float
    ends_at: float
    why: str
    watch: str = ""

    def covers(self, watch: str, at: float) -> bool:
        """Say whether it silences a watch at a time."""
        return self.watch in ("", watch) and self.begins_at <= at < self.ends_at


def in_force(silences: Iterable[Silence], watch: str, at: float) -> Silence | None:
    """Return the silence of a watch that lasts longest from now, None if there is none."""
    return max((s for s in silences if s.covers(watch, at)), key=lambda s: s.ends_at, default=None)


def rollouts(events: Iterable[Event], lasts_s: float) -> list[Silence]:
    """Return a silence for each change of the model itself; none if rollouts silence nothing."""
    return [
        Silence(e.at, e.at + lasts_s, f"rollout: {e.field} {e.before or '?'} -> {e.after or '?'}")
        for e in events
        if e.field in _ROLLOUT_FIELDS and lasts_s > 0
    ]


def of_rollout(rollout: Rollout | None, lasts_s: float) -> list[Silence]:
    """Return the silence of a Deployment's rollout, which lasts `lasts_s` longer than the rollout itself."""
    if rollout is None or lasts_s <= 0 or not (rollout.under_way or rollout.ended_at):
        return []
    ends_at = math.inf if rollout.under_way else rollout.ended_at + lasts_s
    return [Silence(0.0, ends_at, f"rollout of the Deployment {rollout.deployment}")]
