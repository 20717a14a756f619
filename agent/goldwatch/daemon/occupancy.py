"""Use of the replay slots, integrated over time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

OVER_S = 600.0
"""The share in use is that of the last so many seconds."""
_MARK_EVERY_S = 10.0


class Occupancy:
    """Counts the seconds that slots were occupied. For one thread; times are monotonic."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing in use."""
        self._monotonic_s = monotonic_s
        self._at_s = monotonic_s()
        self._occupied = self._slots = 0
        self._busy_s = self._offered_s = 0.0
        self._marks = deque([(self._at_s, 0.0, 0.0)])
        """When, and the seconds that were busy and offered until then."""

    def note(self, occupied: int, slots: int) -> float:
        """Enter how many of the slots are occupied from now on; return the busy seconds since the call before."""
        now_s = self._monotonic_s()
        passed_s, self._at_s = now_s - self._at_s, now_s
        busy_s = passed_s * self._occupied
        self._busy_s += busy_s
        self._offered_s += passed_s * self._slots
        self._occupied, self._slots = min(occupied, slots), slots
        if now_s - self._marks[-1][0] >= _MARK_EVERY_S:
            self._marks.append((now_s, self._busy_s, self._offered_s))
        while len(self._marks) > 1 and self._marks[1][0] <= now_s - OVER_S:
            self._marks.popleft()
        return busy_s

    def share(self) -> float | None:
        """Return the share of the slots that was in use lately, 0 to 1; None before the first interval."""
        _, busy_s, offered_s = self._marks[0]
        offered_s = self._offered_s - offered_s
        return (self._busy_s - busy_s) / offered_s if offered_s > 0 else None
