"""Events: what changed about a target, and about what goldwatch looks at it with, between two replays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from goldwatch.core.judgement import Judgement

_DESCRIBED = ("model", "version", "framework", "framework_version", "device", "digest")
REPORTED = tuple(name.replace("_", " ") for name in _DESCRIBED)
"""What a target may say of itself, as the names of circumstances."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something about a target that changed between two replays. `at` is Unix time in seconds."""

    at: float
    target: str
    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """The rollout state of a target's Deployment. `under_way` describes what remains; empty if nothing does.

    `ended_at` is when that was first seen after one, in Unix seconds; 0 if none was seen. `images` are those of its
    containers, with commas between.
    """

    deployment: str
    revision: str
    under_way: str
    ended_at: float = 0.0
    images: str = ""

    def facts(self) -> dict[str, str]:
        """Return what of it might explain a change."""
        return {"deployment revision": self.revision, "image": self.images}


RolloutOf: TypeAlias = Callable[[str], Rollout | None]
"""Takes the name of a target; None if nothing is known of its Deployment."""


def mixed(before: Rollout | None, after: Rollout | None) -> str:
    """Say why a replay between two looks belongs to no one version of the model; empty if nothing speaks for that."""
    for each in (before, after):
        if each is not None and each.under_way:
            return f"the Deployment {each.deployment} is rolling out: {each.under_way}"
    if before is not None and after is not None and before.revision != after.revision:
        return f"the Deployment {after.deployment} was rolled out during the replay"
    return ""


def circumstances(judgement: Judgement, own: Mapping[str, str]) -> dict[str, str]:
    """Return all that might explain a change: the target's identity, the golden set, and our `own` facts.

    Unknown values are left out.
    """
    said: dict[str, str] = (
        {} if judgement.run.description is None else {n: getattr(judgement.run.description, n) for n in _DESCRIBED}
    )
    neighbours = {"neighbours": judgement.extras.energy.shared_with} if judgement.extras.energy is not None else {}
    found = said | {"golden_set": judgement.subject.golden_digest} | neighbours | dict(own)
    return {name.replace("_", " "): str(value) for name, value in found.items() if value}


def changes(before: Mapping[str, str], after: Mapping[str, str], target: str, at: float) -> list[Event]:
    """Return what differs between two circumstances, as far as both know it."""
    return [
        Event(at, target, name, before[name], value)
        for name, value in after.items()
        if name in before and before[name] != value
    ]
