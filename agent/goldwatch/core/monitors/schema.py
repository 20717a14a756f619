"""*Schema*: live requests cannot be read as inputs of the model. A fact, confirmed by one more window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from goldwatch.core.judgement import Validity
from goldwatch.core.monitors.drift import MAX_UNREADABLE, live_settings
from goldwatch.core.monitors.kind import FirstLook, MonitorKind, WatchTerms


@dataclass(frozen=True, slots=True)
class SchemaKind(MonitorKind):
    """A watch with live traffic has it. Live requests come whatever the replay."""

    name: str = "schema"
    about_live: bool = True
    spends: bool = False
    least: Validity = Validity.INVALID
    said: str = "getting inputs that cannot be read"

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:
        """Yield itself if the watch taps live traffic."""
        if terms.watch.live is not None:
            yield self

    def facts(self, terms: WatchTerms) -> Iterator[tuple[str, str]]:  # noqa: ARG002 - whatever the terms
        """Yield windows that cannot be read."""
        yield f"over {MAX_UNREADABLE:.0%} of live rows cannot be read", "2 full windows"

    def first_look(self, target: str, subject: str, unchanged: str) -> FirstLook:  # noqa: ARG002 - whatever changed
        """Return the sender."""
        return FirstLook(f"Check what sends the live requests of {target}: many cannot be read.", subject, certain=True)

    def settings(self, terms: WatchTerms) -> dict[str, Any]:
        """Return the settings of live traffic."""
        return live_settings(terms)
