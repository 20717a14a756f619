"""RAPL through Linux's powercap tree: the energy of processor packages and memory, as the processor itself counts it.

The sum is of each package and each DRAM zone. Cores and uncore are parts of their package; psys is the whole
platform, packages included; and a zone that a second driver shows again (intel-rapl-mmio) is the same silicon.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldwatch.energy.meter import Component, Implausible, Resolution, least_window_s
from goldwatch.http_reading import Unreadable

TREE = Path("/sys/class/powercap")
UPDATES_S = 1e-3
"""RAPL's counters are updated about once a millisecond (Intel SDM, volume 3, section 16.10)."""

MOST_WATTS = 1000.0
"""No package draws more, so none wraps faster than its range over this."""

_MARGIN = 2.0
"""For some milliseconds a processor draws more than its declared maximum."""

_LATE_S = 10 * UPDATES_S
"""The energy of a step may be older than the last reading by this much."""

_LEAST_S = 1.0
_POLL_S = 0.02
_STEP_UJ = 61
"""The usual unit of the counter, 2^-14 J; the tree does not tell it."""

_DRIVERS = ("intel-rapl:", "amd-rapl:", "intel-rapl-mmio:")
_HOW = "it needs root, or on the host: chmod -R o+r /sys/class/powercap/*/energy_uj (docs/energy.md)"


@dataclass(slots=True)
class _Zone:
    """One counter. It shows 0 to `highest` microjoules and begins again at 0; `total` counts on for ever."""

    path: Path
    name: str
    highest: int
    max_w: float
    clock: Callable[[], float]
    last: int
    read_at: float
    total: int = 0
    implausible: str = ""

    def advance(self) -> int:
        """Read the counter and return its microjoules since the first reading.

        Raises Unreadable. Raises Implausible from the first step that `max_w` cannot explain on: the total is unknown.
        """
        if self.implausible:
            raise Implausible(self.implausible)
        before = self.clock()
        now = _counter(self.path)
        elapsed_s = self.clock() - self.read_at
        if now > self.highest:
            raise Unreadable(f"{self.path} says {now}, more than its range of {self.highest}")
        step = (now - self.last) % (self.highest + 1)
        if step > self.max_w * (elapsed_s + _LATE_S) * 1e6 + _STEP_UJ:
            self.implausible = (
                f"{self.path} went from {self.last} to {now} in {elapsed_s:.3g} s, which {self.max_w:.0f} W cannot "
                "explain: the counter stepped back or restarted, and the energy is unknown"
            )
            raise Implausible(self.implausible)
        self.total += step
        self.last, self.read_at = now, before
        return self.total

    def component(self) -> Component:
        """Read it and return it by the name of its folder. Raises Unreadable."""
        kind = "memory" if self.name.endswith("dram") else "cpu"
        return Component(self.path.parent.name, kind, self.name, self.advance() / 1e6)


