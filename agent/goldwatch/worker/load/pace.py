"""No more requests a second, tokens or CPU than the budget of a watch or target allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from goldwatch.core.load_plan import LoadPlan
from goldwatch.ipc.columns import Columns, Phase
from goldwatch.probe import BadAnswer, CannotLoad, CountsTokens, Probe
from goldwatch.worker.load.asking import clock_ns

_SPIN_NS = 150_000
"""So long before the time, sleeping is over: the kernel may wake a thread so much too late."""

HELD_NAP_S = 0.02
"""Who is held looks so often whether there is room again."""

_SECOND_NS = 1_000_000_000


def sleep_until(due_ns: int) -> None:
    """Return at `due_ns` of the monotonic clock, or as soon after it as the kernel lets us."""
    left_ns = due_ns - clock_ns()
    if left_ns > _SPIN_NS:
        time.sleep((left_ns - _SPIN_NS) / 1e9)
    while clock_ns() < due_ns:
        time.sleep(0)  # gives way to other threads, unlike an empty loop


class Pace:
    """Lets its callers go on one by one, as far apart as the budgets of a load require. Thread-safe.

    That is `1 / most_per_s` seconds; the time that the budget allows for the tokens of the answers so far; and that for
    the CPU that this process has used since the last turn. Unused budget is lost: there are no bursts after a slow
    answer. Without a budget there is no wait.
    """

    def __init__(self, load: LoadPlan, probe: Probe | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        """Make ready. Raises CannotLoad if tokens are to be counted, and `probe` does not."""
        self.can_wait, self.sleep = not load.is_open, sleep
        self._gap_ns = 0 if load.most_per_s is None else round(_SECOND_NS / load.most_per_s)
        self._tokens_per_s, self._cpu_share = load.tokens_per_s, load.cpu_share
        self._probe = probe if self._tokens_per_s is not None and isinstance(probe, CountsTokens) else None
        if self._tokens_per_s is not None and (self._probe is None or load.samples > 1):
            why = "the probe counts no tokens" if self._probe is None else "a request has several examples"
            raise CannotLoad(f"`tokens_at_most` cannot be kept: {why}")
        self.limits = bool(self._gap_ns or self._tokens_per_s or self._cpu_share)
        self._next_ns = self._last_ns = 0
        self._cpu_ns = time.process_time_ns()
        self._lock = threading.Lock()

    def book(self) -> int:
        """Take the next turn, and return when it is, by the monotonic clock."""
        if not self.limits:
            return clock_ns()
        with self._lock:
            turn_ns = max(clock_ns(), self._next_ns)
            if self._cpu_share:
                before_ns, self._cpu_ns = self._cpu_ns, time.process_time_ns()
                turn_ns = max(turn_ns, self._last_ns + round((self._cpu_ns - before_ns) / self._cpu_share))
            self._last_ns = turn_ns
            self._next_ns = turn_ns + self._gap_ns
        return turn_ns

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        if self.limits:
            sleep_until(self.book())

    def wait_warming_up(self, columns: Columns) -> None:
        """Return when the target has room and it is the caller's turn.

        The agent is notified of that time first, since waiting is not hanging.
        """
        while columns.held:
            columns.progress(Phase.WARMING_UP, clock_ns())
            time.sleep(HELD_NAP_S)
        turn_ns = self.book()
        columns.progress(Phase.WARMING_UP, turn_ns)
        sleep_until(turn_ns)

    def answered(self, response: Any) -> None:  # noqa: ANN401 - the probe's own type
        """Charge the tokens of an answer to the budget. Raises CannotLoad if the answer does not have their number."""
        if self._probe is None or self._tokens_per_s is None:
            return
        try:
            found = self._probe.tokens(response)
        except BadAnswer:  # which it is counted as, where it is kept
            return
        if found.input is None and found.output is None:
            raise CannotLoad("`tokens_at_most` cannot be kept: an answer does not say how many tokens it took")
        taken_ns = round(_SECOND_NS * ((found.input or 0) + (found.output or 0)) / self._tokens_per_s)
        with self._lock:
            self._next_ns = max(self._next_ns, clock_ns()) + taken_ns
