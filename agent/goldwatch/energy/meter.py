"""The contract of meters: cumulative joules, with resolution, delay, and the reason if unreadable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from goldwatch.http_reading import Unreadable

WINDOW_UPDATES = 50
"""A window of measurement spans at least so many updates of the counter: its two edges then err by 2 % at most."""


class Implausible(Unreadable):
    """A reading was dropped: no power that the hardware can draw explains it."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The smallest step of a counter in joules, and how old what it shows may be in seconds, its delay included."""

    joules: float
    seconds: float


class Meter(Protocol):
    """A source of energy readings. Construction only stores settings; `open` does the work.

    `source` names it in metrics. `accuracy` is the half-width of the source's own error as a ratio, where one is
    stated. `estimated` means that nothing is measured.
    """

    source: str
    estimated: bool
    accuracy: float

    def open(self) -> None:
        """Find what is to be read, and read it once. Raises Unreadable."""

    def read(self) -> float:
        """Return the joules since `open`. Raises Unreadable if that cannot be known any more."""

    def close(self) -> None:
        """Let go of everything. May be called more than once, and without `open`."""

    @property
    def detail(self) -> str:
        """Say what exactly is read, once it is open."""

    @property
    def resolution(self) -> Resolution:
        """How fine the open meter is."""

    @property
    def poll_s(self) -> float:
        """How often to read it, in seconds."""

    @property
    def least_window_s(self) -> float:
        """The shortest window that the open meter can measure, in seconds."""

    def shared_with(self) -> str:
        """Name the others that may use the measured device, as far as visible; empty for none."""


@dataclass(frozen=True, slots=True)
class Component:
    """The energy of one component of the machine since its meter was opened.

    `id` is unique within the machine, `kind` is cpu, memory or gpu, and `name` is for people.
    """

    id: str
    kind: str
    name: str
    joules: float


@runtime_checkable
class Counting(Meter, Protocol):
    """A meter that reads a counter of each component separately."""

    @property
    def longest_gap_s(self) -> float:
        """How long the open meter may stay unread, in seconds: after that a counter may have begun again unseen."""

    def components(self) -> Sequence[Component]:
        """Read each counter of the open meter. Raises Unreadable."""


def least_window_s(resolution: Resolution, at_least_s: float) -> float:
    """Return the shortest window for a resolution, and no shorter than `at_least_s`."""
    return max(at_least_s, WINDOW_UPDATES * resolution.seconds)


class Sum:
    """Several meters as one, for what they measure apart: a processor and an accelerator.

    Raises ValueError for none.
    """

    def __init__(self, meters: Sequence[Meter]) -> None:
        if not meters:
            raise ValueError("a sum of no meters measures nothing")
        self._meters = tuple(meters)
        self.source = "+".join(dict.fromkeys(m.source for m in meters))
        self.estimated = any(m.estimated for m in meters)
        self.accuracy = max(m.accuracy for m in meters)

    def open(self) -> None:
        """Open all of them. Raises Unreadable if one cannot be: a part is never shown for the whole."""
        try:
            for meter in self._meters:
                meter.open()
        except Unreadable:
            self.close()
            raise

    def read(self) -> float:
        """Return the joules since `open`, of all together. Raises Unreadable."""
        return math.fsum(meter.read() for meter in self._meters)

    def close(self) -> None:
        """Close all of them."""
        for meter in self._meters:
            meter.close()

    @property
    def detail(self) -> str:
        """Say what exactly is read."""
        return " + ".join(meter.detail for meter in self._meters)

    @property
    def resolution(self) -> Resolution:
        """Steps add in squares, as independent errors do; the slowest sets the time."""
        found = [meter.resolution for meter in self._meters]
        return Resolution(math.hypot(*(r.joules for r in found)), max(r.seconds for r in found))

    @property
    def poll_s(self) -> float:
        """As often as the one that wants it most often."""
        return min(meter.poll_s for meter in self._meters)

    @property
    def least_window_s(self) -> float:
        """As long as the one that needs longest."""
        return max(meter.least_window_s for meter in self._meters)

    def shared_with(self) -> str:
        """Name all that any of them sees."""
        return "; ".join(filter(None, (meter.shared_with() for meter in self._meters)))
