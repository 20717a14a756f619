"""The plan of a replay, and the guard that may hold it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from goldwatch.core.load_plan import LoadPlan
from goldwatch.core.trace import Trace
from goldwatch.golden.tensors import TensorLocation
from goldwatch.probe import BatchAxes, TensorSpec


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay as plain values: everything that a worker needs."""

    factory: str
    options: Mapping[str, Any] = field(repr=False)  # may hold secrets
    served: bool
    warm: bool
    key: str
    inputs: tuple[TensorLocation, ...]
    outputs: tuple[TensorSpec, ...]
    examples: Sequence[int]
    batch_axes: BatchAxes = field(default_factory=BatchAxes)
    tokens: bool = False
    trace: Trace | None = None
    load: LoadPlan = field(default_factory=LoadPlan)
    python: str = ""
    memory_bytes: int | None = None
    warmup: int = 10
    pairs: int = 0
    time_limit_s: float = 2.0
    start_limit_s: float = 60.0
    deadline_s: float = 300.0
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Guard(Protocol):
    """Knows whether the target has room for requests now; another thread keeps it up to date.

    A closed load is held until there is room again, for `patience_s` at most; an open one, whose schedule would be
    broken, is ended at once.
    """

    @property
    def patience_s(self) -> float:
        """How long a closed load is held at most, in seconds."""

    def why_not(self) -> str | None:
        """Say why no request is to be sent now; None if there is room. Returns at once."""
