"""*Drift*: values of live requests have moved from the reference by more than `live.tolerance`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from goldwatch.core.judgement import Validity
from goldwatch.core.monitors.kind import FirstLook, Looks, MonitorKind, WatchTerms

if TYPE_CHECKING:
    from goldwatch.config import Watch

MAX_UNREADABLE = 0.05
"""With a larger share of unreadable rows a window says nothing of *drift*, and *schema* looks at the next one."""

_LIVE = {"reference", "inputs", "tolerance", "rows", "requests", "clusters", "season", "time", "learn"}


@dataclass(frozen=True, slots=True)
class DriftKind(MonitorKind):
    """A watch with live traffic has it. Live requests come whatever the replay."""

    name: str = "drift"
    about_live: bool = True
    least: Validity = Validity.INVALID
    said: str = "drifting"

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:
        """Yield itself if the watch taps live traffic."""
        if terms.watch.live is not None:
            yield self

    def looks(self, terms: WatchTerms) -> Looks:
        """Return windows, or, of traffic with a season, hours."""
        live = terms.watch.live
        if live is not None and live.season == "weekly":
            return Looks(3600.0, "hour", at_most="a week")
        return Looks(terms.every_s, "full window")

    def first_look(self, target: str, subject: str, unchanged: str) -> FirstLook:  # noqa: ARG002 - whatever changed
        """Return what fills the column that moved most."""
        if not subject:
            return FirstLook(f"Check what sends the live requests of {target}.", certain=True)
        why = "a column that jumps has another unit, default, encoding or join upstream"
        return FirstLook(f"Check what fills the column {subject}.", why, certain=True)

    def settings(self, terms: WatchTerms) -> dict[str, Any]:
        """Return the settings of live traffic."""
        return live_settings(terms)

    def relearns(self, watch: Watch) -> bool:
        """Say whether it learns from live traffic."""
        return watch.live is not None and watch.live.learn


def live_settings(terms: WatchTerms) -> dict[str, Any]:
    """Return what *drift* and *schema* need of the section `live`; nothing without it."""
    if (live := terms.watch.live) is None:
        return {}
    longest_s = max(live.window_s, terms.every_s)
    return {"live": live.model_dump(include=_LIVE) | {"every_s": terms.every_s, "longest_s": longest_s}}
