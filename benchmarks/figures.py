"""Figures of the benchmarks, each with its aim, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
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

    def row(self) -> tuple[str, str, str, str]:
        """Return the cells of its line: what, how much, the quartiles of the samples, and whether the aim is met."""
        aim = (
            ""
            if self.aim is None
            else f"under {self.aim:g} {self.unit}: {'met' if self.value < self.aim else 'MISSED'}"
        )
        quartiles = statistics.quantiles(self.raw, n=4) if len(self.raw) > 4 else []
        spread = f"({_number(quartiles[0])} to {_number(quartiles[2])})" if quartiles else ""
        return self.name, f"{_number(self.value)} {self.unit}", spread, aim


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.2g}".rstrip(".")


def show(title: str, figures: Sequence[Figure]) -> None:
    """Print a table."""
    rows = [figure.row() for figure in figures]
    names, values, spreads = (max(len(row[i]) for row in rows) for i in (0, 1, 2))
    print(f"\n{title}")
    for name, value, spread, aim in rows:
        print(f"  {name:<{names}}  {value:>{values}}  {spread:<{spreads}}  {aim}".rstrip())


def keep(benchmark: str, figures: Sequence[Figure]) -> None:
    """Write the figures with their samples, and where and when they were taken, to `.benchmarks/`."""
    RESULTS.mkdir(exist_ok=True)
    where = {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()}
    found = where | {"at": time.time(), "figures": [asdict(figure) for figure in figures]}
    (RESULTS / f"{benchmark}.json").write_text(json.dumps(found, indent=1) + "\n")
