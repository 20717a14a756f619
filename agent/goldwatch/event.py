"""Events: what changed about a target, and about what goldwatch looks at it with, between two replays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from goldwatch.judgement import Judgement

_DESCRIBED = ("model", "version", "framework", "framework_version", "device", "digest")


@dataclass(frozen=True, slots=True)
class Event:
    """Something about a target that changed between two replays. `at` is Unix time in seconds."""

    at: float
    target: str
    field: str
    before: str
    after: str


def circumstances(judgement: Judgement, own: Mapping[str, str]) -> dict[str, str]:
    """Return all that might explain a change: what the target says of itself, the golden set, and our `own` facts.

    What is not known is left out.
    """
    said: dict[str, str] = (
        {} if judgement.description is None else {n: getattr(judgement.description, n) for n in _DESCRIBED}
    )
    found = said | {"golden_set": judgement.golden_digest} | dict(own)
    return {name.replace("_", " "): str(value) for name, value in found.items() if value}


def changes(before: Mapping[str, str], after: Mapping[str, str], target: str, at: float) -> list[Event]:
    """Return what differs between two circumstances, as far as both know it."""
    return [
        Event(at, target, name, before[name], value)
        for name, value in after.items()
        if name in before and before[name] != value
    ]
