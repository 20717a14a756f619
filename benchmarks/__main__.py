"""Run all benchmarks, or those that are named: `python -m benchmarks agent client`."""

from __future__ import annotations

import argparse
import importlib
import os
import time

from benchmarks import figures

MEASURED = {
    "agent": "The agent at rest: a watch every 5 min, 600 digits",
    "busy": "A client that is short of a processor: what it says of a server that is not",
    "client": "What goldwatch adds to a request, beside a bare client of the same library",
    "coverage": "How often the 95 % intervals of scores miss the truth, on simulated golden sets",
    "dependence": "How often bounds on latency are wrong where requests queue, by simulation",
    "fleet": "Series of a watch, by the level of metrics",
    "http_clients": "Median round trip of one request at a time to one server on loopback, by client",
    "language": "One request at a time to a language model's server: goldwatch, a floor, AIPerf and others, in turns",
    "loadgen": "One request at a time, model in process: goldwatch, a bare loop, and MLPerf's LoadGen, in turns",
    "million": "A golden set of a million examples beside one of 10,000: built, checked, compared (minutes)",
    "monitors": "An update of a monitor over 10,000 examples",
    "pages": "The page of a watch over 90 days of replays, and the status page of 1,000 watches",
    "scale": "One agent with 10, 100 and 1,000 watches of a server, with the same replays a second",
    "scrape": "A scrape of /metrics with 10,000 series, beside prometheus-client alone",
    "tables": "Parquet of 20 columns to a golden set, beside pandas reading the same file (needs pandas)",
    "tap": "Live traffic: a request on its way in, and a window of them",
    "timing": "How late requests are sent, beside asyncio.sleep and LoadGen, and the p99 of a server that stalls",
    "traces": "What traces cost a replay, in turns with replays without",
    "wire": "One request at a time over HTTP and gRPC: goldwatch, a floor, and other clients, in turns",
    "worker": "What a replay costs beside its requests",
}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*MEASURED, "alerts"]))
    wanted = parser.parse_args().names or [*MEASURED, "alerts"]
    if unknown := sorted(set(wanted) - {*MEASURED, "alerts"}):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join([*MEASURED, 'alerts'])}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles what it installs: measure that, not the compiler
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; the raw figures are in {figures.RESULTS}/"
    )
    for name in wanted:
        began = time.monotonic()
        _run(name)
        print(f"  ({name}: {time.monotonic() - began:.0f} s)", flush=True)


def _run(name: str) -> None:
    if name == "alerts":
        print("\nFalse pages and delays on simulated streams (the rest is measured by `make bench-alerts`)")
        importlib.import_module("benchmarks.alerts.outcomes").main()
        return
    module = importlib.import_module(f"benchmarks.{name}")
    found: list[figures.Figure] = module.measure()
    figures.show(MEASURED[name], found)
    figures.keep(name, found)


if __name__ == "__main__":
    main()