class Rapl:
    """The packages and the memory of this machine.

    It must be read more often than its fastest counter can go halfway round: `poll_s` is far below that.
    """

    source = "rapl"
    estimated = False

    def __init__(
        self, tree: Path | None = None, accuracy: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Remember the settings. `clock` returns seconds and never goes back."""
        self.accuracy = accuracy
        self._clock = clock
        self._tree = tree or TREE
        self._zones: list[_Zone] = []

    def open(self) -> None:
        """Find the zones and take their first reading. Raises Unreadable."""
        self._zones = [_open(path, name, self._clock) for path, name in zones(self._tree)]

    def read(self) -> float:
        """Return the joules of all zones since `open`. Raises Unreadable, Implausible included."""
        return self.read_uj() / 1e6

    def read_uj(self) -> int:
        """Return the same, exactly, in microjoules."""
        if not self._zones:
            raise Unreadable("the meter is not open")
        return sum(zone.advance() for zone in self._zones)

    def close(self) -> None:
        """Forget the zones."""
        self._zones = []

    @property
    def detail(self) -> str:
        """Name the zones."""
        return "RAPL " + ", ".join(zone.name for zone in self._zones)

    @property
    def resolution(self) -> Resolution:
        """One unit of each counter, and one update."""
        return Resolution(_STEP_UJ * len(self._zones) ** 0.5 / 1e6, UPDATES_S)

    @property
    def poll_s(self) -> float:
        """At least four times in a wrap of the fastest counter at the most watts that a package draws."""
        return min(_POLL_S, self.longest_gap_s / 4)

    @property
    def longest_gap_s(self) -> float:
        """A wrap of the fastest counter at the most watts that a package draws."""
        return min((zone.highest / 1e6 / MOST_WATTS for zone in self._zones), default=math.inf)

    def components(self) -> Sequence[Component]:
        """Return each package and each memory, by the folder of its zone. Raises Unreadable."""
        return [zone.component() for zone in self._zones]

    @property
    def least_window_s(self) -> float:
        """A second: hundreds of updates."""
        return least_window_s(self.resolution, _LEAST_S)

    def shared_with(self) -> str:
        """Everything that runs on the machine is in its packages' counters."""
        return "all that runs on this machine"


def zones(tree: Path = TREE) -> list[tuple[Path, str]]:
    """Return the counter and the name of each zone to add up, none of them within another.

    Raises Unreadable if there is none.
    """
    if not tree.is_dir():
        raise Unreadable(f"there is no {tree}: no powercap in this kernel, or hidden from this container")
    found: dict[str, Path] = {}
    for driver in _DRIVERS:
        for zone in sorted(tree.glob(f"{driver}*")):
            name = _name(zone, driver)
            if name is not None:
                found.setdefault(name, zone / "energy_uj")
    if not found:
        raise Unreadable(f"{tree} has no package or memory zone: a virtual machine, or a processor without RAPL")
    return [(path, name) for name, path in found.items()]


def _name(zone: Path, driver: str) -> str | None:
    """Return what identifies a zone that counts, None for one that is part of another or not a zone of energy."""
    numbers = zone.name.removeprefix(driver).split(":")
    name = _text(zone / "name")
    if len(numbers) == 1 and name.startswith("package"):
        return name
    if len(numbers) == 2 and name == "dram":
        return f"{_text(zone.parent / f'{driver}{numbers[0]}' / 'name')} dram"
    return None


def _open(path: Path, name: str, clock: Callable[[], float]) -> _Zone:
    highest = _integer(path.with_name("max_energy_range_uj"))
    if highest <= 0:
        raise Unreadable(f"{path.with_name('max_energy_range_uj')} says {highest}: no counter wraps there")
    read_at = clock()
    return _Zone(path, name, highest, _max_watts(path.parent), clock, _counter(path), read_at)


def _max_watts(zone: Path) -> float:
    """Return the power above which a step is implausible, in watts: from the zone's declarations, or MOST_WATTS.

    The declared maximum is often the sustained one. The current limit may be higher, so the highest of all counts.
    """
    declared = []
    for kind in ("max_power", "power_limit"):
        for path in zone.glob(f"constraint_*_{kind}_uw"):
            with contextlib.suppress(Unreadable):  # some zones have the file and no value
                declared.append(_integer(path))
    highest_w = max(declared, default=0) / 1e6
    return min(_MARGIN * highest_w, MOST_WATTS) if highest_w > 0 else MOST_WATTS


def _counter(path: Path) -> int:
    value = _integer(path)
    if value < 0:
        raise Unreadable(f"{path} says {value}, which is no energy")
    return value


def _integer(path: Path) -> int:
    text = _text(path)
    try:
        return int(text)
    except ValueError:
        raise Unreadable(f"{path} holds {text[:40]!r}, not a whole number") from None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except PermissionError:
        raise Unreadable(f"{path} is not readable: {_HOW}") from None
    except OSError as error:
        gone = error.errno in (errno.ENOENT, errno.ENODEV)
        why = "it has gone; was its driver unloaded?" if gone else os.strerror(error.errno or 0)
        raise Unreadable(f"{path} cannot be read: {why}") from None
