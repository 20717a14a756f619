"""A clock that moves only by calls."""

from __future__ import annotations


class FakeClock:
    """Stands in for the functions of the same names in `time`. Sleeping moves it on at once.

    `slept_s` lists what was slept, in order.
    """

    def __init__(self, time_s: float = 1_700_000_000.0) -> None:
        """Start at Unix time `time_s`; the monotonic clock starts at 0."""
        self._start_ns = round(time_s * 1e9)
        self._now_ns = 0
        self.slept_s: list[float] = []

    def monotonic_ns(self) -> int:
        """Return the nanoseconds since the start."""
        return self._now_ns

    def monotonic(self) -> float:
        """Return the seconds since the start."""
        return self._now_ns / 1e9

    def time(self) -> float:
        """Return the Unix time in seconds."""
        return (self._start_ns + self._now_ns) / 1e9

    def sleep(self, duration_s: float) -> None:
        """Advance by `duration_s`, and remember it. Raises ValueError if it is negative, as time.sleep does."""
        self.advance(duration_s)
        self.slept_s.append(duration_s)

    def advance(self, duration_s: float) -> None:
        """Move on by `duration_s`. Raises ValueError if it is negative."""
        if duration_s < 0:
            raise ValueError("time does not run backwards")
        self._now_ns += round(duration_s * 1e9)
