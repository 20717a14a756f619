"""NVML: the energy of NVIDIA GPUs, by the counter that the driver keeps since it was loaded, in millijoules.

Volta and newer have the counter. On an older GPU, power is read and integrated; the meter's detail has this.
One reading takes some milliseconds, and the counter moves about every 100 ms, so neither belongs on a timed path.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldwatch.energy.meter import Component, Resolution, least_window_s
from goldwatch.http_reading import Unreadable
from goldwatch.installation import install_command

COUNTER_UPDATES_S = 0.1
"""How often the counter moved on an H100 with driver 580 (docs/energy.md)."""

POWER_AVERAGE_S = 1.0
"""A power reading is the mean of the second before it on Ampere and newer, and near enough on older ones (NVML API)."""

LEAST_S = 5.0
_POLL_S = 0.05
_HOW = "a container needs the GPU and the driver capability `utility`: NVIDIA_VISIBLE_DEVICES, or the device plug-in"


@dataclass(slots=True)
class _Gpu:
    """One GPU: its handle, a way to read its joules since it was opened, and whether that is a counter's."""

    handle: Any
    name: str
    joules: Callable[[], float]
    counts: bool


@dataclass(slots=True)
class _Integral:
    """Joules from power readings, by the trapezoid rule."""

    watts: Callable[[], float]
    clock_ns: Callable[[], int] = time.monotonic_ns
    _at_ns: int = field(init=False)
    _last_w: float = field(init=False)
    _total_j: float = 0.0

    def __post_init__(self) -> None:
        self._last_w = self.watts()
        self._at_ns = self.clock_ns()

    def __call__(self) -> float:
        watts = self.watts()
        now_ns = self.clock_ns()
        self._total_j += (watts + self._last_w) / 2 * (now_ns - self._at_ns) / 1e9
        self._at_ns, self._last_w = now_ns, watts
        return self._total_j


class Nvml:
    """The GPUs of this machine: all of them, those with the given indices, or those that processes of a name use.

    `library` is the module pynvml, or one like it.
    """

    source = "nvml"
    estimated = False

    def __init__(
        self,
        gpus: Sequence[int] = (),
        process: str = "",
        accuracy: float = 0.0,
        library: Any = None,  # noqa: ANN401
    ) -> None:
        self.accuracy = accuracy
        self._wanted = tuple(gpus)
        self._process = process
        self._nvml = library
        self._gpus: list[_Gpu] = []
        self._integrated = False
        self._initialised = False

    def open(self) -> None:
        """Load the driver's library and find the GPUs. Raises Unreadable."""
        self._nvml = self._nvml or _library()
        with self._explained("NVML"):
            self._nvml.nvmlInit()
        self._initialised = True
        with self._explained("the GPUs"):
            handles = list(self._chosen())
            self._gpus = [self._opened(index, handle) for index, handle in handles]

    def read(self) -> float:
        """Return the joules of the GPUs since `open`. Raises Unreadable."""
        if not self._gpus:
            raise Unreadable("the meter is not open")
        with self._explained("a GPU's energy"):
            return sum(gpu.joules() for gpu in self._gpus)

    longest_gap_s = math.inf
    """The counter has 64 bits."""

    def components(self) -> Sequence[Component]:
        """Return each GPU that has a counter, by its UUID. Raises Unreadable."""
        with self._explained("a GPU's energy"):
            return [Component(self._uuid(g.handle), "gpu", g.name, g.joules()) for g in self._gpus if g.counts]

    def close(self) -> None:
        """Let go of the library."""
        self._gpus = []
        if self._initialised:
            self._initialised = False
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    @property
    def detail(self) -> str:
        """Name the GPUs, and how they are read."""
        how = "power, integrated" if self._integrated else "energy counter"
        return f"NVML {how}: " + ", ".join(gpu.name for gpu in self._gpus)

    @property
    def resolution(self) -> Resolution:
        """A millijoule each, and one update."""
        seconds = POWER_AVERAGE_S if self._integrated else COUNTER_UPDATES_S
        return Resolution(1e-3 * len(self._gpus) ** 0.5, seconds)

    @property
    def poll_s(self) -> float:
        """Twice in an update."""
        return _POLL_S

    @property
    def least_window_s(self) -> float:
        """Five seconds by the counter, and far longer by power readings."""
        return least_window_s(self.resolution, LEAST_S)

    def shared_with(self) -> str:
        """Say whether several processes compute on a GPU, or it is cut in slices: its counter sees them all."""
        seen = []
        for gpu in self._gpus:
            pids = self._pids(gpu.handle)
            if len(pids) > 1:
                seen.append(f"{len(pids)} processes on {gpu.name}")
            with contextlib.suppress(self._nvml.NVMLError):
                if self._nvml.nvmlDeviceGetMigMode(gpu.handle)[0]:
                    seen.append(f"{gpu.name} is cut in MIG slices")
        return "; ".join(seen)

    def _chosen(self) -> Iterator[tuple[int, Any]]:
        count = self._nvml.nvmlDeviceGetCount()
        if missing := [i for i in self._wanted if i >= count]:
            raise Unreadable(f"there is no GPU {missing[0]}; this machine shows {count}")
        wanted = self._wanted or range(count)
        found = [(i, self._nvml.nvmlDeviceGetHandleByIndex(i)) for i in wanted]
        if not found:
            raise Unreadable(f"the driver shows no GPU: {_HOW}")
        if not self._process:
            yield from found
            return
        used = [(i, h) for i, h in found if any(_command(pid) == self._process for pid in self._pids(h))]
        if not used:
            what = f'no process named "{self._process}" uses a GPU here'
            raise Unreadable(f"{what}; from inside a container the processes of others are seen only with hostPID")
        yield from used

    def _opened(self, index: int, handle: Any) -> _Gpu:  # noqa: ANN401 - a pointer of NVML
        name = self._nvml.nvmlDeviceGetName(handle)
        name = f"{index} {name.decode() if isinstance(name, bytes) else name}"
        try:
            start_mj = self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except self._nvml.NVMLError_NotSupported:
            self._integrated = True
            return _Gpu(handle, name, _Integral(lambda: self._nvml.nvmlDeviceGetPowerUsage(handle) / 1e3), counts=False)
        return _Gpu(handle, name, lambda: self._since(handle, start_mj) / 1e3, counts=True)

    def _uuid(self, handle: Any) -> str:  # noqa: ANN401
        found = self._nvml.nvmlDeviceGetUUID(handle)
        return found.decode() if isinstance(found, bytes) else str(found)

    def _since(self, handle: Any, start_mj: int) -> int:  # noqa: ANN401
        now_mj: int = self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        if now_mj < start_mj:
            raise Unreadable("the GPU's energy counter went back: the driver was reloaded")
        return now_mj - start_mj

    def _pids(self, handle: Any) -> list[int]:  # noqa: ANN401
        with contextlib.suppress(self._nvml.NVMLError):
            return sorted({p.pid for p in self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)})
        return []

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn an error of NVML into the reason for people."""
        try:
            yield
        except self._nvml.NVMLError as error:
            raise Unreadable(f"{what} cannot be read: {error}: {_HOW}") from None


def _library() -> Any:  # noqa: ANN401 - a module without types
    try:
        import pynvml  # noqa: PLC0415 - only who measures GPUs has it
    except ImportError:
        raise Unreadable(f"nvidia-ml-py is not installed: {install_command('nvidia-ml-py')}") from None
    return pynvml


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
