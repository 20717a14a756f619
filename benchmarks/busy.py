"""Latency that a client short of CPU reports for a server that is not: goldwatch and bare loops.

Server and client have a processor each. Then processes that never rest share the client's: the increase is the
client's own wait.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from goldwatch.core.latency import quantile

from benchmarks import wire_servers
from benchmarks.client import bare_facts, ours_facts
from benchmarks.figures import Figure

ROUNDS = 5
COUNT = 2000
NEIGHBOURS = (0, 1, 3)

_PROBES = "goldwatch_probes.open_inference"


@dataclass(frozen=True, slots=True)
class _Wire:
    """A wire, by its name in `benchmarks.bare`: what a bare loop over it is called, our probe, and a server."""

    kind: str
    bare: str
    factory: str
    server: Callable[[], contextlib.AbstractContextManager[str]]


def measure() -> list[Figure]:
    """Take turns with each number of neighbours on the client's processor."""
    nginx = wire_servers.nginx()
    if len(os.sched_getaffinity(0)) < 2:
        print("  left out; it takes two processors")
        return []
    wires = [_Wire("grpc", "grpcio", f"{_PROBES}_grpc:OpenInferenceGrpc", wire_servers.grpc)]
    if nginx is None:
        print("  HTTP is left out; to have it: apt-get install nginx-light")
    else:
        http = partial(wire_servers.http, nginx)
        wires.insert(0, _Wire("http", "http.client", f"{_PROBES}:OpenInference", http))
    return [figure for wire in wires for figure in _over(wire)]


def _over(wire: _Wire) -> list[Figure]:
    cpus = sorted(os.sched_getaffinity(0))
    try:
        os.sched_setaffinity(0, cpus[:1])  # who is started from here on has it too
        with wire.server() as address:
            os.sched_setaffinity(0, cpus[1:2])
            return [figure for neighbours in NEIGHBOURS for figure in _beside(wire, address, neighbours)]
    finally:
        os.sched_setaffinity(0, cpus)


def _beside(wire: _Wire, address: str, neighbours: int) -> list[Figure]:
    taken: dict[str, list[list[int]]] = {wire.bare: [], "goldwatch": []}
    with _never_at_rest(neighbours):
        for _ in range(ROUNDS):
            taken[wire.bare].append(bare_facts(wire.kind, address, COUNT)["latencies_ns"])
            options = {"url": address, "model": "digits"}
            taken["goldwatch"].append(ours_facts(wire.factory, options, COUNT, served=True)["latencies_ns"])
    found = []
    for name, rounds in taken.items():
        for q in (0.5, 0.99):
            values = [quantile(sorted(latencies), q) / 1e3 for latencies in rounds]
            title = f"{wire.kind}, {neighbours} neighbours on the client's processor: {name}, p{100 * q:g}"
            found.append(Figure(title, statistics.median(values), "µs", raw=values))
    return found


@contextlib.contextmanager
def _never_at_rest(count: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
        yield
