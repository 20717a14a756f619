"""*Slower*: replays take lastingly longer than usual at this hour, by more than `objectives.slowdown`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from goldwatch.core.monitors.kind import FirstLook, Looks, MonitorKind, WatchTerms
from goldwatch.core.monitors.slow import look_at_load

if TYPE_CHECKING:
    from goldwatch.config import Watch

_BLOCK_S, _BLOCK_REPLAYS = 3 * 3600.0, 4


@dataclass(frozen=True, slots=True)
class SlowerKind(MonitorKind):
    """A watch with an objective of slowdown has it. It looks once a block of replays."""

    name: str = "slower"
    about_latency: bool = True
    misses_answers: bool = True

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:
        """Yield itself if there is an objective."""
        if terms.objectives.slowdown is not None:
            yield self

    def interval_s(self, terms: WatchTerms) -> float:
        """Return the duration of a block."""
        return block_s(terms.every_s)

    def looks(self, terms: WatchTerms) -> Looks:
        """Return blocks of replays."""
        from goldwatch.config import format_span  # noqa: PLC0415 - only a command needs it, and it is slow to import

        block = block_s(terms.every_s)
        return Looks(block, f"block of {format_span(block)}", ", after two weeks of learning")

    def first_look(self, target: str, subject: str, unchanged: str) -> FirstLook:  # noqa: ARG002 - no subject
        """Return the load."""
        return look_at_load(target, unchanged)

    def settings(self, terms: WatchTerms) -> dict[str, Any]:
        """Return the slowdown that is allowed, and what else the usual latency depends on."""
        if (owed := terms.objectives.slowdown) is None:
            return {}
        return {"slowdown": owed, "interval_s": terms.every_s, "load": terms.load}

    def relearns(self, watch: Watch) -> bool:  # noqa: ARG002 - of any watch
        """Return true: it learns the usual latency."""
        return True


def block_s(every_s: float) -> float:
    """Return the seconds of replays that *slower* judges as one: three hours, or four replays if these take longer."""
    return max(_BLOCK_S, _BLOCK_REPLAYS * every_s)
