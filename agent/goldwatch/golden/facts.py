"""Facts about a golden set that the agent keeps instead of the opened set: plain values, no numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from goldwatch.golden.tensors import TensorLocation
from goldwatch.probe import BatchAxes, TensorSpec


@dataclass(frozen=True, slots=True)
class GoldenPlace:
    """The folder of a golden set, and the digest that the set there must have."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class GoldenFacts:
    """The facts about a verified golden set that the agent needs to replay it.

    `tokens` is set for a language model. `cluster` is the size of the largest cluster of dependent examples. `slices`
    has the number of values of each slice, by its name. `replays` is the number of replays of the validated model in
    the reference.
    """

    path: str
    name: str
    digest: str
    short_digest: str
    task: str
    examples: int
    deterministic: bool
    inputs: tuple[TensorLocation, ...]
    outputs: tuple[TensorSpec, ...]
    tokens: bool = False
    cluster: int = 1
    slices: Mapping[str, int] = field(default_factory=dict)
    replays: int = 1
    batch_axes: BatchAxes = field(default_factory=BatchAxes)

    @property
    def place(self) -> GoldenPlace:
        """By what a job in a worker opens the set."""
        return GoldenPlace(self.path, self.digest)

    def __str__(self) -> str:
        return f"{self.name}@{self.short_digest}"
