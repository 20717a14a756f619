"""Measure, keep the raw figures, and write the page: `python -m benchmarks.alerts [--quick] [--jobs N] [PART ...]`."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.alerts import delays, false_alarms, report
from benchmarks.alerts.parallel import Jobs

RESULTS = Path("benchmarks/results/alerts")
PAGE = Path("docs/alerts-measured.md")

_YEARS, _QUICK_YEARS = 1000, 20
_PODS, _QUICK_PODS = 8000, 100

Part = Callable[[Jobs, bool], Any]

PARTS: Mapping[str, Part] = {
    "false_alarms": lambda jobs, quick: false_alarms.measure(jobs, _QUICK_YEARS if quick else _YEARS),
    "delays": lambda jobs, quick: delays.measure(jobs, quick=quick),
    "pod": lambda jobs, quick: false_alarms.pod(jobs, _QUICK_PODS if quick else _PODS),
}


def main() -> None:
    """Measure the parts that are named, or all, and write the page from what has been measured so far."""
    parser = argparse.ArgumentParser("python -m benchmarks.alerts", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument(
        "--quick", action="store_true", help="a small sample, printed and not kept: minutes, not an hour"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    arguments = parser.parse_args()
    wanted = arguments.parts or list(PARTS)
    if unknown := sorted(set(wanted) - set(PARTS)):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    found = {}
    for part in wanted:
        began = time.monotonic()
        found[part] = PARTS[part](Jobs(arguments.jobs), arguments.quick)
        print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
        if not arguments.quick:
            RESULTS.mkdir(parents=True, exist_ok=True)
            (RESULTS / f"{part}.json").write_text(json.dumps(found[part], indent=1) + "\n")
    if arguments.quick:
        print(report.page(found))
    else:
        kept = {part: json.loads(path.read_text()) for part in PARTS if (path := RESULTS / f"{part}.json").exists()}
        PAGE.write_text(report.page(kept))


if __name__ == "__main__":
    main()
