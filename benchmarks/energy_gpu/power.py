"""References for the energy counter: power readings of the same GPU, and Zeus."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from goldwatch.energy.attribution import Window
from goldwatch.energy.sampling import Trace

POWER_EVERY_S = 0.05


class Power:
    """Power readings of one GPU in a thread: the driver's mean of the last second, and the instantaneous field."""

    KINDS = ("average", "instant")

    def __init__(self) -> None:
        import pynvml  # noqa: PLC0415

        self._nvml = pynvml
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        self.watts: dict[str, list[tuple[int, float]]] = {kind: [] for kind in self.KINDS}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Power:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(POWER_EVERY_S):
            for kind in self.KINDS:
                before_ns = time.monotonic_ns()
                with contextlib.suppress(self._nvml.NVMLError):
                    watts = self._read(kind)
                    self.watts[kind].append(((before_ns + time.monotonic_ns()) // 2, watts))

    def _read(self, kind: str) -> float:
        if kind == "average":
            return float(self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1e3)
        (value,) = self._nvml.nvmlDeviceGetFieldValues(self._handle, [self._nvml.NVML_FI_DEV_POWER_INSTANT])
        if value.nvmlReturn:
            raise self._nvml.NVMLError(value.nvmlReturn)
        return float(value.value.uiVal / 1e3)

    def trace(self, kind: str) -> Trace:
        """Return the readings integrated by the trapezoid rule, as a meter's trace."""
        trace, total, last = Trace(), 0.0, None
        for at_ns, watts in self.watts[kind]:
            total += (watts + last[1]) / 2 * (at_ns - last[0]) / 1e9 if last else 0.0
            trace.append(at_ns, total)
            last = (at_ns, watts)
        return trace


def against_power(counter: Trace, power: Power, load: Window, whole: Window) -> dict[str, Any]:
    """Compare the counter with integrated power over the load, over its steady part, and with idle time around it."""
    parts = {"load": load, "with_idle_around": whole}
    if load.seconds > 3:
        parts["load_without_first_2_s"] = Window(load.start_ns + int(2e9), load.end_ns)
    result: dict[str, Any] = {}
    for kind in Power.KINDS:
        integral = power.trace(kind)
        if len(integral.at_ns) < 10:
            result[kind] = "not available on this GPU"
            continue
        of: dict[str, Any] = {"readings": len(integral.at_ns)}
        for name, window in parts.items():
            counted, summed = (t.between(window.start_ns, window.end_ns) for t in (counter, integral))
            of[name] = {"counter_j": counted, "power_j": summed, "power_over_counter": summed / counted}
        of["lag_s"] = lag(counter, integral, load)
        result[kind] = of
    return result


def lag(counter: Trace, integral: Trace, load: Window) -> float | None:
    """Return by how much later power shows the same start of the load, in seconds: the shift with the least difference.

    Looks at the first second before to three seconds after the start, where the two differ most.
    """

    def difference(shift_s: float) -> float:
        shift, total = int(shift_s * 1e9), 0.0
        for step in range(-10, 30):
            at = load.start_ns + int(step * 1e8)
            moved = integral.between(at + shift, at + shift + int(1e8))
            total += (moved - counter.between(at, at + int(1e8))) ** 2
        return total

    with contextlib.suppress(Exception):
        return min((s / 50 for s in range(-10, 76)), key=difference)
    return None


@contextlib.contextmanager
def zeus_window(monitor: Any) -> Iterator[dict[str, Any]]:
    """Measure the block with Zeus's monitor, if there is one; the dictionary then has its joules and its edges."""
    result: dict[str, Any] = {}
    if monitor is None:
        yield result
        return
    result["start_ns"] = time.monotonic_ns()
    monitor.begin_window("load", sync_execution=False)
    yield result
    found = monitor.end_window("load", sync_execution=False)
    result["end_ns"] = time.monotonic_ns()
    result["zeus_j"] = sum(found.gpu_energy.values())


def zeus_monitor() -> tuple[Any, str]:
    """Return Zeus's monitor of GPU 0 and its version, or None and why not."""
    try:
        from zeus import __version__ as version  # noqa: PLC0415
        from zeus.monitor import ZeusMonitor  # noqa: PLC0415

        return ZeusMonitor(gpu_indices=[0], cpu_indices=[]), version
    except Exception as error:
        return None, f"not measured: {type(error).__name__}: {error}"[:300]
