"""An estimate: processor time times a power that the user declares. It measures nothing, and is used only by name."""

from __future__ import annotations

import os
from pathlib import Path

from goldwatch.energy.meter import Resolution, least_window_s
from goldwatch.http_reading import Unreadable

_LEAST_S = 1.0
_POLL_S = 0.05


class Estimate:
    """Processor seconds x `watts` of one busy processor; of the processes of a name, or of the whole machine.

    `accuracy` is the possible error of the declared power, as a ratio, either way.
    """

    source = "estimate"
    estimated = True

    def __init__(self, watts: float, accuracy: float, process: str = "", proc: Path = Path("/proc")) -> None:
        self.accuracy = accuracy
        self._watts = watts
        self._process = process
        self._proc = proc
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._start_s: float | None = None

    def open(self) -> None:
        """Take the first reading. Raises Unreadable if no process has the name."""
        self._start_s = self._busy_s()

    def read(self) -> float:
        """Return the estimated joules since `open`. Raises Unreadable."""
        if self._start_s is None:
            raise Unreadable("the meter is not open")
        busy_s = self._busy_s() - self._start_s
        if busy_s < 0:
            raise Unreadable(f'a process named "{self._process}" ended, and took its processor time along')
        return busy_s * self._watts

    def close(self) -> None:
        """Forget the first reading."""
        self._start_s = None

    @property
    def detail(self) -> str:
        """Say what is multiplied with what."""
        of = f'"{self._process}"' if self._process else "the machine"
        return f"estimate: processor time of {of} x {self._watts:g} W, declared within {self.accuracy:.0%}"

    @property
    def resolution(self) -> Resolution:
        """One tick of the kernel's accounting."""
        return Resolution(self._tick_s * self._watts, self._tick_s)

    @property
    def poll_s(self) -> float:
        """A few ticks."""
        return _POLL_S

    @property
    def least_window_s(self) -> float:
        """A hundred ticks."""
        return least_window_s(self.resolution, _LEAST_S)

    def shared_with(self) -> str:
        """Say that a machine's processor time is everybody's."""
        return "" if self._process else "all that runs on this machine"

    def _busy_s(self) -> float:
        if not self._process:
            return _machine_ticks(self._proc / "stat") * self._tick_s
        found = [ticks for p in self._proc.glob("[0-9]*") if (ticks := _ticks(p, self._process)) is not None]
        if not found:
            raise Unreadable(f'no process is named "{self._process}" (compare with /proc/PID/comm)')
        return sum(found) * self._tick_s


def _machine_ticks(stat: Path) -> int:
    """Return the busy ticks of the processors: all but idle and waiting for input or output."""
    try:
        user, nice, system, _, _, irq, softirq, *_ = map(int, stat.read_text().split()[1:9])
    except (OSError, ValueError) as error:
        raise Unreadable(f"{stat} cannot be read: {error}") from None
    return user + nice + system + irq + softirq


def _ticks(process: Path, name: str) -> int | None:
    """Return the ticks of a process and its reaped children, None if it has another name or is gone."""
    try:
        text = (process / "stat").read_text()
        found, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
        return sum(map(int, rest[11:15])) if found == name else None
    except (OSError, ValueError, IndexError):
        return None
