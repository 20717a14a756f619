"""What a client that is short of a processor says of a server that is not: goldwatch beside a bare loop.

Server and client have a processor each. Then processes that never rest share the client's: what grows is the client's
own wait.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator

from goldwatch.score.latency import quantile

from benchmarks import wire_servers
from benchmarks.client import bare_facts, ours_facts
from benchmarks.figures import Figure

ROUNDS = 5
COUNT = 2000
NEIGHBOURS = (0, 1, 3)

_PROBE = "goldwatch_probes.open_inference:OpenInference"


def measure() -> list[Figure]:
    """Take turns with each number of neighbours on the client's processor."""
    nginx, cpus = wire_servers.nginx(), sorted(os.sched_getaffinity(0))
    if nginx is None or len(cpus) < 2:
        print("  left out; it takes two processors, and nginx: apt-get install nginx-light")
        return []
    try:
        os.sched_setaffinity(0, cpus[:1])  # who is started from here on has it too
        with wire_servers.http(nginx) as address:
            os.sched_setaffinity(0, cpus[1:2])
            return [figure for neighbours in NEIGHBOURS for figure in _beside(address, neighbours)]
    finally:
        os.sched_setaffinity(0, cpus)


def _beside(address: str, neighbours: int) -> list[Figure]:
    taken: dict[str, list[list[int]]] = {"http.client": [], "goldwatch": []}
    with _never_at_rest(neighbours):
        for _ in range(ROUNDS):
            taken["http.client"].append(bare_facts("http", address, COUNT)["latencies_ns"])
            options = {"url": address, "model": "digits"}
            taken["goldwatch"].append(ours_facts(_PROBE, options, COUNT, served=True)["latencies_ns"])
    found = []
    for name, rounds in taken.items():
        for q in (0.5, 0.99):
            values = [quantile(sorted(latencies), q) / 1e3 for latencies in rounds]
            title = f"{neighbours} neighbours on the client's processor: {name}, p{100 * q:g}"
            found.append(Figure(title, statistics.median(values), "µs", raw=values))
    return found


@contextlib.contextmanager
def _never_at_rest(count: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
        yield
