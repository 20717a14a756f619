"""Outside disturbances of a replay's timing: a throttled CPU, memory pressure, garbage collection.

Read in the worker, from its own control group and from Python, before and after the requests. An unreadable value is
None, and nothing follows from it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from goldwatch.cgroups import CGROUPS, PROC, folders, pressure_us
from goldwatch.core.disturbances import Found


class Disturbances:
    """Watches from entry to exit. `cgroups` and `proc` are where the kernel's files are."""

    def __init__(self, cgroups: Path = CGROUPS, proc: Path = PROC) -> None:
        self._folders, self._folders_v1 = list(folders(cgroups, proc)), list(folders(cgroups, proc, "cpu"))
        self._proc = proc
        self._collecting_ns = 0
        self._began_ns = 0

    def __enter__(self) -> Disturbances:
        self._before = (self._throttled_s(), self._stalled_s())
        gc.callbacks.append(self._collection)
        self._cpu_ns = -time.process_time_ns()
        self._started_ns = self._ended_ns = time.monotonic_ns()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended_ns = time.monotonic_ns()
        self._cpu_ns += time.process_time_ns()
        gc.callbacks.remove(self._collection)
        self._after = (self._throttled_s(), self._stalled_s())

    def found(self) -> Found:
        """Return what happened between entry and exit."""
        throttled, stalled = (_grown(b, a) for b, a in zip(self._before, self._after, strict=True))
        seconds = (self._ended_ns - self._started_ns) / 1e9
        return Found(seconds, throttled, stalled, self._collecting_ns / 1e9, self._cpu_ns / 1e9)

    def _collection(self, phase: str, _info: Mapping[str, Any]) -> None:
        if phase == "start":
            self._began_ns = time.monotonic_ns()
        elif self._began_ns:
            self._collecting_ns += time.monotonic_ns() - self._began_ns

    def _throttled_s(self) -> float | None:
        """Read `cpu.stat`: microseconds in version 2, nanoseconds in version 1."""
        for folder in self._folders:
            if (us := _number(folder / "cpu.stat", "throttled_usec")) is not None:
                return us / 1e6
        for folder in self._folders_v1:
            if (ns := _number(folder / "cpu.stat", "throttled_time")) is not None:
                return ns / 1e9
        return None

    def _stalled_s(self) -> float | None:
        """Read the time that every task stalled for memory: of the control group, or else of the machine."""
        for folder in self._folders:
            if (us := pressure_us(folder / "memory.pressure", "full")) is not None:
                return us / 1e6
        us = pressure_us(self._proc / "pressure" / "memory", "full")
        return None if us is None else us / 1e6


def _number(file: Path, key: str) -> int | None:
    try:
        for words in map(str.split, file.read_text().splitlines()):
            if len(words) == 2 and words[0] == key:
                return int(words[1])
    except (OSError, ValueError):
        pass
    return None


def _grown(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(after - before, 0.0)
