"""Measure, keep the figures and write the page: `python -m benchmarks.alerts [--quick] [--only TEXT] [PART ...]`."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from benchmarks.alerts import damage, delays, false_alarms, peers, report, river_streams
from benchmarks.alerts.kept import Row, keep, read, this_run
from benchmarks.alerts.parallel import Jobs

PAGE = Path("docs/alerts-measured.md")

_PODS, _QUICK_PODS = 8000, 100

Part = Callable[[Jobs, argparse.Namespace], Iterable[Row]]
"""Measures with what was asked for: `quick`, `only` and `years`."""

PARTS: Mapping[str, Part] = {
    "false_alarms": lambda jobs, asked: false_alarms.measure(jobs, 20 if asked.quick else asked.years, asked.only),
    "delays": lambda jobs, asked: delays.measure(jobs, asked.only, quick=asked.quick),
    "pod": lambda jobs, asked: false_alarms.pod(jobs, _QUICK_PODS if asked.quick else _PODS),
    "peers": lambda _, asked: peers.measure(asked.only, quick=asked.quick),
    "river_streams": lambda _, asked: river_streams.measure(asked.only, quick=asked.quick),
    "damage": lambda _, asked: damage.measure(asked.only, quick=asked.quick),
}


def main() -> None:
    """Measure the parts that are named, or all, and write the page from what has been measured so far."""
    parser = argparse.ArgumentParser("python -m benchmarks.alerts", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a small sample, printed and not kept: minutes, not hours")
    parser.add_argument("--only", default="", metavar="TEXT", help="measure only rows whose name begins with this")
    parser.add_argument("--years", type=int, default=1000, help="model-years of each line of false alarms")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    arguments = parser.parse_args()
    wanted = arguments.parts or list(PARTS)
    if unknown := sorted(set(wanted) - set(PARTS)):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    printed = {}
    for part in wanted:
        began = time.monotonic()
        rows = PARTS[part](Jobs(arguments.jobs), arguments)
        if arguments.quick:
            printed[part] = [{**row, "run": this_run()} for row in rows]
        else:
            keep(part, rows)
        print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
    if arguments.quick:
        print(report.page(printed))
    else:
        PAGE.write_text(report.page({part: rows for part in PARTS if (rows := read(part))}))


if __name__ == "__main__":
    main()
