"""The contract between the service and an exporter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from goldwatch.core.judgement import Judgement
from goldwatch.core.trace import Traced
from goldwatch.export.measurement import Measurement


class Exporter(Protocol):
    """A place where measurements go. It never fails for a reason outside goldwatch, and may be used by any thread."""

    def publish(self, measurements: Iterable[Measurement]) -> None:
        """Take the measurements of one replay or event in. Nobody is waited for."""

    def retire(self, watch: str, target: str) -> None:
        """Forget all series of a watch and target that this agent replays no longer."""

    def close(self) -> None:
        """Flush and close, within about two seconds. May be called more than once."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One replay, for traces and the conventions for language models.

    `server` is host and port of a served target. `api` is the option of that name of its probe: which interface of a
    language model is asked.
    """

    judgement: Judgement
    traced: Traced
    server: tuple[str, int] | None = None
    api: str = ""


@runtime_checkable
class Follows(Protocol):
    """An ability that an exporter may have: to follow replays request by request."""

    def follow(self, replayed: Replayed) -> None:
        """Take in a replay that has ended. Nobody is waited for."""
