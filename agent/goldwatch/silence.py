"""Silences: times in which alerts are gathered and shown, but nobody is called.

They come from the config, from `goldwatch silence`, and from a rollout that was seen by a change of the model. A
silence takes no evidence away: an alert that still holds at its end is raised then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from goldwatch.event import Event

_ROLLOUT_FIELDS = ("model", "version", "digest")


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody is called from `begins_at` to before `ends_at`, Unix seconds; for one watch, or for all if it is empty."""

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
