"""Reading a meter through a stretch of time, in a thread of its own, off every timed path."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from goldwatch.energy.meter import Meter
from goldwatch.http_reading import Unreadable


@dataclass(slots=True)
class Trace:
    """Readings in the order taken: nanoseconds of the monotonic clock, joules since the start."""

    at_ns: list[int] = field(default_factory=list)
    joules: list[float] = field(default_factory=list)

    def append(self, at_ns: int, joules: float) -> None:
        """Add a reading."""
        self.at_ns.append(at_ns)
        self.joules.append(joules)

    def between(self, start_ns: int, end_ns: int) -> float:
        """Return the joules of a window, on straight lines between readings. Raises Unreadable if it is not covered."""
        return self._at(end_ns) - self._at(start_ns)

    def gap_s(self) -> float:
        """Return the longest time between two readings, in seconds."""
        return max((b - a for a, b in zip(self.at_ns, self.at_ns[1:], strict=False)), default=0) / 1e9

    def _at(self, ns: int) -> float:
        i = bisect_left(self.at_ns, ns)
        if i == len(self.at_ns) or (i == 0 and self.at_ns[0] != ns):
            raise Unreadable("the meter was not read through the whole window")
        if self.at_ns[i] == ns:
            return self.joules[i]
        t0, t1, e0, e1 = self.at_ns[i - 1], self.at_ns[i], self.joules[i - 1], self.joules[i]
        return e0 + (e1 - e0) * (ns - t0) / (t1 - t0)


class Sampler:
    """Reads an open meter from `with` to its end, every `poll_s`.

    A reading is true at some instant between its request and its answer; its time is the middle.
    """

    def __init__(self, meter: Meter) -> None:
        self.trace = Trace()
        self.read_s = 0.0
        self._meter = meter
        self._stop = threading.Event()
        self._failure: Unreadable | None = None
        self._thread = threading.Thread(target=self._run, name="energy meter", daemon=True)

    def __enter__(self) -> Self:
        self._once()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is None:
            self._once()
        if error is None and self._failure is not None:
            raise self._failure

    def check(self) -> None:
        """Raise Unreadable if the meter could not be read any more."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        poll_s = self._meter.poll_s
        while not self._stop.wait(poll_s) and self._failure is None:
            self._once()

    def _once(self) -> None:
        before_ns = time.monotonic_ns()
        try:
            joules = self._meter.read()
        except Unreadable as why:
            self._failure = why
            return
        after_ns = time.monotonic_ns()
        self.read_s = max(self.read_s, (after_ns - before_ns) / 1e9)
        self.trace.append((before_ns + after_ns) // 2, joules)
