"""The raw figures, in benchmarks/results/alerts/: rows of tables, each with the run that it comes from."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path("benchmarks/results/alerts")

Row = Mapping[str, Any]

_KEYS = ("monitor", "noise", "stream", "rule", "damage")
"""What a row is about, as far as it has them; a new row takes the place of the one about the same."""


def this_run() -> str:
    """Say when and with what a row is measured."""
    tools = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy"))
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, {tools}"


def read(part: str) -> list[Row]:
    """Return the rows of a part, none if it was never measured."""
    path = RESULTS / f"{part}.json"
    return list(json.loads(path.read_text())) if path.exists() else []


def keep(part: str, rows: Iterable[Row]) -> None:
    """Write each row as it comes, so that a run may be ended early, and gone on with."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for row in rows:
        kept = read(part)
        place = next((i for i, other in enumerate(kept) if _about(other) == _about(row)), len(kept))
        kept[place : place + 1] = [{**row, "run": this_run()}]
        (RESULTS / f"{part}.json").write_text(json.dumps(kept, indent=1) + "\n")
        print(f"{part}: {' '.join(_about(row))}", flush=True)


def _about(row: Row) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in _KEYS if key in row)
