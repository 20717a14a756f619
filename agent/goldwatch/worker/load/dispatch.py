"""When each query is sent: after the last answer, or by the schedule of an open load, from one thread or several.

Each thread takes the next query, encodes it, waits until it is due and sends it itself: there is no hand-over from one
thread to another between the due time and the request.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count

from goldwatch.core.load_plan import LoadPlan
from goldwatch.ipc.columns import Columns, Phase
from goldwatch.worker.load.asking import Asking, clock_ns
from goldwatch.worker.load.pace import HELD_NAP_S, Pace, sleep_until
from goldwatch.worker.load.stream import Stream

_NAP_NS = 100_000_000
_LEAD_NS = 20_000_000
"""The first query of an open load is due so long after the start, so that all threads are ready for it."""

_SWITCH_S = 0.0005
_PR_SET_TIMERSLACK = 29


class Dispatcher:
    """Sends all queries of one load that are left."""

    def __init__(
        self, load: LoadPlan, asking: Asking, columns: Columns, pace: Pace, *, concurrent: bool, warm: bool
    ) -> None:
        """Make ready; without `concurrent` one query is sent at a time, whatever the load's `in_flight`.

        `pace` is that of the warm-up before. With `warm` each of several threads sends one query that is not observed,
        before any other: it connects.
        """
        self._pace = pace
        self._load = load
        self._asking = asking
        self._columns = columns
        self._left = asking.left()
        self._threads = min(load.in_flight if concurrent else 1, len(self._left))
        self._warm = warm and self._threads > 1
        self._ready = threading.Barrier(max(self._threads, 1), action=self._start)
        self._due_ns = self._schedule()
        self._next = count()
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Send them. Raises what the probe raises while it encodes."""
        if self._threads <= 1 and not self._load.is_open:
            self._start()
            if self._load.samples == 1 and not self._pace.limits:
                Stream(self._asking, self._columns, self._wait_while_held).run(self._left)
            else:
                self._closed(0)
            return
        with _promptly():
            threads = [threading.Thread(target=self._thread, args=(flight,)) for flight in range(self._threads)]
            try:
                for thread in threads:
                    thread.start()
            except RuntimeError:  # there are as many threads as may be: those that were started wait for no more
                self._ready.abort()
                raise
            finally:
                for thread in threads:
                    if thread.ident is not None:
                        thread.join()
        if self._failure is not None:
            raise self._failure

    def _schedule(self) -> list[int]:
        """Return when the queries that are left are due, from the first of them on."""
        if not self._load.is_open or not self._left:
            return []
        whole = self._load.schedule_ns(self._load.queries(self._columns.layout.rows))
        due_ns = [whole[row // self._load.samples] for row in self._left]
        return [each - due_ns[0] for each in due_ns]

    def _start(self) -> None:
        self._columns.progress(Phase.REPLAYING, clock_ns())
        start_ns = clock_ns() + _LEAD_NS
        self._due_ns = [start_ns + due_ns for due_ns in self._due_ns]

    def _thread(self, flight: int) -> None:
        try:
            if self._warm:
                self._pace.wait_warming_up(self._columns)
                self._asking.warm_up(self._left[flight])
            self._ready.wait()
            (self._open if self._load.is_open else self._closed)(flight)
        except threading.BrokenBarrierError:
            return
        except BaseException as error:  # raised again by `run`
            self._failure = error
            self._ready.abort()  # threads that are ready stop waiting for the others

    def _rows(self) -> Iterator[tuple[int, int]]:
        """Yield the index and first row of each query that is this thread's turn, while it makes sense to go on."""
        for turn in self._next:  # `next` of a count is atomic
            self._wait_while_held()
            if turn >= len(self._left) or self._failure is not None or self._asking.hopeless:
                return
            yield turn, self._left[turn]

    def _wait_while_held(self) -> None:
        while self._columns.held:  # the target has no room just now; an open load is ended instead
            time.sleep(HELD_NAP_S)

    def _closed(self, flight: int) -> None:
        columns, asking = self._columns, self._asking
        for _, row in self._rows():
            self._pace.wait()
            columns.begin(flight, row, clock_ns())
            request = asking.encode(row)
            asking.send(flight, row, request)

    def _open(self, flight: int) -> None:
        columns, asking = self._columns, self._asking
        free_ns = 0
        for turn, row in self._rows():
            columns.begin(flight, row, clock_ns())
            request = asking.encode(row)
            columns.end(flight)
            due_ns = self._due_ns[turn]
            while due_ns - clock_ns() > _NAP_NS:
                if self._failure is not None or asking.hopeless:
                    return
                time.sleep(_NAP_NS / 2e9)
            sleep_until(due_ns)
            free_ns = asking.send(flight, row, request, due_ns, free_ns)


@contextlib.contextmanager
def _promptly() -> Iterator[None]:
    """Have threads woken, and the interpreter handed over, as soon as can be."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    _set_timer_slack_ns(1)  # threads that are started now inherit it
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)
        _set_timer_slack_ns(0)  # the default


def _set_timer_slack_ns(slack_ns: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # only Linux has it, and only promptness depends on it
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, slack_ns, 0, 0, 0)
