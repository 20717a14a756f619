"""OpenTelemetry's semantic convention for the energy of hardware: what each component has taken, by its own counter.

In development, and may change. Only meters that read such counters have it, and each push reads them once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from goldwatch.energy.meter import Component, Counting, Implausible
from goldwatch.http_reading import Unreadable

log = logging.getLogger("goldwatch")

ENERGY = "hw.energy"


@dataclass(slots=True)
class _Counted:
    """A meter, which is opened when it is first read, and again after it could not be read: it counts from 0 then."""

    meter: Counting
    every_s: float
    clock: Callable[[], float]
    dropped: Callable[[int], None]
    read_at: float | None = None
    said: str = ""

    def components(self) -> Sequence[Component]:
        """Return what each component has taken since the meter was opened; nothing where that cannot be known."""
        try:
            now = self.clock()
            if self.read_at is None:
                self.meter.open()
            self._check(now if self.read_at is None else self.read_at, now)
            found = self.meter.components()
        except Unreadable as why:
            self.close()
            if isinstance(why, Implausible):
                self.dropped(1)
            if self.said != str(why):
                log.warning("%s is not pushed of %s: %s", ENERGY, self.meter.source, why)
            self.said = str(why)
            return ()
        self.read_at, self.said = now, ""
        return found

    def close(self) -> None:
        """Let go of the meter."""
        self.meter.close()
        self.read_at = None

    def _check(self, before: float, now: float) -> None:
        """Raise Unreadable if a counter may have begun again since it was read, or would before the next push."""
        most_s, gap_s = self.meter.longest_gap_s, max(now - before, self.every_s)
        if gap_s > most_s:
            why = f"its counter may begin again after {most_s:.0f} s, and {gap_s:.0f} s pass between two pushes"
            raise Unreadable(why)


class Hardware:
    """The energy of this machine's components, as an instrument that reads them when collected."""

    def __init__(
        self,
        meters: Sequence[Counting],
        every_s: float,
        instruments: Meter,
        clock: Callable[[], float] = time.monotonic,
        dropped: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Make the instrument. `every_s` is the time between two pushes, in seconds.

        `dropped` is called with the number of readings that were dropped because they were implausible.
        """
        self._counted = [_Counted(meter, every_s, clock, dropped) for meter in meters]
        if meters:
            what = "Energy that the component has taken since goldwatch began to read it."
            instruments.create_observable_counter(ENERGY, [self._observe], "J", what)

    def close(self) -> None:
        """Let go of the meters."""
        for counted in self._counted:
            counted.close()

    def _observe(self, _: CallbackOptions) -> Iterator[Observation]:
        found = {c.id: c for counted in self._counted for c in counted.components()}  # two meters may see the same
        for c in found.values():
            yield Observation(c.joules, {"hw.id": c.id, "hw.type": c.kind, "hw.name": c.name})
