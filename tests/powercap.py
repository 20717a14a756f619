"""A processor whose counters are files: a powercap tree that the test ticks."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldwatch.daemon import metering
from goldwatch.energy import attribution, rapl


class Processor:
    """A powercap tree under `folder`, whose one package draws `watts` at any time; they may be changed.

    The counter restarts after each `restarts_every_j` joules.
    """

    def __init__(self, folder: Path, watts: float, range_uj: int, restarts_every_j: float = math.inf) -> None:
        self.tree = folder / "powercap"
        self.watts, self._restarts_every_j = watts, restarts_every_j
        self._zone, self._range_uj = self.tree / "intel-rapl:0", range_uj
        self._zone.mkdir(parents=True)
        (self._zone / "name").write_text("package-0")
        (self._zone / "max_energy_range_uj").write_text(str(range_uj - 1))
        (self._zone / "energy_uj").write_text("0")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop the counter."""
        self._ended.set()
        self._thread.join()

    def _tick(self) -> None:
        counter, new = self._zone / "energy_uj", self._zone / "new"
        joules, last = 0.0, time.monotonic()
        while not self._ended.wait(0.002):
            now = time.monotonic()
            joules, last = joules + self.watts * (now - last), now
            if joules > self._restarts_every_j:
                joules = 0.0
            new.write_text(str(int(joules * 1e6) % self._range_uj))
            new.replace(counter)


def environment(folder: Path, processor: Processor) -> dict[str, str]:
    """Return the environment of Python processes that find the processor, as `steady` has it, on their machine."""
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "from pathlib import Path\n"
        "from goldwatch.energy import attribution, rapl\n"
        "from goldwatch.daemon import metering\n"
        f"rapl.TREE, attribution.COARSEST, metering._SETTLE_S = Path({str(processor.tree)!r}), 10.0, 0.1\n"
        "rapl._max_watts = lambda _: 1e9\n"  # a busy machine ticks late
    )
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))}


@contextlib.contextmanager
def steady(folder: Path, watts: float, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processor]:
    """Give the one processor that there is, on a machine whose steadiness is not what is tested."""
    found = Processor(folder, watts, 10**12)
    monkeypatch.setattr(rapl, "TREE", found.tree)
    monkeypatch.setattr(rapl, "_max_watts", lambda _: 1e9)  # a busy machine ticks late
    monkeypatch.setattr(attribution, "COARSEST", 10.0)
    monkeypatch.setattr(metering, "_SETTLE_S", 0.1)
    try:
        yield found
    finally:
        found.end()
