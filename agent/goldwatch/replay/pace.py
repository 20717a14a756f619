"""No more requests a second than the budget of a watch or target allows."""

from __future__ import annotations

import threading
import time

from goldwatch.replay.asking import clock_ns

_SPIN_NS = 150_000
"""So long before the time, sleeping is over: the kernel may wake a thread so much too late."""

_SECOND_NS = 1_000_000_000


def sleep_until(due_ns: int) -> None:
    """Return at `due_ns` of the monotonic clock, or as soon after it as the kernel lets us."""
    left_ns = due_ns - clock_ns()
    if left_ns > _SPIN_NS:
        time.sleep((left_ns - _SPIN_NS) / 1e9)
    while clock_ns() < due_ns:
        time.sleep(0)  # gives way to other threads, unlike an empty loop


class Pace:
    """Lets its callers go on one by one, at least `1 / most_per_s` seconds apart. Thread-safe.

    What was not used is not made up for: there are no bursts after a slow answer. Without a rate nobody waits.
    """

    def __init__(self, most_per_s: float | None) -> None:
        self._gap_ns = 0 if most_per_s is None else round(_SECOND_NS / most_per_s)
        self._next_ns = 0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        if not self._gap_ns:
            return
        with self._lock:
            turn_ns = max(clock_ns(), self._next_ns)
            self._next_ns = turn_ns + self._gap_ns
        sleep_until(turn_ns)
