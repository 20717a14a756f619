"""How long this agent may replay, kept where its workers can read it by themselves.

Of several replicas one replays, by a lease. A lease is worth nothing if its holder can be frozen, lose it, and go on:
so the time at which it runs out binds the workers too, without any help from the agent. It is a reading of
CLOCK_BOOTTIME, which goes on while processes are stopped and is the same for all processes of a machine.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from goldwatch.errors import GoldwatchError

VARIABLE = "GOLDWATCH_FENCE"
"""Names the file in the environment of the workers, whichever interpreter runs them."""

_TIME = struct.Struct("d")


class LeaseRanOut(GoldwatchError):
    """This replica may not replay now: its lease ran out, or it holds none."""


def now_s() -> float:
    """Return seconds since the machine started, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """The time until which replays are allowed; at first there is none."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "r+b") as file:  # noqa: PTH123 - its descriptor is wanted, and nothing else
            self._memory = mmap.mmap(file.fileno(), _TIME.size)

    @classmethod
    def create(cls) -> Fence:
        """Make one for this process and for the workers that it starts from now on."""
        handle, path = tempfile.mkstemp(prefix="goldwatch-fence-")
        os.write(handle, _TIME.pack(0.0))
        os.close(handle)
        os.environ[VARIABLE] = path
        return cls(path)

    def allow_until(self, until_s: float) -> None:
        """Let replays go on until that time, or, if it has passed, end them."""
        _TIME.pack_into(self._memory, 0, until_s)

    def left_s(self) -> float:
        """Return for how many more seconds replays are allowed; 0 or less if they are not."""
        until_s: float = _TIME.unpack_from(self._memory, 0)[0]
        return until_s - now_s()

    def remove(self) -> None:
        """Forget it; replays need no permission any more, so call this only when there will be none."""
        os.environ.pop(VARIABLE, None)
        self._memory.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)  # noqa: PTH108


class Halt(threading.Event):
    """Tells a replay to end: the agent is stopping, or may not replay any more."""

    def __init__(self, stopping: threading.Event, may_replay: Callable[[], bool]) -> None:
        super().__init__()
        self._stopping = stopping
        self._may_replay = may_replay

    def is_set(self) -> bool:
        """Say whether to end."""
        return self._stopping.is_set() or not self._may_replay()


@contextlib.contextmanager
def within_lease() -> Iterator[None]:
    """Run a replay in a worker, and end the whole process the moment the lease runs out. Raises LeaseRanOut.

    The timer fires about once each time that the lease is renewed. If this process was frozen meanwhile, it fires
    before anything else runs here: no request is sent then, but for a system call that had already begun.
    """
    path = os.environ.get(VARIABLE)
    if path is None:
        yield
        return
    try:
        fence = Fence(path)
    except FileNotFoundError:
        raise LeaseRanOut("goldwatch was stopped") from None

    def expired(_number: int = 0, _frame: FrameType | None = None) -> None:
        left_s = fence.left_s()
        if left_s <= 0:
            os._exit(0)
        signal.setitimer(signal.ITIMER_REAL, left_s)

    if fence.left_s() <= 0:
        raise LeaseRanOut("another replica holds the lease")
    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, max(fence.left_s(), 1e-6))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
