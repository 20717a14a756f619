"""What the benchmarks measure: figures, each with its aim, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path(".benchmarks")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `aim` is the most that it should be, in the same unit; `raw` are the samples that it is made of."""

    name: str
    value: float
    unit: str
    aim: float | None = None
    raw: Sequence[float] = field(default=())

    def row(self) -> tuple[str, str, str]:
        """Return the cells of its line: what, how much, and the aim with whether it is met."""
        number = f"{self.value:,.0f}" if abs(self.value) >= 1000 else f"{self.value:#.3g}".rstrip(".")
        aim = "" if self.aim is None else f"under {self.aim:g} {self.unit}: {'met' if self.value < self.aim else 'MISSED'}"
        return self.name, f"{number} {self.unit}", aim


def show(title: str, figures: Sequence[Figure]) -> None:
    """Print a table."""
    rows = [figure.row() for figure in figures]
    names, values = (max(len(row[i]) for row in rows) for i in (0, 1))
    print(f"\n{title}")
    for name, value, aim in rows:
        print(f"  {name:<{names}}  {value:>{values}}  {aim}".rstrip())


def keep(benchmark: str, figures: Sequence[Figure]) -> None:
    """Write the figures with their samples, and where and when they were taken, to `.benchmarks/`."""
    RESULTS.mkdir(exist_ok=True)
    where = {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()}
    found = where | {"at": time.time(), "figures": [asdict(figure) for figure in figures]}
    (RESULTS / f"{benchmark}.json").write_text(json.dumps(found, indent=1) + "\n")
