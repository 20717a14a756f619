"""What the service asks of an exporter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from goldwatch.export.measurement import Measurement


class Exporter(Protocol):
    """A place where measurements go. It never fails for a reason outside goldwatch, and may be used by any thread."""

    def publish(self, measurements: Iterable[Measurement]) -> None:
        """Take the measurements of one replay or event in. Nobody is waited for."""

    def retire(self, watch: str, target: str) -> None:
        """Forget all series of a watch and target that are no longer in the config."""

    def close(self) -> None:
        """Hand over what is left and let go, within about two seconds. May be called more than once."""
